//! `cargo xtask bench`: the only place where a release build is made.
//!
//! `caseload-bench` writes reproducible sets of session notes and measures both storages on them, each beside the raw floors of the same run.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::mongodb::{MongoDb, ReplicaSet};
use crate::packages::{Consent, Purpose, install_missing};
use crate::processes;
use crate::project::Project;
use crate::terminal::say;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many documents; 1,000 and 10,000 if no number is named.
    #[arg(long)]
    documents: Vec<usize>,
    /// Measure 100,000 documents as well, which takes a quarter of an hour.
    #[arg(long)]
    large: bool,
    /// The service's storage; both if none is named.
    #[arg(long)]
    storage: Vec<Storage>,
}

impl Options {
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = self.documents.clone();
        if sizes.is_empty() {
            sizes.extend([1_000, 10_000]);
        }
        if self.large {
            sizes.push(100_000);
        }
        sizes
    }

    fn storages(&self) -> &[Storage] {
        if self.storage.is_empty() {
            &[Storage::Sqlite, Storage::Mongodb]
        } else {
            &self.storage
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Storage {
    Sqlite,
    Mongodb,
}

impl Storage {
    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Mongodb => "mongodb",
        }
    }
}

/// Builds `caseload-bench` in release and runs it on each storage: every number of documents beside the raw floors, then many devices.
pub(crate) fn bench(project: &Project, options: &Options) -> Result<()> {
    install_missing(&[Purpose::Build, Purpose::MongoDb], Consent::Ask)?;
    processes::finish(
        "cargo build --release",
        &mut project.cargo(&["build", "--release", "--package", "caseload-bench"]),
    )?;
    let program = project.built("../release/caseload-bench")?;
    let folder = project.path("out/bench");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    for documents in options.sizes() {
        let file = folder.join(format!("notes-{documents}.jsonl"));
        let mut generate = Command::new(&program);
        generate.arg("generate").arg(documents.to_string()).arg(&file);
        processes::finish("caseload-bench generate", &mut generate)?;
        for storage in options.storages() {
            say(format!("\n{documents} documents on {}", storage.name()));
            let mut command = Command::new(&program);
            let place = folder.join(format!("{}-{documents}", storage.name()));
            command.arg(documents.to_string()).arg(&file).arg(place).arg("--all");
            run(project, &folder, *storage, &mut command)?;
        }
    }
    for storage in options.storages() {
        say(format!("\nmany devices on {}", storage.name()));
        let mut command = Command::new(&program);
        command
            .arg("swarm")
            .arg(folder.join(format!("{}-swarm", storage.name())));
        run(project, &folder, *storage, &mut command)?;
    }
    Ok(())
}

fn run(project: &Project, folder: &Path, storage: Storage, command: &mut Command) -> Result<()> {
    command.args(["--storage", storage.name()]);
    let _server = if storage == Storage::Mongodb {
        Some(database(project, folder, command)?)
    } else {
        None
    };
    processes::finish("caseload-bench", command)
}

/// Lets the command use a MongoDB, which ends with the returned guard if it is ours.
fn database(project: &Project, folder: &Path, command: &mut Command) -> Result<Option<ReplicaSet>> {
    let found = MongoDb::find(project)?;
    found.tell(command);
    let MongoDb::Program(program) = found else {
        return Ok(None);
    };
    let set = ReplicaSet::start(&program, &folder.join("replica-set"))?;
    command.env("CASELOAD_MONGODB_URI", set.uri());
    Ok(Some(set))
}
