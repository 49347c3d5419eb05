//! Search while somebody types.

use caseload_domain::EntityKey;
use caseload_store::Store;
use serde_json::json;

use crate::fixture::{Clinic, client_id, cursor, doc, get, key_of, shared, wire};

fn found(store: &Store, typed: &str) -> Vec<String> {
    let hits = store.read(|reads| reads.search_clients(typed, 10)).unwrap();
    assert_eq!(hits.rows.len(), hits.total.min(10));
    hits.rows
        .iter()
        .map(|client| client.doc.text("name", "family").unwrap().to_owned())
        .collect()
}

#[test]
fn clients_are_found_in_korean_and_english_by_telephone_and_number_and_follow_every_change() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let kim = clinic.client(&store, 1, "김", "서연");
    let archer = clinic.client(&store, 2, "Archer", "Ann");
    assert_eq!(found(&store, ""), ["Archer", "김"], "by name");
    assert_eq!(found(&store, "ㄱㅅㅇ"), ["김"]);
    assert_eq!(found(&store, "ann arch"), ["Archer"]);
    clinic
        .patch(&store, &kim, json!({"phone": {"raw": "010-1234-5678"}}))
        .unwrap();
    assert_eq!(found(&store, "5678"), ["김"]);
    clinic
        .patch(&store, &archer, json!({"name": {"family": "Baker", "given": "Ann"}}))
        .unwrap();
    assert!(found(&store, "archer").is_empty());
    assert_eq!(found(&store, "baker"), ["Baker"]);
    let mut numbered = get(&store, &kim).unwrap().doc;
    shared(&store, &kim, 1, 1);
    numbered.set(
        "number",
        json!({"value": "C-0042", "former": ["C-0007"], "confirmed": true}),
    );
    store.apply_page(&[wire(&kim, 2, 2, numbered)], &cursor(2)).unwrap();
    assert_eq!(
        (found(&store, "C-0042"), found(&store, "c-0007")),
        (vec!["김".to_owned()], vec!["김".to_owned()])
    );
    assert_eq!(store.read(|reads| reads.next_client_number()).unwrap(), 43);
    clinic.write(&store, |tx| tx.void(&kim, "entered twice")).unwrap();
    assert!(found(&store, "김").is_empty(), "a void client is not found");
    clinic.write(&store, |tx| tx.restore(&kim)).unwrap();
    assert_eq!(found(&store, "김"), ["김"]);
}

#[test]
fn clients_without_care_are_those_whom_nobody_treats() {
    let clinic = Clinic::new();
    let store = clinic.office();
    clinic.client(&store, 1, "Archer", "Ann");
    clinic.client(&store, 2, "Baker", "Bob");
    let care = EntityKey::new(
        "care_relationship",
        caseload_domain::entities::care_relationship_id(client_id(1), clinic.user),
    );
    let document =
        doc(json!({"parties": {"client": client_id(1), "therapist": clinic.user}, "status": {"state": "active"}}));
    clinic.write(&store, |tx| tx.create(&care, document)).unwrap();
    let without = |store: &Store| store.read(|reads| reads.clients_without_care()).unwrap().len();
    assert_eq!(without(&store), 1);
    assert_eq!(store.read(|reads| reads.care_of_client(client_id(1))).unwrap().len(), 1);
    assert_eq!(
        store.read(|reads| reads.care_of_therapist(clinic.user)).unwrap().len(),
        1
    );
    clinic
        .patch(&store, &care, json!({"status": {"state": "ended"}}))
        .unwrap();
    assert_eq!(without(&store), 2);
}

fn notes(store: &Store, typed: &str) -> Vec<u128> {
    let hits = store.read(|reads| reads.search_notes(typed, 20)).unwrap();
    hits.iter().map(|hit| hit.note.id.uuid().as_u128()).collect()
}

#[test]
fn notes_are_found_by_words_half_typed_words_and_korean_inside_compounds() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let first = clinic.draft(&store, 1, "Sleeps badly, panic attacks at night. Café.");
    clinic.draft(&store, 2, "수면불안장애가 계속됨. 약 복용");
    clinic.draft(&store, 3, "panic is gone");
    for (typed, expected) in [
        ("panic", vec![3, 1]),
        ("panic att", vec![1]),
        ("cafe", vec![1]),
        ("NIGHT", vec![1]),
        ("불안장애", vec![2]),
        ("수면", vec![2]),
        ("장애", vec![2]),
        ("약", vec![2]),
        ("오후", vec![]),
        ("\"*", vec![]),
    ] {
        assert_eq!(notes(&store, typed), expected, "{typed}");
    }
    let addendum = key_of("addendum", 9);
    let text = doc(json!({
        "subject": {"client": client_id(1), "note": first.id, "author": clinic.user},
        "body": {"text": "Dosage corrected"}, "signature": {"author": clinic.user, "hash": "h", "value": "v"},
    }));
    clinic.write(&store, |tx| tx.create(&addendum, text)).unwrap();
    assert_eq!(notes(&store, "dosage"), [1], "an addendum leads to its note");
    clinic.draft(&store, 4, "panicked yesterday");
    assert_eq!(
        notes(&store, "panic"),
        [3, 1, 4],
        "whole words come before words that go on"
    );
    let hits = store.read(|reads| reads.search_notes("attacks", 1)).unwrap();
    assert_eq!(
        (hits[0].client, hits[0].snippet.as_str()),
        (client_id(1), "Sleeps badly, panic attacks at night. Café.")
    );
}

#[test]
fn the_index_follows_edits_voids_pulls_and_survives_reopening() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let note = clinic.draft(&store, 1, "alpha beta");
    for n in 0..50 {
        clinic
            .patch(
                &store,
                &note,
                json!({"body": {"sections": {"subjective": format!("gamma word{n}")}}}),
            )
            .unwrap();
    }
    assert_eq!(
        (
            notes(&store, "alpha").len(),
            notes(&store, "word7").len(),
            notes(&store, "word49").len()
        ),
        (0, 0, 1)
    );
    clinic.write(&store, |tx| tx.void(&note, "wrong client")).unwrap();
    assert!(notes(&store, "gamma").is_empty());
    clinic.write(&store, |tx| tx.restore(&note)).unwrap();
    let sent = store.next_groups(100, 1 << 20).unwrap();
    store
        .acknowledge(&crate::fixture::results(&sent, 1), "e1", clinic.at())
        .unwrap();
    let mut theirs = get(&store, &note).unwrap().doc;
    theirs.set("body", json!({"sections": {"plan": "delta"}}));
    store.apply_page(&[wire(&note, 9, 9, theirs)], &cursor(9)).unwrap();
    drop(store);
    let store = clinic.open(clinic.clinical_kind());
    assert_eq!((notes(&store, "gamma").len(), notes(&store, "delta")), (0, vec![1]));
}

#[test]
fn an_index_of_an_older_form_is_made_anew_when_the_file_is_opened() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    clinic.draft(&store, 1, "alpha beta");
    store.close().unwrap();
    let path = clinic.path(clinic.clinical_kind());
    let connection = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    connection
        .execute_batch(&format!("PRAGMA key = \"{}\"", *clinic.key.sqlcipher_text()))
        .unwrap();
    connection
        .execute_batch(
            "UPDATE state SET value = '0' WHERE name = 'search_form'; INSERT INTO note_search (note_search) VALUES ('delete-all');",
        )
        .unwrap();
    drop(connection);
    assert_eq!(notes(&clinic.open(clinic.clinical_kind()), "alpha"), [1]);
}

#[test]
fn a_word_that_was_deleted_is_not_left_in_the_index_pages() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let note = clinic.draft(&store, 1, "zebracanary");
    clinic
        .patch(&store, &note, json!({"body": {"sections": {"subjective": "nothing"}}}))
        .unwrap();
    store.close().unwrap();
    let path = clinic.path(clinic.clinical_kind());
    let connection = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    connection
        .execute_batch(&format!("PRAGMA key = \"{}\"", *clinic.key.sqlcipher_text()))
        .unwrap();
    let left: i64 = connection
        .query_row(
            "SELECT count(*) FROM note_search_data WHERE instr(block, CAST('zebracanary' AS BLOB)) > 0",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(left, 0);
}
