//! When appointments occupy time, for whom, and which of them overlap.
//!
//! Status and placement are two axes. The *status* says what happens to the session; every status but no-show and the cancelled ones occupies
//! time. The *placement* says what the service made of the booking: provisional until the service has it, then placed or contested.
//! Intervals are half-open, so 10:00-10:50 and 10:50-11:40 do not overlap.

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::time::Millis;

/// The longest appointment: one day. It bounds how far a search for overlaps must look.
pub const MAX_LENGTH: i64 = Millis::DAY;

/// What happens to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "snake_case")]
pub enum AppointmentStatus {
    /// Asked for by the client, not yet agreed.
    Requested,
    /// Agreed.
    #[default]
    Scheduled,
    /// Confirmed by the client.
    Confirmed,
    /// The client is here.
    Arrived,
    /// The session is going on.
    InSession,
    /// The session took place.
    Completed,
    /// The client did not come.
    NoShow,
    /// Cancelled by the client in time.
    CancelledByClient,
    /// Cancelled by the client after the policy window.
    LateCancelled,
    /// Cancelled by the therapist; never carries a fee.
    CancelledByTherapist,
}

impl AppointmentStatus {
    /// Every status, in the order of a session's life.
    pub const ALL: [Self; 10] = [
        Self::Requested,
        Self::Scheduled,
        Self::Confirmed,
        Self::Arrived,
        Self::InSession,
        Self::Completed,
        Self::NoShow,
        Self::CancelledByClient,
        Self::LateCancelled,
        Self::CancelledByTherapist,
    ];

    /// Whether the appointment takes time from therapist, room and client.
    #[must_use]
    pub const fn occupies(self) -> bool {
        !matches!(
            self,
            Self::NoShow | Self::CancelledByClient | Self::LateCancelled | Self::CancelledByTherapist
        )
    }

    /// The name used in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Scheduled => "scheduled",
            Self::Confirmed => "confirmed",
            Self::Arrived => "arrived",
            Self::InSession => "in_session",
            Self::Completed => "completed",
            Self::NoShow => "no_show",
            Self::CancelledByClient => "cancelled_by_client",
            Self::LateCancelled => "late_cancelled",
            Self::CancelledByTherapist => "cancelled_by_therapist",
        }
    }

    /// Reads the name used in documents.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// The statuses that may follow this one. Going back one step is how a wrong click is undone; history is kept by the audit log.
    #[must_use]
    pub const fn next(self) -> &'static [&'static str] {
        match self {
            Self::Requested => &[
                "scheduled",
                "confirmed",
                "cancelled_by_client",
                "cancelled_by_therapist",
            ],
            Self::Scheduled => &[
                "confirmed",
                "arrived",
                "in_session",
                "completed",
                "no_show",
                "cancelled_by_client",
                "late_cancelled",
                "cancelled_by_therapist",
            ],
            Self::Confirmed => &[
                "scheduled",
                "arrived",
                "in_session",
                "completed",
                "no_show",
                "cancelled_by_client",
                "late_cancelled",
                "cancelled_by_therapist",
            ],
            Self::Arrived => &[
                "scheduled",
                "confirmed",
                "in_session",
                "completed",
                "cancelled_by_therapist",
                "late_cancelled",
            ],
            Self::InSession => &["arrived", "completed"],
            Self::Completed => &["in_session", "arrived", "scheduled"],
            Self::NoShow | Self::CancelledByClient | Self::LateCancelled | Self::CancelledByTherapist => {
                &["scheduled", "confirmed"]
            }
        }
    }
}

/// What the service made of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Not yet at the service.
    Provisional,
    /// Holds its time.
    Placed,
    /// Overlaps a placed appointment; a person must settle it.
    Contested,
}

/// The placement that a document states; without one it is provisional.
#[must_use]
pub fn placement(document: &Document) -> Placement {
    match document.text("placement", "state") {
        Some("placed") => Placement::Placed,
        Some("contested") => Placement::Contested,
        _ => Placement::Provisional,
    }
}

/// The status that a document states; an unknown one counts as scheduled, because it then still occupies time.
#[must_use]
pub fn status(document: &Document) -> AppointmentStatus {
    document
        .text("status", "state")
        .and_then(AppointmentStatus::parse)
        .unwrap_or_default()
}

/// A half-open interval `[start, end)` of instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first instant inside.
    pub start: Millis,
    /// The first instant after.
    pub end: Millis,
}

impl Interval {
    /// Whether the two share any instant. An empty or reversed interval shares none.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start.0 < other.end.0
            && other.start.0 < self.end.0
            && self.start.0 < self.end.0
            && other.start.0 < other.end.0
    }
}

/// What kind of thing two appointments compete for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// One therapist's time.
    Therapist,
    /// One room.
    Room,
    /// One client's time.
    Client,
}

/// A therapist, a room or a client, as something that can be in one place at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// The kind.
    pub kind: ResourceKind,
    /// The id of the therapist, room or client.
    pub id: String,
}

/// The time an appointment takes and from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupation {
    /// When.
    pub interval: Interval,
    /// Therapist, room (if any) and every participant, sorted.
    pub resources: Vec<Resource>,
}

impl Occupation {
    /// The resource that the two compete for, if they overlap; the first in the order therapist, room, client.
    #[must_use]
    pub fn clash_with(&self, other: &Self) -> Option<&Resource> {
        if !self.interval.overlaps(other.interval) {
            return None;
        }
        self.resources
            .iter()
            .find(|resource| other.resources.contains(resource))
    }

    /// The keys under which a storage finds this occupation again: one per resource and UTC day touched, `t:<id>:<day>`, `r:...`, `c:...`.
    #[must_use]
    pub fn slots(&self) -> Vec<String> {
        let first = self.interval.start.utc_day();
        let last = Millis(self.interval.end.0 - 1).utc_day().min(first + 1);
        let mut slots = Vec::with_capacity(self.resources.len() * 2);
        for resource in &self.resources {
            let letter = match resource.kind {
                ResourceKind::Therapist => 't',
                ResourceKind::Room => 'r',
                ResourceKind::Client => 'c',
            };
            for day in first..=last {
                slots.push(format!("{letter}:{}:{day}", resource.id));
            }
        }
        slots
    }
}

/// The time that a document occupies by its `when` and `participants`, whatever its status; `None` when the interval is empty or unreadable.
#[must_use]
pub fn occupation_if_active(document: &Document) -> Option<Occupation> {
    let start = Millis(document.integer("when", "start")?);
    let end = Millis(document.integer("when", "end")?);
    if start >= end || end.0 - start.0 > MAX_LENGTH {
        return None;
    }
    let mut resources = Vec::new();
    let mut add = |kind, id: Option<&str>| {
        if let Some(id) = id.filter(|id| !id.is_empty()) {
            resources.push(Resource {
                kind,
                id: id.to_owned(),
            });
        }
    };
    add(ResourceKind::Therapist, document.text("when", "therapist"));
    add(ResourceKind::Room, document.text("when", "room"));
    if let Some(participants) = document.unit("participants").and_then(|unit| unit.as_object()) {
        for participant in participants.values() {
            add(
                ResourceKind::Client,
                participant.get("client").and_then(|id| id.as_str()),
            );
        }
    }
    resources.sort();
    resources.dedup();
    Some(Occupation {
        interval: Interval { start, end },
        resources,
    })
}

/// The time that a document occupies now; `None` when its status occupies none.
#[must_use]
pub fn occupation(document: &Document) -> Option<Occupation> {
    if status(document).occupies() {
        occupation_if_active(document)
    } else {
        None
    }
}

/// Whether cancelling at `now` is late: `now > start - window`, in real elapsed time; the boundary counts as in time.
#[must_use]
pub const fn cancellation_is_late(start: Millis, window_ms: i64, now: Millis) -> bool {
    now.0 > start.0 - window_ms
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    fn appointment(start: i64, end: i64, status: &str) -> Document {
        serde_json::from_value(json!({
            "when": {"start": start, "end": end, "therapist": "t1", "room": "r1"},
            "participants": {"x": {"client": "c1"}},
            "status": {"state": status},
        }))
        .unwrap()
    }

    #[test]
    fn appointments_that_touch_do_not_overlap() {
        let interval = |start, end| Interval {
            start: Millis(start),
            end: Millis(end),
        };
        for (a, b, overlaps) in [
            (interval(0, 10), interval(10, 20), false),
            (interval(0, 10), interval(9, 20), true),
            (interval(0, 10), interval(2, 3), true),
            (interval(5, 5), interval(0, 10), false),
            (interval(9, 3), interval(0, 10), false),
        ] {
            assert_eq!(a.overlaps(b), overlaps, "{a:?} {b:?}");
            assert_eq!(b.overlaps(a), overlaps, "{b:?} {a:?}");
        }
    }

    #[test]
    fn cancelled_appointment_frees_the_slot() {
        for status in AppointmentStatus::ALL {
            let occupied = occupation(&appointment(0, 10, status.as_str())).is_some();
            assert_eq!(occupied, status.occupies(), "{status:?}");
        }
    }

    #[test]
    fn an_unknown_status_of_a_newer_version_still_occupies_time() {
        assert!(occupation(&appointment(0, 10, "teleported")).is_some());
    }

    #[test]
    fn a_session_across_midnight_is_found_under_both_days() {
        let start = 10 * Millis::DAY - Millis::HOUR;
        let slots = occupation(&appointment(start, start + 2 * Millis::HOUR, "scheduled"))
            .unwrap()
            .slots();
        assert!(
            slots.contains(&"t:t1:9".to_owned()) && slots.contains(&"t:t1:10".to_owned()),
            "{slots:?}"
        );
        let until_midnight = occupation(&appointment(start, 10 * Millis::DAY, "scheduled"))
            .unwrap()
            .slots();
        assert!(!until_midnight.contains(&"t:t1:10".to_owned()), "the end is not inside");
    }

    #[test]
    fn every_transition_leads_to_a_known_status_and_none_to_itself() {
        for status in AppointmentStatus::ALL {
            for next in status.next() {
                let next = AppointmentStatus::parse(next).unwrap();
                assert_ne!(next, status);
            }
        }
    }

    #[test]
    fn a_cancellation_on_the_boundary_counts_as_in_time() {
        assert!(!cancellation_is_late(Millis(100), 40, Millis(60)));
        assert!(cancellation_is_late(Millis(100), 40, Millis(61)));
    }
}
