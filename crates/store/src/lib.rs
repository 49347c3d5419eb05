//! The encrypted files of one computer: `office.db` and one `clinical-<user>.db` per clinician.
//!
//! Every row holds the document as a person sees it and, while changes wait, the service's version underneath; the rule that joins them is
//! `doc = rebase(base, waiting operations)` and nothing else. Everything that changes goes through one door, [`Store::write`], which commits
//! the document, the operation for the service and the audit entry together. A file is opened only after checks that change nothing.
//!
//! | module | what it is for |
//! |---|---|
//! | [`open`], [`lock`], [`identity`] | files: made, checked, opened by one process |
//! | [`mod@write`], [`intents`], [`audit`] | the door, what one action does in two files, the chain of who did what |
//! | [`read`], [`appointments`], [`clients`], [`notes`], [`practice`] | queries, one file per concept |
//! | [`files`] | the encrypted files that documents name, and which of them wait to be moved |
//! | [`outbox`], [`acknowledge`], [`refused`], [`pull`], [`snapshots`], [`check`], [`state`] | the device's half of sharing: what waits, what came, whether both are equal |
//! | [`lost`] | what a restored service does not have any more, and how it is offered back |
//!
//! What this crate deliberately does not do: it talks to no network, reads no clock and knows no passphrase.

pub mod acknowledge;
pub mod appointments;
pub mod audit;
pub mod check;
pub mod clients;
mod connect;
pub mod entropy;
pub mod error;
pub mod files;
mod fold;
mod folder;
#[cfg(test)]
mod full_disk_tests;
pub mod identity;
pub mod intents;
pub mod lock;
pub mod lost;
mod migrate;
pub mod notes;
pub mod open;
pub mod outbox;
pub mod practice;
mod projections;
#[cfg(test)]
mod property_tests;
pub mod pull;
pub mod read;
pub mod refused;
mod rows;
mod rules;
pub mod snapshots;
pub mod state;
mod steps;
#[cfg(test)]
mod steps_tests;
mod store;
mod touches;
mod turns;
pub mod write;

pub use acknowledge::Acknowledged;
pub use audit::{Action, AuditReport};
pub use clients::ClientHits;
pub use entropy::Entropy;
pub use error::StorageError;
pub use files::{FileError, FileState, NewFile};
pub use identity::{FileKind, Identity};
pub use intents::{Executed, Intent, Step, run_intents};
pub use lock::{LockError, ProfileLock};
pub use notes::NoteHit;
pub use open::{CreateError, KeyProof, OpenError, Opening};
pub use outbox::{NextGroups, Waiting};
pub use pull::ApplyError;
pub use read::ReadTx;
pub use refused::{RefusedGroup, RefusedWhy};
pub use rows::Entity;
pub use snapshots::{SnapshotPart, SnapshotSeries};
pub use state::{Divergence, SyncState};
pub use store::Store;
pub use write::{Author, Committed, WriteError, WriteTx};
