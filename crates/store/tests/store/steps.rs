//! Much at once is taken in by steps, so that a save in between does not wait for all of it; what comes out is the same.

use caseload_domain::EntityKey;
use caseload_domain::time::Millis;
use caseload_protocol::cursor::Moment;
use caseload_protocol::messages::{OpResult, Outcome, Refusal, WireRow};
use caseload_store::{ApplyError, Store};
use serde_json::json;

use crate::fixture::{Clinic, client_id, cursor, doc, get, key_of, results, waiting, wire};

/// More than two steps.
const MANY: u128 = 250;

fn client(n: u128) -> EntityKey {
    EntityKey::new("client", client_id(n).entity())
}

fn rows() -> Vec<WireRow> {
    let document = |n| {
        let salt = format!("{n:032x}");
        doc(json!({"salt": salt, "name": {"family": "Archer"}, "status": {"state": "active"}}))
    };
    (1..=MANY)
        .zip(2..)
        .map(|(n, seq)| wire(&client(n), 1, seq, document(n)))
        .collect()
}

fn position(store: &Store) -> (i64, Option<Moment>) {
    let cursor = store.sync_state().unwrap().cursor.unwrap();
    (cursor.seq, cursor.read_at)
}

#[test]
fn a_page_that_breaks_off_leaves_whole_steps_and_a_position_before_them_that_names_the_state_read() {
    let clinic = Clinic::new();
    let store = clinic.office();
    store.apply_page(&[], &cursor(1)).unwrap();
    let mut page = rows();
    let whole = page.clone();
    let note = doc(json!({"salt": "0".repeat(32), "subject": {"client": client_id(1), "author": clinic.user}}));
    page[179] = wire(&key_of("session_note", 1), 1, 181, note);
    let taken = store.take_in(&page, &cursor(1), &cursor(300), false);
    assert!(matches!(taken, Err(ApplyError::ForeignScope)));
    assert!(get(&store, &client(100)).is_some() && get(&store, &client(101)).is_none());
    let newest = cursor(300).newest();
    assert_eq!(position(&store), (1, Some(newest)));

    let from = store.sync_state().unwrap().cursor.unwrap();
    let changed = store.take_in(&whole, &from, &cursor(300), false).unwrap();
    assert_eq!(changed.len(), 150, "what had been taken in does not change again");
    assert_eq!(position(&store), (300, None));
    assert!((1..=MANY).all(|n| get(&store, &client(n)).is_some()));
}

#[test]
fn what_comes_back_after_it_was_shared_is_settled_whole() {
    let clinic = Clinic::new();
    let store = clinic.office();
    store.apply_page(&[], &cursor(1)).unwrap();
    for n in 1..=MANY {
        clinic.client(&store, n, "Archer", &format!("Ann {n}"));
    }
    let sent = store.next_groups(1_000, 1 << 24).unwrap();
    let acknowledged = store.acknowledge(&results(&sent, 2), "e1", Millis(1)).unwrap();
    assert_eq!((acknowledged.changed.len(), waiting(&store)), (250, 0));
    let page: Vec<WireRow> = (1..=MANY)
        .zip(2..)
        .map(|(n, seq)| wire(&client(n), 1, seq, get(&store, &client(n)).unwrap().doc))
        .collect();
    let head = cursor(1 + 250);
    store.take_in(&page, &cursor(1), &head, false).unwrap();
    assert_eq!(position(&store), (251, None));
    assert!(
        store.release_acknowledged().unwrap().is_empty(),
        "nothing is left to settle"
    );
    for (n, row) in (1..=MANY).zip(&page) {
        let entity = get(&store, &client(n)).unwrap();
        assert_eq!((entity.rev, entity.pending, &entity.doc), (1, false, &row.doc));
    }
}

#[test]
fn a_group_is_refused_whole_wherever_a_step_would_end() {
    let clinic = Clinic::new();
    let store = clinic.office();
    for n in 1..=98 {
        clinic.client(&store, n, "Archer", "Ann");
    }
    let document = || doc(json!({"name": {"family": "Together"}, "status": {"state": "active"}}));
    clinic
        .write(&store, |tx| {
            (900..904).try_for_each(|n| tx.create(&client(n), document()))
        })
        .unwrap();
    for n in 99..=150 {
        clinic.client(&store, n, "Archer", "Ann");
    }
    let sent = store.next_groups(1_000, 1 << 24).unwrap();
    let answers: Vec<OpResult> = results(&sent, 1)
        .into_iter()
        .map(|result| match result.number {
            99..=102 => OpResult {
                st: Outcome::Rejected,
                why: Some(Refusal::Group),
                ..result
            },
            _ => result,
        })
        .collect();
    let acknowledged = store.acknowledge(&answers, "e1", Millis(1)).unwrap();
    assert_eq!((acknowledged.refused, waiting(&store)), (4, 0));
    let refused = store.read(|reads| reads.refused()).unwrap();
    assert_eq!(refused.iter().map(|group| group.ops.len()).collect::<Vec<_>>(), [4]);
    assert_eq!(store.sync_state().unwrap().last_op.unwrap().number, 154);
}
