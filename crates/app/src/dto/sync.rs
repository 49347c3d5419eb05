//! Sharing with the practice's service: what waits, what was refused, what a person has to settle, and proof of equality.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{CalendarItem, ErrorCode, Instant, Resource, Slot};

/// Kinds of records, as the window refreshes by them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum EntityType {
    Practice,
    Location,
    StaffMember,
    Device,
    Client,
    ClientChart,
    RelatedPerson,
    CareRelationship,
    Appointment,
    Session,
    SessionNote,
    Addendum,
    Prescription,
    Conflict,
    Clash,
    Other,
}

/// Event `changed`: these kinds of records are different now, by this window or by sharing.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    pub types: Vec<EntityType>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum SyncState {
    /// The practice has no service yet.
    NotPublished,
    /// Everything is shared.
    UpToDate,
    Sharing,
    /// Changes wait and the next attempt is due by itself.
    Waiting,
    Offline,
    /// Sharing stopped until a person does something; `problem` says what.
    Stopped,
}

/// Answer of the sharing commands and payload of the event `sync`.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SyncOverview {
    pub state: SyncState,
    pub problem: Option<ErrorCode>,
    pub address: Option<String>,
    pub device_name: Option<String>,
    /// Changes not yet at the service, over all files of this computer.
    pub waiting: u32,
    pub oldest_waiting_at: Option<Instant>,
    pub last_success_at: Option<Instant>,
    pub replicas: Vec<ReplicaOverview>,
    pub refused: Vec<RefusedChange>,
    /// Open ones that this login may see.
    pub conflicts: u32,
    pub clashes: u32,
    /// What a restored service lost and this login may bring back.
    pub reoffers: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaKind {
    Office,
    Clinical,
}

/// One file of this computer; a clinical file shows its count and age to everyone, never content.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaOverview {
    pub kind: ReplicaKind,
    pub owner_name: Option<String>,
    pub waiting: u32,
    pub oldest_waiting_at: Option<Instant>,
    pub last_success_at: Option<Instant>,
}

/// A change that the service did not take. It is kept here.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RefusedChange {
    pub id: String,
    pub entity: EntityType,
    pub entity_id: String,
    /// Whose record, when the login may see it.
    pub title: Option<String>,
    pub code: ErrorCode,
    pub at: Instant,
}

/// The same thing changed twice.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    pub id: String,
    pub entity: EntityType,
    pub entity_id: String,
    pub client_id: Option<String>,
    /// Whose record: the client's or person's name.
    pub title: String,
    /// The unit, named as in the edit request (`phone`, `address`, `name`); the window has the words.
    pub unit: String,
    pub clinical: bool,
    /// `a` is in force now, `b` came second.
    pub a: ConflictValue,
    pub b: ConflictValue,
    /// A value of the person's own can be typed as one text.
    pub may_type: bool,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ConflictValue {
    /// As a person reads it; several lines for several members.
    pub text: String,
    pub by: String,
    pub at: Option<Instant>,
    pub device_name: Option<String>,
}

/// How a conflict is settled.
#[derive(Clone, Deserialize, Type)]
#[serde(tag = "choice", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ConflictChoice {
    KeepA,
    KeepB,
    Typed { value: String },
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SettleConflict {
    pub id: String,
    pub choice: ConflictChoice,
}

/// Two appointments that take the same therapist, room or client.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Clash {
    pub id: String,
    pub resources: Vec<Resource>,
    /// Placed: it came to the service first.
    pub a: CalendarItem,
    /// Contested.
    pub b: CalendarItem,
    /// They no longer overlap: `place` accepts b as it is.
    pub free_now: bool,
    /// Nearest free times, for each.
    pub slots_a: Vec<Slot>,
    pub slots_b: Vec<Slot>,
}

/// How a clash is settled.
#[derive(Clone, Deserialize, Type)]
#[serde(tag = "choice", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ClashChoice {
    /// b is cancelled.
    KeepA,
    /// a is cancelled and b placed.
    KeepB,
    MoveA {
        date: String,
        start_time: String,
    },
    MoveB {
        date: String,
        start_time: String,
    },
    KeepBoth {
        reason: String,
    },
    Place,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SettleClash {
    pub id: String,
    pub choice: ClashChoice,
}

/// A record that the service, restored from a copy, had lost and a computer offered back.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Reoffer {
    pub id: String,
    pub entity: EntityType,
    pub entity_id: String,
    /// The client whose record was lost, when she is here.
    pub client_id: Option<String>,
    /// Whose record: the client's name, else the record's own, where it is known.
    pub title: Option<String>,
    pub clinical: bool,
    /// The record exists in another form.
    pub is_here: bool,
    /// The form in which it exists is that it was removed.
    pub removed_here: bool,
    /// What is offered back is that it was removed.
    pub removed: bool,
    /// What differs between the two forms, or everything when the record is not here. Empty when nothing differs that a person reads.
    pub parts: Vec<ReofferPart>,
    /// The person signed in may decide.
    pub may_settle: bool,
    /// Who was signed in on the computer that offered it.
    pub by: String,
    pub device_name: Option<String>,
    pub at: Option<Instant>,
}

/// One part of a record in its two forms; several lines for several members, a code for a member of a closed list.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ReofferPart {
    /// A unit as in the edit request (`phone`, `schedule`), or the section of a note; the window has the words.
    pub name: String,
    /// As it is now; empty when it is not there.
    pub here: String,
    pub offered: String,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SettleReoffer {
    pub id: String,
    /// The row comes back; otherwise it stays a record of what was lost.
    pub accept: bool,
}

/// Sums over everything held here, to be compared with other computers and the service.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Checksum {
    pub scopes: Vec<ScopeChecksum>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ScopeChecksum {
    pub kind: ReplicaKind,
    pub owner_name: Option<String>,
    pub records: u32,
    /// Hex.
    pub here: String,
    /// The service's sum over the same records, when it could be asked.
    pub service: Option<String>,
    /// Records that were altered, missing or too many here and were fetched again from the service before `here` was summed.
    pub repaired: u32,
}

/// What walking one audit chain found. For the command line; the window has no screen for it yet.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AuditVerification {
    pub kind: ReplicaKind,
    pub entries: u32,
    /// The number of the first entry that does not fit; null when all do.
    pub first_bad: Option<u32>,
}
