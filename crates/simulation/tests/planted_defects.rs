//! The suite is tested in turn: each defect is planted, and the invariants have to find it.
#![cfg(feature = "test-faults")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use caseload_faults::bugs::{self, Bug};
use caseload_simulation::{Finding, Seeds, Simulation};

/// Seeds that are tried for each defect; most are found within ten.
const SEEDS: u64 = 1_000;

/// The invariants that a defect breaks. Another one that fails first is a finding of its own and no proof that this defect is seen.
const fn broken_by(bug: Bug) -> &'static [&'static str] {
    match bug {
        // A value gives way to one whose writer had not seen it, or is found nowhere any more.
        Bug::BaseRaisedOnRebase | Bug::BaseIgnoresMaskedOp | Bug::AcknowledgedByNumber => &["I5"],
        // What is sent again cannot be told from something new: the push never ends.
        Bug::NoReceipts => &["I3", "I14"],
        Bug::CursorAtHeadAfterPage => &["I1"],
        Bug::NoClashCheck => &["I7"],
        Bug::PatchRevivesVoided => &["I10"],
        Bug::NoDedupeByOpId => &["I3"],
        // A number that is used up, or used again: the chain breaks or the next push fails for ever.
        Bug::CounterOutsideTransaction => &["I2", "I14"],
        Bug::UnknownFieldsDropped => &["I9"],
        Bug::UnitsSplit => &["I16"],
    }
}

/// The first seed whose history breaks one of those invariants with this defect and none without it.
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
        if broken_by(bug).contains(&found.broken.invariant) && simulation.story(found.seed).unwrap().broken.is_none() {
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
