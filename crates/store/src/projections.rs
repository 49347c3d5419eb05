//! What is kept beside a document so that it is found quickly: made from the document in the transaction that changes it.

use caseload_domain::{Document, EntityKind};
use rusqlite::Connection;

use crate::error::StorageError;
use crate::identity::FileKind;
use crate::{appointments, clients, notes};

/// Whether anything is kept beside documents of this type.
pub(crate) fn has_any(file: FileKind, kind: &EntityKind) -> bool {
    match file {
        FileKind::Office => matches!(kind.as_str(), "client" | "appointment"),
        FileKind::Clinical(_) => notes::is_searched(kind),
    }
}

/// Follows a change of the row `row`: what it showed before and shows now, `None` where it did or does not exist or is void.
pub(crate) fn refresh(
    connection: &Connection,
    file: FileKind,
    row: i64,
    kind: &EntityKind,
    before: Option<&Document>,
    after: Option<&Document>,
) -> Result<(), StorageError> {
    match (file, kind.as_str()) {
        (FileKind::Office, "client") => clients::index(connection, row, before, after),
        (FileKind::Office, "appointment") => appointments::index(connection, row, before, after),
        (FileKind::Clinical(_), _) if notes::is_searched(kind) => notes::index(connection, row, kind, before, after),
        _ => Ok(()),
    }
}
