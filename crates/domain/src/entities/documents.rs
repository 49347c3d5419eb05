//! Documents: files that belong to a client, such as a signed consent form, the cover of a referral, a report from a hospital.
//!
//! An entity has one scope, so there are two types: what the office may read, and what only those who treat the client may read. The file
//! itself is not in the row: it is a *blob*, encrypted on the computer that added it, under a random id and a key of its own. The row names
//! both, so whoever may read the row may read the file, and nobody else.

use super::Checks;
use crate::document::{Document, Problem};
use crate::registry::{EntityType, Policy, ScopeRule, Unit, Writers};

/// Categories of a document (FHIR `DocumentReference.category`). One that a newer program adds is kept and shown as it is.
pub const CATEGORIES: [&str; 7] = [
    "consent",
    "referral",
    "report",
    "questionnaire",
    "correspondence",
    "identification",
    "other",
];

const UNITS: &[Unit] = &[
    Unit::new(
        "salt",
        Policy::Immutable,
        "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
    ),
    Unit::new(
        "subject",
        Policy::Immutable,
        "Whose document it is and who added it; filed under the wrong client, it is voided and added again.",
    ),
    Unit::new(
        "content",
        Policy::Immutable,
        "The file is what was added; another file is another document, so nobody reads one under the other's title.",
    ),
    Unit::new(
        "title",
        Policy::KeepBoth,
        "What a file is called decides whether it is found again; a person chooses between two titles.",
    ),
    Unit::new(
        "category",
        Policy::KeepBoth,
        "A consent that was filed as a report would be missing where it counts; a person chooses.",
    ),
];

/// Office. `subject{client, author}`, `content{blob, key, sha256, size, sealed_size, media_type, name, created}`, `title{text}`,
/// `category{code}`.
///
/// `blob` is the random id of the file's ciphertext, `key` its own 256-bit key (base64url), `sha256` the hash of the ciphertext (64 hex
/// digits), `size` and `sealed_size` the bytes of file and ciphertext, `created` an instant in milliseconds.
pub(super) const DOCUMENT: EntityType = EntityType {
    kind: "document",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: UNITS,
    freeze: None,
    vouching: &[],
    validate,
};

/// As [`DOCUMENT`], clinical: a type of its own, because an entity has one scope.
pub(super) const CLINICAL_DOCUMENT: EntityType = EntityType {
    kind: "clinical_document",
    schema: 1,
    scope: ScopeRule::ClinicalSubject,
    writers: Writers::Clinicians,
    units: UNITS,
    freeze: None,
    vouching: &[],
    validate,
};

fn validate(document: &Document) -> Vec<crate::FieldProblem> {
    Checks::of(document)
        .id("subject", "client")
        .id("subject", "author")
        .id("content", "blob")
        .line("content", "media_type")
        .line("title", "text")
        .line("category", "code")
        .also(|document, checks| {
            for (member, right) in [
                ("key", is_key(document.text("content", "key"))),
                ("sha256", is_hash(document.text("content", "sha256"))),
                ("size", is_amount(document, "size", 0)),
                ("sealed_size", is_amount(document, "sealed_size", 1)),
                ("created", is_amount(document, "created", 0)),
            ] {
                if !right {
                    checks.report(&format!("content.{member}"), Problem::Malformed);
                }
            }
        })
        .finish()
}

/// 32 bytes in base64url without padding.
fn is_key(text: Option<&str>) -> bool {
    text.is_some_and(|text| {
        text.len() == 43
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

/// 64 lower-case hex digits.
fn is_hash(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

fn is_amount(document: &Document, member: &str, least: i64) -> bool {
    document
        .integer("content", member)
        .is_some_and(|amount| amount >= least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn document() -> Value {
        let id = "00000000-0000-7000-8000-000000000001";
        json!({
            "salt": "0".repeat(32), "subject": {"client": id, "author": id},
            "content": {
                "blob": id, "key": "A".repeat(43), "sha256": "0".repeat(64), "size": 0, "sealed_size": 82,
                "media_type": "application/pdf", "name": "consent.pdf", "created": 1,
            },
            "title": {"text": "Consent"}, "category": {"code": "consent"},
        })
    }

    #[test]
    fn a_document_names_its_file_key_hash_and_size_in_full() {
        let check = |change: &dyn Fn(&mut Value)| {
            let mut changed = document();
            change(&mut changed);
            let problems = validate(&serde_json::from_value(changed).unwrap());
            problems.into_iter().map(|problem| problem.path).collect::<Vec<_>>()
        };
        assert_eq!(check(&|_| {}), [""; 0]);
        for (unit, member, wrong) in [
            ("subject", "client", json!("x")),
            ("subject", "author", Value::Null),
            ("content", "blob", json!("../office.db")),
            ("content", "key", json!("short")),
            ("content", "sha256", json!("F".repeat(64))),
            ("content", "size", json!(-1)),
            ("content", "sealed_size", json!(0)),
            ("content", "media_type", json!("")),
            ("content", "created", json!("today")),
            ("title", "text", json!(" ")),
            ("category", "code", Value::Null),
        ] {
            let path = format!("{unit}.{member}");
            assert_eq!(check(&|document| document[unit][member] = wrong.clone()), [path]);
        }
    }
}
