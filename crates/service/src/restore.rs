//! Restoring the service from a copy, and making one.
//!
//! A copy that is put in place lacks what was pushed after it was made. Devices notice that by themselves, because the hash chain in their
//! cursors is not the service's any more; [`restore`] says it outright by giving every history a new epoch, verifies the whole chain first,
//! and overwrites nothing. What devices have that the copy lacks they offer back for a person to review.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use caseload_domain::PracticeId;
use caseload_protocol::checksum::extend_chain;
use caseload_vault::SymmetricKey;
use thiserror::Error;

use crate::auth::tokens;
use crate::config::StartError;
use crate::master_key::{MasterKeyError, MasterKeySource};
use crate::server::take_folder;
use crate::storage::mongo::MongoStorage;
use crate::storage::sqlite::{self, SqliteStorage};
use crate::storage::{OpenError, Storage, StorageError};

/// The file of the embedded storage in the data folder.
pub(crate) const DATABASE: &str = "service.db";
/// Entries of the history that are verified at a time.
const PAGE: u32 = 1_000;

/// Where the restored practices come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A copy of the embedded storage's file, or of a folder that holds it. It is left as it is.
    Copy(PathBuf),
    /// What lies in the data folder or the MongoDB database already, put there by other means.
    InPlace,
}

/// How a service is restored.
#[derive(Clone, Debug)]
pub struct Restoration {
    /// The service's data folder. No service may be running on it.
    pub data: PathBuf,
    /// A MongoDB connection string, when the practices are there.
    pub mongodb: Option<String>,
    /// The master key under which the copy was written.
    pub master_key: MasterKeySource,
    /// Where the practices come from.
    pub source: Source,
    /// Whether a database that lies in the data folder may be moved aside. It is never deleted.
    pub replace: bool,
}

/// One practice after its restoration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The practice.
    pub practice: PracticeId,
    /// Its newest sequence number.
    pub head_seq: i64,
    /// Changes whose chain was verified.
    pub verified: u64,
    /// The new identity of its history.
    pub epoch: String,
}

/// Why nothing was restored or copied. What was there is there unchanged.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// There is a database in the data folder, and nobody said that it may be moved aside.
    #[error("the data folder holds a database already")]
    TargetInUse,
    /// The target of a copy exists already.
    #[error("the target of the copy exists already")]
    CopyExists,
    /// There is no file to restore.
    #[error("there is no copy at this place")]
    NoCopy,
    /// A copy is restored into the embedded storage; a MongoDB database is restored by its own tools first.
    #[error("a MongoDB database is restored by its own tools first; then a new history is begun in place")]
    MongoInPlaceOnly,
    /// It holds no practice: it is empty, or the copy was cut.
    #[error("there is no practice in it")]
    Empty,
    /// The hash chain does not verify: the copy was cut, mixed from several states, or changed.
    #[error("the history of practice {0} does not verify")]
    ChainBroken(PracticeId),
    /// A file could not be read or written.
    #[error("a file could not be read or written")]
    File(#[from] io::Error),
    /// The data folder cannot be taken.
    #[error(transparent)]
    Folder(#[from] StartError),
    /// There is no usable master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The storage did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Verifies the copy, puts it in place and gives each of its histories a new epoch.
///
/// # Errors
/// [`RestoreError`]; then the data folder serves what it served before.
pub async fn restore(restoration: &Restoration) -> Result<Vec<Restored>, RestoreError> {
    let _held_meanwhile = take_folder(&restoration.data)?;
    let master = restoration.master_key.read(&restoration.data)?;
    match (&restoration.mongodb, &restoration.source) {
        (Some(uri), Source::InPlace) => anew(&MongoStorage::connect(uri, &master).await?).await,
        (Some(_), Source::Copy(_)) => Err(RestoreError::MongoInPlaceOnly),
        (None, Source::InPlace) => {
            let file = restoration.data.join(DATABASE);
            if !file.is_file() {
                return Err(RestoreError::NoCopy);
            }
            anew_file(&file, &master).await
        }
        (None, Source::Copy(copy)) => from_copy(&restoration.data, copy, restoration.replace, &master).await,
    }
}

/// Copies the embedded storage's file and the authority of its certificates into the folder `to`, which is made, while a service may be
/// running. The copy is as secret as the data folder: it is useless without the master key, but the authority's key is in it.
///
/// # Errors
/// [`RestoreError`]; a copy that was begun is removed again.
pub async fn backup(data: &Path, master_key: &MasterKeySource, to: &Path) -> Result<(), RestoreError> {
    let (from, target) = (data.join(DATABASE), to.join(DATABASE));
    if !from.is_file() {
        return Err(RestoreError::NoCopy);
    }
    if target.exists() {
        return Err(RestoreError::CopyExists);
    }
    let master = master_key.read(data)?;
    make_private_folder(to)?;
    let (copied, place) = (master.clone(), target.clone());
    let done = tokio::task::spawn_blocking(move || sqlite::copy(&from, &place, &copied));
    let copied = match done.await {
        Ok(Ok(())) => verify_file(&target, &master).await,
        Ok(Err(error)) => Err(error.into()),
        Err(panicked) => Err(io::Error::other(panicked).into()),
    };
    if copied.is_err() {
        remove(&target)?;
        return copied;
    }
    copy_authority(data, to)?;
    File::open(&target)?.sync_all()?;
    Ok(File::open(to)?.sync_all()?)
}

async fn from_copy(
    data: &Path,
    copy: &Path,
    replace: bool,
    master: &SymmetricKey,
) -> Result<Vec<Restored>, RestoreError> {
    let from = if copy.is_dir() {
        copy.join(DATABASE)
    } else {
        copy.to_owned()
    };
    if !from.is_file() {
        return Err(RestoreError::NoCopy);
    }
    let target = data.join(DATABASE);
    if target.exists() && !replace {
        return Err(RestoreError::TargetInUse);
    }
    let staged = data.join("service.db.incoming");
    remove(&staged)?;
    copy_with_log(&from, &staged)?;
    let restored = match anew_file(&staged, master).await {
        Ok(restored) => restored,
        Err(error) => {
            remove(&staged)?;
            return Err(error);
        }
    };
    if let Some(first) = restored.first().filter(|_| target.exists()) {
        // Aside, never away: whoever restored the wrong copy can go back.
        let aside = data.join(format!("service.db.before-{}", &first.epoch));
        move_with_log(&target, &aside)?;
    }
    move_with_log(&staged, &target)?;
    if copy.is_dir() && !data.join("tls").exists() {
        copy_authority(copy, data)?;
    }
    File::open(data)?.sync_all()?;
    Ok(restored)
}

async fn anew_file(file: &Path, master: &SymmetricKey) -> Result<Vec<Restored>, RestoreError> {
    let (path, key) = (file.to_owned(), master.clone());
    tokio::task::spawn_blocking(move || sqlite::check_pages(&path, &key))
        .await
        .map_err(io::Error::other)??;
    let storage = SqliteStorage::open(file, master)?;
    let restored = anew(&storage).await;
    storage.close().await;
    restored
}

async fn verify_file(file: &Path, master: &SymmetricKey) -> Result<(), RestoreError> {
    let storage = SqliteStorage::open(file, master)?;
    let mut verified = Ok(());
    for practice in storage.practices().await? {
        verified = verified.and(verify(&storage, practice).await.map(drop));
    }
    storage.close().await;
    verified
}

/// Verifies every practice and only then begins to change anything.
async fn anew(storage: &dyn Storage) -> Result<Vec<Restored>, RestoreError> {
    let practices = storage.practices().await?;
    if practices.is_empty() {
        return Err(RestoreError::Empty);
    }
    let mut verified = Vec::new();
    for practice in practices {
        verified.push((practice, verify(storage, practice).await?));
    }
    let mut restored = Vec::new();
    for (practice, verified) in verified {
        let head = storage.begin_epoch(practice, &tokens::make()).await?;
        restored.push(Restored {
            practice,
            head_seq: head.seq,
            verified,
            epoch: head.epoch,
        });
    }
    Ok(restored)
}

/// Recomputes the hash chain from the first change to the head; gives the number of changes.
async fn verify(storage: &dyn Storage, practice: PracticeId) -> Result<u64, RestoreError> {
    let broken = RestoreError::ChainBroken(practice);
    let (mut chain, mut last, mut verified) = ([0; 32], 0, 0);
    loop {
        let page = storage.history(practice, last, PAGE).await?;
        if page.is_empty() {
            break;
        }
        for entry in page {
            chain = extend_chain(&chain, entry.op_id, entry.first_seq, &entry.leaves);
            let rows = i64::try_from(entry.leaves.len()).unwrap_or(i64::MAX);
            if entry.first_seq != last + 1 || entry.last_seq != last + rows || entry.chain != chain {
                return Err(broken);
            }
            last = entry.last_seq;
            verified += 1;
        }
    }
    let head = storage.head(practice).await?.ok_or(StorageError::UnknownPractice)?;
    if (head.seq, head.chain) == (last, chain) {
        Ok(verified)
    } else {
        Err(broken)
    }
}

/// The companions of a database file that may hold committed changes.
fn with_log(file: &Path) -> [PathBuf; 2] {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    [file.to_owned(), log.into()]
}

fn copy_with_log(from: &Path, to: &Path) -> io::Result<()> {
    for (from, to) in with_log(from).iter().zip(with_log(to)) {
        if from.exists() {
            fs::copy(from, &to)?;
            File::open(&to)?.sync_all()?;
        }
    }
    Ok(())
}

fn move_with_log(from: &Path, to: &Path) -> io::Result<()> {
    for (from, to) in with_log(from).iter().zip(with_log(to)) {
        if from.exists() {
            fs::rename(from, to)?;
        }
    }
    Ok(())
}

fn remove(file: &Path) -> io::Result<()> {
    for file in with_log(file) {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The key of the service's own authority: without it every computer would have to be told a new pin.
fn copy_authority(from: &Path, to: &Path) -> io::Result<()> {
    let from = from.join("tls");
    if !from.is_dir() {
        return Ok(());
    }
    let to = to.join("tls");
    make_private_folder(&to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
