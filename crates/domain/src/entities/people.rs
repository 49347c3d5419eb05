//! The practice, its places, its people, their certificates and computers.

use super::Checks;
use crate::document::Document;
use crate::registry::{EntityType, Policy, ScopeRule, Unit, Writers};

/// `name{display, legal}`, `zone{tz}`, `currency{code, minor}`, `root{public_key}`, `contact{phone, email}`, `address{...}`,
/// `policy{late_cancel_hours, retention...}`.
pub(super) const PRACTICE: EntityType = EntityType {
    kind: "practice",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::AdminOrSelf,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "root",
            policy: Policy::Immutable,
        },
        Unit {
            name: "name",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "zone",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "currency",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "contact",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "address",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "policy",
            policy: Policy::KeepBoth,
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .line("name", "display")
            .zone("zone", "tz")
            .line("currency", "code")
            .finish()
    },
};

/// `name{display}`, `address{text}`, `contact{phone}`, `zone{tz}`, `rooms{id: {name}}`, `hours{...}`.
pub(super) const LOCATION: EntityType = EntityType {
    kind: "location",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::AdminOrSelf,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "name",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "address",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "contact",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "zone",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "rooms",
            policy: Policy::Set,
        },
        Unit {
            name: "hours",
            policy: Policy::KeepBoth,
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).line("name", "display").zone("zone", "tz").finish(),
};

/// `name{display, family, given}`, `role{role, admin}`, `professional{profession, licence}`, `contact{phone, email}`, `calendar{colour, zone}`,
/// `status{state}` (invited, active, left).
pub(super) const STAFF_MEMBER: EntityType = EntityType {
    kind: "staff_member",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::AdminOrSelf,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "name",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "role",
            policy: Policy::Immutable,
        },
        Unit {
            name: "professional",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "contact",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "calendar",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "status",
            policy: Policy::State(staff_next),
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .line("name", "display")
            .line("role", "role")
            .state("status", &["invited", "active", "left"])
            .finish()
    },
};

fn staff_next(state: &str) -> &'static [&'static str] {
    match state {
        "invited" => &["active", "left"],
        "active" => &["left"],
        "left" => &["active"],
        _ => &[],
    }
}

/// `chain{...}`: the certificate chain of one user on one device, immutable. Its signatures are checked where it is used and by the service.
pub(super) const CERTIFICATE: EntityType = EntityType {
    kind: "certificate",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "holder",
            policy: Policy::Immutable,
        },
        Unit {
            name: "chain",
            policy: Policy::Immutable,
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .id("holder", "user")
            .id("holder", "device")
            .finish()
    },
};

/// `name{display}`, `owner{user}`: so that a conflict can say which computer a value came from.
pub(super) const DEVICE: EntityType = EntityType {
    kind: "device",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "replicas",
            policy: Policy::Set,
        },
        Unit {
            name: "name",
            policy: Policy::KeepBoth,
        },
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).line("name", "display").finish(),
};
