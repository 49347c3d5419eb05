//! The master key: everything that the service seals at rest is sealed under keys that derive from it. It never lies in the data folder, so
//! that a copy of that folder alone shows no clinical text.
//!
//! The file holds 64 hex digits. On Unix it must be readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use caseload_protocol::checksum::{hex, parse_hex};
use caseload_vault::SymmetricKey;
use thiserror::Error;
use zeroize::Zeroizing;

/// The key's name in the folder of credentials that a service manager passes.
pub const CREDENTIAL_NAME: &str = "caseload-master-key";

/// Where the master key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKeySource {
    /// This file, which exists.
    File(PathBuf),
    /// The service manager's credentials folder if it holds [`CREDENTIAL_NAME`], else a file under the account's configuration folder,
    /// created once.
    Standard(Environment),
    /// A file in the data folder, created once: for demonstrations with made-up data only. The service says so in its log.
    Demonstration,
}

/// The folders of an operating-system account, as environment variables name them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `CREDENTIALS_DIRECTORY`: set by the service manager.
    pub credentials: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `HOME` (`USERPROFILE` on Windows).
    pub home: Option<PathBuf>,
}

impl Environment {
    /// As this process was started.
    #[must_use]
    pub fn of_process() -> Self {
        let folder = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Self {
            credentials: folder("CREDENTIALS_DIRECTORY"),
            config_home: folder("XDG_CONFIG_HOME"),
            home: folder("HOME").or_else(|| folder("USERPROFILE")),
        }
    }

    fn credential(&self) -> Option<PathBuf> {
        self.credentials
            .as_ref()
            .map(|folder| folder.join(CREDENTIAL_NAME))
            .filter(|file| file.exists())
    }

    fn configuration(&self) -> Option<PathBuf> {
        let folder = self
            .config_home
            .clone()
            .or_else(|| self.home.as_ref().map(|home| home.join(".config")))?;
        Some(folder.join("caseload").join("master-key"))
    }
}

/// Why there is no master key. Nothing was changed.
#[derive(Debug, Error)]
pub enum MasterKeyError {
    /// The file named does not exist. It is not created, because a mistyped path would give a key that opens nothing.
    #[error("the master key file does not exist")]
    Missing,
    /// The file lies in the data folder, so that one copy would hold key and data.
    #[error("the master key lies inside the data folder")]
    InsideDataFolder,
    /// Group or others may read or write the file.
    #[error("the master key may be read by other accounts")]
    ReadableByOthers,
    /// The file holds something else.
    #[error("the file does not hold a master key")]
    NotAKey,
    /// Neither a file nor a configuration folder is known.
    #[error("there is no folder to keep the master key in; name a file")]
    NoFolder,
    /// The file could not be read or written.
    #[error("the master key file cannot be used")]
    Io(#[from] io::Error),
}

impl MasterKeySource {
    /// Reads the key, or creates it where the source says so. `data` is the data folder, which exists.
    ///
    /// # Errors
    /// [`MasterKeyError`].
    pub fn read(&self, data: &Path) -> Result<SymmetricKey, MasterKeyError> {
        match self {
            Self::File(file) => read_outside(file, data),
            Self::Standard(environment) => match environment.credential() {
                Some(file) => read_outside(&file, data),
                None => {
                    let file = environment.configuration().ok_or(MasterKeyError::NoFolder)?;
                    check_outside(&file, data)?;
                    create_once(&file)?;
                    read_outside(&file, data)
                }
            },
            Self::Demonstration => {
                let file = data.join("demonstration-master-key");
                create_once(&file)?;
                read_private(&file)
            }
        }
    }
}

/// Creates a new key at `file`, readable by its owner alone, with the folders above it.
///
/// # Errors
/// [`MasterKeyError::Io`], also when the file exists.
pub fn create(file: &Path) -> Result<(), MasterKeyError> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let text = Zeroizing::new(format!(
        "{}\n",
        Zeroizing::new(hex(SymmetricKey::random().expose())).as_str()
    ));
    let mut opened = options.open(file)?;
    opened.write_all(text.as_bytes())?;
    opened.sync_all()?;
    sync_folder(file)
}

fn create_once(file: &Path) -> Result<(), MasterKeyError> {
    match create(file) {
        Err(MasterKeyError::Io(error)) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

/// Without this the name of a new file may be lost in a power cut, and with it everything that was sealed since.
fn sync_folder(file: &Path) -> Result<(), MasterKeyError> {
    #[cfg(unix)]
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _no_folder_handles_here = file;
    Ok(())
}

fn read_outside(file: &Path, data: &Path) -> Result<SymmetricKey, MasterKeyError> {
    check_outside(file, data)?;
    read_private(file)
}

/// Links are followed on both sides, also for a file that does not exist yet.
fn check_outside(file: &Path, data: &Path) -> Result<(), MasterKeyError> {
    let data = data.canonicalize()?;
    let existing = file.ancestors().find_map(|part| part.canonicalize().ok());
    match existing {
        Some(part) if part.starts_with(&data) => Err(MasterKeyError::InsideDataFolder),
        _ => Ok(()),
    }
}

fn read_private(file: &Path) -> Result<SymmetricKey, MasterKeyError> {
    let opened = File::open(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => MasterKeyError::Missing,
        _ => MasterKeyError::Io(error),
    })?;
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&opened.metadata()?.permissions()) & 0o077 != 0 {
        return Err(MasterKeyError::ReadableByOthers);
    }
    // Room for more than a key, so that the buffer never moves and leaves no unwiped copy behind.
    let mut text = Zeroizing::new(String::with_capacity(256));
    opened
        .take(128)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => MasterKeyError::NotAKey,
            _ => MasterKeyError::Io(error),
        })?;
    let bytes = Zeroizing::new(parse_hex(text.trim()).ok_or(MasterKeyError::NotAKey)?);
    Ok(SymmetricKey::from_bytes(*bytes))
}

#[cfg(all(test, unix))]
#[path = "master_key_tests.rs"]
mod tests;
