//! How often each fault and each outcome occurred, and how often each action was done. A suite that never meets a fault proves nothing about
//! it, and an action that is never done shows.

use std::collections::BTreeMap;

use crate::actions;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: BTreeMap<&'static str, u64>,
    /// How often each action changed something.
    done: BTreeMap<&'static str, u64>,
}

/// Every fault and outcome that a run of a thousand seeds has to have met.
pub const REQUIRED: &[&str] = &[
    "fault: request lost",
    "fault: answer lost",
    "fault: answer cut short",
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
    "outcome: applied",
    "outcome: merged",
    "outcome: duplicate",
    "outcome: conflict",
    "outcome: clash",
    "outcome: rejected",
    "outcome: refused before it was written",
    "outcome: registered anew",
    "outcome: resynced",
    "outcome: compared because void rows were forgotten",
    "outcome: kept as refused",
    "outcome: conflict settled",
    "outcome: clash settled",
    "outcome: offered back",
    "outcome: lost row accepted",
    "outcome: lost row refused",
];

/// As [`REQUIRED`], where the files have crash points.
pub const REQUIRED_WITH_CRASH_POINTS: &[&str] = &[
    "fault: service killed between statements",
    "fault: device killed between statements",
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

    /// What has to occur and did not.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let crash_points: &[&str] = if cfg!(feature = "test-faults") {
            REQUIRED_WITH_CRASH_POINTS
        } else {
            &[]
        };
        REQUIRED
            .iter()
            .chain(crash_points)
            .copied()
            .filter(|name| self.of(name) == 0)
            .collect()
    }

    /// The counts as lines of text, what did not occur and actions that were never done included.
    #[must_use]
    pub fn table(&self) -> Vec<String> {
        let missing = self.missing().into_iter().map(|name| (name.to_owned(), 0));
        let counts = self.counts.iter().map(|(name, number)| ((*name).to_owned(), *number));
        let actions = actions::all().map(|action| {
            let done = self.done.get(action.name).copied().unwrap_or_default();
            (format!("action: {}", action.name), done)
        });
        let all: BTreeMap<String, u64> = missing.chain(counts).chain(actions).collect();
        all.iter()
            .map(|(name, number)| format!("{number:>9}  {name}"))
            .collect()
    }
}
