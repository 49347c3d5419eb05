//! The day, the calendar and what can be done to an appointment.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{ClientHeader, NoteState, NoteSummary};

/// Where an appointment stands in the day's work.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum AppointmentStatus {
    Requested,
    Scheduled,
    Confirmed,
    Arrived,
    InSession,
    Completed,
    NoShow,
    CancelledByClient,
    LateCancelled,
    CancelledByTherapist,
}

/// Whether the service has accepted the time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    Provisional,
    Placed,
    Contested,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Modality {
    InPerson,
    Video,
    Voice,
    Chat,
}

/// An appointment as lists and grids show it, in the local time of its location.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CalendarItem {
    pub id: String,
    pub date: String,
    pub start_time: String,
    pub end_time: String,
    /// Minutes from local midnight of `date`.
    pub start_minute: u32,
    pub duration_minutes: u32,
    pub zone: String,
    pub therapist_id: String,
    pub therapist_name: String,
    pub location_id: Option<String>,
    pub room_id: Option<String>,
    pub room_name: Option<String>,
    pub participants: Vec<Participant>,
    pub status: AppointmentStatus,
    pub placement: Placement,
    pub modality: Modality,
    /// A note exists for it; by whom and what is not said.
    pub documented: bool,
    /// Overlaps another one that occupies the same therapist, room or client.
    pub clash: bool,
    pub override_reason: Option<String>,
    /// The service has this version. True for everything in a practice that is not published.
    pub shared: bool,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    pub client_id: String,
    pub name: String,
    pub number: Option<String>,
}

/// Without a date, the location's present day.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TodayRequest {
    pub date: Option<String>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Today {
    pub date: String,
    /// Minutes from local midnight now, when `date` is the present day.
    pub now_minute: Option<u32>,
    /// A therapist's own sessions; everyone's for the desk.
    pub items: Vec<CalendarItem>,
    /// The first session after this day.
    pub next: Option<CalendarItem>,
    /// The signed-in clinician's own notes of these sessions, the ones entered in error left out.
    pub notes: Vec<SessionNote>,
    pub attention: Vec<Attention>,
}

/// That a session has a note, and how far it is. Nothing of what it says.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SessionNote {
    pub id: String,
    pub appointment_id: String,
    pub state: NoteState,
}

/// Why something waits for a person.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    Conflict,
    Clash,
    RefusedChange,
    UnsignedNote,
    /// A past session of this therapist without a note.
    MissingNote,
    /// A client whom no therapist treats yet.
    NeedsTherapist,
    /// A restored service lost something that this login may bring back; one entry for all.
    OfferedBack,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Attention {
    pub kind: AttentionKind,
    /// The record it is about: conflict, clash, refused change, note, appointment or client.
    pub id: String,
    pub client_id: Option<String>,
    pub client_name: Option<String>,
    /// Local day it belongs to, when it has one.
    pub date: Option<String>,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CalendarRequest {
    pub from: String,
    /// 1 to 42.
    pub days: u32,
    /// Empty means everyone who treats.
    pub therapist_ids: Vec<String>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Calendar {
    pub from: String,
    /// The local dates, in order.
    pub dates: Vec<String>,
    pub today: String,
    pub now_minute: u32,
    pub zone: String,
    pub columns: Vec<CalendarColumn>,
}

/// One therapist with everything of hers in the range, by date and start. Cancelled ones are included.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CalendarColumn {
    pub therapist_id: String,
    pub name: String,
    pub colour: u32,
    pub items: Vec<CalendarItem>,
}

/// One appointment with what its panel shows.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AppointmentDetail {
    pub item: CalendarItem,
    /// One per participant.
    pub headers: Vec<ClientHeader>,
    /// What `set_status` would accept now.
    pub next_statuses: Vec<AppointmentStatus>,
    pub movable: bool,
    /// The open clash it is part of.
    pub clash_id: Option<String>,
    pub may_write_note: bool,
    /// Its notes, for clinicians who may read them.
    pub notes: Vec<NoteSummary>,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Book {
    pub client_ids: Vec<String>,
    pub therapist_id: String,
    /// Without one, the practice's first location.
    pub location_id: Option<String>,
    pub room_id: Option<String>,
    pub date: String,
    pub start_time: String,
    pub duration_minutes: u32,
    pub modality: Modality,
    /// Books over a clash; stays visible on the slot.
    pub override_reason: Option<String>,
}

/// What is absent stays as it is.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct MoveAppointment {
    pub id: String,
    pub date: String,
    pub start_time: String,
    pub duration_minutes: Option<u32>,
    pub therapist_id: Option<String>,
    pub room_id: Option<String>,
    pub override_reason: Option<String>,
}

/// Booked or moved, or refused because the time is taken.
#[derive(Clone, Serialize, Type)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum BookOutcome {
    Booked {
        appointment: Box<AppointmentDetail>,
    },
    /// Nothing was changed. Ask again with a reason, or take one of the slots.
    SlotTaken {
        taken_by: Vec<TakenBy>,
        slots: Vec<Slot>,
    },
}

/// What of an appointment is taken twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Therapist,
    Room,
    Client,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct TakenBy {
    pub resources: Vec<Resource>,
    pub item: CalendarItem,
}

/// A free time of the same length.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    pub date: String,
    pub start_time: String,
    pub end_time: String,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SetStatus {
    pub id: String,
    pub status: AppointmentStatus,
    pub reason: Option<String>,
}
