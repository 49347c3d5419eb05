//! Defects that a sync protocol can have, each behind a switch. At most one is planted at a time, for the whole process.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A defect that the tests have to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A pull raises the base of operations that still wait, as if their writer had seen what came.
    BaseRaisedOnRebase,
    /// A new operation takes the newest base although a waiting one hides it from the person.
    BaseIgnoresMaskedOp,
    /// The service keeps no receipts.
    NoReceipts,
    /// A limited page moves the cursor to the head.
    CursorAtHeadAfterPage,
    /// Overlapping bookings are placed all the same.
    NoClashCheck,
    /// An edit brings a voided record back.
    PatchRevivesVoided,
    /// Changes are acknowledged by their number, whatever their id.
    AcknowledgedByNumber,
    /// After a new registration the same operations are made once more.
    NoDedupeByOpId,
    /// The counter is committed apart from the rows that it numbers.
    CounterOutsideTransaction,
    /// An edit drops the members of a unit that this program does not know.
    UnknownFieldsDropped,
    /// Two values of one unit are merged member by member.
    UnitsSplit,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::BaseRaisedOnRebase,
        Self::BaseIgnoresMaskedOp,
        Self::NoReceipts,
        Self::CursorAtHeadAfterPage,
        Self::NoClashCheck,
        Self::PatchRevivesVoided,
        Self::AcknowledgedByNumber,
        Self::NoDedupeByOpId,
        Self::CounterOutsideTransaction,
        Self::UnknownFieldsDropped,
        Self::UnitsSplit,
    ];

    fn number(self) -> usize {
        Self::ALL.iter().position(|bug| *bug == self).map_or(0, |at| at + 1)
    }
}

static PLANTED: AtomicUsize = AtomicUsize::new(0);

/// Plants one defect, or none.
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, Bug::number), Ordering::SeqCst);
}

/// Whether this defect is planted.
#[must_use]
pub fn has(bug: Bug) -> bool {
    PLANTED.load(Ordering::Relaxed) == bug.number()
}
