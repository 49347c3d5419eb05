//! The one door: what it keeps, what it refuses, and what becomes one operation.

use caseload_domain::appointments::occupation;
use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, Problem, Role};
use caseload_protocol::messages::{Group, OpKind};
use caseload_store::{Action, FileKind, Store, WriteError};
use caseload_vault::Signature;
use serde_json::{Value, json};

use crate::fixture::{
    Clinic, PRACTICE, REPLICA, client_id, cursor, doc, get, key_of, results, shared, units, uuid, waiting, wire,
};

fn appointment(clinic: &Clinic, start: i64, client: u128) -> caseload_domain::Document {
    doc(json!({
        "when": {"start": start, "end": start + 3_000_000, "zone": "Asia/Seoul", "therapist": clinic.user},
        "participants": {"p": {"client": client_id(client)}},
        "status": {"state": "scheduled"},
    }))
}

fn groups(store: &Store) -> Vec<Group> {
    store.next_groups(1000, 1 << 24).unwrap()
}

#[test]
fn one_change_is_a_document_a_signed_group_and_an_audit_entry() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    let entity = get(&store, &key).unwrap();
    assert!(entity.pending && entity.rev == 0 && entity.doc.unit("salt").unwrap().as_str().unwrap().len() == 32);
    let sent = groups(&store);
    assert_eq!(sent.len(), 1);
    let group = &sent[0];
    assert_eq!(
        (group.actor, group.origin, group.first_mut, group.origin_mut),
        (clinic.user, REPLICA, 1, 1)
    );
    assert_eq!(
        (group.ops[0].kind, &group.ops[0].units),
        (OpKind::Create, entity.doc.units())
    );
    let signature: Signature = serde_json::from_value(json!(group.sig)).unwrap();
    clinic
        .signing
        .public()
        .verify(&group.signing_bytes(PRACTICE).unwrap(), &signature)
        .unwrap();
    assert_eq!(store.head().unwrap().sequence, 1);
    assert_eq!(store.verify_audit().unwrap().first_bad, None);
}

#[test]
fn an_error_in_the_closure_leaves_nothing() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let head = store.head().unwrap();
    let key = key_of("client", 0xC001);
    let answer = clinic.write(&store, |tx| {
        tx.create(
            &key,
            doc(json!({"name": {"family": "A"}, "status": {"state": "active"}})),
        )?;
        tx.patch_unit(&key_of("client", 0xC002), "phone", json!({"raw": "1"}))
    });
    assert!(matches!(answer, Err(WriteError::Missing)));
    assert!(get(&store, &key).is_none());
    assert_eq!((waiting(&store), store.head().unwrap()), (0, head));
}

#[test]
fn a_change_that_changes_nothing_is_not_an_operation() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    let head = store.head().unwrap();
    let done = clinic
        .patch(
            &store,
            &key,
            json!({"name": {"family": "Archer", "given": "Ann"}, "phone": null}),
        )
        .unwrap();
    assert!(done.changed.is_empty());
    assert_eq!((waiting(&store), store.head().unwrap()), (1, head));
}

#[test]
fn what_the_service_would_refuse_is_refused_at_once() {
    let clinic = Clinic::new();
    let (office, clinical) = (clinic.office(), clinic.clinical());
    let client = clinic.client(&office, 1, "Archer", "Ann");
    let note = clinic.draft(&clinical, 1, "text");
    let signature = json!({"author": clinic.user, "hash": "h", "value": "v"});
    clinic
        .patch(
            &clinical,
            &note,
            json!({"state": {"state": "signed"}, "signature": signature}),
        )
        .unwrap();

    let refusal = |store: &Store, key: &EntityKey, value: Value| clinic.patch(store, key, value).map(drop).unwrap_err();
    let invalid = refusal(&office, &client, json!({"name": {"family": " "}}));
    assert!(
        matches!(&invalid, WriteError::Invalid(fields) if fields[0].problem == Problem::Required),
        "{invalid:?}"
    );
    assert!(matches!(
        refusal(&office, &client, json!({"number": {"value": "C-1"}})),
        WriteError::ServiceUnit { .. }
    ));
    assert!(matches!(
        refusal(&office, &client, json!({"salt": "00"})),
        WriteError::Immutable { .. }
    ));
    assert!(matches!(
        refusal(&office, &client, json!({"tags": {}})),
        WriteError::NotASet { .. }
    ));
    assert!(matches!(
        refusal(&office, &client, json!({"status": {"state": "gone"}})),
        WriteError::NotAllowedNow { .. }
    ));
    assert!(matches!(
        refusal(&office, &client, json!({"future": 1.5})),
        WriteError::Invalid(_)
    ));
    assert!(matches!(
        refusal(&office, &client, json!({"future": "x".repeat(300_000)})),
        WriteError::TooLarge
    ));
    assert!(matches!(
        refusal(&clinical, &note, json!({"body": {"sections": {}}})),
        WriteError::Frozen { .. }
    ));
    assert!(matches!(
        clinic.write(&clinical, |tx| tx.void(&note, "why")),
        Err(WriteError::Frozen { .. })
    ));
    assert!(matches!(
        clinic.write(&office, |tx| tx.void(&client, " ")),
        Err(WriteError::ReasonRequired)
    ));
    assert!(matches!(
        clinic.write(&office, |tx| tx.add_element(&client, "name", "a", json!(1))),
        Err(WriteError::NotASet { .. })
    ));
    let clash = key_of("clash", 5);
    assert!(matches!(
        clinic.write(&office, |tx| tx.create(&clash, doc(json!({})))),
        Err(WriteError::ServiceUnit { .. })
    ));
    let alien = key_of("alien", 5);
    assert!(matches!(
        clinic.write(&office, |tx| tx.create(&alien, doc(json!({})))),
        Err(WriteError::UnknownKind)
    ));
    assert!(matches!(
        clinic.write(&office, |tx| tx.override_booking(&client, "x")),
        Err(WriteError::NotAllowedNow { .. })
    ));
    clinic.write(&office, |tx| tx.void(&client, "entered twice")).unwrap();
    assert!(matches!(
        refusal(&office, &client, json!({"phone": {"raw": "1"}})),
        WriteError::Voided
    ));
    clinic.write(&office, |tx| tx.restore(&client)).unwrap();
    clinic.patch(&office, &client, json!({"phone": {"raw": "1"}})).unwrap();
}

#[test]
fn nothing_clinical_is_ever_written_into_the_office_file() {
    let clinic = Clinic::new();
    let office = clinic.office();
    let chart = key_of("client_chart", 1);
    let document = doc(json!({"subject": {"client": client_id(1)}}));
    assert!(matches!(
        clinic.write(&office, |tx| tx.create(&chart, document)),
        Err(WriteError::WrongFile)
    ));
}

#[test]
fn an_entity_written_by_a_newer_program_is_read_only() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("client", 0xC001);
    let document = doc(json!({"salt": "0".repeat(32), "name": {"family": "A"}, "status": {"state": "active"}}));
    let mut row = wire(&key, 1, 1, document);
    row.min_writer = 99;
    store.apply_page(&[row], &cursor(1)).unwrap();
    let answer = clinic.patch(&store, &key, json!({"phone": {"raw": "1"}}));
    assert!(matches!(answer, Err(WriteError::NeedsNewerProgram)));
}

#[test]
fn a_thousand_automatic_saves_of_one_note_are_one_operation() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let note = clinic.draft(&store, 1, "start");
    shared(&store, &note, 1, 1);
    for n in 0..1_000 {
        clinic
            .patch(
                &store,
                &note,
                json!({"body": {"sections": {"subjective": format!("text {n}")}}}),
            )
            .unwrap();
    }
    assert_eq!(waiting(&store), 1);
    assert_eq!(store.head().unwrap().sequence, 1_001, "every save is logged");
    let sent = groups(&store);
    assert_eq!((sent.len(), sent[0].ops.len(), sent[0].ops[0].base_rev), (1, 1, 1));
    assert_eq!(
        sent[0].ops[0].units["body"],
        json!({"sections": {"subjective": "text 999"}})
    );
    let signature: Signature = serde_json::from_value(json!(sent[0].sig)).unwrap();
    clinic
        .signing
        .public()
        .verify(&sent[0].signing_bytes(PRACTICE).unwrap(), &signature)
        .unwrap();
}

#[test]
fn a_draft_that_was_never_shared_grows_inside_its_creation() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let note = clinic.draft(&store, 1, "start");
    clinic
        .patch(
            &store,
            &note,
            json!({"body": {"sections": {"plan": "rest"}}, "template": {"kind": "dap"}}),
        )
        .unwrap();
    let sent = groups(&store);
    assert_eq!(waiting(&store), 1);
    assert_eq!(&sent[0].ops[0].units, get(&store, &note).unwrap().doc.units());
}

#[test]
fn what_was_sent_is_never_changed() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let note = clinic.draft(&store, 1, "start");
    let sent = groups(&store);
    clinic
        .patch(&store, &note, json!({"body": {"sections": {"subjective": "more"}}}))
        .unwrap();
    assert_eq!(waiting(&store), 2);
    assert_eq!(
        groups(&store)[0],
        sent[0],
        "the same bytes come again until they are acknowledged"
    );
}

#[test]
fn states_bookings_out_of_order_other_people_and_large_groups_are_not_folded() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (one, two) = (key_of("appointment", 1), key_of("appointment", 2));
    clinic
        .write(&store, |tx| tx.create(&one, appointment(&clinic, 0, 1)))
        .unwrap();
    clinic
        .write(&store, |tx| tx.create(&two, appointment(&clinic, 9_000_000, 2)))
        .unwrap();
    let _sent = groups(&store);
    let count = |expected: u64, why: &str| assert_eq!(waiting(&store), expected, "{why}");
    clinic
        .patch(&store, &one, json!({"status": {"state": "confirmed"}}))
        .unwrap();
    clinic
        .patch(&store, &one, json!({"status": {"state": "arrived"}}))
        .unwrap();
    count(4, "each step of a state is one");
    clinic.patch(&store, &one, json!({"note": {"text": "a"}})).unwrap();
    count(4, "the last group may take another unit");
    clinic
        .patch(&store, &two, json!({"status": {"state": "cancelled_by_client"}}))
        .unwrap();
    clinic.patch(&store, &one, json!({"note": {"text": "b"}})).unwrap();
    count(6, "a booking is not changed before what came in between");
    let colleague = caseload_store::Author {
        user: caseload_domain::UserId::new(uuid(77)),
        role: Role::FrontDesk,
        signing: &clinic.signing,
    };
    let action = Action {
        name: "appointment.note",
        at: Millis(5),
    };
    store
        .write(&colleague, action, |tx| {
            tx.patch(&one, units(json!({"note": {"text": "c"}})))
        })
        .map(drop)
        .map_err(|error: WriteError| error)
        .unwrap();
    count(7, "another person signs a group of her own");
}

#[test]
fn a_new_change_inherits_the_base_of_one_that_waits_and_never_gets_a_newer_one() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    shared(&store, &key, 1, 1);
    clinic.patch(&store, &key, json!({"phone": {"raw": "1"}})).unwrap();
    let sent = groups(&store);
    assert_eq!(sent[0].ops[0].base_rev, 1);
    // Somebody else changes phone and address; the person here sees the new address and her own number.
    let mut theirs = get(&store, &key).unwrap().doc;
    theirs.set("phone", json!({"raw": "999"}));
    theirs.set("address", json!({"city": "Busan"}));
    store.apply_page(&[wire(&key, 2, 2, theirs)], &cursor(2)).unwrap();
    let shown = get(&store, &key).unwrap().doc;
    assert_eq!(
        (shown.text("phone", "raw"), shown.text("address", "city")),
        (Some("1"), Some("Busan"))
    );
    clinic.patch(&store, &key, json!({"phone": {"raw": "2"}})).unwrap();
    clinic
        .patch(&store, &key, json!({"address": {"city": "Seoul"}}))
        .unwrap();
    let all = groups(&store);
    let bases: Vec<_> = all
        .iter()
        .flat_map(|group| &group.ops)
        .map(|op| (op.units.keys().next().unwrap().as_str(), op.base_rev))
        .collect();
    assert_eq!(
        bases,
        [("phone", 1), ("phone", 1), ("address", 2)],
        "the number underneath was never seen, the address was"
    );
}

#[test]
fn an_operation_that_waits_on_one_element_hides_that_element_only() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = clinic.client(&store, 1, "Archer", "Ann");
    shared(&store, &key, 1, 1);
    clinic
        .write(&store, |tx| tx.add_element(&key, "tags", "a", json!({"label": "A"})))
        .unwrap();
    let _sent = groups(&store);
    let document = get(&store, &key).unwrap().doc;
    store.apply_page(&[wire(&key, 2, 2, document)], &cursor(2)).unwrap();
    clinic
        .write(&store, |tx| tx.add_element(&key, "tags", "b", json!({"label": "B"})))
        .unwrap();
    clinic.write(&store, |tx| tx.remove_element(&key, "tags", "a")).unwrap();
    let bases: Vec<_> = groups(&store)
        .iter()
        .flat_map(|group| group.ops.clone())
        .map(|op| op.base_rev)
        .collect();
    assert_eq!(bases, [1, 2, 1]);
    assert_eq!(
        get(&store, &key).unwrap().doc.unit("tags").unwrap(),
        &json!({"b": {"label": "B"}})
    );
}

#[test]
fn changes_of_one_entity_in_one_action_are_one_operation() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("client", 0xC001);
    clinic
        .write(&store, |tx| {
            tx.create(
                &key,
                doc(json!({"name": {"family": "A"}, "status": {"state": "active"}})),
            )?;
            tx.patch_unit(&key, "phone", json!({"raw": "1"}))?;
            tx.overlay_unit(&key, "phone", json!({"e164": "+1"}))?;
            tx.add_element(&key, "tags", "t", json!({"label": "new"}))
        })
        .unwrap();
    let sent = groups(&store);
    assert_eq!(sent[0].ops.len(), 1);
    assert_eq!(sent[0].ops[0].units["phone"], json!({"raw": "1", "e164": "+1"}));
    assert_eq!(sent[0].ops[0].units["tags"], json!({"t": {"label": "new"}}));
}

#[test]
fn overlaps_are_seen_inside_the_transaction_that_books() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let (one, two) = (key_of("appointment", 1), key_of("appointment", 2));
    let first = appointment(&clinic, 10 * Millis::DAY, 1);
    clinic.write(&store, |tx| tx.create(&one, first.clone())).unwrap();
    let second = appointment(&clinic, 10 * Millis::DAY + 1_000, 2);
    let overlaps = |store: &Store| {
        let wanted = occupation(&second).unwrap();
        store
            .read(|reads| reads.overlapping(&wanted, Some(two.id)))
            .unwrap()
            .into_iter()
            .map(|found| found.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(overlaps(&store), std::slice::from_ref(&one));
    clinic
        .write(&store, |tx| {
            assert_eq!(tx.overlapping(&occupation(&second).unwrap(), None)?.len(), 1);
            tx.create(&two, second.clone())?;
            tx.override_booking(&two, "siblings")
        })
        .unwrap();
    assert_eq!(
        overlaps(&store),
        std::slice::from_ref(&one),
        "an appointment is no overlap of itself"
    );
    clinic
        .patch(&store, &one, json!({"status": {"state": "cancelled_by_client"}}))
        .unwrap();
    assert!(overlaps(&store).is_empty(), "a cancelled appointment takes no time");
    assert_eq!(
        groups(&store)[1].ops.iter().map(|op| op.kind).collect::<Vec<_>>(),
        [OpKind::Create, OpKind::Override]
    );
}

#[test]
fn the_calendar_finds_by_time_therapist_and_client() {
    let clinic = Clinic::new();
    let store = clinic.office();
    for (n, start) in [(1, 0), (2, 5_000_000), (3, 90_000_000)] {
        clinic
            .write(&store, |tx| {
                tx.create(&key_of("appointment", n), appointment(&clinic, start, n % 2))
            })
            .unwrap();
    }
    let ids = |entities: Vec<caseload_store::Entity>| {
        entities
            .iter()
            .map(|entity| entity.key.id.uuid().as_u128())
            .collect::<Vec<_>>()
    };
    store
        .read(|reads| {
            assert_eq!(
                ids(reads.appointments_between(Millis(2_999_999), Millis(5_000_001), None)?),
                [1, 2]
            );
            assert_eq!(
                ids(reads.appointments_between(Millis(3_000_000), Millis(5_000_000), None)?),
                [] as [u128; 0]
            );
            assert_eq!(
                ids(reads.appointments_between(Millis(0), Millis(100_000_000), Some(clinic.user))?),
                [1, 2, 3]
            );
            let other = caseload_domain::UserId::new(uuid(99));
            assert!(
                reads
                    .appointments_between(Millis(0), Millis(100_000_000), Some(other))?
                    .is_empty()
            );
            assert_eq!(ids(reads.appointments_of_client(client_id(1))?), [3, 1]);
            assert_eq!(
                reads
                    .next_appointment(Millis(1), Some(clinic.user))?
                    .unwrap()
                    .key
                    .id
                    .uuid()
                    .as_u128(),
                2
            );
            Ok::<_, caseload_store::StorageError>(())
        })
        .unwrap();
}

#[test]
fn the_audit_chain_covers_reads_and_never_holds_text() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let note = clinic.draft(&store, 1, "Canary text");
    let before = store.head().unwrap();
    let action = Action {
        name: "note.read",
        at: clinic.at(),
    };
    let head = store
        .record(clinic.user, Role::Therapist, action, std::slice::from_ref(&note))
        .unwrap();
    assert_eq!((head.sequence, head.database), (before.sequence + 1, before.database));
    assert_eq!(store.head().unwrap(), head);
    assert_eq!(store.verify_audit().unwrap().entries, 2);
    drop(store);
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let path = clinic.path(clinic.clinical_kind());
    let connection = rusqlite::Connection::open_with_flags(path, flags).unwrap();
    connection
        .execute_batch(&format!("PRAGMA key = \"{}\"", *clinic.key.sqlcipher_text()))
        .unwrap();
    let entries: String = connection
        .query_row("SELECT group_concat(entry) FROM audit", [], |row| row.get(0))
        .unwrap();
    assert!(entries.contains(&note.id.to_string()) && entries.contains("note.read"));
    assert!(!entries.contains("Canary"));
    connection
        .execute_batch("UPDATE audit SET entry = replace(entry, 'note.read', 'note.skim')")
        .unwrap();
    drop(connection);
    assert_eq!(
        clinic.open(clinic.clinical_kind()).verify_audit().unwrap().first_bad,
        Some(2)
    );
}

#[test]
fn unknown_members_and_types_survive_everything() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let client = key_of("client", 0xC001);
    let alien = key_of("alien", 3);
    let salt = "0".repeat(32);
    let known = doc(
        json!({"salt": salt, "name": {"family": "A", "future": [1]}, "status": {"state": "active"}, "zz": {"k": "v"}}),
    );
    let unknown = doc(json!({"salt": salt, "deep": {"er": [null, true, "\u{1}한"]}}));
    store
        .apply_page(
            &[wire(&client, 1, 1, known), wire(&alien, 1, 2, unknown.clone())],
            &cursor(2),
        )
        .unwrap();
    clinic
        .write(&store, |tx| tx.overlay_unit(&client, "name", json!({"given": "B"})))
        .unwrap();
    drop(store);
    let store = clinic.open(FileKind::Office);
    let shown = get(&store, &client).unwrap().doc;
    assert_eq!(
        shown.unit("name").unwrap(),
        &json!({"family": "A", "given": "B", "future": [1]})
    );
    assert_eq!(shown.unit("zz").unwrap(), &json!({"k": "v"}));
    assert_eq!(get(&store, &alien).unwrap().doc, unknown);
    let sent = groups(&store);
    store.acknowledge(&results(&sent, 3), "e1", Millis(1)).unwrap();
    assert_eq!(store.read(|reads| reads.list("alien")).unwrap().len(), 1);
}
