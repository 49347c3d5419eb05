//! Rows that the service had acknowledged and, restored from a copy, does not have any more.
//!
//! Before such a row is replaced or removed here, it is kept aside, and the changes that wait on top of it wait on. It is offered back to the
//! service by an operation like any other; when a person has settled the review, the waiting changes go on or are kept as refused.

use caseload_domain::time::Millis;
use caseload_domain::{EntityId, EntityKey, EntityKind};
use caseload_protocol::messages::{Op, WireRow};
use caseload_protocol::reoffer;
use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;

use crate::audit::Action;
use crate::error::StorageError;
use crate::outbox;
use crate::read::ReadTx;
use crate::rows::{self, Mirror, Stored};
use crate::store::Store;
use crate::write::{Author, WriteError};

/// Keeps the service's version of a row aside. The groups that wait on it are not sent until it is known what becomes of it.
pub(crate) fn keep(connection: &Connection, key: &EntityKey, stored: &Stored) -> Result<(), StorageError> {
    let Some(row) = stored.mirror().map(|mirror| mirror.to_wire(key)).transpose()? else {
        return Ok(());
    };
    // Clashes are derived from bookings, by whichever service has the bookings.
    let Some(record) = reoffer::record_key(&row).filter(|_| key.kind.as_str() != "clash") else {
        // Nobody reviews it, and what was made on top of it goes on.
        return outbox::detach_all(connection, key, |_| true);
    };
    // What waits for the review of another version was not made on top of this one.
    let waits_for_another = is_kept(connection, key)?;
    outbox::detach_all(connection, key, |waits| {
        (waits_for_another && waits.is_held) || waits.op.base_rev > row.rev
    })?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO lost (type, id, record, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            key.kind.as_str(),
            key.id.uuid().as_bytes(),
            record.id.uuid().as_bytes(),
            outbox::text(&row)?
        ])?;
    outbox::park(connection, key)
}

/// Detaches what waits on a row whose version is not kept aside, as far as it was made on top of another one: the service was restored before
/// the version that its base names could arrive here.
pub(crate) fn detach_strangers(connection: &Connection, key: &EntityKey, rev: i64) -> Result<(), StorageError> {
    let waits_for_review = is_kept(connection, key)?;
    outbox::detach_all(connection, key, |waits| {
        !(waits_for_review && waits.is_held) && waits.op.base_rev > rev
    })
}

/// Whether a version of the row is kept aside.
fn is_kept(connection: &Connection, key: &EntityKey) -> Result<bool, StorageError> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM lost WHERE type = ?1 AND id = ?2)")?
        .query_row(params![key.kind.as_str(), key.id.uuid().as_bytes()], |row| row.get(0))?)
}

/// Whether what the service sends is the version that is held.
pub(crate) fn is_same(stored: &Stored, sent: &Mirror) -> bool {
    stored
        .mirror()
        .is_none_or(|held| held.rev == sent.rev && held.deleted == sent.deleted && held.text == sent.text)
}

/// The service has taken an offer in. Revision 0 says that it keeps no record of it, because its history has held that very version: nothing
/// was lost, and what waits goes on.
pub(crate) fn taken_in(connection: &Connection, record: &EntityKey, rev: i64) -> Result<Vec<EntityKey>, StorageError> {
    if rev == 0 {
        return settled(connection, record, true, Millis(0));
    }
    let state = rows::load(connection, record)?.and_then(|stored| stored.mirror());
    match state {
        Some(mirror) => reviewed(connection, &mirror.to_wire(record)?),
        None => Ok(Vec::new()),
    }
}

/// Follows a record that the service sent: when its review is settled, what waited on the row goes on or is kept as refused.
pub(crate) fn reviewed(connection: &Connection, record: &WireRow) -> Result<Vec<EntityKey>, StorageError> {
    if record.doc.text("state", "state") != Some("settled") {
        return Ok(Vec::new());
    }
    let accepted = record.doc.text("state", "choice") == Some(reoffer::ACCEPT);
    let at = Millis(record.doc.integer("state", "at").unwrap_or_default());
    settled(connection, &record.key, accepted, at)
}

/// The offer of a row was thrown away: nobody reviews it, and what waited on the row is kept as refused.
pub(crate) fn given_up(
    connection: &Connection,
    record: &EntityKey,
    at: Millis,
) -> Result<Vec<EntityKey>, StorageError> {
    settled(connection, record, false, at)
}

fn settled(
    connection: &Connection,
    record: &EntityKey,
    goes_on: bool,
    at: Millis,
) -> Result<Vec<EntityKey>, StorageError> {
    let key = connection
        .prepare_cached("DELETE FROM lost WHERE record = ?1 RETURNING type, id")?
        .query_row([record.id.uuid().as_bytes()], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 16]>(1)?))
        })
        .optional()?;
    let Some((kind, id)) = key else { return Ok(Vec::new()) };
    let key = EntityKey {
        kind: EntityKind::new(kind),
        id: EntityId::new(Uuid::from_bytes(id)),
    };
    let mut changed = outbox::unpark(connection, &key, goes_on, at)?;
    if !goes_on && reoffer::is_record(&key) {
        // The record of an offer was lost in turn, and nobody wants it back: what waited for its review waits no more.
        changed.extend(settled(connection, &key, false, at)?);
    }
    changed.push(key);
    Ok(changed)
}

impl ReadTx<'_> {
    /// Rows that the service lost and that wait here to be offered back.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn lost(&self) -> Result<Vec<WireRow>, StorageError> {
        let mut statement = self
            .connection()
            .prepare_cached("SELECT body FROM lost WHERE body IS NOT NULL ORDER BY type, id")?;
        let mut found = statement.query([])?;
        let mut lost = Vec::new();
        while let Some(row) = found.next()? {
            lost.push(outbox::from_text(row.get_ref(0)?.as_str().unwrap_or_default())?);
        }
        Ok(lost)
    }

    /// Operations that wait until the reviews of the rows below them are settled, oldest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn waiting_for_reviews(&self) -> Result<Vec<Op>, StorageError> {
        outbox::parked(self.connection())
    }

    /// What the service keeps for review after it was restored, as far as this file may see it; nobody has settled it yet.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open_reoffers(&self) -> Result<Vec<rows::Entity>, StorageError> {
        let mut open = Vec::new();
        for kind in reoffer::KINDS {
            open.extend(self.list(kind)?);
        }
        open.retain(|record| record.doc.text("state", "state") == Some("open"));
        Ok(open)
    }
}

impl Store {
    /// Offers back what the service lost, one signed operation for each row; gives their number. Each is offered once.
    ///
    /// # Errors
    /// [`WriteError::Storage`]; what was offered until then stays offered.
    pub fn offer_lost(&self, author: &Author<'_>, at: Millis) -> Result<usize, WriteError> {
        let lost = self.read(|reads| reads.lost())?;
        for row in &lost {
            let action = Action {
                name: "reoffer.offer",
                at,
            };
            self.write(author, action, |tx| tx.reoffer(row))?;
        }
        Ok(lost.len())
    }
}

/// Remembers that a row is on its way as an operation.
pub(crate) fn offered(connection: &Connection, record: &EntityKey) -> Result<(), StorageError> {
    connection
        .prepare_cached("UPDATE lost SET body = NULL WHERE record = ?1")?
        .execute([record.id.uuid().as_bytes()])?;
    Ok(())
}
