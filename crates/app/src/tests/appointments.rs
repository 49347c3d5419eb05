//! Booking, moving, what happens to appointments.

use super::clinic::{Clinic, refused};
use crate::dto::*;

const DAY: &str = "2026-11-23";

#[test]
fn sessions_that_touch_are_booked_and_those_that_overlap_are_answered_with_free_times() {
    let clinic = Clinic::new();
    let (a, b) = (clinic.client("Ellis", "Hana"), clinic.client("Novak", "Peter"));
    clinic.booked(&a.id, DAY, "10:00");
    clinic.booked(&b.id, DAY, "10:50");
    let outcome = clinic.app.book(clinic.booking(&b.id, DAY, "10:20")).unwrap();
    let BookOutcome::SlotTaken { taken_by, slots } = outcome else {
        panic!("the time is taken")
    };
    assert_eq!(taken_by.len(), 2);
    assert_eq!(taken_by[0].resources, [Resource::Therapist]);
    assert_eq!(taken_by[1].resources, [Resource::Therapist, Resource::Client]);
    assert!(
        slots.contains(&Slot {
            date: DAY.to_owned(),
            start_time: "11:45".to_owned(),
            end_time: "12:35".to_owned()
        }),
        "{slots:?}"
    );
}

#[test]
fn an_overbooking_needs_a_reason_which_stays_on_the_slot() {
    let clinic = Clinic::new();
    let (a, b) = (clinic.client("Ellis", "Hana"), clinic.client("Novak", "Peter"));
    clinic.booked(&a.id, DAY, "10:00");
    let over = |reason: &str| Book {
        override_reason: Some(reason.to_owned()),
        ..clinic.booking(&b.id, DAY, "10:00")
    };
    assert_eq!(refused(clinic.app.book(over("  "))), ErrorCode::ReasonRequired);
    let BookOutcome::Booked { appointment } = clinic.app.book(over("Couple, seen together")).unwrap() else {
        panic!("a reason books over it");
    };
    assert_eq!(
        appointment.item.override_reason.as_deref(),
        Some("Couple, seen together")
    );
    assert!(appointment.item.clash);
}

#[test]
fn a_cancelled_session_frees_its_time_and_takes_it_back_only_while_it_is_free() {
    let clinic = Clinic::new();
    let (a, b) = (clinic.client("Ellis", "Hana"), clinic.client("Novak", "Peter"));
    let first = clinic.booked(&a.id, DAY, "10:00").item.id;
    let set = |status| {
        clinic.app.set_status(SetStatus {
            id: first.clone(),
            status,
            reason: None,
        })
    };
    let cancelled = set(AppointmentStatus::CancelledByClient).unwrap();
    assert_eq!(
        cancelled.item.status,
        AppointmentStatus::CancelledByClient,
        "two days before is in time"
    );
    clinic.booked(&b.id, DAY, "10:00");
    assert_eq!(refused(set(AppointmentStatus::Scheduled)), ErrorCode::SlotTaken);
}

#[test]
fn statuses_follow_the_state_machine_the_policy_and_the_clock() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let id = clinic.booked(&client.id, DAY, "10:00").item.id;
    let set = |status| {
        clinic.app.set_status(SetStatus {
            id: id.clone(),
            status,
            reason: None,
        })
    };
    assert_eq!(
        refused(set(AppointmentStatus::NoShow)),
        ErrorCode::TransitionRefused,
        "before the start"
    );
    clinic.turn_to(DAY, "09:00");
    assert_eq!(
        set(AppointmentStatus::CancelledByClient).unwrap().item.status,
        AppointmentStatus::LateCancelled
    );
    set(AppointmentStatus::Scheduled).unwrap();
    clinic.turn_to(DAY, "10:00");
    set(AppointmentStatus::InSession).unwrap();
    assert_eq!(refused(set(AppointmentStatus::NoShow)), ErrorCode::TransitionRefused);
    assert!(!set(AppointmentStatus::Completed).unwrap().movable);
}

#[test]
fn moving_keeps_the_length_and_checks_the_new_time() {
    let clinic = Clinic::new();
    let (a, b) = (clinic.client("Ellis", "Hana"), clinic.client("Novak", "Peter"));
    let moving = clinic.booked(&a.id, DAY, "10:00").item.id;
    clinic.booked(&b.id, DAY, "14:00");
    let to = |start: &str| {
        let request = MoveAppointment {
            id: moving.clone(),
            date: DAY.to_owned(),
            start_time: start.to_owned(),
            duration_minutes: None,
            therapist_id: None,
            room_id: None,
            override_reason: None,
        };
        clinic.app.move_appointment(request).unwrap()
    };
    assert!(matches!(to("14:10"), BookOutcome::SlotTaken { .. }));
    let BookOutcome::Booked { appointment } = to("10:20") else {
        panic!("its own time is no obstacle")
    };
    assert_eq!(
        (appointment.item.start_time.as_str(), appointment.item.end_time.as_str()),
        ("10:20", "11:10")
    );
}

#[test]
fn bad_times_and_unknown_people_are_told_field_by_field() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let good = clinic.booking(&client.id, DAY, "10:00");
    let cases = [
        (
            Book {
                date: "2026-02-30".to_owned(),
                ..good.clone()
            },
            "date",
            FieldProblem::NotADate,
        ),
        (
            Book {
                start_time: "25:00".to_owned(),
                ..good.clone()
            },
            "startTime",
            FieldProblem::NotATime,
        ),
        (
            Book {
                duration_minutes: 0,
                ..good.clone()
            },
            "durationMinutes",
            FieldProblem::OutOfRange,
        ),
        (
            Book {
                client_ids: Vec::new(),
                ..good.clone()
            },
            "clientIds",
            FieldProblem::Required,
        ),
        (
            Book {
                client_ids: vec!["x".to_owned()],
                ..good.clone()
            },
            "clientIds.0",
            FieldProblem::UnknownReference,
        ),
        (
            Book {
                therapist_id: client.id.clone(),
                ..good.clone()
            },
            "therapistId",
            FieldProblem::UnknownReference,
        ),
        (
            Book {
                room_id: Some("x".to_owned()),
                ..good
            },
            "roomId",
            FieldProblem::UnknownReference,
        ),
    ];
    for (request, path, problem) in cases {
        let error = clinic.app.book(request).err().unwrap();
        assert_eq!(
            error.fields,
            [FieldError {
                path: path.to_owned(),
                problem
            }]
        );
    }
}

#[test]
fn the_calendar_shows_a_column_per_therapist_and_today_what_waits() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    clinic.booked(&client.id, "2026-11-21", "10:00");
    clinic.booked(&client.id, DAY, "23:30");
    let calendar = clinic
        .app
        .calendar(CalendarRequest {
            from: "2026-11-21".to_owned(),
            days: 3,
            therapist_ids: Vec::new(),
        })
        .unwrap();
    assert_eq!(calendar.dates, ["2026-11-21", "2026-11-22", "2026-11-23"]);
    let [column] = calendar.columns.as_slice() else {
        panic!("one therapist")
    };
    assert_eq!(column.items.len(), 2);
    assert_eq!(
        (column.items[1].end_time.as_str(), column.items[1].duration_minutes),
        ("00:20", 50)
    );
    let today = clinic.app.today(TodayRequest { date: None }).unwrap();
    assert_eq!((today.items.len(), today.now_minute), (1, Some(540)));
    assert_eq!(today.next.unwrap().date, DAY);
    clinic.turn_to("2026-11-21", "12:00");
    let today = clinic.app.today(TodayRequest { date: None }).unwrap();
    let kinds: Vec<_> = today.attention.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [AttentionKind::MissingNote]);
}
