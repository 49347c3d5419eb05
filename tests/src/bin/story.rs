//! Plays a first working day in the real window, prints how each step ended, and fails if one did.
#![expect(clippy::print_stdout, reason = "this is a program that reports to a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use caseload_tests::processes::end_all_on_interrupt;
use caseload_tests::story::{Options, play};
use clap::Parser;

/// Plays a first working day in the real window, on virtual displays.
#[derive(Debug, Parser)]
struct Arguments {
    /// The folder for pictures and the report.
    #[arg(long, default_value = "out/story")]
    out: PathBuf,
    /// Lets the service keep its data in this MongoDB instead of in SQLite.
    #[arg(long, env = "CASELOAD_MONGODB_URI", hide_env_values = true, value_name = "URI")]
    mongodb: Option<String>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    end_all_on_interrupt()?;
    let options = Options {
        out: std::path::absolute(&arguments.out).context("find the folder for pictures")?,
        mongodb: arguments.mongodb,
    };
    let report = play(&options)?;
    let table = report.table();
    std::fs::write(options.out.join("report.txt"), &table).context("write the report")?;
    println!("\n{table}\npictures: {}", options.out.display());
    Ok(if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
