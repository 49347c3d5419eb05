//! A virtual display for machines that have none.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::processes::Running;

/// Whether a window could be shown to somebody.
pub(crate) fn is_there() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// A display of one's own; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct VirtualDisplay {
    name: String,
    _server: Running,
}

impl VirtualDisplay {
    /// Starts Xvfb on a display number that it chooses itself, so that two runs never meet.
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new("Xvfb");
        command.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1440x900x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ]);
        let mut server = Running::start("Xvfb", command.stdout(Stdio::piped()).stderr(Stdio::null()))?;
        let output = server.child().stdout.take().context("Xvfb's output is piped")?;
        let mut number = String::new();
        BufReader::new(output)
            .read_line(&mut number)
            .context("read the number of Xvfb's display")?;
        match number.trim().parse::<u32>() {
            Ok(number) => Ok(Self {
                name: format!(":{number}"),
                _server: server,
            }),
            Err(_) => bail!("Xvfb did not start"),
        }
    }

    /// Lets a program open its windows here and nowhere else.
    pub(crate) fn tell(&self, command: &mut Command) {
        command
            .env("DISPLAY", &self.name)
            .env("GDK_BACKEND", "x11")
            .env_remove("WAYLAND_DISPLAY");
    }
}
