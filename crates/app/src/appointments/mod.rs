//! Appointments: booking, moving, what happens to them. The overlap of therapist, room and client is checked inside the write, on every path.

mod status;

use caseload_domain::appointments::{self, Occupation, ResourceKind, occupation};
use caseload_domain::time::{self, Millis};
use caseload_domain::{ClientId, Document, EntityId, EntityKey};
use caseload_store::{Entity, ReadTx, WriteTx};
use serde_json::{Map, Value, json};

use crate::app::{App, Core};
use crate::checks::{self, Checks};
use crate::dto::{
    AppError, AppointmentDetail, Book, BookOutcome, ById, ErrorCode, FieldProblem, MoveAppointment, Resource, TakenBy,
};
use crate::fault::{Fault, answer};
use crate::login::{Login, treated_by};
use crate::notes;
use crate::people::treating;
use crate::practice::document;
use crate::slots;
use crate::views::header::{add_clinical, header};
use crate::views::item::{bounds, client_ids, item, modality_name, zone_of};
use crate::views::office::{Office, client, rooms_of};

/// The longest appointment that is booked, in minutes.
const LONGEST: u32 = 24 * 60;

impl App {
    /// One appointment with what its panel shows.
    ///
    /// # Errors
    /// `not_found`.
    pub fn appointment(&self, request: ById) -> Result<AppointmentDetail, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| detail(&self.core, &login, checks::id(&request.id)?));
        answer("appointment", done)
    }

    /// Books, or answers what takes the time already. With a reason it books all the same.
    ///
    /// # Errors
    /// `invalid_fields`.
    pub fn book(&self, request: Book) -> Result<BookOutcome, AppError> {
        answer(
            "book",
            self.core.login().and_then(|login| book(&self.core, &login, &request)),
        )
    }

    /// Moves, under the same rules as booking.
    ///
    /// # Errors
    /// `invalid_fields`, `not_found`, `transition_refused` for an appointment that is over, going on or cancelled.
    pub fn move_appointment(&self, request: MoveAppointment) -> Result<BookOutcome, AppError> {
        answer(
            "move_appointment",
            self.core
                .login()
                .and_then(|login| reschedule(&self.core, &login, &request)),
        )
    }
}

/// The entity of an appointment.
pub(crate) fn key(id: EntityId) -> EntityKey {
    EntityKey::new("appointment", id)
}

/// An appointment that is there and not void.
pub(crate) fn existing(read: &ReadTx<'_>, id: EntityId) -> Result<Entity, Fault> {
    read.get(&key(id))?
        .filter(|entity| !entity.deleted)
        .ok_or(Fault::Rule(ErrorCode::NotFound))
}

/// Why a time cannot be had: whoever asked answers it as an outcome, not as an error.
pub(crate) enum Booked<T> {
    Done(T),
    Taken,
}

/// Stops the transaction when `wanted` overlaps anything else that takes the same therapist, room or client.
pub(crate) fn require_free(tx: &WriteTx<'_>, wanted: &Document, except: Option<EntityId>) -> Result<(), Fault> {
    let Some(occupation) = occupation(wanted) else {
        return Ok(());
    };
    if tx.overlapping(&occupation, except)?.is_empty() {
        Ok(())
    } else {
        Err(ErrorCode::SlotTaken.into())
    }
}

fn taken_is_an_answer<T>(done: Result<T, Fault>) -> Result<Booked<T>, Fault> {
    match done {
        Ok(value) => Ok(Booked::Done(value)),
        Err(Fault::Rule(ErrorCode::SlotTaken)) => Ok(Booked::Taken),
        Err(fault) => Err(fault),
    }
}

fn book(core: &Core, login: &Login, request: &Book) -> Result<BookOutcome, Fault> {
    let reason = override_reason(request.override_reason.as_deref())?;
    let wanted = login.office.read(|read| planned(read, core, login, request))?;
    let done = core.write_office(login, "appointment.book", |tx| {
        if reason.is_none() {
            require_free(tx, &wanted, None)?;
        }
        let key = tx.create_new("appointment", wanted.clone())?;
        override_if(tx, &key, reason)?;
        Ok(key.id)
    });
    outcome(core, login, taken_is_an_answer(done)?, &wanted, None)
}

fn override_reason(given: Option<&str>) -> Result<Option<&str>, Fault> {
    given.map(checks::reason).transpose()
}

/// An override is recorded only where there is something to override.
fn override_if(tx: &mut WriteTx<'_>, key: &EntityKey, reason: Option<&str>) -> Result<(), Fault> {
    let Some(reason) = reason else { return Ok(()) };
    let present = tx.get(key)?.and_then(|entity| occupation(&entity.doc));
    let overlapping = match present {
        Some(occupation) => tx.overlapping(&occupation, Some(key.id))?,
        None => Vec::new(),
    };
    if !overlapping.is_empty() {
        tx.override_booking(key, reason)?;
    }
    Ok(())
}

/// The document of a booking, with everything that the request names checked.
fn planned(read: &ReadTx<'_>, core: &Core, login: &Login, request: &Book) -> Result<Document, Fault> {
    let office = Office::read(read, core.now())?;
    let therapist = treating(&office, "therapistId", &request.therapist_id)?;
    let location = location(&office, request.location_id.as_deref())?;
    let room = room(location, request.room_id.as_deref())?;
    let zone = location.doc.text("zone", "tz").unwrap_or(&office.zone_name);
    let when = When {
        date: &request.date,
        start_time: &request.start_time,
        minutes: request.duration_minutes,
        zone,
    };
    let mut unit = when.unit()?;
    unit.insert("therapist".to_owned(), json!(therapist));
    unit.insert("location".to_owned(), json!(location.key.id));
    unit.extend(room.map(|room| ("room".to_owned(), Value::from(room))));
    if request.client_ids.is_empty() {
        return Err(Fault::field("clientIds", FieldProblem::Required));
    }
    let mut participants = Map::new();
    for (index, id) in request.client_ids.iter().enumerate() {
        let path = format!("clientIds.{index}");
        let id: ClientId = checks::reference(&path, id)?;
        client(read, id)?.ok_or_else(|| Fault::field(path, FieldProblem::UnknownReference))?;
        participants.insert(id.to_string(), json!({"client": id, "role": "client"}));
    }
    Ok(document([
        (
            "booked",
            json!({"by": login.user, "at": core.now(), "late_cancel_hours": office.late_cancel_hours}),
        ),
        ("when", Value::Object(unit)),
        ("participants", Value::Object(participants)),
        ("status", json!({"state": "scheduled"})),
        ("service", json!({"modality": modality_name(request.modality)})),
    ]))
}

fn location<'a>(office: &'a Office, wanted: Option<&str>) -> Result<&'a Entity, Fault> {
    match wanted {
        None => office.locations.first().ok_or(Fault::Rule(ErrorCode::NotFound)),
        Some(id) => office
            .locations
            .iter()
            .find(|location| location.key.id.to_string() == id)
            .ok_or_else(|| Fault::field("locationId", FieldProblem::UnknownReference)),
    }
}

fn room(location: &Entity, wanted: Option<&str>) -> Result<Option<String>, Fault> {
    match wanted.filter(|room| !room.is_empty()) {
        None => Ok(None),
        Some(id) if rooms_of(location).iter().any(|(room, _)| room == id) => Ok(Some(id.to_owned())),
        Some(_) => Err(Fault::field("roomId", FieldProblem::UnknownReference)),
    }
}

/// A time as a person said it.
pub(crate) struct When<'a> {
    pub(crate) date: &'a str,
    pub(crate) start_time: &'a str,
    pub(crate) minutes: u32,
    pub(crate) zone: &'a str,
}

impl When<'_> {
    /// Start, end, zone and wall time of the unit `when`. The wall time is what was agreed.
    pub(crate) fn unit(&self) -> Result<Map<String, Value>, Fault> {
        let mut check = Checks::default();
        let date = check.date("date", self.date);
        let start_time = check.time("startTime", self.start_time);
        let zone = check.zone("zone", self.zone);
        if self.minutes == 0 || self.minutes > LONGEST {
            check.problem("durationMinutes", FieldProblem::OutOfRange);
        }
        check.done()?;
        let (Some(date), Some(start_time), Some(zone)) = (date, start_time, zone) else {
            return Err(ErrorCode::InvalidRequest.into());
        };
        let (start, how) =
            time::instant(date, start_time, zone).map_err(|_| Fault::field("startTime", FieldProblem::NoSuchTime))?;
        if how == time::Resolution::Skipped {
            return Err(Fault::field("startTime", FieldProblem::NoSuchTime));
        }
        let end = start.0 + i64::from(self.minutes) * Millis::MINUTE;
        let wall = format!("{}T{}", self.date, self.start_time);
        let unit = json!({"start": start, "end": end, "zone": self.zone, "wall": wall});
        Ok(unit.as_object().cloned().unwrap_or_default())
    }
}

fn reschedule(core: &Core, login: &Login, request: &MoveAppointment) -> Result<BookOutcome, Fault> {
    let id: EntityId = checks::id(&request.id)?;
    let reason = override_reason(request.override_reason.as_deref())?;
    let wanted = login.office.read(|read| moved(read, core, id, request))?;
    let done = core.write_office(login, "appointment.move", |tx| {
        let present = existing(tx, id)?;
        if !is_movable(&present.doc) {
            return Err(ErrorCode::TransitionRefused.into());
        }
        if reason.is_none() {
            require_free(tx, &wanted, Some(id))?;
        }
        let when = wanted.unit("when").cloned().unwrap_or_default();
        tx.overlay_unit(&key(id), "when", when)?;
        override_if(tx, &key(id), reason)?;
        Ok(id)
    });
    outcome(core, login, taken_is_an_answer(done)?, &wanted, Some(id))
}

/// An appointment as it would be after the move.
fn moved(read: &ReadTx<'_>, core: &Core, id: EntityId, request: &MoveAppointment) -> Result<Document, Fault> {
    let office = Office::read(read, core.now())?;
    let present = existing(read, id)?;
    let (start, end) = bounds(&present.doc);
    let present_minutes = u32::try_from((end.0 - start.0) / Millis::MINUTE).unwrap_or(LONGEST);
    let when = When {
        date: &request.date,
        start_time: &request.start_time,
        minutes: request.duration_minutes.unwrap_or(present_minutes),
        zone: present.doc.text("when", "zone").unwrap_or(&office.zone_name),
    };
    let mut unit = when.unit()?;
    if let Some(therapist) = &request.therapist_id {
        unit.insert(
            "therapist".to_owned(),
            json!(treating(&office, "therapistId", therapist)?),
        );
    }
    if let Some(wanted) = &request.room_id {
        let location = location(&office, present.doc.text("when", "location"))?;
        unit.insert("room".to_owned(), json!(room(location, Some(wanted))?));
    }
    let mut wanted = present.doc;
    let merged = caseload_domain::document::overlay(wanted.unit("when"), Value::Object(unit));
    wanted.set("when", merged);
    Ok(wanted)
}

/// Moves one side of a clash; stops when the new time is not free.
pub(crate) fn move_in_tx(
    tx: &mut WriteTx<'_>,
    core: &Core,
    id: EntityId,
    date: &str,
    start_time: &str,
) -> Result<(), Fault> {
    let request = MoveAppointment {
        id: id.to_string(),
        date: date.to_owned(),
        start_time: start_time.to_owned(),
        duration_minutes: None,
        therapist_id: None,
        room_id: None,
        override_reason: None,
    };
    let wanted = moved(tx, core, id, &request)?;
    if !is_movable(&wanted) {
        return Err(ErrorCode::TransitionRefused.into());
    }
    require_free(tx, &wanted, Some(id))?;
    let when = wanted.unit("when").cloned().unwrap_or_default();
    Ok(tx.overlay_unit(&key(id), "when", when)?)
}

/// Only what has not begun can move.
fn is_movable(doc: &Document) -> bool {
    use appointments::AppointmentStatus::{Confirmed, Requested, Scheduled};
    matches!(appointments::status(doc), Requested | Scheduled | Confirmed)
}

fn outcome(
    core: &Core,
    login: &Login,
    done: Booked<EntityId>,
    wanted: &Document,
    except: Option<EntityId>,
) -> Result<BookOutcome, Fault> {
    match (done, occupation(wanted)) {
        (Booked::Done(id), _) => Ok(BookOutcome::Booked {
            appointment: Box::new(detail(core, login, id)?),
        }),
        (Booked::Taken, Some(occupation)) => taken(core, login, wanted, &occupation, except),
        (Booked::Taken, None) => Err(ErrorCode::SlotTaken.into()),
    }
}

fn taken(
    core: &Core,
    login: &Login,
    wanted: &Document,
    occupation: &Occupation,
    except: Option<EntityId>,
) -> Result<BookOutcome, Fault> {
    let published = login.published()?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let mut taken_by = Vec::new();
        for other in read.overlapping(occupation, except)? {
            let resources = resources(occupation, &other.doc);
            taken_by.push(TakenBy {
                resources,
                item: item(read, &office, &other, published)?,
            });
        }
        let mut others = occupation.clone();
        others
            .resources
            .retain(|resource| resource.kind != ResourceKind::Room || wanted.text("when", "room").is_some());
        let slots = slots::nearest(read, &others, zone_of(wanted, &office), office.now)?;
        Ok(BookOutcome::SlotTaken { taken_by, slots })
    })
}

/// What an occupation and another appointment both take.
pub(crate) fn resources(occupation: &Occupation, other: &Document) -> Vec<Resource> {
    let Some(theirs) = appointments::occupation_if_active(other) else {
        return Vec::new();
    };
    let mut kinds: Vec<ResourceKind> = occupation
        .resources
        .iter()
        .filter(|resource| theirs.resources.contains(resource))
        .map(|resource| resource.kind)
        .collect();
    kinds.dedup();
    kinds.into_iter().map(resource).collect()
}

pub(crate) const fn resource(kind: ResourceKind) -> Resource {
    match kind {
        ResourceKind::Therapist => Resource::Therapist,
        ResourceKind::Room => Resource::Room,
        ResourceKind::Client => Resource::Client,
    }
}

/// An appointment with headers, what can be done with it, and its notes for clinicians who may read them.
pub(crate) fn detail(core: &Core, login: &Login, id: EntityId) -> Result<AppointmentDetail, Fault> {
    let published = login.published()?;
    let mut detail = login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let entity = existing(read, id)?;
        let treated = treated_by(read, login.user)?;
        let clients = client_ids(&entity.doc);
        let mut headers = Vec::new();
        for id in &clients {
            if let Some(entity) = client(read, *id)? {
                headers.push(header(read, &office, &entity, published)?);
            }
        }
        Ok::<_, Fault>(AppointmentDetail {
            item: item(read, &office, &entity, published)?,
            headers,
            next_statuses: status::next(&entity.doc, office.now),
            movable: is_movable(&entity.doc),
            clash_id: read.clashes_of(id)?.first().map(|clash| clash.key.id.to_string()),
            may_write_note: login.clinical().is_ok() && clients.iter().any(|client| treated.contains(client)),
            notes: Vec::new(),
        })
    })?;
    add_clinical(login, core.now(), &mut detail.headers)?;
    if login.clinical().is_ok() {
        detail.notes = notes::of_appointment(core, login, id)?;
    }
    Ok(detail)
}
