//! The canonical form of a document: the one byte string that is hashed, signed, compared and sent.
//!
//! UTF-8, members sorted by the bytes of their names, no white space, the string escapes of RFC 8785, integers only. Text is not normalised:
//! what a person typed stays as it is. Floats are refused everywhere, unknown members included, because two programs may print the same
//! float differently; names with `$`, `.` or NUL are refused because MongoDB gives them a meaning. Golden tests below: if the bytes
//! change, every signature and checksum ever made stops verifying.

use serde_json::{Map, Value};
use thiserror::Error;

/// The largest integer that every JSON reader keeps exactly (2^53).
pub const MAX_INTEGER: i64 = 1 << 53;

/// Why a value has no canonical form.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum CanonicalError {
    /// A number is not an integer.
    #[error("a number is not an integer")]
    Float,
    /// An integer lies outside ±2^53.
    #[error("an integer is outside the exact range")]
    IntegerRange,
    /// A member name is empty or contains `$`, `.` or NUL.
    #[error("a member name contains a reserved character")]
    MemberName,
    /// The nesting is deeper than [`MAX_DEPTH`].
    #[error("the document is nested too deeply")]
    Depth,
}

/// The deepest nesting that a document may have.
pub const MAX_DEPTH: usize = 32;

/// The canonical bytes of `value`.
///
/// # Errors
/// Fails on floats, integers outside ±2^53, reserved member names and nesting beyond [`MAX_DEPTH`].
pub fn to_bytes(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(256);
    write_value(value, &mut out, 0)?;
    Ok(out)
}

/// The canonical bytes of an object given as its members.
///
/// # Errors
/// As [`to_bytes`].
pub fn object_to_bytes(members: &Map<String, Value>) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(256);
    write_object(members, &mut out, 0)?;
    Ok(out)
}

/// Whether `value` has a canonical form.
///
/// # Errors
/// As [`to_bytes`].
pub fn check(value: &Value) -> Result<(), CanonicalError> {
    to_bytes(value).map(drop)
}

fn write_value(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), CanonicalError> {
    if depth > MAX_DEPTH {
        return Err(CanonicalError::Depth);
    }
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            let integer = match (number.as_i64(), number.is_u64()) {
                (Some(integer), _) => integer,
                (None, true) => return Err(CanonicalError::IntegerRange),
                (None, false) => return Err(CanonicalError::Float),
            };
            if !(-MAX_INTEGER..=MAX_INTEGER).contains(&integer) {
                return Err(CanonicalError::IntegerRange);
            }
            out.extend_from_slice(integer.to_string().as_bytes());
        }
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(item, out, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(members) => write_object(members, out, depth)?,
    }
    Ok(())
}

fn write_object(members: &Map<String, Value>, out: &mut Vec<u8>, depth: usize) -> Result<(), CanonicalError> {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
    out.push(b'{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if name.is_empty() || name.contains(['$', '.', '\0']) {
            return Err(CanonicalError::MemberName);
        }
        if index > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_value(value, out, depth + 1)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    // Nearly all text is long runs of bytes that stand for themselves.
    while let Some(position) = rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')) {
        out.extend_from_slice(&rest[..position]);
        write_escape(rest[position], out);
        rest = &rest[position + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        0x08 => out.extend_from_slice(b"\\b"),
        b'\t' => out.extend_from_slice(b"\\t"),
        b'\n' => out.extend_from_slice(b"\\n"),
        0x0c => out.extend_from_slice(b"\\f"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(value: &Value) -> String {
        String::from_utf8(to_bytes(value).expect("canonical")).expect("utf-8")
    }

    #[test]
    fn the_bytes_are_frozen_because_signatures_and_checksums_cover_them() {
        let value = json!({"b": [1, -2, true, null], "a": "\u{1}\n\"\\é한", "B": {}});
        assert_eq!(
            text(&value),
            "{\"B\":{},\"a\":\"\\u0001\\n\\\"\\\\é한\",\"b\":[1,-2,true,null]}"
        );
    }

    #[test]
    fn members_are_sorted_by_bytes_and_not_by_utf16_units() {
        assert_eq!(
            text(&json!({"\u{10000}": 1, "\u{ffee}": 2})),
            "{\"\u{ffee}\":2,\"\u{10000}\":1}"
        );
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for (value, error) in [
            (json!({"a": [1.5]}), CanonicalError::Float),
            (json!({"a": 1.0}), CanonicalError::Float),
            (json!(MAX_INTEGER + 1), CanonicalError::IntegerRange),
            (json!(u64::MAX), CanonicalError::IntegerRange),
            (json!({"a": {"$where": 1}}), CanonicalError::MemberName),
            (json!({"a.b": 1}), CanonicalError::MemberName),
            (json!({"": 1}), CanonicalError::MemberName),
        ] {
            assert_eq!(to_bytes(&value), Err(error), "{value}");
        }
    }

    #[test]
    fn reading_the_bytes_back_gives_the_same_document() {
        let value = json!({"z": {"unknown": [{"k": "v"}]}, "n": MAX_INTEGER});
        let bytes = to_bytes(&value).expect("canonical");
        assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("json"), value);
    }
}
