//! Opening the service's file: its key, its settings each with a reason, its tables.

use std::path::Path;
use std::time::{Duration, Instant};

use caseload_vault::{DatabaseKey, SymmetricKey};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use zeroize::Zeroizing;

use crate::storage::error::OpenError;

/// `CSLS` in ASCII: a file of another program is not opened.
const APPLICATION_ID: i32 = 0x4353_4c53;

/// The tables, version by version; see `migrations/README.md`.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../../../migrations/service/0001_create_service.sql"),
    include_str!("../../../../../migrations/service/0002_add_blobs.sql"),
    include_str!("../../../../../migrations/service/0003_add_head_marks.sql"),
];

/// The key of the file, derived from the master key.
pub(super) fn file_key(master: &SymmetricKey) -> DatabaseKey {
    let mut bytes = Zeroizing::new([0; DatabaseKey::LEN]);
    bytes[..32].copy_from_slice(master.derive("service-database/v1", b"").expose());
    bytes[32..].copy_from_slice(&master.derive("service-database-salt/v1", b"").expose()[..16]);
    DatabaseKey::from_bytes(&bytes)
}

/// Opens the file for writing, makes it if it is not there, and brings its tables up to date.
pub(super) fn open_writer(path: &Path, key: &DatabaseKey) -> Result<Connection, OpenError> {
    let existed = path.metadata().is_ok_and(|file| file.len() > 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = keyed(path, key, flags).map_err(OpenError::File)?;
    if existed {
        check(&connection, path, key)?;
    }
    settings(&connection)
        .and_then(|()| writer_settings(&connection))
        .map_err(OpenError::File)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens a connection that reads beside the writer.
pub(super) fn open_reader(path: &Path, key: &DatabaseKey) -> rusqlite::Result<Connection> {
    let connection = keyed(
        path,
        key,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    settings(&connection)?;
    // A reader that writes by mistake fails instead of becoming a second writer.
    connection.execute_batch("PRAGMA query_only = ON;")?;
    Ok(connection)
}

/// Opens an empty file that a copy is made into.
pub(super) fn open_target(path: &Path, key: &DatabaseKey) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = keyed(path, key, flags)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA fullfsync = ON;")?;
    Ok(connection)
}

/// Checks the seal of every page.
pub(super) fn check_pages(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA cipher_integrity_check")?;
    let mut found = statement.query([])?;
    match found.next()? {
        None => Ok(()),
        Some(_) => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            None,
        )),
    }
}

/// How long SQLCipher may take to prepare itself, and how often it is asked whether it has.
const PREPARING: Duration = Duration::from_secs(20);
const ASKING: Duration = Duration::from_millis(5);

/// A connection with its key. The first connection of a process has SQLCipher prepare itself, which SQLite does after it calls itself ready: a
/// thread that opens a file at that moment has its key refused, whatever the key. It waits and makes its connection anew.
fn keyed(path: &Path, key: &DatabaseKey, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let began = Instant::now();
    loop {
        match keyed_once(path, key, flags) {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) && began.elapsed() < PREPARING => {
                #[expect(clippy::disallowed_methods, reason = "nobody is told when SQLCipher is ready")]
                std::thread::sleep(ASKING);
            }
            made => return made,
        }
    }
}

fn keyed_once(path: &Path, key: &DatabaseKey, flags: OpenFlags) -> rusqlite::Result<Connection> {
    #[cfg_attr(not(feature = "test-faults"), expect(unused_mut, reason = "crash points change it"))]
    let mut connection = Connection::open_with_flags(path, flags)?;
    #[cfg(feature = "test-faults")]
    caseload_faults::crash::install(path, &mut connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    // SQLCipher otherwise writes its errors to the standard error stream as well as giving them to us.
    connection.execute_batch("PRAGMA cipher_log_level = NONE;")?;
    let text = key.sqlcipher_text();
    // Of exact size, so that it never moves; ended by NUL, because SQLite copies a statement that is not, and would not wipe the copy.
    let mut statement = Zeroizing::new(String::with_capacity(text.len() + 17));
    statement.push_str("PRAGMA key = \"");
    statement.push_str(&text);
    statement.push_str("\";\0");
    connection.execute_batch(&statement)?;
    Ok(connection)
}

/// Tells a wrong key from a damaged file: the first bytes of the file are the salt that the key brings along.
fn check(connection: &Connection, path: &Path, key: &DatabaseKey) -> Result<(), OpenError> {
    match connection.query_row("PRAGMA application_id", [], |row| row.get::<_, i32>(0)) {
        Ok(APPLICATION_ID | 0) => Ok(()),
        Ok(_) => Err(OpenError::Damaged(None)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            let fits = starts_with(path, &key.to_bytes()[32..]);
            Err(if fits {
                OpenError::Damaged(Some(error))
            } else {
                OpenError::WrongKey
            })
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Err(OpenError::Damaged(Some(error)))
        }
        Err(error) => Err(OpenError::File(error)),
    }
}

fn starts_with(path: &Path, salt: &[u8]) -> bool {
    use std::io::Read as _;
    let mut first = [0; 16];
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut first))
        .is_ok()
        && first == salt
}

fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        // A commit is on the disk before it is answered; NORMAL loses acknowledged pushes when the power fails.
        "PRAGMA synchronous = FULL;
         -- On macOS an ordinary fsync leaves the data in the drive's cache.
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         -- Mapped pages bypass the page codec's checks.
         PRAGMA mmap_size = 0;
         -- Sorting must not leave text in a plain temporary file.
         PRAGMA temp_store = MEMORY;
         -- What is deleted is overwritten, not only unlinked.
         PRAGMA secure_delete = ON;
         -- A schema somebody tampered with must not call functions with side effects.
         PRAGMA trusted_schema = OFF;
         -- Damaged cells are found when read, not when they mislead.
         PRAGMA cell_size_check = ON;
         PRAGMA foreign_keys = ON;
         -- Readers and the writer hardly ever meet; a tool that copies the file may.
         PRAGMA busy_timeout = 5000;",
    )?;
    // No writing of the schema tables, whatever the SQL.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

fn writer_settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        // SQLCipher skips the check of all-zero pages when this is on. It takes effect before the first table.
        "PRAGMA auto_vacuum = NONE;
         -- Faster than a rollback journal at equal safety, and readers do not wait.
         PRAGMA journal_mode = WAL;
         PRAGMA wal_autocheckpoint = 1000;
         PRAGMA journal_size_limit = 16777216;
         -- In KiB. A page that falls out of the cache is verified and decrypted again when it is next needed.
         PRAGMA cache_size = -16384;",
    )
}

fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(OpenError::File)?;
    if found > known {
        return Err(OpenError::Newer { found, known });
    }
    for (version, sql) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(OpenError::File)?;
        transaction
            .execute_batch(sql)
            .and_then(|()| transaction.pragma_update(None, "application_id", APPLICATION_ID))
            .and_then(|()| transaction.pragma_update(None, "user_version", version))
            .and_then(|()| transaction.commit())
            .map_err(OpenError::File)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_in(folder: &tempfile::TempDir) -> std::path::PathBuf {
        folder.path().join("service.db")
    }

    fn master(byte: u8) -> DatabaseKey {
        file_key(&SymmetricKey::from_bytes([byte; 32]))
    }

    #[test]
    fn wrong_key_damage_and_a_newer_file_are_different_errors_and_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder);
        drop(open_writer(&path, &master(1)).unwrap());
        let bytes = std::fs::read(&path).unwrap();

        assert!(matches!(open_writer(&path, &master(2)), Err(OpenError::WrongKey)));
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "a wrong key changes nothing");

        let newer = open_writer(&path, &master(1)).unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        drop(newer);
        assert!(matches!(
            open_writer(&path, &master(1)),
            Err(OpenError::Newer { found: 99, known }) if known == MIGRATIONS.len() as i64
        ));

        let mut damaged = bytes;
        damaged[100] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(open_writer(&path, &master(1)), Err(OpenError::Damaged(_))));
    }

    #[test]
    fn every_migration_file_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/service");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), MIGRATIONS.len());
    }

    #[test]
    fn acknowledged_pushes_survive_a_power_cut_because_every_connection_syncs_in_full() {
        let folder = tempfile::tempdir().unwrap();
        let path = file_in(&folder);
        let writer = open_writer(&path, &master(1)).unwrap();
        let reader = open_reader(&path, &master(1)).unwrap();
        for connection in [&writer, &reader] {
            let number = |pragma: &str| -> i64 { connection.query_row(pragma, [], |row| row.get(0)).unwrap() };
            assert_eq!(number("PRAGMA synchronous"), 2);
            assert_eq!(number("PRAGMA temp_store"), 2);
            assert_eq!(number("PRAGMA secure_delete"), 1);
        }
        let mode: String = writer.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}
