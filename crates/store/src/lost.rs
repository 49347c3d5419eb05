//! Rows that the service had acknowledged and, restored from a copy, does not have any more.
//!
//! Before such a row is replaced or removed here, it is kept aside, and the changes that wait on top of it wait on. It is offered back to the
//! service by an operation like any other; when a person has settled the review, the waiting changes go on or are kept as refused.

use caseload_domain::time::Millis;
use caseload_domain::{EntityId, EntityKey, EntityKind, Scope};
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
        (waits_for_another && waits.awaits_review) || waits.op.base_rev > row.rev
    })?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO lost (type, id, record, body, offered) VALUES (?1, ?2, ?3, ?4, 0)")?
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
        !(waits_for_review && waits.awaits_review) && waits.op.base_rev > rev
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

/// Follows the reviews that were settled, once a pull or a comparison is through: by then the rows below what waits have come. What waited on
/// them goes on or is kept as refused.
pub(crate) fn settle_reviewed(connection: &Connection) -> Result<Vec<EntityKey>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT doc.type, doc.id, json_extract(coalesce(base_doc, doc), '$.state.choice'),
                json_extract(coalesce(base_doc, doc), '$.state.at')
         FROM lost JOIN doc ON doc.id = lost.record AND doc.type IN ('reoffer', 'clinical_reoffer') AND doc.rev > 0
         WHERE json_extract(coalesce(base_doc, doc), '$.state.state') = 'settled'",
    )?;
    let mut rows = statement.query([])?;
    let mut reviewed = Vec::new();
    while let Some(row) = rows.next()? {
        let accepted = row.get::<_, Option<String>>(2)?.as_deref() == Some(reoffer::ACCEPT);
        let at = row.get::<_, Option<i64>>(3)?.unwrap_or_default();
        reviewed.push((rows::key(row, 0)?, accepted, Millis(at)));
    }
    if reviewed.is_empty() {
        return Ok(Vec::new());
    }
    let mut changed = Vec::new();
    for (record, accepted, at) in reviewed {
        changed.extend(settle(connection, &record, accepted, at)?);
    }
    changed.extend(outbox::unpark(connection)?);
    Ok(changed)
}

/// The service keeps no record of these offers, because its history has held those very versions: nothing was lost, and what waits goes on.
pub(crate) fn were_not_lost(connection: &Connection, records: &[EntityKey]) -> Result<Vec<EntityKey>, StorageError> {
    let mut changed = Vec::new();
    for record in records {
        changed.extend(settle(connection, record, true, Millis(0))?);
    }
    if !records.is_empty() {
        changed.extend(outbox::unpark(connection)?);
    }
    Ok(changed)
}

/// The offer of a row was thrown away: nobody reviews it, and what waited on the row is kept as refused.
pub(crate) fn given_up(
    connection: &Connection,
    record: &EntityKey,
    at: Millis,
) -> Result<Vec<EntityKey>, StorageError> {
    let mut changed = settle(connection, record, false, at)?;
    changed.extend(outbox::unpark(connection)?);
    Ok(changed)
}

/// The reader of a scope may not hold it any more: what was offered of it is in others' hands, and what waited for their reviews is kept as
/// refused.
pub(crate) fn leave(connection: &Connection, scope: Scope, at: Millis) -> Result<(), StorageError> {
    let mut statement = connection
        .prepare_cached("DELETE FROM lost WHERE offered AND json_extract(body, '$.scope') = ?1 RETURNING type, id")?;
    let mut rows = statement.query([scope.to_string()])?;
    let mut left = Vec::new();
    while let Some(row) = rows.next()? {
        left.push(rows::key(row, 0)?);
    }
    for key in left {
        outbox::refuse_parked(connection, &key, at)?;
    }
    outbox::unpark(connection)?;
    Ok(())
}

/// The service is another one from here on: what was offered is offered again, unless it is there.
pub(crate) fn offer_again(connection: &Connection) -> Result<(), StorageError> {
    connection.execute("UPDATE lost SET offered = 0", [])?;
    Ok(())
}

/// Ends the waiting for the review of one version. What waited on the row goes on with the next [`outbox::unpark`], or is kept as refused.
fn settle(
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
    let mut changed = Vec::new();
    if !goes_on {
        changed.extend(outbox::refuse_parked(connection, &key, at)?);
        if reoffer::is_record(&key) {
            // The record of an offer was lost in turn, and nobody wants it back: what waited for its review waits no more.
            changed.extend(settle(connection, &key, false, at)?);
        }
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
            .prepare_cached("SELECT body FROM lost WHERE body IS NOT NULL AND NOT offered ORDER BY type, id, record")?;
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
        .prepare_cached("UPDATE lost SET offered = 1 WHERE record = ?1")?
        .execute([record.id.uuid().as_bytes()])?;
    Ok(())
}
