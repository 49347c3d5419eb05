//! The sync protocol: its messages, and the pure functions that both ends share.
//!
//! [`messages`], [`auth`] and [`blobs`] are the wire, [`row`] what the service holds, [`decide`] the one place where merging, conflicts and clashes are decided, used by
//! both storages and the simulator; [`rebase`] replays waiting changes on a device; [`checksum`] proves that two ends are equal. Nothing
//! here does I/O or reads a clock, and no decision uses wall time.

pub mod auth;
pub mod blobs;
mod bookings;
pub mod checksum;
pub mod cursor;
pub mod decide;
pub mod facts;
pub mod messages;
#[cfg(feature = "test-faults")]
mod planted;
pub mod rebase;
pub mod reoffer;
pub mod row;

/// The protocol version that this program speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// The oldest protocol version that this program still understands.
pub const OLDEST_PROTOCOL: u32 = 1;

/// The header in which every request names its protocol version, so that a service refuses one that it does not speak before it reads the
/// rest. A request without it speaks the first.
pub const PROTOCOL_HEADER: &str = "x-caseload-protocol";

/// The version of this program as a writer. A service that takes changes only of newer ones says so in its greeting.
pub const WRITER_VERSION: u32 = 1;
