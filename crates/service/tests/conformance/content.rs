//! What is kept comes back byte-equal, and a copy of the files shows no clinical text.

use std::path::Path;

use caseload_domain::{Document, EntityKey, Scope, UserId};
use caseload_protocol::messages::{OpKind, Outcome, Refusal};
use caseload_service::storage::mongo::MongoStorage;
use caseload_service::storage::sqlite::SqliteStorage;
use caseload_service::storage::{OpenError, Storage, StorageError};
use caseload_testkit::mongod::Mongod;
use caseload_vault::SymmetricKey;
use serde_json::json;
use uuid::Uuid;

use crate::clinic::{
    Clinic, OWNER, THERAPIST, care_key, client_document, clinical, create, grant, key, new_practice, note, op, patch,
    user, uuid,
};
use crate::ground::Ground;

on_both_storages!(
    members_that_nobody_knows_come_back_byte_equal,
    a_unit_that_nobody_here_knows_conflicts_and_is_settled_like_any_other,
    care_scopes_follow_the_state_of_the_relationships,
    a_change_made_after_care_ended_was_known_is_refused_and_one_made_before_is_taken,
    a_change_of_care_is_noticed_after_every_earlier_number_and_other_changes_are_not,
    practices_do_not_see_each_other,
    rows_are_fetched_whatever_their_type,
);

async fn members_that_nobody_knows_come_back_byte_equal(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let strange = json!({
        "nested": [{"deeper": {"list": [1, -1, 0, true, false, null, "text"]}}, [], {}],
        "largest": 1_i64 << 53, "smallest": -(1_i64 << 53), "한글": "가나다 \u{10000}\u{0}\"\\/\n", "_id": "x", "date": "2026-11-21T09:00",
    });
    let mut client = client_document("Kim");
    client["future"] = strange.clone();
    clinic
        .push(&mut owner, vec![create("client", 1, &client), grant(1, OWNER)])
        .await;
    let mut text = note(1, OWNER, "text");
    text["future"] = strange.clone();
    clinic.push(&mut owner, vec![create("session_note", 5, &text)]).await;
    clinic
        .push(
            &mut owner,
            vec![patch(
                "client",
                1,
                1,
                &json!({"phone": {"raw": "010", "unknown": strange}}),
            )],
        )
        .await;

    let found = clinic.row(&key("session_note", 5)).await;
    let expected: Document = serde_json::from_value(text).unwrap();
    assert_eq!(found.doc.canonical().unwrap(), expected.canonical().unwrap());
    let mut expected: Document = serde_json::from_value(client).unwrap();
    expected.set("phone", json!({"raw": "010", "unknown": strange}));
    let found = clinic.row(&key("client", 1)).await;
    expected.set("number", found.doc.unit("number").unwrap().clone());
    assert_eq!(found.doc.canonical().unwrap(), expected.canonical().unwrap());
}

/// Two programs newer than this service change a unit that came after it, in the office's rows and in sealed ones.
async fn a_unit_that_nobody_here_knows_conflicts_and_is_settled_like_any_other(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut one = clinic.sender(800, OWNER).await;
    let mut two = clinic.sender(801, OWNER).await;
    let value = |name: &str| json!({"kept": {"name": name, "deep": [1, {"x": null}, "한글"]}});
    clinic
        .push(
            &mut one,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    clinic
        .push(&mut one, vec![create("session_note", 5, &note(1, OWNER, "text"))])
        .await;
    for (kind, number, record) in [("client", 1, "conflict"), ("session_note", 5, "clinical_conflict")] {
        let change = |name: &str, base| vec![patch(kind, number, base, &json!({"from_a_newer_program": value(name)}))];
        let first = clinic.push(&mut one, change("first", 1)).await;
        assert_eq!(first.results[0].st, Outcome::Applied, "{kind}");
        let second = clinic.push(&mut two, change("second", 1)).await;
        assert_eq!(second.results[0].st, Outcome::Conflict, "{kind}");
        let conflict = EntityKey::new(record, second.results[0].opened[0]);
        let kept = clinic.row(&conflict).await;
        assert_eq!(kept.doc.unit("current").unwrap()["value"], value("first"), "{kind}");
        assert_eq!(kept.doc.unit("other").unwrap()["value"], value("second"), "{kind}");

        // Somebody chooses the second: the value is written by a patch of its own, in the group that settles.
        let settle = op(OpKind::Settle, conflict.clone(), kept.rev, &json!({"choice": "other"}));
        let mut chosen = change("second", 2);
        chosen.push(settle);
        let settled = clinic.push(&mut one, chosen).await;
        assert!(
            settled.results.iter().all(|result| result.st == Outcome::Applied),
            "{kind}"
        );
        let row = clinic.row(&key(kind, number)).await;
        assert_eq!(row.doc.unit("from_a_newer_program"), Some(&value("second")), "{kind}");
        let record = clinic.row(&conflict).await;
        assert_eq!(record.doc.text("state", "state"), Some("settled"), "{kind}");
    }
}

async fn care_scopes_follow_the_state_of_the_relationships(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    for client in [1, 2, 3] {
        clinic
            .push(
                &mut owner,
                vec![
                    create("client", client, &client_document("Kim")),
                    grant(client, THERAPIST),
                ],
            )
            .await;
    }
    clinic.push(&mut owner, vec![grant(1, OWNER)]).await;
    let cared_for = async |person: u32| -> Vec<Uuid> {
        let clients = clinic.storage.care_scopes(clinic.practice, user(person)).await.unwrap();
        clients.into_iter().map(caseload_domain::ClientId::uuid).collect()
    };
    assert_eq!(cared_for(THERAPIST).await, [uuid(1), uuid(2), uuid(3)]);
    assert_eq!(cared_for(OWNER).await, [uuid(1)]);
    let state = |state: &str| json!({"status": {"state": state}});
    let change = |client: u32, base: i64, to: &str| {
        op(
            caseload_protocol::messages::OpKind::Patch,
            care_key(client, THERAPIST),
            base,
            &state(to),
        )
    };
    clinic
        .push(&mut owner, vec![change(2, 1, "paused"), change(3, 1, "ended")])
        .await;
    assert_eq!(
        cared_for(THERAPIST).await,
        [uuid(1), uuid(2)],
        "a paused relationship still gives access"
    );
    clinic.push(&mut owner, vec![change(3, 2, "active")]).await;
    assert_eq!(cared_for(THERAPIST).await, [uuid(1), uuid(2), uuid(3)]);
    assert!(
        clinic
            .storage
            .care_scopes(clinic.practice, UserId::new(Uuid::nil()))
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_change_made_after_care_ended_was_known_is_refused_and_one_made_before_is_taken(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let mut therapist = clinic.sender(801, THERAPIST).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, THERAPIST)],
        )
        .await;
    let ended = op(
        OpKind::Patch,
        care_key(1, THERAPIST),
        1,
        &json!({"status": {"state": "ended"}}),
    );
    let before = clinic.head_seq().await;
    clinic.push(&mut owner, vec![ended]).await;
    let after = clinic.head_seq().await;
    let cases = [
        (None, None),
        (Some(before), None),
        (Some(after), Some(Refusal::Forbidden)),
    ];
    for (number, (known, refused)) in (5..).zip(cases) {
        let group = therapist.group(vec![create("session_note", number, &note(1, THERAPIST, "rest"))]);
        therapist.known = known;
        let first = clinic.send_until_answered(&therapist, &group).await;
        assert_eq!(first.results[0].why, refused, "{known:?}");
        therapist.known = Some(after);
        let again = clinic.send_until_answered(&therapist, &group).await;
        assert_eq!(
            again.results, first.results,
            "the receipt answers, whatever is known by then"
        );
    }
}

async fn a_change_of_care_is_noticed_after_every_earlier_number_and_other_changes_are_not(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let changed_after =
        async |seq: i64| -> bool { clinic.storage.care_changed_after(clinic.practice, seq).await.unwrap() };
    assert!(!changed_after(0).await, "nothing was written yet");
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    let granted = clinic.head_seq().await;
    assert!(changed_after(0).await && changed_after(granted - 1).await);
    assert!(!changed_after(granted).await);
    clinic
        .push(&mut owner, vec![create("client", 2, &client_document("Lee"))])
        .await;
    assert!(!changed_after(granted).await, "a client is no care relationship");
    let ended = op(
        caseload_protocol::messages::OpKind::Patch,
        care_key(1, OWNER),
        1,
        &json!({"status": {"state": "ended"}}),
    );
    clinic.push(&mut owner, vec![ended]).await;
    assert!(
        changed_after(granted).await,
        "one that gives no access any more counts as well"
    );
}

async fn practices_do_not_see_each_other(ground: Ground) {
    let one = Clinic::on(&ground.storage).await;
    let second = new_practice(2);
    one.storage
        .claim(
            &second,
            &crate::clinic::account(OWNER),
            &crate::clinic::device(700, &[OWNER]),
        )
        .await
        .unwrap();
    let two = Clinic {
        practice: second.practice,
        ..one.clone()
    };
    let mut here = one.sender(800, OWNER).await;
    let mut there = two.sender(800, OWNER).await;
    one.push(
        &mut here,
        vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
    )
    .await;
    let answer = two
        .push(&mut there, vec![create("client", 1, &client_document("Lee"))])
        .await;
    assert_eq!(
        (answer.results[0].st, answer.results[0].seq),
        (Outcome::Applied, 1),
        "the same ids may be in both"
    );
    assert_eq!(two.row(&key("client", 1)).await.doc.text("name", "family"), Some("Lee"));
    assert!(
        two.storage
            .care_scopes(two.practice, user(OWNER))
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(two.rows(&[Scope::Office]).await.len(), 1);
    assert_eq!(one.rows(&[Scope::Office]).await.len(), 2);
}

async fn rows_are_fetched_whatever_their_type(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    clinic
        .push(&mut owner, vec![create("session_note", 5, &note(1, OWNER, "text"))])
        .await;
    let wanted = [key("session_note", 5), key("client", 9), key("client", 1)];
    let found: Vec<_> = clinic
        .storage
        .fetch(clinic.practice, &wanted)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.key)
        .collect();
    assert_eq!(found, [key("session_note", 5), key("client", 1)]);
    assert_eq!(clinic.storage.fetch(clinic.practice, &[]).await.unwrap(), []);
}

const CLINICAL_MARKER: &str = "canary-clinical-7f3a";
const OFFICE_MARKER: &str = "canary-office-91bc";

/// A practice with markers in a client, a note, a change of it, a conflict about it and a refused operation.
async fn plant(storage: &std::sync::Arc<dyn Storage>) -> Clinic {
    let clinic = Clinic::on(storage).await;
    let mut here = clinic.sender(800, OWNER).await;
    let mut there = clinic.sender(801, OWNER).await;
    clinic
        .push(
            &mut here,
            vec![create("client", 1, &client_document(OFFICE_MARKER)), grant(1, OWNER)],
        )
        .await;
    clinic
        .push(
            &mut here,
            vec![create("session_note", 5, &note(1, OWNER, CLINICAL_MARKER))],
        )
        .await;
    let text = |plan: &str| json!({"body": {"sections": {"plan": plan}}});
    clinic
        .push(
            &mut here,
            vec![patch(
                "session_note",
                5,
                1,
                &text(&format!("{CLINICAL_MARKER} changed")),
            )],
        )
        .await;
    let conflict = clinic
        .push(
            &mut there,
            vec![patch("session_note", 5, 1, &text(&format!("{CLINICAL_MARKER} other")))],
        )
        .await;
    assert_eq!(conflict.results[0].st, Outcome::Conflict);
    let refused = clinic
        .push(
            &mut there,
            vec![create("session_note", 6, &note(2, OWNER, CLINICAL_MARKER))],
        )
        .await;
    assert_eq!(
        refused.results[0].st,
        Outcome::Rejected,
        "she does not treat that client"
    );
    let unknown = clinic
        .push(
            &mut there,
            vec![create(
                "a_type_of_tomorrow",
                7,
                &json!({"salt": "00", "text": CLINICAL_MARKER}),
            )],
        )
        .await;
    assert_eq!(unknown.results[0].st, Outcome::Upgrade);
    clinic
}

/// How many files below `folder` contain `marker`.
fn files_with(folder: &Path, marker: &str) -> usize {
    let hits = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        usize::from(bytes.windows(marker.len()).any(|window| window == marker.as_bytes()))
    };
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            if path.is_dir() {
                files_with(&path, marker)
            } else {
                hits(&path)
            }
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_clinical_text_is_in_the_files_of_mongodb_while_office_text_is() {
    let mut server = Mongod::replica_set().await.unwrap_or_else(|error| panic!("{error:#}"));
    let ground = Ground::mongodb_on(&server).await;
    let clinic = plant(&ground.storage).await;
    let text = clinic.row(&key("session_note", 5)).await.doc;
    assert!(
        text.unit("body").unwrap().to_string().contains(CLINICAL_MARKER),
        "who has the key reads it"
    );
    ground.heard().conclude().await;
    server.kill().unwrap();
    assert!(
        files_with(&server.data(), OFFICE_MARKER) > 0,
        "the hunt finds what is there to be found"
    );
    assert_eq!(files_with(&server.data(), CLINICAL_MARKER), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_at_all_is_in_the_files_of_sqlite() {
    let ground = Ground::sqlite();
    let clinic = plant(&ground.storage).await;
    let folder = ground.folder().unwrap();
    assert!(
        clinic
            .row(&key("session_note", 5))
            .await
            .doc
            .unit("body")
            .unwrap()
            .to_string()
            .contains(CLINICAL_MARKER)
    );
    assert_eq!(files_with(&folder, CLINICAL_MARKER), 0);
    assert_eq!(files_with(&folder, OFFICE_MARKER), 0);
    assert!(files_with(&folder, "SQLite format 3") == 0, "not even the header");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_master_key_opens_nothing() {
    let ground = Ground::sqlite();
    let _clinic = Clinic::on(&ground.storage).await;
    let other = SymmetricKey::from_bytes([43; 32]);
    let refused = SqliteStorage::open(&ground.folder().unwrap().join("service.db"), &other);
    assert!(matches!(refused.err(), Some(OpenError::WrongKey)));

    let server = Mongod::replica_set().await.unwrap_or_else(|error| panic!("{error:#}"));
    let ground = Ground::mongodb_on(&server).await;
    let clinic = plant(&ground.storage).await;
    ground.heard().conclude().await;
    let (_, name) = ground.administration();
    let other = MongoStorage::connect(&server.uri(&name), &other).await.unwrap();
    let refused = other
        .snapshot_page(clinic.practice, &[clinical(1)], None, crate::clinic::EVERYTHING)
        .await;
    assert!(matches!(refused, Err(StorageError::Unreadable(_))));
}
