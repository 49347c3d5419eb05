//! The ciphertext of files: what a storage keeps of it, and the rules by which it grows.
//!
//! A blob grows at its end only, part by part, until it is committed; from then on it never changes. One that is not committed
//! [`UPLOAD_MS`] after it was begun is gone. What is kept is ciphertext under a key that no storage has in the clear for clinical files.

use async_trait::async_trait;
use caseload_domain::{BlobId, PracticeId, UserId};
use caseload_protocol::blobs::BlobStatus;
use caseload_protocol::row::Row;
use thiserror::Error;

use super::error::StorageError;

/// How long a blob may take from its first part to its commit, in milliseconds.
pub const UPLOAD_MS: i64 = 7 * 24 * 3_600_000;

/// What is known of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobState {
    /// Who began to send it.
    pub begun_by: UserId,
    /// Bytes that are there, from the beginning and without a gap.
    pub received: u64,
    /// The hash over all bytes of a committed one.
    pub sha256: Option<[u8; 32]>,
}

impl BlobState {
    /// As a device is told.
    #[must_use]
    pub const fn status(&self) -> BlobStatus {
        BlobStatus {
            received: self.received,
            committed: self.sha256.is_some(),
        }
    }
}

/// Bytes that go on at the end of a blob.
#[derive(Clone)]
pub struct BlobPart {
    /// The blob.
    pub blob: BlobId,
    /// The place of the first byte.
    pub offset: u64,
    /// The bytes; at least one.
    pub bytes: Vec<u8>,
    /// Who sends them.
    pub by: UserId,
    /// When, in milliseconds.
    pub now_ms: i64,
    /// How long a blob may be.
    pub most: u64,
}

impl BlobPart {
    /// The place after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes.len() as u64)
    }
}

/// Why a blob did not grow or was not committed. Nothing was changed, except that [`BlobError::WrongHash`] throws away what was received.
#[derive(Debug, Error)]
pub enum BlobError {
    /// The bytes do not follow on what is there, and are not a repetition of it; or not everything is there.
    #[error("the blob has {received} bytes")]
    WrongOffset {
        /// What is there.
        received: u64,
    },
    /// What is there does not have the hash; it is to be sent anew. A committed blob stays as it is.
    #[error("the blob has another hash")]
    WrongHash,
    /// It would be longer than allowed.
    #[error("the blob is too large")]
    TooLarge,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The part of the contract that is about blobs.
#[async_trait]
pub trait BlobStorage: Send + Sync + 'static {
    /// What is there of a blob; `None` when nothing is, or its time is over.
    async fn blob(&self, practice: PracticeId, blob: BlobId, now_ms: i64) -> Result<Option<BlobState>, StorageError>;

    /// Appends a part. The same part again changes nothing and gives the same answer, after the commit as well.
    async fn put_blob(&self, practice: PracticeId, part: BlobPart) -> Result<BlobState, BlobError>;

    /// Makes a blob final after reading all of it: it has this length and hash. Again it gives the same answer.
    async fn commit_blob(
        &self,
        practice: PracticeId,
        blob: BlobId,
        size: u64,
        sha256: [u8; 32],
        now_ms: i64,
    ) -> Result<BlobState, BlobError>;

    /// At most `most` bytes of a committed blob from `offset`; empty at its end, `None` when it is not committed.
    async fn read_blob(
        &self,
        practice: PracticeId,
        blob: BlobId,
        offset: u64,
        most: usize,
    ) -> Result<Option<Vec<u8>>, StorageError>;

    /// The documents that name a blob, void ones included.
    async fn documents_of_blob(&self, practice: PracticeId, blob: BlobId) -> Result<Vec<Row>, StorageError>;
}

/// What a part does to what is there.
pub(super) enum Growth {
    /// A new blob, or one whose time was over.
    Begins,
    /// It goes on at the end.
    GoesOn,
    /// The bytes lie within what is there: they have to be equal to a part that is.
    Repeats,
}

/// Decides on a part, before anything is written.
pub(super) fn growth(known: Option<&BlobState>, part: &BlobPart) -> Result<Growth, BlobError> {
    let received = known.map_or(0, |known| known.received);
    if part.end() > part.most {
        return Err(BlobError::TooLarge);
    }
    match known {
        None if part.offset == 0 => Ok(Growth::Begins),
        Some(known) if part.offset == received && known.sha256.is_none() => Ok(Growth::GoesOn),
        Some(_) if part.end() <= received => Ok(Growth::Repeats),
        _ => Err(BlobError::WrongOffset { received }),
    }
}

/// What a commit does, when `known` is there and all its bytes hash to `found`.
pub(super) fn commit(known: &BlobState, size: u64, sha256: [u8; 32]) -> Result<bool, BlobError> {
    match known.sha256 {
        Some(committed) if committed == sha256 && known.received == size => Ok(false),
        Some(_) => Err(BlobError::WrongHash),
        None if known.received == size => Ok(true),
        None => Err(BlobError::WrongOffset {
            received: known.received,
        }),
    }
}

/// Adds to `wanted` what lies between `from` and `end` of a part that begins at `place`.
pub(super) fn cut(place: u64, part: &[u8], from: u64, end: u64, wanted: &mut Vec<u8>) {
    let within = |at: u64| usize::try_from(at.saturating_sub(place)).map_or(part.len(), |at| at.min(part.len()));
    wanted.extend_from_slice(&part[within(from)..within(end).max(within(from))]);
}
