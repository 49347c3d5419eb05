//! Prescriptions.

use super::note::signature_is_present;
use super::{Checks, state};
use crate::document::{Document, Problem};
use crate::registry::{EntityType, Freeze, Policy, ScopeRule, Unit, Writers};

/// Clinical. `subject{client, author}`, `order{lines: [{drug, form, strength, dose, route, frequency, duration, quantity, refills}]}`,
/// `diagnosis{text}`, `instructions{text}`, `number{value}` (set when issued), `signature{...}` (the issue), `state{state, reason, by, at}`,
/// `prints{id: {at, by, copy}}`, `links{replaces, replaced_by}`.
///
/// All lines of the order are one unit: a dose from one desk beside a frequency from another is an order that nobody wrote. Nothing that was
/// issued is edited: stopping, voiding and replacing are states and new prescriptions.
pub(super) const PRESCRIPTION: EntityType = EntityType {
    kind: "prescription",
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
            "order",
            Policy::KeepBoth,
            "A dose from one desk beside a frequency from another is an order that nobody wrote.",
        ),
        Unit::new(
            "diagnosis",
            Policy::KeepBoth,
            "The reason for an order is a clinician's statement and is read with the order.",
        ),
        Unit::new(
            "instructions",
            Policy::KeepBoth,
            "What the client is told to do with a medicine is one text of one hand.",
        ),
        Unit::new(
            "number",
            Policy::KeepBoth,
            "It is printed on paper that has left the house.",
        ),
        Unit::new(
            "signature",
            Policy::KeepBoth,
            "The issue vouches for the order that its author saw; where the order changed underneath, nothing is issued.",
        ),
        Unit::new(
            "state",
            Policy::State(next),
            "Issued, stopped, voided and replaced follow on each other and never back.",
        ),
        Unit::new(
            "prints",
            Policy::Set,
            "Every copy that was printed is known; copies add up.",
        ),
        Unit::new(
            "links",
            Policy::KeepBoth,
            "Which prescription replaces which is one statement.",
        ),
    ],
    freeze: Some(Freeze {
        when: |document| state(document, "state") != "draft",
        except: &["state", "prints", "links"],
    }),
    vouching: &["signature"],
    validate: |document: &Document| {
        Checks::of(document)
            .id("subject", "client")
            .id("subject", "author")
            .texts("order")
            .texts("instructions")
            .state(
                "state",
                &["draft", "issued", "printed", "stopped", "voided", "replaced", "expired"],
            )
            .also(|document, checks| {
                if state(document, "state") == "draft" {
                    return;
                }
                let lines = document
                    .unit("order")
                    .and_then(|order| order.get("lines"))
                    .and_then(|lines| lines.as_array());
                let complete = |line: &serde_json::Value| {
                    ["drug", "dose", "frequency"].iter().all(|member| {
                        line.get(member)
                            .and_then(|text| text.as_str())
                            .is_some_and(|text| !text.trim().is_empty())
                    })
                };
                if lines.is_none_or(|lines| lines.is_empty() || !lines.iter().all(complete)) {
                    checks.report("order.lines", Problem::Required);
                }
                if document.text("number", "value").is_none() {
                    checks.report("number.value", Problem::Required);
                }
                signature_is_present(document, checks);
            })
            .finish()
    },
};

fn next(state: &str) -> &'static [&'static str] {
    match state {
        "draft" => &["issued", "voided"],
        "issued" => &["printed", "stopped", "voided", "replaced", "expired"],
        "printed" => &["stopped", "voided", "replaced", "expired"],
        _ => &[],
    }
}
