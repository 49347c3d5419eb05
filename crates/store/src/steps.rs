//! Taking in much in short transactions, so that somebody who saves meanwhile waits for a few rows and not for a whole page.
//!
//! Between two steps the file is as after a page whose position was not noted: its rows are there, the position stays behind them, and the
//! same rows come again after a crash and change nothing. What the position does name at once is the state that was read, so that a service
//! that was put back to before it is noticed.

use caseload_domain::EntityKey;
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::WireRow;

use crate::error::StorageError;
use crate::identity::FileKind;
use crate::outbox;
use crate::pull::{ApplyError, is_diverged};
use crate::store::Store;

/// Rows, or groups of changes, that one transaction takes in.
pub(crate) const AT_ONCE: usize = 100;

impl Store {
    /// Takes in a page that continues the feed behind `from`, in short transactions: as [`Self::apply_part`] when `more` pages follow, else as
    /// [`Self::apply_page`]. Gives the entities that are different now.
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
        let mut changed = Vec::new();
        let on_the_way = from.clone().having_read(cursor.newest());
        let mut rest = page;
        while let Some((step, behind)) = rest.split_at_checked(AT_ONCE) {
            if behind.is_empty() {
                break;
            }
            changed.extend(self.apply_part(step, &on_the_way)?);
            rest = behind;
        }
        if more {
            changed.extend(self.apply_part(rest, cursor)?);
            return Ok(changed);
        }
        if self.holds_much_to_release(cursor.seq)? {
            changed.extend(self.apply_part(rest, &on_the_way)?);
            rest = &[];
            while let Some(released) = self.release_step(cursor.seq)? {
                changed.extend(released);
            }
        }
        changed.extend(self.apply_page(rest, cursor)?);
        Ok(changed)
    }

    /// What a file that compares itself with another history holds is not released before the comparison is done.
    fn holds_much_to_release(&self, seq: i64) -> Result<bool, StorageError> {
        self.read(|reads| {
            let connection = reads.connection();
            Ok(!is_diverged(connection)? && outbox::contained(connection, seq, AT_ONCE + 1)?.len() > AT_ONCE)
        })
    }

    /// Forgets the oldest acknowledged groups that a pull up to `seq` contains, or gives nothing when none is left.
    fn release_step(&self, seq: i64) -> Result<Option<Vec<EntityKey>>, StorageError> {
        let kind: FileKind = self.kind();
        self.transact(|connection| {
            let groups = outbox::contained(connection, seq, AT_ONCE)?;
            if groups.is_empty() {
                return Ok(None);
            }
            let released = outbox::release(connection, groups)?;
            outbox::show_again(connection, kind, released).map(Some)
        })
    }
}
