//! `caseload-simulation`: histories from seeds, and one history line by line.
#![expect(clippy::print_stdout, reason = "a program that reports")]

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
#[cfg(feature = "test-faults")]
use caseload_faults::bugs::{Bug, plant};
use caseload_simulation::{Report, Seeds, Simulation};
use clap::Parser;

/// A run of at least this many seeds has to have met every fault and outcome.
const MANY: u64 = 1_000;

/// Makes histories of a practice and checks every invariant of sync at their end.
#[derive(Debug, Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = MANY)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// Makes the history of this seed alone and prints it.
    #[arg(long)]
    seed: Option<u64>,
    /// Plants this defect before: the invariants have to find it.
    #[cfg(feature = "test-faults")]
    #[arg(long, value_parser = defect)]
    defect: Option<Bug>,
    /// Ends at the first finding.
    #[arg(long)]
    until_found: bool,
}

/// A planted defect by its name.
#[cfg(feature = "test-faults")]
fn defect(name: &str) -> Result<Bug, String> {
    let names = || Bug::ALL.map(|bug| format!("{bug:?}"));
    let found = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
    found.ok_or_else(|| format!("one of {}", names().join(", ")))
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let simulation = Simulation::prepare("run")?;
    #[cfg(feature = "test-faults")]
    plant(options.defect);
    let good = match options.seed {
        Some(seed) => tell(&simulation, seed)?,
        None => run(&simulation, &options)?,
    };
    drop(simulation);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(simulation: &Simulation, seed: u64) -> Result<bool> {
    let story = simulation.story(seed)?;
    for line in &story.lines {
        println!("{line}");
    }
    println!("seed {seed}: digest {}", story.digest);
    match &story.broken {
        Some(broken) => println!("BROKEN {broken}"),
        None => println!("every invariant holds"),
    }
    Ok(story.broken.is_none())
}

fn run(simulation: &Simulation, options: &Options) -> Result<bool> {
    println!(
        "seeds {} to {}",
        options.first,
        options.first.wrapping_add(options.seeds).wrapping_sub(1)
    );
    let began = Instant::now();
    let report = simulation.run(Seeds {
        first: options.first,
        count: options.seeds,
        until_found: options.until_found,
    })?;
    let missing = show(&report, began);
    Ok(report.findings.is_empty() && (report.seeds < MANY || !missing))
}

/// Prints what a run found; says whether anything that has to occur did not.
fn show(report: &Report, began: Instant) -> bool {
    for line in report.tally.table() {
        println!("{line}");
    }
    for finding in &report.findings {
        println!("BROKEN seed {}: {}", finding.seed, finding.broken);
    }
    let missing = report.tally.missing();
    for name in &missing {
        println!("never occurred: {name}");
    }
    println!(
        "{} histories in {:.1} s, {} broken",
        report.seeds,
        began.elapsed().as_secs_f64(),
        report.findings.len()
    );
    !missing.is_empty()
}
