//! Session notes: drafting, signing, correcting beside the signed text. Every reading is logged before it is answered.

mod signing;
mod views;

use caseload_domain::entities::state;
use caseload_domain::notes::template_sections;
use caseload_domain::{ClientId, EntityId, EntityKey};
use caseload_store::{Entity, ReadTx, Step};
use serde_json::{Map, Value, json};

use crate::app::{App, Core};
use crate::checks;
use crate::conflicts;
use crate::dto::{
    AddAddendum, AppError, AutosaveNote, ById, ByIdWithReason, CreateNote, ErrorCode, FieldProblem, Instant, Note,
    NoteSaved, NoteSection, NoteSummary, NoteTemplate, NoteVerification, NotesRequest,
};
use crate::fault::{Fault, answer};
use crate::login::{Login, new_op};
use crate::practice::document;
use crate::views::item::{bounds, client_ids};

pub(crate) use signing::{Statement, signature_unit};
pub(crate) use views::{note_state, of_appointment};

/// The longest section, in code points.
const LONGEST_SECTION: usize = 60_000;

impl App {
    /// A client's notes, newest first; without a client the signed-in clinician's own, drafts first.
    ///
    /// # Errors
    /// `forbidden` for everyone who may not read them.
    pub fn notes(&self, request: NotesRequest) -> Result<Vec<NoteSummary>, AppError> {
        answer(
            "notes",
            self.core
                .login()
                .and_then(|login| views::list(&self.core, &login, &request)),
        )
    }

    /// One note with its text.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub fn note(&self, request: ById) -> Result<Note, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| views::note(&self.core, &login, checks::id(&request.id)?));
        answer("note", done)
    }

    /// Begins a draft, for an appointment or for the client alone.
    ///
    /// # Errors
    /// `forbidden`, `invalid_fields`.
    pub fn create_note(&self, request: CreateNote) -> Result<Note, AppError> {
        answer(
            "create_note",
            self.core.login().and_then(|login| create(&self.core, &login, &request)),
        )
    }

    /// Keeps the draft as it stands. It is on the disk when this returns.
    ///
    /// # Errors
    /// `immutable` once it is signed, `forbidden` for another author's draft, `invalid_fields`.
    pub fn autosave_note(&self, request: AutosaveNote) -> Result<NoteSaved, AppError> {
        answer(
            "autosave_note",
            self.core
                .login()
                .and_then(|login| autosave(&self.core, &login, &request)),
        )
    }

    /// Signs a draft: from now on it never changes. The session is completed with it, and the appointment documented.
    ///
    /// # Errors
    /// `incomplete` for an empty note, `conflict_open` while two versions wait for a choice, `immutable`, `forbidden`.
    pub fn sign_note(&self, request: ById) -> Result<Note, AppError> {
        let done = self.core.login().and_then(|login| {
            let id = checks::id(&request.id)?;
            sign(&self.core, &login, id)?;
            views::note(&self.core, &login, id)
        });
        answer("sign_note", done)
    }

    /// Adds a signed text beside a signed note.
    ///
    /// # Errors
    /// `invalid_fields`, `incomplete` for a draft, `forbidden`.
    pub fn add_addendum(&self, request: AddAddendum) -> Result<Note, AppError> {
        let done = self.core.login().and_then(|login| {
            let id = checks::id(&request.note_id)?;
            addend(&self.core, &login, id, &request.text)?;
            views::note(&self.core, &login, id)
        });
        answer("add_addendum", done)
    }

    /// Marks a signed note as entered in error. Its text stays readable.
    ///
    /// # Errors
    /// `reason_required`, `transition_refused` for a draft, `forbidden` for another author's note.
    pub fn mark_entered_in_error(&self, request: ByIdWithReason) -> Result<Note, AppError> {
        let done = self.core.login().and_then(|login| {
            let id = checks::id(&request.id)?;
            mark_in_error(&self.core, &login, id, &request.reason)?;
            views::note(&self.core, &login, id)
        });
        answer("mark_entered_in_error", done)
    }

    /// Checks text, signature and certificates of a signed note anew.
    ///
    /// # Errors
    /// `not_found`, `forbidden`, `incomplete` for a draft.
    pub fn verify_note(&self, request: ById) -> Result<NoteVerification, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| signing::verify(&self.core, &login, checks::id(&request.id)?));
        answer("verify_note", done)
    }

    /// A signed note with its addenda and everything that is needed to verify them for ever, as JSON. The export is logged.
    ///
    /// # Errors
    /// As [`App::verify_note`].
    pub fn export_note(&self, request: ById) -> Result<crate::ExportedNote, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| signing::export(&self.core, &login, checks::id(&request.id)?));
        answer("export_note", done)
    }
}

pub(crate) fn key(id: EntityId) -> EntityKey {
    EntityKey::new("session_note", id)
}

/// A note that this login may read.
pub(crate) fn readable(login: &Login, id: EntityId) -> Result<(Entity, ClientId), Fault> {
    let entity = login.clinical()?.read(|read| existing(read, id))?;
    let client = client_of(&entity)?;
    login.require_care(client)?;
    Ok((entity, client))
}

fn existing(read: &ReadTx<'_>, id: EntityId) -> Result<Entity, Fault> {
    read.get(&key(id))?
        .filter(|entity| !entity.deleted)
        .ok_or(Fault::Rule(ErrorCode::NotFound))
}

fn client_of(entity: &Entity) -> Result<ClientId, Fault> {
    let client = entity
        .doc
        .text("subject", "client")
        .and_then(|client| client.parse().ok());
    client.ok_or(Fault::Rule(ErrorCode::NotFound))
}

/// Only its author changes a note, and only while it is a draft.
fn require_own_draft(login: &Login, entity: &Entity) -> Result<(), Fault> {
    require_author(login, entity)?;
    if state(&entity.doc, "state") == "draft" {
        Ok(())
    } else {
        Err(ErrorCode::Immutable.into())
    }
}

fn require_author(login: &Login, entity: &Entity) -> Result<(), Fault> {
    let own = entity.doc.text("subject", "author") == Some(&login.user.to_string());
    if own { Ok(()) } else { Err(ErrorCode::Forbidden.into()) }
}

fn create(core: &Core, login: &Login, request: &CreateNote) -> Result<Note, Fault> {
    let client: ClientId = checks::id(&request.client_id)?;
    login.require_care(client)?;
    let appointment = request
        .appointment_id
        .as_deref()
        .map(|id| checks::reference::<EntityId>("appointmentId", id))
        .transpose()?;
    let occasion = match appointment {
        None => None,
        Some(appointment) => Some(occasion(login, appointment, client)?),
    };
    let id = core.write_clinical(login, "note.create", |tx| {
        let mut subject = json!({"client": client, "author": login.user});
        if let Some(appointment) = appointment {
            let session = session_id(appointment, client);
            let key = EntityKey::new("session", session);
            if tx.get(&key)?.is_none() {
                let of = json!({"client": client, "appointment": appointment});
                tx.create(&key, document([("subject", of), ("state", json!({"state": "open"}))]))?;
            }
            subject["appointment"] = json!(appointment);
            subject["session"] = json!(session);
        }
        let mut note = document([
            ("subject", subject),
            ("template", json!({"kind": template_name(request.template)})),
            ("body", json!({"sections": {}, "at": tx.at()})),
            ("state", json!({"state": "draft"})),
        ]);
        if let Some(occasion) = occasion {
            note.set("occasion", occasion);
        }
        Ok(tx.create_new("session_note", note)?.id)
    })?;
    views::note(core, login, id)
}

/// Two computers that begin a note of one session mean one session.
fn session_id(appointment: EntityId, client: ClientId) -> EntityId {
    EntityId::derived(&["session", &appointment.to_string(), &client.to_string()])
}

fn occasion(login: &Login, appointment: EntityId, client: ClientId) -> Result<Value, Fault> {
    login.office.read(|read| {
        let unknown = || Fault::field("appointmentId", FieldProblem::UnknownReference);
        let entity = read
            .get(&crate::appointments::key(appointment))?
            .filter(|entity| !entity.deleted)
            .ok_or_else(unknown)?;
        if !client_ids(&entity.doc).contains(&client) {
            return Err(unknown());
        }
        Ok(json!({"start": bounds(&entity.doc).0, "zone": entity.doc.text("when", "zone")}))
    })
}

fn autosave(core: &Core, login: &Login, request: &AutosaveNote) -> Result<NoteSaved, Fault> {
    let id: EntityId = checks::id(&request.id)?;
    let mut check = checks::Checks::default();
    for (index, section) in request.sections.iter().enumerate() {
        let is_name = !section.key.is_empty() && section.key.len() <= 40;
        let is_plain = section
            .key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if !is_name || !is_plain {
            check.problem(&format!("sections.{index}.key"), FieldProblem::Malformed);
        }
        if section.text.chars().count() > LONGEST_SECTION {
            check.problem(&format!("sections.{index}.text"), FieldProblem::TooLong);
        }
    }
    check.done()?;
    core.write_clinical(login, "note.save", |tx| {
        let entity = existing(tx, id)?;
        require_own_draft(login, &entity)?;
        tx.overlay_unit(&key(id), "template", json!({"kind": template_name(request.template)}))?;
        let sections = Value::Object(sections_unit(&request.sections));
        // What did not change is not written again, so that an idle editor makes no work for anybody.
        if entity.doc.unit("body").and_then(|body| body.get("sections")) != Some(&sections) {
            tx.overlay_unit(&key(id), "body", json!({"sections": sections, "at": tx.at()}))?;
        }
        Ok(())
    })?;
    let entity = login.clinical()?.read(|read| existing(read, id))?;
    Ok(NoteSaved {
        saved_at: Instant(core.now().0),
        shared: crate::views::office::shared(&entity, login.published()?),
    })
}

fn sections_unit(sections: &[NoteSection]) -> Map<String, Value> {
    sections
        .iter()
        .filter(|section| !section.text.is_empty())
        .map(|section| (section.key.clone(), Value::from(section.text.clone())))
        .collect()
}

fn sign(core: &Core, login: &Login, id: EntityId) -> Result<(), Fault> {
    let (_, client) = readable(login, id)?;
    let statement = Statement::of(core, login)?;
    let office_steps = steps(core, login, id)?;
    core.write_clinical(login, "note.sign", |tx| {
        let entity = existing(tx, id)?;
        require_own_draft(login, &entity)?;
        if !has_text(&entity) {
            return Err(ErrorCode::Incomplete.into());
        }
        conflicts::require_settled(tx, &entity.key)?;
        let signature = signature_unit(login, &entity.key, &entity.doc, statement)?;
        let signed = json!({"state": "signed", "by": login.user, "at": tx.at()});
        tx.patch(
            &entity.key,
            Map::from_iter([("signature".to_owned(), signature), ("state".to_owned(), signed)]),
        )?;
        if let Some(session) = entity
            .doc
            .text("subject", "session")
            .and_then(|session| session.parse().ok())
        {
            let session = EntityKey::new("session", session);
            if tx
                .get(&session)?
                .is_some_and(|session| state(&session.doc, "state") == "open")
            {
                tx.overlay_unit(&session, "state", json!({"state": "completed"}))?;
            }
        }
        if !office_steps.is_empty() {
            tx.intend(&caseload_store::Intent::new(new_op(&core.env), office_steps))?;
        }
        Ok(())
    })?;
    tracing::debug!(%client, "a note was signed");
    login.run_intents(core.now())?;
    core.announcer.changed(&[crate::appointments::key(id)]);
    core.announcer.waiting.notify_one();
    Ok(())
}

/// What the office file has to do when a note is signed: the appointment is documented, and completed where it took place.
fn steps(core: &Core, login: &Login, id: EntityId) -> Result<Vec<Step>, Fault> {
    use caseload_domain::appointments::{AppointmentStatus, status};
    let entity = login.clinical()?.read(|read| existing(read, id))?;
    let Some(appointment) = entity.doc.text("subject", "appointment").and_then(|id| id.parse().ok()) else {
        return Ok(Vec::new());
    };
    let key = crate::appointments::key(appointment);
    let Some(found) = login.office.read(|read| read.get(&key))? else {
        return Ok(Vec::new());
    };
    let mut steps = Vec::new();
    if found.doc.unit("documented").is_none() {
        let units = Map::from_iter([("documented".to_owned(), json!({"at": core.now()}))]);
        steps.push(Step {
            key: key.clone(),
            units,
        });
    }
    let present = status(&found.doc);
    let has_begun = bounds(&found.doc).0 <= core.now();
    if has_begun && present.next().contains(&AppointmentStatus::Completed.as_str()) && present.occupies() {
        let completed = json!({"state": "completed", "by": login.user, "at": core.now()});
        steps.push(Step {
            key,
            units: Map::from_iter([("status".to_owned(), completed)]),
        });
    }
    Ok(steps)
}

fn has_text(entity: &Entity) -> bool {
    let sections = entity
        .doc
        .unit("body")
        .and_then(|body| body.get("sections"))
        .and_then(Value::as_object);
    sections
        .into_iter()
        .flat_map(|sections| sections.values())
        .any(|text| text.as_str().is_some_and(|text| !text.trim().is_empty()))
}

fn addend(core: &Core, login: &Login, note: EntityId, text: &str) -> Result<(), Fault> {
    let (entity, client) = readable(login, note)?;
    if state(&entity.doc, "state") == "draft" {
        return Err(ErrorCode::Incomplete.into());
    }
    let text = text.trim();
    if text.is_empty() {
        return Err(Fault::field("text", FieldProblem::Required));
    }
    if text.chars().count() > LONGEST_SECTION {
        return Err(Fault::field("text", FieldProblem::TooLong));
    }
    let statement = Statement::of(core, login)?;
    core.write_clinical(login, "note.addend", |tx| {
        let key = EntityKey::new("addendum", tx.new_id());
        let mut addendum = document([
            (
                "salt",
                Value::from(caseload_protocol::checksum::hex(&tx.random::<16>())),
            ),
            ("subject", json!({"client": client, "note": note, "author": login.user})),
            ("body", json!({"text": text})),
        ]);
        let signature = signature_unit(login, &key, &addendum, statement)?;
        addendum.set("signature", signature);
        Ok(tx.create(&key, addendum)?)
    })
}

fn mark_in_error(core: &Core, login: &Login, id: EntityId, reason: &str) -> Result<(), Fault> {
    let reason = checks::reason(reason)?;
    let (entity, _) = readable(login, id)?;
    require_author(login, &entity)?;
    core.write_clinical(login, "note.entered_in_error", |tx| {
        let mark = json!({"reason": reason, "by": login.user, "at": tx.at()});
        let state = json!({"state": "entered_in_error", "by": login.user, "at": tx.at()});
        Ok(tx.patch(
            &key(id),
            Map::from_iter([("error_mark".to_owned(), mark), ("state".to_owned(), state)]),
        )?)
    })
}

/// The names of a template's sections, in order.
pub(crate) fn section_names(template: &str) -> &'static [&'static str] {
    template_sections(template).unwrap_or(&[])
}

pub(crate) const fn template_name(template: NoteTemplate) -> &'static str {
    match template {
        NoteTemplate::Soap => "soap",
        NoteTemplate::Dap => "dap",
        NoteTemplate::Birp => "birp",
        NoteTemplate::Girp => "girp",
        NoteTemplate::Intake => "intake",
        NoteTemplate::Free => "free",
    }
}

pub(crate) fn template(name: &str) -> NoteTemplate {
    match name {
        "soap" => NoteTemplate::Soap,
        "dap" => NoteTemplate::Dap,
        "birp" => NoteTemplate::Birp,
        "girp" => NoteTemplate::Girp,
        "intake" => NoteTemplate::Intake,
        _ => NoteTemplate::Free,
    }
}
