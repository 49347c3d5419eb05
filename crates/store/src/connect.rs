//! Connections: how a file is opened and which settings every connection has, each with its reason.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use caseload_vault::DatabaseKey;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use zeroize::Zeroizing;

/// Statements kept prepared on each connection.
const STATEMENTS: usize = 96;

/// The connection that writes. The file has to exist.
pub(crate) fn writer(path: &Path, key: &DatabaseKey) -> rusqlite::Result<Connection> {
    let connection = keyed(
        path,
        key,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    settings(&connection)?;
    writer_settings(&connection)?;
    Ok(connection)
}

/// A connection that reads beside the writer.
pub(crate) fn reader(path: &Path, key: &DatabaseKey) -> rusqlite::Result<Connection> {
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

/// A connection for the checks before a file is used: it changes no byte, whatever it finds.
///
/// Without a write-ahead log the file is opened as immutable, which makes no side files. With one it has to be read through the log: the
/// index of the log then stays in memory (exclusive mode) and closing does not write the log into the file.
pub(crate) fn probe(path: &Path, key: &DatabaseKey, has_log: bool) -> rusqlite::Result<Connection> {
    let connection = if has_log {
        let connection = keyed(
            path,
            key,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE;")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        keyed(&immutable_uri(path), key, flags)?
    };
    settings(&connection)?;
    Ok(connection)
}

/// The write-ahead log beside `path`.
pub(crate) fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn immutable_uri(path: &Path) -> PathBuf {
    let mut uri = String::from("file:");
    for letter in path.to_string_lossy().chars() {
        match letter {
            '%' => uri.push_str("%25"),
            '?' => uri.push_str("%3f"),
            '#' => uri.push_str("%23"),
            '\\' if cfg!(windows) => uri.push('/'),
            _ => uri.push(letter),
        }
    }
    if cfg!(windows) {
        uri.insert_str("file:".len(), "///");
    }
    uri.push_str("?immutable=1");
    uri.into()
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
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Failures are typed errors here; SQLCipher would print its own lines to the standard error beside them.
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

/// What every connection has.
fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        // A commit is on the disk before it is answered; NORMAL loses acknowledged saves when the power fails.
        "PRAGMA synchronous = FULL;
         -- On macOS an ordinary fsync leaves the data in the drive's cache.
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         -- Mapped pages bypass the page codec's checks.
         PRAGMA mmap_size = 0;
         -- Sorting must not leave clinical text in a plain temporary file.
         PRAGMA temp_store = MEMORY;
         -- What is deleted is overwritten, not only unlinked.
         PRAGMA secure_delete = ON;
         -- A schema somebody tampered with must not call functions with side effects.
         PRAGMA trusted_schema = OFF;
         -- Damaged cells are found when read, not when they mislead.
         PRAGMA cell_size_check = ON;
         -- Another process is kept out by the profile lock; this is for our own readers and writer.
         PRAGMA busy_timeout = 5000;",
    )?;
    // No writing of the schema tables, whatever the SQL. Loading of extensions is off by default and its interface is not compiled in.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

/// What belongs to the file and is set by its writer.
fn writer_settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        // SQLCipher skips the check of all-zero pages when this is on. It is the default and takes effect before the first table.
        "PRAGMA auto_vacuum = NONE;
         -- Four times as fast as a rollback journal at equal safety, and readers do not wait.
         PRAGMA journal_mode = WAL;
         -- About 4 MB, then it is written into the file; a log that grew further is cut back.
         PRAGMA wal_autocheckpoint = 1000;
         PRAGMA journal_size_limit = 16777216;
         -- In KiB. A page that falls out of the cache is verified and decrypted again when it is next needed.
         PRAGMA cache_size = -40960;",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_the_settings_that_durability_and_secrecy_rest_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("odd %name?#.db");
        std::fs::write(&path, b"").unwrap();
        let key = DatabaseKey::random();
        let writer = writer(&path, &key).unwrap();
        writer
            .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
            .unwrap();
        let reader = reader(&path, &key).unwrap();
        let value = |connection: &Connection, pragma: &str| -> String {
            connection
                .query_row(&format!("PRAGMA {pragma}"), [], |row| {
                    row.get::<_, rusqlite::types::Value>(0)
                })
                .map(|value| match value {
                    rusqlite::types::Value::Integer(number) => number.to_string(),
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                })
                .unwrap()
        };
        for connection in [&writer, &reader] {
            for (pragma, expected) in [
                ("journal_mode", "wal"),
                ("synchronous", "2"),
                ("fullfsync", "1"),
                ("checkpoint_fullfsync", "1"),
                ("temp_store", "2"),
                ("secure_delete", "1"),
                ("trusted_schema", "0"),
                ("cell_size_check", "1"),
                ("auto_vacuum", "0"),
                ("page_size", "4096"),
            ] {
                assert_eq!(value(connection, pragma), expected, "{pragma}");
            }
            assert!(
                connection
                    .query_row("SELECT load_extension('x')", [], |_| Ok(()))
                    .is_err()
            );
        }
        assert!(reader.execute_batch("INSERT INTO t VALUES (2)").is_err());
        drop((reader, writer));
        let probe = probe(&path, &key, false).unwrap();
        assert_eq!(value(&probe, "application_id"), "0");
        assert_eq!(
            probe
                .query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(0))
                .unwrap(),
            1
        );
    }

    #[test]
    fn the_library_is_recent_enough_to_be_free_of_the_log_reset_error() {
        assert!(rusqlite::version_number() >= 3_051_003, "{}", rusqlite::version());
    }
}
