//! The suite is tested in turn: each defect is planted, and the invariants have to find it.
#![cfg(feature = "test-faults")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use caseload_faults::bugs::{self, Bug};
use caseload_simulation::{Finding, Seeds, Simulation};

/// Seeds that are tried for each defect; most are found within ten.
const SEEDS: u64 = 1_000;

/// The first seeds whose history breaks an invariant with this defect and none without it.
fn find(simulation: &Simulation, bug: Bug) -> Option<Finding> {
    let mut first = 1;
    while first <= SEEDS {
        bugs::plant(Some(bug));
        let seeds = Seeds {
            first,
            count: SEEDS + 1 - first,
            until_found: true,
        };
        let found = simulation.run(seeds).unwrap().findings.into_iter().next()?;
        bugs::plant(None);
        if simulation.story(found.seed).unwrap().broken.is_none() {
            return Some(found);
        }
        first = found.seed + 1;
    }
    None
}

/// The only test of this program, because a planted defect is there for the whole process.
#[test]
fn the_suite_catches_every_planted_defect() {
    let simulation = Simulation::prepare("defects").unwrap();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match find(&simulation, bug) {
            Some(found) => println!("{bug:?}: found by seed {}: {}", found.seed, found.broken),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found in {SEEDS} seeds each: {missed:?}");
}
