//! Who treats whom, and the clinical side of an appointment.

use super::Checks;
use crate::document::Document;
use crate::registry::{EntityType, Policy, ScopeRule, Unit, Writers};

/// `parties{client, therapist}`, `status{state, reason}` (active, paused, ended). Its id is derived from the two parties.
///
/// Reading follows from it: a therapist with an active or paused relationship sees the client's clinical record.
pub(super) const CARE_RELATIONSHIP: EntityType = EntityType {
    kind: "care_relationship",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::CareGranters,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "parties",
            policy: Policy::Immutable,
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
            .id("parties", "client")
            .id("parties", "therapist")
            .state("status", &["active", "paused", "ended"])
            .finish()
    },
};

fn status_next(state: &str) -> &'static [&'static str] {
    match state {
        "active" => &["paused", "ended"],
        "paused" => &["active", "ended"],
        "ended" => &["active"],
        _ => &[],
    }
}

/// Clinical. `subject{client, appointment}`, `presenting{text}`, `interventions{text}`, `homework{text}`, `progress{text}`, `feedback{text}`,
/// `state{state}` (open, completed).
pub(super) const SESSION: EntityType = EntityType {
    kind: "session",
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
            name: "presenting",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "interventions",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "homework",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "progress",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "feedback",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "state",
            policy: Policy::State(session_next),
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .id("subject", "client")
            .state("state", &["open", "completed"])
            .finish()
    },
};

fn session_next(state: &str) -> &'static [&'static str] {
    match state {
        "open" => &["completed"],
        "completed" => &["open"],
        _ => &[],
    }
}
