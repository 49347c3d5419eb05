//! Bookings, conflicts and voids: what the decision opens is in the same transaction.

use caseload_domain::{EntityKey, Scope};
use caseload_protocol::messages::Outcome;
use serde_json::json;

use crate::clinic::{Clinic, DESK, OWNER, booking, client_document, create, grant, key, note, patch, void};
use crate::ground::Ground;

on_both_storages!(
    the_second_booking_of_an_hour_is_contested_and_its_clash_comes_in_the_same_transaction,
    of_two_nodes_that_race_for_one_hour_exactly_one_is_placed,
    a_booking_is_found_again_however_it_overlaps,
    the_same_unit_changed_twice_keeps_both_values,
    a_void_against_an_unseen_edit_is_a_conflict_and_so_is_an_edit_after_a_void,
    a_conflict_about_clinical_text_is_clinical,
);

async fn the_second_booking_of_an_hour_is_contested_and_its_clash_comes_in_the_same_transaction(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut one = clinic.sender(800, OWNER).await;
    let mut two = clinic.sender(801, DESK).await;
    clinic
        .push(&mut one, vec![create("appointment", 1, &booking(600, 11, OWNER))])
        .await;
    let answer = clinic
        .push(&mut two, vec![create("appointment", 2, &booking(630, 12, OWNER))])
        .await;
    assert_eq!(answer.results[0].st, Outcome::Clash);
    let clash = clinic.row(&EntityKey::new("clash", answer.results[0].opened[0])).await;
    let history = clinic.storage.history(clinic.practice, 1, 10).await.unwrap();
    assert_eq!(history.len(), 1, "one operation wrote booking and clash");
    assert!((history[0].first_seq..=history[0].last_seq).contains(&clash.seq));
    assert_eq!(
        (clinic.placement(1).await, clinic.placement(2).await),
        ("placed".into(), "contested".into())
    );

    // The clash is found again when its placed side goes.
    let cancelled = json!({"status": {"state": "cancelled_by_client"}});
    clinic
        .push(&mut one, vec![patch("appointment", 1, 1, &cancelled)])
        .await;
    assert_eq!(clinic.row(&clash.key).await.doc.text("state", "state"), Some("freed"));
    assert_eq!(
        clinic.placement(2).await,
        "contested",
        "nothing is placed again by itself"
    );
}

async fn of_two_nodes_that_race_for_one_hour_exactly_one_is_placed(ground: Ground) {
    let here = Clinic::on(&ground.storage).await;
    let there = here.through(ground.another_node().await);
    for round in 0..10 {
        let mut one = here.sender(800 + 2 * round, OWNER).await;
        let mut two = here.sender(801 + 2 * round, DESK).await;
        let start = 60 * i64::from(round);
        let (first, second) = (2 * round + 1, 2 * round + 2);
        tokio::join!(
            here.push(&mut one, vec![create("appointment", first, &booking(start, 11, OWNER))]),
            there.push(
                &mut two,
                vec![create("appointment", second, &booking(start, 12, OWNER))]
            ),
        );
        let mut placements = [here.placement(first).await, here.placement(second).await];
        placements.sort();
        assert_eq!(placements, ["contested", "placed"]);
    }
    let clashes = here
        .rows(&[Scope::Office])
        .await
        .into_iter()
        .filter(|row| row.key.kind.as_str() == "clash")
        .count();
    assert_eq!(clashes, 10);
}

async fn a_booking_is_found_again_however_it_overlaps(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut sender = clinic.sender(800, OWNER).await;
    let across_midnight = 24 * 60 - 20;
    clinic
        .push(
            &mut sender,
            vec![create("appointment", 1, &booking(across_midnight, 11, OWNER))],
        )
        .await;
    let cases = [
        (
            2,
            booking(24 * 60 + 10, 12, OWNER),
            "contested",
            "the next day, the same therapist",
        ),
        (3, booking(24 * 60 + 10, 11, DESK), "contested", "the same client"),
        (
            4,
            booking(24 * 60 + 30, 13, OWNER),
            "placed",
            "half-open: it begins when the other ends",
        ),
        (5, booking(across_midnight, 14, DESK), "placed", "nothing shared"),
    ];
    for (number, document, expected, why) in cases {
        clinic
            .push(&mut sender, vec![create("appointment", number, &document)])
            .await;
        assert_eq!(clinic.placement(number).await, expected, "{why}");
    }
}

async fn the_same_unit_changed_twice_keeps_both_values(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut one = clinic.sender(800, OWNER).await;
    let mut two = clinic.sender(801, DESK).await;
    clinic
        .push(&mut one, vec![create("client", 1, &client_document("Kim"))])
        .await;
    clinic
        .push(
            &mut one,
            vec![patch(
                "client",
                1,
                1,
                &json!({"phone": {"raw": "010-1"}, "address": {"city": "Seoul"}}),
            )],
        )
        .await;
    let answer = clinic
        .push(
            &mut two,
            vec![patch(
                "client",
                1,
                1,
                &json!({"phone": {"raw": "010-2"}, "email": {"value": "a@b"}}),
            )],
        )
        .await;
    assert_eq!(answer.results[0].st, Outcome::Conflict);
    let client = clinic.row(&key("client", 1)).await;
    assert_eq!(client.doc.text("phone", "raw"), Some("010-1"));
    assert_eq!(
        client.doc.text("email", "value"),
        Some("a@b"),
        "other units of the same change are made"
    );
    let conflict_key = EntityKey::new("conflict", answer.results[0].opened[0]);
    let conflict = clinic.row(&conflict_key).await;
    assert_eq!(conflict.doc.unit("other").unwrap()["value"], json!({"raw": "010-2"}));

    // An edit chained on the first finds the record of the first.
    let chained = clinic
        .push(
            &mut two,
            vec![patch("client", 1, 1, &json!({"phone": {"raw": "010-3"}}))],
        )
        .await;
    assert_eq!(chained.results[0].opened, [conflict_key.id]);
    let conflict = clinic.row(&conflict_key).await;
    assert_eq!(
        (conflict.rev, &conflict.doc.unit("other").unwrap()["value"]),
        (2, &json!({"raw": "010-3"}))
    );
}

async fn a_void_against_an_unseen_edit_is_a_conflict_and_so_is_an_edit_after_a_void(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut one = clinic.sender(800, OWNER).await;
    let mut two = clinic.sender(801, DESK).await;
    for number in [1, 2] {
        clinic
            .push(&mut one, vec![create("client", number, &client_document("Kim"))])
            .await;
    }
    clinic
        .push(&mut one, vec![patch("client", 1, 1, &json!({"phone": {"raw": "010"}}))])
        .await;
    let answer = clinic.push(&mut two, vec![void("client", 1, 1)]).await;
    assert_eq!(answer.results[0].st, Outcome::Conflict);
    assert!(!clinic.row(&key("client", 1)).await.deleted);

    clinic.push(&mut one, vec![void("client", 2, 1)]).await;
    let answer = clinic
        .push(&mut two, vec![patch("client", 2, 1, &json!({"phone": {"raw": "010"}}))])
        .await;
    assert_eq!(answer.results[0].st, Outcome::Conflict);
    let row = clinic.row(&key("client", 2)).await;
    assert!(row.deleted, "nothing comes back without an explicit operation");
    assert_eq!(row.doc.unit("phone"), None);
}

async fn a_conflict_about_clinical_text_is_clinical(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut here = clinic.sender(800, OWNER).await;
    let mut there = clinic.sender(801, OWNER).await;
    clinic
        .push(
            &mut here,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    clinic
        .push(&mut here, vec![create("session_note", 5, &note(1, OWNER, "first"))])
        .await;
    let text = |plan: &str| json!({"body": {"sections": {"plan": plan}}});
    clinic
        .push(&mut here, vec![patch("session_note", 5, 1, &text("second"))])
        .await;
    let answer = clinic
        .push(&mut there, vec![patch("session_note", 5, 1, &text("third"))])
        .await;
    let conflict = clinic
        .row(&EntityKey::new("clinical_conflict", answer.results[0].opened[0]))
        .await;
    assert_eq!(conflict.scope, crate::clinic::clinical(1));
    assert_eq!(conflict.doc.unit("other").unwrap()["value"], text("third")["body"]);
}
