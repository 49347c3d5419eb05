//! Much at once is taken in by steps where somebody waits for the file; what comes out is the same.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::cell::Cell;
use std::sync::mpsc;
use std::thread::yield_now;

use caseload_domain::time::Millis;
use caseload_domain::{DeviceId, Document, EntityKey, PracticeId, ReplicaId, Role, Scope, UserId};
use caseload_protocol::cursor::{Cursor, Moment};
use caseload_protocol::messages::{Group, OpResult, Outcome, Refusal, WireRow};
use caseload_vault::{DatabaseKey, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::turns::Who;
use crate::write::WriteError;
use crate::{Action, ApplyError, Author, Entropy, FileKind, Identity, SnapshotPart, StorageError, Store, WriteTx};

const MANY: u128 = 250;

fn office() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let identity = Identity {
        practice: PracticeId::new(Uuid::from_u128(1)),
        device: DeviceId::new(Uuid::from_u128(2)),
        kind: FileKind::Office,
        replica: ReplicaId::new(Uuid::from_u128(3)),
        replica_number: 1,
    };
    let key = DatabaseKey::from_bytes(&[7; 48]);
    let store = Store::create(&folder.path().join("office.db"), &key, &identity, Entropy::seeded(1)).unwrap();
    store.apply_page(&[], &cursor(1)).unwrap();
    (folder, store)
}

fn cursor(seq: i64) -> Cursor {
    Cursor {
        epoch: "e1".to_owned(),
        seq,
        chain: format!("{seq:016x}"),
        scopes: String::new(),
        read_at: None,
    }
}

fn client(n: u128) -> EntityKey {
    EntityKey::new("client", caseload_domain::EntityId::new(Uuid::from_u128(0xC000 + n)))
}

fn document(value: Value) -> Document {
    serde_json::from_value(value).unwrap()
}

fn row(n: u128, seq: i64, doc: Document) -> WireRow {
    WireRow {
        key: client(n),
        rev: 1,
        seq,
        del: false,
        sv: 1,
        min_writer: 1,
        scope: Scope::Office,
        u: doc.units().keys().map(|unit| (unit.clone(), 1)).collect(),
        doc,
    }
}

/// The clients 1 to [`MANY`] as the service would send them.
fn page() -> Vec<WireRow> {
    let document = |n| {
        let salt = format!("{n:032x}");
        document(json!({"salt": salt, "name": {"family": "Archer"}, "status": {"state": "active"}}))
    };
    (1..=MANY).zip(2..).map(|(n, seq)| row(n, seq, document(n))).collect()
}

fn write(store: &Store, body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), WriteError>) {
    let author = Author {
        user: UserId::new(Uuid::from_u128(5)),
        role: Role::Therapist,
        signing: &SigningKey::from_seed(&[4; 32]),
    };
    let action = Action {
        name: "test",
        at: Millis(1),
    };
    store.write(&author, action, body).unwrap();
}

fn create(store: &Store, clients: impl IntoIterator<Item = u128>) {
    write(store, |tx| {
        let made = || document(json!({"name": {"family": "Archer"}, "status": {"state": "active"}}));
        clients.into_iter().try_for_each(|n| tx.create(&client(n), made()))
    });
}

fn answers(sent: &[Group]) -> Vec<OpResult> {
    let ops = sent.iter().flat_map(|group| (group.first_mut..).zip(&group.ops));
    ops.map(|(number, op)| OpResult {
        number,
        op_id: op.op_id,
        st: Outcome::Applied,
        rev: 1,
        seq: number + 1,
        opened: Vec::new(),
        why: None,
        fields: Vec::new(),
    })
    .collect()
}

fn held(store: &Store) -> i64 {
    store
        .read(|reads| {
            let count = "SELECT count(*) FROM doc WHERE rev > 0";
            Ok::<_, StorageError>(reads.connection().query_row(count, [], |row| row.get(0))?)
        })
        .unwrap()
}

fn position(store: &Store) -> (i64, Option<Moment>) {
    let cursor = store.sync_state().unwrap().cursor.unwrap();
    (cursor.seq, cursor.read_at)
}

/// Lets somebody who saves stand in line at the `nth` question whether anybody does; what `sees` finds in that person's turn comes back
/// beside what `shares` gives.
fn interrupted<T, S: Send>(
    store: &Store,
    nth: usize,
    sees: impl FnOnce(&rusqlite::Connection) -> S + Send,
    shares: impl FnOnce(&dyn Fn() -> bool) -> T,
) -> (T, S) {
    let asked = Cell::new(0);
    let sees = Cell::new(Some(sees));
    let (tell, told) = mpsc::channel();
    let shared = std::thread::scope(|scope| {
        let is_wanted = || {
            asked.set(asked.get() + 1);
            if asked.get() == nth
                && let Some(sees) = sees.take()
            {
                let tell = tell.clone();
                scope.spawn(move || {
                    let seen = store.transact_for(Who::Person, |connection| Ok::<_, StorageError>(sees(connection)));
                    tell.send(seen.unwrap()).unwrap();
                });
                while !store.is_wanted() {
                    yield_now();
                }
            }
            store.is_wanted()
        };
        shares(&is_wanted)
    });
    (shared, told.try_recv().unwrap())
}

#[test]
fn whoever_saves_while_a_page_is_taken_in_waits_for_one_row_and_not_for_the_page() {
    let (_folder, store) = office();
    let page = page();
    let count = |connection: &rusqlite::Connection| -> i64 {
        let rows = "SELECT count(*) FROM doc WHERE rev > 0";
        connection.query_row(rows, [], |row| row.get(0)).unwrap()
    };
    let (changed, seen) = interrupted(&store, 50, count, |is_wanted| {
        store.take_in_steps(&page, &cursor(1), &cursor(300), false, is_wanted)
    });
    assert_eq!(seen, 50);
    assert_eq!((changed.unwrap().len(), held(&store)), (250, 250));
    assert_eq!(position(&store), (300, None));
}

#[test]
fn whoever_saves_while_a_snapshot_is_taken_in_waits_for_one_row_and_it_goes_on_behind_that_row() {
    let (_folder, store) = office();
    let page = page();
    store.take_in(&page, &cursor(1), &cursor(251), false).unwrap();
    // The service does not have two of the rows any more, one on each side of the interruption.
    let sent: Vec<WireRow> = (1..)
        .zip(page)
        .filter(|(n, _)| ![30, 90].contains(n))
        .map(|(_, row)| WireRow { rev: 2, ..row })
        .collect();
    let part = SnapshotPart {
        scope: Scope::Office,
        rows: &sent,
        is_last: true,
    };
    let read_anew = |connection: &rusqlite::Connection| -> (i64, i64) {
        let rows = "SELECT count(*), sum(rev = 2) FROM doc";
        connection
            .query_row(rows, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    let (changed, seen) = interrupted(&store, 50, read_anew, |is_wanted| {
        store.apply_snapshots_in_steps(&[part], &cursor(300), is_wanted)
    });
    assert_eq!(seen, (250, 50), "what is gone is removed at the end");
    let changed = changed.unwrap();
    assert!([30, 90].iter().all(|n| changed.contains(&client(*n))));
    assert_eq!((changed.len(), held(&store)), (250, 248));
    let series = store.snapshots().unwrap().unwrap();
    assert_eq!((series.done, series.begun), (vec![Scope::Office], None));
}

#[test]
fn a_page_that_breaks_off_leaves_whole_steps_and_a_position_before_them_that_names_the_state_read() {
    let (_folder, store) = office();
    let mut broken = page();
    broken[179].scope = Scope::Private(UserId::new(Uuid::from_u128(5)));
    let asked = Cell::new(0);
    let every_hundred = || {
        asked.set(asked.get() + 1);
        asked.get() % 100 == 0
    };
    let taken = store.take_in_steps(&broken, &cursor(1), &cursor(300), false, every_hundred);
    assert!(matches!(taken, Err(ApplyError::ForeignScope)));
    assert_eq!(held(&store), 100);
    let newest = cursor(300).newest();
    assert_eq!(position(&store), (1, Some(newest)));

    let from = store.sync_state().unwrap().cursor.unwrap();
    let changed = store.take_in(&page(), &from, &cursor(300), false).unwrap();
    assert_eq!(changed.len(), 150, "what had been taken in does not change again");
    assert_eq!((position(&store), held(&store)), ((300, None), 250));
}

#[test]
fn what_comes_back_after_it_was_shared_is_settled_whole_whoever_saves_meanwhile() {
    for patience in [1, 7, 1_000] {
        let (_folder, store) = office();
        for n in 1..=MANY {
            create(&store, [n]);
        }
        let asked = Cell::new(0);
        let is_wanted = || {
            asked.set(asked.get() + 1);
            asked.get() % patience == 0
        };
        let sent = store.next_groups(1_000, 1 << 24).unwrap();
        let acknowledged = store.acknowledge_steps(&answers(&sent), "e1", Millis(1), is_wanted);
        assert_eq!(acknowledged.unwrap().changed.len(), 250);
        let shown = |n| store.read(|reads| reads.get(&client(n))).unwrap().unwrap();
        let page: Vec<WireRow> = (1..=MANY).zip(2..).map(|(n, seq)| row(n, seq, shown(n).doc)).collect();
        let head = cursor(1 + 250);
        store.take_in_steps(&page, &cursor(1), &head, false, is_wanted).unwrap();
        assert_eq!(position(&store), (251, None));
        assert!(
            store.release_acknowledged().unwrap().is_empty(),
            "nothing is left to settle"
        );
        for (n, row) in (1..=MANY).zip(&page) {
            let entity = shown(n);
            assert_eq!((entity.rev, entity.pending, &entity.doc), (1, false, &row.doc));
        }
    }
}

#[test]
fn whoever_saves_while_answers_are_taken_in_finds_whole_groups_acknowledged() {
    let (_folder, store) = office();
    for n in 0..40 {
        create(&store, [10 * n, 10 * n + 1, 10 * n + 2]);
    }
    let sent = store.next_groups(1_000, 1 << 24).unwrap();
    let split = |connection: &rusqlite::Connection| -> (i64, i64) {
        let acked = "SELECT count(*), count(DISTINCT grp) FROM outbox WHERE state = 'acked'";
        connection
            .query_row(acked, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
    };
    let (acknowledged, (ops, groups)) = interrupted(&store, 9, split, |is_wanted| {
        store.acknowledge_steps(&answers(&sent), "e1", Millis(1), is_wanted)
    });
    assert_eq!((ops, groups), (27, 9));
    assert_eq!(acknowledged.unwrap().changed.len(), 120);
}

#[test]
fn a_group_is_refused_whole_wherever_a_step_would_end() {
    let (_folder, store) = office();
    create(&store, [1]);
    create(&store, 900..904);
    create(&store, [2]);
    let sent = store.next_groups(1_000, 1 << 24).unwrap();
    let refused = |result: OpResult| match result.number {
        2..=5 => OpResult {
            st: Outcome::Rejected,
            why: Some(Refusal::Group),
            ..result
        },
        _ => result,
    };
    let answers: Vec<OpResult> = answers(&sent).into_iter().map(refused).collect();
    let acknowledged = store.acknowledge_steps(&answers, "e1", Millis(1), || true).unwrap();
    assert_eq!(acknowledged.refused, 4);
    let waiting = store.read(|reads| reads.waiting()).unwrap();
    assert_eq!(waiting.count, 0);
    let refused = store.read(|reads| reads.refused()).unwrap();
    assert_eq!(refused.iter().map(|group| group.ops.len()).collect::<Vec<_>>(), [4]);
    assert_eq!(store.sync_state().unwrap().last_op.unwrap().number, 6);
}
