//! The same thing changed twice: both values side by side, and a person decides.

use caseload_domain::time::Millis;
use caseload_domain::{ClientId, Document, EntityId, EntityKey};
use caseload_store::{Entity, ReadTx, Store, WriteTx};
use serde_json::{Map, Value, json};

use crate::app::{App, Core};
use crate::changes::entity_type;
use crate::checks;
use crate::clients::{details, unit_of_text};
use crate::dto::{AppError, Conflict, ConflictChoice, ConflictValue, ErrorCode, FieldProblem, Instant, SettleConflict};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::views::header::display_name;
use crate::views::office::{Office, client};

/// The unit under which a conflict about a whole record is kept.
const WHOLE: &str = "*";

impl App {
    /// What is open, as far as this login may see it.
    ///
    /// # Errors
    /// `locked`.
    pub fn conflicts(&self) -> Result<Vec<Conflict>, AppError> {
        answer(
            "conflicts",
            self.core.login().and_then(|login| open(&self.core, &login)),
        )
    }

    /// Settles a conflict: the value in force stays, the other one takes its place, or one that is typed.
    ///
    /// # Errors
    /// `already_settled`, `not_found`, `invalid_fields`; `immutable` when the record was signed in between.
    pub fn settle_conflict(&self, request: SettleConflict) -> Result<Vec<Conflict>, AppError> {
        let done = self.core.login().and_then(|login| {
            settle(&self.core, &login, &request)?;
            open(&self.core, &login)
        });
        answer("settle_conflict", done)
    }
}

/// The open conflicts of both files.
pub(crate) fn open(core: &Core, login: &Login) -> Result<Vec<Conflict>, Fault> {
    let office_side = shown(core, login, &login.office, false)?;
    let Ok(clinical) = login.clinical() else {
        return Ok(office_side);
    };
    let mut all = office_side;
    all.extend(shown(core, login, clinical, true)?);
    Ok(all)
}

/// Refuses while somebody has still to choose between two versions of a record: what is signed or issued says what its author has decided, and
/// not what happened to arrive first.
///
/// # Errors
/// `conflict_open`.
pub(crate) fn require_settled(read: &ReadTx<'_>, key: &EntityKey) -> Result<(), Fault> {
    let about = read.conflicts_about(key)?;
    if about.iter().any(is_open) {
        Err(ErrorCode::ConflictOpen.into())
    } else {
        Ok(())
    }
}

/// Whether a person has still to choose.
pub(crate) fn is_open(conflict: &Entity) -> bool {
    conflict.doc.text("state", "state") == Some("open")
}

/// How many are open. Counting shows no content, so that nothing is logged.
pub(crate) fn count(login: &Login) -> Result<usize, Fault> {
    let office = login.office.read(|read| read.open_conflicts())?.len();
    let clinical = login
        .clinical()
        .ok()
        .map(|clinical| clinical.read(|read| read.open_conflicts()))
        .transpose()?;
    Ok(office + clinical.map_or(0, |open| open.len()))
}

fn shown(core: &Core, login: &Login, store: &Store, clinical: bool) -> Result<Vec<Conflict>, Fault> {
    // A conflict that was settled here and not yet at the service is no work for anybody any more; the store shows it as settled.
    let found: Vec<(Entity, Option<Entity>)> = store.read(|read| {
        let with_subject = |conflict: Entity| Ok((subject(read, &conflict)?, conflict));
        let all = read
            .open_conflicts()?
            .into_iter()
            .map(with_subject)
            .collect::<Result<Vec<_>, Fault>>()?;
        Ok::<_, Fault>(all.into_iter().map(|(subject, conflict)| (conflict, subject)).collect())
    })?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    if clinical {
        let keys: Vec<EntityKey> = found.iter().map(|(conflict, _)| conflict.key.clone()).collect();
        login.note_reading(core.now(), "conflict.view", &keys)?;
    }
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        found
            .iter()
            .map(|(conflict, subject)| conflict_of(read, &office, conflict, subject.as_ref(), clinical))
            .collect()
    })
}

/// The record that a conflict is about.
fn subject(read: &ReadTx<'_>, conflict: &Entity) -> Result<Option<Entity>, Fault> {
    about(conflict).map_or(Ok(None), |key| Ok(read.get(&key)?))
}

fn about(conflict: &Entity) -> Option<EntityKey> {
    let kind = conflict.doc.text("about", "type")?;
    Some(EntityKey::new(kind, conflict.doc.text("about", "id")?.parse().ok()?))
}

fn conflict_of(
    read: &ReadTx<'_>,
    office: &Office,
    conflict: &Entity,
    subject: Option<&Entity>,
    clinical: bool,
) -> Result<Conflict, Fault> {
    let doc = &conflict.doc;
    let unit = doc.text("about", "unit").unwrap_or_default();
    let kind = doc.text("about", "type").unwrap_or_default();
    let client_id = subject.and_then(client_of);
    let who = client_id.map(|id| client(read, id)).transpose()?.flatten();
    let title = who
        .map(|who| display_name(&who.doc))
        .or_else(|| subject.and_then(|subject| subject.doc.text("name", "display").map(str::to_owned)));
    let present = subject
        .map(|subject| value_of(&subject.doc, unit))
        .or_else(|| doc.unit("current")?.get("value").cloned());
    let other = doc.unit("other").and_then(|other| other.get("value")).cloned();
    Ok(Conflict {
        id: conflict.key.id.to_string(),
        entity: entity_type(kind),
        entity_id: doc.text("about", "id").unwrap_or_default().to_owned(),
        client_id: client_id.map(|id| id.to_string()),
        title: title.unwrap_or_default(),
        unit: shown_unit(unit).to_owned(),
        clinical,
        a: ConflictValue {
            text: readable(office, unit, present.as_ref()),
            by: doc
                .text("current", "replica")
                .and_then(|replica| person_at(read, office, replica))
                .unwrap_or_default(),
            at: None,
            device_name: computer(office, doc.text("current", "replica")),
        },
        b: ConflictValue {
            text: readable(office, unit, other.as_ref()),
            by: office.staff_name(doc.text("other", "actor").unwrap_or_default()),
            at: doc.integer("other", "at").map(Instant),
            device_name: computer(office, doc.text("other", "replica")),
        },
        may_type: kind == "client" && unit_of_text(unit, "", &office.zone_name).is_some(),
    })
}

/// The name of the computer that a replica is on.
pub(crate) fn computer(office: &Office, replica: Option<&str>) -> Option<String> {
    office.device_name(office.device_of_replica(replica?)?)
}

/// The person of a computer on which only one works; where several do, the computer's name says what can be said.
fn person_at(read: &ReadTx<'_>, office: &Office, replica: &str) -> Option<String> {
    let device = office.device_of_replica(replica)?;
    let certificates = read.list("certificate").ok()?;
    let mut people: Vec<&str> = certificates
        .iter()
        .filter(|certificate| certificate.doc.unit("chain").is_some())
        .filter(|certificate| certificate.doc.text("holder", "device") == Some(device))
        .filter_map(|certificate| certificate.doc.text("holder", "user"))
        .collect();
    people.dedup();
    match people.as_slice() {
        [only] => Some(office.staff_name(only)),
        _ => None,
    }
}

fn client_of(subject: &Entity) -> Option<ClientId> {
    let doc = &subject.doc;
    match subject.key.kind.as_str() {
        "client" => Some(ClientId::new(subject.key.id.uuid())),
        "appointment" => crate::views::item::client_ids(doc).into_iter().next(),
        _ => ["subject", "of", "parties"]
            .into_iter()
            .find_map(|unit| doc.text(unit, "client")?.parse().ok()),
    }
}

/// One unit, or one element of a set, of a record; `null` when it is not there.
fn value_of(doc: &Document, unit: &str) -> Value {
    let found = match unit.split_once('/') {
        Some((set, element)) => doc.unit(set).and_then(|elements| elements.get(element)),
        None => doc.unit(unit),
    };
    found.cloned().unwrap_or(Value::Null)
}

/// The unit as the window names it.
fn shown_unit(unit: &str) -> &str {
    match unit.split_once('/').map_or(unit, |(set, _)| set) {
        "when" => "schedule",
        "order" => "lines",
        "body" => "text",
        "safety_plan" => "safetyPlan",
        WHOLE => "record",
        other => details::member_of(other),
    }
}

/// A value as a person reads it: each member on a line of its own, ids and machine forms left out.
fn readable(office: &Office, unit: &str, value: Option<&Value>) -> String {
    let Some(value) = value else { return String::new() };
    match (unit, value) {
        ("when", Value::Object(when)) => schedule(office, when),
        (WHOLE, Value::Object(op)) => op.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned(),
        _ => {
            let mut lines = Vec::new();
            collect(value, "", &mut lines);
            lines.join("\n")
        }
    }
}

/// When, with whom and where an appointment is, as three lines.
pub(crate) fn schedule(office: &Office, when: &Map<String, Value>) -> String {
    let instant = |member: &str| when.get(member).and_then(Value::as_i64).map(Millis);
    let zone = when
        .get("zone")
        .and_then(Value::as_str)
        .and_then(|zone| caseload_domain::time::zone(zone).ok());
    let zone = zone.unwrap_or(office.zone);
    let text = |member: &str| when.get(member).and_then(Value::as_str).unwrap_or_default();
    let time = instant("start").zip(instant("end")).map(|(start, end)| {
        let wall = |at| crate::views::office::wall_in(at, zone);
        format!("{}–{}", wall(start).format("%Y-%m-%d %H:%M"), wall(end).format("%H:%M"))
    });
    let room = office.room_name(text("room")).unwrap_or_default();
    [time.unwrap_or_default(), office.staff_name(text("therapist")), room]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Members that say the same as another one, or nothing to a person.
const UNSEEN: [&str; 8] = ["e164", "by", "at", "hash", "key", "certificate", "device", "value_hash"];

fn collect(value: &Value, name: &str, lines: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::String(text) if text.trim().is_empty() => {}
        Value::String(text) => lines.push(text.clone()),
        Value::Bool(yes) => lines.push(format!("{name}: {yes}")),
        Value::Number(number) => lines.push(format!("{name}: {number}")),
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, lines)),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !UNSEEN.contains(&name.as_str()))
            .for_each(|(name, value)| collect(value, name, lines)),
    }
}

fn settle(core: &Core, login: &Login, request: &SettleConflict) -> Result<(), Fault> {
    let id: EntityId = checks::id(&request.id)?;
    let office_key = EntityKey::new("conflict", id);
    let zone = login
        .office
        .read(|read| Ok::<_, Fault>(Office::read(read, core.now())?.zone_name))?;
    if login.office.read(|read| read.get(&office_key))?.is_some() {
        return core.write_office(login, "conflict.settle", |tx| {
            settle_in_tx(tx, &office_key, &request.choice, &zone)
        });
    }
    let clinical_key = EntityKey::new("clinical_conflict", id);
    let clinical = login.clinical().map_err(|_| ErrorCode::NotFound)?;
    let known = clinical
        .read(|read| read.get(&clinical_key))?
        .ok_or(ErrorCode::NotFound)?;
    let client = known
        .doc
        .text("subject", "client")
        .and_then(|client| client.parse().ok())
        .ok_or(ErrorCode::NotFound)?;
    login.require_care(client)?;
    core.write_clinical(login, "conflict.settle", |tx| {
        settle_in_tx(tx, &clinical_key, &request.choice, &zone)
    })
}

/// One group: the record gets the chosen value, and the conflict says what was chosen.
fn settle_in_tx(tx: &mut WriteTx<'_>, key: &EntityKey, choice: &ConflictChoice, zone: &str) -> Result<(), Fault> {
    let conflict = tx
        .get(key)?
        .filter(|conflict| !conflict.deleted)
        .ok_or(ErrorCode::NotFound)?;
    if !is_open(&conflict) {
        return Err(ErrorCode::AlreadySettled.into());
    }
    let subject = about(&conflict).ok_or(ErrorCode::NotFound)?;
    let unit = conflict.doc.text("about", "unit").unwrap_or_default().to_owned();
    let other = conflict
        .doc
        .unit("other")
        .and_then(|other| other.get("value"))
        .cloned()
        .unwrap_or(Value::Null);
    let chosen = match choice {
        ConflictChoice::KeepA => "current",
        ConflictChoice::KeepB => {
            put(tx, &subject, &unit, other)?;
            "other"
        }
        ConflictChoice::Typed { value } => {
            let typed = value.trim();
            if typed.is_empty() {
                return Err(Fault::field("choice.value", FieldProblem::Required));
            }
            if unit == "birth" && caseload_domain::time::date(typed).is_err() {
                return Err(Fault::field("choice.value", FieldProblem::NotADate));
            }
            let value = Some(unit_of_text(&unit, typed, zone))
                .filter(|_| subject.kind.as_str() == "client")
                .flatten();
            put(tx, &subject, &unit, value.ok_or(ErrorCode::InvalidRequest)?)?;
            "typed"
        }
    };
    Ok(tx.settle(key, json!({"side": chosen}))?)
}

/// Puts the value that lost into force.
fn put(tx: &mut WriteTx<'_>, subject: &EntityKey, unit: &str, value: Value) -> Result<(), Fault> {
    if unit == WHOLE {
        return put_whole(tx, subject, &value);
    }
    match unit.split_once('/') {
        Some((set, element)) if value.is_null() => tx.remove_element(subject, set, element)?,
        Some((set, element)) => tx.add_element(subject, set, element, value)?,
        // A signing that met other content cannot be made good: the text has to be signed anew.
        None if unit == "signature" => return Err(ErrorCode::Immutable.into()),
        None => tx.patch_unit(subject, unit, value)?,
    }
    Ok(())
}

/// A void that met a newer edit, or an edit of something void.
fn put_whole(tx: &mut WriteTx<'_>, subject: &EntityKey, op: &Value) -> Result<(), Fault> {
    if op.get("kind").and_then(Value::as_str) == Some("void") {
        let reason = op.get("reason").and_then(Value::as_str).unwrap_or_default();
        return Ok(tx.void(subject, reason)?);
    }
    tx.restore(subject)?;
    let units = op.get("units").and_then(Value::as_object).cloned().unwrap_or_default();
    Ok(tx.patch(subject, units)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_by_what_a_person_typed() {
        let mut lines = Vec::new();
        collect(
            &json!({"raw": "010-1234-5678", "e164": "+821012345678"}),
            "",
            &mut lines,
        );
        assert_eq!(lines, ["010-1234-5678"]);
        lines.clear();
        collect(
            &json!({"lines": ["Mill Road 3", ""], "city": "Leeds", "country": ""}),
            "",
            &mut lines,
        );
        assert_eq!(lines, ["Leeds", "Mill Road 3"]);
    }

    #[test]
    fn units_are_named_as_in_the_edit_request() {
        for (unit, shown) in [
            ("phone", "phone"),
            ("birth", "birthDate"),
            ("when", "schedule"),
            ("allergies/x", "allergies"),
            ("*", "record"),
        ] {
            assert_eq!(shown_unit(unit), shown);
        }
    }
}
