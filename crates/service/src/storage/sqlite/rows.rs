//! Heads and rows: how they are read from and written to the tables.

use std::collections::BTreeMap;

use caseload_domain::{Document, EntityId, EntityKey, EntityKind, PracticeId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::row::{Row, UnitMark};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, named_params, params};
use uuid::Uuid;

use super::failure;
use crate::storage::content::{self, Writing};
use crate::storage::error::StorageError;
use crate::storage::sealing::{Keyring, PracticeKey};

/// A UUID as its 16 bytes.
#[derive(Clone, Copy)]
pub(super) struct Id(pub(super) Uuid);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::from_slice(value.as_blob()?)
            .map(Self)
            .map_err(|_| FromSqlError::InvalidType)
    }
}

pub(super) fn ping(connection: &Connection) -> Result<(), StorageError> {
    connection
        .query_row("SELECT 1", [], |_| Ok(()))
        .map_err(|error| failure(&error))
}

pub(super) fn head(connection: &Connection, practice: PracticeId) -> Result<Option<PracticeHead>, StorageError> {
    connection
        .prepare_cached("SELECT epoch, seq, chain, client_number, gc_floor FROM practice WHERE practice = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([Id(practice.uuid())], |row| {
                    Ok(PracticeHead {
                        epoch: row.get(0)?,
                        seq: row.get(1)?,
                        chain: row.get::<_, Leaf>(2)?,
                        client_number: row.get(3)?,
                        gc_floor: row.get(4)?,
                    })
                })
                .optional()
        })
        .map_err(|error| failure(&error))
}

/// The practice's key, opened at its first use.
pub(super) fn key(connection: &Connection, keys: &Keyring, practice: PracticeId) -> Result<PracticeKey, StorageError> {
    if let Some(key) = keys.known(practice) {
        return Ok(key);
    }
    let kept: Option<Vec<u8>> = connection
        .query_row(
            "SELECT sealed_key FROM practice WHERE practice = ?1",
            [Id(practice.uuid())],
            |row| row.get(0),
        )
        .optional()
        .map_err(|error| failure(&error))?;
    keys.open(practice, &kept.ok_or(StorageError::UnknownPractice)?)
}

/// The columns that [`StoredRow::read`] expects, in its order.
pub(super) const COLUMNS: &str = "t, id, rev, seq, deleted, schema, min_writer, scope, doc, marks, sealed";

/// A row as it lies in the table.
pub(super) struct StoredRow {
    kind: String,
    id: Id,
    rev: i64,
    seq: i64,
    deleted: bool,
    schema: u32,
    min_writer: u32,
    scope: String,
    doc: Option<String>,
    marks: Option<String>,
    sealed: Option<Vec<u8>>,
}

impl StoredRow {
    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            kind: row.get(0)?,
            id: row.get(1)?,
            rev: row.get(2)?,
            seq: row.get(3)?,
            deleted: row.get(4)?,
            schema: row.get(5)?,
            min_writer: row.get(6)?,
            scope: row.get(7)?,
            doc: row.get(8)?,
            marks: row.get(9)?,
            sealed: row.get(10)?,
        })
    }

    /// The sequence number, and what `is_wanted` says to the scope.
    pub(super) fn peek(row: &rusqlite::Row<'_>, is_wanted: impl FnOnce(&str) -> bool) -> rusqlite::Result<(i64, bool)> {
        Ok((row.get(3)?, is_wanted(row.get_ref(7)?.as_str()?)))
    }

    /// Bytes of content, about.
    pub(super) fn size(&self) -> u64 {
        let content = self.doc.as_ref().map_or(0, String::len) + self.sealed.as_ref().map_or(0, Vec::len);
        u64::try_from(content).unwrap_or(u64::MAX)
    }

    pub(super) fn open(self, practice_key: &PracticeKey) -> Result<Row, StorageError> {
        let key = EntityKey {
            kind: EntityKind::new(self.kind),
            id: EntityId::new(self.id.0),
        };
        let (doc, marks) = match (self.doc, self.marks, self.sealed) {
            (Some(doc), Some(marks), None) => parse_open(&doc, &marks)?,
            (None, None, Some(sealed)) => content::open(practice_key, &key, &sealed)?,
            _ => return Err(StorageError::Unreadable("a row")),
        };
        Ok(Row {
            key,
            rev: self.rev,
            seq: self.seq,
            deleted: self.deleted,
            schema: self.schema,
            min_writer: self.min_writer,
            scope: content::parse_scope(&self.scope)?,
            doc,
            marks,
        })
    }
}

fn parse_open(doc: &str, marks: &str) -> Result<(Document, BTreeMap<String, UnitMark>), StorageError> {
    let doc = Document::parse(doc.as_bytes()).ok_or(StorageError::Unreadable("a document"))?;
    let marks: Vec<Writing> =
        serde_json::from_str(marks).map_err(|_| StorageError::Unreadable("the marks of a row"))?;
    Ok((doc, content::spread(marks)))
}

/// Rows by key, in the order of `wanted`; unknown ones are left out.
pub(super) fn fetch<'a>(
    connection: &Connection,
    keys: &Keyring,
    practice: PracticeId,
    wanted: impl IntoIterator<Item = &'a EntityKey>,
) -> Result<Vec<Row>, StorageError> {
    let practice_key = key(connection, keys, practice)?;
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM entity WHERE practice = ?1 AND t = ?2 AND id = ?3"
        ))
        .map_err(|error| failure(&error))?;
    let mut rows = Vec::new();
    for key in wanted {
        let found = statement
            .query_row(
                params![Id(practice.uuid()), key.kind.as_str(), Id(key.id.uuid())],
                StoredRow::read,
            )
            .optional()
            .map_err(|error| failure(&error))?;
        if let Some(found) = found {
            rows.push(found.open(&practice_key)?);
        }
    }
    Ok(rows)
}

/// Rows that are found under any of `slots`; one that lies under several comes several times.
pub(super) fn fetch_slots<'a>(
    connection: &Connection,
    practice_key: &PracticeKey,
    practice: PracticeId,
    slots: impl IntoIterator<Item = &'a String>,
) -> Result<Vec<Row>, StorageError> {
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM entity WHERE row IN (SELECT row FROM entity_slot WHERE practice = ?1 AND slot = ?2)"
        ))
        .map_err(|error| failure(&error))?;
    let mut rows = Vec::new();
    for slot in slots {
        let found = statement
            .query_map(params![Id(practice.uuid()), slot], StoredRow::read)
            .map_err(|error| failure(&error))?;
        for row in found {
            rows.push(row.map_err(|error| failure(&error))?.open(practice_key)?);
        }
    }
    Ok(rows)
}

/// Writes a row in its new form.
pub(super) fn write(
    connection: &Connection,
    practice_key: &PracticeKey,
    practice: PracticeId,
    row: &Row,
) -> Result<(), StorageError> {
    let clinical = row.scope.is_clinical();
    let (doc, marks, sealed) = if clinical {
        (None, None, Some(content::seal(practice_key, row)?))
    } else {
        let doc = String::from_utf8(content::canonical(&row.doc)?.to_vec())
            .map_err(|error| StorageError::Failed(error.into()))?;
        let marks =
            serde_json::to_string(&content::gather(&row.marks)).map_err(|error| StorageError::Failed(error.into()))?;
        (Some(doc), Some(marks), None)
    };
    let number: i64 = connection
        .prepare_cached(
            "INSERT INTO entity (practice, t, id, rev, seq, deleted, schema, min_writer, scope, doc, marks, sealed, care)
             VALUES (:practice, :t, :id, :rev, :seq, :deleted, :schema, :min_writer, :scope, :doc, :marks, :sealed, :care)
             ON CONFLICT (practice, t, id) DO UPDATE SET
                 rev = excluded.rev, seq = excluded.seq, deleted = excluded.deleted, schema = excluded.schema,
                 min_writer = excluded.min_writer, scope = excluded.scope, doc = excluded.doc, marks = excluded.marks,
                 sealed = excluded.sealed, care = excluded.care
             RETURNING row",
        )
        .and_then(|mut statement| {
            statement.query_row(
                named_params! {
                    ":practice": Id(practice.uuid()), ":t": row.key.kind.as_str(), ":id": Id(row.key.id.uuid()),
                    ":rev": row.rev, ":seq": row.seq, ":deleted": row.deleted, ":schema": row.schema,
                    ":min_writer": row.min_writer, ":scope": row.scope.to_string(), ":doc": doc, ":marks": marks,
                    ":sealed": sealed, ":care": content::carer(row).map(|user| Id(user.uuid())),
                },
                |row| row.get(0),
            )
        })
        .map_err(|error| failure(&error))?;
    write_slots(connection, practice, number, row).map_err(|error| failure(&error))
}

fn write_slots(connection: &Connection, practice: PracticeId, number: i64, row: &Row) -> rusqlite::Result<()> {
    // Only these have slots; asking for the others would cost every note a look-up.
    if !matches!(
        row.key.kind.as_str(),
        "appointment" | "clash" | "document" | "clinical_document"
    ) {
        return Ok(());
    }
    connection
        .prepare_cached("DELETE FROM entity_slot WHERE row = ?1")?
        .execute([number])?;
    let mut insert =
        connection.prepare_cached("INSERT OR IGNORE INTO entity_slot (practice, slot, row) VALUES (?1, ?2, ?3)")?;
    for slot in row.slots() {
        insert.execute(params![Id(practice.uuid()), slot, number])?;
    }
    Ok(())
}
