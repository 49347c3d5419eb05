//! `cargo xtask simulate`: histories of a whole practice from seeds, with crash points in every file.
//!
//! The simulation is built with a feature that no shipped program has, and otherwise with the features of the test build: only the crates that
//! carry crash points and planted defects are built a second time.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::Value;

use crate::processes;
use crate::project::Project;
use crate::terminal::say;

/// Which histories are made.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed; another one every time if none is given.
    #[arg(long)]
    first: Option<u64>,
    /// Makes the history of this seed alone and prints it line by line.
    #[arg(long)]
    seed: Option<u64>,
    /// Plants this defect, which the invariants then have to find.
    #[arg(long)]
    defect: Option<String>,
}

const FEATURE: &str = "caseload-simulation/test-faults";
/// The crate of the switches.
const SWITCHES: &str = "caseload-faults";

/// Makes the histories, prints the seeds and what occurred; fails when an invariant does not hold.
pub(crate) fn simulate(project: &Project, options: &Options) -> Result<()> {
    let mut arguments = Vec::new();
    if let Some(seed) = options.seed {
        arguments.extend(["--seed".to_owned(), seed.to_string()]);
    } else {
        let first = options.first.unwrap_or_else(fresh_seed);
        say(format!(
            "the same again: cargo xtask simulate --seeds {} --first {first}",
            options.seeds
        ));
        arguments.extend(["--seeds".to_owned(), options.seeds.to_string()]);
        arguments.extend(["--first".to_owned(), first.to_string()]);
    }
    if let Some(defect) = &options.defect {
        arguments.extend(["--until-found", "--defect", defect].map(str::to_owned));
    }
    run(project, &arguments)
}

/// Makes the same thousand histories in every run. A broken invariant on another day's seeds would be a finding, not a fault of the change at
/// hand: those are looked for with `cargo xtask simulate`.
pub(crate) fn a_thousand(project: &Project) -> Result<()> {
    run(project, &["--seeds", "1000", "--first", "1"].map(str::to_owned))
}

/// Plants each defect and fails when the histories do not find it.
pub(crate) fn planted_defects(project: &Project) -> Result<()> {
    nothing_shipped_has_switches(project)?;
    let test = [
        "test",
        "--workspace",
        "--features",
        FEATURE,
        "--test",
        "planted_defects",
    ];
    let arguments = [&test[..], &["--", "--nocapture"]].concat();
    processes::finish("the planted defects", &mut project.cargo(&arguments))
}

fn run(project: &Project, arguments: &[String]) -> Result<()> {
    let program = "caseload-simulation";
    let build = ["build", "--workspace", "--bin", program, "--features", FEATURE];
    processes::finish(&format!("cargo {}", build.join(" ")), &mut project.cargo(&build))?;
    let mut command = project.command(project.built(program)?);
    processes::finish(&format!("{program} {}", arguments.join(" ")), command.args(arguments))
}

/// Without the feature no crate of the workspace contains crash points or planted defects.
fn nothing_shipped_has_switches(project: &Project) -> Result<()> {
    let metadata = processes::output(
        "cargo metadata",
        &mut project.cargo(&["metadata", "--format-version", "1", "--locked"]),
    )?;
    let metadata: Value = serde_json::from_str(&metadata).context("read cargo's metadata")?;
    let with = dependants(&metadata, SWITCHES);
    ensure!(with.is_empty(), "these contain {SWITCHES} in every build: {with:?}");
    Ok(())
}

/// The packages that depend on `name` with their default features.
fn dependants(metadata: &Value, name: &str) -> BTreeSet<String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let named = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> = list(&metadata["packages"])
        .iter()
        .map(|package| (named(&package["id"]), named(&package["name"])))
        .collect();
    let mut found = BTreeSet::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let of = list(&node["dependencies"]);
        if of
            .iter()
            .any(|id| names.get(&named(id)).is_some_and(|other| other == name))
        {
            found.extend(names.get(&named(&node["id"])).cloned());
        }
    }
    found
}

/// Where nobody names a seed, every run looks at other histories.
#[expect(
    clippy::disallowed_methods,
    reason = "a fresh seed is wanted here; it is printed, and with it the run can be repeated"
)]
fn fresh_seed() -> u64 {
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    since_1970.as_secs() * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whoever_depends_on_a_package_is_named() {
        let metadata = json!({
            "packages": [{"id": "a 1", "name": "a"}, {"id": "b 1", "name": "b"}, {"id": "c 1", "name": "c"}],
            "resolve": {"nodes": [
                {"id": "a 1", "dependencies": ["b 1"]},
                {"id": "b 1", "dependencies": ["c 1"]},
                {"id": "c 1", "dependencies": []},
            ]},
        });
        assert_eq!(dependants(&metadata, "c"), BTreeSet::from(["b".to_owned()]));
        assert!(dependants(&metadata, "a").is_empty());
    }
}
