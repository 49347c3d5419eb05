//! Taking in what the service sent. Each page is one transaction, or a few when somebody waits for the file: rows, the changes that wait here
//! on top of them, and the cursor move together, so that a crash leaves a state of the feed, before the page, after it or within it.

use std::collections::BTreeSet;

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, Scope};
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::WireRow;
use rusqlite::Connection;
use thiserror::Error;

use crate::error::StorageError;
use crate::files;
use crate::lost;
use crate::outbox;
use crate::refused;
use crate::rows::{self, Mirror};
use crate::snapshots;
use crate::state::{self, Divergence, Name};
use crate::store::Store;

/// Why a page was not taken in. Transactions of it that were through before stay.
#[derive(Debug, Error)]
pub enum ApplyError {
    /// A row does not belong into this file.
    #[error("a row does not belong into this file")]
    ForeignScope,
    /// A row has no canonical form.
    #[error("a row has no canonical form")]
    NotCanonical,
    /// The service lacks more than a fifth of what is held. It looks like one that lost its rows; [`Store::begin_comparison`] has them offered
    /// back instead of removing them.
    #[error("{gone} of {of} rows would be removed")]
    TooManyRemovals {
        /// How many rows would go.
        gone: usize,
        /// How many there are.
        of: usize,
    },
    /// The file could not be read or written.
    #[error("the page could not be stored")]
    Storage(#[from] StorageError),
}

/// Which of the service's versions replace the ones held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adopt {
    Newer,
    Every,
    /// Every one, and what it replaces is kept aside: the service's history is another one and may have lost it.
    Instead,
}

impl Store {
    /// Takes in the last page of a pull and moves the cursor; gives the entities that are different now.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn apply_page(&self, page: &[WireRow], cursor: &Cursor) -> Result<Vec<EntityKey>, ApplyError> {
        self.transact(|connection| {
            let mut changed = self.move_to(connection, cursor, page)?;
            changed.dedup();
            Ok(changed)
        })
    }

    /// Forgets what was acknowledged up to the position, when a pull has found nothing new there.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn release_acknowledged(&self) -> Result<Vec<EntityKey>, ApplyError> {
        self.transact(|connection| match state::get::<Cursor>(connection, Name::Cursor)? {
            Some(cursor) if outbox::has_acknowledged(connection)? => self.move_to(connection, &cursor, &[]),
            _ => Ok(Vec::new()),
        })
    }

    /// As [`Self::apply_page`], when more pages follow. What was acknowledged stays shown on top: its row may have been changed again since, and
    /// then comes with a later page only.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn apply_part(&self, page: &[WireRow], cursor: &Cursor) -> Result<Vec<EntityKey>, ApplyError> {
        self.transact(|connection| {
            let mut changed = self.adopt(connection, page, Adopt::Newer)?;
            changed.dedup();
            go_on_from(connection, cursor)?;
            Ok(changed)
        })
    }

    /// Forgets the position, because nothing can be read on from it: the service's history is another one, restored from a copy, or the
    /// position is older than its tombstones. What waits here is kept, and what was acknowledged but not pulled is sent again. Snapshots of
    /// every scope have to follow; until they are compared nothing is pushed, and no version held here is dropped: what the service lost is
    /// offered back. A position that is too old says nothing about the history, so both are one case.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn begin_comparison(&self) -> Result<(), StorageError> {
        self.transact(begin_comparison)
    }

    /// As [`Self::begin_comparison`], because tombstones are there again that had gone: only those up to `floor` are gone now.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn begin_comparison_above(&self, floor: i64) -> Result<(), StorageError> {
        self.transact(|connection| {
            state::put(connection, Name::GcFloor, &floor)?;
            begin_comparison(connection)
        })
    }

    /// Counts `scopes` as held by a file that holds none: from `beginning`, the position before any row, the feed brings all their rows.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn hold_from_the_beginning(&self, scopes: &[Scope], beginning: &Cursor) -> Result<(), StorageError> {
        self.transact(|connection| {
            let mut held = scopes.to_vec();
            held.sort_unstable();
            state::put(connection, Name::Scopes, &held)?;
            state::put(connection, Name::Cursor, beginning)
        })
    }

    /// Sets the position after snapshots: the cursor of the first page.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn set_cursor(&self, cursor: &Cursor) -> Result<Vec<EntityKey>, ApplyError> {
        self.transact(|connection| self.move_to(connection, cursor, &[]))
    }

    /// Erases every row of a scope that this replica may not hold any more. Groups on them that were never sent are kept as refused.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn leave_scope(&self, scope: Scope, at: Millis) -> Result<Vec<EntityKey>, StorageError> {
        self.transact(|connection| {
            let keys: BTreeSet<EntityKey> = of_scope(connection, scope)?.into_iter().collect();
            let diverged = is_diverged(connection)?;
            if diverged {
                // A restored service may have lost the care relationship together with what was written under it.
                keep_aside(connection, &keys)?;
            } else {
                lost::leave(connection, scope, at)?;
            }
            outbox::withdraw_unsent(connection, &keys, !diverged, at)?;
            for key in &keys {
                if let Some(stored) = rows::load(connection, key)? {
                    rows::erase(connection, self.kind(), key, &stored)?;
                }
            }
            snapshots::leave(connection, scope)?;
            let mut scopes: Vec<Scope> = state::get(connection, Name::Scopes)?.unwrap_or_default();
            scopes.retain(|held| *held != scope);
            state::put(connection, Name::Scopes, &scopes)?;
            Ok(keys.into_iter().collect())
        })
    }

    /// Puts right what a check found: `rows` are the service's versions, `gone` what it does not have. What waits here is kept.
    ///
    /// # Errors
    /// [`ApplyError`].
    pub fn repair(&self, page: &[WireRow], gone: &[EntityKey]) -> Result<Vec<EntityKey>, ApplyError> {
        self.transact(|connection| {
            let mut changed = self.adopt(connection, page, Adopt::Every)?;
            self.remove_mirrored(connection, gone)?;
            changed.extend_from_slice(gone);
            Ok(changed)
        })
    }

    /// Lets tombstones go as the service did: those that it last changed at or before `floor`. What waits here is kept.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn drop_tombstones(&self, floor: i64) -> Result<Vec<EntityKey>, StorageError> {
        self.transact(|connection| {
            let gone = tombstones_up_to(connection, floor)?;
            if is_diverged(connection)? {
                keep_aside(connection, &gone)?;
            }
            self.remove_mirrored(connection, &gone)?;
            state::put(connection, Name::GcFloor, &floor)?;
            Ok(gone)
        })
    }

    fn move_to(
        &self,
        connection: &Connection,
        cursor: &Cursor,
        page: &[WireRow],
    ) -> Result<Vec<EntityKey>, ApplyError> {
        if is_diverged(connection)? {
            // Nothing was sent by the new replica yet, and what waits on lost rows waits on.
            outbox::renumber_all(connection)?;
            state::remove(connection, Name::Divergence)?;
        }
        // First, so that a row that comes back as it was sent is not rebuilt twice.
        let mut released = outbox::release_up_to(connection, cursor.seq)?;
        let changed = self.adopt(connection, page, Adopt::Newer)?;
        for row in page {
            released.remove(&row.key);
        }
        let mut changed = changed;
        changed.extend(released.iter().cloned());
        outbox::show_again(connection, self.kind(), released)?;
        let reviewed = lost::settle_reviewed(connection)?;
        changed.extend(outbox::show_again(connection, self.kind(), reviewed)?);
        state::remove(connection, Name::PullUnfinished)?;
        snapshots::forget(connection)?;
        state::put(connection, Name::Cursor, cursor)?;
        state::put(connection, Name::Epoch, &cursor.epoch)?;
        Ok(changed)
    }

    pub(crate) fn adopt(
        &self,
        connection: &Connection,
        page: &[WireRow],
        which: Adopt,
    ) -> Result<Vec<EntityKey>, ApplyError> {
        self.adopt_until(connection, page, which, || false)
            .map(|(changed, _)| changed)
    }

    /// As [`Self::adopt`], until `is_wanted` says that somebody waits for the writer; says how many rows were taken in, at least one.
    pub(crate) fn adopt_until(
        &self,
        connection: &Connection,
        page: &[WireRow],
        which: Adopt,
        is_wanted: impl Fn() -> bool,
    ) -> Result<(Vec<EntityKey>, usize), ApplyError> {
        let nothing_waits = outbox::is_empty(connection)?;
        let mut changed = Vec::with_capacity(page.len());
        for (place, row) in page.iter().enumerate() {
            if place > 0 && is_wanted() {
                return Ok((changed, place));
            }
            self.adopt_row(connection, row, which, nothing_waits, &mut changed)?;
        }
        Ok((changed, page.len()))
    }

    fn adopt_row(
        &self,
        connection: &Connection,
        row: &WireRow,
        which: Adopt,
        nothing_waits: bool,
        changed: &mut Vec<EntityKey>,
    ) -> Result<(), ApplyError> {
        if !self.kind().holds(row.scope) {
            return Err(ApplyError::ForeignScope);
        }
        let stored = rows::load(connection, &row.key)?;
        let is_older = stored
            .as_ref()
            .is_some_and(|stored| which == Adopt::Newer && row.rev <= stored.rev);
        let mirror = match &stored {
            Some(stored) if is_older => stored.mirror(),
            _ => Some(Mirror::of_wire(row).ok_or(ApplyError::NotCanonical)?),
        };
        let may_wait = !nothing_waits && stored.as_ref().is_none_or(rows::Stored::may_have_ops);
        if is_older && !may_wait && stored.as_ref().is_some_and(|stored| stored.base.is_none()) {
            return Ok(());
        }
        #[cfg(feature = "test-faults")]
        if may_wait {
            outbox::raise_bases(connection, row)?;
        }
        if which == Adopt::Instead {
            match (&stored, &mirror) {
                (Some(stored), Some(sent)) if !lost::is_same(stored, sent) => {
                    lost::keep(connection, &row.key, stored)?;
                }
                _ if may_wait => {
                    let rev = stored.as_ref().map_or(0, |stored| stored.rev);
                    lost::detach_strangers(connection, &row.key, rev)?;
                }
                _ => {}
            }
        }
        let ops = if may_wait {
            outbox::ops_on(connection, &row.key)?
        } else {
            Vec::new()
        };
        let is_different = rows::settle(
            connection,
            self.kind(),
            &row.key,
            stored.as_ref(),
            mirror.as_ref(),
            &ops,
        )?;
        if is_different {
            changed.push(row.key.clone());
        }
        Ok(())
    }

    pub(crate) fn remove_mirrored(&self, connection: &Connection, keys: &[EntityKey]) -> Result<(), StorageError> {
        for key in keys {
            let stored = rows::load(connection, key)?;
            let ops = outbox::ops_on(connection, key)?;
            rows::settle(connection, self.kind(), key, stored.as_ref(), None, &ops)?;
        }
        Ok(())
    }
}

fn begin_comparison(connection: &Connection) -> Result<(), StorageError> {
    outbox::send_unpulled_again(connection)?;
    outbox::detach_reviews(connection)?;
    outbox::detach_unheld(connection)?;
    refused::detach(connection)?;
    lost::offer_again(connection)?;
    files::share_again(connection)?;
    snapshots::give_up(connection)?;
    state::put(connection, Name::Divergence, &Divergence::Found)?;
    state::remove(connection, Name::Epoch)?;
    state::remove(connection, Name::Cursor)
}

/// Notes the position within a pull of which more pages follow.
pub(crate) fn go_on_from(connection: &Connection, cursor: &Cursor) -> Result<(), StorageError> {
    state::put(connection, Name::PullUnfinished, &true)?;
    snapshots::forget(connection)?;
    state::put(connection, Name::Cursor, cursor)?;
    state::put(connection, Name::Epoch, &cursor.epoch)
}

pub(crate) fn is_diverged(connection: &Connection) -> Result<bool, StorageError> {
    Ok(state::get::<Divergence>(connection, Name::Divergence)?.is_some())
}

pub(crate) fn keep_aside<'a>(
    connection: &Connection,
    keys: impl IntoIterator<Item = &'a EntityKey>,
) -> Result<(), StorageError> {
    for key in keys {
        if let Some(stored) = rows::load(connection, key)? {
            lost::keep(connection, key, &stored)?;
        }
    }
    Ok(())
}

fn tombstones_up_to(connection: &Connection, floor: i64) -> Result<Vec<EntityKey>, StorageError> {
    let mut statement = connection
        .prepare_cached("SELECT type, id FROM doc WHERE rev > 0 AND seq <= ?1 AND coalesce(base_deleted, deleted)")?;
    let mut rows = statement.query([floor])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(rows::key(row, 0)?);
    }
    Ok(keys)
}

fn of_scope(connection: &Connection, scope: Scope) -> Result<Vec<EntityKey>, StorageError> {
    let mut statement = connection.prepare_cached("SELECT type, id FROM doc WHERE scope = ?1")?;
    let mut rows = statement.query([scope.to_string()])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(rows::key(row, 0)?);
    }
    Ok(keys)
}
