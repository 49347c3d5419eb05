//! One open file: its writer, its readers, and the doors through which everything goes.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use caseload_domain::registry::EntityType;
use caseload_domain::{DeviceId, EntityKey, PracticeId, Role, UserId};
use caseload_vault::DatabaseKey;
use caseload_vault::heads::Head;
use rusqlite::{Connection, TransactionBehavior};
use uuid::Uuid;

use crate::audit::{self, Action, AuditReport, Entry, Touched};
use crate::connect;
use crate::entropy::Entropy;
use crate::error::{StorageError, is_full};
use crate::identity::{FileKind, Identity};
use crate::open::checkpoint;
use crate::read::ReadTx;
use crate::state::{self, Name};
use crate::turns::{Turns, Who};
use crate::write::{Author, Committed, WriteError, WriteTx};

/// Readers that are kept open while nobody reads.
const IDLE_READERS: usize = 4;

/// What a file is, and never ceases to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) database: Uuid,
    pub(crate) practice: PracticeId,
    pub(crate) device: DeviceId,
    pub(crate) kind: FileKind,
    /// See [`Store::write_as_newer`].
    #[cfg(feature = "test-faults")]
    pub(crate) is_newer: bool,
}

impl Meta {
    /// The version of documents that this program writes.
    pub(crate) fn schema(&self, entity: &EntityType) -> u32 {
        #[cfg(feature = "test-faults")]
        if self.is_newer {
            return entity.schema + 1;
        }
        entity.schema
    }
}

/// One open file. Calls block: asynchronous callers cross over with `spawn_blocking`.
pub struct Store {
    path: PathBuf,
    key: DatabaseKey,
    meta: Meta,
    entropy: Entropy,
    // Before the writer, because fields end in this order and only the writer can write the log into the file when it is the last to go.
    readers: Mutex<Vec<Connection>>,
    writer: Turns<Connection>,
    failed: AtomicBool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("kind", &self.meta.kind)
            .finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn new(path: PathBuf, key: DatabaseKey, meta: Meta, writer: Connection, entropy: Entropy) -> Self {
        Self {
            path,
            key,
            meta,
            entropy,
            writer: Turns::new(writer),
            readers: Mutex::new(Vec::new()),
            failed: AtomicBool::new(false),
        }
    }

    /// The kind of file.
    #[must_use]
    pub const fn kind(&self) -> FileKind {
        self.meta.kind
    }

    /// The practice.
    #[must_use]
    pub const fn practice(&self) -> PracticeId {
        self.meta.practice
    }

    /// What this file is and as which replica it syncs at present.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn identity(&self) -> Result<Identity, StorageError> {
        self.read(|reads| {
            Ok(Identity {
                practice: self.meta.practice,
                device: self.meta.device,
                kind: self.meta.kind,
                replica: state::require(reads.connection(), Name::Replica)?,
                replica_number: state::require(reads.connection(), Name::ReplicaNumber)?,
            })
        })
    }

    /// The head of the audit chain, for the vault to remember.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn head(&self) -> Result<Head, StorageError> {
        self.read(|reads| audit::head(reads.connection(), self.meta.database))
    }

    /// Recomputes the audit chain from its first entry.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn verify_audit(&self) -> Result<AuditReport, StorageError> {
        self.read(|reads| audit::verify(reads.connection()))
    }

    /// Logs something that changes no document: clinical content about to be read, printed or exported, an unlock. Content is shown only
    /// after this returned.
    ///
    /// # Errors
    /// [`StorageError`]; then nothing may be shown.
    pub fn record(
        &self,
        user: UserId,
        role: Role,
        action: Action,
        objects: &[EntityKey],
    ) -> Result<Head, StorageError> {
        let touched: Vec<Touched> = objects
            .iter()
            .map(|key| Touched {
                key: key.clone(),
                before: None,
                after: None,
            })
            .collect();
        let entry = Entry {
            action,
            user,
            role,
            group: None,
            touched: &touched,
        };
        self.transact_for(Who::Person, |connection| {
            audit::append_in_tx(connection, self.meta.database, &entry)
        })
    }

    /// Reads one consistent state of the file, beside any writer.
    ///
    /// # Errors
    /// What `body` answers, and [`StorageError`].
    pub fn read<T, E: From<StorageError>>(&self, body: impl FnOnce(&ReadTx<'_>) -> Result<T, E>) -> Result<T, E> {
        self.usable()?;
        let mut connection = self.take_reader()?;
        let answer = {
            let transaction = connection.transaction().map_err(|error| self.note(error.into()))?;
            let answer = body(&ReadTx::new(&transaction, self.meta.kind));
            transaction.finish().map_err(|error| self.note(error.into()))?;
            answer
        };
        let mut idle = lock(&self.readers);
        if answer.is_ok() && idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        answer
    }

    /// The one door for changes: what `body` does to documents, its operations for the service and its audit entry are committed together
    /// or not at all. When `body` answers an error, nothing happened. When this returns, the change is on the disk.
    ///
    /// # Errors
    /// What `body` answers, and [`WriteError`] when the change could not be finished or stored.
    pub fn write<T, E: From<WriteError> + Error + 'static>(
        &self,
        author: &Author<'_>,
        action: Action,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, E>,
    ) -> Result<Committed<T>, E> {
        let failed = |error: StorageError| E::from(WriteError::Storage(error));
        self.usable().map_err(failed)?;
        let mut writer = self.writer.take(Who::Person);
        let transaction = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| failed(self.note(error.into())))?;
        let mut write = WriteTx::begin(&transaction, &self.meta, &self.entropy, *author, action);
        let done = body(&mut write).and_then(|value| Ok((value, write.finish()?)));
        match done {
            Ok((value, (changed, head))) => {
                transaction.commit().map_err(|error| failed(self.note(error.into())))?;
                Ok(Committed { value, changed, head })
            }
            Err(error) => {
                self.look_at(&transaction, &error);
                Err(error)
            }
        }
    }

    /// Lets the file have `room` pages more than it has now, as on a disk that is nearly full; `None` gives it all the room there is.
    ///
    /// # Errors
    /// [`StorageError`].
    #[cfg(any(test, feature = "test-faults"))]
    pub fn let_grow_by(&self, room: Option<i64>) -> Result<(), StorageError> {
        let writer = self.writer.take(Who::Sharing);
        let pages: i64 = writer.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let most = room.map_or(i64::from(u32::MAX - 1), |room| pages + room);
        let set: i64 = writer.query_row(&format!("PRAGMA max_page_count = {most}"), [], |row| row.get(0))?;
        debug_assert_eq!(set, most);
        Ok(())
    }

    /// Writes from now on as a program of the next version does, or as this one again.
    #[cfg(feature = "test-faults")]
    pub const fn write_as_newer(&mut self, is_newer: bool) {
        self.meta.is_newer = is_newer;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn entropy(&self) -> &Entropy {
        &self.entropy
    }

    /// Whether somebody at the screen waits for the writer.
    pub(crate) fn is_wanted(&self) -> bool {
        self.writer.is_wanted()
    }

    /// A transaction of the store's own, for which nobody waits at the screen.
    pub(crate) fn transact<T, E: From<StorageError> + Error + 'static>(
        &self,
        body: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.transact_for(Who::Sharing, body)
    }

    /// A transaction of the store's own.
    pub(crate) fn transact_for<T, E: From<StorageError> + Error + 'static>(
        &self,
        who: Who,
        body: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.usable()?;
        let mut writer = self.writer.take(who);
        let transaction = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(|error| self.note(error.into()))?;
        let answer = body(&transaction);
        match answer {
            Ok(value) => {
                transaction.commit().map_err(|error| self.note(error.into()))?;
                Ok(value)
            }
            Err(error) => {
                self.look_at(&transaction, &error);
                Err(error)
            }
        }
    }

    /// Writes the log into the file and empties it: when idle and before locking, so that the file alone is complete.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn checkpoint(&self) -> Result<(), StorageError> {
        self.usable()?;
        checkpoint(&self.writer.take(Who::Sharing)).map_err(|error| self.note(error))
    }

    /// Closes the file after a checkpoint and gives its head.
    ///
    /// # Errors
    /// [`StorageError`]; the file is closed all the same.
    pub fn close(self) -> Result<Head, StorageError> {
        let head = self.head()?;
        lock(&self.readers).clear();
        self.checkpoint()?;
        Ok(head)
    }

    fn usable(&self) -> Result<(), StorageError> {
        if self.failed.load(Ordering::Acquire) {
            Err(StorageError::Failed)
        } else {
            Ok(())
        }
    }

    /// After a transaction whose body failed. SQLite ends one by itself when the disk failed under it, and then nothing here may be trusted;
    /// but also when there was no room, and then everything was undone and the file is sound.
    fn look_at(&self, transaction: &Connection, error: &(dyn Error + 'static)) {
        if transaction.is_autocommit() && !is_full(error) {
            self.failed.store(true, Ordering::Release);
        }
    }

    fn note(&self, error: StorageError) -> StorageError {
        if error.ends_the_store() {
            tracing::error!(kind = ?self.meta.kind, error = %error, "the store has failed and has to be reopened");
            self.failed.store(true, Ordering::Release);
        }
        error
    }

    fn take_reader(&self) -> Result<Connection, StorageError> {
        let idle = lock(&self.readers).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => connect::reader(&self.path, &self.key).map_err(|error| self.note(error.into())),
        }
    }
}

/// A panic while a lock was held rolled its transaction back, so what the lock protects is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
