//! The messages of `/v1/sync/*`, as they are on the wire. Golden tests in `tests/golden.rs` hold their bytes: a device of any age sends and
//! expects exactly these.
//!
//! JSON, integers up to 2^53, no floats, instants as epoch milliseconds UTC. Members that a reader does not know are ignored in envelopes
//! and kept in documents. Bodies may be compressed with zstd (`Content-Encoding: zstd`).

use std::collections::BTreeMap;

use caseload_domain::{
    DeviceId, Document, EntityId, EntityKey, EntityKind, FieldProblem, GroupId, OpId, PracticeId, ReplicaId, Role,
    Scope, UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cursor::{Cursor, Moment};

/// What one operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// Brings an entity into being. The only kind that ever does.
    Create,
    /// Replaces units and changes set elements.
    Patch,
    /// Marks an entity as void, with a reason. Its content stays.
    Void,
    /// Takes a void back.
    Restore,
    /// Settles a conflict record: `units.choice`.
    Settle,
    /// Places a booking in spite of an overlap, with a reason.
    Override,
    /// Places a contested booking whose time has become free.
    Place,
    /// Offers a row back that the service acknowledged and a restored service does not have any more, for a person to review.
    Reoffer,
}

/// One change, as a device made it. Immutable from the moment it is first sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Op {
    /// The change's id, the same for ever.
    pub op_id: OpId,
    /// The entity.
    #[serde(flatten)]
    pub key: EntityKey,
    /// What is done.
    pub kind: OpKind,
    /// The entity's revision that the writer had seen; 0 for a creation. Never raised later.
    pub base_rev: i64,
    /// The version of the document that the writer writes.
    pub sv: u32,
    /// Units replaced, by name; `null` removes one. For a creation the whole document.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub units: Map<String, Value>,
    /// Elements of set units added or replaced: unit, element, value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, Map<String, Value>>,
    /// Elements of set units removed: unit, elements.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remove: BTreeMap<String, Vec<String>>,
    /// Why, where a reason is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the writer's clock showed: for people to read, never for a decision.
    pub client_ts: i64,
}

/// What a person did in one go: its operations are made all or none. Signed by that person's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// The group's id.
    pub grp: GroupId,
    /// Who did it.
    pub actor: UserId,
    /// In which role.
    pub role: Role,
    /// The replica in which it was done; differs from the sending one only after a re-registration.
    pub origin: ReplicaId,
    /// The mutation number of the first operation at the origin; the others follow without a gap.
    pub origin_mut: i64,
    /// The mutation number of the first operation at the sending replica.
    #[serde(rename = "mut")]
    pub first_mut: i64,
    /// Ed25519 signature by the actor over [`Group::signing_bytes`], base64url without padding.
    pub sig: String,
    /// Whether the bases of the operations name revisions of a history that the service has lost, so that they say nothing about what it has
    /// now: each operation counts as made by somebody who had seen nothing. The sending file finds out after the person has signed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
    /// The operations, in order.
    pub ops: Vec<Op>,
}

impl Group {
    /// What the actor signs: the canonical form of practice, group, actor, role, origin with its mutation number, and the operations. The
    /// sending replica's own numbers are left out, because a re-registered device sends the same group under others; so is
    /// [`Self::detached`], with which nothing is overwritten that would be kept without it.
    ///
    /// # Errors
    /// When an operation has no canonical form, which no operation made through the store has.
    pub fn signing_bytes(&self, practice: PracticeId) -> Result<Vec<u8>, caseload_domain::canonical::CanonicalError> {
        let ops = serde_json::to_value(&self.ops);
        #[cfg(feature = "test-faults")]
        let ops = ops.map(crate::planted::leave_bases_unsigned);
        let members = [
            ("actor", serde_json::to_value(self.actor)),
            ("grp", serde_json::to_value(self.grp)),
            ("ops", ops),
            ("origin", serde_json::to_value(self.origin)),
            ("origin_mut", serde_json::to_value(self.origin_mut)),
            ("practice", serde_json::to_value(practice)),
            ("role", serde_json::to_value(self.role)),
            ("v", Ok(Value::from(1))),
        ];
        let members = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.unwrap_or(Value::Null)));
        caseload_domain::canonical::object_to_bytes(&members.collect())
    }

    /// The mutation number after the last operation, at the sending replica.
    #[must_use]
    pub fn next_mut(&self) -> i64 {
        self.first_mut + i64::try_from(self.ops.len()).unwrap_or(i64::MAX)
    }
}

/// The last change of a replica that the other side knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOp {
    /// Its mutation number.
    #[serde(rename = "mut")]
    pub number: i64,
    /// Its id.
    pub op_id: OpId,
}

/// `POST /v1/sync/hello`: asked at start and after any refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloRequest {
    /// The protocol version that the device speaks.
    pub proto: u32,
    /// The program's version, for the log.
    pub app: String,
    /// The highest document version that the device writes, by type.
    pub schema: BTreeMap<String, u32>,
    /// The practice.
    pub practice: PracticeId,
    /// The computer.
    pub device: DeviceId,
    /// The file that syncs.
    pub replica: ReplicaId,
    /// The last change of this replica that the device knows to be acknowledged.
    pub last_op: Option<LastOp>,
    /// The mutation number that the device will use next.
    pub next_mut: i64,
    /// Where the device stands; `None` before its first pull.
    pub cursor: Option<Cursor>,
    /// What the device's clock shows.
    pub time_ms: i64,
}

/// What a device has to do after hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HelloAction {
    /// Go on.
    Ok,
    /// The device is not what the service remembers (restored or cloned): register a new replica, renumber, keep operation ids and bases.
    Reregister,
    /// The service's history is not the one that the cursor knows: take a snapshot, keep the outbox.
    Resync,
    /// The program is too old for this service.
    Upgrade,
    /// The device was revoked.
    Revoked,
}

/// The answer to hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelloResponse {
    /// What to do.
    pub action: HelloAction,
    /// The identity of the service's history; a restore makes a new one.
    pub epoch: String,
    /// The newest sequence number.
    pub head_seq: i64,
    /// Tombstones at or below it are gone; a cursor below it must resync.
    pub gc_floor: i64,
    /// The last change of this replica that the service has.
    pub last_op: Option<LastOp>,
    /// What the service's clock shows.
    pub server_time_ms: i64,
    /// The lowest writer version that the service accepts.
    pub min_writer: u32,
    /// What the service accepts.
    pub limits: Limits,
    /// Optional abilities, by name.
    pub features: Vec<String>,
}

/// What the service accepts; advertised in hello and enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Operations in one push.
    pub push_ops: u32,
    /// Bytes of a push body as sent.
    pub push_bytes: u64,
    /// Bytes of a push body after decompression.
    pub push_bytes_raw: u64,
    /// Bytes of one document in canonical form.
    pub doc_bytes: u64,
    /// Rows in one page of a pull or snapshot.
    pub pull_rows: u32,
    /// Bytes of one page, about.
    pub pull_bytes: u64,
    /// Syncs per minute and device.
    pub syncs_per_minute: u32,
    /// The longest wait, in milliseconds.
    pub wait_ms: u64,
    /// Bytes of a blob's ciphertext in one request; 0 for a service that takes no blobs.
    #[serde(default)]
    pub blob_chunk: u64,
    /// Bytes of a blob's ciphertext; 0 for a service that takes no blobs.
    #[serde(default)]
    pub blob_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            push_ops: 500,
            push_bytes: 4 << 20,
            push_bytes_raw: 16 << 20,
            doc_bytes: 256 << 10,
            pull_rows: 1000,
            pull_bytes: 4 << 20,
            syncs_per_minute: 600,
            wait_ms: 75_000,
            blob_chunk: 4 << 20,
            blob_max: 100 << 20,
        }
    }
}

/// `POST /v1/sync/push`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The sending replica.
    pub replica: ReplicaId,
    /// The history that the device believes in; `None` before its first contact.
    pub epoch: Option<String>,
    /// The newest state of which the file holds anything. To a service that was never in it the bases of the operations say nothing: it refuses
    /// with `history_diverged`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Moment>,
    /// The groups in order of their mutation numbers, without a gap.
    pub groups: Vec<Group>,
}

/// How one operation ended. Each operation ends in exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Made as sent.
    Applied,
    /// Made beside changes of others to other units; the image shows the result.
    Merged,
    /// Already made earlier under this id.
    Duplicate,
    /// A unit had another value already: kept as a Conflict record.
    Conflict,
    /// Booked, but contested: see the Clash record.
    Clash,
    /// Refused; goes to the device's quarantine.
    Rejected,
    /// Held: the entity was written by a newer program.
    Upgrade,
}

/// Why an operation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The document would be invalid; `fields` say where.
    Invalid,
    /// The actor may not do this.
    Forbidden,
    /// The entity exists already with other content.
    Exists,
    /// The entity does not exist.
    Missing,
    /// The content is frozen: signed, issued or immutable.
    Immutable,
    /// A differing body for something signed: an alarm, not an accident.
    Integrity,
    /// The operation patches a unit that only the service writes.
    ServiceUnit,
    /// A state that cannot follow the present one.
    NotAllowedNow,
    /// A reason is required.
    ReasonRequired,
    /// The time is still taken.
    NotFree,
    /// The document is larger than the limit.
    TooLarge,
    /// The type's rules are unknown to this service.
    UnknownKind,
    /// Another operation of the same group was refused.
    Group,
    /// The actor's signature does not verify.
    Signature,
}

/// The answer to one operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpResult {
    /// The mutation number at the sending replica.
    #[serde(rename = "mut")]
    pub number: i64,
    /// The operation.
    pub op_id: OpId,
    /// How it ended.
    pub st: Outcome,
    /// The entity's revision after it.
    pub rev: i64,
    /// The entity's sequence number after it.
    pub seq: i64,
    /// Conflict and Clash records that it opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opened: Vec<EntityId>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Refusal>,
    /// What was wrong, where it was invalid.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldProblem>,
}

/// The answer to a push. Fewer results than operations: send the rest again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResponse {
    /// One result per operation, in order.
    pub results: Vec<OpResult>,
    /// The history.
    pub epoch: String,
    /// The newest sequence number.
    pub head_seq: i64,
}

/// `POST /v1/sync/pull`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The pulling replica.
    pub replica: ReplicaId,
    /// Where the device stands; `None` starts at the beginning.
    pub cursor: Option<Cursor>,
    /// The scopes that the replica holds rows of.
    pub have: Vec<Scope>,
    /// Rows wanted at most; the service may send fewer.
    pub max_rows: u32,
}

/// One row of a pull, snapshot or fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireRow {
    /// The entity.
    #[serde(flatten)]
    pub key: EntityKey,
    /// Its revision.
    pub rev: i64,
    /// Its sequence number.
    pub seq: i64,
    /// Whether it is void.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub del: bool,
    /// The version of its document.
    pub sv: u32,
    /// The lowest version of the document that a program must know to change it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub min_writer: u32,
    /// Its scope.
    pub scope: Scope,
    /// The revision at which each unit was last written.
    pub u: BTreeMap<String, i64>,
    /// Its content.
    pub doc: Document,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
const fn is_none_gone(floor: &i64) -> bool {
    *floor == 0
}

/// The answer to a pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullResponse {
    /// Visible rows, in order of their sequence numbers.
    pub rows: Vec<WireRow>,
    /// Where to go on.
    pub cursor: Cursor,
    /// Whether there is more right now.
    pub more: bool,
    /// The newest sequence number.
    pub head_seq: i64,
    /// The last change of this replica that is contained, read before the scan. Meaningful only when `more` is false.
    pub acked: Option<LastOp>,
    /// Scopes that the reader gained: take a snapshot of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enter: Vec<Scope>,
    /// Scopes that the reader lost: remove their rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leave: Vec<Scope>,
    /// Tombstones at or below it are gone.
    pub gc_floor: i64,
}

/// `POST /v1/sync/snapshot`: all rows of some scopes, one scope after the other, in pages ordered by type and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The replica.
    pub replica: ReplicaId,
    /// The scope to go on with.
    pub scope: Scope,
    /// Scopes to go on with while the page has room, in ascending order of their written forms, all behind that of `scope`; at most
    /// [`Self::MOST_THEN`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub then: Vec<Scope>,
    /// The last key of the page before, in `scope`; `None` for its first page.
    pub after: Option<EntityKey>,
    /// The newest state of which the pages before were read; a history that was never in it is another one. `None` before the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Moment>,
    /// Rows wanted at most.
    pub max_rows: u32,
}

impl SnapshotRequest {
    /// Scopes in [`Self::then`].
    pub const MOST_THEN: usize = 1_000;
}

/// One page of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotResponse {
    /// The rows.
    pub rows: Vec<WireRow>,
    /// How many of [`SnapshotRequest::then`] are through; none while `scope` itself is not, or when nothing else was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then_through: Option<u32>,
    /// The key to go on after in the scope that this page ends in; `None` when it ends with a scope.
    pub after: Option<EntityKey>,
    /// The cursor to pull from afterwards: the head before this page was read. Keep the one of the first page.
    pub cursor: Cursor,
}

/// `POST /v1/sync/check`: are both ends equal?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The replica.
    pub replica: ReplicaId,
    /// The scopes that the replica holds.
    pub scopes: Vec<Scope>,
    /// Without it the sums of the scopes are answered; with it the manifest of one bucket (0 to 15) of one type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketName>,
    /// The newest state of which the replica holds anything; a history that was never in it is not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Moment>,
}

/// One of sixteen parts of the rows of one type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BucketName {
    /// The type.
    pub t: EntityKind,
    /// The first half byte of SHA-256 of the id.
    pub bucket: u8,
}

/// Sum and number of the leaves of one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketSum {
    /// Which.
    #[serde(flatten)]
    pub name: BucketName,
    /// How many rows.
    pub n: i64,
    /// Their leaves added modulo 2^256, 64 hex digits.
    pub s: String,
}

/// One row's leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The entity's id.
    pub id: EntityId,
    /// Its revision.
    pub rev: i64,
    /// Its leaf, 64 hex digits.
    pub leaf: String,
}

/// The answer to a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResponse {
    /// The state that was summed.
    pub seq: i64,
    /// Tombstones at or below it are gone.
    #[serde(default, skip_serializing_if = "is_none_gone")]
    pub gc_floor: i64,
    /// Sums of every non-empty bucket, when no bucket was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sums: Vec<BucketSum>,
    /// The bucket's rows, when one was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifest: Vec<ManifestEntry>,
}

/// `POST /v1/sync/fetch`: rows by key, to repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The replica.
    pub replica: ReplicaId,
    /// At most 200 keys.
    pub keys: Vec<EntityKey>,
    /// As [`CheckRequest::known`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Moment>,
}

/// The visible ones of the rows asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchResponse {
    /// The rows.
    pub rows: Vec<WireRow>,
}

/// The answer to `GET /v1/sync/wait?seq=`: a wake-up without data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitResponse {
    /// The newest sequence number.
    pub head_seq: i64,
}

/// Every refusal of the service has this body: `{"error":{"code":..,"request_id":..}}` and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The refusal.
    pub error: WireError,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireError {
    /// Its code.
    pub code: WireErrorCode,
    /// The id under which the service logged it.
    pub request_id: String,
    /// Milliseconds after which trying again makes sense, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// The codes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireErrorCode {
    /// The request cannot be read.
    Malformed,
    /// The body is larger than the limit.
    TooLarge,
    /// The encoding of the body is not supported.
    UnsupportedEncoding,
    /// The protocol version is not supported.
    UpgradeRequired,
    /// No or an expired token.
    AuthExpired,
    /// Wrong credentials.
    AuthFailed,
    /// Not allowed.
    Forbidden,
    /// The device was revoked.
    DeviceRevoked,
    /// The practice is not the token's.
    ForeignPractice,
    /// The practice was claimed already.
    AlreadyClaimed,
    /// The code is unknown or used.
    CodeUnknown,
    /// The code has expired.
    CodeExpired,
    /// The certificate chain does not verify.
    ChainInvalid,
    /// Not found.
    NotFound,
    /// Mutation numbers do not follow on each other.
    MutationGap,
    /// A mutation number was used for another change: the device was restored or cloned.
    DeviceForked,
    /// The cursor is older than the tombstones.
    CursorTooOld,
    /// The service was restored.
    EpochChanged,
    /// The cursor's history is not the service's.
    HistoryDiverged,
    /// The bytes do not go on where the blob ends: ask for its status and send from there.
    WrongOffset,
    /// What was received of the blob is not what the document names; it is to be sent anew.
    WrongHash,
    /// Too many requests.
    Busy,
    /// The storage cannot be reached; nothing was changed.
    StorageUnavailable,
    /// Something unexpected; nothing was acknowledged.
    Internal,
}

impl WireErrorCode {
    /// Whether the same request may succeed later without any change.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::StorageUnavailable | Self::Internal)
    }
}
