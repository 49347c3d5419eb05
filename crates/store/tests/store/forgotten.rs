//! After a comparison: what waits on a row that was kept aside stays in its order, and tombstones go as far as the service's.

use caseload_protocol::messages::{OpResult, Outcome, Refusal, WireRow};
use caseload_store::Store;
use serde_json::json;

use crate::fixture::{Clinic, cursor, doc, get, key_of, results, snapshot, waiting, wire};

fn named(n: u128, rev: i64, seq: i64, family: &str) -> WireRow {
    let document = json!({"salt": "0".repeat(32), "name": {"family": family}, "status": {"state": "active"}});
    wire(&key_of("client", n), rev, seq, doc(document))
}

fn kinds(store: &Store) -> Vec<String> {
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    let ops = groups.iter().flat_map(|group| &group.ops);
    ops.map(|op| op.key.kind.to_string()).collect()
}

#[test]
fn a_change_on_top_of_one_that_waits_for_a_review_waits_behind_it_and_both_go_in_their_order() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let held = named(1, 3, 3, "Archer");
    let key = held.key.clone();
    store.apply_page(&[held], &cursor(3)).unwrap();
    clinic.patch(&store, &key, json!({"phone": {"raw": "first"}})).unwrap();
    store.begin_comparison().unwrap();
    let page = [named(1, 2, 2, "Archer of the copy")];
    snapshot(&store, &page, &cursor(2), true).unwrap();
    store.set_cursor(&cursor(2)).unwrap();
    assert_eq!(kinds(&store), [""; 0], "it waits for what becomes of the row below it");

    clinic.patch(&store, &key, json!({"phone": {"raw": "second"}})).unwrap();
    clinic.client(&store, 7, "Baker", "Ann");
    assert_eq!(kinds(&store), ["client"], "only what is about something else goes");
    assert_eq!(store.read(|reads| reads.waiting_for_reviews()).unwrap().len(), 2);
    assert_eq!(get(&store, &key).unwrap().doc.text("phone", "raw"), Some("second"));

    assert_eq!(store.offer_lost(&clinic.author(), clinic.at()).unwrap(), 1);
    let sent = store.next_groups(1_000, 1 << 24).unwrap();
    let known_before = |result: OpResult| OpResult { rev: 0, ..result };
    let answers: Vec<OpResult> = results(&sent, 4).into_iter().map(known_before).collect();
    store.acknowledge(&answers, "e1", clinic.at()).unwrap();
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    let phones: Vec<_> = groups
        .iter()
        .flat_map(|group| &group.ops)
        .map(|op| op.units["phone"]["raw"].clone())
        .collect();
    assert_eq!(phones, ["first", "second"]);
    assert_eq!(waiting(&store), 2);
}

#[test]
fn what_waits_for_the_review_of_a_row_whose_refused_offer_is_thrown_away_is_kept_as_refused_and_waits_no_more() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let held = named(1, 3, 3, "Archer");
    let key = held.key.clone();
    store.apply_page(&[held], &cursor(3)).unwrap();
    clinic.patch(&store, &key, json!({"phone": {"raw": "first"}})).unwrap();
    store.begin_comparison().unwrap();
    snapshot(&store, &[named(1, 2, 2, "Archer of the copy")], &cursor(2), true).unwrap();
    store.set_cursor(&cursor(2)).unwrap();
    store.offer_lost(&clinic.author(), clinic.at()).unwrap();
    let sent = store.next_groups(1_000, 1 << 24).unwrap();
    let forbidden = |result: OpResult| OpResult {
        st: Outcome::Rejected,
        why: Some(Refusal::Forbidden),
        ..result
    };
    let answers: Vec<OpResult> = results(&sent, 4).into_iter().map(forbidden).collect();
    store.acknowledge(&answers, "e1", clinic.at()).unwrap();
    assert_eq!(waiting(&store), 1, "the change waits for the review");

    clinic.write(&store, |tx| tx.discard(sent[0].grp)).unwrap();
    assert_eq!(waiting(&store), 0);
    let refused = store.read(|reads| reads.refused()).unwrap();
    assert_eq!(refused.len(), 1, "the offer is gone, the change is kept");
    assert_eq!(refused[0].ops[0].units["phone"], json!({"raw": "first"}));
    assert_eq!(get(&store, &key).unwrap().doc.text("phone", "raw"), None);
    clinic.write(&store, |tx| tx.retry(refused[0].grp)).unwrap();
    assert_eq!(kinds(&store), ["client"], "and can be made again");
}

#[test]
fn tombstones_go_as_far_as_the_services_and_what_waits_on_them_stays() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let void = |n, seq| WireRow {
        del: true,
        ..named(n, 2, seq, "Archer")
    };
    let rows = [named(1, 1, 1, "Archer"), void(2, 2), void(3, 3), void(4, 9)];
    store.apply_page(&rows, &cursor(9)).unwrap();
    clinic.write(&store, |tx| tx.restore(&key_of("client", 3))).unwrap();
    let changed = store.drop_tombstones(5).unwrap();
    assert_eq!(changed, [key_of("client", 2), key_of("client", 3)]);
    assert_eq!(store.sync_state().unwrap().gc_floor, 5);
    let there = |n| get(&store, &key_of("client", n)).is_some();
    assert!(there(1), "as old, and not void");
    assert!(!there(2));
    assert!(there(4), "void, and not old enough");
    assert_eq!(waiting(&store), 1, "the service says what becomes of the change");
    assert_eq!(store.drop_tombstones(5).unwrap(), []);
}
