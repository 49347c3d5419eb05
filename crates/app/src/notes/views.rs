//! Notes as they are shown.

use std::collections::HashMap;

use caseload_domain::entities::state;
use caseload_domain::time::Millis;
use caseload_domain::{ClientId, EntityId, EntityKey};
use caseload_store::{Entity, ReadTx};
use serde_json::Value;

use super::{client_of, readable, section_names, template};
use crate::app::Core;
use crate::checks;
use crate::dto::{
    Addendum, EnteredInError, ErrorCode, Instant, Note, NoteSection, NoteSignature, NoteState, NoteSummary,
    NotesRequest,
};
use crate::fault::Fault;
use crate::login::Login;
use crate::views::header::{add_clinical, display_name, header};
use crate::views::office::{Office, client, shared, wall_in};

/// Notes of clients whom this clinician treats, drafts first and then the newest session.
pub(crate) fn list(core: &Core, login: &Login, request: &NotesRequest) -> Result<Vec<NoteSummary>, Fault> {
    let clinical = login.clinical()?;
    let notes = match &request.client_id {
        Some(id) => {
            let id: ClientId = checks::id(id)?;
            login.require_care(id)?;
            clinical.read(|read| read.notes_of_client(id))?
        }
        None => clinical.read(|read| read.notes_by_author(login.user))?,
    };
    let mut all = summaries(core, login, "note.list", &notes)?;
    all.sort_by(|one, other| {
        let drafts_first = (one.state != NoteState::Draft).cmp(&(other.state != NoteState::Draft));
        let newest_first = (&other.session_date, &other.session_time).cmp(&(&one.session_date, &one.session_time));
        drafts_first.then(newest_first)
    });
    Ok(all)
}

/// The notes of an appointment that this clinician may read.
pub(crate) fn of_appointment(core: &Core, login: &Login, appointment: EntityId) -> Result<Vec<NoteSummary>, Fault> {
    let treated = login.treated()?;
    let mut notes = login.clinical()?.read(|read| read.notes_of_appointment(appointment))?;
    notes.retain(|note| client_of(note).is_ok_and(|client| treated.contains(&client)));
    summaries(core, login, "note.list", &notes)
}

fn summaries(core: &Core, login: &Login, name: &'static str, notes: &[Entity]) -> Result<Vec<NoteSummary>, Fault> {
    if notes.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<EntityKey> = notes.iter().map(|note| note.key.clone()).collect();
    login.note_reading(core.now(), name, &keys)?;
    let addenda: HashMap<EntityId, u32> = login.clinical()?.read(|read| {
        let count = |note: &Entity| {
            Ok((
                note.key.id,
                u32::try_from(read.addenda_of(note.key.id)?.len()).unwrap_or(u32::MAX),
            ))
        };
        notes.iter().map(count).collect::<Result<_, Fault>>()
    })?;
    let published = login.published()?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let summary = |note: &Entity| {
            summary(
                read,
                &office,
                note,
                addenda.get(&note.key.id).copied().unwrap_or_default(),
                published,
            )
        };
        notes.iter().map(summary).collect()
    })
}

fn summary(
    read: &ReadTx<'_>,
    office: &Office,
    note: &Entity,
    addenda: u32,
    published: bool,
) -> Result<NoteSummary, Fault> {
    let doc = &note.doc;
    let id = client_of(note)?;
    let who = client(read, id)?;
    let signed_at = doc.integer("signature", "signed_at");
    let written_at = doc.integer("body", "at").unwrap_or_default();
    let zone = doc
        .text("occasion", "zone")
        .and_then(|zone| caseload_domain::time::zone(zone).ok())
        .unwrap_or(office.zone);
    let start = doc.integer("occasion", "start");
    let shown = wall_in(Millis(start.or(signed_at).unwrap_or(written_at)), zone);
    Ok(NoteSummary {
        id: note.key.id.to_string(),
        client_id: id.to_string(),
        client_name: who.map(|who| display_name(&who.doc)).unwrap_or_default(),
        appointment_id: doc.text("subject", "appointment").map(str::to_owned),
        template: template(doc.text("template", "kind").unwrap_or_default()),
        state: note_state(state(doc, "state")),
        author_name: office.staff_name(doc.text("subject", "author").unwrap_or_default()),
        session_date: shown.date().to_string(),
        session_time: start.map(|_| shown.format("%H:%M").to_string()),
        updated_at: Instant(signed_at.unwrap_or(written_at)),
        signed_at: signed_at.map(Instant),
        addenda,
        shared: shared(note, published),
    })
}

/// The state that a stored word stands for.
pub(crate) fn note_state(name: &str) -> NoteState {
    match name {
        "signed" => NoteState::Signed,
        "entered_in_error" => NoteState::EnteredInError,
        _ => NoteState::Draft,
    }
}

/// A note with its text, its addenda and the other drafts of its session.
pub(crate) fn note(core: &Core, login: &Login, id: EntityId) -> Result<Note, Fault> {
    let (entity, client_id) = readable(login, id)?;
    login.note_reading(core.now(), "note.view", std::slice::from_ref(&entity.key))?;
    let clinical = login.clinical()?;
    let addenda = clinical.read(|read| read.addenda_of(id))?;
    let siblings = siblings(login, &entity)?;
    let published = login.published()?;
    let (mut header, office) = login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let who = client(read, client_id)?.ok_or(ErrorCode::NotFound)?;
        Ok::<_, Fault>((header(read, &office, &who, published)?, office))
    })?;
    add_clinical(login, core.now(), std::slice::from_mut(&mut header))?;
    let mut summaries = summaries(core, login, "note.list", std::slice::from_ref(&entity))?;
    let summary = summaries.pop().ok_or(ErrorCode::NotFound)?;
    let doc = &entity.doc;
    let own = doc.text("subject", "author") == Some(&login.user.to_string());
    Ok(Note {
        header,
        sections: sections(&entity),
        editable: own && summary.state == NoteState::Draft,
        signature: signature(&entity, &office),
        addenda: addenda
            .iter()
            .map(|addendum| shown_addendum(addendum, &office, published))
            .collect(),
        entered_in_error: doc.text("error_mark", "reason").map(|reason| EnteredInError {
            reason: reason.to_owned(),
            by: office.staff_name(doc.text("error_mark", "by").unwrap_or_default()),
            at: Instant(doc.integer("error_mark", "at").unwrap_or_default()),
        }),
        sibling_drafts: self::summaries(core, login, "note.list", &siblings)?,
        summary,
    })
}

/// Other drafts of the same session: a person joins them, no program does.
fn siblings(login: &Login, note: &Entity) -> Result<Vec<Entity>, Fault> {
    let Some(appointment) = note.doc.text("subject", "appointment").and_then(|id| id.parse().ok()) else {
        return Ok(Vec::new());
    };
    let same = login.clinical()?.read(|read| read.notes_of_appointment(appointment))?;
    let subject = |entity: &Entity, member| entity.doc.text("subject", member).map(str::to_owned);
    Ok(same
        .into_iter()
        .filter(|other| {
            other.key != note.key
                && state(&other.doc, "state") == "draft"
                && subject(other, "client") == subject(note, "client")
                && subject(other, "author") == subject(note, "author")
        })
        .collect())
}

/// The template's sections in their order, then what else holds text.
fn sections(note: &Entity) -> Vec<NoteSection> {
    let texts = note
        .doc
        .unit("body")
        .and_then(|body| body.get("sections"))
        .and_then(Value::as_object);
    let text = |key: &str| {
        texts
            .and_then(|texts| texts.get(key)?.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let named = section_names(note.doc.text("template", "kind").unwrap_or_default());
    let others = texts
        .into_iter()
        .flat_map(|texts| texts.keys())
        .filter(|key| !named.contains(&key.as_str()));
    named
        .iter()
        .map(|key| (*key).to_owned())
        .chain(others.cloned())
        .map(|key| NoteSection { text: text(&key), key })
        .filter(|section| named.contains(&section.key.as_str()) || !section.text.is_empty())
        .collect()
}

fn signature(note: &Entity, office: &Office) -> Option<NoteSignature> {
    let doc = &note.doc;
    let author = doc.text("signature", "author")?;
    let signed_by = doc
        .text("signature", "author_name")
        .map_or_else(|| office.staff_name(author), str::to_owned);
    Some(NoteSignature {
        signed_by,
        licence: doc
            .text("signature", "licence")
            .filter(|licence| !licence.is_empty())
            .map(str::to_owned),
        signed_at: Instant(doc.integer("signature", "signed_at")?),
        device_name: doc.text("signature", "device_name").map(str::to_owned),
        hash: doc.text("signature", "hash")?.to_owned(),
    })
}

fn shown_addendum(addendum: &Entity, office: &Office, published: bool) -> Addendum {
    let doc = &addendum.doc;
    Addendum {
        id: addendum.key.id.to_string(),
        text: doc.text("body", "text").unwrap_or_default().to_owned(),
        author_name: office.staff_name(doc.text("subject", "author").unwrap_or_default()),
        signed_at: Instant(doc.integer("signature", "signed_at").unwrap_or_default()),
        shared: shared(addendum, published),
    }
}
