//! Files that documents name: sealed on this computer, kept as ciphertext beside the database, moved by sharing.
//!
//! What was added lies in the folder as it will be sent, so an upload that was cut goes on where the service stands, and what was fetched
//! lies there as it came. A file is added in two steps: its ciphertext is written and synced, then one transaction makes the document and the
//! entry of the queue. What a crash leaves between the two belongs to nothing and is swept away at the next opening.
//!
//! | state | the ciphertext is here | the service has it |
//! |---|---|---|
//! | waiting | yes | not for certain |
//! | refused | yes | no, and it does not take it |
//! | shared | yes | yes |
//! | wanted | not yet whole | perhaps |
//! | fetched | yes | yes |

use std::io::{self, Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caseload_domain::time::Millis;
use caseload_domain::{BlobId, ClientId, Document, EntityKey};
use caseload_protocol::blobs::{self, BlobReference};
use caseload_protocol::checksum::hex;
use caseload_vault::SymmetricKey;
use caseload_vault::blob::{self, SealError, SealedBlob, UnsealError};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::{Value, json};
use thiserror::Error;
use uuid::{Builder, Uuid};

use crate::error::StorageError;
use crate::folder::Folder;
use crate::identity::FileKind;
use crate::read::ReadTx;
use crate::rows::Entity;
use crate::store::Store;
use crate::turns::Who;
use crate::write::{WriteError, WriteTx};

/// A file that was sealed and belongs to no document yet. Dropping it leaves its ciphertext to the sweep.
pub struct NewFile {
    blob: BlobId,
    key: SymmetricKey,
    sealed: SealedBlob,
}

impl NewFile {
    /// The unit `content` of the document that will name the file.
    #[must_use]
    pub fn content(&self, media_type: &str, name: &str, created: Millis) -> Value {
        json!({
            "blob": self.blob, "key": URL_SAFE_NO_PAD.encode(self.key.expose()), "sha256": hex(&self.sealed.sha256),
            "size": self.sealed.size, "sealed_size": self.sealed.sealed_size, "media_type": media_type, "name": name,
            "created": created,
        })
    }
}

/// Where a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Here, and not for certain at the service.
    Waiting,
    /// Here; the service does not take it.
    Refused,
    /// Here and at the service.
    Shared,
    /// To be fetched.
    Wanted,
    /// Here; it came from the service.
    Fetched,
    /// Not here, and nobody has asked for it.
    Elsewhere,
}

impl FileState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Refused => "refused",
            Self::Shared => "shared",
            Self::Wanted => "wanted",
            Self::Fetched => "fetched",
            Self::Elsewhere => "elsewhere",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Waiting, Self::Refused, Self::Shared, Self::Wanted, Self::Fetched]
            .into_iter()
            .find(|state| state.as_str() == text)
    }

    /// Whether the whole file can be read on this computer.
    #[must_use]
    pub const fn is_here(self) -> bool {
        matches!(self, Self::Waiting | Self::Refused | Self::Shared | Self::Fetched)
    }
}

/// Why a file was not sealed, opened or moved.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file is larger than the service takes.
    #[error("the file is too large")]
    TooLarge,
    /// The document names no file, or does not exist here.
    #[error("there is no such file")]
    Unknown,
    /// The file is not on this computer yet.
    #[error("the file is not on this computer")]
    NotHere,
    /// What is here is not what the document names.
    #[error("the file is damaged")]
    Damaged(#[source] Option<UnsealError>),
    /// The file or its folder cannot be read or written.
    #[error("the file cannot be read or written")]
    Io(#[from] io::Error),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for FileError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl Store {
    fn folder(&self) -> Folder {
        Folder::beside(self.path())
    }

    /// Seals all of `file` into the folder, under a new id and key. The ciphertext is on the disk when this returns and is at most `most`
    /// bytes long.
    ///
    /// # Errors
    /// [`FileError::TooLarge`], [`FileError::Io`].
    pub fn seal_file(&self, file: &mut dyn Read, most: u64) -> Result<NewFile, FileError> {
        let blob = BlobId::new(Builder::from_random_bytes(self.entropy().bytes()).into_uuid());
        let key = SymmetricKey::from_bytes(self.entropy().bytes());
        let folder = self.folder();
        let mut sealed = None;
        folder.make(blob, |out| {
            sealed = Some(blob::seal_file(&key, blob.uuid(), file, out, most));
            // The outcome is looked at below; a file that was not sealed is not kept.
            Ok(matches!(sealed, Some(Ok(_))))
        })?;
        match sealed {
            Some(Ok(sealed)) => Ok(NewFile { blob, key, sealed }),
            Some(Err(SealError::TooLarge)) => Err(FileError::TooLarge),
            Some(Err(SealError::Io(error))) => Err(error.into()),
            None => Err(FileError::Unknown),
        }
    }

    /// Writes the file of a document, decrypted, and gives its size. What was written before an error is not the file.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open_file(&self, document: &EntityKey, out: &mut dyn Write) -> Result<u64, FileError> {
        let entity = self.read(|reads| reads.get(document))?.ok_or(FileError::Unknown)?;
        let reference = blobs::reference(&entity.doc).ok_or(FileError::Unknown)?;
        let key = key_of(&entity.doc).ok_or(FileError::Unknown)?;
        let mut sealed = self.folder().read(reference.blob)?.ok_or(FileError::NotHere)?;
        match blob::open_file(&key, reference.blob.uuid(), &mut sealed, out) {
            Ok(size) => Ok(size),
            Err(UnsealError::Io(error)) => Err(error.into()),
            Err(damage) => Err(FileError::Damaged(Some(damage))),
        }
    }

    /// Wants the file of a document to be fetched, unless it is here.
    ///
    /// # Errors
    /// [`FileError::Unknown`], [`FileError::Storage`].
    pub fn want_file(&self, document: &EntityKey, at: Millis) -> Result<(), FileError> {
        self.transact_for(Who::Person, |connection| {
            let entity = ReadTx::new(connection, self.kind())
                .get(document)?
                .ok_or(FileError::Unknown)?;
            let reference = blobs::reference(&entity.doc).ok_or(FileError::Unknown)?;
            Ok(enqueue(connection, document, &reference, FileState::Wanted, at)?)
        })
    }

    /// Wants the files of those of `changed` that are documents added after `since`: what is new is at hand without asking.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn want_recent_files(&self, changed: &[EntityKey], since: Millis, at: Millis) -> Result<(), StorageError> {
        let documents = || {
            changed
                .iter()
                .filter(|key| matches!(key.kind.as_str(), "document" | "clinical_document"))
        };
        if documents().next().is_none() {
            return Ok(());
        }
        self.transact(|connection| {
            for key in documents() {
                let Some(entity) = ReadTx::new(connection, self.kind()).get(key)? else {
                    continue;
                };
                let recent = entity.doc.integer("content", "created").is_some_and(|at| at > since.0);
                if let Some(reference) = blobs::reference(&entity.doc).filter(|_| recent && !entity.deleted) {
                    enqueue(connection, key, &reference, FileState::Wanted, at)?;
                }
            }
            Ok(())
        })
    }

    /// Where the file of a document is.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn file_state(&self, document: &EntityKey) -> Result<FileState, StorageError> {
        self.read(|reads| reads.file_state(document))
    }

    /// Files that wait to be sent, oldest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn files_to_share(&self) -> Result<Vec<BlobReference>, StorageError> {
        self.read(|reads| queued(reads.connection(), FileState::Waiting))
    }

    /// Files that are to be fetched, oldest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn files_to_fetch(&self) -> Result<Vec<BlobReference>, StorageError> {
        self.read(|reads| queued(reads.connection(), FileState::Wanted))
    }

    /// Remembers that the service has the whole file.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn file_shared(&self, blob: BlobId) -> Result<(), StorageError> {
        self.transact(|connection| set_state(connection, blob, FileState::Waiting, FileState::Shared))
    }

    /// Remembers that the service does not take the file. It stays here.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn file_refused(&self, blob: BlobId) -> Result<(), StorageError> {
        self.transact(|connection| set_state(connection, blob, FileState::Waiting, FileState::Refused))
    }

    /// At most `most` bytes of a ciphertext that is here, from `offset`.
    ///
    /// # Errors
    /// [`FileError::NotHere`], [`FileError::Io`].
    pub fn file_part(&self, blob: BlobId, offset: u64, most: usize) -> Result<Vec<u8>, FileError> {
        self.folder().part(blob, offset, most)?.ok_or(FileError::NotHere)
    }

    /// Whether the ciphertext that is here is what the document names.
    ///
    /// # Errors
    /// [`FileError::NotHere`], [`FileError::Io`].
    pub fn verify_file(&self, file: &BlobReference) -> Result<bool, FileError> {
        let mut sealed = self.folder().read(file.blob)?.ok_or(FileError::NotHere)?;
        Ok(blob::hash_file(&mut sealed)? == file.sha256)
    }

    /// Bytes of a file that were fetched so far: where to go on.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn fetched(&self, blob: BlobId) -> Result<u64, FileError> {
        Ok(self.folder().fetched(blob)?)
    }

    /// Appends bytes to what was fetched.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn append_fetched(&self, blob: BlobId, bytes: &[u8]) -> Result<(), FileError> {
        Ok(self.folder().append(blob, bytes)?)
    }

    /// Ends the fetching of a file: its hash is checked, and it is here. `false` when it is not what the document names; then what was
    /// fetched is thrown away and it is still wanted.
    ///
    /// # Errors
    /// [`FileError::Io`], [`FileError::Storage`].
    pub fn finish_fetched(&self, file: &BlobReference) -> Result<bool, FileError> {
        if !self.folder().keep_fetched(file.blob, &file.sha256)? {
            return Ok(false);
        }
        self.transact(|connection| set_state(connection, file.blob, FileState::Wanted, FileState::Fetched))?;
        Ok(true)
    }

    /// Removes the files of documents that have left this file. What waits to be sent is kept: its document may be among the refused
    /// changes, which can be made again.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn forget_files(&self) -> Result<(), FileError> {
        let gone = self.transact(|connection| {
            blobs_of(
                connection,
                "DELETE FROM file WHERE state <> 'waiting'
                 AND NOT EXISTS (SELECT 1 FROM doc WHERE doc.type = file.type AND doc.id = file.id) RETURNING blob",
            )
        })?;
        for blob in gone {
            self.folder().remove(blob)?;
        }
        Ok(())
    }

    /// Removes from the folder what belongs to nothing, as a crash leaves it. To be called at opening, before any file is added.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn sweep_files(&self) -> Result<(), FileError> {
        self.forget_files()?;
        let known = self.read(|reads| blobs_of(reads.connection(), "SELECT blob FROM file"))?;
        Ok(self.folder().sweep(|blob| known.contains(&blob))?)
    }
}

/// Takes the file of what is no document here any more out of the queue. The ciphertext is swept away at the next opening.
pub(crate) fn forget_queued(connection: &Connection, key: &EntityKey) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "DELETE FROM file WHERE type = ?1 AND id = ?2 AND NOT EXISTS (SELECT 1 FROM doc WHERE type = ?1 AND id = ?2)",
        )?
        .execute(params![key.kind.as_str(), key.id.uuid().as_bytes()])?;
    Ok(())
}

fn blobs_of(connection: &Connection, sql: &str) -> Result<Vec<BlobId>, StorageError> {
    let mut statement = connection.prepare_cached(sql)?;
    let blobs = statement.query_map([], |row| row.get(0).map(Uuid::from_bytes).map(BlobId::new))?;
    Ok(blobs.collect::<Result<_, _>>()?)
}

impl WriteTx<'_> {
    /// Makes a sealed file the one that the document `key` names, to be shared: in the transaction that creates the document.
    ///
    /// # Errors
    /// [`WriteError::Missing`] when the document does not exist or names another file.
    pub fn attach_file(&mut self, key: &EntityKey, file: &NewFile) -> Result<(), WriteError> {
        let entity = self.get(key)?.ok_or(WriteError::Missing)?;
        let reference = blobs::reference(&entity.doc).filter(|reference| reference.blob == file.blob);
        let reference = reference.ok_or(WriteError::Missing)?;
        enqueue(self.connection(), key, &reference, FileState::Waiting, self.at())?;
        Ok(())
    }
}

impl ReadTx<'_> {
    /// Where the file of a document is.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn file_state(&self, document: &EntityKey) -> Result<FileState, StorageError> {
        let state: Option<String> = self
            .connection()
            .prepare_cached("SELECT state FROM file WHERE type = ?1 AND id = ?2")?
            .query_row(params![document.kind.as_str(), document.id.uuid().as_bytes()], |row| {
                row.get(0)
            })
            .optional()?;
        match state {
            None => Ok(FileState::Elsewhere),
            Some(state) => FileState::parse(&state).ok_or(StorageError::Unreadable("file.state")),
        }
    }

    /// The documents of a client in this file, those that are not void.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn documents_of_client(&self, client: ClientId) -> Result<Vec<Entity>, StorageError> {
        let condition = match self.kind() {
            FileKind::Office => {
                "WHERE doc.type = 'document' AND json_extract(doc.doc, '$.subject.client') = ?1 AND NOT doc.deleted ORDER BY doc.row"
            }
            FileKind::Clinical(_) => {
                "WHERE doc.type = 'clinical_document' AND doc.client = ?1 AND NOT doc.deleted ORDER BY doc.row"
            }
        };
        self.entities(condition, &[&client.to_string()])
    }
}

/// Every file that is here is offered again: the service may have been restored from an older copy, and computers are its best backup.
pub(crate) fn share_again(connection: &Connection) -> Result<(), StorageError> {
    connection.execute(
        "UPDATE file SET state = 'waiting' WHERE state IN ('shared', 'refused', 'fetched')",
        [],
    )?;
    Ok(())
}

fn enqueue(
    connection: &Connection,
    document: &EntityKey,
    file: &BlobReference,
    state: FileState,
    at: Millis,
) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "INSERT INTO file (blob, type, id, sealed_size, sha256, state, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (blob) DO NOTHING",
        )?
        .execute(params![
            file.blob.uuid().as_bytes(),
            document.kind.as_str(),
            document.id.uuid().as_bytes(),
            i64::try_from(file.sealed_size).unwrap_or(i64::MAX),
            file.sha256,
            state.as_str(),
            at.0
        ])?;
    Ok(())
}

fn queued(connection: &Connection, state: FileState) -> Result<Vec<BlobReference>, StorageError> {
    let mut statement =
        connection.prepare_cached("SELECT blob, sealed_size, sha256 FROM file WHERE state = ?1 ORDER BY at, blob")?;
    let found = statement.query_map([state.as_str()], |row| {
        Ok(BlobReference {
            blob: BlobId::new(Uuid::from_bytes(row.get(0)?)),
            // Sizes are written from what a document says and are never negative.
            sealed_size: row.get::<_, i64>(1)?.unsigned_abs(),
            sha256: row.get(2)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn set_state(connection: &Connection, blob: BlobId, from: FileState, to: FileState) -> Result<(), StorageError> {
    connection
        .prepare_cached("UPDATE file SET state = ?3 WHERE blob = ?1 AND state = ?2")?
        .execute(params![blob.uuid().as_bytes(), from.as_str(), to.as_str()])?;
    Ok(())
}

fn key_of(document: &Document) -> Option<SymmetricKey> {
    let bytes = URL_SAFE_NO_PAD.decode(document.text("content", "key")?).ok()?;
    Some(SymmetricKey::from_bytes(bytes.try_into().ok()?))
}
