//! Everything that a person can do, one file per concept. [`ALL`] names the entities that each action is about; a test holds it against the
//! registry.

mod booking;
mod clinical;
mod files;
mod office;
pub(crate) mod reoffers;
mod review;

use crate::desk::{Desk, Done};
use crate::model::Model;

/// One thing that a person can do.
pub(crate) struct Action {
    /// Its name in the history.
    pub(crate) name: &'static str,
    /// The entities that it is about.
    pub(crate) kinds: &'static [&'static str],
    /// How often it is chosen.
    pub(crate) weight: usize,
    pub(crate) run: fn(&mut Desk<'_>) -> Done,
}

/// What a person does who does not look up.
pub(crate) const GO_ON: Action = office::EDIT_AGAIN;

/// Whether there is something to go on with in this office file.
pub(crate) fn can_go_on(model: &Model, office: usize) -> bool {
    office::was_writing(model, office).is_some()
}

/// All actions.
pub(crate) const ALL: &[&[Action]] = &[
    office::ACTIONS,
    booking::ACTIONS,
    clinical::ACTIONS,
    files::ACTIONS,
    review::ACTIONS,
    reoffers::ACTIONS,
];

/// The names of the entities that some action is about.
#[must_use]
pub fn kinds() -> std::collections::BTreeSet<&'static str> {
    all().flat_map(|action| action.kinds).copied().collect()
}

pub(crate) fn all() -> impl Iterator<Item = &'static Action> {
    ALL.iter().copied().flatten()
}
