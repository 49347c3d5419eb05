//! The reading side: one consistent state of the file. Queries about one concept are in the file of that concept.

use std::collections::BTreeMap;

use caseload_domain::EntityKey;
use caseload_protocol::rebase::Working;
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::error::StorageError;
use crate::identity::FileKind;
use crate::rows::{self, ENTITY, Entity, Stored};

/// One consistent state of the file.
pub struct ReadTx<'a> {
    connection: &'a Connection,
    file: FileKind,
}

impl<'a> ReadTx<'a> {
    pub(crate) const fn new(connection: &'a Connection, file: FileKind) -> Self {
        Self { connection, file }
    }

    pub(crate) const fn connection(&self) -> &'a Connection {
        self.connection
    }

    /// The kind of file that is read.
    #[must_use]
    pub const fn kind(&self) -> FileKind {
        self.file
    }

    /// One entity, void ones included.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn get(&self, key: &EntityKey) -> Result<Option<Entity>, StorageError> {
        let sql = format!("SELECT {ENTITY} FROM doc WHERE doc.type = ?1 AND doc.id = ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![key.kind.as_str(), key.id.uuid().as_bytes()])?;
        rows.next()?.map(rows::entity).transpose()
    }

    /// The service's version of an entity, without the changes that wait here; `None` while the service does not have it.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn base(&self, key: &EntityKey) -> Result<Option<Working>, StorageError> {
        let mirror = rows::load(self.connection, key)?.as_ref().and_then(Stored::mirror);
        mirror
            .map(|mirror| {
                Ok(Working {
                    doc: rows::parse(mirror.text.as_bytes())?,
                    deleted: mirror.deleted,
                })
            })
            .transpose()
    }

    /// The revisions at which the service last changed each unit of an entity.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn unit_revs(&self, key: &EntityKey) -> Result<BTreeMap<String, i64>, StorageError> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT units FROM doc WHERE type = ?1 AND id = ?2")?;
        let text: Option<String> = statement
            .query_row(params![key.kind.as_str(), key.id.uuid().as_bytes()], |row| row.get(0))
            .optional()?;
        text.map_or_else(
            || Ok(BTreeMap::new()),
            |text| serde_json::from_str(&text).map_err(|_| StorageError::Unreadable("unit revisions")),
        )
    }

    /// Every entity of a type that is not void, in the order in which they came into this file.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn list(&self, kind: &str) -> Result<Vec<Entity>, StorageError> {
        self.entities("WHERE doc.type = ?1 AND NOT doc.deleted ORDER BY doc.row", &[&kind])
    }

    /// The entities that the rest of a statement selects; `tail` is a fixed text.
    pub(crate) fn entities(&self, tail: &str, values: &[&dyn ToSql]) -> Result<Vec<Entity>, StorageError> {
        let mut statement = self
            .connection
            .prepare_cached(&format!("SELECT {ENTITY} FROM doc {tail}"))?;
        let mut rows = statement.query(values)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(rows::entity(row)?);
        }
        Ok(found)
    }
}
