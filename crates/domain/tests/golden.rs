//! One document of every entity, as literal bytes. They are on disks and in histories for as long as a practice keeps records, and the
//! checksums of both ends are made from exactly these bytes: a test that fails here means that a record written by an installed program is
//! no longer valid, or no longer summed alike.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use caseload_domain::registry::{self, Policy, ScopeRule};
use caseload_domain::{Document, Scope};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The bytes of an entity's document, without the line feed at the end of the file.
fn golden(kind: &str) -> Vec<u8> {
    let path = folder().join(format!("{kind}.json"));
    let mut bytes =
        std::fs::read(&path).unwrap_or_else(|_| panic!("{kind} has no golden bytes: write {}", path.display()));
    assert_eq!(bytes.pop(), Some(b'\n'), "{kind}");
    bytes
}

#[test]
fn every_entity_has_golden_bytes_that_are_canonical_valid_and_show_every_unit() {
    for entity in registry::all() {
        let kind = entity.kind;
        let bytes = golden(kind);
        let document = Document::parse(&bytes).unwrap();
        assert_eq!(document.canonical().unwrap(), bytes, "{kind} is not canonical");
        assert_eq!((entity.validate)(&document), [], "{kind} is not valid any more");
        let shown: BTreeSet<&str> = document.units().keys().map(String::as_str).collect();
        let declared: BTreeSet<&str> = entity.units.iter().map(|unit| unit.name).collect();
        assert_eq!(shown, declared, "{kind}: the bytes show the units that are declared");
    }
}

#[test]
fn every_entity_has_a_merge_policy_and_the_scope_of_its_golden_bytes() {
    for entity in registry::all() {
        let document = Document::parse(&golden(entity.kind)).unwrap();
        let scope = entity.scope_of(&document).unwrap();
        assert_eq!(
            scope == Scope::Office,
            entity.scope == ScopeRule::Office,
            "{}",
            entity.kind
        );
        assert!(!entity.units.is_empty(), "{} has no merge policy", entity.kind);
        for unit in entity.units {
            if let Policy::State(next) = unit.policy {
                let state = document.text(unit.name, "state").unwrap();
                let leads_somewhere = !next(state).is_empty() || ["settled"].contains(&state);
                assert!(leads_somewhere, "{}.{}: {state} is a dead end", entity.kind, unit.name);
            }
        }
    }
}

#[test]
fn no_golden_bytes_are_left_of_an_entity_that_is_gone() {
    let known: BTreeSet<String> = registry::all()
        .map(|entity| format!("{}.json", entity.kind))
        .chain(["leaves.txt".to_owned()])
        .collect();
    let found: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found, known, "an entity is never taken away, because its records stay");
}

#[test]
fn what_a_newer_program_adds_survives_every_entity() {
    for entity in registry::all() {
        let mut document = Document::parse(&golden(entity.kind)).unwrap();
        document.set(
            "from_a_newer_program",
            serde_json::json!({"deep": [{"한": null}, 1, true]}),
        );
        let bytes = document.canonical().unwrap();
        assert_eq!((entity.validate)(&document), [], "{}", entity.kind);
        assert_eq!(
            Document::parse(&bytes).unwrap().canonical().unwrap(),
            bytes,
            "{}",
            entity.kind
        );
    }
}
