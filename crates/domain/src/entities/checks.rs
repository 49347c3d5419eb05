//! The checks that validations are made of.

use serde_json::Value;

use crate::canonical;
use crate::document::{Document, FieldProblem, Problem};
use crate::time;

/// The longest line of text, in Unicode code points.
const MAX_LINE: usize = 300;
/// The longest free text of one member, in Unicode code points.
const MAX_TEXT: usize = 60_000;

/// Collects what is wrong with a document.
pub(crate) struct Checks<'a> {
    document: &'a Document,
    problems: Vec<FieldProblem>,
}

impl<'a> Checks<'a> {
    pub(crate) fn of(document: &'a Document) -> Self {
        let mut checks = Self {
            document,
            problems: Vec::new(),
        };
        for (name, value) in document.units() {
            if canonical::check(value).is_err() {
                checks.report(name, Problem::NotStorable);
            }
        }
        if document
            .unit("salt")
            .and_then(Value::as_str)
            .is_none_or(|salt| salt.len() != 32)
        {
            checks.report("salt", Problem::Required);
        }
        checks
    }

    pub(crate) fn finish(self) -> Vec<FieldProblem> {
        self.problems
    }

    pub(crate) fn report(&mut self, path: &str, problem: Problem) {
        self.problems.push(FieldProblem::new(path, problem));
    }

    /// Text that must be there and fit on a line.
    pub(crate) fn line(mut self, unit: &str, member: &str) -> Self {
        match self.document.text(unit, member) {
            None => self.report(&path(unit, member), Problem::Required),
            Some(text) if text.trim().is_empty() => self.report(&path(unit, member), Problem::Required),
            Some(text) if text.chars().count() > MAX_LINE => self.report(&path(unit, member), Problem::TooLong),
            Some(_) => {}
        }
        self
    }

    /// Every text inside `unit`, at any depth, is at most `MAX_TEXT` long.
    pub(crate) fn texts(mut self, unit: &str) -> Self {
        if self.document.unit(unit).is_some_and(|value| longest(value) > MAX_TEXT) {
            self.report(unit, Problem::TooLong);
        }
        self
    }

    /// An id that must be there.
    pub(crate) fn id(mut self, unit: &str, member: &str) -> Self {
        match self.document.text(unit, member) {
            None => self.report(&path(unit, member), Problem::Required),
            Some(text) if uuid::Uuid::parse_str(text).is_err() => self.report(&path(unit, member), Problem::Malformed),
            Some(_) => {}
        }
        self
    }

    /// A date that may be missing or empty but must exist.
    pub(crate) fn optional_date(mut self, unit: &str, member: &str) -> Self {
        let text = self.document.text(unit, member).unwrap_or_default();
        if !text.is_empty() && time::date(text).is_err() {
            self.report(&path(unit, member), Problem::NoSuchDate);
        }
        self
    }

    /// A zone that must be there and known.
    pub(crate) fn zone(mut self, unit: &str, member: &str) -> Self {
        match self.document.text(unit, member) {
            None => self.report(&path(unit, member), Problem::Required),
            Some(name) if time::zone(name).is_err() => self.report(&path(unit, member), Problem::UnknownZone),
            Some(_) => {}
        }
        self
    }

    /// A state out of `known`.
    pub(crate) fn state(mut self, unit: &str, known: &[&str]) -> Self {
        match self.document.text(unit, "state") {
            None => self.report(&path(unit, "state"), Problem::Required),
            Some(state) if !known.contains(&state) => self.report(&path(unit, "state"), Problem::Malformed),
            Some(_) => {}
        }
        self
    }

    /// An integer of at least zero that may be missing.
    pub(crate) fn optional_amount(mut self, unit: &str, member: &str) -> Self {
        match self.document.unit(unit).and_then(|value| value.get(member)) {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_i64() {
                None => self.report(&path(unit, member), Problem::Malformed),
                Some(amount) if amount < 0 => self.report(&path(unit, member), Problem::OutOfRange),
                Some(_) => {}
            },
        }
        self
    }

    /// A check of the entity's own.
    pub(crate) fn also(mut self, check: impl FnOnce(&Document, &mut Self)) -> Self {
        let document = self.document;
        check(document, &mut self);
        self
    }
}

fn path(unit: &str, member: &str) -> String {
    format!("{unit}.{member}")
}

fn longest(value: &Value) -> usize {
    match value {
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.iter().map(longest).max().unwrap_or(0),
        Value::Object(members) => members.values().map(longest).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
