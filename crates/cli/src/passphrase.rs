//! Where the passphrase comes from: a file, a variable, or the terminal.

use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The variable that may hold it.
const VARIABLE: &str = "CASELOAD_PASSPHRASE";

/// The passphrase: the first line of `file`, else the variable, else what is typed at a terminal.
pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    if let Some(file) = file {
        let text = Zeroizing::new(std::fs::read_to_string(file).context("the passphrase file cannot be read")?);
        return Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()));
    }
    if let Ok(text) = std::env::var(VARIABLE) {
        return Ok(Zeroizing::new(text));
    }
    anyhow::ensure!(
        std::io::stdin().is_terminal(),
        "set {VARIABLE}, or name a file with --passphrase-file"
    );
    let mut error = std::io::stderr();
    write!(error, "Passphrase: ")?;
    error.flush()?;
    let mut typed = Zeroizing::new(String::new());
    {
        let _unseen = Unseen::begin()?;
        std::io::stdin().read_line(&mut typed)?;
    }
    writeln!(error)?;
    Ok(Zeroizing::new(typed.trim_end_matches(['\r', '\n']).to_owned()))
}

/// While this lives, the terminal does not show what is typed.
struct Unseen(Termios);

impl Unseen {
    fn begin() -> anyhow::Result<Self> {
        let usual = tcgetattr(std::io::stdin())?;
        let mut unseen = usual.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &unseen)?;
        Ok(Self(usual))
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing put back.
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0).ok();
    }
}
