//! The rules of a practice: entities, validation, state machines, intervals and time zones.
//!
//! This crate does no input or output, reads no clock, draws no randomness and knows no other crate of the project, so that every
//! rule in it can be tested by calling a function. Storage, sync and the service read [`registry`] to learn what an entity is; adding an
//! entity means adding one declaration there.
//!
//! Where to look next: [`document`] for what is stored, [`registry`] for the declarations, [`entities`] for the rules of each entity,
//! [`appointments`] for overlap, and the `caseload-protocol` crate for how changes are merged.

pub mod appointments;
pub mod canonical;
pub mod document;
pub mod entities;
pub mod ids;
pub mod notes;
pub mod registry;
pub mod scope;
pub mod search;
pub mod time;

pub use document::{Document, FieldProblem, Problem};
pub use ids::{
    BlobId, ClientId, DeviceId, EntityId, EntityKey, EntityKind, GroupId, OpId, PracticeId, ReplicaId, UserId,
};
pub use scope::{Role, Scope};
