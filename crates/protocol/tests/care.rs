//! Who may change a client's record when care has ended, as one table of what the file knew and what was decided.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_domain::Role;
use caseload_protocol::messages::{Op, OpKind, OpResult, Outcome, Refusal};
use clinic::{Clinic, OTHER, THERAPIST, care_key, create, grant, id, note, patch, set_care};
use proptest::prelude::*;
use serde_json::{Value, json};

const HER_FILE: u32 = 2;

/// Client 1 is in care of both therapists; note 7 is a draft of the second one.
fn both_treat() -> Clinic {
    let mut clinic = Clinic::with_note();
    clinic.push_from(1, vec![grant(1, OTHER)]);
    let made = writes(&mut clinic, vec![create("session_note", 7, her_note())]);
    assert_eq!(made[0].st, Outcome::Applied);
    clinic
}

fn her_note() -> Value {
    let mut note = note(1);
    note["subject"]["author"] = json!(id(OTHER));
    note
}

fn edit(text: &str) -> Op {
    patch("session_note", 7, 1, json!({"body": {"sections": {"plan": text}}}))
}

/// The second therapist's file sends one group.
fn writes(clinic: &mut Clinic, ops: Vec<Op>) -> Vec<OpResult> {
    clinic.push_as(HER_FILE, OTHER, Role::Therapist, ops)
}

/// The first therapist, who administers, ends the other one's care; gives the number of that change.
fn ends(clinic: &mut Clinic) -> i64 {
    changes(clinic, set_care(1, OTHER, "ended"))
}

fn changes(clinic: &mut Clinic, op: Op) -> i64 {
    let done = clinic.push_from(1, vec![op]);
    assert!(
        matches!(done[0].st, Outcome::Applied | Outcome::Merged),
        "{:?}",
        done[0]
    );
    clinic.head().seq
}

#[test]
fn a_change_made_after_care_ended_was_known_is_refused_and_one_made_before_is_taken() {
    let mut clinic = both_treat();
    let ended = ends(&mut clinic);
    for (known, text) in [
        (None, "of a file that read nothing yet"),
        (Some(ended - 1), "of one behind"),
    ] {
        clinic.known = known;
        let taken = writes(&mut clinic, vec![edit(text)]);
        assert_eq!((taken[0].st, taken[0].why), (Outcome::Applied, None), "{text}");
    }
    let head = clinic.head();
    for known in [ended, ended + 1] {
        clinic.known = Some(known);
        let changes = [edit("too late"), create("session_note", 8, her_note())];
        for refused in changes.map(|op| writes(&mut clinic, vec![op])) {
            assert_eq!(
                (refused[0].st, refused[0].why),
                (Outcome::Rejected, Some(Refusal::Forbidden))
            );
        }
    }
    assert_eq!(clinic.head(), head, "nothing was written");
}

#[test]
fn what_was_taken_stays_taken_when_it_is_sent_again_after_the_end_became_known() {
    let mut clinic = both_treat();
    let mut change = edit("in good faith");
    change.op_id = caseload_domain::OpId::new(clinic::uuid(4711));
    let ended = ends(&mut clinic);
    clinic.known = Some(ended - 1);
    let groups = clinic.groups(HER_FILE, OTHER, Role::Therapist, false, vec![change.clone()]);
    let taken = clinic.decide(HER_FILE, &groups).unwrap();
    assert_eq!(taken[0].st, Outcome::Applied);
    clinic.known = Some(clinic.head().seq);
    assert_eq!(clinic.decide(HER_FILE, &groups).unwrap(), taken, "the receipt answers");
    let again = clinic.push_as(9, OTHER, Role::Therapist, vec![change]);
    assert_eq!(
        (again[0].st, again[0].why),
        (Outcome::Duplicate, None),
        "and so it does to a file that was registered anew"
    );
}

#[test]
fn paused_care_and_care_that_was_taken_up_again_entitle_whatever_was_known() {
    let mut clinic = both_treat();
    for state in ["paused", "ended", "active"] {
        clinic.known = Some(changes(&mut clinic, set_care(1, OTHER, state)));
        let written = writes(&mut clinic, vec![edit(state)]);
        let expected = if state == "ended" {
            (Outcome::Rejected, Some(Refusal::Forbidden))
        } else {
            (Outcome::Applied, None)
        };
        assert_eq!((written[0].st, written[0].why), expected, "{state}");
    }
}

#[test]
fn care_entered_by_mistake_and_voided_ends_like_any_other() {
    let mut clinic = both_treat();
    let mut void = set_care(1, OTHER, "ended");
    void.kind = OpKind::Void;
    void.units.clear();
    void.reason = Some("the wrong client".into());
    let voided = changes(&mut clinic, void);
    clinic.known = Some(voided - 1);
    assert_eq!(writes(&mut clinic, vec![edit("before")])[0].st, Outcome::Applied);
    clinic.known = Some(voided);
    assert_eq!(
        writes(&mut clinic, vec![edit("after")])[0].why,
        Some(Refusal::Forbidden)
    );
    let grants = writes(&mut clinic, vec![grant(1, 904)]);
    assert_eq!(
        grants[0].why,
        Some(Refusal::Forbidden),
        "whose own care is void grants none"
    );
}

#[test]
fn whoever_never_treated_the_client_is_refused_whatever_was_known() {
    let mut clinic = Clinic::with_note();
    for known in [None, Some(0), Some(1_000)] {
        clinic.known = known;
        let refused = writes(&mut clinic, vec![create("session_note", 7, her_note())]);
        assert_eq!(refused[0].why, Some(Refusal::Forbidden), "{known:?}");
    }
}

#[test]
fn an_end_that_comes_with_the_same_push_was_known_to_nobody_before_it() {
    let mut clinic = Clinic::with_note();
    clinic.known = Some(clinic.head().seq);
    let last_words = patch(
        "session_note",
        5,
        1,
        json!({"body": {"sections": {"plan": "handed over"}}}),
    );
    let made = clinic.push_from(1, vec![set_care(1, THERAPIST, "ended"), last_words.clone()]);
    assert!(made.iter().all(|result| result.st == Outcome::Applied), "{made:?}");
    let after = patch("session_note", 5, 1, json!({"body": {"sections": {"plan": "more"}}}));
    assert_eq!(clinic.push_from(1, vec![after.clone()])[0].st, Outcome::Applied);
    clinic.known = Some(clinic.row(&care_key(1, THERAPIST)).seq);
    assert_eq!(clinic.push_from(1, vec![after])[0].why, Some(Refusal::Forbidden));
}

proptest! {
    /// However care went on and off, a change is refused exactly when care is over and its end was known.
    #[test]
    fn a_change_is_refused_exactly_when_care_is_over_and_that_was_known(
        states in prop::collection::vec(prop::sample::select(vec!["paused", "ended", "active"]), 0..8),
        behind in 0_i64..12,
        knows in any::<bool>(),
    ) {
        let mut clinic = both_treat();
        let mut present = "active";
        for state in states {
            let moved = clinic.push_from(1, vec![set_care(1, OTHER, state)]);
            if moved[0].st != Outcome::Rejected {
                present = state;
            }
        }
        clinic.known = knows.then(|| clinic.head().seq - behind);
        let last_change = clinic.row(&care_key(1, OTHER)).seq;
        let refused = present == "ended" && clinic.known.is_some_and(|known| known >= last_change);
        let written = writes(&mut clinic, vec![edit("x")]);
        prop_assert_eq!(written[0].st == Outcome::Rejected, refused);
        prop_assert_eq!(written[0].why, refused.then_some(Refusal::Forbidden));
    }
}
