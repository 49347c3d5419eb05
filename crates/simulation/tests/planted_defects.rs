//! The suite is tested in turn: each defect is planted, and the invariants have to find it.
#![cfg(feature = "test-faults")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use caseload_faults::bugs::{self, Bug};
use caseload_simulation::{Seeds, Simulation};

/// Seeds that are tried for each defect.
const SEEDS: u64 = 400;

/// The only test of this program, because a planted defect is there for the whole process.
#[test]
fn the_suite_catches_every_planted_defect() {
    let simulation = Simulation::prepare("defects").unwrap();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        bugs::plant(Some(bug));
        let seeds = Seeds {
            first: 1,
            count: SEEDS,
            until_found: true,
        };
        let report = simulation.run(seeds).unwrap();
        match report.findings.first() {
            Some(found) => println!(
                "{bug:?}: {} of {} seeds; seed {}: {}",
                report.findings.len(),
                report.seeds,
                found.seed,
                found.broken
            ),
            None => missed.push(bug),
        }
    }
    bugs::plant(None);
    assert!(missed.is_empty(), "not caught in {SEEDS} seeds each: {missed:?}");
}
