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
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "parties",
            Policy::Immutable,
            "Who treats whom is the relationship itself; another pair is another relationship.",
        ),
        Unit::new(
            "status",
            Policy::State(status_next),
            "Whether care goes on decides who may read; it moves only along what may follow its present state.",
        ),
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
            "presenting",
            Policy::KeepBoth,
            "Clinical text is joined by a clinician alone.",
        ),
        Unit::new(
            "interventions",
            Policy::KeepBoth,
            "Clinical text is joined by a clinician alone.",
        ),
        Unit::new(
            "homework",
            Policy::KeepBoth,
            "What the client was asked to do must be what was said, not a mixture.",
        ),
        Unit::new(
            "progress",
            Policy::KeepBoth,
            "Clinical text is joined by a clinician alone.",
        ),
        Unit::new(
            "feedback",
            Policy::KeepBoth,
            "Clinical text is joined by a clinician alone.",
        ),
        Unit::new(
            "state",
            Policy::State(session_next),
            "An open session is completed once; completing it twice is the same thing.",
        ),
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
