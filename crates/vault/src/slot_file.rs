//! The slot file: one container, kept in two copies.
//!
//! A copy is `magic (8) | version u16 | length u32 | JSON body | SHA-256 of all before`, numbers big-endian. This frame is the same in every
//! version, so that a newer file is told from a damaged one. The digest finds damage; what must not be forged is sealed inside.
//!
//! Of two valid copies the one with the higher generation counts. A write replaces first B, then A, each by a temporary file, fsync, rename
//! and fsync of the folder: a crash at any point leaves at least one whole copy, old or new. Reading never writes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use caseload_domain::{DeviceId, PracticeId, Role, UserId};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::heads::RecordedHead;
use crate::slots::Slot;
use crate::text;

/// Names of the two copies in the profile folder, in the order in which they are written.
pub const COPIES: [&str; 2] = ["keys-b.clv", "keys-a.clv"];

const MAGIC: &[u8; 8] = b"CLVSLOTS";
const VERSION: u16 = 1;
const HEADER: usize = MAGIC.len() + 2 + 4;
const DIGEST: usize = 32;
/// Far more than a practice's people need on one device; a larger file is not ours.
const MAX_LENGTH: u64 = 4 * 1024 * 1024;

/// Why the slot file could not be read or written. None of these changes anything on disk.
#[derive(Debug, Error)]
pub enum SlotFileError {
    /// The folder holds no slot file.
    #[error("there is no slot file")]
    Missing,
    /// Neither copy is whole.
    #[error("both copies of the slot file are damaged")]
    Damaged,
    /// A newer program wrote the file.
    #[error("the slot file has the newer version {0}")]
    Newer(u16),
    /// The folder already holds a slot file, so no new one is made.
    #[error("there is a slot file already")]
    Exists,
    /// Reading failed.
    #[error("the slot file could not be read")]
    Read(#[source] io::Error),
    /// Writing failed. What was there before still is, in at least one copy.
    #[error("the slot file could not be written")]
    Write(#[source] io::Error),
}

/// Content of the slot file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotFile {
    pub(crate) generation: u64,
    pub(crate) practice: PracticeId,
    pub(crate) device: DeviceId,
    pub(crate) users: Vec<SlotUser>,
    pub(crate) heads: BTreeMap<String, RecordedHead>,
}

/// One person who works on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlotUser {
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) slots: Vec<Slot>,
    #[serde(with = "text::bytes")]
    pub(crate) bundle: Vec<u8>,
}

impl SlotFile {
    pub(crate) fn user(&self, user: UserId) -> Option<&SlotUser> {
        self.users.iter().find(|candidate| candidate.user == user)
    }

    pub(crate) fn user_mut(&mut self, user: UserId) -> Option<&mut SlotUser> {
        self.users.iter_mut().find(|candidate| candidate.user == user)
    }

    fn encode(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).expect("the slot file has string keys only");
        let mut out = Vec::with_capacity(HEADER + body.len() + DIGEST);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(
            &u32::try_from(body.len())
                .expect("a slot file is a few kilobytes")
                .to_be_bytes(),
        );
        out.extend_from_slice(&body);
        let digest = digest(&SHA256, &out);
        out.extend_from_slice(digest.as_ref());
        out
    }

    fn decode(bytes: &[u8]) -> CopyState {
        let Some((version, body)) = unframe(bytes) else {
            return CopyState::Damaged;
        };
        if version > VERSION {
            return CopyState::Newer(version);
        }
        match serde_json::from_slice(body) {
            Ok(file) if version == VERSION => CopyState::Valid(file),
            _ => CopyState::Damaged,
        }
    }
}

/// Version and body of a whole frame.
fn unframe(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (framed, stored) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST)?)?;
    let (magic, rest) = framed.split_first_chunk::<8>()?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (length, body) = rest.split_first_chunk::<4>()?;
    let whole = magic == MAGIC
        && usize::try_from(u32::from_be_bytes(*length)).is_ok_and(|length| length == body.len())
        && digest(&SHA256, framed).as_ref() == stored;
    whole.then(|| (u16::from_be_bytes(*version), body))
}

enum CopyState {
    Absent,
    Valid(SlotFile),
    Damaged,
    Newer(u16),
    Unreadable(io::Error),
}

/// The profile folder, as the place of the two copies.
#[derive(Debug, Clone)]
pub(crate) struct SlotFolder(PathBuf);

impl SlotFolder {
    pub(crate) fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// Reads the copy that counts.
    pub(crate) fn read(&self) -> Result<SlotFile, SlotFileError> {
        let mut best: Option<SlotFile> = None;
        let mut damaged = false;
        let mut unreadable = None;
        for name in COPIES {
            match self.read_copy(name) {
                CopyState::Absent => {}
                // A newer program may have been interrupted after its first copy: going on with the older one would undo its change.
                CopyState::Newer(version) => return Err(SlotFileError::Newer(version)),
                CopyState::Damaged => damaged = true,
                CopyState::Unreadable(error) => unreadable = Some(error),
                CopyState::Valid(file) if best.as_ref().is_none_or(|best| best.generation < file.generation) => {
                    best = Some(file)
                }
                CopyState::Valid(_) => {}
            }
        }
        match (best, unreadable) {
            (Some(file), _) => Ok(file),
            (None, Some(error)) => Err(SlotFileError::Read(error)),
            (None, None) if damaged => Err(SlotFileError::Damaged),
            (None, None) => Err(SlotFileError::Missing),
        }
    }

    /// Writes the first generation into a folder that has none, or leaves it without one.
    pub(crate) fn create(&self, file: &SlotFile) -> Result<(), SlotFileError> {
        match self.read() {
            Err(SlotFileError::Missing) => self.write(file).inspect_err(|_| self.take_back()),
            Err(error @ SlotFileError::Read(_)) => Err(error),
            Ok(_) | Err(_) => Err(SlotFileError::Exists),
        }
    }

    /// Applies `change` to what is on disk now and writes the next generation. Returns what was written.
    pub(crate) fn update<E: From<SlotFileError>>(
        &self,
        change: impl FnOnce(&mut SlotFile) -> Result<(), E>,
    ) -> Result<SlotFile, E> {
        let mut file = self.read()?;
        change(&mut file)?;
        file.generation += 1;
        self.write(&file)?;
        Ok(file)
    }

    /// Removes the copy that an unsuccessful creation had just made: nobody was given the recovery code for it.
    fn take_back(&self) {
        for name in COPIES {
            // The failure that led here is the one to report.
            let _ = fs::remove_file(self.0.join(name));
        }
    }

    fn read_copy(&self, name: &str) -> CopyState {
        let path = self.0.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() > MAX_LENGTH => return CopyState::Damaged,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return CopyState::Absent,
            Err(error) => return CopyState::Unreadable(error),
        }
        match fs::read(&path) {
            Ok(bytes) => SlotFile::decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => CopyState::Absent,
            Err(error) => CopyState::Unreadable(error),
        }
    }

    fn write(&self, file: &SlotFile) -> Result<(), SlotFileError> {
        let bytes = file.encode();
        COPIES
            .iter()
            .try_for_each(|name| self.replace(name, &bytes))
            .map_err(SlotFileError::Write)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.0.join(format!("{name}.new"));
        let mut file = private_file(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temporary, self.0.join(name))?;
        self.sync()
    }

    #[cfg(unix)]
    fn sync(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    /// Other systems have no fsync of a folder; their rename is journalled.
    #[cfg(not(unix))]
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a file for writing that only this OS account may read.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
#[path = "slot_file_tests.rs"]
mod tests;
