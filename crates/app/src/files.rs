//! The files of a profile folder.

use std::path::{Path, PathBuf};

use caseload_domain::UserId;
use caseload_store::{FileKind, KeyProof, Opening, Store};
use caseload_vault::heads::{DatabaseFile, HeadCheck};
use caseload_vault::slot_file::COPIES;
use caseload_vault::{Unlocked, Vault};

use crate::dto::ErrorCode;
use crate::env::Env;
use crate::fault::Fault;

/// The path of one of a person's database files.
pub(crate) fn database(profile: &Path, file: DatabaseFile, user: UserId) -> PathBuf {
    profile.join(file.name(user))
}

/// Opens one of the files of the person whose vault is unlocked; none when her role has no such file.
pub(crate) fn open(
    profile: &Path,
    vault: &Vault<Unlocked>,
    file: DatabaseFile,
    env: &Env,
) -> Result<Option<Store>, Fault> {
    let Some(key) = vault.database_key(file) else {
        return Ok(None);
    };
    let kind = match file {
        DatabaseFile::Office => FileKind::Office,
        DatabaseFile::Clinical => FileKind::Clinical(vault.user()),
    };
    // The slot's commitment has shown that the key is the right one.
    let opening = Opening {
        kind,
        proof: KeyProof::Proven,
        head: &|found| vault.check_head(file, found).unwrap_or(HeadCheck::Forged),
    };
    let store = Store::open(&database(profile, file, vault.user()), key, &opening, env.entropy())?;
    if store.practice() == vault.practice() {
        Ok(Some(store))
    } else {
        Err(ErrorCode::ForeignPractice.into())
    }
}

/// Whether the folder holds the keys of a practice.
pub(crate) fn has_keys(profile: &Path) -> bool {
    COPIES.iter().any(|name| profile.join(name).exists())
}

/// Whether the folder holds a database without the keys that open it.
pub(crate) fn has_database(profile: &Path) -> bool {
    profile.join("office.db").exists()
}

/// Takes back what a first run or a joining that did not succeed has made. Only for files made by this very call.
pub(crate) fn remove_new(profile: &Path, user: UserId) {
    let databases = [DatabaseFile::Office, DatabaseFile::Clinical].map(|file| file.name(user));
    let names = databases
        .iter()
        .flat_map(|name| ["", "-wal", "-shm"].map(|suffix| format!("{name}{suffix}")))
        .chain(COPIES.map(str::to_owned));
    for name in names {
        match std::fs::remove_file(profile.join(&name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, name, "a new file stays behind")
            }
            _ => {}
        }
    }
}

/// Makes the profile folder, for its owner alone.
pub(crate) fn make_folder(profile: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(profile)
}

/// Writes a small file so that a crash leaves the old or the new content.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&unfinished)?;
    std::io::Write::write_all(&mut file, bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)
}
