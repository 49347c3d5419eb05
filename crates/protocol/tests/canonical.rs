//! The canonical form, for any content: it reads back to the same, it is its own canonical form, and it does not depend on how somebody else
//! wrote the same content. So what a program does not know leaves it as it came.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use caseload_domain::canonical::{MAX_DEPTH, MAX_INTEGER, to_bytes};
use caseload_domain::{Document, EntityKey, Scope};
use caseload_protocol::messages::WireRow;
use proptest::prelude::*;
use serde_json::{Map, Value};

/// `PROPTEST_CASES` looks further.
fn config() -> ProptestConfig {
    let from_environment = ProptestConfig::default();
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_set { from_environment.cases } else { 512 },
        ..from_environment
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,8}".prop_map(|name| name),
        proptest::collection::vec(any::<char>(), 1..6).prop_map(|letters| letters.into_iter().collect::<String>()),
    ]
    .prop_filter("reserved", |name| !name.contains(['$', '.', '\0']))
}

/// Anything that has a canonical form.
fn content() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-MAX_INTEGER..=MAX_INTEGER).prop_map(Value::from),
        (-3..3_i64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[\u{0}-\u{1f}\"\\\\/\u{7f}\u{2028}한글é😀]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            members(inner).prop_map(Value::Object),
        ]
    })
}

fn members(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::vec((name(), inner), 0..5).prop_map(Map::from_iter)
}

/// The same content as another program might write it: members the other way round, white space, every letter as an escape.
fn in_other_words(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => quoted(text, out),
        Value::Array(items) => {
            out.push_str("[ ");
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place > 0 { " ,\n" } else { "" });
                in_other_words(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push_str("{\t");
            for (place, (name, member)) in members.iter().rev().enumerate() {
                out.push_str(if place > 0 { ", " } else { "" });
                quoted(name, out);
                out.push_str(" : ");
                in_other_words(member, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for unit in text.encode_utf16() {
        write!(out, "\\u{unit:04X}").unwrap();
    }
    out.push('"');
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_canonical_form_reads_back_to_the_same_and_is_its_own(value in content()) {
        let bytes = to_bytes(&value).unwrap();
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(to_bytes(&read).unwrap(), bytes);
    }

    #[test]
    fn the_canonical_form_does_not_depend_on_how_the_content_was_written(value in content()) {
        let mut text = String::new();
        in_other_words(&value, &mut text);
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(to_bytes(&read).unwrap(), to_bytes(&value).unwrap());
    }

    #[test]
    fn units_that_nobody_here_knows_travel_in_a_row_and_come_out_byte_for_byte(units in members(content())) {
        let row = WireRow {
            key: EntityKey::new("of_a_later_year", "01900000-0000-7000-8000-000000000001".parse().unwrap()),
            rev: 1,
            seq: 1,
            del: false,
            sv: 9,
            min_writer: 9,
            scope: Scope::Office,
            u: units.keys().map(|unit| (unit.clone(), 1)).collect(),
            doc: Document::new(units.clone()),
        };
        let sent = serde_json::to_vec(&row).unwrap();
        let came: WireRow = serde_json::from_slice(&sent).unwrap();
        prop_assert_eq!(to_bytes(&serde_json::to_value(came.doc).unwrap()).unwrap(), to_bytes(&Value::Object(units)).unwrap());
    }
}

#[test]
fn what_is_nested_as_deeply_as_allowed_has_a_form_and_one_level_more_has_none() {
    let nested = |depth: usize| (0..depth).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
    assert!(to_bytes(&nested(MAX_DEPTH)).is_ok());
    assert!(to_bytes(&nested(MAX_DEPTH + 1)).is_err());
}
