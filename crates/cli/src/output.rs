//! What a command prints: JSON for machines, indented lines for people. The only place that writes to standard output.
#![expect(clippy::print_stdout, reason = "printing is what a command line does")]

use serde::Serialize;
use serde_json::Value;

/// How answers are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One line of JSON.
    Json,
    /// `name: value` lines, indented.
    Lines,
}

/// Prints an answer.
pub(crate) fn answer(form: Form, answer: &impl Serialize) -> anyhow::Result<()> {
    let value = serde_json::to_value(answer)?;
    match form {
        Form::Json => println!("{value}"),
        Form::Lines => print!("{}", lines(&value, 0)),
    }
    Ok(())
}

/// Prints one line of text.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

fn lines(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !is_empty(value))
            .map(|(name, value)| match value {
                Value::Object(_) | Value::Array(_) => format!("{indent}{name}:\n{}", lines(value, depth + 1)),
                plain => format!("{indent}{name}: {}\n", text(plain)),
            })
            .collect(),
        Value::Array(items) => items
            .iter()
            .map(|item| match item {
                Value::Object(_) | Value::Array(_) => format!("{indent}-\n{}", lines(item, depth + 1)),
                plain => format!("{indent}- {}\n", text(plain)),
            })
            .collect(),
        plain => format!("{indent}{}\n", text(plain)),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn people_see_names_values_and_nothing_empty() {
        let value = json!({"name": "Kim", "tags": [], "phone": null, "rooms": [{"name": "1"}], "waiting": 0});
        assert_eq!(lines(&value, 0), "name: Kim\nrooms:\n  -\n    name: 1\nwaiting: 0\n");
    }
}
