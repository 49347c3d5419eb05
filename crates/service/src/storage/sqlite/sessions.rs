//! Sessions: tokens are kept as their hashes, and an exchanged refresh token that comes again ends its session.

use caseload_domain::{DeviceId, PracticeId, UserId};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::failure;
use super::rows::Id;
use crate::storage::error::StorageError;
use crate::storage::records::{Rotation, Session, TokenHash, Tokens};

pub(super) fn put(tx: &Connection, session: &Session, tokens: &Tokens) -> Result<bool, StorageError> {
    tx.execute(
        "INSERT INTO session (practice, family, user, device, access, access_expires_ms, refresh, refresh_expires_ms, ended)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0
         WHERE NOT EXISTS (SELECT 1 FROM device WHERE practice = ?1 AND device = ?4 AND revoked)",
        params![
            Id(session.practice.uuid()),
            session.family,
            Id(session.user.uuid()),
            Id(session.device.uuid()),
            tokens.access.0,
            tokens.access_expires_ms,
            tokens.refresh.0,
            tokens.refresh_expires_ms,
        ],
    )
    .map(|begun| begun > 0)
    .map_err(|error| failure(&error))
}

pub(super) fn by_access(
    connection: &Connection,
    practice: PracticeId,
    access: TokenHash,
    now_ms: i64,
) -> Result<Option<Session>, StorageError> {
    connection
        .prepare_cached(
            "SELECT family, user, device FROM session
             WHERE practice = ?1 AND access = ?2 AND access_expires_ms > ?3 AND ended = 0",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![Id(practice.uuid()), access.0, now_ms], |row| {
                    read(row, practice)
                })
                .optional()
        })
        .map_err(|error| failure(&error))
}

fn read(row: &rusqlite::Row<'_>, practice: PracticeId) -> rusqlite::Result<Session> {
    Ok(Session {
        family: row.get(0)?,
        practice,
        user: UserId::new(row.get::<_, Id>(1)?.0),
        device: DeviceId::new(row.get::<_, Id>(2)?.0),
    })
}

pub(super) fn rotate(
    tx: &Connection,
    practice: PracticeId,
    refresh: TokenHash,
    tokens: &Tokens,
    now_ms: i64,
) -> Result<Rotation, StorageError> {
    rotate_in_tx(tx, practice, refresh, tokens, now_ms).map_err(|error| failure(&error))
}

fn rotate_in_tx(
    tx: &Connection,
    practice: PracticeId,
    refresh: TokenHash,
    tokens: &Tokens,
    now_ms: i64,
) -> rusqlite::Result<Rotation> {
    let spent: Option<String> = tx
        .query_row(
            "SELECT family FROM spent_refresh WHERE practice = ?1 AND refresh = ?2",
            params![Id(practice.uuid()), refresh.0],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(family) = spent {
        end_in_tx(tx, practice, &family)?;
        return Ok(Rotation::Reused);
    }
    let found = tx
        .query_row(
            "SELECT family, user, device, refresh_expires_ms FROM session WHERE practice = ?1 AND refresh = ?2 AND ended = 0",
            params![Id(practice.uuid()), refresh.0],
            |row| Ok((read(row, practice)?, row.get::<_, i64>(3)?)),
        )
        .optional()?;
    match found {
        None => Ok(Rotation::Unknown),
        Some((_, expires)) if now_ms >= expires => Ok(Rotation::Expired),
        Some((session, _)) => {
            remove_expired(tx, practice, now_ms)?;
            tx.execute(
                "INSERT INTO spent_refresh (practice, refresh, family) VALUES (?1, ?2, ?3)",
                params![Id(practice.uuid()), refresh.0, session.family],
            )?;
            tx.execute(
                "UPDATE session SET access = ?3, access_expires_ms = ?4, refresh = ?5, refresh_expires_ms = ?6
                 WHERE practice = ?1 AND family = ?2",
                params![
                    Id(practice.uuid()),
                    session.family,
                    tokens.access.0,
                    tokens.access_expires_ms,
                    tokens.refresh.0,
                    tokens.refresh_expires_ms,
                ],
            )?;
            Ok(Rotation::Rotated(session))
        }
    }
}

/// Nothing can be done with a session after its refresh token has expired, so neither it nor its spent tokens are kept.
fn remove_expired(tx: &Connection, practice: PracticeId, now_ms: i64) -> rusqlite::Result<()> {
    let removed = tx.execute(
        "DELETE FROM session WHERE practice = ?1 AND refresh_expires_ms <= ?2",
        params![Id(practice.uuid()), now_ms],
    )?;
    if removed > 0 {
        tx.execute(
            "DELETE FROM spent_refresh WHERE practice = ?1
             AND family NOT IN (SELECT family FROM session WHERE practice = ?1)",
            [Id(practice.uuid())],
        )?;
    }
    Ok(())
}

pub(super) fn end(tx: &Connection, practice: PracticeId, family: &str) -> Result<(), StorageError> {
    end_in_tx(tx, practice, family).map_err(|error| failure(&error))
}

fn end_in_tx(tx: &Connection, practice: PracticeId, family: &str) -> rusqlite::Result<()> {
    tx.execute(
        "UPDATE session SET ended = 1 WHERE practice = ?1 AND family = ?2",
        params![Id(practice.uuid()), family],
    )
    .map(drop)
}
