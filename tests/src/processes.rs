//! Processes that end with their guard.
//!
//! Each is the leader of a process group of its own, and the whole group is ended (first politely, then for good) when the guard
//! is dropped, so also when a test fails. [`end_all_on_interrupt`] does the same for programs that are interrupted.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// The groups that end with this program.
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// How long a group may take to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends every started group and this program on SIGINT, SIGTERM and SIGHUP.
///
/// # Errors
/// When a handler is installed already.
pub fn end_all_on_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        // The lock is kept until the exit: nothing new can be started after this.
        let groups = groups();
        end(&groups);
        std::process::exit(130);
    })
    .context("watch for interrupts")
}

/// Asks until the answer is something other than `None`, with a short pause between two questions.
///
/// # Errors
/// The question's own error at once, or that `what` did not happen within `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if began.elapsed() > limit {
            bail!("{what} did not happen within {} s", limit.as_secs());
        }
        // Another program has no condition that could be waited on.
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// A started process; it and its group end when this is dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts `command` with no standard input.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut groups = groups();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {name}"))?;
        groups.push(child.id());
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// The process itself, to read its output.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// # Errors
    /// When the process has ended.
    pub fn ensure_alive(&mut self) -> Result<()> {
        match self
            .child
            .try_wait()
            .with_context(|| format!("look after {}", self.name))?
        {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// Asks the process to end and waits until its whole group has.
    ///
    /// # Errors
    /// When the process did not end well.
    pub fn stop(mut self) -> Result<()> {
        signal(self.child.id(), Signal::TERM);
        let status = wait_for(&format!("the end of {}", self.name), PATIENCE, || {
            self.child.try_wait().context("wait for a process")
        })?;
        if !status.success() {
            bail!("{} did not shut down cleanly: {status}", self.name);
        }
        Ok(())
    }

    /// Ends the process as a power cut would.
    ///
    /// # Errors
    /// When the process cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        signal(self.child.id(), Signal::KILL);
        self.child.wait().context("wait for a killed process")?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = self.child.id();
        end(&[group]);
        // Reaps the leader, which a signal of ours has ended by now; there is nobody left to tell of an error.
        self.child.wait().ok();
        groups().retain(|known| *known != group);
    }
}

fn groups() -> MutexGuard<'static, Vec<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signal(group: u32, signal: Signal) {
    // A group that is gone already is what we want anyway.
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        kill_process_group(group, signal).ok();
    }
}

fn end(groups: &[u32]) {
    for kind in [Signal::TERM, Signal::KILL] {
        if living_members(groups) == 0 {
            return;
        }
        for group in groups {
            signal(*group, kind);
        }
        let gone = wait_for("the end of a group", PATIENCE, || {
            Ok((living_members(groups) == 0).then_some(()))
        });
        if gone.is_ok() {
            return;
        }
    }
}

/// How many processes of these groups live. The dead that wait for their parent do not count.
fn living_members(groups: &[u32]) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("stat")).ok())
        .filter_map(|stat| living_group(&String::from_utf8_lossy(&stat)))
        .filter(|group| groups.contains(group))
        .count()
}

/// The group in a line of `/proc/<pid>/stat`, whose second field is a name in brackets that may hold anything.
fn living_group(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::io::Read;

    use super::*;

    fn shell(script: &str) -> Running {
        let mut shell = Running::start(
            "a shell",
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()),
        )
        .unwrap();
        let mut ready = [0_u8; 6];
        shell.child().stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        shell
    }

    #[test]
    fn dropping_a_guard_ends_the_whole_group() {
        let shell = shell("sleep 600 & echo ready; wait");
        let group = shell.child.id();
        assert_eq!(living_members(&[group]), 2, "the shell and its sleep");
        drop(shell);
        assert_eq!(living_members(&[group]), 0);
    }

    #[test]
    fn a_process_that_fails_while_it_stops_is_an_error() {
        let stopped = shell("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done").stop();
        assert!(stopped.unwrap_err().to_string().contains("exit status: 3"));
        shell("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done")
            .stop()
            .unwrap();
    }

    #[test]
    fn waiting_gives_up_and_says_for_what() {
        let error = wait_for::<()>("a miracle", Duration::ZERO, || Ok(None)).unwrap_err();
        assert_eq!(error.to_string(), "a miracle did not happen within 0 s");
    }
}
