//! The collection of tombstones: marks of the head, and void rows that are old enough go.

use caseload_domain::PracticeId;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::failure;
use super::rows::{self, Id};
use crate::storage::error::StorageError;
use crate::storage::tombstones::{Collected, Keeping, SPARE_MS};

pub(super) fn collect(tx: &Connection, practice: PracticeId, keeping: Keeping) -> Result<Collected, StorageError> {
    let head = rows::head(tx, practice)?.ok_or(StorageError::UnknownPractice)?;
    let mark = mark(tx, practice, keeping, head.seq).map_err(|error| failure(&error))?;
    let floor = keeping.floor(head.seq, head.gc_floor, mark);
    let rows = remove(tx, practice, head.gc_floor, floor).map_err(|error| failure(&error))?;
    Ok(Collected {
        floor,
        rows: u64::try_from(rows).unwrap_or(u64::MAX),
    })
}

/// Makes a mark if one is due; gives the newest that counts.
fn mark(tx: &Connection, practice: PracticeId, keeping: Keeping, seq: i64) -> rusqlite::Result<Option<i64>> {
    let id = Id(practice.uuid());
    let newest: Option<i64> = tx.query_row("SELECT max(at_ms) FROM head_mark WHERE practice = ?1", [id], |row| {
        row.get(0)
    })?;
    if keeping.needs_mark(newest) {
        tx.execute(
            "INSERT INTO head_mark (practice, at_ms, seq) VALUES (?1, ?2, ?3)",
            params![id, keeping.now_ms, seq],
        )?;
        tx.execute(
            "DELETE FROM head_mark WHERE practice = ?1 AND at_ms < ?2",
            params![id, keeping.before_ms().saturating_sub(SPARE_MS)],
        )?;
    }
    tx.query_row(
        "SELECT seq FROM head_mark WHERE practice = ?1 AND at_ms <= ?2 ORDER BY at_ms DESC LIMIT 1",
        params![id, keeping.before_ms()],
        |row| row.get(0),
    )
    .optional()
}

fn remove(tx: &Connection, practice: PracticeId, from: i64, floor: i64) -> rusqlite::Result<usize> {
    if floor <= from {
        return Ok(0);
    }
    let range = params![Id(practice.uuid()), from, floor];
    tx.execute(
        "DELETE FROM entity_slot WHERE row IN
             (SELECT row FROM entity WHERE practice = ?1 AND seq > ?2 AND seq <= ?3 AND deleted = 1)",
        range,
    )?;
    let rows = tx.execute(
        "DELETE FROM entity WHERE practice = ?1 AND seq > ?2 AND seq <= ?3 AND deleted = 1",
        range,
    )?;
    tx.execute(
        "UPDATE practice SET gc_floor = ?2 WHERE practice = ?1",
        params![Id(practice.uuid()), floor],
    )?;
    Ok(rows)
}
