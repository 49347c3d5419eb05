//! What waits to be shared: groups of operations in the order in which they were made, immutable from the moment they are first sent, until
//! the service's answer has come back by a pull.
//!
//! An acknowledged operation stays, marked, until the pulled row contains it, so that what a person sees never flickers back. A refused
//! group leaves the outbox and is kept for a person to decide about.

use std::collections::BTreeSet;

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, GroupId, OpId, ReplicaId, Role, UserId};
use caseload_protocol::messages::{Group, LastOp, Op, OpKind, Refusal};
use caseload_protocol::reoffer;
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use uuid::Uuid;

use crate::error::StorageError;
use crate::identity::FileKind;
use crate::read::ReadTx;
use crate::refused::{RefusedWhy, refuse};
use crate::rows;
use crate::state::{self, Divergence, Name};
use crate::store::Store;

/// How much waits to be shared. Shown to everyone, because it reveals no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Operations that the service has not acknowledged.
    pub count: u64,
    /// When the oldest of them was made.
    pub oldest: Option<Millis>,
}

/// Groups to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextGroups {
    /// The groups; empty when nothing waits.
    pub groups: Vec<Group>,
    /// Behind which place the next ones wait.
    pub last_place: i64,
}

/// One operation of the outbox.
pub(crate) struct Waits {
    pub(crate) op: Op,
    pub(crate) grp: GroupId,
    pub(crate) is_new: bool,
    /// See [`park`].
    pub(crate) awaits_review: bool,
    /// See [`Group::detached`].
    pub(crate) detached: bool,
}

/// The operations on one entity that are not contained in its base, oldest first.
pub(crate) fn waits_on(connection: &Connection, key: &EntityKey) -> Result<Vec<Waits>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT body, grp, state = 'new', awaits_review, detached
         FROM outbox JOIN outbox_body USING (place) JOIN outbox_group USING (grp)
         WHERE type = ?1 AND id = ?2 ORDER BY place",
    )?;
    let mut rows = statement.query(params![key.kind.as_str(), key.id.uuid().as_bytes()])?;
    let mut waits = Vec::new();
    while let Some(row) = rows.next()? {
        waits.push(Waits {
            op: body(row, 0)?,
            grp: group_id(row, 1)?,
            is_new: row.get(2)?,
            awaits_review: row.get(3)?,
            detached: row.get(4)?,
        });
    }
    Ok(waits)
}

pub(crate) fn ops_on(connection: &Connection, key: &EntityKey) -> Result<Vec<Op>, StorageError> {
    Ok(waits_on(connection, key)?.into_iter().map(|waits| waits.op).collect())
}

/// Whether the outbox holds nothing at all.
pub(crate) fn is_empty(connection: &Connection) -> Result<bool, StorageError> {
    Ok(connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM outbox)", [], |row| row.get(0))?)
}

/// Whether it holds anything that was acknowledged.
pub(crate) fn has_acknowledged(connection: &Connection) -> Result<bool, StorageError> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'acked')")?
        .query_row([], |row| row.get(0))?)
}

/// Appends a group with its operations.
pub(crate) fn append(connection: &Connection, group: &Group, sealed: bool, at: Millis) -> Result<(), StorageError> {
    connection
        .prepare_cached(
            "INSERT INTO outbox_group (grp, actor, role, origin, origin_mut, first_mut, sig, sealed, at, detached)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            group.grp.uuid().as_bytes(),
            group.actor.uuid().as_bytes(),
            group.role.as_str(),
            group.origin.uuid().as_bytes(),
            group.origin_mut,
            group.first_mut,
            group.sig,
            sealed,
            at.0,
            group.detached,
        ])?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO outbox (op_id, grp, mut, type, id, size, state, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'new', ?7)",
    )?;
    let mut bodies = connection.prepare_cached("INSERT INTO outbox_body (place, body) VALUES (?1, ?2)")?;
    for (number, op) in (group.first_mut..).zip(&group.ops) {
        let body = text(op)?;
        statement.execute(params![
            op.op_id.uuid().as_bytes(),
            group.grp.uuid().as_bytes(),
            number,
            op.key.kind.as_str(),
            op.key.id.uuid().as_bytes(),
            size(&body),
            at.0,
        ])?;
        bodies.execute(params![connection.last_insert_rowid(), body])?;
    }
    Ok(())
}

/// A group as it is sent, and what decides whether it may still be changed.
pub(crate) struct StoredGroup {
    pub(crate) group: Group,
    pub(crate) sealed: bool,
    pub(crate) all_new: bool,
    pub(crate) is_last: bool,
}

pub(crate) fn load_group(connection: &Connection, grp: GroupId) -> Result<Option<StoredGroup>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT actor, role, origin, origin_mut, first_mut, sig, detached, sealed,
                NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.grp = outbox_group.grp AND state <> 'new'),
                first_mut = (SELECT max(first_mut) FROM outbox_group)
         FROM outbox_group WHERE grp = ?1",
    )?;
    let mut rows = statement.query([grp.uuid().as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(StoredGroup {
        group: Group {
            grp,
            actor: UserId::new(Uuid::from_bytes(row.get(0)?)),
            role: role(row.get_ref(1)?.as_str().unwrap_or_default())?,
            origin: ReplicaId::new(Uuid::from_bytes(row.get(2)?)),
            origin_mut: row.get(3)?,
            first_mut: row.get(4)?,
            sig: row.get(5)?,
            detached: row.get(6)?,
            ops: group_ops(connection, grp)?,
        },
        sealed: row.get(7)?,
        all_new: row.get(8)?,
        is_last: row.get(9)?,
    }))
}

/// Replaces one unsent operation, its id included, and the signature of its group.
pub(crate) fn replace_unsent(
    connection: &Connection,
    grp: GroupId,
    replaced: OpId,
    op: &Op,
    sig: &str,
) -> Result<(), StorageError> {
    let body = text(op)?;
    let place: i64 = connection
        .prepare_cached("UPDATE outbox SET op_id = ?2, size = ?3 WHERE op_id = ?1 AND state = 'new' RETURNING place")?
        .query_row(
            params![replaced.uuid().as_bytes(), op.op_id.uuid().as_bytes(), size(&body)],
            |row| row.get(0),
        )?;
    connection
        .prepare_cached("UPDATE outbox_body SET body = ?2 WHERE place = ?1")?
        .execute(params![place, body])?;
    connection
        .prepare_cached("UPDATE outbox_group SET sig = ?2 WHERE grp = ?1")?
        .execute(params![grp.uuid().as_bytes(), sig])?;
    Ok(())
}

/// Groups of which a pull up to a sequence number contains everything, the oldest first, so that what is left of them is never shown over
/// something newer. A group goes as a whole: with one operation less its signature would not verify, should it ever be sent again.
const CONTAINED: &str =
    "SELECT grp FROM (SELECT grp, min(place) AS first FROM outbox WHERE state = 'acked' AND ack_seq <= ?1 GROUP BY grp) AS touched
     WHERE NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.grp = touched.grp AND (state <> 'acked' OR ack_seq > ?1))
     ORDER BY first LIMIT ?2";

/// The oldest acknowledged groups that a pull up to `seq` contains, no more than `most`.
pub(crate) fn contained(connection: &Connection, seq: i64, most: usize) -> Result<Vec<GroupId>, StorageError> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(CONTAINED)?;
    let mut rows = statement.query([seq, most])?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next()? {
        groups.push(group_id(row, 0)?);
    }
    Ok(groups)
}

/// Forgets groups; gives the entities that they were about.
pub(crate) fn release(
    connection: &Connection,
    groups: impl IntoIterator<Item = GroupId>,
) -> Result<BTreeSet<EntityKey>, StorageError> {
    let mut released = BTreeSet::new();
    for grp in groups {
        let mut statement = connection.prepare_cached("SELECT type, id FROM outbox WHERE grp = ?1")?;
        let mut rows = statement.query([grp.uuid().as_bytes()])?;
        while let Some(row) = rows.next()? {
            released.insert(rows::key(row, 0)?);
        }
        delete_group(connection, grp)?;
    }
    Ok(released)
}

/// Forgets the acknowledged operations that a pull up to `seq` contains; gives the entities that they were about.
pub(crate) fn release_up_to(connection: &Connection, seq: i64) -> Result<BTreeSet<EntityKey>, StorageError> {
    release(connection, contained(connection, seq, usize::MAX)?)
}

/// Acknowledged operations that no pull has brought back are sent again: the service may have lost them.
pub(crate) fn send_unpulled_again(connection: &Connection) -> Result<(), StorageError> {
    connection.execute(
        "UPDATE outbox SET state = 'sent', ack_seq = NULL WHERE state = 'acked'",
        [],
    )?;
    Ok(())
}

/// The planted defect [`Bug::BaseRaisedOnRebase`](caseload_faults::bugs::Bug): what waits pretends to have seen `row`.
#[cfg(feature = "test-faults")]
pub(crate) fn raise_bases(
    connection: &Connection,
    row: &caseload_protocol::messages::WireRow,
) -> Result<(), StorageError> {
    if !caseload_faults::bugs::has(caseload_faults::bugs::Bug::BaseRaisedOnRebase) {
        return Ok(());
    }
    for mut op in ops_on(connection, &row.key)? {
        if op.kind != caseload_protocol::messages::OpKind::Create {
            op.base_rev = row.rev;
            connection.execute(
                "UPDATE outbox_body SET body = ?2 WHERE place = (SELECT place FROM outbox WHERE op_id = ?1)",
                params![op.op_id.uuid().as_bytes(), text(&op)?],
            )?;
        }
    }
    Ok(())
}

/// Shows entities anew after their base or their waiting operations changed.
pub(crate) fn show_again(
    connection: &Connection,
    file: FileKind,
    keys: impl IntoIterator<Item = EntityKey>,
) -> Result<Vec<EntityKey>, StorageError> {
    let mut changed = Vec::new();
    for key in keys {
        // What was erased with its scope stays away, although an operation on it may still be on its way.
        let Some(stored) = rows::load(connection, &key)? else {
            continue;
        };
        let mirror = stored.mirror();
        let ops = ops_on(connection, &key)?;
        if rows::settle(connection, file, &key, Some(&stored), mirror.as_ref(), &ops)? {
            changed.push(key);
        }
    }
    Ok(changed)
}

/// Takes unsent groups that touch any of `keys` out of the outbox, and those that wait for a review if `with_parked`; keeps them as refused and
/// closes the gap in the numbers behind them. Their signatures stay valid, because they do not cover the sending replica's numbers.
pub(crate) fn withdraw_unsent(
    connection: &Connection,
    keys: &BTreeSet<EntityKey>,
    with_parked: bool,
    at: Millis,
) -> Result<(), StorageError> {
    let (mut unsent, mut parked) = (BTreeSet::new(), BTreeSet::new());
    for key in keys {
        for waits in waits_on(connection, key)? {
            if waits.is_new {
                unsent.insert(waits.grp);
            } else if waits.awaits_review && with_parked {
                parked.insert(waits.grp);
            }
        }
    }
    for grp in unsent {
        if load_group(connection, grp)?.is_some_and(|stored| stored.all_new) {
            refuse(connection, grp, RefusedWhy::ScopeLeft, &[], at)?;
        }
    }
    for grp in parked {
        // Its base is of the version that was lost.
        detach(connection, grp)?;
        refuse(connection, grp, RefusedWhy::ScopeLeft, &[], at)?;
    }
    renumber_unsent(connection)
}

/// Closes gaps in the numbers of what was never sent.
fn renumber_unsent(connection: &Connection) -> Result<(), StorageError> {
    let sent: Option<i64> =
        connection.query_row("SELECT max(mut) FROM outbox WHERE state = 'sent'", [], |row| row.get(0))?;
    let known = state::get::<LastOp>(connection, Name::LastOp)?.map_or(0, |last| last.number);
    renumber(connection, "state = 'new'", sent.unwrap_or(0).max(known) + 1)
}

/// Numbers everything that is to be sent from 1 on, for a replica that has sent nothing yet.
pub(crate) fn renumber_all(connection: &Connection) -> Result<(), StorageError> {
    renumber(connection, "state IN ('new', 'sent')", 1)
}

/// Detaches the groups of operations on an entity that `which` chooses: see [`Group::detached`].
pub(crate) fn detach_all(
    connection: &Connection,
    key: &EntityKey,
    which: impl Fn(&Waits) -> bool,
) -> Result<(), StorageError> {
    for waits in waits_on(connection, key)? {
        if which(&waits) {
            detach(connection, waits.grp)?;
        }
    }
    Ok(())
}

/// Detaches the groups that settle reviews of lost rows: the rows beside which they were reviewed may be others from here on.
pub(crate) fn detach_reviews(connection: &Connection) -> Result<(), StorageError> {
    let mut statement =
        connection.prepare_cached("SELECT body, grp FROM outbox JOIN outbox_body USING (place) WHERE type = ?1")?;
    for kind in reoffer::KINDS {
        let mut rows = statement.query([kind])?;
        while let Some(row) = rows.next()? {
            if settles_offer(&body(row, 0)?) {
                detach(connection, group_id(row, 1)?)?;
            }
        }
    }
    Ok(())
}

/// Detaches the groups whose bases are of rows that are not held here, and that nobody will compare therefore.
pub(crate) fn detach_unheld(connection: &Connection) -> Result<(), StorageError> {
    connection.execute(
        "UPDATE outbox_group SET detached = 1 WHERE grp IN (
             SELECT outbox.grp FROM outbox JOIN outbox_body USING (place)
             WHERE json_extract(outbox_body.body, '$.base_rev') > 0
             AND NOT EXISTS (SELECT 1 FROM doc WHERE doc.type = outbox.type AND doc.id = outbox.id AND doc.rev > 0)
             AND NOT EXISTS (SELECT 1 FROM lost WHERE lost.type = outbox.type AND lost.id = outbox.id))",
        [],
    )?;
    Ok(())
}

/// Whether an operation settles the review of a lost row.
pub(crate) fn settles_offer(op: &Op) -> bool {
    op.kind == OpKind::Settle && reoffer::is_record(&op.key)
}

fn detach(connection: &Connection, grp: GroupId) -> Result<(), StorageError> {
    connection
        .prepare_cached("UPDATE outbox_group SET detached = 1 WHERE grp = ?1")?
        .execute([grp.uuid().as_bytes()])?;
    Ok(())
}

/// The groups behind `behind`: those that follow one of them on an entity, to any depth.
const FOLLOWING: &str = "
    UNION
    SELECT later.grp FROM behind JOIN outbox AS earlier ON earlier.grp = behind.grp
    JOIN outbox AS later ON later.type = earlier.type AND later.id = earlier.id AND later.place > earlier.place";

/// Holds the groups that touch an entity back, and whatever was made behind them, until it is known what becomes of the row below them. Their
/// numbers are given anew later.
pub(crate) fn park(connection: &Connection, key: &EntityKey) -> Result<(), StorageError> {
    let behind =
        format!("WITH RECURSIVE behind (grp) AS (SELECT grp FROM outbox WHERE type = ?1 AND id = ?2 {FOLLOWING})");
    for statement in [
        "UPDATE outbox_group SET awaits_review = 1 WHERE grp IN (SELECT grp FROM behind)",
        "UPDATE outbox SET state = 'held', ack_seq = NULL WHERE grp IN (SELECT grp FROM behind)",
    ] {
        connection
            .prepare_cached(&format!("{behind} {statement}"))?
            .execute(params![key.kind.as_str(), key.id.uuid().as_bytes()])?;
    }
    Ok(())
}

/// Holds a new group back that touches an entity of which [`park`] holds back earlier changes: it was made on top of them, and must not arrive
/// before them.
pub(crate) fn park_behind(connection: &Connection, grp: GroupId) -> Result<(), StorageError> {
    let has_earlier: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM outbox AS own JOIN outbox AS earlier USING (type, id)
             JOIN outbox_group AS held ON held.grp = earlier.grp
             WHERE own.grp = ?1 AND earlier.grp <> ?1 AND held.awaits_review)",
        )?
        .query_row([grp.uuid().as_bytes()], |row| row.get(0))?;
    if has_earlier {
        for statement in [
            "UPDATE outbox_group SET awaits_review = 1 WHERE grp = ?1",
            "UPDATE outbox SET state = 'held' WHERE grp = ?1",
        ] {
            connection.prepare_cached(statement)?.execute([grp.uuid().as_bytes()])?;
        }
        renumber_unsent(connection)?;
    }
    Ok(())
}

/// What [`park`] holds back.
pub(crate) fn parked(connection: &Connection) -> Result<Vec<Op>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT body FROM outbox JOIN outbox_body USING (place) JOIN outbox_group USING (grp)
         WHERE awaits_review ORDER BY place",
    )?;
    let mut rows = statement.query([])?;
    let mut parked = Vec::new();
    while let Some(row) = rows.next()? {
        parked.push(body(row, 0)?);
    }
    Ok(parked)
}

/// Lets the groups go on that [`park`] held back and that wait for no review any more. Gives the entities that they are about.
pub(crate) fn unpark(connection: &Connection) -> Result<Vec<EntityKey>, StorageError> {
    let groups: Vec<[u8; 16]> = connection
        .prepare_cached(&format!(
            "WITH RECURSIVE behind (grp) AS (SELECT grp FROM outbox JOIN lost USING (type, id) {FOLLOWING})
             SELECT grp FROM outbox_group WHERE awaits_review AND grp NOT IN (SELECT grp FROM behind)"
        ))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut changed = Vec::new();
    for grp in groups {
        for statement in [
            "UPDATE outbox_group SET awaits_review = 0 WHERE grp = ?1",
            "UPDATE outbox SET state = 'new' WHERE grp = ?1",
        ] {
            connection.prepare_cached(statement)?.execute([grp])?;
        }
        let ops = group_ops(connection, GroupId::new(Uuid::from_bytes(grp)))?;
        changed.extend(ops.into_iter().map(|op| op.key));
    }
    renumber_unsent(connection)?;
    Ok(changed)
}

/// Keeps the groups that touch an entity and wait for a review as refused: one version that stays lost is enough. Whoever tries them again has not
/// seen what is there instead. Gives the entities that they are about.
pub(crate) fn refuse_parked(
    connection: &Connection,
    key: &EntityKey,
    at: Millis,
) -> Result<Vec<EntityKey>, StorageError> {
    let mut changed = Vec::new();
    for waits in waits_on(connection, key)? {
        if waits.awaits_review {
            detach(connection, waits.grp)?;
            let why = RefusedWhy::Service(Refusal::Missing);
            changed.extend(refuse(connection, waits.grp, why, &[], at)?);
        }
    }
    Ok(changed)
}

/// Numbers the operations of every group that has one in `which`, from `first` on, in their order, and remembers the next number.
fn renumber(connection: &Connection, which: &str, first: i64) -> Result<(), StorageError> {
    let mut next = first;
    let places: Vec<(i64, [u8; 16])> = connection
        .prepare(&format!(
            "SELECT place, grp FROM outbox WHERE grp IN (SELECT grp FROM outbox WHERE {which}) ORDER BY place"
        ))?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut seen = BTreeSet::new();
    for (place, grp) in places {
        connection
            .prepare_cached("UPDATE outbox SET mut = ?2 WHERE place = ?1")?
            .execute([place, next])?;
        if seen.insert(grp) {
            connection
                .prepare_cached("UPDATE outbox_group SET first_mut = ?2 WHERE grp = ?1")?
                .execute(params![grp, next])?;
        }
        next += 1;
    }
    state::put(connection, Name::NextMut, &next)
}

pub(crate) fn delete_group(connection: &Connection, grp: GroupId) -> Result<(), StorageError> {
    for statement in [
        "DELETE FROM outbox_body WHERE place IN (SELECT place FROM outbox WHERE grp = ?1)",
        "DELETE FROM outbox WHERE grp = ?1",
        "DELETE FROM outbox_group WHERE grp = ?1",
    ] {
        connection.prepare_cached(statement)?.execute([grp.uuid().as_bytes()])?;
    }
    Ok(())
}

impl ReadTx<'_> {
    /// How much waits to be shared, and since when.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn waiting(&self) -> Result<Waiting, StorageError> {
        let count = |sql: &str| -> Result<Waiting, StorageError> {
            Ok(self.connection().prepare_cached(sql)?.query_row([], |row| {
                Ok(Waiting {
                    count: row.get::<_, i64>(0)?.unsigned_abs(),
                    oldest: row.get::<_, Option<i64>>(1)?.map(Millis),
                })
            })?)
        };
        let waiting = count("SELECT count(*), min(at) FROM outbox WHERE state IN ('new', 'sent')")?;
        let parked =
            count("SELECT count(*), min(outbox.at) FROM outbox JOIN outbox_group USING (grp) WHERE awaits_review")?;
        Ok(Waiting {
            count: waiting.count + parked.count,
            oldest: waiting.oldest.into_iter().chain(parked.oldest).min(),
        })
    }
}

impl Store {
    /// The next groups to send, in order and as they were signed, at most `max_ops` operations and about `max_bytes`, but at least one group
    /// if any waits. They are marked as sent: from now on they are never changed, and come again until they are acknowledged.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn next_groups(&self, max_ops: usize, max_bytes: usize) -> Result<Vec<Group>, StorageError> {
        Ok(self.next_groups_behind(0, max_ops, max_bytes)?.groups)
    }

    /// As [`Self::next_groups`], but only what waits behind `place`: what follows groups that are on their way.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn next_groups_behind(&self, place: i64, max_ops: usize, max_bytes: usize) -> Result<NextGroups, StorageError> {
        let (chosen, last_place) = self.send_behind(place, max_ops, max_bytes)?;
        // Read beside the writer: what is sent never changes.
        let groups = self.read(|reads| {
            let loaded = chosen.into_iter().map(|grp| load_group(reads.connection(), grp));
            loaded
                .filter_map(Result::transpose)
                .map(|stored| Ok::<_, StorageError>(stored?.group))
                .collect::<Result<_, _>>()
        })?;
        Ok(NextGroups { groups, last_place })
    }

    /// Marks the next groups as sent; gives them and the last of their places.
    fn send_behind(&self, place: i64, max_ops: usize, max_bytes: usize) -> Result<(Vec<GroupId>, i64), StorageError> {
        self.transact(|connection| {
            let mut waiting = connection.prepare_cached(
                "SELECT grp, size + 100 FROM outbox WHERE state IN ('new', 'sent') AND place > ?1 ORDER BY place",
            )?;
            let mut rows = waiting.query([place])?;
            let (mut chosen, mut ops, mut bytes): (Vec<GroupId>, usize, usize) = (Vec::new(), 0, 0);
            let mut whole = 0;
            while let Some(row) = rows.next()? {
                let grp = group_id(row, 0)?;
                if chosen.last() != Some(&grp) {
                    whole = chosen.len();
                    chosen.push(grp);
                }
                ops += 1;
                bytes += usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
                if whole > 0 && (ops > max_ops || bytes > max_bytes) {
                    chosen.truncate(whole);
                    break;
                }
                if ops > max_ops || bytes > max_bytes {
                    break;
                }
            }
            let mut last_place = place;
            let mut mark =
                connection.prepare_cached("UPDATE outbox SET state = 'sent' WHERE grp = ?1 AND state = 'new'")?;
            let mut last = connection.prepare_cached("SELECT max(place) FROM outbox WHERE grp = ?1")?;
            for grp in &chosen {
                mark.execute([grp.uuid().as_bytes()])?;
                last_place = last.query_row([grp.uuid().as_bytes()], |row| row.get(0))?;
            }
            Ok((chosen, last_place))
        })
    }

    /// Goes on as a new replica, because the service remembers this one differently (the file or the service was restored, or the file was
    /// cloned). Operations get new numbers from 1; their ids, bases, origins and signatures stay.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn reregister(&self, replica: ReplicaId, number: i64) -> Result<(), StorageError> {
        self.transact(|connection| {
            // The service may be the one that was restored: what it acknowledged and no pull has brought back may be gone from it.
            send_unpulled_again(connection)?;
            renumber_all(connection)?;
            if state::get::<Divergence>(connection, Name::Divergence)?.is_some() {
                state::put(connection, Name::Divergence, &Divergence::Comparing)?;
            }
            state::put(connection, Name::Replica, &replica)?;
            state::put(connection, Name::ReplicaNumber, &number)?;
            state::remove(connection, Name::LastOp)
        })
    }
}

fn group_ops(connection: &Connection, grp: GroupId) -> Result<Vec<Op>, StorageError> {
    let mut statement = connection
        .prepare_cached("SELECT body FROM outbox JOIN outbox_body USING (place) WHERE grp = ?1 ORDER BY place")?;
    let mut rows = statement.query([grp.uuid().as_bytes()])?;
    let mut ops = Vec::new();
    while let Some(row) = rows.next()? {
        ops.push(body(row, 0)?);
    }
    Ok(ops)
}

pub(crate) fn group_id(row: &Row<'_>, column: usize) -> Result<GroupId, StorageError> {
    Ok(GroupId::new(Uuid::from_bytes(row.get(column)?)))
}

fn body(row: &Row<'_>, column: usize) -> Result<Op, StorageError> {
    from_text(row.get_ref(column)?.as_str().unwrap_or_default())
}

fn role(name: &str) -> Result<Role, StorageError> {
    [Role::Therapist, Role::FrontDesk, Role::Admin]
        .into_iter()
        .find(|role| role.as_str() == name)
        .ok_or(StorageError::Unreadable("role"))
}

pub(crate) fn text<T: Serialize>(value: &T) -> Result<String, StorageError> {
    serde_json::to_string(value).map_err(|_| StorageError::Unreadable("operation"))
}

fn size(body: &str) -> i64 {
    i64::try_from(body.len()).unwrap_or(i64::MAX)
}

/// Reads what [`text`] wrote. The reader's own error could quote content and is dropped.
pub(crate) fn from_text<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StorageError> {
    serde_json::from_str(text).map_err(|_| StorageError::Unreadable("operation"))
}
