//! Blobs on the wire: the ciphertext of files, sent and fetched in parts, both ways resumable by offset.
//!
//! | request | answer |
//! |---|---|
//! | `HEAD /v1/blobs/{id}` | 200 with [`RECEIVED`] and [`COMMITTED`]; 404 while nothing of it is there |
//! | `PUT /v1/blobs/{id}?off=N`, bytes | [`BlobStatus`]; the bytes go on at `N`, at most `blob_chunk` of them |
//! | `POST /v1/blobs/{id}/commit`, [`CommitBlob`] | [`BlobStatus`]; length and hash are checked over what is stored |
//! | `GET /v1/blobs/{id}`, `Range: bytes=A-B` | 206 with at most `blob_chunk` bytes from `A`, `Content-Range` says which; only after commit |
//!
//! Everything may be repeated. A blob may be sent before its document is there (the row is then pending) and after it; it is given out only
//! to a session that may read a document that names it. A blob that is not committed a week after it was begun is begun anew.

use caseload_domain::{BlobId, Document};
use serde::{Deserialize, Serialize};

/// The header that says how many bytes are there.
pub const RECEIVED: &str = "x-caseload-received";
/// The header that says whether the blob is committed: `true` or `false`.
pub const COMMITTED: &str = "x-caseload-committed";

/// How much of a blob the service has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobStatus {
    /// Bytes received, from the beginning and without a gap.
    pub received: u64,
    /// Whether it is complete and checked.
    pub committed: bool,
}

/// `POST /v1/blobs/{id}/commit`: everything was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitBlob {
    /// Bytes of the ciphertext.
    pub size: u64,
    /// SHA-256 of the ciphertext, 64 hex digits.
    pub sha256: String,
}

/// What a document says about its file's ciphertext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobReference {
    /// The blob.
    pub blob: BlobId,
    /// Bytes of the ciphertext.
    pub sealed_size: u64,
    /// SHA-256 of the ciphertext.
    pub sha256: [u8; 32],
}

/// What `document` says about its file; `None` when it names none.
#[must_use]
pub fn reference(document: &Document) -> Option<BlobReference> {
    Some(BlobReference {
        blob: document.text("content", "blob")?.parse().ok()?,
        sealed_size: document.integer("content", "sealed_size")?.try_into().ok()?,
        sha256: parse_hash(document.text("content", "sha256")?)?,
    })
}

/// Reads 64 hex digits; `None` when it is not that.
#[must_use]
pub fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::hex;

    #[test]
    fn a_hash_is_read_back_and_nothing_else_is_one() {
        assert_eq!(parse_hash(&hex(&[0xa5; 32])), Some([0xa5; 32]));
        for wrong in ["", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(parse_hash(wrong), None);
        }
    }
}
