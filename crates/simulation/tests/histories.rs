//! A few histories in every test run; `cargo xtask test` and `cargo xtask simulate` make many more, with crash points.
#![allow(clippy::unwrap_used, reason = "tests")]

use caseload_domain::registry;
use caseload_simulation::{Seeds, Simulation, actions};

#[test]
fn every_entity_has_an_action_and_a_merge_policy() {
    let kinds = actions::kinds();
    for entity in registry::all() {
        assert!(
            kinds.contains(entity.kind),
            "nobody in the simulation does anything with {}",
            entity.kind
        );
        assert!(!entity.units.is_empty(), "{} has no merge policy", entity.kind);
    }
    let known: Vec<_> = registry::all().map(|entity| entity.kind).collect();
    assert!(kinds.iter().all(|kind| known.contains(kind)), "{kinds:?}");
}

#[test]
fn the_same_seed_makes_the_same_history() {
    let (one, other) = (
        Simulation::prepare("one").unwrap(),
        Simulation::prepare("other").unwrap(),
    );
    for seed in [7, 8, 9] {
        let (first, second) = (one.story(seed).unwrap(), other.story(seed).unwrap());
        assert_eq!(first.lines, second.lines, "seed {seed}");
        assert_eq!(first.digest, second.digest);
        assert_ne!(first.digest, one.story(seed + 100).unwrap().digest);
    }
}

#[test]
fn every_invariant_holds_in_the_first_histories() {
    let simulation = Simulation::prepare("first").unwrap();
    let seeds = Seeds {
        first: 1,
        count: 20,
        until_found: false,
    };
    let report = simulation.run(seeds).unwrap();
    assert_eq!(report.seeds, 20);
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}
