//! The device's half of sharing.

use caseload_domain::time::Millis;
use caseload_domain::{ReplicaId, Scope};
use caseload_protocol::checksum::Sums;
use caseload_protocol::messages::{BucketName, Group, OpKind, OpResult, Outcome, Refusal, WireRow};
use caseload_store::{ApplyError, FileKind, RefusedWhy, Store};
use caseload_vault::Signature;
use serde_json::json;

use crate::fixture::{
    Clinic, PRACTICE, client_id, cursor, doc, get, key_of, results, shared, snapshot, uuid, waiting, wire,
};

fn groups(store: &Store) -> Vec<Group> {
    store.next_groups(1000, 1 << 24).unwrap()
}

fn numbers(groups: &[Group]) -> Vec<i64> {
    groups
        .iter()
        .flat_map(|group| (group.first_mut..).zip(&group.ops).map(|(number, _)| number))
        .collect()
}

fn refused_by(result: OpResult, why: Refusal) -> OpResult {
    OpResult {
        st: Outcome::Rejected,
        why: Some(why),
        ..result
    }
}

#[test]
fn groups_come_in_order_within_limits_and_again_until_acknowledged() {
    let clinic = Clinic::new();
    let store = clinic.office();
    for n in 1..=5 {
        clinic.client(&store, n, "Archer", &format!("Ann {n}"));
    }
    assert_eq!(numbers(&store.next_groups(2, 1 << 20).unwrap()), [1, 2]);
    assert_eq!(
        numbers(&store.next_groups(500, 1).unwrap()),
        [1],
        "at least one, however small the limit"
    );
    assert_eq!(numbers(&groups(&store)), [1, 2, 3, 4, 5]);
    let state = store.sync_state().unwrap();
    assert_eq!((state.next_mut, state.last_op, state.cursor), (6, None, None));
    let sent = groups(&store);
    let answer = store.acknowledge(&results(&sent[..2], 1), "e1", Millis(1)).unwrap();
    assert_eq!(answer.changed.len(), 2);
    assert_eq!((waiting(&store), numbers(&groups(&store))), (3, vec![3, 4, 5]));
    let state = store.sync_state().unwrap();
    assert_eq!((state.last_op.unwrap().number, state.epoch.as_deref()), (2, Some("e1")));
}

#[test]
fn an_acknowledged_change_stays_visible_until_the_pull_brings_it_and_then_costs_nothing() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    shared(&store, &key, 1, 1);
    let before = get(&store, &key).unwrap().doc;
    clinic.patch(&store, &key, json!({"phone": {"raw": "1"}})).unwrap();
    assert_eq!(store.read(|reads| reads.base(&key)).unwrap().unwrap().doc, before);
    let sent = groups(&store);
    store.acknowledge(&results(&sent, 5), "e1", Millis(1)).unwrap();
    let shown = get(&store, &key).unwrap();
    assert!(!shown.pending && shown.doc.text("phone", "raw") == Some("1"));
    // A page that does not reach it yet, of another entity.
    let other = key_of("client", 0xC009);
    let document = doc(json!({"salt": "0".repeat(32), "name": {"family": "B"}, "status": {"state": "active"}}));
    store.apply_page(&[wire(&other, 1, 3, document)], &cursor(3)).unwrap();
    assert_eq!(
        get(&store, &key).unwrap().doc.text("phone", "raw"),
        Some("1"),
        "no flicker"
    );
    store
        .apply_page(&[wire(&key, 2, 5, shown.doc.clone())], &cursor(5))
        .unwrap();
    let settled = get(&store, &key).unwrap();
    assert_eq!(
        (settled.rev, settled.doc, settled.pending),
        (2, shown.doc.clone(), false)
    );
    assert_eq!(store.read(|reads| reads.base(&key)).unwrap().unwrap().doc, shown.doc);
}

/// The position may be of a history that the service has lost, and then its numbers say nothing about the one of the answer.
#[test]
fn an_acknowledged_change_stays_visible_until_a_pull_even_where_the_position_lies_behind_it() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    shared(&store, &key, 1, 1);
    store.apply_page(&[], &cursor(9)).unwrap();
    clinic.patch(&store, &key, json!({"phone": {"raw": "1"}})).unwrap();
    store
        .acknowledge(&results(&groups(&store), 5), "e1", Millis(1))
        .unwrap();
    let shown = || {
        let entity = get(&store, &key).unwrap();
        entity.doc.text("phone", "raw").map(str::to_owned)
    };
    assert_eq!((waiting(&store), shown().as_deref()), (0, Some("1")));
    // Nothing new there: now the position is one of that history, and the row was before it.
    assert_eq!(store.release_acknowledged().unwrap(), std::slice::from_ref(&key));
    assert_eq!(shown(), None);
    assert!(store.release_acknowledged().unwrap().is_empty());
}

#[test]
fn answers_are_matched_by_operation_and_not_by_number() {
    let clinic = Clinic::new();
    let store = clinic.office();
    clinic.client(&store, 1, "Archer", "Ann");
    let sent = groups(&store);
    let stranger = crate::fixture::result(1, caseload_domain::OpId::new(uuid(0xFFFF)), 1);
    store.acknowledge(&[stranger], "e1", Millis(1)).unwrap();
    assert_eq!((waiting(&store), groups(&store)), (1, sent));
    assert_eq!(store.sync_state().unwrap().last_op, None);
}

#[test]
fn a_refused_group_is_kept_with_its_reason_and_no_longer_shown_as_done() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (one, two) = (key_of("client", 0xC001), key_of("client", 0xC002));
    let client = || doc(json!({"name": {"family": "A"}, "status": {"state": "active"}}));
    clinic
        .write(&store, |tx| {
            tx.create(&one, client())?;
            tx.create(&two, client())
        })
        .unwrap();
    let good = clinic.client(&store, 3, "C", "C");
    let sent = groups(&store);
    let answers = results(&sent, 1);
    let answers = [
        refused_by(answers[0].clone(), Refusal::Group),
        refused_by(answers[1].clone(), Refusal::Forbidden),
        answers[2].clone(),
    ];
    let answer = store.acknowledge(&answers, "e1", Millis(7)).unwrap();
    assert_eq!((answer.refused, answer.held), (2, 0));
    assert!(get(&store, &one).is_none() && get(&store, &two).is_none() && get(&store, &good).is_some());
    let refused = store.read(|reads| reads.refused()).unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].why, refused[0].at, refused[0].ops.len()),
        (RefusedWhy::Service(Refusal::Forbidden), Millis(7), 2)
    );
    assert_eq!(waiting(&store), 0, "one bad group never delays the others");

    let grp = refused[0].grp;
    clinic.write(&store, |tx| tx.retry(grp)).unwrap();
    assert!(get(&store, &one).is_some() && store.read(|reads| reads.refused()).unwrap().is_empty());
    let again = groups(&store);
    assert_eq!((numbers(&again), again[0].grp == grp), (vec![4, 5], false));
    assert_ne!(
        again[0].ops[0].op_id, sent[0].ops[0].op_id,
        "an answered id is answered the same for ever"
    );
}

#[test]
fn a_repeated_refusal_is_a_refusal_and_a_refused_change_shows_the_services_value_again() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    shared(&store, &key, 1, 1);
    clinic.patch(&store, &key, json!({"phone": {"raw": "1"}})).unwrap();
    let sent = groups(&store);
    let answer = OpResult {
        st: Outcome::Duplicate,
        why: Some(Refusal::Forbidden),
        ..results(&sent, 1)[0].clone()
    };
    store.acknowledge(&[answer], "e1", Millis(1)).unwrap();
    assert_eq!(get(&store, &key).unwrap().doc.unit("phone"), None);
    let grp = store.read(|reads| reads.refused()).unwrap()[0].grp;
    clinic.write(&store, |tx| tx.discard(grp)).unwrap();
    assert!(store.read(|reads| reads.refused()).unwrap().is_empty());
}

#[test]
fn a_refused_change_that_is_tried_again_has_still_seen_only_what_it_had_seen() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    shared(&store, &key, 1, 1);
    clinic.patch(&store, &key, json!({"phone": {"raw": "1"}})).unwrap();
    let sent = groups(&store);
    assert_eq!(sent[0].ops[0].base_rev, 1);
    let answer = refused_by(results(&sent, 2)[0].clone(), Refusal::Forbidden);
    store.acknowledge(&[answer], "e1", Millis(1)).unwrap();
    // Somebody else writes in the same place, and then this person beside it.
    let mut theirs = get(&store, &key).unwrap().doc;
    theirs.set("phone", json!({"raw": "2"}));
    store.apply_page(&[wire(&key, 2, 5, theirs)], &cursor(5)).unwrap();
    clinic
        .patch(&store, &key, json!({"address": {"city": "Busan"}}))
        .unwrap();
    let grp = store.read(|reads| reads.refused()).unwrap()[0].grp;
    clinic.write(&store, |tx| tx.retry(grp)).unwrap();
    clinic.patch(&store, &key, json!({"phone": {"raw": "3"}})).unwrap();
    let bases: Vec<_> = groups(&store)
        .iter()
        .flat_map(|group| &group.ops)
        .map(|op| (op.units.contains_key("phone"), op.base_rev))
        .collect();
    assert_eq!(
        bases,
        [(false, 2), (true, 1), (true, 1)],
        "nobody here saw the other's number in the place where hers is shown"
    );
}

#[test]
fn what_was_written_with_a_creation_stays_in_sight_when_somebody_else_created_the_same() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("client", 7);
    let mine = doc(json!({"name": {"family": "Archer"}, "status": {"state": "active"}, "phone": {"raw": "mine"}}));
    clinic.write(&store, |tx| tx.create(&key, mine)).unwrap();
    let theirs = doc(json!({"salt": "0".repeat(32), "name": {"family": "Bow"}, "status": {"state": "active"}}));
    store.apply_page(&[wire(&key, 1, 1, theirs)], &cursor(1)).unwrap();
    let shown = get(&store, &key).unwrap().doc;
    assert_eq!(
        (shown.text("phone", "raw"), shown.text("name", "family")),
        (Some("mine"), Some("Bow")),
        "what is there already stays until the service has decided"
    );
    // Written by somebody who sees theirs as far as it has come.
    clinic.patch(&store, &key, json!({"phone": {"raw": "later"}})).unwrap();
    let groups = groups(&store);
    let ops: Vec<_> = groups.iter().flat_map(|group| &group.ops).collect();
    let bases: Vec<_> = ops.iter().map(|op| (op.kind, op.base_rev)).collect();
    assert_eq!(bases, [(OpKind::Create, 0), (OpKind::Patch, 1)]);
    assert_eq!(get(&store, &key).unwrap().doc.text("phone", "raw"), Some("later"));
}

#[test]
fn a_change_that_needs_a_newer_service_is_held_and_still_shown() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    let sent = groups(&store);
    let answer = OpResult {
        st: Outcome::Upgrade,
        why: Some(Refusal::UnknownKind),
        ..results(&sent, 1)[0].clone()
    };
    let done = store.acknowledge(&[answer], "e1", Millis(1)).unwrap();
    assert_eq!((done.held, waiting(&store), groups(&store).len()), (1, 0, 0));
    assert!(get(&store, &key).unwrap().pending);
    let held = store.read(|reads| reads.refused()).unwrap();
    assert_eq!(held[0].why, RefusedWhy::Held);
    clinic.write(&store, |tx| tx.retry(held[0].grp)).unwrap();
    assert_eq!(
        (numbers(&groups(&store)), get(&store, &key).unwrap().pending),
        (vec![2], true)
    );
}

#[test]
fn an_older_row_never_replaces_a_newer_one_in_a_pull_but_does_in_a_snapshot() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("client", 0xC001);
    let named =
        |family: &str| doc(json!({"salt": "0".repeat(32), "name": {"family": family}, "status": {"state": "active"}}));
    store.apply_page(&[wire(&key, 3, 9, named("new"))], &cursor(9)).unwrap();
    assert!(
        store
            .apply_page(&[wire(&key, 2, 8, named("old"))], &cursor(10))
            .unwrap()
            .is_empty()
    );
    assert_eq!(get(&store, &key).unwrap().doc.text("name", "family"), Some("new"));
    store.begin_comparison().unwrap();
    assert_eq!(store.sync_state().unwrap().cursor, None);
    snapshot(&store, &[wire(&key, 2, 8, named("restored"))], &cursor(8), true).unwrap();
    assert_eq!(
        get(&store, &key).unwrap().rev,
        2,
        "a restored service counts from an earlier revision"
    );
}

#[test]
fn a_finished_snapshot_removes_what_the_service_does_not_have_and_keeps_what_waits() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let named = |n: u128| {
        (
            key_of("client", n),
            doc(json!({"salt": "0".repeat(32), "name": {"family": "A"}, "status": {"state": "active"}})),
        )
    };
    let rows: Vec<_> = (1..=10)
        .map(named)
        .map(|(key, document)| wire(&key, 1, key.id.uuid().as_u128() as i64, document))
        .collect();
    store.apply_page(&rows, &cursor(10)).unwrap();
    let own = clinic.client(&store, 50, "Own", "Own");
    let gone = key_of("client", 1);
    clinic.patch(&store, &gone, json!({"phone": {"raw": "1"}})).unwrap();
    let all = |store: &Store, rows: &[WireRow]| snapshot(store, rows, &cursor(10), true);
    assert_eq!(all(&store, &rows[1..]).unwrap(), std::slice::from_ref(&gone));
    assert!(get(&store, &gone).is_none() && get(&store, &own).is_some());
    assert_eq!(
        (waiting(&store), store.sync_state().unwrap().scopes),
        (2, vec![Scope::Office])
    );
    let stopped = all(&store, &rows[1..4]);
    assert!(
        matches!(stopped, Err(ApplyError::TooManyRemovals { gone: 6, of: 9 })),
        "{stopped:?}"
    );
    assert!(get(&store, &rows[9].key).is_some(), "nothing of it was done");
    store.begin_comparison().unwrap();
    assert_eq!(all(&store, &rows[1..4]).unwrap().len(), 6, "they are offered back");
    store.set_cursor(&cursor(11)).unwrap();
    assert_eq!(store.sync_state().unwrap().cursor, Some(cursor(11)));
}

#[test]
fn a_position_names_the_newest_state_of_which_rows_are_held() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let newest = || store.sync_state().unwrap().cursor.map(|cursor| cursor.newest().seq);
    let read = |seq| snapshot(&store, &[], &cursor(seq), true).unwrap();
    read(9);
    assert_eq!(newest(), None, "without a position everything is compared anyway");
    store.apply_page(&[], &cursor(4)).unwrap();
    for (seq, expected) in [(9, 9), (7, 9), (11, 11)] {
        read(seq);
        assert_eq!(newest(), Some(expected));
    }
    assert_eq!(store.sync_state().unwrap().cursor.unwrap().seq, 4);
    store.apply_page(&[], &cursor(12)).unwrap();
    assert_eq!(newest(), Some(12));
}

#[test]
fn leaving_a_scope_erases_its_rows_and_keeps_unsent_work_as_refused() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let theirs = |n: u128, client: u128| {
        let document =
            doc(json!({"salt": "0".repeat(32), "subject": {"client": client_id(client)}, "history": {"text": "h"}}));
        wire(&key_of("client_chart", n), 1, i64::try_from(n).unwrap(), document)
    };
    store.apply_page(&[theirs(1, 1), theirs(2, 2)], &cursor(2)).unwrap();
    let (left, kept) = (key_of("client_chart", 1), key_of("client_chart", 2));
    clinic
        .patch(&store, &kept, json!({"history": {"text": "first"}}))
        .unwrap();
    let sent = groups(&store);
    clinic
        .patch(&store, &left, json!({"history": {"text": "mine"}}))
        .unwrap();
    clinic
        .patch(&store, &kept, json!({"safety_plan": {"text": "later"}}))
        .unwrap();
    let erased = store.leave_scope(Scope::Clinical(client_id(1)), Millis(3)).unwrap();
    assert_eq!(erased, std::slice::from_ref(&left));
    assert!(get(&store, &left).is_none());
    let refused = store.read(|reads| reads.refused()).unwrap();
    assert_eq!((refused.len(), refused[0].why), (1, RefusedWhy::ScopeLeft));
    let all = groups(&store);
    assert_eq!(numbers(&all), [1, 2], "no gap where the group was");
    assert_eq!(all[0], sent[0]);
    for group in &all {
        let signature: Signature = serde_json::from_value(json!(group.sig)).unwrap();
        clinic
            .signing
            .public()
            .verify(&group.signing_bytes(PRACTICE).unwrap(), &signature)
            .unwrap();
    }
    assert_eq!(store.sync_state().unwrap().next_mut, 3);
}

#[test]
fn what_was_sent_before_its_scope_was_left_does_not_bring_the_row_back() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let note = clinic.draft(&store, 1, "text");
    let sent = groups(&store);
    store.leave_scope(Scope::Clinical(client_id(1)), Millis(3)).unwrap();
    store.acknowledge(&results(&sent, 4), "e1", Millis(4)).unwrap();
    assert!(get(&store, &note).is_none());
    store.apply_page(&[], &cursor(4)).unwrap();
    assert!(get(&store, &note).is_none() && groups(&store).is_empty());
}

#[test]
fn rows_of_a_foreign_scope_are_refused_and_nothing_of_their_page_is_kept() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let office = doc(json!({"salt": "0".repeat(32), "name": {"family": "A"}, "status": {"state": "active"}}));
    let clinical = doc(json!({"salt": "0".repeat(32), "subject": {"client": client_id(1)}}));
    let page = [
        wire(&key_of("client", 1), 1, 1, office),
        wire(&key_of("client_chart", 1), 1, 2, clinical),
    ];
    assert!(matches!(
        store.apply_page(&page, &cursor(2)),
        Err(ApplyError::ForeignScope)
    ));
    assert!(get(&store, &key_of("client", 1)).is_none() && store.sync_state().unwrap().cursor.is_none());
    let float = doc(json!({"salt": "0".repeat(32), "future": 1.5}));
    let page = [wire(&key_of("alien", 1), 1, 1, float)];
    assert!(matches!(
        store.apply_page(&page, &cursor(2)),
        Err(ApplyError::NotCanonical)
    ));
}

#[test]
fn a_new_registration_renumbers_and_keeps_ids_bases_origins_and_signatures() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let shared_one = clinic.client(&store, 1, "Archer", "Ann");
    shared(&store, &shared_one, 1, 1);
    let waits = clinic.client(&store, 2, "Baker", "Bob");
    clinic
        .patch(&store, &shared_one, json!({"phone": {"raw": "1"}}))
        .unwrap();
    let before = groups(&store);
    assert_eq!(numbers(&before), [2, 3]);
    let replica = ReplicaId::new(uuid(0x99));
    store.reregister(replica, 7).unwrap();
    let after = groups(&store);
    assert_eq!(numbers(&after), [1, 2]);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(
            &Group {
                first_mut: old.first_mut,
                ..new.clone()
            },
            old
        );
    }
    let state = store.sync_state().unwrap();
    assert_eq!(
        (state.replica, state.replica_number, state.next_mut, state.last_op),
        (replica, 7, 3, None)
    );
    clinic.patch(&store, &waits, json!({"phone": {"raw": "2"}})).unwrap();
    let newest = groups(&store).pop().unwrap();
    assert_eq!((newest.origin, newest.origin_mut, newest.first_mut), (replica, 3, 3));
}

#[test]
fn an_acknowledged_change_stays_visible_while_its_row_was_changed_again_and_comes_with_a_later_page() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let client = clinic.client(&store, 1, "Archer", "Ann");
    shared(&store, &client, 1, 1);
    clinic
        .patch(&store, &client, json!({"phone": {"raw": "mine"}}))
        .unwrap();
    store
        .acknowledge(&results(&groups(&store), 5), "e1", Millis(1))
        .unwrap();
    // Somebody else has changed the row since: it lies behind this page, although the page goes beyond the acknowledged number.
    store.apply_part(&[], &cursor(7)).unwrap();
    let shown = get(&store, &client).unwrap();
    assert_eq!(shown.doc.text("phone", "raw"), Some("mine"));
    let mut theirs = shown.doc.clone();
    theirs.set("email", json!({"value": "theirs"}));
    store
        .apply_page(&[wire(&client, 3, 9, theirs.clone())], &cursor(9))
        .unwrap();
    assert_eq!(get(&store, &client).unwrap().doc, theirs);
}

#[test]
fn a_new_registration_sends_what_was_acknowledged_but_not_pulled_again_because_the_service_may_have_lost_it() {
    let clinic = Clinic::new();
    let store = clinic.office();
    clinic.client(&store, 1, "Archer", "Ann");
    let sent = groups(&store);
    store.acknowledge(&results(&sent, 5), "e1", Millis(1)).unwrap();
    assert!(groups(&store).is_empty());
    store.reregister(ReplicaId::new(uuid(0x99)), 7).unwrap();
    assert_eq!(groups(&store), sent);
}

#[test]
fn what_was_acknowledged_but_not_pulled_is_sent_again_to_a_restored_service() {
    let clinic = Clinic::new();
    let store = clinic.office();
    clinic
        .write(&store, |tx| {
            let client = || doc(json!({"name": {"family": "A"}, "status": {"state": "active"}}));
            tx.create(&key_of("client", 1), client())?;
            tx.create(&key_of("client", 2), client())
        })
        .unwrap();
    let sent = groups(&store);
    store.acknowledge(&results(&sent, 5), "e1", Millis(1)).unwrap();
    // The pull brings the first of two operations; the group stays whole, or its signature would not verify.
    let row = get(&store, &key_of("client", 1)).unwrap();
    store.apply_page(&[wire(&row.key, 1, 5, row.doc)], &cursor(5)).unwrap();
    assert!(groups(&store).is_empty());
    store.begin_comparison().unwrap();
    assert_eq!(groups(&store), sent);
}

#[test]
fn sums_are_over_the_services_versions_and_one_altered_byte_shows() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let rows: Vec<_> = (1..=20)
        .map(|n| {
            let document = doc(
                json!({"salt": format!("{n:032}"), "name": {"family": format!("A{n}")}, "status": {"state": "active"}}),
            );
            wire(&key_of("client", n), 1, i64::try_from(n).unwrap(), document)
        })
        .collect();
    store.apply_page(&rows, &cursor(20)).unwrap();
    let mut expected = Sums::default();
    for row in &rows {
        expected.add(
            &row.key,
            &caseload_protocol::checksum::leaf(&row.key, row.rev, row.del, &row.doc).unwrap(),
        );
    }
    let sums = |store: &Store| store.read(|reads| reads.sums(&[Scope::Office])).unwrap();
    assert_eq!(sums(&store), expected);
    clinic
        .patch(&store, &rows[0].key, json!({"phone": {"raw": "1"}}))
        .unwrap();
    clinic.client(&store, 99, "Own", "Own");
    assert_eq!(sums(&store), expected, "what waits here is not part of it");
    assert_eq!(
        store
            .read(|reads| reads.sums(&[Scope::Clinical(client_id(1))]))
            .unwrap(),
        Sums::default()
    );
    let bucket = BucketName {
        t: "client".into(),
        bucket: caseload_protocol::checksum::bucket(rows[3].key.id),
    };
    let manifest = store.read(|reads| reads.manifest(&[Scope::Office], &bucket)).unwrap();
    assert!(manifest.iter().any(|entry| entry.id == rows[3].key.id));
    store.close().unwrap();

    let path = clinic.path(FileKind::Office);
    let connection = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    connection
        .execute_batch(&format!("PRAGMA key = \"{}\"", *clinic.key.sqlcipher_text()))
        .unwrap();
    connection
        .execute_batch("UPDATE doc SET doc = replace(doc, 'A4', 'A5') WHERE seq = 4")
        .unwrap();
    drop(connection);
    let store = clinic.open(FileKind::Office);
    assert_eq!(sums(&store).differing(&expected), [bucket]);
    store.repair(&rows[3..4], &[]).unwrap();
    assert_eq!(sums(&store), expected);
    assert_eq!(waiting(&store), 2, "a repair leaves the outbox alone");
}

#[test]
fn conflicts_and_clashes_are_found_until_they_are_settled() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let client = clinic.client(&store, 1, "Archer", "Ann");
    let conflict = key_of("conflict", 7);
    let record = doc(json!({
        "salt": "0".repeat(32), "about": {"type": "client", "id": client.id, "unit": "phone", "reason": "same_unit"},
        "current": {"value": {"raw": "1"}}, "other": {"value": {"raw": "2"}}, "state": {"state": "open"},
    }));
    let clash = key_of("clash", 8);
    let pair = doc(
        json!({"salt": "0".repeat(32), "pair": {"placed": uuid(1), "contested": uuid(2)}, "state": {"state": "freed"}}),
    );
    store
        .apply_page(&[wire(&conflict, 1, 1, record), wire(&clash, 1, 2, pair)], &cursor(2))
        .unwrap();
    store
        .read(|reads| {
            assert_eq!(reads.open_conflicts()?.len(), 1);
            assert_eq!(reads.conflicts_about(&client)?.len(), 1);
            assert_eq!(reads.open_clashes()?.len(), 1);
            assert_eq!(reads.clashes_of(key_of("appointment", 2).id)?.len(), 1);
            assert!(reads.clashes_of(key_of("appointment", 3).id)?.is_empty());
            Ok::<_, caseload_store::StorageError>(())
        })
        .unwrap();
    clinic.write(&store, |tx| tx.settle(&conflict, json!("b"))).unwrap();
    assert!(store.read(|reads| reads.open_conflicts()).unwrap().is_empty());
    let op = groups(&store).pop().unwrap().ops.remove(0);
    assert_eq!(
        (op.kind, op.base_rev, op.units["choice"].clone()),
        (OpKind::Settle, 1, json!("b"))
    );
}

#[test]
fn a_snapshot_that_was_cut_goes_on_where_it_was_and_the_feed_from_before_its_first_page() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let rows: Vec<_> = (1..=9)
        .map(|n| {
            let document = json!({"salt": "0".repeat(32), "name": {"family": "A"}, "status": {"state": "active"}});
            wire(&key_of("client", n), 1, n as i64, doc(document))
        })
        .collect();
    store.apply_page(&rows, &cursor(9)).unwrap();
    store.begin_comparison().unwrap();
    assert_eq!(store.snapshots().unwrap(), None);
    // The service does not have the second row any more.
    let first = [rows[0].clone(), rows[2].clone(), rows[3].clone()];
    snapshot(&store, &first, &cursor(20), false).unwrap();
    assert!(get(&store, &rows[1].key).is_some(), "removed at the end only");
    drop(store);

    let store = clinic.open(FileKind::Office);
    let series = store.snapshots().unwrap().unwrap();
    assert_eq!((series.start, series.done.len()), (cursor(20), 0));
    assert_eq!(series.begun, Some((Scope::Office, rows[3].key.clone())));
    let changed = snapshot(&store, &rows[4..], &cursor(25), true).unwrap();
    assert_eq!(changed, std::slice::from_ref(&rows[1].key));
    let series = store.snapshots().unwrap().unwrap();
    assert_eq!((series.start.seq, series.newest.seq), (20, 25));
    assert_eq!((series.done, series.begun), (vec![Scope::Office], None));
    store.set_cursor(&series.start).unwrap();
    assert_eq!(store.snapshots().unwrap(), None);
    snapshot(&store, &rows[..1], &cursor(30), false).unwrap();
    store.begin_comparison().unwrap();
    assert_eq!(store.snapshots().unwrap(), None, "another position, another series");
}

#[test]
fn settings_stay_in_the_file() {
    let clinic = Clinic::new();
    let store = clinic.office();
    store
        .set_setting("service.address", Some("https://clinic.example"))
        .unwrap();
    drop(store);
    let store = clinic.open(FileKind::Office);
    assert_eq!(
        store.setting("service.address").unwrap().as_deref(),
        Some("https://clinic.example")
    );
    store.set_setting("service.address", None).unwrap();
    assert_eq!(store.setting("service.address").unwrap(), None);
}

#[test]
fn what_is_written_in_sight_of_a_row_that_somebody_created_meanwhile_leaves_the_waiting_creation_as_it_was() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    let theirs = json!({"salt": "0".repeat(32), "name": {"family": "Baker"}, "status": {"state": "active"}});
    store.apply_page(&[wire(&key, 1, 1, doc(theirs))], &cursor(1)).unwrap();
    assert_eq!(get(&store, &key).unwrap().doc.text("name", "family"), Some("Baker"));
    let name = json!({"name": {"family": "Baker", "given": "Ann"}});
    clinic.patch(&store, &key, name).unwrap();
    let groups = store.next_groups(1_000, 1 << 24).unwrap();
    let ops: Vec<_> = groups.iter().flat_map(|group| &group.ops).collect();
    let families = [&ops[0], &ops[1]].map(|op| op.units["name"]["family"].as_str());
    assert_eq!(
        families,
        [Some("Archer"), Some("Baker")],
        "hers is kept until somebody has seen both"
    );
    assert_eq!([ops[0].base_rev, ops[1].base_rev], [0, 1]);
}
