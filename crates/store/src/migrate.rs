//! The tables of a file, version by version. Rules for the files themselves: `migrations/README.md`.

use rusqlite::{Connection, TransactionBehavior};

use crate::identity::FileKind;

/// One version of the tables.
pub(crate) struct Migration {
    /// The version that it makes; the versions of a kind are 1, 2, 3 ...
    pub(crate) version: i64,
    sql: &'static str,
}

macro_rules! migration {
    ($version:literal, $path:literal) => {
        Migration {
            version: $version,
            sql: include_str!(concat!("../../../migrations/", $path)),
        }
    };
}

const OFFICE: &[Migration] = &[
    migration!(1, "office/0001_create_documents.sql"),
    migration!(2, "office/0002_create_search.sql"),
    migration!(3, "office/0003_add_files.sql"),
    migration!(4, "office/0004_create_lost.sql"),
    migration!(5, "office/0005_keep_every_lost_version.sql"),
];

const CLINICAL: &[Migration] = &[
    migration!(1, "clinical/0001_create_documents.sql"),
    migration!(2, "clinical/0002_create_search.sql"),
    migration!(3, "clinical/0003_add_files.sql"),
    migration!(4, "clinical/0004_create_lost.sql"),
    migration!(5, "clinical/0005_keep_every_lost_version.sql"),
];

/// The versions of a kind of file, oldest first.
pub(crate) const fn table(kind: FileKind) -> &'static [Migration] {
    match kind {
        FileKind::Office => OFFICE,
        FileKind::Clinical(_) => CLINICAL,
    }
}

/// The newest version that this program knows.
pub(crate) fn newest(kind: FileKind) -> i64 {
    table(kind).last().map_or(0, |migration| migration.version)
}

/// The version that a file has.
pub(crate) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings the tables to version `to`, one transaction per version. Says whether anything was done.
pub(crate) fn migrate(connection: &mut Connection, kind: FileKind, to: i64) -> rusqlite::Result<bool> {
    let from = version(connection)?;
    let steps = table(kind)
        .iter()
        .filter(|step| step.version > from && step.version <= to);
    let mut changed = false;
    for step in steps {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step.sql)?;
        transaction.pragma_update(None, "application_id", kind.application_id())?;
        transaction.pragma_update(None, "user_version", step.version)?;
        transaction.commit()?;
        changed = true;
    }
    Ok(changed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use caseload_domain::UserId;
    use uuid::Uuid;

    const KINDS: [FileKind; 2] = [FileKind::Office, FileKind::Clinical(UserId::new(Uuid::nil()))];

    fn schema(connection: &Connection) -> Vec<(String, Option<String>)> {
        let mut statement = connection
            .prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")
            .unwrap();
        statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn versions_are_contiguous_from_one() {
        for kind in KINDS {
            for (expected, migration) in (1..).zip(table(kind)) {
                assert_eq!(migration.version, expected);
            }
        }
    }

    #[test]
    fn every_migration_file_is_in_the_table() {
        for (kind, folder) in KINDS.into_iter().zip(["office", "clinical"]) {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../migrations")
                .join(folder);
            let files = std::fs::read_dir(path)
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().path().extension().is_some());
            assert_eq!(files.count(), table(kind).len(), "{folder}");
        }
    }

    #[test]
    fn a_fresh_file_and_one_migrated_step_by_step_have_the_same_tables() {
        for kind in KINDS {
            let mut fresh = Connection::open_in_memory().unwrap();
            assert!(migrate(&mut fresh, kind, newest(kind)).unwrap());
            let mut stepped = Connection::open_in_memory().unwrap();
            for step in table(kind) {
                assert!(migrate(&mut stepped, kind, step.version).unwrap());
                assert_eq!(version(&stepped).unwrap(), step.version);
            }
            assert_eq!(schema(&fresh), schema(&stepped));
            assert!(
                !migrate(&mut fresh, kind, newest(kind)).unwrap(),
                "a second time does nothing"
            );
        }
    }

    #[test]
    fn what_waits_in_the_file_of_an_earlier_program_and_what_it_kept_aside_are_there_after_its_migration() {
        for kind in KINDS {
            let mut connection = Connection::open_in_memory().unwrap();
            migrate(&mut connection, kind, 4).unwrap();
            connection
                .execute_batch(
                    "INSERT INTO lost VALUES ('client', x'01', x'02', 'a row'), ('client', x'03', x'04', NULL);
                     INSERT INTO outbox_group VALUES (x'05', x'06', 'admin', x'07', 1, 2, 'sig', 0, 3);",
                )
                .unwrap();
            migrate(&mut connection, kind, newest(kind)).unwrap();
            let lost: String = connection
                .query_row(
                    "SELECT group_concat(type || hex(id) || hex(record) || coalesce(body, ''), ', ') FROM lost",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            assert_eq!(lost, "client0102a row, client0304");
            let group: (i64, i64, bool) = connection
                .query_row("SELECT first_mut, at, detached FROM outbox_group", [], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .unwrap();
            assert_eq!(group, (2, 3, false));
        }
    }

    #[test]
    fn a_migration_that_fails_leaves_the_version_before_it() {
        let kind = FileKind::Office;
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, kind, 1).unwrap();
        connection.execute_batch("CREATE TABLE slot (in_the_way)").unwrap();
        let before = schema(&connection);
        assert!(migrate(&mut connection, kind, 2).is_err());
        assert_eq!((version(&connection).unwrap(), schema(&connection)), (1, before));
    }
}
