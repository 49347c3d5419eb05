//! After a comparison: what waits on a row that was kept aside stays in its order, and tombstones go as far as the service's.

use caseload_domain::Document;
use caseload_protocol::messages::{OpResult, Outcome, Refusal, WireRow};
use caseload_protocol::reoffer;
use caseload_store::Store;
use serde_json::json;

use crate::fixture::{Clinic, client_id, cursor, doc, get, key_of, results, snapshot, snapshot_of, waiting, wire};

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

/// What the service has instead of `held` after it was put back.
fn put_back(store: &Store, instead: WireRow) {
    let at = cursor(instead.seq);
    store.begin_comparison().unwrap();
    snapshot(store, &[instead], &at, true).unwrap();
    store.set_cursor(&at).unwrap();
}

/// The record of the offer of `lost` with the choice of whoever reviews it.
fn settled(lost: &WireRow, choice: &str, seq: i64) -> WireRow {
    let mut units = reoffer::units(lost);
    units.insert("salt".to_owned(), json!("0".repeat(32)));
    units.insert(
        "state".to_owned(),
        json!({"state": "settled", "choice": choice, "at": 5}),
    );
    wire(&reoffer::record_key(lost).unwrap(), 2, seq, Document::new(units))
}

fn reviewed(store: &Store, lost: &WireRow, choice: &str, seq: i64) {
    store.apply_page(&[settled(lost, choice, seq)], &cursor(seq)).unwrap();
}

#[test]
fn a_change_that_waits_while_the_service_is_put_back_again_waits_for_both_versions_and_goes_as_one_that_has_seen_neither()
 {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (first, second) = (named(1, 5, 5, "Archer"), named(1, 4, 4, "Archer of the copy"));
    let key = first.key.clone();
    store.apply_page(std::slice::from_ref(&first), &cursor(5)).unwrap();
    clinic.patch(&store, &key, json!({"phone": {"raw": "first"}})).unwrap();
    put_back(&store, second.clone());
    put_back(&store, named(1, 3, 3, "Archer of another copy"));
    let lost = store.read(|reads| reads.lost()).unwrap();
    assert_eq!(lost.len(), 2, "neither version is given up");
    for row in [&first, &second] {
        assert!(lost.contains(row));
    }
    reviewed(&store, &second, reoffer::ACCEPT, 6);
    assert_eq!(kinds(&store), [""; 0], "the other version is not reviewed yet");
    reviewed(&store, &first, reoffer::ACCEPT, 7);
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    assert_eq!((groups.len(), groups[0].detached), (1, true));

    clinic.patch(&store, &key, json!({"phone": {"raw": "second"}})).unwrap();
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    assert!(
        groups[1].detached,
        "what lies below the first was never shown to anybody"
    );
}

#[test]
fn what_follows_a_change_that_waits_for_a_review_of_something_else_waits_behind_it() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (lost, kept) = (named(1, 3, 3, "Archer"), named(2, 2, 2, "Baker"));
    store.apply_page(&[lost.clone(), kept.clone()], &cursor(3)).unwrap();
    let phone = |text: &str| json!({"raw": text});
    let both = clinic.write(&store, |tx| {
        tx.patch_unit(&lost.key, "phone", phone("first"))?;
        tx.patch_unit(&kept.key, "phone", phone("first"))
    });
    both.unwrap();
    store.begin_comparison().unwrap();
    snapshot(
        &store,
        &[named(1, 2, 1, "Archer of the copy"), kept.clone()],
        &cursor(2),
        true,
    )
    .unwrap();
    store.set_cursor(&cursor(2)).unwrap();
    clinic
        .patch(&store, &kept.key, json!({"phone": phone("second")}))
        .unwrap();
    assert_eq!(kinds(&store), [""; 0]);
    assert_eq!(waiting(&store), 3);
    assert!(store.read(|reads| reads.refused()).unwrap().is_empty());

    reviewed(&store, &lost, reoffer::ACCEPT, 6);
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    let units: Vec<Vec<&String>> = groups
        .iter()
        .map(|group| group.ops.iter().flat_map(|op| op.units.keys()).collect())
        .collect();
    assert_eq!(units, [vec!["phone", "phone"], vec!["phone"]]);
    assert_eq!(groups.iter().map(|group| group.first_mut).collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn what_waits_for_a_review_goes_on_when_the_pull_that_brings_it_is_through() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let held = named(1, 5, 5, "Archer");
    store.apply_page(std::slice::from_ref(&held), &cursor(5)).unwrap();
    clinic
        .patch(&store, &held.key, json!({"phone": {"raw": "first"}}))
        .unwrap();
    put_back(&store, named(1, 4, 4, "Archer of the copy"));
    store
        .apply_part(&[settled(&held, reoffer::ACCEPT, 6)], &cursor(6))
        .unwrap();
    assert_eq!(kinds(&store), [""; 0], "the accepted row comes with a later page");
    store.apply_page(&[named(1, 6, 7, "Archer")], &cursor(7)).unwrap();
    assert_eq!(kinds(&store), ["client"]);
}

#[test]
fn an_offer_that_was_taken_and_lost_again_is_made_again() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let held = named(1, 5, 5, "Archer");
    store.apply_page(std::slice::from_ref(&held), &cursor(5)).unwrap();
    put_back(&store, named(1, 4, 4, "Archer of the copy"));
    assert_eq!(store.offer_lost(&clinic.author(), clinic.at()).unwrap(), 1);
    let sent = store.next_groups(1_000, 1 << 24).unwrap();
    store.acknowledge(&results(&sent, 5), "e1", clinic.at()).unwrap();
    // Its record lies sealed at the service: this file never gets it.
    store.apply_page(&[], &cursor(5)).unwrap();
    assert_eq!(
        (
            waiting(&store),
            store.offer_lost(&clinic.author(), clinic.at()).unwrap()
        ),
        (0, 0)
    );
    put_back(&store, named(1, 4, 4, "Archer of the copy"));
    assert_eq!(store.offer_lost(&clinic.author(), clinic.at()).unwrap(), 1);
    assert_eq!(kinds(&store), ["reoffer"]);
}

#[test]
fn what_waits_for_a_review_when_care_ends_is_kept_as_refused_and_has_seen_nothing_when_care_returns() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let plan = |text: &str| json!({"sections": {"plan": text}});
    let note = |rev, text| {
        let subject = json!({"client": client_id(1), "author": clinic.user});
        let note = json!({
            "salt": "0".repeat(32), "subject": subject, "template": {"kind": "soap"}, "body": plan(text),
            "state": {"state": "draft"},
        });
        wire(&key_of("session_note", 1), rev, rev, doc(note))
    };
    let (held, copy) = (note(5, "lost"), note(4, "of the copy"));
    store.apply_page(std::slice::from_ref(&held), &cursor(5)).unwrap();
    clinic.patch(&store, &held.key, json!({"body": plan("mine")})).unwrap();
    store.begin_comparison().unwrap();
    snapshot_of(&store, held.scope, std::slice::from_ref(&copy), &cursor(4), true).unwrap();
    store.set_cursor(&cursor(4)).unwrap();
    assert_eq!(waiting(&store), 1);
    store.leave_scope(held.scope, clinic.at()).unwrap();
    assert_eq!(waiting(&store), 0);

    store.apply_page(&[copy], &cursor(6)).unwrap();
    let refused = store.read(|reads| reads.refused()).unwrap();
    assert_eq!(refused.len(), 1);
    clinic.write(&store, |tx| tx.retry(refused[0].grp)).unwrap();
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    assert_eq!((groups.len(), groups[0].detached), (1, true));
}

#[test]
fn one_version_that_stays_lost_is_enough_for_what_waits_to_be_kept_as_refused() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (first, second) = (named(1, 5, 5, "Archer"), named(1, 4, 4, "Archer of the copy"));
    store.apply_page(std::slice::from_ref(&first), &cursor(5)).unwrap();
    clinic
        .patch(&store, &first.key, json!({"phone": {"raw": "first"}}))
        .unwrap();
    put_back(&store, second.clone());
    put_back(&store, named(1, 3, 3, "Archer of another copy"));
    reviewed(&store, &second, reoffer::REFUSE, 6);
    assert_eq!(waiting(&store), 0);
    assert_eq!(store.read(|reads| reads.refused()).unwrap().len(), 1);
    reviewed(&store, &first, reoffer::ACCEPT, 7);
    assert_eq!(kinds(&store), [""; 0]);
}

#[test]
fn what_is_tried_again_after_the_service_was_put_back_has_seen_nothing_that_is_there_now() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (held, copy) = (named(1, 5, 5, "Archer"), named(1, 4, 4, "Archer of the copy"));
    store.apply_page(std::slice::from_ref(&held), &cursor(5)).unwrap();
    clinic
        .patch(&store, &held.key, json!({"phone": {"raw": "refused by a review"}}))
        .unwrap();
    put_back(&store, copy.clone());
    reviewed(&store, &held, reoffer::REFUSE, 6);
    let again = || {
        let refused = store.read(|reads| reads.refused()).unwrap();
        clinic.write(&store, |tx| tx.retry(refused[0].grp)).unwrap();
        let groups = store.next_groups(1_000, 1 << 24).unwrap();
        let last = groups.last().unwrap().clone();
        assert!(last.detached);
        last
    };
    let group = again();
    let mut answer = results(&[group], 6);
    (answer[0].st, answer[0].why) = (Outcome::Rejected, Some(Refusal::Invalid));
    store.acknowledge(&answer, "e1", clinic.at()).unwrap();

    let email = json!({"email": {"value": "a@b.example"}});
    clinic.patch(&store, &held.key, email).unwrap();
    let group = store.next_groups(1_000, 1 << 24).unwrap();
    assert_eq!(group[0].ops[0].base_rev, 4);
    let mut answer = results(&group, 6);
    (answer[0].st, answer[0].why) = (Outcome::Rejected, Some(Refusal::Invalid));
    store.acknowledge(&answer, "e1", clinic.at()).unwrap();
    put_back(&store, copy);
    again();
}

#[test]
fn a_change_whose_base_never_arrived_here_goes_as_one_that_has_seen_nothing() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (held, copy) = (named(1, 5, 5, "Archer"), named(1, 4, 4, "Archer of the copy"));
    store.apply_page(std::slice::from_ref(&held), &cursor(5)).unwrap();
    clinic
        .patch(&store, &held.key, json!({"phone": {"raw": "first"}}))
        .unwrap();
    put_back(&store, copy.clone());
    // The row that the acceptance wrote comes with a later page, and the service is put back before it comes.
    reviewed(&store, &held, reoffer::ACCEPT, 6);
    assert!(!store.next_groups(1_000, 1 << 24).unwrap()[0].detached);
    put_back(&store, copy);
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    assert_eq!((groups.len(), groups[0].detached), (1, true));
}

#[test]
fn a_review_made_before_or_while_everything_is_compared_counts_as_made_in_sight_of_nothing() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (lost, held) = (named(1, 5, 5, "Archer"), named(1, 4, 4, "Archer of the copy"));
    let mut units = reoffer::units(&lost);
    units.insert("salt".to_owned(), json!("0".repeat(32)));
    units.insert("state".to_owned(), json!({"state": "open"}));
    let record = wire(&reoffer::record_key(&lost).unwrap(), 1, 1, Document::new(units.clone()));
    let of_another = named(2, 5, 5, "Baker");
    units.extend(reoffer::units(&of_another));
    let other = wire(&reoffer::record_key(&of_another).unwrap(), 1, 2, Document::new(units));
    store
        .apply_page(&[record.clone(), other.clone(), held], &cursor(4))
        .unwrap();
    clinic.write(&store, |tx| tx.settle_reoffer(&record.key, true)).unwrap();
    store.begin_comparison().unwrap();
    clinic.write(&store, |tx| tx.settle_reoffer(&other.key, true)).unwrap();
    let instead = named(1, 3, 3, "Archer of another copy");
    snapshot(&store, &[instead, record, other], &cursor(3), true).unwrap();
    store.set_cursor(&cursor(3)).unwrap();
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    let detached: Vec<bool> = groups.iter().map(|group| group.detached).collect();
    assert_eq!(detached, [true, true]);
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
