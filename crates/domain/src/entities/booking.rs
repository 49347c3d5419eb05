//! The appointment.

use super::Checks;
use crate::appointments::{AppointmentStatus, MAX_LENGTH};
use crate::document::{Document, Problem};
use crate::registry::{EntityType, Policy, ScopeRule, Unit, Writers};

/// `when{start, end, zone, therapist, room, location}`, `participants{client id: {client, role, attendance, payer}}`, `status{state, by, at,
/// reason}`, `service{modality, title, fee, currency}`, `note{text}` (the desk's), `documented{at}`, `booked{by, at}`,
/// `placement{state, prev_when}`, `override{reason, by, at}`. `prev_when` is the `when` from which a placed booking was moved into a clash.
///
/// Start, end, therapist and room are one unit: a start from one desk with a room from another is a booking that nobody made.
pub(super) const APPOINTMENT: EntityType = EntityType {
    kind: "appointment",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit::new(
            "salt",
            Policy::Immutable,
            "Random and never changed, so that a hash of the record reveals nothing that could be guessed.",
        ),
        Unit::new(
            "booked",
            Policy::Immutable,
            "Who took the booking and when is a fact about the past.",
        ),
        Unit::new(
            "when",
            Policy::KeepBoth,
            "Start, end, therapist and room are one promise to the client; a start from one desk with a room from another is a booking that nobody made.",
        ),
        Unit::new(
            "participants",
            Policy::Set,
            "A partner added at one desk is not lost because a child was added at another.",
        ),
        Unit::new(
            "status",
            Policy::State(status_next),
            "Arrived, completed or cancelled follows from the present state; a cancellation against a move is shown to a person.",
        ),
        Unit::new(
            "service",
            Policy::KeepBoth,
            "Kind of session, fee and currency are agreed together.",
        ),
        Unit::new(
            "note",
            Policy::KeepBoth,
            "What the desk wrote for the day is not replaced unseen.",
        ),
        Unit::new(
            "documented",
            Policy::KeepBoth,
            "That a note exists is a mark with a time; two marks are compared.",
        ),
        Unit::new(
            "placement",
            Policy::Service,
            "Which of two bookings has the hour is known only where all bookings arrive: first come is placed, the other contested.",
        ),
        Unit::new(
            "override",
            Policy::Service,
            "A double booking on purpose carries the name and the reason of whoever allowed it, through an operation of its own.",
        ),
    ],
    freeze: None,
    vouching: &[],
    validate: |document: &Document| {
        Checks::of(document)
            .id("when", "therapist")
            .zone("when", "zone")
            .state("status", &AppointmentStatus::ALL.map(AppointmentStatus::as_str))
            .optional_amount("service", "fee")
            .texts("note")
            .also(
                |document, checks| match (document.integer("when", "start"), document.integer("when", "end")) {
                    (Some(start), Some(end)) if end <= start => checks.report("when.end", Problem::EndNotAfterStart),
                    (Some(start), Some(end)) if end - start > MAX_LENGTH => {
                        checks.report("when.end", Problem::OutOfRange)
                    }
                    (Some(_), Some(_)) => {}
                    (None, _) => checks.report("when.start", Problem::Required),
                    (_, None) => checks.report("when.end", Problem::Required),
                },
            )
            .also(|document, checks| {
                let participants = document.unit("participants").and_then(|unit| unit.as_object());
                if participants.is_none_or(serde_json::Map::is_empty) {
                    checks.report("participants", Problem::Required);
                }
            })
            .finish()
    },
};

fn status_next(state: &str) -> &'static [&'static str] {
    AppointmentStatus::parse(state).map_or(&[], AppointmentStatus::next)
}
