//! `cargo xtask bench`: the only place where a release build is made.
//!
//! It writes a small, reproducible set of session notes and lets `caseload-bench` measure both storages on it.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::mongodb::{MongoDb, ReplicaSet};
use crate::packages::{Consent, Purpose, install_missing};
use crate::processes;
use crate::project::Project;
use crate::terminal::say;

/// How many documents of the same shape `FILE.extra` holds.
const EXTRA: usize = 1_000;

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
    write_notes(&file, 0, options.documents)?;
    write_notes(&folder.join("notes.jsonl.extra"), options.documents, EXTRA)?;
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

const WORDS: [&str; 48] = [
    "session",
    "client",
    "reports",
    "sleep",
    "anxiety",
    "improved",
    "breathing",
    "exercise",
    "homework",
    "family",
    "work",
    "stress",
    "mood",
    "stable",
    "tearful",
    "goal",
    "review",
    "coping",
    "strategy",
    "weekly",
    "conflict",
    "partner",
    "support",
    "practice",
    "thought",
    "record",
    "panic",
    "avoidance",
    "exposure",
    "values",
    "schedule",
    "energy",
    "appetite",
    "focus",
    "memory",
    "school",
    "friend",
    "boundary",
    "grief",
    "anger",
    "relief",
    "progress",
    "relapse",
    "plan",
    "safety",
    "contact",
    "between",
    "calm",
];

fn write_notes(file: &Path, first: usize, count: usize) -> Result<()> {
    let mut text = String::new();
    for number in first..first + count {
        writeln!(text, "{}", note(number)).context("write a note")?;
    }
    fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

/// The note of this number; the same at every call. Its summary holds one word that no other note holds.
fn note(number: usize) -> serde_json::Value {
    let mut chance = Chance(number as u64 + 1);
    let day = format!("2024-{:02}-{:02}", 1 + number / 28 % 12, 1 + number % 28);
    let hour = 8 + number % 10;
    json!({
        "id": id(1, number),
        "client_id": id(2, number % 40),
        "author_id": id(3, number % 2),
        "created_at": "2024-01-01T00:00:00Z",
        "updated_at": format!("{day}T{:02}:00:00Z", hour + 1),
        "session_at": format!("{day}T{hour:02}:00:00Z"),
        "version": 1,
        "subjective": chance.sentence(),
        "objective": chance.sentence(),
        "assessment": chance.sentence(),
        "plan": chance.sentence(),
        "summary": format!("{} and {} in session n{number}only", chance.word(), chance.word()),
    })
}

/// A UUID of version 4 in form, counted instead of drawn.
fn id(kind: usize, number: usize) -> String {
    format!("{kind:08x}-0000-4000-8000-{number:012x}")
}

/// Reproducible choices (a linear congruential generator; Knuth's constants).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit).expect("the limits are small")
    }

    fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64)]
    }

    /// 25 to 40 words.
    fn sentence(&mut self) -> String {
        let count = 25 + self.below(16);
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_reproducible_and_have_the_size_of_real_ones() {
        assert_eq!(note(7), note(7));
        assert_ne!(note(7), note(8));
        let mean = (0..200).map(|number| note(number).to_string().len()).sum::<usize>() / 200;
        assert!((900..1_500).contains(&mean), "{mean} bytes");
        for field in ["subjective", "objective", "assessment", "plan"] {
            let words = note(3)[field].as_str().map_or(0, |text| text.split(' ').count());
            assert!((25..=40).contains(&words), "{field}: {words} words");
        }
    }
}
