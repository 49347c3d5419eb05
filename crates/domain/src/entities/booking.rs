//! The appointment.

use super::Checks;
use crate::appointments::{AppointmentStatus, MAX_LENGTH};
use crate::document::{Document, Problem};
use crate::registry::{EntityType, Policy, ScopeRule, Unit, Writers};

/// `when{start, end, zone, therapist, room, location}`, `participants{client id: {client, role, attendance, payer}}`, `status{state, by, at,
/// reason}`, `service{modality, title, fee, currency}`, `note{text}` (the desk's), `documented{at}`, `booked{by, at}`,
/// `placement{state}`, `override{reason, by, at}`.
///
/// Start, end, therapist and room are one unit: a start from one desk with a room from another is a booking that nobody made.
pub(super) const APPOINTMENT: EntityType = EntityType {
    kind: "appointment",
    schema: 1,
    scope: ScopeRule::Office,
    writers: Writers::Everyone,
    units: &[
        Unit {
            name: "salt",
            policy: Policy::Immutable,
        },
        Unit {
            name: "booked",
            policy: Policy::Immutable,
        },
        Unit {
            name: "when",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "participants",
            policy: Policy::Set,
        },
        Unit {
            name: "status",
            policy: Policy::State(status_next),
        },
        Unit {
            name: "service",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "note",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "documented",
            policy: Policy::KeepBoth,
        },
        Unit {
            name: "placement",
            policy: Policy::Service,
        },
        Unit {
            name: "override",
            policy: Policy::Service,
        },
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
