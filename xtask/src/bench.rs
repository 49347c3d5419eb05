//! `cargo xtask bench`: the only place where a release build is made.
//!
//! `caseload-bench` writes a small, reproducible set of session notes and measures both storages on it.

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
    /// How many documents.
    #[arg(long, default_value_t = 1_000)]
    documents: usize,
    /// The service's storage; both if none is named.
    #[arg(long)]
    storage: Vec<Storage>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Storage {
    Sqlite,
    Mongodb,
}

/// Builds `caseload-bench` in release and runs it once on each storage.
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
    let file = folder.join("notes.jsonl");
    let mut generate = Command::new(&program);
    generate.arg("generate").arg(options.documents.to_string()).arg(&file);
    processes::finish("caseload-bench generate", &mut generate)?;
    let storages = if options.storage.is_empty() {
        &[Storage::Sqlite, Storage::Mongodb][..]
    } else {
        &options.storage
    };
    for storage in storages {
        let name = if *storage == Storage::Sqlite {
            "sqlite"
        } else {
            "mongodb"
        };
        say(format!("\n{} documents on {name}", options.documents));
        let mut command = Command::new(&program);
        command
            .arg(options.documents.to_string())
            .arg(&file)
            .arg(folder.join(name))
            .args(["--storage", name]);
        let _server = if *storage == Storage::Mongodb {
            Some(database(project, &folder, &mut command)?)
        } else {
            None
        };
        processes::finish("caseload-bench", &mut command)?;
    }
    Ok(())
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
