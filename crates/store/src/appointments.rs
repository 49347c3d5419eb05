//! Appointments: what takes which time, and the lists that the calendar needs. Office file only.

use caseload_domain::appointments::{MAX_LENGTH, Occupation, occupation};
use caseload_domain::time::Millis;
use caseload_domain::{ClientId, Document, EntityId, UserId};
use rusqlite::{Connection, params};

use crate::error::StorageError;
use crate::read::ReadTx;
use crate::rows::Entity;

/// Follows a change of an appointment in the tables of slots and participants.
pub(crate) fn index(
    connection: &Connection,
    row: i64,
    before: Option<&Document>,
    after: Option<&Document>,
) -> Result<(), StorageError> {
    let (slots_before, slots_after) = (before.map_or_else(Vec::new, slots), after.map_or_else(Vec::new, slots));
    if slots_before != slots_after {
        if before.is_some() {
            connection
                .prepare_cached("DELETE FROM slot WHERE row = ?1")?
                .execute([row])?;
        }
        let mut insert = connection.prepare_cached("INSERT OR IGNORE INTO slot (slot, row) VALUES (?1, ?2)")?;
        for slot in slots_after {
            insert.execute(params![slot, row])?;
        }
    }
    let (clients_before, clients_after) = (
        before.map_or_else(Vec::new, clients),
        after.map_or_else(Vec::new, clients),
    );
    if clients_before != clients_after {
        if before.is_some() {
            connection
                .prepare_cached("DELETE FROM participant WHERE row = ?1")?
                .execute([row])?;
        }
        let mut insert =
            connection.prepare_cached("INSERT OR IGNORE INTO participant (client, row) VALUES (?1, ?2)")?;
        for client in clients_after {
            insert.execute(params![client, row])?;
        }
    }
    Ok(())
}

fn slots(document: &Document) -> Vec<String> {
    occupation(document).map_or_else(Vec::new, |occupation| occupation.slots())
}

fn clients(document: &Document) -> Vec<&str> {
    let participants = document.unit("participants").and_then(|unit| unit.as_object());
    participants
        .into_iter()
        .flat_map(|participants| participants.values())
        .filter_map(|participant| participant.get("client")?.as_str())
        .collect()
}

impl ReadTx<'_> {
    /// Appointments that overlap `[start, end)`, of one therapist or of all, by start. Cancelled ones are included, void ones are not.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn appointments_between(
        &self,
        start: Millis,
        end: Millis,
        therapist: Option<UserId>,
    ) -> Result<Vec<Entity>, StorageError> {
        let earliest = start.0 - MAX_LENGTH;
        match therapist.map(|therapist| therapist.to_string()) {
            Some(therapist) => self.entities(
                "WHERE doc.therapist = ?1 AND doc.starts > ?2 AND doc.starts < ?3 AND doc.ends > ?4 AND NOT doc.deleted
                 ORDER BY doc.starts, doc.id",
                &[&therapist, &earliest, &end.0, &start.0],
            ),
            None => self.entities(
                "WHERE doc.starts > ?1 AND doc.starts < ?2 AND doc.ends > ?3 AND NOT doc.deleted ORDER BY doc.starts, doc.id",
                &[&earliest, &end.0, &start.0],
            ),
        }
    }

    /// A client's appointments, newest first, cancelled and future ones included.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn appointments_of_client(&self, client: ClientId) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "JOIN participant ON participant.row = doc.row WHERE participant.client = ?1 ORDER BY doc.starts DESC, doc.id",
            &[&client.to_string()],
        )
    }

    /// The first appointment that starts at or after `after` and still takes time.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn next_appointment(&self, after: Millis, therapist: Option<UserId>) -> Result<Option<Entity>, StorageError> {
        let found = match therapist.map(|therapist| therapist.to_string()) {
            Some(therapist) => self.entities(
                "WHERE doc.therapist = ?1 AND doc.starts >= ?2 AND NOT doc.deleted
                   AND EXISTS (SELECT 1 FROM slot WHERE slot.row = doc.row)
                 ORDER BY doc.starts, doc.id LIMIT 1",
                &[&therapist, &after.0],
            ),
            None => self.entities(
                "WHERE doc.starts >= ?1 AND NOT doc.deleted AND EXISTS (SELECT 1 FROM slot WHERE slot.row = doc.row)
                 ORDER BY doc.starts, doc.id LIMIT 1",
                &[&after.0],
            ),
        };
        Ok(found?.into_iter().next())
    }

    /// The appointments that take the time of the same therapist, room or client, by start, without `except` itself.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn overlapping(&self, wanted: &Occupation, except: Option<EntityId>) -> Result<Vec<Entity>, StorageError> {
        let mut found: Vec<Entity> = Vec::new();
        for slot in wanted.slots() {
            let here = self.entities("JOIN slot ON slot.row = doc.row WHERE slot.slot = ?1", &[&slot])?;
            for entity in here {
                let competes = occupation(&entity.doc).is_some_and(|theirs| wanted.clash_with(&theirs).is_some());
                if competes && Some(entity.key.id) != except && found.iter().all(|other| other.key != entity.key) {
                    found.push(entity);
                }
            }
        }
        found.sort_by_key(|entity| (entity.doc.integer("when", "start"), entity.key.id));
        Ok(found)
    }
}
