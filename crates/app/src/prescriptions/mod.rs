//! Prescriptions: drafting, issuing under a number of their own, printing, stopping, voiding, issuing anew.

mod issue;
pub(crate) mod print;
mod views;

use caseload_domain::entities::state;
use caseload_domain::{ClientId, EntityId, EntityKey};
use caseload_store::{Entity, ReadTx};
use serde_json::{Value, json};

use crate::app::{App, Core};
use crate::checks::{self, Checks};
use crate::dto::{
    AppError, ByClient, ById, ByIdWithReason, ErrorCode, Prescription, PrescriptionLine, PrescriptionSummary,
    PrintRequest, SavePrescription, SavedFile,
};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::practice::document;

/// The most lines of one prescription.
const MOST_LINES: usize = 30;

impl App {
    /// A client's prescriptions, newest first.
    ///
    /// # Errors
    /// `forbidden` for everyone who may not read them.
    pub fn prescriptions(&self, request: ByClient) -> Result<Vec<PrescriptionSummary>, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| views::list(&self.core, &login, checks::id(&request.client_id)?));
        answer("prescriptions", done)
    }

    /// One prescription.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub fn prescription(&self, request: ById) -> Result<Prescription, AppError> {
        self.then_show("prescription", &request.id, |_, _, _| Ok(()))
    }

    /// Begins or changes a draft.
    ///
    /// # Errors
    /// `invalid_fields`, `immutable` once it is issued, `forbidden`.
    pub fn save_prescription(&self, request: SavePrescription) -> Result<Prescription, AppError> {
        let done = self.core.login().and_then(|login| {
            let id = save(&self.core, &login, &request)?;
            views::prescription(&self.core, &login, id)
        });
        answer("save_prescription", done)
    }

    /// Issues a draft: it gets its number and the prescriber's signature and never changes again.
    ///
    /// # Errors
    /// `incomplete` when a line lacks drug, dose or frequency; `conflict_open` while two versions wait for a choice; `immutable`, `forbidden`.
    pub fn issue_prescription(&self, request: ById) -> Result<Prescription, AppError> {
        self.then_show("issue_prescription", &request.id, issue::issue)
    }

    /// Prints: a PDF in the person's documents folder. Every print after the first is marked as a copy.
    ///
    /// # Errors
    /// `incomplete` for a draft, `document_failed`, `disk_error`, `forbidden`.
    pub fn prescription_pdf(&self, request: PrintRequest) -> Result<SavedFile, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| print::prescription(&self.core, &login, checks::id(&request.id)?, request.open));
        answer("prescription_pdf", done)
    }

    /// Ends the treatment. The paper stays what it is.
    ///
    /// # Errors
    /// `reason_required`, `transition_refused`, `forbidden`.
    pub fn stop_prescription(&self, request: ByIdWithReason) -> Result<Prescription, AppError> {
        self.then_show("stop_prescription", &request.id, |core, login, id| {
            issue::end(core, login, id, "stopped", &request.reason)
        })
    }

    /// Takes back what should not have been issued; prints say VOID.
    ///
    /// # Errors
    /// As [`App::stop_prescription`].
    pub fn void_prescription(&self, request: ByIdWithReason) -> Result<Prescription, AppError> {
        self.then_show("void_prescription", &request.id, |core, login, id| {
            issue::end(core, login, id, "voided", &request.reason)
        })
    }

    /// A new draft with the same content, which replaces this one when it is issued.
    ///
    /// # Errors
    /// `transition_refused` for a draft, `forbidden`.
    pub fn reissue_prescription(&self, request: ById) -> Result<Prescription, AppError> {
        let done = self.core.login().and_then(|login| {
            let id = issue::again(&self.core, &login, checks::id(&request.id)?)?;
            views::prescription(&self.core, &login, id)
        });
        answer("reissue_prescription", done)
    }

    fn then_show(
        &self,
        name: &'static str,
        id: &str,
        act: impl FnOnce(&Core, &Login, EntityId) -> Result<(), Fault>,
    ) -> Result<Prescription, AppError> {
        let done = self.core.login().and_then(|login| {
            let id = checks::id(id)?;
            act(&self.core, &login, id)?;
            views::prescription(&self.core, &login, id)
        });
        answer(name, done)
    }
}

pub(crate) fn key(id: EntityId) -> EntityKey {
    EntityKey::new("prescription", id)
}

/// A prescription that this login may read.
fn readable(login: &Login, id: EntityId) -> Result<(Entity, ClientId), Fault> {
    let entity = login.clinical()?.read(|read| existing(read, id))?;
    let client = entity
        .doc
        .text("subject", "client")
        .and_then(|client| client.parse().ok());
    let client: ClientId = client.ok_or(ErrorCode::NotFound)?;
    login.require_care(client)?;
    Ok((entity, client))
}

fn existing(read: &ReadTx<'_>, id: EntityId) -> Result<Entity, Fault> {
    read.get(&key(id))?
        .filter(|entity| !entity.deleted)
        .ok_or(Fault::Rule(ErrorCode::NotFound))
}

fn require_own_draft(login: &Login, entity: &Entity) -> Result<(), Fault> {
    if entity.doc.text("subject", "author") != Some(&login.user.to_string()) {
        return Err(ErrorCode::Forbidden.into());
    }
    if state(&entity.doc, "state") == "draft" {
        Ok(())
    } else {
        Err(ErrorCode::Immutable.into())
    }
}

fn save(core: &Core, login: &Login, request: &SavePrescription) -> Result<EntityId, Fault> {
    let client: ClientId = checks::id(&request.client_id)?;
    login.require_care(client)?;
    check(request)?;
    let order = json!({"lines": request.lines.iter().map(line_unit).collect::<Vec<_>>()});
    let diagnosis = json!({"text": request.diagnosis.trim()});
    let instructions = json!({"text": request.instructions.trim()});
    core.write_clinical(login, "prescription.save", |tx| {
        let Some(id) = &request.id else {
            let draft = document([
                ("subject", json!({"client": client, "author": login.user})),
                ("order", order),
                ("diagnosis", diagnosis),
                ("instructions", instructions),
                ("state", json!({"state": "draft", "at": tx.at()})),
            ]);
            return Ok(tx.create_new("prescription", draft)?.id);
        };
        let id: EntityId = checks::id(id)?;
        let entity = existing(tx, id)?;
        require_own_draft(login, &entity)?;
        if entity.doc.text("subject", "client") != Some(&client.to_string()) {
            return Err(ErrorCode::NotFound.into());
        }
        // The lines are replaced as a whole: a list has no members of its own to keep.
        tx.overlay_unit(&key(id), "order", order)?;
        tx.overlay_unit(&key(id), "diagnosis", diagnosis)?;
        tx.overlay_unit(&key(id), "instructions", instructions)?;
        Ok(id)
    })
}

fn check(request: &SavePrescription) -> Result<(), Fault> {
    let mut check = Checks::default();
    if request.lines.len() > MOST_LINES {
        check.problem("lines", crate::dto::FieldProblem::TooLong);
    }
    for (index, line) in request.lines.iter().enumerate() {
        let members = [
            ("drug", &line.drug),
            ("form", &line.form),
            ("strength", &line.strength),
            ("dose", &line.dose),
            ("route", &line.route),
            ("frequency", &line.frequency),
            ("duration", &line.duration),
            ("quantity", &line.quantity),
        ];
        for (member, text) in members {
            check.short(&format!("lines.{index}.{member}"), text);
        }
    }
    check.done()
}

fn line_unit(line: &PrescriptionLine) -> Value {
    json!({
        "drug": line.drug.trim(), "form": line.form.trim(), "strength": line.strength.trim(), "dose": line.dose.trim(),
        "route": line.route.trim(), "frequency": line.frequency.trim(), "duration": line.duration.trim(),
        "quantity": line.quantity.trim(), "refills": line.refills,
    })
}

/// The lines of an order as stored.
fn lines(entity: &Entity) -> Vec<PrescriptionLine> {
    let lines = entity
        .doc
        .unit("order")
        .and_then(|order| order.get("lines"))
        .and_then(Value::as_array);
    let line = |line: &Value| {
        let text = |member: &str| line.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        PrescriptionLine {
            drug: text("drug"),
            form: text("form"),
            strength: text("strength"),
            dose: text("dose"),
            route: text("route"),
            frequency: text("frequency"),
            duration: text("duration"),
            quantity: text("quantity"),
            refills: line
                .get("refills")
                .and_then(Value::as_u64)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or_default(),
        }
    };
    lines.into_iter().flatten().map(line).collect()
}
