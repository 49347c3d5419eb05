//! A virtual display, so that a scenario neither needs nor disturbs a real one.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::processes::Running;
use crate::programs::installed;

/// A screen of its own for one window, which then always has the focus. It ends when this is dropped.
#[derive(Debug)]
pub struct Display {
    name: String,
    _server: Running,
}

impl Display {
    /// Starts Xvfb. It chooses a free number itself, so that two runs never meet.
    ///
    /// # Errors
    /// When Xvfb is not installed or does not start.
    pub fn start() -> Result<Self> {
        let mut command = Command::new(installed("Xvfb")?);
        command.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1360x900x24",
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
        let number: u32 = number.trim().parse().context("Xvfb did not start")?;
        Ok(Self {
            name: format!(":{number}"),
            _server: server,
        })
    }

    /// Lets a program open its windows here and nowhere else.
    pub fn tell(&self, command: &mut Command) {
        command
            .env("DISPLAY", &self.name)
            .env("GDK_BACKEND", "x11")
            .env_remove("WAYLAND_DISPLAY");
    }
}
