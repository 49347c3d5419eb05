//! What a program writes, passed on as it comes, and the lines of it that tell most about a failure.
//!
//! A complete run writes thousands of lines, and whoever opens its log sees the end of it first. So what failed is said there once more.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fmt, mem, thread};

/// What stands in a line that names a failure: libtest and rustc, Playwright, vitest, the story.
const MARKS: [&str; 7] = ["FAILED", "panicked at", "error", "Error", "\u{2718}", "\u{d7}", "FAIL "];
/// How many lines that bear a mark are kept, of the first ones.
const MARKED: usize = 40;
/// How many lines are kept of the end.
const LAST: usize = 80;
/// How long what was written last may take to arrive, once the program and its group have ended.
const PATIENCE: Duration = Duration::from_secs(3);

/// The outputs of a program on their way to those of this one.
pub(crate) struct Echo {
    kept: Arc<Mutex<Excerpt>>,
    /// Closed when both outputs are.
    open: Receiver<Infallible>,
}

impl Echo {
    /// Takes the pipes of a program that was started with both outputs piped.
    pub(crate) fn of(child: &mut Child) -> Self {
        let kept = Arc::default();
        let (until, open) = channel();
        if let Some(from) = child.stdout.take() {
            pass_on(from, io::stdout(), Arc::clone(&kept), until.clone());
        }
        if let Some(from) = child.stderr.take() {
            pass_on(from, io::stderr(), Arc::clone(&kept), until);
        }
        Self { kept, open }
    }

    /// What was kept, once everything has arrived.
    ///
    /// A process that left the group could hold a pipe open for ever: it is waited for a moment only.
    pub(crate) fn close(self) -> Excerpt {
        let (Ok(_) | Err(_)) = self.open.recv_timeout(PATIENCE);
        mem::take(&mut *lock(&self.kept))
    }
}

fn lock(kept: &Mutex<Excerpt>) -> MutexGuard<'_, Excerpt> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes each line that comes `from` a program, and keeps it; `until` is let go of at its end.
fn pass_on(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    kept: Arc<Mutex<Excerpt>>,
    until: Sender<Infallible>,
) {
    thread::spawn(move || {
        let _until = until;
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            lock(&kept).add(String::from_utf8_lossy(&line).trim_end().to_owned());
            // Whoever reads this may be gone; the program is read to its end all the same.
            let (Ok(()) | Err(_)) = to.write_all(&line).and_then(|()| to.flush());
            line.clear();
        }
    });
}

/// The lines that tell most: the first ones that bear a mark, and the last ones.
#[derive(Debug, Default)]
pub(crate) struct Excerpt {
    marked: Vec<String>,
    last: VecDeque<String>,
}

impl Excerpt {
    fn add(&mut self, line: String) {
        self.last.push_back(line);
        if self.last.len() > LAST {
            self.keep_the_oldest_if_marked();
        }
    }

    fn keep_the_oldest_if_marked(&mut self) {
        let Some(oldest) = self.last.pop_front() else {
            return;
        };
        if self.marked.len() < MARKED && MARKS.iter().any(|mark| oldest.contains(mark)) {
            self.marked.push(oldest);
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.marked {
            writeln!(f, "  {line}")?;
        }
        if !self.marked.is_empty() {
            writeln!(f, "  ...")?;
        }
        for line in &self.last {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(lines: impl IntoIterator<Item = String>) -> String {
        let mut excerpt = Excerpt::default();
        lines.into_iter().for_each(|line| excerpt.add(line));
        excerpt.to_string()
    }

    #[test]
    fn a_short_output_is_kept_whole() {
        assert_eq!(excerpt(["one", "two"].map(str::to_owned)), "  one\n  two\n");
    }

    #[test]
    fn a_failure_long_before_the_end_is_kept_beside_the_last_lines() {
        let many = (0..500).map(|number| match number {
            7 => "test the_hour_is_free ... FAILED".to_owned(),
            _ => format!("line {number}"),
        });
        let text = excerpt(many);
        assert_eq!(text.lines().count(), 1 + 1 + LAST, "{text}");
        assert!(
            text.starts_with("  test the_hour_is_free ... FAILED\n  ...\n  line 420\n"),
            "{text}"
        );
        assert!(text.ends_with("  line 499\n"), "{text}");
    }

    #[test]
    fn no_number_of_failures_makes_it_longer() {
        let text = excerpt((0..5_000).map(|number| format!("error {number}")));
        assert_eq!(text.lines().count(), MARKED + 1 + LAST);
    }
}
