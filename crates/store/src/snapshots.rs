//! Snapshots: all rows of a scope, page by page in the order of their keys, compared with what is held. A page may bring several scopes.
//!
//! Rows and the place that was reached are written together, so that a snapshot goes on where it was, in whichever process. The position
//! from which the feed is read afterwards is that of the first page of all, fixed when it came: whatever changed behind a page comes with the
//! feed. What the service did not send is removed only when the scope is through.

use caseload_domain::{EntityKey, Scope};
use caseload_protocol::cursor::{Cursor, Moment};
use caseload_protocol::messages::WireRow;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::pull::{Adopt, ApplyError, is_diverged, keep_aside};
use crate::rows;
use crate::state::{self, Name};
use crate::store::Store;

/// A series of snapshots on its way, as it is kept.
#[derive(Serialize, Deserialize)]
struct Series {
    /// The position of the first page of all.
    start: Cursor,
    /// The newest state that a page was read from.
    newest: Moment,
    /// The scopes that are through.
    done: Vec<Scope>,
    current: Option<Current>,
}

/// The scope that is being read.
#[derive(Serialize, Deserialize)]
struct Current {
    scope: Scope,
    /// The last key that was sent.
    after: Option<EntityKey>,
    /// What is held and was not sent, up to there.
    gone: Vec<EntityKey>,
}

/// How far a series of snapshots has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSeries {
    /// The position before everything that it brought; the feed goes on from there.
    pub start: Cursor,
    /// The newest state that it has read.
    pub newest: Moment,
    /// The scopes that are through.
    pub done: Vec<Scope>,
    /// The scope that was begun, and the last key of it that came.
    pub begun: Option<(Scope, EntityKey)>,
}

/// Rows of one scope within a page of snapshots, in the order of their keys.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPart<'a> {
    /// The scope.
    pub scope: Scope,
    /// Its next rows.
    pub rows: &'a [WireRow],
    /// Whether it is through with them.
    pub is_last: bool,
}

impl Store {
    /// The series of snapshots that was begun and whose position is not set yet.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn snapshots(&self) -> Result<Option<SnapshotSeries>, StorageError> {
        self.read(|reads| {
            let series = state::get::<Series>(reads.connection(), Name::Snapshots)?;
            Ok(series.map(|series| SnapshotSeries {
                start: series.start,
                newest: series.newest,
                done: series.done,
                begun: series
                    .current
                    .and_then(|current| current.after.map(|after| (current.scope, after))),
            }))
        })
    }

    /// Takes in the next page of snapshots, the first one or the one behind the last, in as many transactions as persons want to save meanwhile;
    /// `read_at` is the state that it was read from. The service's versions replace the ones held whatever their revisions, because a
    /// restored service counts from an earlier one. With the last rows of a scope those that the service did not send are removed, the
    /// operations that wait are kept, and the scope counts as held.
    ///
    /// # Errors
    /// [`ApplyError`]. With [`ApplyError::TooManyRemovals`] nothing of the scope is removed, and it is read from its beginning next time.
    pub fn apply_snapshots(&self, page: &[SnapshotPart<'_>], read_at: &Cursor) -> Result<Vec<EntityKey>, ApplyError> {
        self.apply_snapshots_in_steps(page, read_at, || self.is_wanted())
    }

    pub(crate) fn apply_snapshots_in_steps(
        &self,
        page: &[SnapshotPart<'_>],
        read_at: &Cursor,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Vec<EntityKey>, ApplyError> {
        let mut changed = Vec::new();
        let mut rest = page.to_vec();
        while !rest.is_empty() {
            let reached = std::cell::Cell::new(None);
            let applied = self.transact(|connection| {
                let mut step = Step::begin(connection, read_at)?;
                let mut changed = Vec::new();
                let mut left = rest.as_slice();
                while let Some((part, behind)) = left.split_first() {
                    reached.set(Some(part.scope));
                    let (more, count) = self.apply_part_of(connection, &mut step, part, &is_wanted)?;
                    changed.extend(more);
                    if count < part.rows.len() {
                        let mut left = left.to_vec();
                        left[0].rows = &part.rows[count..];
                        return step.end(connection).map(|()| (changed, left));
                    }
                    left = behind;
                    if is_wanted() {
                        break;
                    }
                }
                step.end(connection).map(|()| (changed, left.to_vec()))
            });
            if let (Err(ApplyError::TooManyRemovals { .. }), Some(scope)) = (&applied, reached.get()) {
                self.transact(|connection| leave(connection, scope))?;
            }
            let (more, left) = applied?;
            changed.extend(more);
            rest = left;
        }
        Ok(changed)
    }

    /// Takes in rows of one scope until `is_wanted`; says how many.
    fn apply_part_of(
        &self,
        connection: &Connection,
        step: &mut Step,
        part: &SnapshotPart<'_>,
        is_wanted: impl Fn() -> bool,
    ) -> Result<(Vec<EntityKey>, usize), ApplyError> {
        let current = step.series.current.take().filter(|current| current.scope == part.scope);
        let mut current = current.unwrap_or_else(|| Current {
            scope: part.scope,
            after: None,
            gone: Vec::new(),
        });
        let (mut changed, count) = self.adopt_until(connection, part.rows, step.which, is_wanted)?;
        let taken = &part.rows[..count];
        let is_through = part.is_last && count == part.rows.len();
        let reached = taken.last().map(|row| &row.key).filter(|_| !is_through);
        current.gone.extend(not_sent(
            connection,
            part.scope,
            current.after.as_ref(),
            reached,
            taken,
        )?);
        if is_through {
            changed.extend(self.finish(connection, part.scope, &current.gone)?);
            step.through.push(part.scope);
        } else {
            current.after = reached.cloned();
            step.series.current = Some(current);
        }
        Ok((changed, count))
    }

    fn finish(
        &self,
        connection: &Connection,
        scope: Scope,
        not_sent: &[EntityKey],
    ) -> Result<Vec<EntityKey>, ApplyError> {
        let mut gone = Vec::new();
        for key in not_sent {
            // Something else may have removed it since.
            if rows::load(connection, key)?.is_some() {
                gone.push(key.clone());
            }
        }
        if is_diverged(connection)? {
            keep_aside(connection, &gone)?;
        } else if !gone.is_empty() {
            let of = held(connection, scope)?;
            if gone.len() * 5 > of {
                return Err(ApplyError::TooManyRemovals { gone: gone.len(), of });
            }
        }
        self.remove_mirrored(connection, &gone)?;
        Ok(gone)
    }
}

/// One transaction's share of a series of snapshots. What it notes of the series is written once, at its end.
struct Step {
    series: Series,
    which: Adopt,
    through: Vec<Scope>,
}

impl Step {
    fn begin(connection: &Connection, read_at: &Cursor) -> Result<Self, StorageError> {
        let series = state::get(connection, Name::Snapshots)?.unwrap_or_else(|| Series {
            start: read_at.clone(),
            newest: read_at.newest(),
            done: Vec::new(),
            current: None,
        });
        let which = if is_diverged(connection)? {
            Adopt::Instead
        } else {
            Adopt::Every
        };
        Ok(Self {
            series: Series {
                newest: read_at.newest(),
                ..series
            },
            which,
            through: Vec::new(),
        })
    }

    fn end(mut self, connection: &Connection) -> Result<(), ApplyError> {
        note_read(connection, &self.series.newest)?;
        if !self.through.is_empty() {
            hold(connection, &self.through)?;
            self.series.done.append(&mut self.through);
        }
        Ok(state::put(connection, Name::Snapshots, &self.series)?)
    }
}

/// The scope of which some pages have come.
pub(crate) fn begun(connection: &Connection) -> Result<Option<Scope>, StorageError> {
    let series = state::get::<Series>(connection, Name::Snapshots)?;
    Ok(series.and_then(|series| series.current).map(|current| current.scope))
}

/// Forgets the series: its position is set.
pub(crate) fn forget(connection: &Connection) -> Result<(), StorageError> {
    state::remove(connection, Name::Snapshots)
}

/// Gives the series up. Where everything is compared anew, a scope that was begun counts as held: its rows are compared or leave with it.
pub(crate) fn give_up(connection: &Connection) -> Result<(), StorageError> {
    if let Some(scope) = begun(connection)? {
        hold(connection, &[scope])?;
    }
    forget(connection)
}

fn hold(connection: &Connection, more: &[Scope]) -> Result<(), StorageError> {
    let mut scopes: Vec<Scope> = state::get(connection, Name::Scopes)?.unwrap_or_default();
    let before = scopes.len();
    scopes.extend(more);
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.len() > before {
        state::put(connection, Name::Scopes, &scopes)?;
    }
    Ok(())
}

/// Forgets what was read of a scope.
pub(crate) fn leave(connection: &Connection, scope: Scope) -> Result<(), StorageError> {
    let Some(mut series) = state::get::<Series>(connection, Name::Snapshots)? else {
        return Ok(());
    };
    series.done.retain(|done| *done != scope);
    series.current = series.current.filter(|current| current.scope != scope);
    state::put(connection, Name::Snapshots, &series)
}

/// Notes that rows of the state `newest` are held although the position is an earlier one. Without a position everything is compared anyway.
fn note_read(connection: &Connection, newest: &Moment) -> Result<(), StorageError> {
    match state::get::<Cursor>(connection, Name::Cursor)? {
        Some(cursor) => state::put(connection, Name::Cursor, &cursor.having_read(newest.clone())),
        None => Ok(()),
    }
}

/// What the service has sent of a scope before, lies between two keys (the first excluded, to the end without the second) and is not in `page`.
fn not_sent(
    connection: &Connection,
    scope: Scope,
    after: Option<&EntityKey>,
    up_to: Option<&EntityKey>,
    page: &[WireRow],
) -> Result<Vec<EntityKey>, StorageError> {
    let mut statement = connection.prepare_cached(
        "SELECT type, id FROM doc WHERE scope = ?1 AND rev > 0 AND (type, id) > (?2, ?3) AND (?4 IS NULL OR (type, id) <= (?4, ?5))
         ORDER BY type, id",
    )?;
    let id = |key: Option<&EntityKey>| key.map_or(Vec::new(), |key| key.id.uuid().as_bytes().to_vec());
    let mut found = statement.query(params![
        scope.to_string(),
        after.map_or("", |key| key.kind.as_str()),
        id(after),
        up_to.map(|key| key.kind.as_str()),
        id(up_to),
    ])?;
    let sent: std::collections::HashSet<&EntityKey> = page.iter().map(|row| &row.key).collect();
    let mut missing = Vec::new();
    while let Some(row) = found.next()? {
        let key = rows::key(row, 0)?;
        if !sent.contains(&key) {
            missing.push(key);
        }
    }
    Ok(missing)
}

/// How many rows of a scope the service has sent.
fn held(connection: &Connection, scope: Scope) -> Result<usize, StorageError> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM doc WHERE scope = ?1 AND rev > 0")?
        .query_row([scope.to_string()], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}
