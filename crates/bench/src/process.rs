//! Processes of this program's own: each ends when its guard is dropped, or when nobody is left to talk to it.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::figures;

/// A started part of this program.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a part of this program and tells it the first line.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(part: &'static str, first: &impl Serialize) -> Result<Self> {
        let program = env::current_exe().context("find this program")?;
        let mut child = Command::new(program)
            .arg(part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start the {part}"))?;
        let output = child.stdout.take().context("the output is piped")?;
        let mut process = Self {
            name: part,
            input: child.stdin.take(),
            child,
            output: BufReader::new(output),
        };
        process.tell(first)?;
        Ok(process)
    }

    /// Says something and waits for the answer.
    ///
    /// # Errors
    /// When the process has failed; why is on its standard error.
    pub(crate) fn ask<A: DeserializeOwned>(&mut self, question: &impl Serialize) -> Result<A> {
        self.tell(question)?;
        self.hear()
    }

    /// Says something.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn tell(&mut self, what: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(what).context("write a line")?;
        let input = self.input.as_mut().context("the input is open")?;
        writeln!(input, "{line}")
            .and_then(|()| input.flush())
            .with_context(|| format!("talk to the {}", self.name))
    }

    /// Waits for an answer.
    ///
    /// # Errors
    /// When the process has failed; why is on its standard error.
    pub(crate) fn hear<A: DeserializeOwned>(&mut self) -> Result<A> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .with_context(|| format!("listen to the {}", self.name))?;
        ensure!(!line.is_empty(), "the {} has failed", self.name);
        serde_json::from_str(&line).with_context(|| format!("understand the {}", self.name))
    }

    /// The most memory that it has held until now, in MiB.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn peak_memory(&self) -> Result<f64> {
        figures::peak_memory(self.child.id())
    }

    /// Waits until it has ended by itself, after nobody talks to it any more.
    ///
    /// # Errors
    /// When it failed.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.input = None;
        let status = self
            .child
            .wait()
            .with_context(|| format!("wait for the {}", self.name))?;
        ensure!(status.success(), "the {} has failed", self.name);
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that ended by itself cannot be killed; there is nobody left to tell of an error.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
