//! What happens when there is no room left: each step is tried with one page more of room until it fits. Until then nothing of it is there,
//! the error says why, and the store goes on.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::fmt::Write as _;

use caseload_domain::time::Millis;
use caseload_domain::{ClientId, DeviceId, Document, EntityKey, PracticeId, ReplicaId, Role, Scope, UserId};
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::{Group, OpResult, Outcome, Refusal, WireRow};
use caseload_vault::{DatabaseKey, SigningKey};
use rusqlite::types::Value as Cell;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Action, ApplyError, Author, Entropy, FileKind, Identity, StorageError, Store, WriteError, WriteTx};

/// A file with one client that the service has and a change of it that waits.
struct Desk {
    _folder: tempfile::TempDir,
    signing: SigningKey,
    store: Store,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity {
            practice: PracticeId::new(Uuid::from_u128(1)),
            device: DeviceId::new(Uuid::from_u128(2)),
            kind: FileKind::Office,
            replica: ReplicaId::new(Uuid::from_u128(3)),
            replica_number: 1,
        };
        let key = DatabaseKey::from_bytes(&[3; 48]);
        let path = folder.path().join("office.db");
        let desk = Self {
            store: Store::create(&path, &key, &identity, Entropy::seeded(1)).unwrap(),
            signing: SigningKey::from_seed(&[4; 32]),
            _folder: folder,
        };
        desk.write(|tx| tx.create(&client(1), long("acknowledged"))).unwrap();
        let sent = desk.send();
        desk.store
            .acknowledge(&answers(&sent, Outcome::Applied), "e", Millis(1))
            .unwrap();
        let taken = desk.store.read(|read| read.get(&client(1))).unwrap().unwrap().doc;
        desk.store.apply_page(&[wire(1, taken)], &at(1)).unwrap();
        desk.write(|tx| tx.patch_unit(&client(1), "phone", json!({"raw": "it waits"})))
            .unwrap();
        desk
    }

    fn write(&self, body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), WriteError>) -> Result<(), WriteError> {
        let author = Author {
            user: UserId::new(Uuid::from_u128(5)),
            role: Role::Therapist,
            signing: &self.signing,
        };
        let action = Action {
            name: "test",
            at: Millis(1),
        };
        self.store.write(&author, action, body).map(drop)
    }

    fn send(&self) -> Vec<Group> {
        self.store.next_groups(100, 1 << 20).unwrap()
    }

    /// Every row of every table, as text.
    fn everything(&self) -> String {
        let read = |read: &crate::ReadTx<'_>| {
            let connection = read.connection();
            let mut tables = connection
                .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'")?;
            let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            let mut text = String::new();
            for table in tables {
                let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
                let columns = statement.column_count();
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let cells = (0..columns).map(|at| row.get(at)).collect::<Result<Vec<Cell>, _>>()?;
                    writeln!(text, "{table} {cells:?}").unwrap();
                }
            }
            Ok::<_, StorageError>(text)
        };
        self.store.read(read).unwrap()
    }

    /// Does `step` with more and more room until it fits. Gives what it answered then.
    fn until_it_fits<T, E: std::fmt::Debug>(&self, step: impl Fn() -> Result<T, E>, is_full: impl Fn(&E) -> bool) -> T {
        let before = self.everything();
        for room in 0..200 {
            self.store.let_grow_by(Some(room)).unwrap();
            match step() {
                Ok(answer) => {
                    assert!(room > 2, "it never had too little room");
                    self.store.let_grow_by(None).unwrap();
                    return answer;
                }
                Err(error) => assert!(is_full(&error), "with room for {room} pages: {error:?}"),
            }
            assert_eq!(self.everything(), before, "something was half done in {room} pages");
        }
        panic!("it never fitted");
    }
}

fn client(n: u128) -> EntityKey {
    EntityKey::new("client", ClientId::new(Uuid::from_u128(100 + n)).entity())
}

/// A client that takes several pages.
fn long(text: &str) -> Document {
    document(json!({
        "salt": "0".repeat(32), "name": {"family": "Kim"}, "status": {"state": "active"},
        "preferences": {"text": format!("{text} {}", "x".repeat(20_000))},
    }))
}

fn document(value: Value) -> Document {
    serde_json::from_value(value).unwrap()
}

fn wire(n: u128, doc: Document) -> WireRow {
    WireRow {
        key: client(n),
        rev: 1,
        seq: i64::try_from(n).unwrap(),
        del: false,
        sv: 1,
        min_writer: 0,
        scope: Scope::Office,
        u: BTreeMap::new(),
        doc,
    }
}

fn at(seq: i64) -> Cursor {
    Cursor {
        epoch: "e".to_owned(),
        seq,
        chain: String::new(),
        scopes: String::new(),
        read_at: None,
    }
}

fn answers(groups: &[Group], st: Outcome) -> Vec<OpResult> {
    let ops = groups.iter().flat_map(|group| (group.first_mut..).zip(&group.ops));
    ops.map(|(number, op)| OpResult {
        number,
        op_id: op.op_id,
        st,
        rev: 1,
        seq: 1,
        opened: Vec::new(),
        why: (st == Outcome::Rejected).then_some(Refusal::Forbidden),
        fields: Vec::new(),
    })
    .collect()
}

fn write_is_full(error: &WriteError) -> bool {
    matches!(error, WriteError::Storage(StorageError::Full(_)))
}

fn apply_is_full(error: &ApplyError) -> bool {
    matches!(error, ApplyError::Storage(StorageError::Full(_)))
}

fn storage_is_full(error: &StorageError) -> bool {
    matches!(error, StorageError::Full(_))
}

#[test]
fn a_save_that_does_not_fit_leaves_nothing_and_the_same_save_succeeds_once_there_is_room() {
    let desk = Desk::new();
    let save = || {
        desk.write(|tx| {
            tx.create(&client(2), long("one"))?;
            tx.create(&client(3), long("two"))?;
            tx.patch_unit(&client(1), "email", json!({"value": "a@b.example"}))
        })
    };
    desk.until_it_fits(save, write_is_full);
    let shown = |n| desk.store.read(|read| read.get(&client(n))).unwrap().unwrap().doc;
    let changed = shown(1);
    assert_eq!(
        (changed.text("phone", "raw"), changed.text("email", "value")),
        (Some("it waits"), Some("a@b.example"))
    );
    assert_eq!((shown(2), shown(3)), (long("one"), long("two")));
    assert_eq!(desk.store.read(|read| read.waiting()).unwrap().count, 4);
    assert_eq!(desk.store.verify_audit().unwrap().first_bad, None);
}

#[test]
fn a_page_that_does_not_fit_leaves_the_position_and_what_waits_and_is_taken_in_once_there_is_room() {
    let desk = Desk::new();
    let page: Vec<WireRow> = (2..5).map(|n| wire(n, long("from the service"))).collect();
    let changed = desk.until_it_fits(|| desk.store.apply_page(&page, &at(4)), apply_is_full);
    assert_eq!(changed.len(), 3);
    assert_eq!(desk.store.sync_state().unwrap().cursor, Some(at(4)));
    assert_eq!(desk.store.read(|read| read.waiting()).unwrap().count, 1);
}

#[test]
fn an_answer_that_cannot_be_noted_leaves_the_change_waiting_to_be_sent_again() {
    let desk = Desk::new();
    desk.write(|tx| tx.create(&client(2), long("refused"))).unwrap();
    let sent = desk.send();
    let refused = answers(&sent, Outcome::Rejected);
    let note = || desk.store.acknowledge(&refused, "e", Millis(2));
    assert_eq!(desk.until_it_fits(note, storage_is_full).refused, 2);
    let kept = desk.store.read(|read| read.refused()).unwrap();
    assert_eq!(kept.len(), 2, "with their reason, for a person to decide");
}
