//! One process per profile folder. Two writers on one file would each believe in their own order of changes.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use thiserror::Error;

/// Held as long as the stores of a profile are open; released when dropped or when the process ends in any way.
#[derive(Debug)]
pub struct ProfileLock(#[expect(dead_code, reason = "the open file is the lock")] File);

/// Why the profile could not be taken.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the profile is in use by another process")]
    InUse,
    /// The lock file could not be made.
    #[error("the profile's lock file cannot be used")]
    Io(#[source] io::Error),
}

impl ProfileLock {
    /// Takes the profile in `folder`, which has to exist.
    ///
    /// # Errors
    /// [`LockError::InUse`] at once when another process, or another part of this one, has it.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("profile.lock"))
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse),
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_held_once_and_free_again_after_its_release() {
        let folder = tempfile::tempdir().unwrap();
        let held = ProfileLock::acquire(folder.path()).unwrap();
        assert!(matches!(ProfileLock::acquire(folder.path()), Err(LockError::InUse)));
        drop(held);
        assert!(ProfileLock::acquire(folder.path()).is_ok());
    }

    #[test]
    fn a_missing_folder_is_an_error_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        assert!(matches!(ProfileLock::acquire(&missing), Err(LockError::Io(_))));
        assert!(!missing.exists());
    }
}
