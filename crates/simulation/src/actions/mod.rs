//! Everything that a person can do, one file per concept. Each names the entities that it is about; a test holds it against the
//! registry.

mod booking;
mod clinical;
mod files;
mod office;
pub(crate) mod reoffers;
mod review;

use caseload_testkit::chance::Chance;

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

/// What a person does after an update.
pub(crate) const GO_OUT: Action = review::GO_OUT;

/// What can be begun at any time.
pub(crate) const BEGINNINGS: &[&[Action]] = &[office::ACTIONS, booking::ACTIONS, clinical::ACTIONS, files::ACTIONS];

/// What can only be done with something that is there and is in the right state: people look for such things before they begin others.
pub(crate) const FOLLOW_UPS: &[&[Action]] = &[
    office::FOLLOW_UPS,
    booking::FOLLOW_UPS,
    clinical::FOLLOW_UPS,
    files::FOLLOW_UPS,
    review::FOLLOW_UPS,
    reoffers::FOLLOW_UPS,
];

/// The names of the entities that some action is about.
#[must_use]
pub fn kinds() -> std::collections::BTreeSet<&'static str> {
    all().flat_map(|action| action.kinds).copied().collect()
}

/// All actions.
pub(crate) fn all() -> impl Iterator<Item = &'static Action> {
    BEGINNINGS.iter().chain(FOLLOW_UPS).copied().flatten()
}

/// One of `groups`, each action as often as it weighs.
pub(crate) fn choose(chance: &mut Chance, groups: &'static [&'static [Action]]) -> &'static Action {
    let actions: Vec<&Action> = groups.iter().copied().flatten().collect();
    let weights: Vec<usize> = actions.iter().map(|action| action.weight).collect();
    actions[chance.weighted(&weights)]
}
