//! What goes into a storage and comes out of it.

use std::fmt;
use std::sync::Arc;

use caseload_domain::{DeviceId, EntityKey, OpId, PracticeId, ReplicaId, Role, UserId};
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::checksum::Leaf;
use caseload_protocol::facts::{PracticeHead, VerifiedGroup};
use caseload_protocol::messages::{LastOp, OpResult};
use caseload_protocol::row::Row;
use caseload_vault::PublicKey;
use serde_json::Value;

use super::error::StorageError;

/// A practice to be created.
#[derive(Clone, Debug)]
pub struct NewPractice {
    /// Its id.
    pub practice: PracticeId,
    /// Its name, to greet people.
    pub name: String,
    /// The public key of its root.
    pub root_key: PublicKey,
    /// The identity of its history: random, new for every history.
    pub epoch: String,
}

/// A practice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Practice {
    /// Its id.
    pub practice: PracticeId,
    /// Its name as it was when it was claimed.
    pub name: String,
    /// The public key of its root.
    pub root_key: PublicKey,
}

/// A person who may sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The person.
    pub user: UserId,
    /// Their role.
    pub role: Role,
    /// Whether they administer the practice.
    pub admin: bool,
    /// Their public key, the same on all their computers.
    pub public_key: PublicKey,
}

/// A computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The computer.
    pub device: DeviceId,
    /// Its public key.
    pub public_key: PublicKey,
    /// Its name.
    pub name: String,
    /// Who may sign in on it, sorted.
    pub users: Vec<UserId>,
    /// Whether it may no longer be used.
    pub revoked: bool,
}

/// What a joiner needs; statements are opaque here. Printing it shows the id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The id half of the code.
    pub id: String,
    /// The signed authorisation.
    pub authorisation: Value,
    /// What signs it, or null.
    pub admin_certificate: Value,
    /// The sealed bundle, if there is one.
    pub sealed_bundle: Option<String>,
    /// Who joins.
    pub user: UserId,
    /// Their name.
    pub user_name: String,
    /// Their role.
    pub role: Role,
    /// Whether they will administer.
    pub admin: bool,
    /// When it ends, epoch milliseconds.
    pub expires_ms: i64,
}

impl fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enrolment")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An enrolment as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEnrolment {
    /// What was left.
    pub enrolment: Enrolment,
    /// Whether it was redeemed.
    pub used: bool,
}

/// SHA-256 of a token. Tokens themselves never reach a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// A pair of tokens with their ends in epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// The access token.
    pub access: TokenHash,
    /// When it ends.
    pub access_expires_ms: i64,
    /// The refresh token.
    pub refresh: TokenHash,
    /// When it ends.
    pub refresh_expires_ms: i64,
}

/// Who is signed in where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Names the session for as long as it is refreshed; random.
    pub family: String,
    /// The practice.
    pub practice: PracticeId,
    /// The person.
    pub user: UserId,
    /// The computer.
    pub device: DeviceId,
}

/// What came of exchanging a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The new tokens are in force.
    Rotated(Session),
    /// The token was never given out, or its session has ended.
    Unknown,
    /// The token was exchanged before: its session has ended now.
    Reused,
    /// The token has expired.
    Expired,
}

/// A file that will sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReplica {
    /// Its id.
    pub replica: ReplicaId,
    /// What it holds.
    pub kind: ReplicaKind,
    /// Its computer.
    pub device: DeviceId,
    /// Who registered it; the owner of a clinical file.
    pub user: UserId,
    /// The replica that it continues after a restore or clone.
    pub replaces: Option<ReplicaId>,
}

/// A registered file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its id.
    pub replica: ReplicaId,
    /// What it holds.
    pub kind: ReplicaKind,
    /// Its computer.
    pub device: DeviceId,
    /// Who registered it; the owner of a clinical file.
    pub user: UserId,
    /// The replica that it continues.
    pub replaces: Option<ReplicaId>,
    /// Its number in the practice.
    pub number: i64,
    /// Its last decided operation.
    pub last_op: Option<LastOp>,
}

impl Replica {
    /// Whether `new` asks for this very file: an office file belongs to its computer, a clinical one to a person on it.
    pub(super) fn is_owned_like(&self, new: &NewReplica) -> bool {
        let same_person = self.kind == ReplicaKind::Office || self.user == new.user;
        self.kind == new.kind && self.device == new.device && same_person
    }
}

/// One push.
#[derive(Clone, Debug)]
pub struct PushBatch {
    /// The sending replica.
    pub replica: ReplicaId,
    /// The history that the device believes in; `None` before its first contact.
    pub epoch: Option<String>,
    /// The sequence number of the newest state of which the file holds anything; `None` when it has read nothing yet.
    pub known: Option<i64>,
    /// The groups, in order.
    pub groups: Arc<[VerifiedGroup]>,
}

/// The answer to a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushAnswer {
    /// One result per operation, in order.
    pub results: Vec<OpResult>,
    /// The history.
    pub epoch: String,
    /// The newest sequence number.
    pub head_seq: i64,
}

/// How much a page may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit {
    /// Rows examined at most; at least 1.
    pub rows: u32,
    /// Bytes of content about which the page ends; the first row is given whatever its size.
    pub bytes: u64,
}

/// A part of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// The visible rows, in order of their sequence numbers.
    pub rows: Vec<Row>,
    /// Everything up to here was examined: where to go on. Never beyond the head.
    pub examined: i64,
    /// Whether there is more after it.
    pub more: bool,
    /// The head at the state that was read.
    pub head: PracticeHead,
}

/// A part of a series of scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPage {
    /// The rows, scope by scope, each ordered by type and id.
    pub rows: Vec<Row>,
    /// How many of the scopes are through; there is more when it is not all of them.
    pub through: usize,
    /// The head at the state that was read.
    pub head: PracticeHead,
}

/// The leaf of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafEntry {
    /// The row.
    pub key: EntityKey,
    /// Its revision.
    pub rev: i64,
    /// Its leaf.
    pub leaf: Leaf,
}

impl LeafEntry {
    /// The leaf of a row, computed from its content.
    pub(super) fn of(row: Row) -> Result<Self, StorageError> {
        let leaf = row.leaf().map_err(|_| StorageError::Unreadable("a document"))?;
        Ok(Self {
            key: row.key,
            rev: row.rev,
            leaf,
        })
    }
}

/// The leaves of some scopes at one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// The state.
    pub seq: i64,
    /// Tombstones at or below it are gone in that state.
    pub gc_floor: i64,
    /// The leaves, ordered by type and id.
    pub entries: Vec<LeafEntry>,
}

/// What one operation added to the hash chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The operation.
    pub op_id: OpId,
    /// The sending replica.
    pub replica: ReplicaId,
    /// The first sequence number that it used.
    pub first_seq: i64,
    /// The last one.
    pub last_seq: i64,
    /// The leaves of the rows as it wrote them, in order.
    pub leaves: Vec<Leaf>,
    /// The chain after it.
    pub chain: Leaf,
}
