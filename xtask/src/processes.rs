//! Processes that end with this program.
//!
//! Every process is started as the leader of a process group of its own, and the group is written down before anything else can
//! happen. A group is ended (first politely, then for good) when its guard is dropped, so also on an error, and all of them are
//! ended on SIGINT, SIGTERM and SIGHUP. What a finished program leaves running in its group is noticed and ended too.
//!
//! `unsafe` is forbidden here, so signals are sent by the shell's built-in `kill` and groups are read from `/proc`.
//! A process that starts a session of its own escapes; none of ours does.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::echo::{Echo, Excerpt};
use crate::project::in_ci;

/// The process groups that are to end with this program.
static GROUPS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// How long a group may take to end by itself after it was asked to. A test program may have to end servers of its own first.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the last processes of a group may outlive its leader before that counts as left behind.
const FAREWELL: Duration = Duration::from_secs(3);

/// Ends every process group and this program when it is interrupted or terminated.
pub(crate) fn end_all_on_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        // The lock is kept until the exit: nothing new can be started after this.
        let groups = groups();
        end_groups(&groups);
        crate::terminal::say("\ninterrupted; what was started has ended");
        std::process::exit(130);
    })
    .context("watch for interrupts")
}

fn groups() -> MutexGuard<'static, Vec<u32>> {
    GROUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A started process; it and its group end when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts `command` in a group of its own, with no standard input.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
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

    /// Fails if the process has already ended.
    pub(crate) fn ensure_alive(&mut self) -> Result<()> {
        match self
            .child
            .try_wait()
            .with_context(|| format!("look after {}", self.name))?
        {
            None => Ok(()),
            Some(status) => bail!("{} ended early: {status}", self.name),
        }
    }

    /// The status, once the process has ended.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("look after {}", self.name))
    }

    /// Waits for the end of the process, and then of its group.
    ///
    /// # Errors
    /// When the process fails, or leaves other processes running; those are ended when this is dropped.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let status = self.child.wait().with_context(|| format!("wait for {}", self.name))?;
        let left = self.left_behind();
        if !status.success() {
            bail!("{} failed: {status}", self.name);
        }
        if !left.is_empty() {
            bail!("{} left processes running (ended now): {}", self.name, left.join(", "));
        }
        Ok(())
    }

    fn left_behind(&self) -> Vec<String> {
        let began = Instant::now();
        loop {
            let left = members(&[self.child.id()]);
            if left.is_empty() || began.elapsed() > FAREWELL {
                return left;
            }
            pause();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let group = self.child.id();
        end_groups(&[group]);
        // Reaps the leader, which a signal of ours has ended by now.
        if let Err(error) = self.child.wait() {
            crate::terminal::say(format!("could not wait for {}: {error}", self.name));
        }
        groups().retain(|known| *known != group);
    }
}

/// Runs a command to its end. In continuous integration the error carries an [`Excerpt`] of what it wrote.
///
/// # Errors
/// When it cannot be started, fails, or leaves processes running; those are ended.
pub(crate) fn finish(name: &str, command: &mut Command) -> Result<()> {
    if in_ci() {
        finish_and_keep(name, command)
    } else {
        Running::start(name, command)?.finish()
    }
}

fn finish_and_keep(name: &str, command: &mut Command) -> Result<()> {
    let mut running = Running::start(name, command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let echo = Echo::of(&mut running.child);
    let result = running.finish();
    drop(running);
    let excerpt = echo.close();
    result.map_err(|error| {
        let why = format!("{error:#}");
        anyhow::Error::new(Failure { why, excerpt })
    })
}

/// A command that failed, and what it wrote.
#[derive(Debug)]
pub(crate) struct Failure {
    why: String,
    pub(crate) excerpt: Excerpt,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Failure {}

/// Runs a command to its end and returns what it wrote to standard output.
///
/// # Errors
/// As [`finish`], and when the command writes something that is not UTF-8.
pub(crate) fn output(name: &str, command: &mut Command) -> Result<String> {
    let mut running = Running::start(name, command.stdout(Stdio::piped()))?;
    let mut written = Vec::new();
    if let Some(mut from) = running.child.stdout.take() {
        from.read_to_end(&mut written)
            .with_context(|| format!("read what {name} writes"))?;
    }
    running.finish()?;
    String::from_utf8(written).with_context(|| format!("read what {name} wrote"))
}

/// Waits a moment before a question to another program is asked again.
#[expect(
    clippy::disallowed_methods,
    reason = "programs that are not ours have no condition to wait on"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(50));
}

fn end_groups(groups: &[u32]) {
    for (signal, patience) in [("TERM", PATIENCE), ("KILL", PATIENCE)] {
        if members(groups).is_empty() {
            return;
        }
        for group in groups {
            // A group that is gone already makes `kill` fail, which is what we want anyway.
            let sent = Command::new("sh")
                .args(["-c", &format!("kill -s {signal} -- -{group}")])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if let Err(error) = sent {
                crate::terminal::say(format!("could not end process group {group}: {error}"));
            }
        }
        let began = Instant::now();
        while began.elapsed() < patience && !members(groups).is_empty() {
            pause();
        }
    }
}

/// The names of the living processes of these groups.
fn members(groups: &[u32]) -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .filter_map(|entry| fs::read(entry.path().join("stat")).ok())
        .filter_map(|stat| living(&String::from_utf8_lossy(&stat)))
        .filter(|(_, group)| groups.contains(group))
        .map(|(name, _)| name)
        .collect()
}

/// Name and process group in a line of `/proc/<pid>/stat`; nothing for a process that has ended and waits for its parent.
///
/// The name stands in round brackets and may hold blanks and brackets itself.
fn living(stat: &str) -> Option<(String, u32)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?;
    let _parent = fields.next()?;
    let group = fields.next()?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then(|| (name.to_owned(), group))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn stat_lines_give_name_and_group_of_living_processes() {
        let cases = [
            ("12 (sleep) S 1 12 12 0 -1", Some(("sleep", 12))),
            ("13 (a (b) c) R 1 44 12 0 -1", Some(("a (b) c", 44))),
            ("14 (gone) Z 1 44 12 0 -1", None),
            ("nonsense", None),
        ];
        for (line, expected) in cases {
            assert_eq!(
                living(line),
                expected.map(|(name, group)| (name.to_owned(), group)),
                "{line}"
            );
        }
    }

    #[test]
    fn dropping_a_guard_ends_the_whole_group() {
        let mut shell = Running::start(
            "a shell",
            Command::new("sh")
                .args(["-c", "sleep 600 & echo ready; wait"])
                .stdout(Stdio::piped()),
        )
        .unwrap();
        let group = shell.child.id();
        let mut line = [0_u8; 6];
        std::io::Read::read_exact(shell.child.stdout.as_mut().unwrap(), &mut line).unwrap();
        assert_eq!(members(&[group]).len(), 2, "the shell and its sleep");
        drop(shell);
        assert!(members(&[group]).is_empty());
        assert!(!groups().contains(&group));
    }

    #[test]
    fn a_process_left_behind_is_an_error_and_is_ended() {
        let error = finish("a careless shell", Command::new("sh").args(["-c", "sleep 600 &"])).unwrap_err();
        assert!(
            error.to_string().contains("left processes running (ended now): sleep"),
            "{error}"
        );
    }

    #[test]
    fn what_a_program_writes_is_returned_whole_and_its_failure_is_named() {
        let text = output("a shell", Command::new("sh").args(["-c", "echo one; echo two"])).unwrap();
        assert_eq!(text, "one\ntwo\n");
        let error = output("a failing shell", Command::new("sh").args(["-c", "echo one; exit 4"])).unwrap_err();
        assert_eq!(error.to_string(), "a failing shell failed: exit status: 4");
        assert!(output("a careless shell", Command::new("sh").args(["-c", "printf '\\377'"])).is_err());
    }

    #[test]
    fn failing_command_is_named_with_its_status() {
        let error = finish("a failing shell", Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "a failing shell failed: exit status: 3");
    }

    #[test]
    fn what_a_failing_command_wrote_on_both_outputs_is_kept() {
        let script = "echo said; echo complained >&2; exit 3";
        let error = finish_and_keep("a failing shell", Command::new("sh").args(["-c", script])).unwrap_err();
        let failure = error.downcast::<Failure>().unwrap();
        assert_eq!(failure.to_string(), "a failing shell failed: exit status: 3");
        let mut lines: Vec<String> = failure.excerpt.to_string().lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["  complained", "  said"]);
    }

    #[test]
    fn a_pipe_that_somebody_else_holds_open_keeps_nobody_waiting() {
        let script = "setsid sleep 5 & echo said; exit 3";
        let error = finish_and_keep("a careless shell", Command::new("sh").args(["-c", script])).unwrap_err();
        assert_eq!(error.downcast::<Failure>().unwrap().excerpt.to_string(), "  said\n");
    }
}
