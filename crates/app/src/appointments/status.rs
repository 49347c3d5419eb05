//! What happens to an appointment: arrived, in session, completed, no-show, cancelled in time or late.

use caseload_domain::appointments::{self, AppointmentStatus as Domain, cancellation_is_late};
use caseload_domain::time::Millis;
use caseload_domain::{Document, EntityId};
use serde_json::{Value, json};

use super::{detail, existing, key, require_free};
use crate::app::{App, Core};
use crate::checks;
use crate::dto::{AppError, AppointmentDetail, AppointmentStatus, ErrorCode, SetStatus};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::views::item::{bounds, domain_status, status};

impl App {
    /// Changes the status along the state machine. Whether a client's cancellation is late follows from the policy that was in force when it was
    /// booked, whichever of the two was asked for.
    ///
    /// # Errors
    /// `transition_refused`, `slot_taken` when a cancelled appointment is taken up again and its time is not free any more, `not_found`.
    pub fn set_status(&self, request: SetStatus) -> Result<AppointmentDetail, AppError> {
        answer(
            "set_status",
            self.core.login().and_then(|login| set(&self.core, &login, &request)),
        )
    }
}

fn set(core: &Core, login: &Login, request: &SetStatus) -> Result<AppointmentDetail, Fault> {
    let id: EntityId = checks::id(&request.id)?;
    core.write_office(login, "appointment.status", |tx| {
        let present = existing(tx, id)?;
        let wanted = by_policy(domain_status(request.status), &present.doc, tx.at());
        if !is_possible(&present.doc, wanted, tx.at()) {
            return Err(ErrorCode::TransitionRefused.into());
        }
        let mut unit = json!({"state": wanted.as_str(), "by": login.user, "at": tx.at()});
        if let Some(reason) = request
            .reason
            .as_deref()
            .map(str::trim)
            .filter(|reason| !reason.is_empty())
        {
            unit["reason"] = Value::from(reason);
        }
        if wanted.occupies() && !appointments::status(&present.doc).occupies() {
            let mut again = present.doc.clone();
            again.set("status", unit.clone());
            require_free(tx, &again, Some(id))?;
        }
        Ok(tx.patch_unit(&key(id), "status", unit)?)
    })?;
    detail(core, login, id)
}

/// A client's cancellation is what the policy makes of it.
fn by_policy(wanted: Domain, doc: &Document, now: Millis) -> Domain {
    match wanted {
        Domain::CancelledByClient | Domain::LateCancelled if is_late(doc, now) => Domain::LateCancelled,
        Domain::CancelledByClient | Domain::LateCancelled => Domain::CancelledByClient,
        other => other,
    }
}

fn is_late(doc: &Document, now: Millis) -> bool {
    let hours = doc
        .integer("booked", "late_cancel_hours")
        .unwrap_or(crate::practice::LATE_CANCEL_HOURS);
    cancellation_is_late(bounds(doc).0, hours.saturating_mul(Millis::HOUR), now)
}

fn is_possible(doc: &Document, wanted: Domain, now: Millis) -> bool {
    let present = appointments::status(doc);
    let too_early = wanted == Domain::NoShow && now < bounds(doc).0;
    // Who has arrived and then leaves has still cancelled as the client, late by definition.
    present.next().contains(&wanted.as_str()) && !too_early
}

/// The statuses that would be accepted now.
pub(crate) fn next(doc: &Document, now: Millis) -> Vec<AppointmentStatus> {
    Domain::ALL
        .into_iter()
        .filter(|wanted| by_policy(*wanted, doc, now) == *wanted && is_possible(doc, *wanted, now))
        .map(status)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const START: i64 = 100 * Millis::HOUR;

    fn booked(state: &str) -> Document {
        serde_json::from_value(json!({
            "when": {"start": START, "end": START + Millis::HOUR},
            "status": {"state": state}, "booked": {"late_cancel_hours": 24},
        }))
        .unwrap()
    }

    #[test]
    fn a_cancellation_is_late_by_the_policy_in_force_when_it_was_booked() {
        let doc = booked("scheduled");
        let boundary = START - 24 * Millis::HOUR;
        assert_eq!(
            by_policy(Domain::LateCancelled, &doc, Millis(boundary)),
            Domain::CancelledByClient
        );
        assert_eq!(
            by_policy(Domain::CancelledByClient, &doc, Millis(boundary + 1)),
            Domain::LateCancelled
        );
        assert_eq!(
            by_policy(Domain::CancelledByTherapist, &doc, Millis(START)),
            Domain::CancelledByTherapist
        );
    }

    #[test]
    fn nobody_fails_to_come_before_the_start() {
        let doc = booked("confirmed");
        assert!(!is_possible(&doc, Domain::NoShow, Millis(START - 1)));
        assert!(is_possible(&doc, Domain::NoShow, Millis(START)));
    }

    #[test]
    fn only_one_kind_of_client_cancellation_is_offered() {
        let offered = next(&booked("scheduled"), Millis(START));
        assert!(offered.contains(&AppointmentStatus::LateCancelled));
        assert!(!offered.contains(&AppointmentStatus::CancelledByClient));
    }
}
