//! What the program that measures and the processes of devices say to each other: one JSON line each way.

use std::path::PathBuf;

use caseload_domain::{DeviceId, EntityId, PracticeId, UserId};
use caseload_protocol::cursor::Cursor;
use serde::{Deserialize, Serialize};

/// An unlocked profile: what a signed-in process of a device holds in memory. Deriving keys from a passphrase takes 128 MiB, which would
/// hide what sync needs, so it is left out.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Unlocked {
    pub(crate) folder: PathBuf,
    pub(crate) address: String,
    pub(crate) practice: PracticeId,
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) office_key: String,
    pub(crate) clinical_key: String,
    pub(crate) signing_seed: String,
}

/// A part of the input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) file: PathBuf,
    pub(crate) count: usize,
}

/// What the process of a device is told.
#[derive(Serialize, Deserialize)]
pub(crate) enum Command {
    /// Open the files, repeatedly: how long does each take?
    Open { times: usize },
    /// Create the clients and authors of the input that are not known yet.
    Introduce(Input),
    /// Store the input's notes, in groups.
    Import(Input),
    /// Store the input's notes, one durable save each: how long does each take?
    Save(Input),
    /// Share everything that waits: how long until the service has it?
    Push,
    /// Bring everything here: how long?
    Pull,
    /// Where does the clinical file stand?
    Position,
    /// Take a snapshot of every clinical scope into a file that holds nothing, from that position on: how long?
    Snapshot(Cursor),
    /// Sync when nothing is new: how long does each round take?
    Idle { times: usize },
    /// Write this text into a note and share it at once.
    Edit { note: EntityId, text: String },
    /// Wait until this text is read from the note.
    Watch { note: EntityId, text: String },
    /// Search for a word, repeatedly: how long does each search take?
    Search { word: String, times: usize },
    /// Compare this many of the input's notes with what lies here, by reading and by searching.
    Reread { input: Input, sample: usize },
    /// Compare sums with the service.
    Check,
    /// Make so many changes offline, then share them while somebody goes on working: how long does what she does take?
    Drain { changes: usize },
    /// Write everything into the files and end.
    Close,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Done,
    Seconds(f64),
    Milliseconds(Vec<f64>),
    /// Waiting for news of the service.
    Waiting,
    /// Something happened at this moment of the clock that all processes of a computer share.
    At {
        nanoseconds: i64,
    },
    /// How long each search took and what the last found.
    Found {
        milliseconds: Vec<f64>,
        notes: usize,
    },
    /// How long sharing took, in seconds, and meanwhile each search and each save, in milliseconds.
    Drained {
        seconds: f64,
        reads: Vec<f64>,
        saves: Vec<f64>,
    },
    /// Where a file stands.
    Position(Cursor),
    /// The figures over everything held, by file.
    Sums(Vec<String>),
}
