//! When void rows may go from what is current: the rule that both storages follow.
//!
//! A void row stays as a tombstone, so that a device that was away hears of it. The history (`op`, `ops`) keeps what it said for ever; the
//! tombstone itself goes when every device that still shares has passed it. That is known without asking the devices: marks say where the
//! history stood and when, and whoever has shared since the moment of a mark has read beyond it. A device that has not is refused with a code
//! of its own and compares what it holds with snapshots instead of reading on.

/// A mark is made when the newest one is older, in milliseconds.
const BETWEEN_MARKS_MS: i64 = 86_400_000;

/// For how long beyond its use a mark is kept, in milliseconds: a service that was not running for a while still finds one.
pub(super) const SPARE_MS: i64 = 90 * 86_400_000;

/// How old tombstones have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// The present instant in milliseconds.
    pub now_ms: i64,
    /// How long tombstones are kept, in milliseconds; 0 lets all of them go.
    pub keep_ms: i64,
}

/// What a collection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collected {
    /// Tombstones at or below this sequence number are gone.
    pub floor: i64,
    /// How many went this time.
    pub rows: u64,
}

impl Keeping {
    /// The latest moment at which a mark may have been made to count.
    pub(super) const fn before_ms(self) -> i64 {
        self.now_ms.saturating_sub(self.keep_ms)
    }

    /// Whether a mark is to be made, when the newest one is of `newest_ms`. None is made by a clock that was set back: it would say that the
    /// history got this far earlier than it did.
    pub(super) fn needs_mark(self, newest_ms: Option<i64>) -> bool {
        newest_ms.is_none_or(|newest| self.now_ms.saturating_sub(newest) >= BETWEEN_MARKS_MS)
    }

    /// Up to where tombstones go, when the history stands at `head`, `floor` is where they went up to before, and `mark` is the sequence number
    /// of the newest mark that counts.
    pub(super) fn floor(self, head: i64, floor: i64, mark: Option<i64>) -> i64 {
        let reached = if self.keep_ms <= 0 { Some(head) } else { mark };
        // A mark of a history that was put back to an earlier copy may lie beyond the head.
        reached.unwrap_or(floor).min(head).max(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = BETWEEN_MARKS_MS;

    #[test]
    fn a_mark_is_made_once_a_day_and_never_by_a_clock_that_was_set_back() {
        let at = |now_ms| Keeping { now_ms, keep_ms: DAY };
        assert!(at(5 * DAY).needs_mark(None));
        assert!(!at(5 * DAY).needs_mark(Some(5 * DAY)));
        assert!(!at(6 * DAY - 1).needs_mark(Some(5 * DAY)));
        assert!(at(6 * DAY).needs_mark(Some(5 * DAY)));
        assert!(!at(DAY).needs_mark(Some(5 * DAY)));
    }

    #[test]
    fn the_floor_rises_to_the_newest_mark_that_counts_and_never_falls_or_passes_the_head() {
        let keeping = Keeping {
            now_ms: 500 * DAY,
            keep_ms: 400 * DAY,
        };
        assert_eq!(keeping.before_ms(), 100 * DAY);
        assert_eq!(keeping.floor(90, 0, None), 0, "nothing is old enough");
        assert_eq!(keeping.floor(90, 10, Some(40)), 40);
        assert_eq!(keeping.floor(90, 50, Some(40)), 50, "a former floor stays");
        assert_eq!(keeping.floor(30, 10, Some(40)), 30, "the history was put back");
        let at_once = Keeping { keep_ms: 0, ..keeping };
        assert_eq!(at_once.floor(90, 10, None), 90);
    }
}
