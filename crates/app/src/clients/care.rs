//! Who treats whom. Reading clinical records follows from it, so it is granted by few and never by booking.

use caseload_domain::entities::care_relationship_id;
use caseload_domain::{ClientId, EntityKey, UserId};
use caseload_store::{ReadTx, WriteTx};
use serde_json::json;

use crate::app::{App, Core};
use crate::checks;
use crate::dto::{AppError, CareRelationship, CareStatus, ClientRecord, EndCare, ErrorCode, GrantCare};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::people::treating;
use crate::practice::document;
use crate::views::office::{Office, client};

impl App {
    /// Says who treats a client: an administrator, or a clinician who treats her now.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `invalid_fields`.
    pub fn grant_care(&self, request: GrantCare) -> Result<ClientRecord, AppError> {
        answer(
            "grant_care",
            self.core.login().and_then(|login| grant(&self.core, &login, &request)),
        )
    }

    /// Says that a therapist does not treat a client any more: an administrator, or a clinician who treats her now. The therapist's files lose
    /// the record when they next share; nothing is lost of what the service has. Answers the record as this login may see it from now on.
    ///
    /// # Errors
    /// `forbidden`, `not_found`.
    pub fn end_care(&self, request: EndCare) -> Result<ClientRecord, AppError> {
        answer(
            "end_care",
            self.core.login().and_then(|login| end(&self.core, &login, &request)),
        )
    }
}

fn grant(core: &Core, login: &Login, request: &GrantCare) -> Result<ClientRecord, Fault> {
    let id: ClientId = checks::id(&request.client_id)?;
    core.write_office(login, "care.grant", |tx| {
        client(tx, id)?.ok_or(ErrorCode::NotFound)?;
        if !may_grant(tx, login, id)? {
            return Err(ErrorCode::Forbidden.into());
        }
        let therapist = treating(&Office::read(tx, core.now())?, "therapistId", &request.therapist_id)?;
        create(tx, id, therapist)
    })?;
    super::record(core, login, id)
}

fn end(core: &Core, login: &Login, request: &EndCare) -> Result<ClientRecord, Fault> {
    let id: ClientId = checks::id(&request.client_id)?;
    let therapist: UserId = checks::id(&request.therapist_id)?;
    core.write_office(login, "care.end", |tx| {
        if !may_grant(tx, login, id)? {
            return Err(ErrorCode::Forbidden.into());
        }
        let key = EntityKey::new("care_relationship", care_relationship_id(id, therapist));
        let present = tx.get(&key)?.ok_or(ErrorCode::NotFound)?;
        if present.doc.text("status", "state") != Some("ended") {
            tx.overlay_unit(&key, "status", json!({"state": "ended", "at": tx.at()}))?;
        }
        Ok(())
    })?;
    super::record(core, login, id)
}

/// Lets `therapist` treat `client` from now on. The id follows from the two, so that two grants are one.
pub(crate) fn create(tx: &mut WriteTx<'_>, client: ClientId, therapist: UserId) -> Result<(), Fault> {
    let key = EntityKey::new("care_relationship", care_relationship_id(client, therapist));
    let status = json!({"state": "active", "at": tx.at()});
    match tx.get(&key)? {
        None => {
            let parties = json!({"client": client, "therapist": therapist});
            tx.create(&key, document([("parties", parties), ("status", status)]))?;
        }
        Some(present) if present.doc.text("status", "state") == Some("active") => {}
        Some(_) => tx.overlay_unit(&key, "status", status)?,
    }
    Ok(())
}

/// Whether this login may say who treats a client.
pub(crate) fn may_grant(read: &ReadTx<'_>, login: &Login, client: ClientId) -> Result<bool, Fault> {
    let own = read.get(&EntityKey::new(
        "care_relationship",
        care_relationship_id(client, login.user),
    ))?;
    let active = own.is_some_and(|own| own.doc.text("status", "state") == Some("active"));
    Ok(login.admin || (login.role.is_clinical() && active))
}

/// Who treats or treated a client.
pub(crate) fn list(read: &ReadTx<'_>, office: &Office, client: ClientId) -> Result<Vec<CareRelationship>, Fault> {
    let care = read.care_of_client(client)?;
    Ok(care
        .iter()
        .map(|entity| {
            let therapist_id = entity.doc.text("parties", "therapist").unwrap_or_default().to_owned();
            CareRelationship {
                id: entity.key.id.to_string(),
                therapist_name: office.staff_name(&therapist_id),
                therapist_id,
                status: match entity.doc.text("status", "state") {
                    Some("active") => CareStatus::Active,
                    Some("paused") => CareStatus::Paused,
                    _ => CareStatus::Ended,
                },
                since: entity
                    .doc
                    .integer("status", "at")
                    .map(|at| office.date_of(caseload_domain::time::Millis(at))),
            }
        })
        .collect())
}
