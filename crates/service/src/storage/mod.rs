//! Where the service keeps its practices: one contract, two storages.
//!
//! [`Storage`] is the contract. Both storages run the same rounds of reads and the same [`caseload_protocol::decide`], write its
//! decision in one transaction, and pass the same conformance suite (`tests/conformance.rs`). The order of a practice's changes comes from one
//! record, changed by the first statement of every transaction that writes rows, so that a reader who saw number k can see every lower one.
//!
//! Clinical content is sealed at rest under a key per practice. Nothing here reads a clock or draws a random id: instants
//! and ids are arguments.

mod blobs;
mod content;
mod error;
mod heads;
pub mod mongo;
mod records;
mod sealing;
pub mod sqlite;
mod tombstones;

use async_trait::async_trait;
use caseload_domain::{ClientId, DeviceId, EntityKey, PracticeId, ReplicaId, Scope, UserId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::decide::DecideLimits;
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::row::Row;
use tokio::sync::watch;

pub use blobs::{BlobError, BlobPart, BlobState, BlobStorage, UPLOAD_MS};
pub use error::{ClaimError, OpenError, PushError, RedeemError, RegisterError, StorageError};
pub use records::{
    Account, Device, Enrolment, FeedPage, HistoryEntry, KeptEnrolment, LeafEntry, Leaves, NewPractice, NewReplica,
    PageLimit, Practice, PushAnswer, PushBatch, Replica, Rotation, Session, SnapshotPage, TokenHash, Tokens,
};
pub use tombstones::{Collected, Keeping};

/// Everything that the service remembers. All practices of one storage are separate: each method works in the practice that it is given.
///
/// Every method may fail with [`StorageError::Unavailable`], after which nothing was acknowledged and the same call may be made again.
#[async_trait]
pub trait Storage: BlobStorage + Send + Sync + 'static {
    /// Asks the storage for a sign of life.
    async fn ping(&self) -> Result<(), StorageError>;

    /// Whether any practice was claimed.
    async fn any_practice(&self) -> Result<bool, StorageError>;

    /// Creates a practice with its first account and device, all or none. It is made at most once.
    async fn claim(&self, practice: &NewPractice, account: &Account, device: &Device) -> Result<(), ClaimError>;

    /// A practice.
    async fn practice(&self, practice: PracticeId) -> Result<Option<Practice>, StorageError>;

    /// Every practice that is kept here, sorted. For work on the storage as a whole, once a day; no request of a device ever needs it.
    async fn practices(&self) -> Result<Vec<PracticeId>, StorageError>;

    /// Gives a practice's history a new identity, because what is kept was restored from a copy, and ends every session: a copy may hold
    /// sessions that were ended after it was made. Rows, numbers and chain stay. Gives the new head; doing it again with the same `epoch`
    /// changes nothing.
    async fn begin_epoch(&self, practice: PracticeId, epoch: &str) -> Result<PracticeHead, StorageError>;

    /// The head of a practice's history, as committed.
    async fn head(&self, practice: PracticeId) -> Result<Option<PracticeHead>, StorageError>;

    /// After it, this storage reads no state older than what any node was told before. It is asked before a device is told that its memory
    /// does not fit: right after an election a node may for a moment read a state from before the last answers of another one.
    async fn catch_up(&self, practice: PracticeId) -> Result<(), StorageError>;

    /// A person who may sign in.
    async fn account(&self, practice: PracticeId, user: UserId) -> Result<Option<Account>, StorageError>;

    /// A computer; it may be used by several people.
    async fn device(&self, practice: PracticeId, device: DeviceId) -> Result<Option<Device>, StorageError>;

    /// Marks a computer as revoked and ends every session on it. `false` when it is unknown.
    async fn revoke_device(&self, practice: PracticeId, device: DeviceId) -> Result<bool, StorageError>;

    /// Leaves an enrolment to be redeemed. One with the same id is replaced only while it is unused.
    async fn put_enrolment(&self, practice: PracticeId, enrolment: &Enrolment) -> Result<(), StorageError>;

    /// An enrolment, used or not.
    async fn enrolment(&self, practice: PracticeId, id: &str) -> Result<Option<KeptEnrolment>, StorageError>;

    /// Uses an enrolment up and registers account and device, all or none. Of any number of callers exactly one succeeds. The account may
    /// exist with the same key; the device may exist with the same key and gets one more user.
    async fn redeem_enrolment(
        &self,
        practice: PracticeId,
        id: &str,
        account: &Account,
        device: &Device,
        now_ms: i64,
    ) -> Result<(), RedeemError>;

    /// Begins a session, unless its device is revoked; gives whether it began. Whatever comes first, of a session and the revocation of its
    /// device, no session lives after both.
    async fn put_session(&self, session: &Session, tokens: &Tokens) -> Result<bool, StorageError>;

    /// The live session whose access token this is; `None` when unknown, expired or ended.
    async fn session_by_access(
        &self,
        practice: PracticeId,
        access: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<Session>, StorageError>;

    /// Exchanges a refresh token. A token that was exchanged before ends its session in the same step.
    async fn rotate_session(
        &self,
        practice: PracticeId,
        refresh: &TokenHash,
        tokens: &Tokens,
        now_ms: i64,
    ) -> Result<Rotation, StorageError>;

    /// Ends a session; unknown ones are fine.
    async fn end_session(&self, practice: PracticeId, family: &str) -> Result<(), StorageError>;

    /// Registers a file that will sync and gives it the practice's next replica number, from 1. Asking again for the same owner gives the
    /// same number.
    async fn register_replica(&self, practice: PracticeId, replica: &NewReplica) -> Result<i64, RegisterError>;

    /// A registered file.
    async fn replica(&self, practice: PracticeId, replica: ReplicaId) -> Result<Option<Replica>, StorageError>;

    /// Decides and writes one push in one transaction. The same bytes again give the same answer.
    async fn push(&self, practice: PracticeId, batch: PushBatch, limits: DecideLimits)
    -> Result<PushAnswer, PushError>;

    /// The rows of `scopes` that changed after `after_seq`, in order. Rows of other scopes are examined and left out, and
    /// [`FeedPage::examined`] advances over them, so that a page without rows still gets on. A position beyond the head is not known yet:
    /// [`StorageError::Unavailable`].
    async fn read_since(
        &self,
        practice: PracticeId,
        after_seq: i64,
        scopes: &[Scope],
        limit: PageLimit,
    ) -> Result<FeedPage, StorageError>;

    /// The hash chain after the last operation that ended at or before `seq`; zeros at 0, `None` beyond the head.
    async fn chain_at(&self, practice: PracticeId, seq: i64) -> Result<Option<Leaf>, StorageError>;

    /// The rows of the first of `scopes` after a key, then of the others while the page has room, each ordered by type and id. `scopes` ascend
    /// by their written forms.
    async fn snapshot_page(
        &self,
        practice: PracticeId,
        scopes: &[Scope],
        after: Option<&EntityKey>,
        limit: PageLimit,
    ) -> Result<SnapshotPage, StorageError>;

    /// The leaves of all rows of `scopes`, computed from the stored bytes at one state of the practice.
    async fn leaves(&self, practice: PracticeId, scopes: &[Scope]) -> Result<Leaves, StorageError>;

    /// Rows by key, whatever their scope; unknown ones are left out.
    async fn fetch(&self, practice: PracticeId, keys: &[EntityKey]) -> Result<Vec<Row>, StorageError>;

    /// The clients whom a therapist treats: active and paused care relationships, sorted.
    async fn care_scopes(&self, practice: PracticeId, therapist: UserId) -> Result<Vec<ClientId>, StorageError>;

    /// Whether a care relationship, of whomever, was written after `after_seq`.
    async fn care_changed_after(&self, practice: PracticeId, after_seq: i64) -> Result<bool, StorageError>;

    /// Operations that wrote rows, in order, from the first that ended after `after_seq`: what the hash chain is verified with.
    async fn history(
        &self,
        practice: PracticeId,
        after_seq: i64,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StorageError>;

    /// Lets void rows go that every device has passed that shared within the time that tombstones are kept, and raises
    /// [`PracticeHead::gc_floor`] to where they went up to. What they said stays in the history; numbers and chain stay. It is asked about once a
    /// day, and by as many nodes as there are.
    async fn collect_tombstones(&self, practice: PracticeId, keeping: Keeping) -> Result<Collected, StorageError>;

    /// Follows the practice's newest sequence number: a wake-up, never data. It may lag about a second behind another node's writes.
    async fn watch(&self, practice: PracticeId) -> Result<watch::Receiver<i64>, StorageError>;

    /// Finishes what is being written and lets go of files and connections. Later calls fail as unavailable.
    async fn close(&self);
}
