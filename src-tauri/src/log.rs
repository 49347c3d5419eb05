//! Where the log goes: standard error, and a small file in the profile once that is known.
//!
//! Whoever looks for a fault finds it in `logs/caseload.log` and, before that, in `logs/caseload.1.log`; more is not kept. What is
//! logged names codes and ids and never holds a client's data: the errors of the program have none in their texts.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;

/// A file that is as long as this makes room for the next one, in bytes.
const FULL: u64 = 1 << 20;

static FILE: OnceLock<Mutex<LogFile>> = OnceLock::new();

/// Starts logging. `CASELOAD_LOG` says what, as in `info` or `caseload_sync=debug`; warnings are, without it.
pub(crate) fn start() {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("CASELOAD_LOG").unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_ansi(false)
        .with_writer(|| Both)
        .init();
}

/// Lets the log go to the profile as well. Without such a file the program works all the same.
pub(crate) fn keep_in(profile: &Path) {
    match LogFile::open(&profile.join("logs"), FULL) {
        Ok(file) => drop(FILE.set(Mutex::new(file))),
        Err(error) => tracing::warn!(%error, "the log is not kept in the profile"),
    }
}

/// Standard error and the file.
struct Both;

impl Write for Both {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(file) = FILE.get() {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk must not end the program, and standard error may still say why.
            file.append(line).ok();
        }
        io::stderr().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The present file of a folder that keeps two.
struct LogFile {
    folder: PathBuf,
    file: File,
    length: u64,
    full: u64,
}

impl LogFile {
    fn open(folder: &Path, full: u64) -> io::Result<Self> {
        // The profile itself may be made here, and nobody else may look into it.
        let mut private = DirBuilder::new();
        private.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut private, 0o700);
        private.create(folder)?;
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(folder.join("caseload.log"))?;
        let length = file.metadata()?.len();
        Ok(Self {
            folder: folder.to_owned(),
            file,
            length,
            full,
        })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.length >= self.full {
            fs::rename(self.folder.join("caseload.log"), self.folder.join("caseload.1.log"))?;
            *self = Self::open(&self.folder, self.full)?;
        }
        self.file.write_all(line)?;
        self.length += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn two_files_are_kept_and_neither_grows_on() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        let mut log = LogFile::open(&logs, 20).unwrap();
        for line in [
            "first line\n",
            "second line\n",
            "third line\n",
            "fourth line\n",
            "fifth line\n",
        ] {
            log.append(line.as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(logs.join(name)).unwrap();
        assert_eq!(read("caseload.1.log"), "third line\nfourth line\n");
        assert_eq!(read("caseload.log"), "fifth line\n");
        drop(log);
        LogFile::open(&logs, 20).unwrap().append(b"after a restart\n").unwrap();
        assert_eq!(read("caseload.log"), "fifth line\nafter a restart\n");
    }
}
