//! Taking in much without keeping anybody waiting: sharing writes in one transaction until a person stands in line for the file, then ends it,
//! lets the person go first and goes on. A save waits for one row and one commit, and undisturbed sharing commits once for a whole page.
//!
//! Between two steps the file is as after a page whose position was not noted: its rows are there, the position stays behind them, and the
//! same rows come again after a crash and change nothing. What the position does name at once is the state that was read, so that a service
//! that was put back to before it is noticed.

use caseload_domain::EntityKey;
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::WireRow;

use crate::error::StorageError;
use crate::outbox;
use crate::pull::{Adopt, ApplyError, go_on_from, is_diverged};
use crate::store::Store;

/// So many rows, or acknowledged groups, are settled together with the position that they lead to.
const FEW: usize = 100;
/// Acknowledged groups that are looked up together to be released.
const LOOKED_UP: usize = 1_000;

impl Store {
    /// Takes in a page that continues the feed behind `from`, in as many transactions as persons want to save meanwhile: as
    /// [`Self::apply_part`] when `more` pages follow, else as [`Self::apply_page`]. Gives the entities that are different now.
    ///
    /// # Errors
    /// [`ApplyError`]; what was taken in until then stays, and the position with it.
    pub fn take_in(
        &self,
        page: &[WireRow],
        from: &Cursor,
        cursor: &Cursor,
        more: bool,
    ) -> Result<Vec<EntityKey>, ApplyError> {
        self.take_in_steps(page, from, cursor, more, || self.is_wanted())
    }

    pub(crate) fn take_in_steps(
        &self,
        page: &[WireRow],
        from: &Cursor,
        cursor: &Cursor,
        more: bool,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Vec<EntityKey>, ApplyError> {
        let on_the_way = from.clone().having_read(cursor.newest());
        let all_at_once = !more && page.len() <= FEW && !self.holds_much_to_release(cursor.seq)?;
        let (mut changed, mut rest) = (Vec::new(), page);
        while !rest.is_empty() && !all_at_once {
            let (step, count) = self.transact(|connection| {
                let (mut step, count) = self.adopt_until(connection, rest, Adopt::Newer, &is_wanted)?;
                step.dedup();
                let is_through = more && count == rest.len();
                go_on_from(connection, if is_through { cursor } else { &on_the_way })?;
                Ok::<_, ApplyError>((step, count))
            })?;
            changed.extend(step);
            rest = &rest[count..];
        }
        if more {
            if page.is_empty() {
                changed.extend(self.apply_part(page, cursor)?);
            }
            return Ok(changed);
        }
        while let Some(released) = self.release_step(cursor.seq, &is_wanted)? {
            changed.extend(released);
        }
        changed.extend(self.apply_page(rest, cursor)?);
        Ok(changed)
    }

    /// Whether more was acknowledged and is contained in a pull up to `seq` than is released together with the position. What a file that
    /// compares itself with another history holds is not released before the comparison is done.
    fn holds_much_to_release(&self, seq: i64) -> Result<bool, StorageError> {
        self.read(|reads| {
            let connection = reads.connection();
            Ok(!is_diverged(connection)? && outbox::contained(connection, seq, FEW + 1)?.len() > FEW)
        })
    }

    /// Forgets the oldest acknowledged groups that a pull up to `seq` contains, or gives nothing when few are left.
    fn release_step(&self, seq: i64, is_wanted: impl Fn() -> bool) -> Result<Option<Vec<EntityKey>>, StorageError> {
        if !self.holds_much_to_release(seq)? {
            return Ok(None);
        }
        self.transact(|connection| {
            let mut changed = Vec::new();
            for (place, group) in outbox::contained(connection, seq, LOOKED_UP)?.into_iter().enumerate() {
                if place > 0 && is_wanted() {
                    break;
                }
                let released = outbox::release(connection, [group])?;
                changed.extend(outbox::show_again(connection, self.kind(), released)?);
            }
            Ok(Some(changed))
        })
    }
}
