//! `caseload-bench`: measures the product on session notes of another program.
//!
//! The devices, the service and the raw floors are processes of their own, started from this program; nothing of the product is replaced or
//! switched off. `caseload-bench generate` writes an input. Where to look next: [`run`] for the order of the measurement,
//! [`device`] for what each figure covers.

mod clock;
mod device;
mod figures;
mod floor;
mod generate;
mod import;
mod member;
mod mongodb;
mod prepare;
mod process;
mod profile;
mod run;
mod service;
mod source;
mod swarm;
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
    /// Also measure snapshots, sharing of what piled up, and the raw floors in between.
    #[arg(long)]
    all: bool,
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
    /// Let many simulated devices use one service for some seconds.
    Swarm {
        /// The working folder.
        dir: PathBuf,
        /// What the service keeps its data in.
        #[arg(long, value_enum, default_value = "sqlite")]
        storage: Storage,
        /// How many devices.
        #[arg(long, default_value_t = 200)]
        devices: usize,
        /// Requests of each device in a second.
        #[arg(long, default_value_t = 5)]
        rate: u32,
        /// For how many seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
    },
    #[command(hide = true)]
    Service,
    #[command(hide = true)]
    Device,
    #[command(hide = true)]
    Floor,
}

fn main() -> Result<()> {
    // One TLS provider for everything in this process; whoever came first installed the same one.
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Generate { n, file }) => generate::write(n, &file),
        Some(Part::Swarm {
            dir,
            storage,
            devices,
            rate,
            seconds,
        }) => swarm::run(&swarm::Plan {
            devices,
            rate,
            seconds,
            folder: dir,
            storage,
        }),
        Some(Part::Service) => service::run(),
        Some(Part::Device) => device::run(),
        Some(Part::Floor) => floor::run(),
        None => {
            let Measure {
                n,
                file,
                dir,
                storage,
                all,
            } = cli.measure.context("what is to be measured?")?;
            run::run(&Plan {
                count: n,
                file,
                folder: dir,
                storage,
                all,
            })
        }
    }
}
