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
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "root",
            Policy::Immutable,
            "Every signature hangs on this key; it never changes under the signatures made with it.",
        ),
        Unit::new(
            "name",
            Policy::KeepBoth,
            "What stands on a prescription is decided by a person.",
        ),
        Unit::new(
            "zone",
            Policy::KeepBoth,
            "A wrong zone moves every working day; two answers are a question.",
        ),
        Unit::new(
            "currency",
            Policy::KeepBoth,
            "Amounts mean nothing without it; it is not guessed.",
        ),
        Unit::new(
            "contact",
            Policy::KeepBoth,
            "Telephone and e-mail of the practice are printed together.",
        ),
        Unit::new(
            "address",
            Policy::KeepBoth,
            "The lines of two addresses mixed are a place where nobody works.",
        ),
        Unit::new(
            "policy",
            Policy::KeepBoth,
            "Rules about cancellation and retention bind clients; each version was agreed as a whole.",
        ),
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
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "name",
            Policy::KeepBoth,
            "Clients are told this name; two are compared.",
        ),
        Unit::new(
            "address",
            Policy::KeepBoth,
            "The lines of two addresses mixed send clients to the wrong door.",
        ),
        Unit::new(
            "contact",
            Policy::KeepBoth,
            "The number on the door is corrected as a whole.",
        ),
        Unit::new("zone", Policy::KeepBoth, "A wrong zone moves every appointment there."),
        Unit::new(
            "rooms",
            Policy::Set,
            "A room added by one person does not undo a room added by another.",
        ),
        Unit::new("hours", Policy::KeepBoth, "Opening hours are one week's plan."),
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
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "name",
            Policy::KeepBoth,
            "As it is printed and signed: one person's name is corrected as a whole.",
        ),
        Unit::new(
            "role",
            Policy::Immutable,
            "What a person may do hangs on her certificate; another role is another entry, never a quiet edit.",
        ),
        Unit::new(
            "professional",
            Policy::KeepBoth,
            "Profession and licence stand together under a signature.",
        ),
        Unit::new(
            "contact",
            Policy::KeepBoth,
            "Telephone and e-mail of one person are corrected as a whole.",
        ),
        Unit::new(
            "calendar",
            Policy::KeepBoth,
            "Colour and zone only show; two choices are still somebody's.",
        ),
        Unit::new(
            "status",
            Policy::State(staff_next),
            "Somebody who left is not made active by an older edit; only along what may follow.",
        ),
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

/// `holder{user, device}` and one of: `chain{...}`, the certificate chain of one user on one device; `admin{...}`, the practice root's statement
/// that she may enrol people. Immutable. Signatures are checked where they are used and by the service.
pub(super) const CERTIFICATE: EntityType = EntityType {
    kind: "certificate",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "holder",
            Policy::Immutable,
            "A certificate is about one person on one computer.",
        ),
        Unit::new(
            "chain",
            Policy::Immutable,
            "A signature is verified by it for ever; it is replaced by a new one, never edited.",
        ),
        Unit::new(
            "admin",
            Policy::Immutable,
            "The owner's word that somebody may bring people in; whoever was let in by her hangs on it.",
        ),
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
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "replicas",
            Policy::Set,
            "The files of a computer add up; none is forgotten because another was added.",
        ),
        Unit::new(
            "name",
            Policy::KeepBoth,
            "So that a conflict can say which computer a value came from; two names are compared.",
        ),
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| Checks::of(document).line("name", "display").finish(),
};
