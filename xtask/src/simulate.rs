//! `cargo xtask simulate`: histories of a whole practice from seeds, with crash points in every file.
//!
//! The simulation is built by itself, with a feature that no shipped program has.

use anyhow::Result;
use clap::Args;

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
}

const PACKAGE: [&str; 4] = ["--package", "caseload-simulation", "--features", "test-faults"];

/// Makes the histories, prints the seeds and what occurred; fails when an invariant does not hold.
pub(crate) fn simulate(project: &Project, options: &Options) -> Result<()> {
    if let Some(seed) = options.seed {
        return run(project, &["--seed", &seed.to_string()]);
    }
    let first = options.first.unwrap_or_else(fresh_seed);
    say(format!(
        "the same again: cargo xtask simulate --seeds {} --first {first}",
        options.seeds
    ));
    run(
        project,
        &["--seeds", &options.seeds.to_string(), "--first", &first.to_string()],
    )
}

fn run(project: &Project, arguments: &[&str]) -> Result<()> {
    let all = [&["run"][..], &PACKAGE, &["--"], arguments].concat();
    processes::finish(&format!("cargo {}", all.join(" ")), &mut project.cargo(&all))
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
