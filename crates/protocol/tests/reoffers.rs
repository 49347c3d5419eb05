//! Rows offered back to a restored service: what is kept for review, who settles it, and what a choice does.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_domain::{EntityKey, OpId, Role};
use caseload_protocol::messages::{Op, OpKind, OpResult, Outcome, Refusal, WireRow};
use caseload_protocol::reoffer;
use clinic::{Clinic, THERAPIST, appointment, client, grant, key, note, patch};
use serde_json::json;
use uuid::Uuid;

const OTHER_THERAPIST: u32 = 78;

fn offer(row: &WireRow) -> Op {
    Op {
        key: reoffer::record_key(row).unwrap(),
        kind: OpKind::Reoffer,
        units: reoffer::units(row),
        ..patch("reoffer", 0, 0, json!({}))
    }
}

fn settle(clinic: &Clinic, row: &WireRow, choice: &str, seen: i64) -> Op {
    let record = reoffer::record_key(row).unwrap();
    let units = json!({"choice": choice, "about": reoffer::about(row), "seen": seen});
    Op {
        base_rev: clinic.rows.get(&record).map_or(0, |record| record.rev),
        key: record,
        kind: OpKind::Settle,
        ..patch("reoffer", 0, 0, units)
    }
}

fn accept(clinic: &mut Clinic, row: &WireRow, seen: i64) -> OpResult {
    let op = settle(clinic, row, reoffer::ACCEPT, seen);
    clinic.push_from(3, vec![op]).remove(0)
}

/// Client 1 as it was known after `changes` to its phone, in a history that is gone.
fn lost_client(changes: &[&str]) -> WireRow {
    let mut gone = Clinic::new();
    gone.create("client", 1, client());
    for (base, phone) in (1..).zip(changes) {
        gone.push_from(1, vec![patch("client", 1, base, json!({"phone": {"raw": phone}}))]);
    }
    gone.row(&key("client", 1)).to_wire()
}

#[test]
fn a_version_that_this_history_has_held_is_not_taken_for_lost() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let held = clinic.row(&key("client", 1)).to_wire();
    clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "newer"}}))]);
    let result = clinic.push_from(2, vec![offer(&held)]).remove(0);
    assert_eq!((result.st, result.rev), (Outcome::Applied, 0));
    assert!(!clinic.rows.contains_key(&reoffer::record_key(&held).unwrap()));
}

#[test]
fn a_lost_row_is_kept_for_review_once_however_many_computers_offer_it() {
    let mut clinic = Clinic::new();
    let lost = lost_client(&[]);
    for replica in [1, 2] {
        let result = clinic.push_from(replica, vec![offer(&lost)]).remove(0);
        assert_eq!((result.st, result.rev), (Outcome::Applied, 1));
    }
    let record = clinic.row(&reoffer::record_key(&lost).unwrap());
    assert_eq!(record.doc.text("state", "state"), Some("open"));
    assert_eq!(reoffer::row_of(record.doc.units()), Some(lost));
    assert!(
        !clinic.rows.contains_key(&key("client", 1)),
        "nothing is brought back unasked"
    );
}

#[test]
fn an_accepted_row_goes_on_above_its_lost_revision_and_a_change_made_on_top_of_it_applies() {
    let mut clinic = Clinic::new();
    let lost = lost_client(&["1", "2"]);
    clinic.push_from(1, vec![offer(&lost)]);
    assert_eq!(accept(&mut clinic, &lost, 0).st, Outcome::Applied);
    let back = clinic.row(&key("client", 1));
    assert_eq!((back.rev, back.doc.text("phone", "raw")), (lost.rev + 1, Some("2")));
    let waited = clinic.push_from(2, vec![patch("client", 1, lost.rev, json!({"phone": {"raw": "3"}}))]);
    assert_eq!(waited[0].st, Outcome::Applied);
    let again = accept(&mut clinic, &lost, 0);
    assert_eq!(again.st, Outcome::Applied);
    assert_eq!(
        clinic.doc("client", 1).text("phone", "raw"),
        Some("3"),
        "a review is settled once"
    );
}

#[test]
fn what_the_reviewers_own_file_had_held_back_does_not_replace_the_accepted_value_unseen() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let lost = lost_client(&["lost"]);
    clinic.push_from(1, vec![offer(&lost)]);
    assert_eq!(accept(&mut clinic, &lost, 1).st, Outcome::Merged);
    let waited = clinic.push_from(3, vec![patch("client", 1, 1, json!({"phone": {"raw": "waited"}}))]);
    assert_eq!(waited[0].st, Outcome::Conflict);
    assert_eq!(clinic.doc("client", 1).text("phone", "raw"), Some("lost"));
}

#[test]
fn a_conflict_that_came_back_before_the_change_that_opened_it_is_not_begun_anew() {
    let void = Op {
        op_id: OpId::new(Uuid::from_u128(77)),
        kind: OpKind::Void,
        reason: Some("entered twice".to_owned()),
        ..patch("client", 1, 1, json!({}))
    };
    let edited = || {
        let mut clinic = Clinic::new();
        clinic.create("client", 1, client());
        clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "unseen"}}))]);
        clinic
    };
    let mut gone = edited();
    let opened = gone.push_from(2, vec![void.clone()])[0].opened[0];
    let lost = gone.row(&EntityKey::new("conflict", opened)).to_wire();

    let mut clinic = edited();
    clinic.push_from(3, vec![offer(&lost)]);
    assert_eq!(accept(&mut clinic, &lost, 0).st, Outcome::Applied);
    let back = clinic.row(&lost.key).rev;
    assert!(back > lost.rev);
    assert_eq!(clinic.push_from(2, vec![void])[0].opened, [opened]);
    assert!(
        clinic.row(&lost.key).rev >= back,
        "a file that holds it would not take an older one"
    );
}

#[test]
fn a_refused_row_stays_a_record() {
    let mut clinic = Clinic::new();
    let lost = lost_client(&[]);
    clinic.push_from(1, vec![offer(&lost)]);
    let op = settle(&clinic, &lost, reoffer::REFUSE, 0);
    assert_eq!(clinic.push_from(1, vec![op])[0].st, Outcome::Applied);
    assert!(!clinic.rows.contains_key(&key("client", 1)));
    let record = clinic.row(&reoffer::record_key(&lost).unwrap());
    assert_eq!(record.doc.text("state", "choice"), Some("refuse"));
}

#[test]
fn what_the_reviewer_saw_gives_way_and_what_was_written_unseen_stays_with_the_lost_value_as_a_conflict() {
    for (seen, outcome, phone) in [(2, Outcome::Merged, "lost"), (1, Outcome::Conflict, "made since")] {
        let mut clinic = Clinic::new();
        clinic.create("client", 1, client());
        clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "made since"}}))]);
        let lost = lost_client(&["first", "lost"]);
        clinic.push_from(2, vec![offer(&lost)]);
        let result = accept(&mut clinic, &lost, seen);
        assert_eq!(result.st, outcome, "seen {seen}");
        assert_eq!(clinic.doc("client", 1).text("phone", "raw"), Some(phone));
        assert_eq!(result.opened.len(), usize::from(outcome == Outcome::Conflict));
        if let Some(id) = result.opened.first() {
            let conflict = clinic.row(&EntityKey::new("conflict", *id));
            assert_eq!(conflict.doc.unit("other").unwrap()["value"], json!({"raw": "lost"}));
        }
        // A change that waited on the lost history never passes for one that saw what was written since, whatever its revision.
        let waited = clinic.push_from(
            4,
            vec![patch("client", 1, lost.rev, json!({"phone": {"raw": "waited"}}))],
        );
        assert_eq!(waited[0].st, Outcome::Conflict);
        assert_eq!(clinic.doc("client", 1).text("phone", "raw"), Some(phone));
    }
}

#[test]
fn a_lost_signature_stands_only_under_the_content_that_it_was_made_for() {
    let mut gone = Clinic::with_note();
    gone.push_from(1, vec![patch("session_note", 5, 1, clinic::signature(THERAPIST))]);
    let lost = gone.row(&key("session_note", 5)).to_wire();
    for (seen, outcome) in [(2, Outcome::Merged), (1, Outcome::Conflict)] {
        let mut clinic = Clinic::with_note();
        let since = json!({"body": {"sections": {"plan": "written since"}}});
        clinic.push_from(1, vec![patch("session_note", 5, 1, since)]);
        clinic.push_from(2, vec![offer(&lost)]);
        assert_eq!(accept(&mut clinic, &lost, seen).st, outcome, "seen {seen}");
        let note = clinic.doc("session_note", 5);
        let is_signed = note.unit("signature").is_some();
        assert_eq!(is_signed, seen == 2);
        assert_eq!(is_signed, note.text("state", "state") == Some("signed"));
        assert_eq!(is_signed, note.unit("body") == lost.doc.unit("body"));
    }
}

#[test]
fn an_accepted_booking_whose_time_was_taken_since_is_contested() {
    let mut gone = Clinic::new();
    gone.create("appointment", 1, appointment(0, 50, 1));
    let lost = gone.row(&key("appointment", 1)).to_wire();
    let mut clinic = Clinic::new();
    clinic.create("appointment", 2, appointment(10, 60, 2));
    clinic.push_from(1, vec![offer(&lost)]);
    assert_eq!(accept(&mut clinic, &lost, 0).st, Outcome::Clash);
    assert_eq!(
        (clinic.placement(2), clinic.placement(1)),
        ("placed".into(), "contested".into())
    );
    assert_eq!(clinic.clash_state(1, 2), "open");
}

#[test]
fn an_office_row_is_reviewed_by_administrators_alone() {
    let mut clinic = Clinic::new();
    let lost = lost_client(&[]);
    let offered = clinic.push_as(1, 90, Role::FrontDesk, vec![offer(&lost)]);
    assert_eq!(offered[0].st, Outcome::Applied, "everybody may offer");
    let op = settle(&clinic, &lost, reoffer::ACCEPT, 0);
    let refused = clinic.push_as(1, 90, Role::FrontDesk, vec![op]);
    assert_eq!(
        (refused[0].st, refused[0].why),
        (Outcome::Rejected, Some(Refusal::Forbidden))
    );
}

#[test]
fn a_clinical_row_is_offered_by_a_clinician_without_care_and_reviewed_only_with_it() {
    let mut gone = Clinic::with_note();
    gone.push_from(
        1,
        vec![patch(
            "session_note",
            5,
            1,
            json!({"body": {"sections": {"plan": "more"}}}),
        )],
    );
    let lost = gone.row(&key("session_note", 5)).to_wire();
    let mut clinic = Clinic::new();
    let desk = clinic.push_as(1, 90, Role::FrontDesk, vec![offer(&lost)]);
    assert_eq!(desk[0].why, Some(Refusal::Forbidden));
    let offered = clinic.push_as(2, OTHER_THERAPIST, Role::Therapist, vec![offer(&lost)]);
    assert_eq!(offered[0].st, Outcome::Applied);
    let op = settle(&clinic, &lost, reoffer::ACCEPT, 0);
    let without = clinic.push_from(1, vec![op]);
    assert_eq!(without[0].why, Some(Refusal::Forbidden));
    clinic.push_from(1, vec![clinic::create("client", 1, client()), grant(1, THERAPIST)]);
    assert_eq!(accept(&mut clinic, &lost, 0).st, Outcome::Applied);
    assert_eq!(
        clinic.doc("session_note", 5).unit("body").unwrap()["sections"]["plan"],
        json!("more")
    );
}

#[test]
fn an_offer_that_is_not_what_it_says_is_refused() {
    let mut clinic = Clinic::new();
    let lost = lost_client(&[]);
    let mut other_content = offer(&lost);
    other_content.units["lost"]["doc"]["name"]["family"] = json!("Park");
    let mut clinical = lost.clone();
    clinical.key = key("session_note", 5);
    clinical.doc = serde_json::from_value(note(1)).unwrap();
    for op in [other_content, offer(&clinical)] {
        let refused = clinic.push_from(1, vec![op]).remove(0);
        assert_eq!((refused.st, refused.why), (Outcome::Rejected, Some(Refusal::Invalid)));
    }
    clinic.push_from(1, vec![offer(&lost)]);
    let mut unnamed = settle(&clinic, &lost, reoffer::ACCEPT, 0);
    unnamed.units.remove("about");
    let refused = clinic.push_from(1, vec![unnamed]).remove(0);
    assert_eq!(
        refused.why,
        Some(Refusal::Invalid),
        "what was not read is not decided upon"
    );
}

/// A group of the therapist, who is also the administrator, whose bases are of a history that is gone.
fn push_detached(clinic: &mut Clinic, ops: Vec<Op>) -> OpResult {
    let mut groups = clinic.groups(3, THERAPIST, Role::Therapist, true, ops);
    groups[0].group.detached = true;
    clinic.decide(3, &groups).unwrap().remove(0)
}

#[test]
fn a_change_whose_base_is_of_a_lost_history_counts_as_made_in_sight_of_nothing() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "here"}}))]);
    let ops = vec![patch("client", 1, 9, json!({"phone": {"raw": "there"}}))];
    assert_eq!(push_detached(&mut clinic, ops).st, Outcome::Conflict);
    let row = clinic.row(&key("client", 1));
    assert_eq!(row.doc.unit("phone"), Some(&json!({"raw": "here"})));
    let ops = vec![patch("client", 1, 9, json!({"email": {"value": "a@b.example"}}))];
    assert_eq!(
        push_detached(&mut clinic, ops).st,
        Outcome::Merged,
        "where nobody wrote, nothing is unseen"
    );
}

#[test]
fn two_changes_whose_bases_are_of_lost_histories_never_share_a_conflict() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "here"}}))]);
    for phone in ["one", "another"] {
        let ops = vec![patch("client", 1, 7, json!({"phone": {"raw": phone}}))];
        assert_eq!(push_detached(&mut clinic, ops).st, Outcome::Conflict);
    }
    let conflicts = clinic.rows.values().filter(|row| row.key.kind.as_str() == "conflict");
    assert_eq!(conflicts.count(), 2, "neither value takes the place of the other");
}

#[test]
fn a_review_made_in_sight_of_a_version_that_was_lost_in_turn_replaces_nothing() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "here"}}))]);
    let lost = lost_client(&["there", "further"]);
    clinic.push_from(2, vec![offer(&lost)]);
    let op = settle(&clinic, &lost, reoffer::ACCEPT, 9);
    assert_eq!(push_detached(&mut clinic, vec![op]).st, Outcome::Conflict);
    let row = clinic.row(&key("client", 1));
    assert_eq!(row.doc.unit("phone"), Some(&json!({"raw": "here"})));
}

#[test]
fn an_accepted_value_that_is_there_already_counts_as_written_when_the_lost_history_wrote_it() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    clinic.push_from(1, vec![patch("client", 1, 1, json!({"phone": {"raw": "same"}}))]);
    let lost = lost_client(&["first", "second", "same"]);
    clinic.push_from(2, vec![offer(&lost)]);
    assert_eq!(accept(&mut clinic, &lost, 2).st, Outcome::Applied);
    // Waits since the lost history's third revision, and has not seen its fourth.
    let result = clinic
        .push_from(2, vec![patch("client", 1, 3, json!({"phone": {"raw": "mine"}}))])
        .remove(0);
    assert_eq!(result.st, Outcome::Conflict);
    assert_eq!(
        clinic.row(&key("client", 1)).doc.unit("phone"),
        Some(&json!({"raw": "same"}))
    );
}

#[test]
fn whatever_is_written_after_a_review_is_written_above_the_lost_revision() {
    let mut clinic = Clinic::new();
    clinic.create("client", 1, client());
    let mut lost = clinic.row(&key("client", 1)).to_wire();
    lost.rev = 5;
    clinic.push_from(2, vec![offer(&lost)]);
    assert_eq!(accept(&mut clinic, &lost, 1).st, Outcome::Applied);
    let rev = clinic.row(&key("client", 1)).rev;
    assert!(rev > 5, "{rev}");
    clinic.push_from(1, vec![patch("client", 1, rev, json!({"phone": {"raw": "theirs"}}))]);
    let result = clinic
        .push_from(2, vec![patch("client", 1, 5, json!({"phone": {"raw": "mine"}}))])
        .remove(0);
    assert_eq!(result.st, Outcome::Conflict);
}

#[test]
fn an_offer_that_was_settled_in_a_history_that_is_lost_comes_back_to_be_reviewed() {
    let mut gone = Clinic::new();
    let lost = lost_client(&["lost"]);
    gone.push_from(1, vec![offer(&lost)]);
    assert_eq!(accept(&mut gone, &lost, 0).st, Outcome::Applied);
    let record = gone.row(&reoffer::record_key(&lost).unwrap()).to_wire();

    let mut clinic = Clinic::new();
    clinic.push_from(1, vec![offer(&record)]);
    assert_eq!(accept(&mut clinic, &record, 0).st, Outcome::Applied);
    assert_eq!(clinic.row(&record.key).doc.text("state", "state"), Some("open"));
    assert_eq!(accept(&mut clinic, &lost, 0).st, Outcome::Applied);
    assert_eq!(
        clinic.row(&key("client", 1)).doc.unit("phone"),
        Some(&json!({"raw": "lost"}))
    );
}
