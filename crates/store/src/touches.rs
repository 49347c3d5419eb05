//! Which parts of an entity operations touch, and whether two of them meet.

use std::collections::BTreeSet;

use caseload_protocol::messages::{Op, OpKind};

/// The parts of an entity that an operation touches: units, elements of set units, or everything.
pub(crate) fn touches(op: &Op) -> Touches {
    match op.kind {
        OpKind::Patch => {
            let mut names: BTreeSet<String> = op.units.keys().cloned().collect();
            for (unit, elements) in &op.add {
                names.extend(elements.keys().map(|element| format!("{unit}/{element}")));
            }
            for (unit, elements) in &op.remove {
                names.extend(elements.iter().map(|element| format!("{unit}/{element}")));
            }
            Touches::Parts(names)
        }
        OpKind::Create
        | OpKind::Void
        | OpKind::Restore
        | OpKind::Settle
        | OpKind::Override
        | OpKind::Place
        | OpKind::Reoffer => Touches::Everything,
    }
}

/// See [`touches`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Touches {
    Parts(BTreeSet<String>),
    Everything,
}

impl Touches {
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => true,
            (Self::Parts(mine), Self::Parts(theirs)) => mine.iter().any(|one| {
                theirs
                    .iter()
                    .any(|other| is_within(one, other) || is_within(other, one))
            }),
        }
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (_, Self::Everything) => false,
            (Self::Parts(mine), Self::Parts(theirs)) => {
                theirs.iter().all(|one| mine.iter().any(|whole| is_within(one, whole)))
            }
        }
    }
}

/// Whether `part` is `whole` or an element of it.
fn is_within(part: &str, whole: &str) -> bool {
    part.strip_prefix(whole)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
