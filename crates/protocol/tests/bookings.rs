//! A booking that is moved into a clash keeps the place that it had.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_protocol::messages::{Op, Outcome};
use clinic::{Clinic, appointment, create, key, patch};
use serde_json::{Value, json};

fn when(start_minute: i64) -> Value {
    appointment(start_minute, start_minute + 50, 2)["when"].clone()
}

/// Moves booking 2, seen as it is.
fn moves(clinic: &Clinic, start_minute: i64) -> Op {
    let rev = clinic.row(&key("appointment", 2)).rev;
    patch("appointment", 2, rev, json!({"when": when(start_minute)}))
}

fn former(clinic: &Clinic) -> Option<Value> {
    let booking = clinic.doc("appointment", 2);
    booking.unit("placement").unwrap().get("prev_when").cloned()
}

/// Booking 1 at the hours 0, booking 2 at minute 200, both placed.
fn two() -> Clinic {
    let mut clinic = Clinic::new();
    clinic.create("appointment", 1, appointment(0, 50, 1));
    clinic.push_from(2, vec![create("appointment", 2, appointment(200, 250, 2))]);
    assert_eq!((clinic.placement(2).as_str(), former(&clinic)), ("placed", None));
    clinic
}

#[test]
fn a_placed_booking_moved_into_a_clash_keeps_where_it_was_until_it_has_a_place_again() {
    let mut clinic = two();
    let into = moves(&clinic, 10);
    assert_eq!(clinic.push_from(2, vec![into])[0].st, Outcome::Clash);
    assert_eq!(former(&clinic), Some(when(200)));
    let still = moves(&clinic, 20);
    assert_eq!(clinic.push_from(2, vec![still])[0].st, Outcome::Clash);
    assert_eq!(former(&clinic), Some(when(200)), "not where it never had a place");
    let back = moves(&clinic, 200);
    assert_eq!(clinic.push_from(2, vec![back])[0].st, Outcome::Applied);
    assert_eq!((clinic.placement(2).as_str(), former(&clinic)), ("placed", None));
    assert_eq!(clinic.clash_state(1, 2), "settled");
}

#[test]
fn a_booking_that_never_had_a_place_has_none_to_go_back_to() {
    let mut clinic = Clinic::contested();
    assert_eq!(former(&clinic), None);
    let elsewhere = moves(&clinic, 5);
    assert_eq!(clinic.push_from(2, vec![elsewhere])[0].st, Outcome::Clash);
    assert_eq!(former(&clinic), None);
}

#[test]
fn one_that_was_allowed_on_purpose_goes_back_to_that() {
    let mut clinic = Clinic::contested();
    let rev = clinic.row(&key("appointment", 2)).rev;
    clinic.push_from(2, vec![clinic::override_booking(2, rev, Some("twins"))]);
    let away = moves(&clinic, 30);
    assert_eq!(clinic.push_from(2, vec![away])[0].st, Outcome::Clash);
    assert_eq!(former(&clinic), Some(when(0)));
}
