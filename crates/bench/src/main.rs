//! `caseload-bench`: measures the product on session notes of another program.
//!
//! The clients, the service and the steps that derive keys are processes of their own, started from this program; nothing of the product is
//! replaced or switched off. `caseload-bench generate` writes an input. Where to look next: [`run`] for the order of the measurement,
//! [`device`] for what each figure covers.

mod chance;
mod clock;
mod device;
mod figures;
mod generate;
mod import;
mod mongodb;
mod prepare;
mod process;
mod profile;
mod run;
mod service;
mod source;
mod wire;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::run::{Plan, Storage};

/// Measures Caseload on N documents: storing, sharing, searching, opening, memory and disk.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    measure: Option<Measure>,
}

#[derive(Args)]
struct Measure {
    /// How many documents.
    n: usize,
    /// The documents, one JSON object per line; FILE.extra has 1,000 more.
    file: PathBuf,
    /// The working folder: made if it is missing, and empty.
    dir: PathBuf,
    /// What the service keeps its data in.
    #[arg(long, value_enum, default_value = "sqlite")]
    storage: Storage,
}

#[derive(Subcommand)]
enum Part {
    /// Write N documents to FILE and 1,000 more to FILE.extra.
    Generate {
        /// How many documents.
        n: usize,
        /// Where to.
        file: PathBuf,
    },
    #[command(hide = true)]
    Service,
    #[command(hide = true)]
    Device,
    #[command(hide = true)]
    Prepare,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Generate { n, file }) => generate::write(n, &file),
        Some(Part::Service) => service::run(),
        Some(Part::Device) => device::run(),
        Some(Part::Prepare) => prepare::run(),
        None => {
            let Measure { n, file, dir, storage } = cli.measure.context("what is to be measured?")?;
            run::run(&Plan {
                count: n,
                file,
                folder: dir,
                storage,
            })
        }
    }
}
