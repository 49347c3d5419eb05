//! The project's own commands: `cargo xtask run`, `cargo xtask test` and a few smaller ones.
//!
//! It drives other programs (cargo, npm, apt-get, pip, mongod, Xvfb) and links none of the product, so that it builds in seconds
//! on a machine that has Rust and a C linker and nothing else. It ends every process it started, also when it fails or is
//! interrupted: see [`processes`].
//!
//! Where to look next: [`run`] for the stages of a run, [`suites`] for the table of what a test run does.

mod bench;
mod bindings;
mod echo;
mod migrations;
mod mongodb;
mod packages;
mod processes;
mod project;
mod run;
mod simulate;
mod suites;
mod terminal;
mod ui;
mod wheels;
mod wire;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::project::Project;

/// Builds, runs and tests Caseload.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what is missing, build everything, start a service and open the window.
    Run(run::Options),
    /// Install what is missing and run every check and test.
    Test(suites::Options),
    /// Write the TypeScript bindings of the window's commands anew.
    Bindings,
    /// Record the hashes of new migrations; those already recorded are never changed.
    FreezeMigrations,
    /// Make histories of a practice from seeds and check every invariant of sync.
    Simulate(simulate::Options),
    /// Measure a release build.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match carry_out(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn carry_out(arguments: Arguments) -> Result<()> {
    processes::end_all_on_interrupt()?;
    let project = Project::find()?;
    match arguments.command {
        Command::Run(options) => run::run(&project, &options),
        Command::Test(options) => suites::test(&project, &options),
        Command::Bindings => bindings::write(&project),
        Command::FreezeMigrations => migrations::freeze(&project),
        Command::Simulate(options) => simulate::simulate(&project, &options),
        Command::Bench(options) => bench::bench(&project, &options),
    }
}
