//! The client as the office sees them, the people around them, and their clinical chart.

use super::Checks;
use crate::document::Document;
use crate::registry::{EntityType, Policy, ScopeRule, Unit, Writers};

/// `number{value, former}`, `name{family, given, preferred, romanised, legal}`, `birth{date, sex}`, `phone{raw, e164}`,
/// `other_phone{raw, e164}`, `email{value}`, `address{lines, city, region, postcode, country}`, `pronouns{value}`, `contact_permission{voicemail, sms}`, `insurance{...}`, `alert{text}`,
/// `preferences{...}`, `tags{id: {label}}`, `status{state, reason}`.
///
/// Telephone, e-mail and address are units of their own: a desk that corrects a digit must not undo a therapist's new address.
/// Permission to leave messages is one unit, because half of it is wrong.
pub(super) const CLIENT: EntityType = EntityType {
    kind: "client",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "number",
            policy: Policy::Service,
        },
        Unit {
            name: "name",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "birth",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "phone",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "other_phone",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "email",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "address",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "pronouns",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "contact_permission",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "insurance",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "alert",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "preferences",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "consents",
            policy: Policy::Set,
        },
        Unit {
            name: "tags",
            policy: Policy::Set,
        },
        Unit {
            name: "status",
            policy: Policy::State(status_next),
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .also(|document, checks| {
                let family = document.text("name", "family").unwrap_or_default();
                let given = document.text("name", "given").unwrap_or_default();
                if family.trim().is_empty() && given.trim().is_empty() {
                    checks.report("name.family", crate::Problem::Required);
                }
            })
            .texts("name")
            .texts("phone")
            .texts("other_phone")
            .texts("address")
            .texts("alert")
            .optional_date("birth", "date")
            .state("status", &["active", "closed"])
            .finish()
    },
};

fn status_next(state: &str) -> &'static [&'static str] {
    match state {
        "active" => &["closed"],
        "closed" => &["active"],
        _ => &[],
    }
}

/// `of{client}`, `name{display}`, `relation{kind, authority, may_be_told}`, `phone{raw, e164}`, `priority{order}`.
pub(super) const RELATED_PERSON: EntityType = EntityType {
    kind: "related_person",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "of",
            policy: Policy::Immutable,
        },
        Unit {
            name: "name",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "relation",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "phone",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "priority",
            policy: Policy::KeepBoth,
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .id("of", "client")
            .line("name", "display")
            .line("relation", "kind")
            .finish()
    },
};

/// Clinical. Its id is the client's, so that two clinicians write one chart. `subject{client}`, `allergies{id: {substance, reaction}}`,
/// `medications{id: {...}}`, `risk{level, assessed_on, note}`, `safety_plan{text}`, `history{text}`, `intake{...}`.
///
/// Allergies only ever add up: an allergy removed here and edited there stays.
pub(super) const CLIENT_CHART: EntityType = EntityType {
    kind: "client_chart",
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
            name: "allergies",
            policy: Policy::Set,
        },
        Unit {
            name: "medications",
            policy: Policy::Set,
        },
        Unit {
            name: "risk",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "safety_plan",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "history",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "intake",
            policy: Policy::KeepBoth,
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .id("subject", "client")
            .texts("allergies")
            .texts("history")
            .texts("safety_plan")
            .optional_date("risk", "assessed_on")
            .finish()
    },
};
