//! The embedded storage: one SQLCipher file, for a practice that runs the service on one of its own machines.
//!
//! One thread writes, see [`writer`]; readers are separate connections and see one state each. All reading happens off the async threads.

mod accounts;
mod blobs;
mod connection;
mod feed;
#[cfg(test)]
mod full_disk_tests;
mod push;
mod recovery;
mod rows;
mod sessions;
mod tombstones;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use caseload_domain::{ClientId, DeviceId, EntityKey, PracticeId, ReplicaId, Scope, UserId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::decide::DecideLimits;
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::row::Row;
use caseload_vault::{DatabaseKey, SymmetricKey};
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::watch;

use super::Storage;
use super::error::{ClaimError, OpenError, PushError, RedeemError, RegisterError, StorageError};
use super::heads::Heads;
use super::records::{
    Account, Device, Enrolment, FeedPage, HistoryEntry, KeptEnrolment, Leaves, NewPractice, NewReplica, PageLimit,
    Practice, PushAnswer, PushBatch, Replica, Rotation, Session, SnapshotPage, TokenHash, Tokens,
};
use super::sealing::Keyring;
use super::tombstones::{Collected, Keeping};
use writer::Writer;

pub(crate) use recovery::{check_pages, copy};

/// Readers that are kept open.
const IDLE_READERS: usize = 8;

/// Practices in one SQLCipher file.
pub struct SqliteStorage {
    writer: Writer,
    readers: Arc<Readers>,
    keys: Arc<Keyring>,
    heads: Arc<Heads>,
}

struct Readers {
    path: PathBuf,
    key: DatabaseKey,
    idle: Mutex<Vec<Connection>>,
    closed: AtomicBool,
}

impl SqliteStorage {
    /// Opens the file at `path`, and makes it when there is none. Its key and the keys of its practices derive from `master`.
    ///
    /// # Errors
    /// [`OpenError`] tells a wrong key, a damaged, a newer and an unreadable file apart; none of them changes the file.
    pub fn open(path: &Path, master: &SymmetricKey) -> Result<Self, OpenError> {
        let key = connection::file_key(master);
        let writer = Writer::start(connection::open_writer(path, &key)?).map_err(OpenError::Thread)?;
        let readers = Readers {
            path: path.to_owned(),
            key,
            idle: Mutex::default(),
            closed: AtomicBool::new(false),
        };
        Ok(Self {
            writer,
            readers: Arc::new(readers),
            keys: Arc::new(Keyring::new(master)),
            heads: Arc::default(),
        })
    }

    /// Reads at one state of the file, off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, &Keyring) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let (readers, keys) = (Arc::clone(&self.readers), Arc::clone(&self.keys));
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = readers.take()?;
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Deferred)
                .map_err(|error| failure(&error))?;
            let answer = work(&transaction, &keys);
            transaction.finish().map_err(|error| failure(&error))?;
            readers.give_back(connection);
            answer
        });
        done.await.unwrap_or(Err(StorageError::Unavailable(None)))
    }
}

impl Readers {
    fn take(&self) -> Result<Connection, StorageError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StorageError::Unavailable(None));
        }
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(
            || connection::open_reader(&self.path, &self.key).map_err(|error| failure(&error)),
            Ok,
        )
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS && !self.closed.load(Ordering::Acquire) {
            idle.push(connection);
        }
    }
}

/// What an error of SQLite means for the caller.
fn failure(error: &rusqlite::Error) -> StorageError {
    let code = error.sqlite_error_code();
    let cause = || StoredCause {
        code: error.sqlite_error().map(|error| error.extended_code),
        kind: error.to_string(),
    };
    match code {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationInterrupted
            | ErrorCode::ReadOnly,
        ) => StorageError::Unavailable(Some(Box::new(cause()))),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StorageError::Unreadable("the database file"),
        _ => StorageError::Failed(Box::new(cause())),
    }
}

/// An error of SQLite that several callers get. SQLite's texts name tables and columns, never content.
#[derive(Debug, thiserror::Error)]
#[error("SQLite error {code:?}: {kind}")]
struct StoredCause {
    code: Option<i32>,
    kind: String,
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn ping(&self) -> Result<(), StorageError> {
        self.read(|connection, _| rows::ping(connection)).await
    }

    async fn any_practice(&self) -> Result<bool, StorageError> {
        self.read(|connection, _| accounts::any_practice(connection)).await
    }

    async fn claim(&self, practice: &NewPractice, account: &Account, device: &Device) -> Result<(), ClaimError> {
        let sealed_key = self.keys.make(practice.practice);
        let (practice, account, device) = (practice.clone(), account.clone(), device.clone());
        self.writer
            .write(move |tx| accounts::claim(tx, &practice, &sealed_key, &account, &device))
            .await
    }

    async fn practice(&self, practice: PracticeId) -> Result<Option<Practice>, StorageError> {
        self.read(move |connection, _| accounts::practice(connection, practice))
            .await
    }

    async fn practices(&self) -> Result<Vec<PracticeId>, StorageError> {
        self.read(|connection, _| recovery::practices(connection)).await
    }

    async fn begin_epoch(&self, practice: PracticeId, epoch: &str) -> Result<PracticeHead, StorageError> {
        let epoch = epoch.to_owned();
        self.writer
            .write(move |tx| recovery::begin_epoch(tx, practice, &epoch))
            .await
    }

    async fn head(&self, practice: PracticeId) -> Result<Option<PracticeHead>, StorageError> {
        self.read(move |connection, _| rows::head(connection, practice)).await
    }

    async fn catch_up(&self, _practice: PracticeId) -> Result<(), StorageError> {
        Ok(())
    }

    async fn account(&self, practice: PracticeId, user: UserId) -> Result<Option<Account>, StorageError> {
        self.read(move |connection, _| accounts::account(connection, practice, user))
            .await
    }

    async fn device(&self, practice: PracticeId, device: DeviceId) -> Result<Option<Device>, StorageError> {
        self.read(move |connection, _| accounts::device(connection, practice, device))
            .await
    }

    async fn revoke_device(&self, practice: PracticeId, device: DeviceId) -> Result<bool, StorageError> {
        self.writer
            .write(move |tx| accounts::revoke_device(tx, practice, device))
            .await
    }

    async fn put_enrolment(&self, practice: PracticeId, enrolment: &Enrolment) -> Result<(), StorageError> {
        let enrolment = enrolment.clone();
        self.writer
            .write(move |tx| accounts::put_enrolment(tx, practice, &enrolment))
            .await
    }

    async fn enrolment(&self, practice: PracticeId, id: &str) -> Result<Option<KeptEnrolment>, StorageError> {
        let id = id.to_owned();
        self.read(move |connection, _| accounts::enrolment(connection, practice, &id))
            .await
    }

    async fn redeem_enrolment(
        &self,
        practice: PracticeId,
        id: &str,
        account: &Account,
        device: &Device,
        now_ms: i64,
    ) -> Result<(), RedeemError> {
        let (id, account, device) = (id.to_owned(), account.clone(), device.clone());
        self.writer
            .write(move |tx| accounts::redeem(tx, practice, &id, &account, &device, now_ms))
            .await
    }

    async fn put_session(&self, session: &Session, tokens: &Tokens) -> Result<bool, StorageError> {
        let (session, tokens) = (session.clone(), *tokens);
        self.writer.write(move |tx| sessions::put(tx, &session, &tokens)).await
    }

    async fn session_by_access(
        &self,
        practice: PracticeId,
        access: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<Session>, StorageError> {
        let access = *access;
        self.read(move |connection, _| sessions::by_access(connection, practice, access, now_ms))
            .await
    }

    async fn rotate_session(
        &self,
        practice: PracticeId,
        refresh: &TokenHash,
        tokens: &Tokens,
        now_ms: i64,
    ) -> Result<Rotation, StorageError> {
        let (refresh, tokens) = (*refresh, *tokens);
        self.writer
            .write(move |tx| sessions::rotate(tx, practice, refresh, &tokens, now_ms))
            .await
    }

    async fn end_session(&self, practice: PracticeId, family: &str) -> Result<(), StorageError> {
        let family = family.to_owned();
        self.writer.write(move |tx| sessions::end(tx, practice, &family)).await
    }

    async fn register_replica(&self, practice: PracticeId, replica: &NewReplica) -> Result<i64, RegisterError> {
        let replica = replica.clone();
        self.writer
            .write(move |tx| accounts::register_replica(tx, practice, &replica))
            .await
    }

    async fn replica(&self, practice: PracticeId, replica: ReplicaId) -> Result<Option<Replica>, StorageError> {
        self.read(move |connection, _| accounts::replica(connection, practice, replica))
            .await
    }

    async fn push(
        &self,
        practice: PracticeId,
        batch: PushBatch,
        limits: DecideLimits,
    ) -> Result<PushAnswer, PushError> {
        let keys = Arc::clone(&self.keys);
        let answer = self
            .writer
            .write(move |tx| push::push(tx, &keys, practice, &batch, limits))
            .await?;
        self.heads.publish(practice, answer.head_seq);
        Ok(answer)
    }

    async fn read_since(
        &self,
        practice: PracticeId,
        after_seq: i64,
        scopes: &[Scope],
        limit: PageLimit,
    ) -> Result<FeedPage, StorageError> {
        let scopes = scopes.to_vec();
        self.read(move |connection, keys| feed::since(connection, keys, practice, after_seq, &scopes, limit))
            .await
    }

    async fn chain_at(&self, practice: PracticeId, seq: i64) -> Result<Option<Leaf>, StorageError> {
        self.read(move |connection, _| feed::chain_at(connection, practice, seq))
            .await
    }

    async fn snapshot_page(
        &self,
        practice: PracticeId,
        scopes: &[Scope],
        after: Option<&EntityKey>,
        limit: PageLimit,
    ) -> Result<SnapshotPage, StorageError> {
        let (scopes, after) = (scopes.to_vec(), after.cloned());
        self.read(move |connection, keys| feed::snapshot(connection, keys, practice, &scopes, after.as_ref(), limit))
            .await
    }

    async fn leaves(&self, practice: PracticeId, scopes: &[Scope]) -> Result<Leaves, StorageError> {
        let scopes = scopes.to_vec();
        self.read(move |connection, keys| feed::leaves(connection, keys, practice, &scopes))
            .await
    }

    async fn fetch(&self, practice: PracticeId, keys: &[EntityKey]) -> Result<Vec<Row>, StorageError> {
        let wanted = keys.to_vec();
        self.read(move |connection, keys| rows::fetch(connection, keys, practice, &wanted))
            .await
    }

    async fn care_scopes(&self, practice: PracticeId, therapist: UserId) -> Result<Vec<ClientId>, StorageError> {
        self.read(move |connection, _| feed::care(connection, practice, therapist))
            .await
    }

    async fn care_changed_after(&self, practice: PracticeId, after_seq: i64) -> Result<bool, StorageError> {
        self.read(move |connection, _| feed::care_changed_after(connection, practice, after_seq))
            .await
    }

    async fn history(
        &self,
        practice: PracticeId,
        after_seq: i64,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StorageError> {
        self.read(move |connection, _| feed::history(connection, practice, after_seq, limit))
            .await
    }

    async fn collect_tombstones(&self, practice: PracticeId, keeping: Keeping) -> Result<Collected, StorageError> {
        self.writer
            .write(move |tx| tombstones::collect(tx, practice, keeping))
            .await
    }

    async fn watch(&self, practice: PracticeId) -> Result<watch::Receiver<i64>, StorageError> {
        // Followed before it is read, so that a push between the two is not missed.
        let receiver = self.heads.follow(practice, 0);
        let head = self.head(practice).await?.ok_or(StorageError::UnknownPractice)?;
        self.heads.publish(practice, head.seq);
        Ok(receiver)
    }

    async fn close(&self) {
        self.readers.closed.store(true, Ordering::Release);
        self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.writer.stop();
    }
}
