//! What the person at the terminal reads: numbered stages with elapsed time, and tables.
//!
//! The only place of this program that prints. Plain ASCII, so that no locale is needed.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Prints one line.
#[expect(clippy::print_stdout, reason = "the output of a build tool is its product")]
pub(crate) fn say(line: impl Display) {
    println!("{line}");
}

/// Prints an error with all its causes to standard error.
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("\nerror: {error:#}");
}

/// Asks a question that is answered by yes or no. Yes is the default; without a terminal the answer is yes.
pub(crate) fn agrees(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(true);
    }
    let mut out = std::io::stdout().lock();
    write!(out, "{question} [Y/n] ")
        .and_then(|()| out.flush())
        .context("write the question")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).context("read the answer")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes"))
}

/// Numbered stages, each with the time it took.
pub(crate) struct Stages {
    total: usize,
    current: usize,
    began: Instant,
}

impl Stages {
    /// A row of `total` stages, none begun.
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total,
            current: 0,
            began: Instant::now(),
        }
    }

    /// Runs the next stage and says how long it took.
    pub(crate) fn stage<T>(&mut self, title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.current += 1;
        say(format!("\n[{}/{}] {title}", self.current, self.total));
        let began = Instant::now();
        let result = work().with_context(|| format!("stage {} of {}: {title}", self.current, self.total));
        let word = if result.is_ok() { "done" } else { "failed" };
        say(format!(
            "[{}/{}] {word} in {} ({} in all)",
            self.current,
            self.total,
            clock(began.elapsed()),
            clock(self.began.elapsed())
        ));
        result
    }
}

/// A span of time as a person reads it: `7 s`, `3 min 05 s`.
pub(crate) fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// Rows of equal length as lines with aligned columns; the first row is the heading.
pub(crate) fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    rows.iter()
        .map(|row| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            cells.join("  ").trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_in_seconds_and_then_in_minutes() {
        for (seconds, expected) in [(0, "0 s"), (59, "59 s"), (60, "1 min 00 s"), (3725, "62 min 05 s")] {
            assert_eq!(clock(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn table_columns_are_as_wide_as_their_widest_cell() {
        let rows = [["suite", "result"], ["rust tests", "passed"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), ["suite       result", "rust tests  passed"]);
    }
}
