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
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "subject",
            policy: Policy::Immutable,
        },
        Unit {
            name: "template",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "body",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "occasion",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "state",
            policy: Policy::State(note_next),
        },
        Unit {
            name: "signature",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "error_mark",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "cosignatures",
            policy: Policy::Set,
        },
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
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "subject",
            policy: Policy::Immutable,
        },
        Unit {
            name: "body",
            policy: Policy::Immutable,
        },
        Unit {
            name: "signature",
            policy: Policy::Immutable,
        },
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
