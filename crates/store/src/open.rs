//! Making and opening files. Before a file is used it is checked by a connection that changes nothing; every refusal leaves every byte as
//! it was, because a file that looks wrong may be the only copy.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use caseload_domain::{DeviceId, PracticeId, UserId};
use caseload_vault::DatabaseKey;
use caseload_vault::heads::{Head, HeadCheck};
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};
use thiserror::Error;
use uuid::Uuid;

use crate::entropy::Entropy;
use crate::error::StorageError;
use crate::identity::{FileKind, Identity};
use crate::state::{self, Name};
use crate::store::{Meta, Store};
use crate::{audit, connect, migrate, notes};

/// The size of a page; every file is a multiple of it.
const PAGE: u64 = 4096;

/// Whether the key is known to be right, by the commitment in the vault's slot. It decides between a wrong key and a damaged file, which
/// SQLCipher cannot tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyProof {
    /// The key is the file's key.
    Proven,
    /// The key may be another one.
    Unproven,
}

/// What the opener expects of a file.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// The kind of file.
    pub kind: FileKind,
    /// Whether the key is known to be right.
    pub proof: KeyProof,
    /// Compares the file's head with the recorded one; the vault's `check_head`.
    pub head: &'a dyn Fn(&Head) -> HeadCheck,
}

/// Why a file could not be made. Nothing that existed was changed.
#[derive(Debug, Error)]
pub enum CreateError {
    /// There is a file already.
    #[error("the file exists already")]
    Exists,
    /// The folder cannot be written.
    #[error("the file cannot be made")]
    Io(#[source] io::Error),
    /// The new file could not be filled.
    #[error("the file cannot be filled")]
    Storage(#[from] StorageError),
}

/// Why a file was not opened. None of these writes, renames or removes anything.
#[derive(Debug, Error)]
pub enum OpenError {
    /// There is no file.
    #[error("the file is missing")]
    Missing,
    /// The key does not open it.
    #[error("the key does not open the file")]
    WrongKey,
    /// The key is right and the content does not verify.
    #[error("the file is damaged")]
    Damaged(#[source] Option<StorageError>),
    /// A newer program has changed its tables.
    #[error("the file has tables of version {found}, this program knows {known}")]
    Newer {
        /// The file's version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// It is older than it was when it was last seen, or its history was rewritten.
    #[error("the file is older than when it was last seen")]
    RolledBack,
    /// It is another file than the expected one.
    #[error("the file is another one than expected")]
    ForeignFile,
    /// Another process has it.
    #[error("the file is in use")]
    Locked,
    /// It cannot be read.
    #[error("the file cannot be read")]
    Io(#[source] io::Error),
    /// A failure while reading, or after the checks while its tables were brought up to date.
    #[error("the file cannot be opened")]
    Storage(#[source] StorageError),
}

impl Store {
    /// Makes a new file at `path` and opens it. It is complete on the disk under another name before it gets its own.
    ///
    /// # Errors
    /// [`CreateError`]; an existing file is never touched.
    pub fn create(path: &Path, key: &DatabaseKey, identity: &Identity, entropy: Entropy) -> Result<Self, CreateError> {
        if path.exists() {
            return Err(CreateError::Exists);
        }
        let unfinished = with_suffix(path, ".unfinished");
        for leftover in [
            unfinished.clone(),
            connect::log_path(&unfinished),
            with_suffix(&unfinished, "-shm"),
        ] {
            match fs::remove_file(&leftover) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(CreateError::Io(error)),
                _ => {}
            }
        }
        new_private_file(&unfinished).map_err(CreateError::Io)?;
        fill(&unfinished, key, identity, &entropy)?;
        File::open(&unfinished)
            .and_then(|file| file.sync_all())
            .map_err(CreateError::Io)?;
        fs::rename(&unfinished, path).map_err(CreateError::Io)?;
        sync_folder(path).map_err(CreateError::Io)?;
        Ok(assemble(path, key, identity.kind, entropy)?)
    }

    /// Opens the file at `path` after checking it: size, key, kind, version of the tables, head, and the whole content if it was not
    /// closed properly. Then brings its tables up to date.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path, key: &DatabaseKey, opening: &Opening<'_>, entropy: Entropy) -> Result<Self, OpenError> {
        let log = check_sizes(path)?;
        {
            let probe = connect::probe(path, key, log > 0).map_err(|error| unreadable(error.into(), opening.proof))?;
            check_content(&probe, path, log, opening)?;
        }
        let mut writer = connect::writer(path, key).map_err(|error| OpenError::Storage(error.into()))?;
        let newest = migrate::newest(opening.kind);
        let changed =
            migrate::migrate(&mut writer, opening.kind, newest).map_err(|error| OpenError::Storage(error.into()))?;
        if notes::bring_search_up_to_date(&mut writer, opening.kind).map_err(OpenError::Storage)? || changed {
            checkpoint(&writer).map_err(OpenError::Storage)?;
        }
        drop(writer);
        assemble(path, key, opening.kind, entropy).map_err(OpenError::Storage)
    }
}

/// Writes the log into the file and empties it. A busy reader only makes that later.
pub(crate) fn checkpoint(connection: &Connection) -> Result<(), StorageError> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
}

fn fill(path: &Path, key: &DatabaseKey, identity: &Identity, entropy: &Entropy) -> Result<(), StorageError> {
    let mut connection = connect::writer(path, key)?;
    migrate::migrate(&mut connection, identity.kind, migrate::newest(identity.kind))?;
    let transaction = connection.transaction()?;
    let database = Uuid::from_bytes(entropy.bytes());
    transaction.execute(
        "INSERT INTO meta (only_row, database, practice, device, owner) VALUES (1, ?1, ?2, ?3, ?4)",
        params![
            database.as_bytes(),
            identity.practice.uuid().as_bytes(),
            identity.device.uuid().as_bytes(),
            identity.kind.owner().map(|owner| owner.uuid().into_bytes()),
        ],
    )?;
    state::put(&transaction, Name::Replica, &identity.replica)?;
    state::put(&transaction, Name::ReplicaNumber, &identity.replica_number)?;
    state::put(&transaction, Name::NextMut, &1_i64)?;
    state::put(&transaction, Name::SearchForm, &notes::SEARCH_FORM)?;
    transaction.commit()?;
    checkpoint(&connection)
}

fn assemble(path: &Path, key: &DatabaseKey, kind: FileKind, entropy: Entropy) -> Result<Store, StorageError> {
    let writer = connect::writer(path, key)?;
    let meta = read_meta(&writer, kind)?.ok_or(StorageError::Unreadable("meta"))?;
    Ok(Store::new(path.to_owned(), key.clone(), meta, writer, entropy))
}

/// The length of the log, after the sizes were found to be possible.
fn check_sizes(path: &Path) -> Result<u64, OpenError> {
    let length = match fs::metadata(path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) => return Err(OpenError::ForeignFile),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(OpenError::Missing),
        Err(error) => return Err(OpenError::Io(error)),
    };
    let log = match fs::metadata(connect::log_path(path)) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(OpenError::Io(error)),
    };
    // A power cut can tear the file while the log is written into it; the log then still has what is missing.
    if length < 2 * PAGE || (log == 0 && !length.is_multiple_of(PAGE)) {
        return Err(OpenError::Damaged(None));
    }
    Ok(log)
}

fn check_content(probe: &Connection, path: &Path, log: u64, opening: &Opening<'_>) -> Result<(), OpenError> {
    let read = |error: rusqlite::Error| unreadable(error.into(), opening.proof);
    let tables: i64 = probe
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(read)?;
    // From here on the key is proven by the file itself.
    let read = |error: rusqlite::Error| unreadable(error.into(), KeyProof::Proven);
    let application: i32 = probe
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(read)?;
    if tables == 0 {
        return Err(OpenError::Damaged(None));
    }
    if application != opening.kind.application_id() {
        return Err(OpenError::ForeignFile);
    }
    let (found, known) = (migrate::version(probe).map_err(read)?, migrate::newest(opening.kind));
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    if log == 0 {
        let pages: i64 = probe
            .query_row("PRAGMA page_count", [], |row| row.get(0))
            .map_err(read)?;
        let length = fs::metadata(path).map_err(OpenError::Io)?.len();
        if pages.unsigned_abs() * PAGE != length {
            return Err(OpenError::Damaged(None));
        }
    } else {
        check_every_page(probe)?;
    }
    let meta = match read_meta(probe, opening.kind) {
        Ok(Some(meta)) => meta,
        Ok(None) => return Err(OpenError::ForeignFile),
        Err(error) => return Err(unreadable(error, KeyProof::Proven)),
    };
    check_head(probe, &meta, opening)
}

fn check_head(probe: &Connection, meta: &Meta, opening: &Opening<'_>) -> Result<(), OpenError> {
    let storage = |error| unreadable(error, KeyProof::Proven);
    let head = audit::head(probe, meta.database).map_err(storage)?;
    match (opening.head)(&head) {
        HeadCheck::Unknown | HeadCheck::Same => Ok(()),
        HeadCheck::Ahead {
            recorded_sequence,
            recorded_hash,
        } => {
            let found = audit::hash_at(probe, recorded_sequence).map_err(storage)?;
            if found == Some(recorded_hash) {
                Ok(())
            } else {
                Err(OpenError::RolledBack)
            }
        }
        // A record that nobody with the key wrote cannot show that the file is fresh.
        HeadCheck::RolledBack { .. } | HeadCheck::Forged => Err(OpenError::RolledBack),
        HeadCheck::OtherDatabase => Err(OpenError::ForeignFile),
    }
}

/// After an unclean end. Every row of the answer counts: the first alone can say `ok` for one table.
fn check_every_page(probe: &Connection) -> Result<(), OpenError> {
    let read = |error: rusqlite::Error| unreadable(error.into(), KeyProof::Proven);
    let mut statement = probe.prepare("PRAGMA quick_check").map_err(read)?;
    let mut rows = statement.query([]).map_err(read)?;
    while let Some(row) = rows.next().map_err(read)? {
        if row.get::<_, String>(0).map_err(read)? != "ok" {
            return Err(OpenError::Damaged(None));
        }
    }
    Ok(())
}

/// What the file is; `None` when it is of another kind or person than `kind`.
fn read_meta(connection: &Connection, kind: FileKind) -> Result<Option<Meta>, StorageError> {
    type Columns = ([u8; 16], [u8; 16], [u8; 16], Option<[u8; 16]>);
    let found: Option<Columns> = connection
        .query_row("SELECT database, practice, device, owner FROM meta", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let Some((database, practice, device, owner)) = found else {
        return Ok(None);
    };
    if owner.map(|owner| UserId::new(Uuid::from_bytes(owner))) != kind.owner() {
        return Ok(None);
    }
    Ok(Some(Meta {
        database: Uuid::from_bytes(database),
        practice: PracticeId::new(Uuid::from_bytes(practice)),
        device: DeviceId::new(Uuid::from_bytes(device)),
        kind,
        #[cfg(feature = "test-faults")]
        is_newer: false,
    }))
}

fn unreadable(error: StorageError, proof: KeyProof) -> OpenError {
    let is_not_a_database = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::NotADatabase);
    match (error, proof) {
        (StorageError::Corrupt(error), KeyProof::Unproven) if is_not_a_database(&error) => OpenError::WrongKey,
        (error @ StorageError::Corrupt(_), _) => OpenError::Damaged(Some(error)),
        (StorageError::Busy(_), _) => OpenError::Locked,
        (error, _) => OpenError::Storage(error),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The log and its index take the rights of the file they belong to.
fn new_private_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// A rename is on the disk only when the folder is. Folders cannot be synced on Windows, where the rename is journaled.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            File::open(folder)?.sync_all()
        }
        _ => Ok(()),
    }
}
