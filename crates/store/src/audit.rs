//! The audit chain of one file: who did what to which objects, with salted hashes before and after. Never names, never text.
//!
//! Each entry's hash covers the one before it, so that an entry cannot be changed, removed, inserted or moved without every later hash
//! telling. That the tail was cut shows by the head which the vault remembers.

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, GroupId, Role, UserId, canonical};
use caseload_protocol::checksum::{Leaf, hex, sha256};
use caseload_vault::heads::Head;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::StorageError;

/// Begins every hashed entry. Frozen: with another one no chain ever written would verify.
const FORM: &[u8] = b"caseload/audit/v1";

/// What a chain begins with.
const GENESIS: Leaf = [0; 32];

/// What somebody did; its name is a fixed word of the program, such as `client.update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The name.
    pub name: &'static str,
    /// What the clock showed.
    pub at: Millis,
}

/// The result of walking a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditReport {
    /// How many entries there are.
    pub entries: u64,
    /// The number of the first entry that does not fit, if any.
    pub first_bad: Option<u64>,
}

/// One object of an entry, with the hash of its canonical content before and after. The content holds 128 random bits, so that a hash
/// reveals nothing that can be guessed.
pub(crate) struct Touched {
    pub(crate) key: EntityKey,
    pub(crate) before: Option<Leaf>,
    pub(crate) after: Option<Leaf>,
}

/// One entry before it is chained.
pub(crate) struct Entry<'a> {
    pub(crate) action: Action,
    pub(crate) user: UserId,
    pub(crate) role: Role,
    pub(crate) group: Option<GroupId>,
    pub(crate) touched: &'a [Touched],
}

impl Entry<'_> {
    fn text(&self, seq: i64) -> Result<String, StorageError> {
        let objects: Vec<Value> = self.touched.iter().map(object).collect();
        let mut entry = Map::new();
        entry.insert("seq".to_owned(), json!(seq));
        entry.insert("at".to_owned(), json!(self.action.at));
        entry.insert("user".to_owned(), json!(self.user));
        entry.insert("role".to_owned(), json!(self.role));
        entry.insert("action".to_owned(), json!(self.action.name));
        if let Some(group) = self.group {
            entry.insert("group".to_owned(), json!(group));
        }
        entry.insert("objects".to_owned(), Value::Array(objects));
        let bytes = canonical::object_to_bytes(&entry).map_err(|_| StorageError::Unreadable("audit entry"))?;
        String::from_utf8(bytes).map_err(|_| StorageError::Unreadable("audit entry"))
    }
}

fn object(touched: &Touched) -> Value {
    let mut object = Map::new();
    object.insert("t".to_owned(), json!(touched.key.kind));
    object.insert("id".to_owned(), json!(touched.key.id));
    for (name, hash) in [("before", touched.before), ("after", touched.after)] {
        if let Some(hash) = hash {
            object.insert(name.to_owned(), Value::from(hex(&hash)));
        }
    }
    Value::Object(object)
}

fn chain(previous: &Leaf, entry: &str) -> Leaf {
    sha256(&[FORM, previous.as_slice(), entry.as_bytes()].concat())
}

/// Appends an entry inside the caller's transaction and returns the new head.
pub(crate) fn append_in_tx(connection: &Connection, database: Uuid, entry: &Entry<'_>) -> Result<Head, StorageError> {
    let (seq, previous) = last(connection)?;
    let text = entry.text(seq + 1)?;
    let hash = chain(&previous, &text);
    connection
        .prepare_cached("INSERT INTO audit (seq, entry, hash) VALUES (?1, ?2, ?3)")?
        .execute((seq + 1, text, hash))?;
    Ok(Head {
        database,
        sequence: (seq + 1).unsigned_abs(),
        hash,
    })
}

fn last(connection: &Connection) -> Result<(i64, Leaf), StorageError> {
    let last = connection
        .prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(last.unwrap_or((0, GENESIS)))
}

/// The head of the chain.
pub(crate) fn head(connection: &Connection, database: Uuid) -> Result<Head, StorageError> {
    let (seq, hash) = last(connection)?;
    Ok(Head {
        database,
        sequence: seq.unsigned_abs(),
        hash,
    })
}

/// The hash of entry `sequence`, if there is one; entry 0 is what the chain begins with.
pub(crate) fn hash_at(connection: &Connection, sequence: u64) -> Result<Option<Leaf>, StorageError> {
    if sequence == 0 {
        return Ok(Some(GENESIS));
    }
    let Ok(sequence) = i64::try_from(sequence) else {
        return Ok(None);
    };
    Ok(connection
        .query_row("SELECT hash FROM audit WHERE seq = ?1", [sequence], |row| row.get(0))
        .optional()?)
}

/// Recomputes the chain from its first entry.
pub(crate) fn verify(connection: &Connection) -> Result<AuditReport, StorageError> {
    let mut statement = connection.prepare("SELECT seq, entry, hash FROM audit ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut report = AuditReport {
        entries: 0,
        first_bad: None,
    };
    let mut previous = GENESIS;
    while let Some(row) = rows.next()? {
        let (seq, entry, hash): (i64, String, Leaf) = (row.get(0)?, row.get(1)?, row.get(2)?);
        report.entries += 1;
        let fits = seq.unsigned_abs() == report.entries && chain(&previous, &entry) == hash && states(&entry, seq);
        if !fits && report.first_bad.is_none() {
            report.first_bad = Some(report.entries);
        }
        previous = hash;
    }
    Ok(report)
}

fn states(entry: &str, seq: i64) -> bool {
    serde_json::from_str::<Value>(entry).is_ok_and(|entry| entry.get("seq") == Some(&json!(seq)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use caseload_domain::EntityId;

    fn filled() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE audit (seq INTEGER PRIMARY KEY, entry TEXT, hash BLOB)")
            .unwrap();
        for n in 0..4 {
            let key = EntityKey::new("client", EntityId::new(Uuid::from_u128(n)));
            let touched = [Touched {
                key,
                before: None,
                after: Some([7; 32]),
            }];
            let entry = Entry {
                action: Action {
                    name: "client.create",
                    at: Millis(5),
                },
                user: UserId::new(Uuid::nil()),
                role: Role::FrontDesk,
                group: None,
                touched: &touched,
            };
            append_in_tx(&connection, Uuid::nil(), &entry).unwrap();
        }
        connection
    }

    #[test]
    fn the_chain_is_frozen_because_old_files_and_their_anchors_must_verify() {
        let connection = filled();
        let (entry, hash): (String, Leaf) = connection
            .query_row("SELECT entry, hash FROM audit WHERE seq = 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(
            entry,
            r#"{"action":"client.create","at":5,"objects":[{"after":"0707070707070707070707070707070707070707070707070707070707070707","id":"00000000-0000-0000-0000-000000000000","t":"client"}],"role":"front_desk","seq":1,"user":"00000000-0000-0000-0000-000000000000"}"#
        );
        assert_eq!(
            hash,
            sha256(&[b"caseload/audit/v1".as_slice(), &[0; 32], entry.as_bytes()].concat())
        );
    }

    #[test]
    fn a_changed_removed_or_moved_entry_is_found_with_its_number() {
        assert_eq!(
            verify(&filled()).unwrap(),
            AuditReport {
                entries: 4,
                first_bad: None
            }
        );
        for (tampering, first_bad) in [
            (
                "UPDATE audit SET entry = replace(entry, 'create', 'delete') WHERE seq = 2",
                2,
            ),
            ("DELETE FROM audit WHERE seq = 3", 3),
            ("DELETE FROM audit WHERE seq = 1", 1),
            ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 4", 4),
            (
                "UPDATE audit SET seq = 9 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 9",
                2,
            ),
        ] {
            let connection = filled();
            connection.execute_batch(tampering).unwrap();
            assert_eq!(verify(&connection).unwrap().first_bad, Some(first_bad), "{tampering}");
        }
    }
}
