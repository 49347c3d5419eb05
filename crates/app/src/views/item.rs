//! An appointment as lists and grids show it.

use caseload_domain::appointments::{self, Occupation};
use caseload_domain::time::{self, Millis};
use caseload_domain::{ClientId, Document};
use caseload_store::{Entity, ReadTx};
use chrono::Timelike;
use chrono_tz::Tz;

use super::header::display_name;
use super::office::{Office, client, shared, wall_in};
use crate::dto::{AppointmentStatus, CalendarItem, Modality, Participant, Placement};
use crate::fault::Fault;

/// Puts an appointment into words.
pub(crate) fn item(
    read: &ReadTx<'_>,
    office: &Office,
    entity: &Entity,
    published: bool,
) -> Result<CalendarItem, Fault> {
    let doc = &entity.doc;
    let zone_name = doc.text("when", "zone").unwrap_or(&office.zone_name);
    let zone = zone_of(doc, office);
    let (start, end) = bounds(doc);
    let wall = wall_in(start, zone);
    let end_wall = wall_in(end, zone);
    let therapist_id = doc.text("when", "therapist").unwrap_or_default().to_owned();
    let room_id = doc
        .text("when", "room")
        .filter(|room| !room.is_empty())
        .map(str::to_owned);
    let clash = match appointments::occupation(doc) {
        Some(occupation) => overlaps(read, &occupation, entity)?,
        None => false,
    };
    Ok(CalendarItem {
        id: entity.key.id.to_string(),
        date: wall.date().to_string(),
        start_time: wall.format("%H:%M").to_string(),
        end_time: end_wall.format("%H:%M").to_string(),
        start_minute: wall.hour() * 60 + wall.minute(),
        duration_minutes: u32::try_from((end.0 - start.0) / Millis::MINUTE).unwrap_or_default(),
        zone: zone_name.to_owned(),
        therapist_name: office.staff_name(&therapist_id),
        therapist_id,
        location_id: doc.text("when", "location").map(str::to_owned),
        room_name: room_id.as_deref().and_then(|room| office.room_name(room)),
        room_id,
        participants: participants(read, doc)?,
        status: status(appointments::status(doc)),
        placement: placement(doc, published),
        modality: modality(doc.text("service", "modality").unwrap_or_default()),
        documented: doc.unit("documented").is_some(),
        clash,
        override_reason: doc.text("override", "reason").map(str::to_owned),
        shared: shared(entity, published),
    })
}

/// Many at once.
pub(crate) fn items(
    read: &ReadTx<'_>,
    office: &Office,
    all: &[Entity],
    published: bool,
) -> Result<Vec<CalendarItem>, Fault> {
    all.iter().map(|entity| item(read, office, entity, published)).collect()
}

/// Start and end as stored; the beginning of time where they cannot be read.
pub(crate) fn bounds(doc: &Document) -> (Millis, Millis) {
    let instant = |member| Millis(doc.integer("when", member).unwrap_or_default());
    (instant("start"), instant("end"))
}

/// The zone in which an appointment was agreed.
pub(crate) fn zone_of(doc: &Document, office: &Office) -> Tz {
    doc.text("when", "zone")
        .and_then(|name| time::zone(name).ok())
        .unwrap_or(office.zone)
}

/// The clients who take part.
pub(crate) fn client_ids(doc: &Document) -> Vec<ClientId> {
    let participants = doc.unit("participants").and_then(|unit| unit.as_object());
    participants
        .into_iter()
        .flat_map(|participants| participants.values())
        .filter_map(|participant| participant.get("client")?.as_str()?.parse().ok())
        .collect()
}

fn overlaps(read: &ReadTx<'_>, occupation: &Occupation, entity: &Entity) -> Result<bool, Fault> {
    Ok(!read.overlapping(occupation, Some(entity.key.id))?.is_empty())
}

fn participants(read: &ReadTx<'_>, doc: &Document) -> Result<Vec<Participant>, Fault> {
    let mut shown = Vec::new();
    for id in client_ids(doc) {
        let found = client(read, id)?;
        shown.push(Participant {
            client_id: id.to_string(),
            name: found
                .as_ref()
                .map(|client| display_name(&client.doc))
                .unwrap_or_default(),
            number: found
                .as_ref()
                .and_then(|client| client.doc.text("number", "value"))
                .map(str::to_owned),
        });
    }
    shown.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.client_id.cmp(&b.client_id)));
    Ok(shown)
}

/// Without a service nothing is provisional: there is nobody else who could book.
fn placement(doc: &Document, published: bool) -> Placement {
    match appointments::placement(doc) {
        appointments::Placement::Placed => Placement::Placed,
        appointments::Placement::Contested => Placement::Contested,
        appointments::Placement::Provisional if published => Placement::Provisional,
        appointments::Placement::Provisional => Placement::Placed,
    }
}

pub(crate) fn status(status: appointments::AppointmentStatus) -> AppointmentStatus {
    use appointments::AppointmentStatus as Domain;
    match status {
        Domain::Requested => AppointmentStatus::Requested,
        Domain::Scheduled => AppointmentStatus::Scheduled,
        Domain::Confirmed => AppointmentStatus::Confirmed,
        Domain::Arrived => AppointmentStatus::Arrived,
        Domain::InSession => AppointmentStatus::InSession,
        Domain::Completed => AppointmentStatus::Completed,
        Domain::NoShow => AppointmentStatus::NoShow,
        Domain::CancelledByClient => AppointmentStatus::CancelledByClient,
        Domain::LateCancelled => AppointmentStatus::LateCancelled,
        Domain::CancelledByTherapist => AppointmentStatus::CancelledByTherapist,
    }
}

pub(crate) fn domain_status(status: AppointmentStatus) -> appointments::AppointmentStatus {
    use appointments::AppointmentStatus as Domain;
    match status {
        AppointmentStatus::Requested => Domain::Requested,
        AppointmentStatus::Scheduled => Domain::Scheduled,
        AppointmentStatus::Confirmed => Domain::Confirmed,
        AppointmentStatus::Arrived => Domain::Arrived,
        AppointmentStatus::InSession => Domain::InSession,
        AppointmentStatus::Completed => Domain::Completed,
        AppointmentStatus::NoShow => Domain::NoShow,
        AppointmentStatus::CancelledByClient => Domain::CancelledByClient,
        AppointmentStatus::LateCancelled => Domain::LateCancelled,
        AppointmentStatus::CancelledByTherapist => Domain::CancelledByTherapist,
    }
}

pub(crate) fn modality(name: &str) -> Modality {
    match name {
        "video" => Modality::Video,
        "voice" => Modality::Voice,
        "chat" => Modality::Chat,
        _ => Modality::InPerson,
    }
}

pub(crate) const fn modality_name(modality: Modality) -> &'static str {
    match modality {
        Modality::InPerson => "in_person",
        Modality::Video => "video",
        Modality::Voice => "voice",
        Modality::Chat => "chat",
    }
}
