//! What is needed again and again while an answer is put together: the names of people, places and computers, the zone, the present moment.

use std::collections::HashMap;

use caseload_domain::time::{self, Millis};
use caseload_domain::{ClientId, EntityKey};
use caseload_store::{Entity, ReadTx};
use chrono::{NaiveDate, NaiveDateTime, Timelike};
use chrono_tz::Tz;

use crate::dto::{Role, StaffMember};
use crate::fault::Fault;

/// Facts of the practice, read once for each answer.
pub(crate) struct Office {
    pub(crate) practice_name: String,
    pub(crate) currency: String,
    /// The practice's own zone; locations have theirs.
    pub(crate) zone: Tz,
    pub(crate) zone_name: String,
    pub(crate) late_cancel_hours: i64,
    pub(crate) now: Millis,
    pub(crate) staff: Vec<StaffMember>,
    pub(crate) locations: Vec<Entity>,
    rooms: HashMap<String, String>,
    /// Computers: id and name.
    devices: HashMap<String, String>,
    /// Which computer a replica is on.
    replicas: HashMap<String, String>,
}

impl Office {
    /// Reads the facts as they are now.
    pub(crate) fn read(read: &ReadTx<'_>, now: Millis) -> Result<Self, Fault> {
        let practice = read.practice()?;
        let text = |unit: &str, member: &str| {
            practice
                .as_ref()
                .and_then(|practice| practice.doc.text(unit, member))
                .unwrap_or_default()
                .to_owned()
        };
        let locations = read.locations()?;
        let mut devices = HashMap::new();
        let mut replicas = HashMap::new();
        for device in read.devices()? {
            let id = device.key.id.to_string();
            let elements = device.doc.unit("replicas").and_then(|unit| unit.as_object());
            replicas.extend(
                elements
                    .into_iter()
                    .flat_map(|all| all.keys())
                    .map(|replica| (replica.clone(), id.clone())),
            );
            devices.insert(id, device.doc.text("name", "display").unwrap_or_default().to_owned());
        }
        let zone_name = text("zone", "tz");
        Ok(Self {
            practice_name: text("name", "display"),
            currency: text("currency", "code"),
            zone: time::zone(&zone_name).unwrap_or(Tz::UTC),
            zone_name,
            late_cancel_hours: practice
                .as_ref()
                .and_then(|practice| practice.doc.integer("policy", "late_cancel_hours"))
                .unwrap_or(crate::practice::LATE_CANCEL_HOURS),
            now,
            staff: read.staff()?.iter().enumerate().map(staff_member).collect(),
            rooms: locations.iter().flat_map(rooms_of).collect(),
            locations,
            devices,
            replicas,
        })
    }

    /// The name of a person; empty for one who is not known here.
    pub(crate) fn staff_name(&self, id: &str) -> String {
        self.staff
            .iter()
            .find(|person| person.id == id)
            .map(|person| person.name.clone())
            .unwrap_or_default()
    }

    pub(crate) fn room_name(&self, id: &str) -> Option<String> {
        self.rooms.get(id).cloned()
    }

    pub(crate) fn device_name(&self, id: &str) -> Option<String> {
        self.devices.get(id).cloned().filter(|name| !name.is_empty())
    }

    /// The computer that a replica is on.
    pub(crate) fn device_of_replica(&self, replica: &str) -> Option<&String> {
        self.replicas.get(replica)
    }

    /// The present local day.
    pub(crate) fn today(&self) -> NaiveDate {
        self.wall(self.now).date()
    }

    /// Minutes from local midnight.
    pub(crate) fn now_minute(&self) -> u32 {
        let wall = self.wall(self.now);
        wall.hour() * 60 + wall.minute()
    }

    /// What a clock in the practice shows.
    pub(crate) fn wall(&self, at: Millis) -> NaiveDateTime {
        wall_in(at, self.zone)
    }

    /// The local date of an instant.
    pub(crate) fn date_of(&self, at: Millis) -> String {
        self.wall(at).date().to_string()
    }

    /// Local date and time of an instant, `YYYY-MM-DD HH:MM`.
    pub(crate) fn minute_of(&self, at: Millis) -> String {
        self.wall(at).format("%Y-%m-%d %H:%M").to_string()
    }
}

/// What a clock in `zone` shows; an instant beyond every calendar shows the earliest date.
pub(crate) fn wall_in(at: Millis, zone: Tz) -> NaiveDateTime {
    time::wall(at, zone).unwrap_or(NaiveDateTime::MIN)
}

fn staff_member((position, entity): (usize, &Entity)) -> StaffMember {
    let role = role(entity.doc.text("role", "role").unwrap_or_default());
    let admin = entity
        .doc
        .unit("role")
        .and_then(|unit| unit.get("admin")?.as_bool())
        .unwrap_or_default();
    let state = entity.doc.text("status", "state").unwrap_or_default();
    StaffMember {
        id: entity.key.id.to_string(),
        name: entity.doc.text("name", "display").unwrap_or_default().to_owned(),
        role,
        admin,
        treats: role == Role::Therapist,
        licence: entity
            .doc
            .text("professional", "licence")
            .filter(|licence| !licence.is_empty())
            .map(str::to_owned),
        active: state != "left",
        colour: u32::try_from(position).unwrap_or_default(),
    }
}

/// The role of this name; an unknown one has the fewest rights.
pub(crate) fn role(name: &str) -> Role {
    match name {
        "therapist" => Role::Therapist,
        "admin" => Role::Admin,
        _ => Role::FrontDesk,
    }
}

/// The rooms of a location: id and name, by name.
pub(crate) fn rooms_of(location: &Entity) -> Vec<(String, String)> {
    let rooms = location.doc.unit("rooms").and_then(|rooms| rooms.as_object());
    let mut rooms: Vec<(String, String)> = rooms
        .into_iter()
        .flatten()
        .map(|(id, room)| {
            (
                id.clone(),
                room.get("name")
                    .and_then(|name| name.as_str())
                    .unwrap_or_default()
                    .to_owned(),
            )
        })
        .collect();
    rooms.sort_by(|a, b| a.1.cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
    rooms
}

/// A client that is there and not void.
pub(crate) fn client(read: &ReadTx<'_>, id: ClientId) -> Result<Option<Entity>, Fault> {
    Ok(read
        .get(&EntityKey::new("client", id.entity()))?
        .filter(|entity| !entity.deleted))
}

/// Whether everything of an entity is at the service; always so in a practice without one.
pub(crate) fn shared(entity: &Entity, published: bool) -> bool {
    !published || !entity.pending
}
