//! Session notes and their addenda.

use super::{Checks, state};
use crate::document::{Document, Problem};
use crate::notes::template_sections;
use crate::registry::{EntityType, Freeze, Policy, ScopeRule, Unit, Writers};

/// Clinical. `subject{client, author, appointment, session}`, `template{kind}`, `body{sections: {name: text}}`, `occasion{start, zone}`,
/// `state{state}` (draft, signed, entered_in_error), `signature{author, licence, signed_at, device, hash, value, ...}`,
/// `error_mark{reason, by, at}`, `cosignatures{id: {...}}`.
///
/// The text is one unit and no program joins two of them: two drafts stay two until a person joins them. The signature vouches for the
/// whole note, so a signing that meets a text it does not cover changes nothing and becomes a conflict.
pub(super) const SESSION_NOTE: EntityType = EntityType {
    kind: "session_note",
    schema: 1,
    scope: ScopeRule::ClinicalSubject,
    writers: Writers::Clinicians,
    units: &[
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "subject",
            Policy::Immutable,
            "Whose record a thing belongs to is fixed when it is made; a mistake is voided or marked as an error, never re-addressed.",
        ),
        Unit::new(
            "template",
            Policy::KeepBoth,
            "The headings give the text its meaning; two choices are settled by the author.",
        ),
        Unit::new(
            "body",
            Policy::KeepBoth,
            "Clinical text is never merged by a program, not even by paragraph: two drafts stay two until a person joins them.",
        ),
        Unit::new(
            "occasion",
            Policy::KeepBoth,
            "When and where the session took place is one statement.",
        ),
        Unit::new(
            "state",
            Policy::State(note_next),
            "A draft is signed once; a signed note can only be marked as an error, never reopened.",
        ),
        Unit::new(
            "signature",
            Policy::KeepBoth,
            "It vouches for the text that its author saw; where the text changed underneath, nothing is signed and both are shown.",
        ),
        Unit::new(
            "error_mark",
            Policy::KeepBoth,
            "Reason, person and time of the mark are one statement of one person.",
        ),
        Unit::new(
            "cosignatures",
            Policy::Set,
            "Each colleague signs alone; one signature does not displace another.",
        ),
    ],
    freeze: Some(Freeze {
        when: |document| state(document, "state") != "draft",
        except: &["state", "error_mark", "cosignatures"],
    }),
    vouching: &["signature"],
    validate: |document: &Document| {
        Checks::of(document)
            .id("subject", "client")
            .id("subject", "author")
            .texts("body")
            .state("state", &["draft", "signed", "entered_in_error"])
            .also(|document, checks| {
                if document.text("template", "kind").and_then(template_sections).is_none() {
                    checks.report("template.kind", Problem::Malformed);
                }
                if state(document, "state") != "draft" {
                    signature_is_present(document, checks);
                }
            })
            .finish()
    },
};

fn note_next(state: &str) -> &'static [&'static str] {
    match state {
        "draft" => &["signed"],
        "signed" => &["entered_in_error"],
        _ => &[],
    }
}

/// Clinical, immutable. `subject{client, note, author}`, `body{text}`, `signature{...}`.
pub(super) const ADDENDUM: EntityType = EntityType {
    kind: "addendum",
    schema: 1,
    scope: ScopeRule::ClinicalSubject,
    writers: Writers::Clinicians,
    units: &[
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "subject",
            Policy::Immutable,
            "Whose record a thing belongs to is fixed when it is made; a mistake is voided or marked as an error, never re-addressed.",
        ),
        Unit::new(
            "body",
            Policy::Immutable,
            "An addendum is signed when it is made; a correction is another addendum.",
        ),
        Unit::new("signature", Policy::Immutable, "It covers the addendum as it was made."),
    ],
    freeze: Some(Freeze {
        when: |_| true,
        except: &[],
    }),
    vouching: &["signature"],
    validate: |document: &Document| {
        Checks::of(document)
            .id("subject", "client")
            .id("subject", "note")
            .id("subject", "author")
            .texts("body")
            .also(|document, checks| {
                if document.text("body", "text").is_none_or(|text| text.trim().is_empty()) {
                    checks.report("body.text", Problem::Required);
                }
                signature_is_present(document, checks);
            })
            .finish()
    },
};

pub(super) fn signature_is_present(document: &Document, checks: &mut Checks<'_>) {
    for member in ["author", "hash", "value"] {
        if document.text("signature", member).is_none() {
            checks.report("signature", Problem::Required);
            return;
        }
    }
}
