//! Reads that never go back in time.
//!
//! What a majority has can be read right after an election from a member that does not know yet how far the majority is: for a moment it
//! shows an older state than the one that was read before. A scan of an older state than its head misses rows, and a device whose position
//! is ahead of the head looks like one whose history was taken away. So every read of this process is asked for a state that contains
//! everything that this process has read or written, within one answer and across answers.

use std::sync::{Mutex, PoisonError};

use mongodb::bson::Timestamp;
use mongodb::{Client, ClientSession, Database};

use crate::storage::error::StorageError;

/// The newest state that this process has read or written.
#[derive(Default)]
pub(super) struct Seen(Mutex<Option<Timestamp>>);

impl Seen {
    /// Takes note of what the statements of `session` have seen.
    pub(super) fn note(&self, session: &ClientSession) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = (*newest).max(session.operation_time());
    }

    fn newest(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A causally consistent session. What it has seen is noted when it ends.
pub(super) struct Reading<'a> {
    pub(super) database: &'a Database,
    pub(super) session: ClientSession,
    seen: &'a Seen,
}

impl<'a> Reading<'a> {
    /// Begins to read in a `database` with read concern majority.
    pub(super) async fn begin(client: &Client, database: &'a Database, seen: &'a Seen) -> Result<Self, StorageError> {
        let mut reading = Self::fresh(client, database, seen).await?;
        if let Some(newest) = seen.newest() {
            reading.session.advance_operation_time(newest);
        }
        Ok(reading)
    }

    /// The same without regard to what was seen: for the one linearizable read, which is newer than everything anyway and may not be asked
    /// for a time.
    pub(super) async fn fresh(client: &Client, database: &'a Database, seen: &'a Seen) -> Result<Self, StorageError> {
        let session = client.start_session().causal_consistency(true).await?;
        Ok(Self {
            database,
            session,
            seen,
        })
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.seen.note(&self.session);
    }
}
