//! What a restored file needs: a new identity of each history, and a copy made while the service runs.

use std::path::Path;
use std::time::Duration;

use caseload_domain::PracticeId;
use caseload_protocol::checksum::Leaf;
use caseload_protocol::facts::PracticeHead;
use caseload_vault::SymmetricKey;
use rusqlite::backup::Backup;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::connection;
use super::failure;
use super::rows::{self, Id};
use crate::storage::content::leaf_in;
use crate::storage::error::{OpenError, StorageError};

/// Pages that are copied between two looks at the writer.
const PAGES: i32 = 256;

pub(super) fn practices(connection: &Connection) -> Result<Vec<PracticeId>, StorageError> {
    connection
        .prepare("SELECT practice FROM practice ORDER BY practice")
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok(PracticeId::new(row.get::<_, Id>(0)?.0)))?
                .collect()
        })
        .map_err(|error| failure(&error))
}

pub(super) fn begin_epoch(tx: &Connection, practice: PracticeId, epoch: &str) -> Result<PracticeHead, StorageError> {
    tx.execute(
        "UPDATE practice SET epoch = ?2 WHERE practice = ?1",
        params![Id(practice.uuid()), epoch],
    )
    .and_then(|_| {
        tx.execute(
            "UPDATE session SET ended = 1 WHERE practice = ?1",
            [Id(practice.uuid())],
        )
    })
    .map_err(|error| failure(&error))?;
    rows::head(tx, practice)?.ok_or(StorageError::UnknownPractice)
}

/// The leaf of the row that was written under a sequence number.
pub(super) fn leaf_at(connection: &Connection, practice: PracticeId, seq: i64) -> Result<Option<Leaf>, StorageError> {
    let found: Option<(i64, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT first_seq, leaves FROM op WHERE practice = ?1 AND last_seq IS NOT NULL AND last_seq >= ?2
             ORDER BY last_seq LIMIT 1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![Id(practice.uuid()), seq], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .map_err(|error| failure(&error))?;
    Ok(found.and_then(|(first, leaves)| leaf_in(first, &leaves, seq)))
}

/// Copies the file at `from` to `to`, which must not exist, by SQLite's online backup: one state of it, whatever is written meanwhile.
pub(crate) fn copy(from: &Path, to: &Path, master: &SymmetricKey) -> Result<(), OpenError> {
    let key = connection::file_key(master);
    let source = connection::open_reader(from, &key).map_err(OpenError::File)?;
    let mut target = connection::open_target(to, &key).map_err(OpenError::File)?;
    Backup::new(&source, &mut target)
        .and_then(|backup| backup.run_to_completion(PAGES, Duration::ZERO, None))
        .and_then(|()| connection::check_pages(&target))
        .map_err(OpenError::File)
}

/// Reads every page of the file at `path` and checks its seal: a page that was damaged or exchanged does not pass.
pub(crate) fn check_pages(path: &Path, master: &SymmetricKey) -> Result<(), OpenError> {
    let key = connection::file_key(master);
    connection::open_reader(path, &key)
        .and_then(|file| connection::check_pages(&file))
        .map_err(OpenError::File)
}
