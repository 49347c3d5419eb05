//! What the service lays before a person: clashing bookings, conflicting values, and what a restore lost. People act on them through operations of their own.

use super::Checks;
use crate::document::Document;
use crate::registry::{EntityType, Policy, ScopeRule, Unit, Writers};

/// `pair{placed, contested, kind, resource}`, `state{state, how}` (open, freed, settled).
pub(super) const CLASH: EntityType = EntityType {
    kind: "clash",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Service,
    units: &[
        Unit::new(
            "salt",
            Policy::Service,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "pair",
            Policy::Service,
            "Which bookings stand against each other is found by the service.",
        ),
        Unit::new(
            "state",
            Policy::Service,
            "Open until a person moved, cancelled or allowed one of them; nothing is placed again by itself.",
        ),
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).finish(),
};

const CONFLICT_UNITS: &[Unit] = &[
    Unit::new(
        "salt",
        Policy::Service,
        "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
    ),
    Unit::new(
        "subject",
        Policy::Service,
        "Whoever may read the record may read its conflict, and nobody else.",
    ),
    Unit::new(
        "about",
        Policy::Service,
        "Which record and which field two people changed is a fact.",
    ),
    Unit::new(
        "current",
        Policy::Service,
        "The value that arrived first is kept as it was found.",
    ),
    Unit::new(
        "other",
        Policy::Service,
        "The value that arrived second is kept as it was written: nothing is thrown away.",
    ),
    Unit::new(
        "state",
        Policy::Service,
        "Open until a person chose; the choice is an operation with a name under it.",
    ),
];

/// `about{type, id, unit, reason}`, `current{value, rev, actor, replica, at}`, `other{value, base_rev, actor, replica, at, op}`,
/// `state{state, choice, by, at}` (open, settled). About an office entity.
pub(super) const CONFLICT: EntityType = EntityType {
    kind: "conflict",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Service,
    units: CONFLICT_UNITS,
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).finish(),
};

/// As [`CONFLICT`], about a clinical entity: a type of its own, because an entity has one scope.
pub(super) const CLINICAL_CONFLICT: EntityType = EntityType {
    kind: "clinical_conflict",
    schema: 1,
    scope: ScopeRule::ClinicalSubject,
    writers: Writers::Service,
    units: CONFLICT_UNITS,
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).finish(),
};

const REOFFER_UNITS: &[Unit] = &[
    Unit::new(
        "salt",
        Policy::Service,
        "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
    ),
    Unit::new(
        "subject",
        Policy::Service,
        "Whoever may read the record may read what was lost of it, and nobody else.",
    ),
    Unit::new(
        "about",
        Policy::Service,
        "Which record and which version of it was lost is a fact.",
    ),
    Unit::new(
        "lost",
        Policy::Service,
        "The version is kept exactly as it had been acknowledged: nothing is thrown away.",
    ),
    Unit::new(
        "offered",
        Policy::Service,
        "Which computer still had it, and who was signed in there, is a fact.",
    ),
    Unit::new(
        "state",
        Policy::Service,
        "Open until a person accepted or refused it; the choice is an operation with a name under it.",
    ),
];

/// `about{type, id, rev}`, `lost` (the row as a device holds it), `offered{by, replica, at}`, `state{state, choice, by, at}` (open, settled).
/// A version of an office row that was acknowledged and that a restored service does not have.
pub(super) const REOFFER: EntityType = EntityType {
    kind: "reoffer",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Service,
    units: REOFFER_UNITS,
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).finish(),
};

/// As [`REOFFER`], of a clinical row.
pub(super) const CLINICAL_REOFFER: EntityType = EntityType {
    kind: "clinical_reoffer",
    schema: 1,
    scope: ScopeRule::ClinicalSubject,
    writers: Writers::Service,
    units: REOFFER_UNITS,
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).finish(),
};
