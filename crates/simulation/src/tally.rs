//! How often each fault and each outcome occurred, and how often each action was done. A suite that never meets a fault proves nothing about
//! it, and an action that is never done is none.

use std::collections::BTreeMap;

use crate::actions;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
    /// How often each action changed something.
    done: BTreeMap<&'static str, u64>,
}

/// Every fault and outcome that a run of a thousand seeds has to have met, beside every action.
pub const REQUIRED: &[&str] = &[
    "fault: request lost",
    "fault: answer lost",
    "fault: answer cut short",
    "fault: page out of order",
    "fault: old request arrives again",
    "fault: rounds interleaved",
    "fault: refused with busy",
    "fault: refused with storage unavailable",
    "fault: service restarted",
    "fault: service restored from an older copy",
    "fault: a new history begun",
    "fault: device killed between requests",
    "fault: device restored from a copy",
    "fault: device cloned",
    "fault: clock jumped",
    "fault: unknown fields from a newer program",
    "fault: scope gained",
    "fault: scope lost",
    "fault: void rows forgotten",
    "fault: row kept for newer programs",
    "fault: computer revoked",
    "outcome: applied",
    "outcome: merged",
    "outcome: duplicate",
    "outcome: conflict",
    "outcome: clash",
    "outcome: rejected",
    "outcome: upgrade",
    "outcome: refused before it was written",
    "outcome: registered anew",
    "outcome: resynced",
    "outcome: compared because void rows were forgotten",
    "outcome: both ends compared",
    "outcome: kept as refused",
    "outcome: refused change tried again",
    "outcome: refused because revoked",
    "outcome: conflict settled",
    "outcome: clash settled",
    "outcome: offered back",
    "outcome: lost row accepted",
    "outcome: lost row refused",
];

/// As [`REQUIRED`], where files have crash points and can be full and programs can be of another version.
pub const REQUIRED_WITH_FAULTS: &[&str] = &[
    "fault: service killed between statements",
    "fault: device killed between statements",
    "fault: disk full",
    "fault: program updated",
    "fault: earlier program put back",
    "outcome: held change made by an updated program",
];

impl Tally {
    /// Counts one.
    pub(crate) fn count(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    pub(crate) fn add(&mut self, name: &'static str, number: u64) {
        *self.counts.entry(name).or_default() += number;
    }

    /// Counts an action that changed something.
    pub(crate) fn did(&mut self, action: &'static str) {
        *self.done.entry(action).or_default() += 1;
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (name, number) in &other.counts {
            self.add(name, *number);
        }
        for (action, number) in &other.done {
            *self.done.entry(action).or_default() += number;
        }
    }

    /// How often a fault or an outcome was counted.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or_default()
    }

    /// What has to occur and did not, actions that were never done included.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let with_faults: &[&str] = if cfg!(feature = "test-faults") {
            REQUIRED_WITH_FAULTS
        } else {
            &[]
        };
        let never = REQUIRED.iter().chain(with_faults).filter(|name| self.of(name) == 0);
        let undone = actions::all().filter(|action| !self.done.contains_key(action.name));
        never
            .map(|name| (*name).to_owned())
            .chain(undone.map(|action| line_of(action.name)))
            .collect()
    }

    /// The counts as lines of text, what did not occur included.
    #[must_use]
    pub fn table(&self) -> Vec<String> {
        let counts = self.counts.iter().map(|(name, number)| ((*name).to_owned(), *number));
        let done = self.done.iter().map(|(action, number)| (line_of(action), *number));
        let mut all: BTreeMap<String, u64> = counts.chain(done).collect();
        for name in self.missing() {
            all.insert(name, 0);
        }
        all.iter()
            .map(|(name, number)| format!("{number:>9}  {name}"))
            .collect()
    }
}

fn line_of(action: &str) -> String {
    format!("action: {action}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_that_was_chosen_and_never_done_is_missing() {
        let mut tally = Tally::default();
        let everything = tally.missing().len();
        assert!(tally.missing().contains(&"action: client.edit".to_owned()));
        tally.count("outcome: applied");
        tally.did("client.edit");
        assert_eq!(tally.missing().len(), everything - 2);
        assert!(!tally.missing().contains(&"action: client.edit".to_owned()));
    }
}
