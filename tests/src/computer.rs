//! One person's computer, used by the command line: the built `caseload` program on a profile of its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::programs::built;

/// A profile, the home folder of whoever uses it, and the passphrase.
#[derive(Debug)]
pub struct Computer {
    profile: PathBuf,
    home: PathBuf,
    passphrase: &'static str,
    printed: Mutex<Vec<u8>>,
}

/// What a command that was not done says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The public code.
    pub code: String,
    /// Whether the same command may succeed later.
    pub retry: bool,
    /// `path: problem` of each field, for `invalid_fields`.
    pub fields: Vec<String>,
}

impl Computer {
    /// A computer with nothing on it. Everything of it lies below `folder`.
    ///
    /// # Errors
    /// When its home folder cannot be made.
    pub fn new(folder: &Path, name: &str, passphrase: &'static str) -> Result<Self> {
        let home = folder.join(format!("{name}-home"));
        fs::create_dir(&home).context("make a home folder")?;
        Ok(Self {
            profile: folder.join(name),
            home,
            passphrase,
            printed: Mutex::default(),
        })
    }

    /// The folder of its profile.
    #[must_use]
    pub fn profile(&self) -> &Path {
        &self.profile
    }

    /// The passphrase of whoever uses it.
    #[must_use]
    pub fn passphrase(&self) -> &'static str {
        self.passphrase
    }

    /// The command, ready to be changed or started.
    ///
    /// # Errors
    /// When the program is not built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(built("caseload")?);
        command
            .arg("--json")
            .arg("--profile")
            .arg(&self.profile)
            .args(arguments)
            .env("CASELOAD_PASSPHRASE", self.passphrase)
            .env("HOME", &self.home)
            .env_remove("CASELOAD_MONGODB_URI")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_DOCUMENTS_DIR");
        Ok(command)
    }

    /// Runs a command that has to succeed, and gives its answer.
    ///
    /// # Errors
    /// When it fails or prints no JSON.
    pub fn run(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.output(arguments)?;
        let name = arguments.join(" ");
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "caseload {name}: {said}");
        serde_json::from_slice(&output.stdout).with_context(|| format!("read the answer of caseload {name}"))
    }

    /// Runs a command that has to be refused with a code.
    ///
    /// # Errors
    /// When it succeeds, or fails in another way.
    pub fn refused(&self, arguments: &[&str]) -> Result<Refusal> {
        refusal(&self.output(arguments)?).with_context(|| format!("caseload {}", arguments.join(" ")))
    }

    /// Runs a command, whatever comes of it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.command(arguments)?.output().context("run caseload")?;
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        printed.extend_from_slice(&output.stdout);
        printed.extend_from_slice(&output.stderr);
        Ok(output)
    }

    /// Everything that its programs have printed, logs included.
    #[must_use]
    pub fn printed(&self) -> String {
        let printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// The content of every file of the profile, by its path in it. Empty while there is no profile.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn files(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut files = BTreeMap::new();
        if self.profile.exists() {
            read_below(&self.profile, &mut files)?;
        }
        Ok(files)
    }
}

/// The refusal in what a command printed.
///
/// # Errors
/// When there is none.
pub fn refusal(output: &Output) -> Result<Refusal> {
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(1) {
        bail!("it ended with {} and not as a refusal: {said}", output.status);
    }
    let line = said.lines().find_map(|line| line.strip_prefix("caseload: {"));
    let line = line.with_context(|| format!("no refusal with a code: {said}"))?;
    let error: Value = serde_json::from_str(&format!("{{{line}")).context("read a refusal")?;
    let fields = error["fields"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Refusal {
        code: text(&error["code"]),
        retry: error["retry"]
            .as_bool()
            .context("a refusal says whether to try again")?,
        fields: fields
            .map(|field| format!("{}: {}", text(&field["path"]), text(&field["problem"])))
            .collect(),
    })
}

/// The text at a JSON pointer.
///
/// # Errors
/// When there is none.
pub fn text_at(answer: &Value, pointer: &str) -> Result<String> {
    let found = answer.pointer(pointer).and_then(Value::as_str);
    found
        .map(str::to_owned)
        .with_context(|| format!("nothing at {pointer} of the answer"))
}

fn read_below(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry.context("read a folder")?.path();
        if path.is_dir() {
            read_below(&path, files)?;
        } else {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            files.insert(path, bytes);
        }
    }
    Ok(())
}
