//! Blobs: one row for each, one for each part that was sent.

use caseload_domain::{BlobId, PracticeId, UserId};
use caseload_protocol::row::{Row, blob_slot};
use ring::digest::{Context, SHA256};
use rusqlite::{Connection, OptionalExtension as _, params};

use async_trait::async_trait;

use super::rows::{self, Id};
use super::{SqliteStorage, failure};
use crate::storage::blobs::{self, BlobError, BlobPart, BlobState, BlobStorage, Growth, UPLOAD_MS};
use crate::storage::error::StorageError;

#[async_trait]
impl BlobStorage for SqliteStorage {
    async fn blob(&self, practice: PracticeId, blob: BlobId, now_ms: i64) -> Result<Option<BlobState>, StorageError> {
        self.read(move |connection, _| state(connection, practice, blob, now_ms))
            .await
    }

    async fn put_blob(&self, practice: PracticeId, part: BlobPart) -> Result<BlobState, BlobError> {
        self.writer.write(move |tx| put(tx, practice, &part)).await
    }

    async fn commit_blob(
        &self,
        practice: PracticeId,
        blob: BlobId,
        size: u64,
        sha256: [u8; 32],
        now_ms: i64,
    ) -> Result<BlobState, BlobError> {
        // What is there never changes, so it is read beside the writer.
        let found = self
            .read(move |connection, _| {
                let state = state(connection, practice, blob, now_ms)?;
                let pending = state.as_ref().is_some_and(|state| state.sha256.is_none());
                let hash = if pending {
                    Some(hash(connection, practice, blob)?)
                } else {
                    None
                };
                Ok((state, hash))
            })
            .await?;
        let (Some(known), hash) = found else {
            return Err(BlobError::WrongOffset { received: 0 });
        };
        if !blobs::commit(&known, size, sha256)? {
            return Ok(known);
        }
        let right = hash == Some((size, sha256));
        self.writer
            .write(move |tx| finish(tx, practice, blob, size, right.then_some(sha256)))
            .await?
            .ok_or(BlobError::WrongHash)
    }

    async fn read_blob(
        &self,
        practice: PracticeId,
        blob: BlobId,
        offset: u64,
        most: usize,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        self.read(move |connection, _| read(connection, practice, blob, offset, most))
            .await
    }

    async fn documents_of_blob(&self, practice: PracticeId, blob: BlobId) -> Result<Vec<Row>, StorageError> {
        self.read(move |connection, keys| {
            let key = rows::key(connection, keys, practice)?;
            rows::fetch_slots(connection, &key, practice, [&blob_slot(blob)])
        })
        .await
    }
}

/// A place or length as SQLite keeps it. They are never negative and far below 2^63.
fn number(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

/// The state, whatever its age, and when it was begun.
fn kept(connection: &Connection, practice: PracticeId, blob: BlobId) -> Result<Option<(BlobState, i64)>, StorageError> {
    connection
        .prepare_cached("SELECT begun_by, received, sha256, begun_ms FROM blob WHERE practice = ?1 AND blob = ?2")
        .and_then(|mut statement| {
            statement
                .query_row(params![Id(practice.uuid()), Id(blob.uuid())], |row| {
                    let state = BlobState {
                        begun_by: UserId::new(row.get::<_, Id>(0)?.0),
                        received: row.get::<_, i64>(1)?.unsigned_abs(),
                        sha256: row.get(2)?,
                    };
                    Ok((state, row.get(3)?))
                })
                .optional()
        })
        .map_err(|error| failure(&error))
}

fn state(
    connection: &Connection,
    practice: PracticeId,
    blob: BlobId,
    now_ms: i64,
) -> Result<Option<BlobState>, StorageError> {
    let kept = kept(connection, practice, blob)?;
    Ok(kept
        .filter(|(state, begun)| state.sha256.is_some() || begun.saturating_add(UPLOAD_MS) > now_ms)
        .map(|(state, _)| state))
}

fn put(tx: &Connection, practice: PracticeId, part: &BlobPart) -> Result<BlobState, BlobError> {
    let known = state(tx, practice, part.blob, part.now_ms)?;
    let grown = BlobState {
        begun_by: known.map_or(part.by, |known| known.begun_by),
        received: part.end(),
        sha256: None,
    };
    match (blobs::growth(known.as_ref(), part)?, known) {
        (Growth::Repeats, Some(known)) => {
            return if is_there(tx, practice, part)? {
                Ok(known)
            } else {
                Err(BlobError::WrongOffset {
                    received: known.received,
                })
            };
        }
        (Growth::Begins, _) => remove_abandoned(tx, practice, part.now_ms)?,
        (Growth::GoesOn | Growth::Repeats, _) => {}
    }
    write(tx, practice, part, &grown).map_err(|error| failure(&error))?;
    Ok(grown)
}

fn write(tx: &Connection, practice: PracticeId, part: &BlobPart, grown: &BlobState) -> rusqlite::Result<()> {
    let (p, blob) = (Id(practice.uuid()), Id(part.blob.uuid()));
    tx.prepare_cached(
        "INSERT INTO blob (practice, blob, begun_by, begun_ms, received) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (practice, blob) DO UPDATE SET received = excluded.received",
    )?
    .execute(params![
        p,
        blob,
        Id(grown.begun_by.uuid()),
        part.now_ms,
        number(grown.received)
    ])?;
    tx.prepare_cached("INSERT INTO blob_chunk (practice, blob, off, bytes) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![p, blob, number(part.offset), part.bytes])?;
    Ok(())
}

/// Whether this very part was appended before.
fn is_there(tx: &Connection, practice: PracticeId, part: &BlobPart) -> Result<bool, StorageError> {
    tx.query_row(
        "SELECT 1 FROM blob_chunk WHERE practice = ?1 AND blob = ?2 AND off = ?3 AND bytes = ?4",
        params![
            Id(practice.uuid()),
            Id(part.blob.uuid()),
            number(part.offset),
            part.bytes
        ],
        |_| Ok(()),
    )
    .optional()
    .map(|found| found.is_some())
    .map_err(|error| failure(&error))
}

/// Blobs whose time is over make room for new ones.
fn remove_abandoned(tx: &Connection, practice: PracticeId, now_ms: i64) -> Result<(), StorageError> {
    let before = params![Id(practice.uuid()), now_ms.saturating_sub(UPLOAD_MS)];
    tx.execute(
        "DELETE FROM blob_chunk WHERE practice = ?1
         AND blob IN (SELECT blob FROM blob WHERE practice = ?1 AND sha256 IS NULL AND begun_ms <= ?2)",
        before,
    )
    .and_then(|_| {
        tx.execute(
            "DELETE FROM blob WHERE practice = ?1 AND sha256 IS NULL AND begun_ms <= ?2",
            before,
        )
    })
    .map(drop)
    .map_err(|error| failure(&error))
}

/// Length and hash of everything that is there.
fn hash(connection: &Connection, practice: PracticeId, blob: BlobId) -> Result<(u64, [u8; 32]), StorageError> {
    let hash_all = || -> rusqlite::Result<_> {
        let mut statement = connection
            .prepare_cached("SELECT off, bytes FROM blob_chunk WHERE practice = ?1 AND blob = ?2 ORDER BY off")?;
        let mut parts = statement.query(params![Id(practice.uuid()), Id(blob.uuid())])?;
        let (mut context, mut end) = (Context::new(&SHA256), 0_u64);
        while let Some(part) = parts.next()? {
            let bytes = part.get_ref(1)?.as_blob()?;
            if part.get::<_, i64>(0)? != number(end) {
                break;
            }
            context.update(bytes);
            end += bytes.len() as u64;
        }
        Ok((end, context))
    };
    let (end, context) = hash_all().map_err(|error| failure(&error))?;
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Ok((end, hash))
}

/// Ends an upload: with the hash that was found right it is final, without one it is thrown away, and nothing is given.
fn finish(
    tx: &Connection,
    practice: PracticeId,
    blob: BlobId,
    size: u64,
    sha256: Option<[u8; 32]>,
) -> Result<Option<BlobState>, BlobError> {
    let key = params![Id(practice.uuid()), Id(blob.uuid())];
    match sha256 {
        Some(sha256) => {
            let changed = tx.execute(
                "UPDATE blob SET sha256 = ?3 WHERE practice = ?1 AND blob = ?2 AND received = ?4 AND sha256 IS NULL",
                params![Id(practice.uuid()), Id(blob.uuid()), sha256, number(size)],
            );
            let now = kept(tx, practice, blob)?.map(|(state, _)| state);
            match (changed.map_err(|error| failure(&error))?, now) {
                (_, Some(state)) if state.sha256 == Some(sha256) => Ok(Some(state)),
                (_, state) => Err(BlobError::WrongOffset {
                    received: state.map_or(0, |state| state.received),
                }),
            }
        }
        None => tx
            .execute("DELETE FROM blob_chunk WHERE practice = ?1 AND blob = ?2", key)
            .and_then(|_| tx.execute("DELETE FROM blob WHERE practice = ?1 AND blob = ?2", key))
            .map(|_| None)
            .map_err(|error| failure(&error).into()),
    }
}

fn read(
    connection: &Connection,
    practice: PracticeId,
    blob: BlobId,
    offset: u64,
    most: usize,
) -> Result<Option<Vec<u8>>, StorageError> {
    let Some((state, _)) = kept(connection, practice, blob)?.filter(|(state, _)| state.sha256.is_some()) else {
        return Ok(None);
    };
    let end = state.received.min(offset.saturating_add(most as u64));
    let read_all = || -> rusqlite::Result<Vec<u8>> {
        let mut statement = connection.prepare_cached(
            "SELECT off, bytes FROM blob_chunk WHERE practice = ?1 AND blob = ?2 AND off < ?4
             AND off >= coalesce((SELECT max(off) FROM blob_chunk WHERE practice = ?1 AND blob = ?2 AND off <= ?3), 0)
             ORDER BY off",
        )?;
        let mut parts = statement.query(params![
            Id(practice.uuid()),
            Id(blob.uuid()),
            number(offset),
            number(end)
        ])?;
        let mut wanted = Vec::new();
        while let Some(part) = parts.next()? {
            blobs::cut(
                part.get::<_, i64>(0)?.unsigned_abs(),
                part.get_ref(1)?.as_blob()?,
                offset,
                end,
                &mut wanted,
            );
        }
        Ok(wanted)
    };
    read_all().map(Some).map_err(|error| failure(&error))
}
