//! What the decision promises, one sentence each, with the real registry and no storage.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_domain::{EntityKey, Role};
use caseload_protocol::decide::BatchRefusal;
use caseload_protocol::messages::{Outcome, Refusal};
use clinic::{Clinic, appointment, client, id, note, patch};
use serde_json::json;

#[test]
fn changes_to_different_units_merge_and_both_are_kept() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let therapist = clinic.push_from(1, vec![patch("client", 1, 1, json!({"address": {"city": "Busan"}}))]);
    let desk = clinic.push_from(2, vec![patch("client", 1, 1, json!({"phone": {"raw": "2"}}))]);
    assert_eq!((therapist[0].st, desk[0].st), (Outcome::Applied, Outcome::Merged));
    let doc = clinic.doc("client", 1);
    assert_eq!(
        (doc.text("address", "city"), doc.text("phone", "raw")),
        (Some("Busan"), Some("2"))
    );
}

#[test]
fn the_same_unit_changed_twice_keeps_the_first_value_and_records_the_other() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "first"}}))]);
    let second = clinic.push_from(2, vec![patch("client", 1, 1, json!({"phone": {"raw": "second"}}))]);
    assert_eq!(second[0].st, Outcome::Conflict);
    assert_eq!(clinic.doc("client", 1).text("phone", "raw"), Some("first"));
    let conflict = clinic.row(&EntityKey::new("conflict", second[0].opened[0]));
    assert_eq!(conflict.doc.unit("other").unwrap()["value"], json!({"raw": "second"}));
    assert_eq!(conflict.doc.unit("current").unwrap()["value"], json!({"raw": "first"}));
}

#[test]
fn a_device_may_build_on_its_own_change_before_it_has_seen_the_answer() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "a"}}))]);
    let chained = clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "b"}}))]);
    assert_eq!(chained[0].st, Outcome::Applied);
}

#[test]
fn the_same_value_twice_is_no_conflict() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "a"}}))]);
    let again = clinic.push_from(2, vec![patch("client", 1, 1, json!({"phone": {"raw": "a"}}))]);
    assert!(matches!(again[0].st, Outcome::Applied | Outcome::Merged));
    assert!(again[0].opened.is_empty());
}

#[test]
fn of_two_overlapping_bookings_the_first_is_placed_and_the_second_contested() {
    let mut clinic = Clinic::new();
    let first = clinic.create("appointment", 1, appointment(0, 50, 1));
    let second = clinic.push_from(2, vec![clinic::create("appointment", 2, appointment(10, 60, 2))]);
    assert_eq!((first[0].st, second[0].st), (Outcome::Applied, Outcome::Clash));
    assert_eq!(clinic.placement(1), "placed");
    assert_eq!(clinic.placement(2), "contested");
    assert_eq!(clinic.clash_state(1, 2), "open");
}

#[test]
fn bookings_that_touch_do_not_clash_and_neither_do_different_therapists_rooms_and_clients() {
    let mut clinic = Clinic::new();
    clinic.create("appointment", 1, appointment(0, 50, 1));
    assert_eq!(
        clinic.create("appointment", 2, appointment(50, 100, 1))[0].st,
        Outcome::Applied
    );
    let mut elsewhere = appointment(0, 50, 3);
    elsewhere["when"]["therapist"] = json!(id(77));
    assert_eq!(clinic.create("appointment", 3, elsewhere)[0].st, Outcome::Applied);
}

#[test]
fn a_client_cannot_be_in_two_places() {
    let mut clinic = Clinic::new();
    clinic.create("appointment", 1, appointment(0, 50, 1));
    let mut elsewhere = appointment(0, 50, 1);
    elsewhere["when"]["therapist"] = json!(id(77));
    assert_eq!(clinic.create("appointment", 2, elsewhere)[0].st, Outcome::Clash);
}

#[test]
fn two_bookings_of_one_batch_clash_as_well() {
    let mut clinic = Clinic::new();
    let results = clinic.push_from(
        1,
        vec![
            clinic::create("appointment", 1, appointment(0, 50, 1)),
            clinic::create("appointment", 2, appointment(0, 50, 2)),
        ],
    );
    assert_eq!((results[0].st, results[1].st), (Outcome::Applied, Outcome::Clash));
}

#[test]
fn cancelling_the_placed_one_frees_the_other_but_places_nothing_by_itself() {
    let mut clinic = Clinic::contested();
    clinic.push_from(
        1,
        vec![patch(
            "appointment",
            1,
            1,
            json!({"status": {"state": "cancelled_by_client"}}),
        )],
    );
    assert_eq!(
        (clinic.placement(2), clinic.clash_state(1, 2)),
        ("contested".into(), "freed".into())
    );
    let placed = clinic.push_from(2, vec![clinic::place(2, 1)]);
    assert_eq!(placed[0].st, Outcome::Applied);
    assert_eq!(
        (clinic.placement(2), clinic.clash_state(1, 2)),
        ("placed".into(), "settled".into())
    );
}

#[test]
fn a_contested_booking_is_not_placed_while_its_time_is_taken() {
    let mut clinic = Clinic::contested();
    assert_eq!(
        clinic.push_from(2, vec![clinic::place(2, 1)])[0].why,
        Some(Refusal::NotFree)
    );
}

#[test]
fn moving_the_contested_one_to_a_free_time_places_it_and_settles_the_clash() {
    let mut clinic = Clinic::contested();
    let when = appointment(100, 150, 2)["when"].clone();
    clinic.push_from(2, vec![patch("appointment", 2, 1, json!({"when": when}))]);
    assert_eq!(
        (clinic.placement(2), clinic.clash_state(1, 2)),
        ("placed".into(), "settled".into())
    );
}

#[test]
fn an_overbooking_needs_a_reason_and_keeps_it_on_the_booking() {
    let mut clinic = Clinic::contested();
    assert_eq!(
        clinic.push_from(2, vec![clinic::override_booking(2, 1, None)])[0].why,
        Some(Refusal::ReasonRequired)
    );
    clinic.push_from(2, vec![clinic::override_booking(2, 1, Some("twins"))]);
    assert_eq!(
        (clinic.placement(2), clinic.clash_state(1, 2)),
        ("placed".into(), "settled".into())
    );
    assert_eq!(clinic.doc("appointment", 2).text("override", "reason"), Some("twins"));
}

#[test]
fn a_third_booking_is_contested_against_the_one_that_was_placed_after_all() {
    let mut clinic = Clinic::contested();
    clinic.create("appointment", 3, appointment(0, 50, 3));
    clinic.push_from(
        1,
        vec![patch(
            "appointment",
            1,
            1,
            json!({"status": {"state": "cancelled_by_client"}}),
        )],
    );
    clinic.push_from(2, vec![clinic::place(2, 1)]);
    assert_eq!(
        (clinic.placement(3), clinic.clash_state(2, 3)),
        ("contested".into(), "open".into())
    );
}

#[test]
fn a_booking_moved_here_after_it_was_cancelled_there_is_a_conflict() {
    let mut clinic = Clinic::new();
    clinic.create("appointment", 1, appointment(0, 50, 1));
    clinic.push_from(
        1,
        vec![patch(
            "appointment",
            1,
            1,
            json!({"status": {"state": "cancelled_by_client"}}),
        )],
    );
    let moved = clinic.push_from(
        2,
        vec![patch(
            "appointment",
            1,
            1,
            json!({"when": appointment(100, 150, 1)["when"]}),
        )],
    );
    assert_eq!(moved[0].st, Outcome::Conflict);
}

#[test]
fn nobody_writes_what_only_the_service_decides() {
    let mut clinic = Clinic::new();
    clinic.create("appointment", 1, appointment(0, 50, 1));
    for unit in ["placement", "override"] {
        let forged = clinic.push_from(1, vec![patch("appointment", 1, 1, json!({unit: {"state": "placed"}}))]);
        assert_eq!(forged[0].why, Some(Refusal::ServiceUnit), "{unit}");
    }
    let mut born_placed = appointment(500, 550, 1);
    born_placed["placement"] = json!({"state": "placed"});
    assert_eq!(
        clinic.create("appointment", 2, born_placed)[0].why,
        Some(Refusal::ServiceUnit)
    );
}

#[test]
fn the_second_of_two_equal_client_numbers_is_renumbered_and_keeps_its_old_one() {
    let mut clinic = Clinic::new();
    for number in [1, 2] {
        let mut document = client();
        document["number"] = json!({"value": "C-0042"});
        clinic.push_from(number, vec![clinic::create("client", number, document)]);
    }
    assert_eq!(clinic.doc("client", 1).text("number", "value"), Some("C-0042"));
    let second = clinic.doc("client", 2);
    assert_eq!(second.text("number", "value"), Some("C-0043"));
    assert_eq!(second.unit("number").unwrap()["former"], json!(["C-0042"]));
}

#[test]
fn the_desk_can_neither_write_a_note_nor_grant_care() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let desk = |clinic: &mut Clinic, op| clinic.push_as(2, clinic::DESK, Role::FrontDesk, vec![op]);
    assert_eq!(
        desk(&mut clinic, clinic::create("session_note", 5, note(1)))[0].why,
        Some(Refusal::Forbidden)
    );
    assert_eq!(
        desk(&mut clinic, clinic::grant(1, clinic::DESK))[0].why,
        Some(Refusal::Forbidden)
    );
    assert_eq!(
        desk(&mut clinic, clinic::grant(1, clinic::THERAPIST))[0].why,
        Some(Refusal::Forbidden)
    );
}

#[test]
fn a_clinician_gets_the_first_relationship_with_the_client_she_creates_and_only_then() {
    let mut clinic = Clinic::new();
    let both = clinic.push_group(
        1,
        clinic::OTHER,
        Role::Therapist,
        false,
        vec![clinic::create("client", 1, client()), clinic::grant(1, clinic::OTHER)],
    );
    assert!(both.iter().all(|result| result.st == Outcome::Applied), "{both:?}");
    clinic.push_from(2, vec![clinic::create("client", 2, client())]);
    let later = clinic.push_group(
        1,
        clinic::OTHER,
        Role::Therapist,
        false,
        vec![clinic::grant(2, clinic::OTHER)],
    );
    assert_eq!(later[0].why, Some(Refusal::Forbidden));
}

#[test]
fn a_signed_note_never_changes_but_can_be_marked_as_entered_in_error() {
    let mut clinic = Clinic::with_note();
    let signed = clinic.push_from(
        1,
        vec![patch("session_note", 5, 1, clinic::signature(clinic::THERAPIST))],
    );
    assert_eq!(signed[0].st, Outcome::Applied);
    let edit = clinic.push_from(
        1,
        vec![patch(
            "session_note",
            5,
            2,
            json!({"body": {"sections": {"plan": "other"}}}),
        )],
    );
    assert_eq!(edit[0].why, Some(Refusal::Integrity));
    let mut void = patch("session_note", 5, 2, json!({}));
    void.kind = caseload_protocol::messages::OpKind::Void;
    void.reason = Some("r".into());
    assert_eq!(clinic.push_from(1, vec![void])[0].why, Some(Refusal::Immutable));
    let mark = json!({"state": {"state": "entered_in_error"}, "error_mark": {"reason": "wrong client"}});
    assert_eq!(
        clinic.push_from(1, vec![patch("session_note", 5, 2, mark)])[0].st,
        Outcome::Applied
    );
}

#[test]
fn a_signature_over_a_text_that_changed_elsewhere_changes_nothing_and_keeps_both() {
    let mut clinic = Clinic::with_note();
    clinic.push_from(
        1,
        vec![patch(
            "session_note",
            5,
            1,
            json!({"body": {"sections": {"plan": "edited"}}}),
        )],
    );
    let signed = clinic.push_from(
        3,
        vec![patch("session_note", 5, 1, clinic::signature(clinic::THERAPIST))],
    );
    assert_eq!(signed[0].st, Outcome::Conflict);
    assert_eq!(clinic.doc("session_note", 5).text("state", "state"), Some("draft"));
}

#[test]
fn a_draft_edited_elsewhere_after_signing_becomes_a_conflict_and_the_signed_text_stays() {
    let mut clinic = Clinic::with_note();
    clinic.push_from(
        1,
        vec![patch("session_note", 5, 1, clinic::signature(clinic::THERAPIST))],
    );
    let late = clinic.push_from(
        3,
        vec![patch(
            "session_note",
            5,
            1,
            json!({"body": {"sections": {"plan": "late"}}}),
        )],
    );
    assert_eq!(late[0].st, Outcome::Conflict);
    assert_eq!(clinic.doc("session_note", 5).text("state", "state"), Some("signed"));
}

#[test]
fn nobody_signs_in_the_name_of_another() {
    let mut clinic = Clinic::with_note();
    let forged = clinic.push_from(1, vec![patch("session_note", 5, 1, clinic::signature(clinic::OTHER))]);
    assert_eq!(forged[0].why, Some(Refusal::Forbidden));
}

#[test]
fn an_edit_of_something_void_does_not_bring_it_back_and_is_kept() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let mut void = patch("client", 1, 1, json!({}));
    void.kind = caseload_protocol::messages::OpKind::Void;
    void.reason = Some("duplicate".into());
    clinic.push_from(1, vec![void]);
    let edit = clinic.push_from(2, vec![patch("client", 1, 1, json!({"phone": {"raw": "2"}}))]);
    assert_eq!(edit[0].st, Outcome::Conflict);
    assert!(clinic.row(&clinic::key("client", 1)).deleted);
}

#[test]
fn two_edits_of_something_void_from_one_computer_are_both_kept() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let mut void = patch("client", 1, 1, json!({}));
    void.kind = caseload_protocol::messages::OpKind::Void;
    void.reason = Some("duplicate".into());
    clinic.push_from(1, vec![void]);
    let first = clinic.push_from(2, vec![patch("client", 1, 1, json!({"phone": {"raw": "2"}}))]);
    let second = clinic.push_from(2, vec![patch("client", 1, 1, json!({"email": {"value": "a"}}))]);
    assert_ne!(
        first[0].opened, second[0].opened,
        "the second does not take the first one's place"
    );
    for (answer, unit) in [(first, "phone"), (second, "email")] {
        let record = clinic.row(&caseload_domain::EntityKey::new("conflict", answer[0].opened[0]));
        let other = record.doc.unit("other").unwrap();
        assert!(other["value"]["units"].get(unit).is_some(), "{unit}");
    }
}

#[test]
fn an_allergy_edited_here_survives_its_removal_there() {
    let mut clinic = Clinic::with_note();
    let chart =
        json!({"salt": clinic::SALT, "subject": {"client": id(1)}, "allergies": {"a": {"substance": "penicillin"}}});
    clinic.create("client_chart", 1, chart);
    let mut edit = patch("client_chart", 1, 1, json!({}));
    edit.add.insert(
        "allergies".into(),
        json!({"a": {"substance": "penicillin", "reaction": "rash"}})
            .as_object()
            .unwrap()
            .clone(),
    );
    clinic.push_from(1, vec![edit]);
    let mut removal = patch("client_chart", 1, 1, json!({}));
    removal.remove.insert("allergies".into(), vec!["a".into()]);
    let removed = clinic.push_from(3, vec![removal]);
    assert_eq!(removed[0].st, Outcome::Merged);
    assert!(
        clinic
            .doc("client_chart", 1)
            .unit("allergies")
            .unwrap()
            .get("a")
            .is_some()
    );
}

#[test]
fn one_refused_operation_drops_its_group_and_delays_no_other() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let bad = vec![
        patch("client", 1, 1, json!({"phone": {"raw": "x"}})),
        patch("client", 99, 1, json!({"phone": {"raw": "x"}})),
    ];
    let refused = clinic.push_from(1, bad);
    assert_eq!(
        (refused[0].why, refused[1].why),
        (Some(Refusal::Group), Some(Refusal::Missing))
    );
    assert_eq!(clinic.doc("client", 1).text("phone", "raw"), None);
    assert_eq!(
        clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "y"}}))])[0].st,
        Outcome::Applied
    );
}

#[test]
fn the_same_bytes_again_give_the_same_answer() {
    let mut clinic = Clinic::new();
    let groups = clinic.groups(
        1,
        clinic::THERAPIST,
        Role::Therapist,
        true,
        vec![clinic::create("client", 1, client())],
    );
    let first = clinic.decide(1, &groups).unwrap();
    let head = clinic.head();
    let again = clinic.decide(1, &groups).unwrap();
    assert_eq!(first, again);
    assert_eq!(clinic.head(), head, "nothing was written");
}

#[test]
fn a_gap_or_a_fork_in_the_mutation_numbers_refuses_the_batch() {
    let mut clinic = Clinic::new();
    let mut groups = clinic.groups(
        1,
        clinic::THERAPIST,
        Role::Therapist,
        true,
        vec![clinic::create("client", 1, client())],
    );
    groups[0].group.first_mut = 2;
    assert_eq!(clinic.decide(1, &groups), Err(BatchRefusal::MutationGap));
    clinic.create("client", 1, client());
    let mut forked = clinic.groups(
        1,
        clinic::THERAPIST,
        Role::Therapist,
        true,
        vec![clinic::create("client", 2, client())],
    );
    forked[0].group.first_mut = 1;
    assert_eq!(clinic.decide(1, &forked), Err(BatchRefusal::DeviceForked));
}

#[test]
fn an_operation_sent_again_by_a_reregistered_device_is_not_made_twice() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let mut op = patch("client", 1, 1, json!({"phone": {"raw": "a"}}));
    op.op_id = caseload_domain::OpId::new(clinic::uuid(4711));
    clinic.push_from(1, vec![op.clone()]);
    clinic.push_from(2, vec![patch("client", 1, 2, json!({"phone": {"raw": "b"}}))]);
    assert_eq!(clinic.push_from(9, vec![op])[0].st, Outcome::Duplicate);
    assert_eq!(clinic.doc("client", 1).text("phone", "raw"), Some("b"));
}

#[test]
fn a_change_whose_signature_does_not_verify_is_refused() {
    let mut clinic = Clinic::new();
    let mut groups = clinic.groups(
        1,
        clinic::THERAPIST,
        Role::Therapist,
        true,
        vec![clinic::create("client", 1, client())],
    );
    groups[0].actor = None;
    assert_eq!(clinic.decide(1, &groups).unwrap()[0].why, Some(Refusal::Signature));
}

#[test]
fn units_of_a_newer_version_are_kept_and_merge_like_others() {
    let mut clinic = Clinic::new();
    let mut document = client();
    document["future"] = json!({"deep": [1, {"x": null}]});
    clinic.create("client", 1, document);
    clinic.push_from(2, vec![patch("client", 1, 1, json!({"phone": {"raw": "2"}}))]);
    assert_eq!(
        clinic.doc("client", 1).unit("future"),
        Some(&json!({"deep": [1, {"x": null}]}))
    );
}

#[test]
fn a_type_of_a_newer_version_is_held_and_not_refused() {
    let mut clinic = Clinic::new();
    assert_eq!(
        clinic.create("hologram", 1, json!({"salt": clinic::SALT}))[0].st,
        Outcome::Upgrade
    );
}

#[test]
fn two_charts_of_one_client_made_on_two_devices_become_one() {
    let mut clinic = Clinic::with_note();
    let chart = |units: serde_json::Value| {
        let mut document = json!({"salt": clinic::SALT, "subject": {"client": id(1)}});
        document
            .as_object_mut()
            .unwrap()
            .extend(units.as_object().unwrap().clone());
        document
    };
    clinic.create(
        "client_chart",
        1,
        chart(json!({"allergies": {"a": {"substance": "nuts"}}, "history": {"text": "one"}})),
    );
    let second = chart(
        json!({"allergies": {"b": {"substance": "latex"}}, "history": {"text": "two"}, "risk": {"level": "low"}}),
    );
    let result = clinic.push_from(3, vec![clinic::create("client_chart", 1, second)]);
    assert_eq!(result[0].st, Outcome::Conflict, "two histories are kept side by side");
    let doc = clinic.doc("client_chart", 1);
    assert_eq!(doc.unit("allergies").unwrap().as_object().unwrap().len(), 2);
    assert_eq!(
        (doc.text("history", "text"), doc.text("risk", "level")),
        (Some("one"), Some("low"))
    );
}

#[test]
fn a_row_that_a_newer_program_wrote_holds_an_older_ones_change_and_the_rest_of_its_push_goes_on() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    clinic.create("client", 2, client());
    clinic.rows.get_mut(&clinic::key("client", 1)).unwrap().min_writer = 2;
    let held = clinic.push_from(2, vec![patch("client", 1, 1, json!({"phone": {"raw": "1"}}))]);
    assert_eq!(
        (held[0].st, held[0].why),
        (Outcome::Upgrade, Some(Refusal::UnknownKind))
    );
    let next = clinic.push_from(2, vec![patch("client", 2, 1, json!({"phone": {"raw": "2"}}))]);
    assert_eq!(next[0].st, Outcome::Applied);
    let mut newer = patch("client", 1, 1, json!({"phone": {"raw": "3"}}));
    newer.sv = 2;
    assert_eq!(clinic.push_from(3, vec![newer])[0].st, Outcome::Applied);
}
