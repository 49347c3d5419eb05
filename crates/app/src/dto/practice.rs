//! The practice, its people and places, and adding a computer or a person.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{Instant, Role};

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Practice {
    pub id: String,
    pub name: String,
    pub currency: String,
    pub published: bool,
    pub address: Option<String>,
    pub locations: Vec<Location>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Location {
    pub id: String,
    pub name: String,
    pub zone: String,
    pub address: String,
    pub phone: String,
    pub rooms: Vec<Room>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Room {
    pub id: String,
    pub name: String,
}

/// Replaces a location's letterhead details and adds, renames or keeps its rooms; a room left out is retired.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SaveLocation {
    pub id: String,
    pub name: String,
    pub address: String,
    pub phone: String,
    pub rooms: Vec<RoomInput>,
}

/// A room; without an id it is new.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RoomInput {
    pub id: Option<String>,
    pub name: String,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct StaffMember {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub admin: bool,
    /// Appointments can be booked with this person.
    pub treats: bool,
    pub licence: Option<String>,
    pub active: bool,
    /// Stable place in the palette of people's colours, from 0.
    pub colour: u32,
}

/// Connects a practice made offline to its service.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Publish {
    pub address: String,
    pub setup_code: String,
    /// Fingerprint of the service's own certificate authority, when the setup code does not carry it.
    pub pin: Option<String>,
}

/// Whom an enrolment code is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentKind {
    /// Another computer of the person signed in.
    OwnComputer,
    /// Someone new; admins only.
    Person,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct MintEnrolment {
    pub kind: EnrolmentKind,
    /// Needed for `person`.
    pub role: Option<Role>,
    pub full_name: Option<String>,
}

/// A code to be typed or pasted on the new computer; used once.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Enrolment {
    pub code: String,
    pub kind: EnrolmentKind,
    pub role: Role,
    pub expires_at: Instant,
}
