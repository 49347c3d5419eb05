//! Moving files: what was added here is sent, what is wanted here is fetched, both in parts that go on where the last one ended.
//!
//! It runs beside the rounds, so that a large file delays no appointment. A file that cannot be moved now does not hold up the others.

use caseload_domain::time::Millis;
use caseload_domain::{BlobId, EntityKey};
use caseload_protocol::blobs::{BlobReference, BlobStatus, CommitBlob};
use caseload_protocol::checksum::hex;
use caseload_protocol::messages::{Limits, WireErrorCode};
use caseload_store::{FileError, Store};

use crate::engine::{Engine, SyncError};
use crate::error::TransportError;
use crate::transport::{BlobAnswer, BlobVerb};

/// Bytes in one part: small enough for a slow line within the time limit of a request, whatever more the service takes.
const PART: u64 = 1 << 20;
/// Files of documents that are at most this old are fetched without being asked for.
const RECENT: i64 = 30 * Millis::DAY;
/// How often one file begins again before it is left for the next time.
const ATTEMPTS: u32 = 3;

/// What was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Files that the service has now.
    pub sent: usize,
    /// Files that are here now.
    pub fetched: usize,
}

impl Engine {
    /// Moves the files that wait. Files that the service does not have or does not give out yet stay wanted.
    ///
    /// # Errors
    /// [`SyncError`]; what was moved until then is kept, and the next call goes on from there.
    pub async fn move_files(&self) -> Result<Moved, SyncError> {
        let _one_at_a_time = self.files.lock().await;
        let limits = self.limits();
        let mut moved = Moved::default();
        for file in self.blocking(Store::files_to_share).await?? {
            moved.sent += usize::from(self.send_file(&file, &limits).await?);
        }
        for file in self.blocking(Store::files_to_fetch).await?? {
            moved.fetched += usize::from(self.fetch_file(&file).await?);
        }
        Ok(moved)
    }

    /// Wants the files of documents that a round has brought, if they are recent.
    pub(crate) async fn want_recent(&self, changed: &[EntityKey], now: Millis) -> Result<(), SyncError> {
        let changed = changed.to_vec();
        self.blocking(move |store| store.want_recent_files(&changed, Millis(now.0 - RECENT), now))
            .await??;
        Ok(())
    }

    /// Sends a file; `false` when the service does not take it now or ever.
    async fn send_file(&self, file: &BlobReference, limits: &Limits) -> Result<bool, SyncError> {
        let reference = file.clone();
        if file.sealed_size > limits.blob_max || !self.blocking(move |store| store.verify_file(&reference)).await?? {
            return self.refuse(file.blob).await;
        }
        for _ in 0..ATTEMPTS {
            match self.send_parts(file, limits).await {
                Ok(()) => {
                    let blob = file.blob;
                    self.blocking(move |store| store.file_shared(blob)).await??;
                    return Ok(true);
                }
                Err(SyncError::Transport(error)) => match error.code() {
                    // Another sender was faster, or what had arrived was damaged: the status says where to go on.
                    Some(WireErrorCode::WrongOffset | WireErrorCode::WrongHash) => {}
                    Some(WireErrorCode::TooLarge) => return self.refuse(file.blob).await,
                    Some(WireErrorCode::Forbidden | WireErrorCode::NotFound) => return Ok(false),
                    _ => return Err(error.into()),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    async fn refuse(&self, blob: BlobId) -> Result<bool, SyncError> {
        self.blocking(move |store| store.file_refused(blob)).await??;
        Ok(false)
    }

    async fn send_parts(&self, file: &BlobReference, limits: &Limits) -> Result<(), SyncError> {
        let path = format!("/v1/blobs/{}", file.blob);
        let mut at = match self.session().blob(&path, BlobVerb::Status).await {
            Ok(BlobAnswer { status, .. }) => status.ok_or(TransportError::Unreadable)?.received,
            Err(error) if error.code() == Some(WireErrorCode::NotFound) => 0,
            Err(error) => return Err(error.into()),
        };
        let most = usize::try_from(PART.min(limits.blob_chunk)).unwrap_or(usize::MAX);
        while at < file.sealed_size {
            let blob = file.blob;
            let part = self.blocking(move |store| store.file_part(blob, at, most)).await??;
            let answer = self
                .session()
                .blob(&format!("{path}?off={at}"), BlobVerb::Put(part))
                .await?;
            let status = answer.status.ok_or(TransportError::Unreadable)?;
            if status.received <= at {
                return Err(TransportError::Unreadable.into());
            }
            at = status.received;
        }
        let request = CommitBlob {
            size: file.sealed_size,
            sha256: hex(&file.sha256),
        };
        let _: BlobStatus = self.session().post(&format!("{path}/commit"), &request).await?;
        Ok(())
    }

    /// Fetches a file; `false` when the service does not give it out yet, or what it gave was damaged.
    async fn fetch_file(&self, file: &BlobReference) -> Result<bool, SyncError> {
        let blob = file.blob;
        let path = format!("/v1/blobs/{blob}");
        loop {
            let at = self.blocking(move |store| store.fetched(blob)).await??;
            // At 0 it may have been kept before a crash; at the end it is whole or damaged.
            if at == 0 || at >= file.sealed_size {
                let whole = file.clone();
                let kept = self.blocking(move |store| store.finish_fetched(&whole)).await??;
                if kept || at > 0 {
                    return Ok(kept);
                }
            }
            let until = (at + PART).min(file.sealed_size) - 1;
            let part = match self.session().blob(&path, BlobVerb::Get { from: at, until }).await {
                Ok(answer) if answer.body.is_empty() => return Err(TransportError::Unreadable.into()),
                Ok(answer) => answer.body,
                Err(error) => match error.code() {
                    Some(WireErrorCode::Forbidden | WireErrorCode::NotFound) => return Ok(false),
                    _ => return Err(error.into()),
                },
            };
            self.blocking(move |store| store.append_fetched(blob, &part)).await??;
        }
    }
}

impl From<FileError> for SyncError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Storage(error) => Self::Storage(error),
            error => Self::File(error),
        }
    }
}
