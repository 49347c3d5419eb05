//! Checks of what was asked, in the request's own spelling, before anything is done.

use std::str::FromStr;

use caseload_domain::time;
use chrono::{NaiveDate, NaiveTime};
use chrono_tz::Tz;

use crate::dto::{ErrorCode, FieldError, FieldProblem};
use crate::fault::Fault;

/// The longest name or other line of text, in code points.
const LONGEST_LINE: usize = 300;

/// Collects the problems of one request, so that a person learns of all of them at once.
#[derive(Default)]
pub(crate) struct Checks {
    problems: Vec<FieldError>,
}

impl Checks {
    /// Notes a problem.
    pub(crate) fn problem(&mut self, path: &str, problem: FieldProblem) {
        self.problems.push(FieldError {
            path: path.to_owned(),
            problem,
        });
    }

    /// A line that must be there.
    pub(crate) fn line(&mut self, path: &str, text: &str) {
        if text.trim().is_empty() {
            self.problem(path, FieldProblem::Required);
        } else {
            self.short(path, text);
        }
    }

    /// A line that may be empty.
    pub(crate) fn short(&mut self, path: &str, text: &str) {
        if text.chars().count() > LONGEST_LINE {
            self.problem(path, FieldProblem::TooLong);
        }
    }

    /// A date of the form `YYYY-MM-DD`.
    pub(crate) fn date(&mut self, path: &str, text: &str) -> Option<NaiveDate> {
        self.read(path, FieldProblem::NotADate, time::date(text))
    }

    /// A time of the form `HH:MM`.
    pub(crate) fn time(&mut self, path: &str, text: &str) -> Option<NaiveTime> {
        self.read(path, FieldProblem::NotATime, time::time_of_day(text))
    }

    /// A zone of the IANA database.
    pub(crate) fn zone(&mut self, path: &str, text: &str) -> Option<Tz> {
        self.read(path, FieldProblem::UnknownZone, time::zone(text))
    }

    fn read<T, E>(&mut self, path: &str, problem: FieldProblem, read: Result<T, E>) -> Option<T> {
        if read.is_err() {
            self.problem(path, problem);
        }
        read.ok()
    }

    /// Stops when anything is wrong.
    pub(crate) fn done(self) -> Result<(), Fault> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(Fault::Fields(self.problems))
        }
    }
}

/// The id of the record that a request is about.
pub(crate) fn id<T: FromStr>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| Fault::Rule(ErrorCode::NotFound))
}

/// An id that a field of the request refers to.
pub(crate) fn reference<T: FromStr>(path: &str, text: &str) -> Result<T, Fault> {
    text.parse()
        .map_err(|_| Fault::field(path, FieldProblem::UnknownReference))
}

/// A reason that has to be given.
pub(crate) fn reason(text: &str) -> Result<&str, Fault> {
    let text = text.trim();
    if text.is_empty() {
        Err(ErrorCode::ReasonRequired.into())
    } else {
        Ok(text)
    }
}
