//! What the service lays before a person: clashing bookings and conflicting values. People act on them through operations of their own.

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
        Unit {
            name: "salt",
            policy: Policy::Service,
        },
        Unit {
            name: "pair",
            policy: Policy::Service,
        },
        Unit {
            name: "state",
            policy: Policy::Service,
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).finish(),
};

const CONFLICT_UNITS: &[Unit] = &[
    Unit {
        name: "salt",
        policy: Policy::Service,
    },
    Unit {
        name: "subject",
        policy: Policy::Service,
    },
    Unit {
        name: "about",
        policy: Policy::Service,
    },
    Unit {
        name: "current",
        policy: Policy::Service,
    },
    Unit {
        name: "other",
        policy: Policy::Service,
    },
    Unit {
        name: "state",
        policy: Policy::Service,
    },
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
