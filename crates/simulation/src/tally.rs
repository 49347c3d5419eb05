//! How often each fault and each outcome occurred. A suite that never meets a fault proves nothing about it.

use std::collections::BTreeMap;

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, u64>);

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
        *self.0.entry(name).or_default() += number;
    }

    /// Adds the counts of another run.
    pub fn merge(&mut self, other: &Self) {
        for (name, number) in &other.0 {
            self.add(name, *number);
        }
    }

    /// How often something was counted.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
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

    /// The counts as lines of text, what did not occur included.
    #[must_use]
    pub fn table(&self) -> Vec<String> {
        let mut counts = self.0.clone();
        for name in self.missing() {
            counts.insert(name, 0);
        }
        counts
            .iter()
            .map(|(name, number)| format!("{number:>9}  {name}"))
            .collect()
    }
}
