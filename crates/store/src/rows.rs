//! Rows of documents: how they are read and written, and the one rule of what they show, `doc = rebase(base, waiting operations)`.

use std::collections::BTreeMap;

use caseload_domain::{Document, EntityId, EntityKey, EntityKind, Scope};
use caseload_protocol::messages::{Op, WireRow};
use caseload_protocol::rebase::{Working, rebase};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::error::StorageError;
use crate::identity::FileKind;
use crate::projections;

/// One entity as a person sees it: the service's version with the changes that wait here on top.
#[derive(Clone, Debug, PartialEq)]
pub struct Entity {
    /// Type and id.
    pub key: EntityKey,
    /// The content.
    pub doc: Document,
    /// The service's revision; 0 while the service does not have it.
    pub rev: i64,
    /// The service's sequence number of its last change.
    pub seq: i64,
    /// Whether it is void.
    pub deleted: bool,
    /// The version of the document.
    pub sv: u32,
    /// The lowest version of the document that a program must know to change it.
    pub min_writer: u32,
    /// Its readers.
    pub scope: Scope,
    /// Whether a change waits here that the service has not acknowledged.
    pub pending: bool,
}

/// The columns of [`Entity`], to be read by [`entity`].
pub(crate) const ENTITY: &str = "doc.type, doc.id, doc.rev, doc.seq, doc.deleted, doc.sv, doc.min_writer, doc.scope, doc.doc, \
     (doc.rev = 0 OR doc.base_doc IS NOT NULL) AND EXISTS (SELECT 1 FROM outbox AS waits \
        WHERE waits.type = doc.type AND waits.id = doc.id AND waits.state <> 'acked')";

/// Reads the columns [`ENTITY`].
pub(crate) fn entity(row: &Row<'_>) -> Result<Entity, StorageError> {
    Ok(Entity {
        key: key(row, 0)?,
        rev: row.get(2)?,
        seq: row.get(3)?,
        deleted: row.get(4)?,
        sv: row.get(5)?,
        min_writer: row.get(6)?,
        scope: scope(row.get_ref(7)?.as_str().unwrap_or_default())?,
        doc: parse(row.get_ref(8)?.as_bytes().unwrap_or_default())?,
        pending: row.get(9)?,
    })
}

/// Type and id in the columns from `first` on.
pub(crate) fn key(row: &Row<'_>, first: usize) -> Result<EntityKey, StorageError> {
    Ok(EntityKey {
        kind: EntityKind::new(row.get::<_, String>(first)?),
        id: EntityId::new(Uuid::from_bytes(row.get(first + 1)?)),
    })
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Document, StorageError> {
    Document::parse(bytes).ok_or(StorageError::Unreadable("document"))
}

fn scope(text: &str) -> Result<Scope, StorageError> {
    Scope::parse(text).ok_or(StorageError::Unreadable("scope"))
}

/// The service's version of an entity.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    pub(crate) rev: i64,
    pub(crate) seq: i64,
    pub(crate) deleted: bool,
    pub(crate) sv: u32,
    pub(crate) min_writer: u32,
    pub(crate) scope: Scope,
    /// JSON object of unit revisions.
    pub(crate) units: String,
    /// Canonical text.
    pub(crate) text: String,
    /// The same, parsed, where it is at hand.
    pub(crate) doc: Option<Document>,
}

impl Mirror {
    /// What the service sent; `None` when the document has no canonical form.
    pub(crate) fn of_wire(row: &WireRow) -> Option<Self> {
        Some(Self {
            rev: row.rev,
            seq: row.seq,
            deleted: row.del,
            sv: row.sv,
            min_writer: row.min_writer,
            scope: row.scope,
            units: unit_text(&row.u),
            text: canonical_text(&row.doc)?,
            doc: Some(row.doc.clone()),
        })
    }

    /// As the service sent it.
    pub(crate) fn to_wire(&self, key: &EntityKey) -> Result<WireRow, StorageError> {
        Ok(WireRow {
            key: key.clone(),
            rev: self.rev,
            seq: self.seq,
            del: self.deleted,
            sv: self.sv,
            min_writer: self.min_writer,
            scope: self.scope,
            u: serde_json::from_str(&self.units).map_err(|_| StorageError::Unreadable("unit revisions"))?,
            doc: self.document()?,
        })
    }

    fn document(&self) -> Result<Document, StorageError> {
        self.doc.clone().map_or_else(|| parse(self.text.as_bytes()), Ok)
    }
}

/// One row as it is stored.
pub(crate) struct Stored {
    pub(crate) row: i64,
    pub(crate) rev: i64,
    pub(crate) seq: i64,
    pub(crate) deleted: bool,
    pub(crate) sv: u32,
    pub(crate) min_writer: u32,
    pub(crate) scope: Scope,
    pub(crate) units: String,
    pub(crate) text: String,
    pub(crate) base: Option<(String, bool)>,
}

impl Stored {
    /// Whether operations on it may be in the outbox; without this there are none.
    pub(crate) const fn may_have_ops(&self) -> bool {
        self.rev == 0 || self.base.is_some()
    }

    /// The service's version; `None` when it has none.
    pub(crate) fn mirror(&self) -> Option<Mirror> {
        let (text, deleted) = match &self.base {
            _ if self.rev == 0 => return None,
            Some((text, deleted)) => (text.clone(), *deleted),
            None => (self.text.clone(), self.deleted),
        };
        Some(Mirror {
            rev: self.rev,
            seq: self.seq,
            deleted,
            sv: self.sv,
            min_writer: self.min_writer,
            scope: self.scope,
            units: self.units.clone(),
            text,
            doc: None,
        })
    }

    pub(crate) fn working(&self) -> Result<Working, StorageError> {
        Ok(Working {
            doc: parse(self.text.as_bytes())?,
            deleted: self.deleted,
        })
    }
}

pub(crate) fn load(connection: &Connection, key: &EntityKey) -> Result<Option<Stored>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT row, rev, seq, deleted, sv, min_writer, scope, units, doc, base_doc, base_deleted
         FROM doc WHERE type = ?1 AND id = ?2",
    )?;
    let found = statement
        .query_row(params![key.kind.as_str(), key.id.uuid().as_bytes()], |row| {
            let base: Option<String> = row.get(9)?;
            let base_deleted: Option<bool> = row.get(10)?;
            let scope: String = row.get(6)?;
            Ok((
                Stored {
                    row: row.get(0)?,
                    rev: row.get(1)?,
                    seq: row.get(2)?,
                    deleted: row.get(3)?,
                    sv: row.get(4)?,
                    min_writer: row.get(5)?,
                    scope: Scope::Office,
                    units: row.get(7)?,
                    text: row.get(8)?,
                    base: base.map(|text| (text, base_deleted.unwrap_or_default())),
                },
                scope,
            ))
        })
        .optional()?;
    found
        .map(|(stored, text)| {
            Ok(Stored {
                scope: scope(&text)?,
                ..stored
            })
        })
        .transpose()
}

/// Makes a row for an entity that the service does not have yet.
pub(crate) fn insert_local(
    connection: &Connection,
    file: FileKind,
    key: &EntityKey,
    new: &LocalRow<'_>,
) -> Result<(), StorageError> {
    let row = insert(
        connection,
        key,
        &NewRow {
            rev: 0,
            seq: 0,
            deleted: new.deleted,
            sv: new.sv,
            min_writer: 0,
            scope: new.scope,
            units: "{}",
            text: new.text,
            base: None,
        },
    )?;
    projections::refresh(
        connection,
        file,
        row,
        &key.kind,
        None,
        (!new.deleted).then_some(new.doc),
    )
}

/// A row that the service does not have yet.
pub(crate) struct LocalRow<'a> {
    pub(crate) sv: u32,
    pub(crate) scope: Scope,
    pub(crate) deleted: bool,
    pub(crate) doc: &'a Document,
    pub(crate) text: &'a str,
}

/// Changes what a row shows; keeps the service's version aside when it was shown until now.
pub(crate) fn update_local(
    connection: &Connection,
    file: FileKind,
    key: &EntityKey,
    stored: &Stored,
    before: &Working,
    after: &Working,
    text: &str,
) -> Result<(), StorageError> {
    if stored.rev > 0 && stored.base.is_none() {
        connection
            .prepare_cached(
                "UPDATE doc SET base_doc = doc, base_deleted = deleted, doc = ?2, deleted = ?3 WHERE row = ?1",
            )?
            .execute(params![stored.row, text, after.deleted])?;
    } else {
        connection
            .prepare_cached("UPDATE doc SET doc = ?2, deleted = ?3 WHERE row = ?1")?
            .execute(params![stored.row, text, after.deleted])?;
    }
    projections::refresh(connection, file, stored.row, &key.kind, shown(before), shown(after))
}

/// Makes the row of `key` show `mirror` with `ops` replayed, in whatever state it is now. Says whether anything is different.
pub(crate) fn settle(
    connection: &Connection,
    file: FileKind,
    key: &EntityKey,
    stored: Option<&Stored>,
    mirror: Option<&Mirror>,
    ops: &[Op],
) -> Result<bool, StorageError> {
    match (stored, mirror) {
        (None, Some(mirror)) if ops.is_empty() => insert_mirror(connection, file, key, mirror).map(|()| true),
        (Some(stored), Some(mirror)) if ops.is_empty() => show_mirror(connection, file, key, stored, mirror),
        _ => replay(connection, file, key, stored, mirror, ops),
    }
}

fn insert_mirror(
    connection: &Connection,
    file: FileKind,
    key: &EntityKey,
    mirror: &Mirror,
) -> Result<(), StorageError> {
    let row = insert(connection, key, &NewRow::of(mirror, mirror.deleted, &mirror.text, None))?;
    if projections::has_any(file, &key.kind) && !mirror.deleted {
        projections::refresh(connection, file, row, &key.kind, None, Some(&mirror.document()?))?;
    }
    Ok(())
}

/// The service's version with nothing on top. When the text is what is shown already, nothing that was derived from it changes.
fn show_mirror(
    connection: &Connection,
    file: FileKind,
    key: &EntityKey,
    stored: &Stored,
    mirror: &Mirror,
) -> Result<bool, StorageError> {
    let same_content = stored.text == mirror.text && stored.deleted == mirror.deleted;
    update(
        connection,
        stored.row,
        &NewRow::of(mirror, mirror.deleted, &mirror.text, None),
    )?;
    if !same_content && projections::has_any(file, &key.kind) {
        let (before, after) = (
            stored.working()?,
            Working {
                doc: mirror.document()?,
                deleted: mirror.deleted,
            },
        );
        projections::refresh(connection, file, stored.row, &key.kind, shown(&before), shown(&after))?;
    }
    Ok(!same_content || stored.rev != mirror.rev || stored.seq != mirror.seq || stored.base.is_some())
}

fn replay(
    connection: &Connection,
    file: FileKind,
    key: &EntityKey,
    stored: Option<&Stored>,
    mirror: Option<&Mirror>,
    ops: &[Op],
) -> Result<bool, StorageError> {
    let base = mirror
        .map(|mirror| {
            Ok::<_, StorageError>(Working {
                doc: mirror.document()?,
                deleted: mirror.deleted,
            })
        })
        .transpose()?;
    let before = stored.map(Stored::working).transpose()?;
    let Some(after) = rebase(base, ops) else {
        let Some(stored) = stored else { return Ok(false) };
        return erase(connection, file, key, stored).map(|()| true);
    };
    let text = canonical_text(&after.doc).ok_or(StorageError::Unreadable("document"))?;
    let base = mirror
        .map(|mirror| (mirror.text.as_str(), mirror.deleted))
        .filter(|_| !ops.is_empty());
    let scope = mirror
        .map(|mirror| mirror.scope)
        .or_else(|| stored.map(|stored| stored.scope));
    let scope = scope
        .or_else(|| caseload_domain::registry::find(&key.kind)?.scope_of(&after.doc))
        .ok_or(StorageError::Unreadable("scope"))?;
    let local = NewRow {
        rev: 0,
        seq: 0,
        deleted: after.deleted,
        sv: ops.iter().map(|op| op.sv).max().unwrap_or(1),
        min_writer: 0,
        scope,
        units: "{}",
        text: &text,
        base: None,
    };
    let new = mirror.map_or(local, |mirror| NewRow::of(mirror, after.deleted, &text, base));
    let row = match stored {
        Some(stored) => update(connection, stored.row, &new).map(|()| stored.row)?,
        None => insert(connection, key, &new)?,
    };
    projections::refresh(
        connection,
        file,
        row,
        &key.kind,
        before.as_ref().and_then(shown),
        shown(&after),
    )?;
    Ok(before.as_ref() != Some(&after)
        || stored.is_some_and(|stored| Some(stored.rev) != mirror.map(|mirror| mirror.rev)))
}

/// Removes a row; with `secure_delete` its bytes are overwritten.
pub(crate) fn erase(
    connection: &Connection,
    file: FileKind,
    key: &EntityKey,
    stored: &Stored,
) -> Result<(), StorageError> {
    if projections::has_any(file, &key.kind) {
        let before = stored.working()?;
        projections::refresh(connection, file, stored.row, &key.kind, shown(&before), None)?;
    }
    connection
        .prepare_cached("DELETE FROM doc WHERE row = ?1")?
        .execute([stored.row])?;
    Ok(())
}

fn shown(working: &Working) -> Option<&Document> {
    (!working.deleted).then_some(&working.doc)
}

pub(crate) fn canonical_text(doc: &Document) -> Option<String> {
    String::from_utf8(doc.canonical().ok()?).ok()
}

fn unit_text(units: &BTreeMap<String, i64>) -> String {
    serde_json::to_string(units).unwrap_or_else(|_| "{}".to_owned())
}

struct NewRow<'a> {
    rev: i64,
    seq: i64,
    deleted: bool,
    sv: u32,
    min_writer: u32,
    scope: Scope,
    units: &'a str,
    text: &'a str,
    base: Option<(&'a str, bool)>,
}

impl<'a> NewRow<'a> {
    fn of(mirror: &'a Mirror, deleted: bool, text: &'a str, base: Option<(&'a str, bool)>) -> Self {
        Self {
            rev: mirror.rev,
            seq: mirror.seq,
            deleted,
            sv: mirror.sv,
            min_writer: mirror.min_writer,
            scope: mirror.scope,
            units: &mirror.units,
            text,
            base,
        }
    }

    fn bind(&self, statement: &mut CachedStatement<'_>, first: usize) -> rusqlite::Result<()> {
        statement.raw_bind_parameter(first, self.rev)?;
        statement.raw_bind_parameter(first + 1, self.seq)?;
        statement.raw_bind_parameter(first + 2, self.deleted)?;
        statement.raw_bind_parameter(first + 3, self.sv)?;
        statement.raw_bind_parameter(first + 4, self.min_writer)?;
        statement.raw_bind_parameter(first + 5, self.scope.to_string())?;
        statement.raw_bind_parameter(first + 6, self.units)?;
        statement.raw_bind_parameter(first + 7, self.text)?;
        statement.raw_bind_parameter(first + 8, self.base.map(|base| base.0))?;
        statement.raw_bind_parameter(first + 9, self.base.map(|base| base.1))
    }
}

fn insert(connection: &Connection, key: &EntityKey, new: &NewRow<'_>) -> Result<i64, StorageError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO doc (type, id, rev, seq, deleted, sv, min_writer, scope, units, doc, base_doc, base_deleted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    statement.raw_bind_parameter(1, key.kind.as_str())?;
    statement.raw_bind_parameter(2, key.id.uuid().as_bytes())?;
    new.bind(&mut statement, 3)?;
    statement.raw_execute()?;
    Ok(connection.last_insert_rowid())
}

fn update(connection: &Connection, row: i64, new: &NewRow<'_>) -> Result<(), StorageError> {
    let mut statement = connection.prepare_cached(
        "UPDATE doc SET rev = ?2, seq = ?3, deleted = ?4, sv = ?5, min_writer = ?6, scope = ?7, units = ?8, doc = ?9,
                base_doc = ?10, base_deleted = ?11
         WHERE row = ?1",
    )?;
    statement.raw_bind_parameter(1, row)?;
    new.bind(&mut statement, 2)?;
    statement.raw_execute()?;
    Ok(())
}
