//! What a run did, step by step, and the table that it ends with.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The steps of a run, in order.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    figures: Vec<String>,
}

#[derive(Debug)]
struct Row {
    name: String,
    took: Duration,
    problem: Option<String>,
}

impl Row {
    fn line(&self) -> String {
        let verdict = if self.problem.is_none() { "PASS" } else { "FAIL" };
        format!("{verdict}  {:>6.1} s  {}", self.took.as_secs_f64(), self.name)
    }
}

impl Report {
    /// Does one step and notes how it ended. Says so on standard error at once: a run takes minutes.
    ///
    /// # Errors
    /// The step's own.
    pub fn step<T>(&mut self, name: &str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let result = step();
        let row = Row {
            name: name.to_owned(),
            took: began.elapsed(),
            problem: result.as_ref().err().map(|error| format!("{error:#}")),
        };
        eprintln!("{}", row.line());
        self.rows.push(row);
        result
    }

    /// Notes a figure that nothing is asserted of: machines differ.
    pub fn figure(&mut self, text: &str) {
        eprintln!("{:>16}{text}", "");
        self.figures.push(text.to_owned());
    }

    /// Whether every step passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.problem.is_none())
    }

    /// The table of all steps, with what was wrong below the step it was wrong in.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            // Writing to a text cannot fail.
            writeln!(text, "{}", row.line()).ok();
            for line in row.problem.iter().flat_map(|problem| problem.lines()) {
                writeln!(text, "                {line}").ok();
            }
        }
        for figure in &self.figures {
            writeln!(text, "{:>16}{figure}", "").ok();
        }
        let failed = self.rows.iter().filter(|row| row.problem.is_some()).count();
        let took: Duration = self.rows.iter().map(|row| row.took).sum();
        writeln!(
            text,
            "{}  {:>6.1} s  {} of {} steps",
            if failed == 0 { "PASS" } else { "FAIL" },
            took.as_secs_f64(),
            self.rows.len() - failed,
            self.rows.len()
        )
        .ok();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failing_step_fails_the_run_and_is_shown_with_its_causes() {
        let mut report = Report::default();
        report.step("first", || Ok(())).ok();
        assert!(report.passed());
        let failed: Result<()> = report.step("second", || Err(anyhow::anyhow!("inner").context("outer")));
        assert!(failed.is_err() && !report.passed());
        let table = report.table();
        assert!(table.contains("PASS     0.0 s  first"), "{table}");
        assert!(table.contains("outer: inner"), "{table}");
        assert!(table.contains("1 of 2 steps"), "{table}");
    }
}
