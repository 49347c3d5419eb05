//! What is stored and sent: a JSON object whose top-level members are its *units*.
//!
//! A unit is the smallest group of fields that is meaningful together in clinical work (start, end, therapist and room of an
//! appointment; all lines of a prescription's order). A change replaces whole units, so that no unit is ever a mixture of what two people
//! wrote. Members that this version does not know are units as well and are kept.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::canonical::{self, CanonicalError};

/// The member that holds 128 random bits, so that a document's hash reveals nothing that can be guessed. Set at creation.
pub const SALT: &str = "salt";

/// One entity's content. Printing it for debugging shows only which units it has.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Document(Map<String, Value>);

impl Document {
    /// Takes the members of an object as units.
    #[must_use]
    pub const fn new(units: Map<String, Value>) -> Self {
        Self(units)
    }

    /// Reads a document from its JSON bytes; `None` when they are not a JSON object.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The units.
    #[must_use]
    pub const fn units(&self) -> &Map<String, Value> {
        &self.0
    }

    /// One unit, if present.
    #[must_use]
    pub fn unit(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// One unit read as `T`; the default when it is absent or has another shape.
    #[must_use]
    pub fn read<T: DeserializeOwned + Default>(&self, unit: &str) -> T {
        self.0
            .get(unit)
            .and_then(|value| T::deserialize(value).ok())
            .unwrap_or_default()
    }

    /// The text at `unit.member`, if it is text.
    #[must_use]
    pub fn text(&self, unit: &str, member: &str) -> Option<&str> {
        self.0.get(unit)?.get(member)?.as_str()
    }

    /// The integer at `unit.member`, if it is one.
    #[must_use]
    pub fn integer(&self, unit: &str, member: &str) -> Option<i64> {
        self.0.get(unit)?.get(member)?.as_i64()
    }

    /// Replaces one unit; `null` removes it.
    pub fn set(&mut self, unit: &str, value: Value) {
        if value.is_null() {
            self.0.remove(unit);
        } else {
            self.0.insert(unit.to_owned(), value);
        }
    }

    /// Adds or replaces one element of a set unit.
    pub fn set_element(&mut self, unit: &str, element: &str, value: Value) {
        let entry = self
            .0
            .entry(unit.to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(elements) = entry {
            elements.insert(element.to_owned(), value);
        }
    }

    /// Removes one element of a set unit; absent elements are fine.
    pub fn remove_element(&mut self, unit: &str, element: &str) {
        if let Some(Value::Object(elements)) = self.0.get_mut(unit) {
            elements.remove(element);
        }
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// As [`canonical::to_bytes`].
    pub fn canonical(&self) -> Result<Vec<u8>, CanonicalError> {
        canonical::object_to_bytes(&self.0)
    }
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Document")
            .field(&self.0.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// `new` laid over `old`, member by member, so that members of a unit which this version does not know survive an edit of the others.
#[must_use]
pub fn overlay(old: Option<&Value>, new: Value) -> Value {
    match (old, new) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let mut merged = old.clone();
            merged.extend(new);
            Value::Object(merged)
        }
        (_, new) => new,
    }
}

/// What is wrong with one field. Never carries what was typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldProblem {
    /// Unit and member, such as `when.end`.
    pub path: String,
    /// The kind of problem.
    pub problem: Problem,
}

impl FieldProblem {
    /// A problem at `path`.
    #[must_use]
    pub fn new(path: impl Into<String>, problem: Problem) -> Self {
        Self {
            path: path.into(),
            problem,
        }
    }
}

/// The kinds of problem that a field can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// Nothing is there and something must be.
    Required,
    /// It has another shape or type than it must have.
    Malformed,
    /// It is longer than allowed.
    TooLong,
    /// A number or length lies outside its range.
    OutOfRange,
    /// A date or time that does not exist.
    NoSuchDate,
    /// A time zone that is not in the IANA database.
    UnknownZone,
    /// An end that is not after its start.
    EndNotAfterStart,
    /// A state that cannot follow the present one.
    NotAllowedNow,
    /// The text may not be stored (a float, a reserved name).
    NotStorable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn printing_a_document_shows_no_content() {
        let document: Document = serde_json::from_value(json!({"name": {"family": "Secret"}})).expect("object");
        assert!(!format!("{document:?}").contains("Secret"));
    }

    #[test]
    fn unknown_members_of_a_unit_survive_an_edit() {
        let old = json!({"raw": "1", "future": [1]});
        assert_eq!(
            overlay(Some(&old), json!({"raw": "2"})),
            json!({"raw": "2", "future": [1]})
        );
    }
}
