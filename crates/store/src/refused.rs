//! Groups that the service did not take. They leave the outbox, or stay in it as held, and are kept until a person decides.

use std::collections::BTreeSet;

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, FieldProblem, GroupId, UserId};
use caseload_protocol::messages::{Group, Op, Refusal};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::outbox::{StoredGroup, delete_group, from_text, group_id, load_group, text};
use crate::read::ReadTx;

/// Why a group is not at the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedWhy {
    /// The service refused it.
    Service(Refusal),
    /// Written by a newer program than the service or this one understands; still shown as changed.
    Held,
    /// Its records left what this person may see before it could be sent.
    ScopeLeft,
}

/// A group that the service did not take, kept until a person decides.
#[derive(Clone, Debug, PartialEq)]
pub struct RefusedGroup {
    /// The group.
    pub grp: GroupId,
    /// When it was refused.
    pub at: Millis,
    /// Why.
    pub why: RefusedWhy,
    /// What was wrong, where the content was invalid.
    pub fields: Vec<FieldProblem>,
    /// Who had done it.
    pub actor: UserId,
    /// What was to be done.
    pub ops: Vec<Op>,
}

/// Moves a whole group out of the outbox; it is kept with the reason.
pub(crate) fn refuse(
    connection: &Connection,
    grp: GroupId,
    why: RefusedWhy,
    fields: &[FieldProblem],
    at: Millis,
) -> Result<BTreeSet<EntityKey>, StorageError> {
    let Some(stored) = load_group(connection, grp)? else {
        return Ok(BTreeSet::new());
    };
    let keys = stored.group.ops.iter().map(|op| op.key.clone()).collect();
    connection
        .prepare_cached("INSERT OR REPLACE INTO refused (grp, at, why, fields, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            grp.uuid().as_bytes(),
            at.0,
            text(&why)?,
            text(&fields)?,
            text(&stored.group)?
        ])?;
    delete_group(connection, grp)?;
    Ok(keys)
}

/// Detaches every refused group: the service's history may be another one from here on. See [`Group::detached`].
pub(crate) fn detach(connection: &Connection) -> Result<(), StorageError> {
    let bodies: Vec<String> = connection
        .prepare_cached("SELECT body FROM refused")?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for body in bodies {
        let mut group: Group = from_text(&body)?;
        group.detached = true;
        connection
            .prepare_cached("UPDATE refused SET body = ?2 WHERE grp = ?1")?
            .execute(params![group.grp.uuid().as_bytes(), text(&group)?])?;
    }
    Ok(())
}

/// Forgets a refused or held group for good; gives the entities that it was about.
pub(crate) fn forget(connection: &Connection, grp: GroupId) -> Result<Vec<EntityKey>, StorageError> {
    let keys = refused_group(connection, grp)?.map(|group| group.ops.into_iter().map(|op| op.key).collect());
    if is_held(connection, grp)? {
        delete_group(connection, grp)?;
    }
    connection
        .prepare_cached("DELETE FROM refused WHERE grp = ?1")?
        .execute([grp.uuid().as_bytes()])?;
    Ok(keys.unwrap_or_default())
}

/// A refused or held group.
pub(crate) fn refused_group(connection: &Connection, grp: GroupId) -> Result<Option<Group>, StorageError> {
    let body: Option<String> = connection
        .prepare_cached("SELECT body FROM refused WHERE grp = ?1")?
        .query_row([grp.uuid().as_bytes()], |row| row.get(0))
        .optional()?;
    if let Some(body) = body {
        return from_text(&body).map(Some);
    }
    Ok(if is_held(connection, grp)? {
        load_group(connection, grp)?.map(|stored| stored.group)
    } else {
        None
    })
}

fn is_held(connection: &Connection, grp: GroupId) -> Result<bool, StorageError> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE grp = ?1 AND state = 'held')")?;
    Ok(statement.query_row([grp.uuid().as_bytes()], |row| row.get(0))?)
}

impl ReadTx<'_> {
    /// What the service did not take, newest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn refused(&self) -> Result<Vec<RefusedGroup>, StorageError> {
        let connection = self.connection();
        let mut found = Vec::new();
        let mut statement =
            connection.prepare_cached("SELECT grp, at, why, fields, body FROM refused ORDER BY at DESC")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let group: Group = from_text(row.get_ref(4)?.as_str().unwrap_or_default())?;
            found.push(RefusedGroup {
                grp: group_id(row, 0)?,
                at: Millis(row.get(1)?),
                why: from_text(row.get_ref(2)?.as_str().unwrap_or_default())?,
                fields: from_text(row.get_ref(3)?.as_str().unwrap_or_default())?,
                actor: group.actor,
                ops: group.ops,
            });
        }
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT grp, outbox.at FROM outbox JOIN outbox_group USING (grp)
             WHERE state = 'held' AND NOT awaits_review ORDER BY outbox.at DESC",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (grp, at) = (group_id(row, 0)?, Millis(row.get(1)?));
            if let Some(StoredGroup { group, .. }) = load_group(connection, grp)? {
                let (actor, ops) = (group.actor, group.ops);
                found.push(RefusedGroup {
                    grp,
                    at,
                    why: RefusedWhy::Held,
                    fields: Vec::new(),
                    actor,
                    ops,
                });
            }
        }
        Ok(found)
    }
}
