//! Prescriptions as they are shown.

use caseload_domain::entities::state;
use caseload_domain::search::fold;
use caseload_domain::{ClientId, EntityId, EntityKey};
use caseload_store::{Entity, ReadTx};

use super::{key, lines, readable};
use crate::app::Core;
use crate::dto::{
    ErrorCode, Instant, Prescription, PrescriptionAction, PrescriptionLine, PrescriptionLink, PrescriptionState,
    PrescriptionSummary,
};
use crate::fault::Fault;
use crate::login::Login;
use crate::views::header::{add_clinical, header};
use crate::views::office::{Office, client, shared};

pub(super) fn list(core: &Core, login: &Login, client: ClientId) -> Result<Vec<PrescriptionSummary>, Fault> {
    let clinical = login.require_care(client)?;
    let mut found = clinical.read(|read| read.prescriptions_of_client(client))?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<EntityKey> = found.iter().map(|entity| entity.key.clone()).collect();
    login.note_reading(core.now(), "prescription.list", &keys)?;
    let published = login.published()?;
    let office = login.office.read(|read| Office::read(read, core.now()))?;
    found.sort_by_key(|entity| std::cmp::Reverse(entity.key.id));
    Ok(found.iter().map(|entity| summary(entity, &office, published)).collect())
}

fn summary(entity: &Entity, office: &Office, published: bool) -> PrescriptionSummary {
    let doc = &entity.doc;
    let first = lines(entity).into_iter().next();
    let issued_at = doc.integer("signature", "signed_at");
    PrescriptionSummary {
        id: entity.key.id.to_string(),
        client_id: doc.text("subject", "client").unwrap_or_default().to_owned(),
        number: doc.text("number", "value").map(str::to_owned),
        state: prescription_state(state(doc, "state")),
        title: first
            .map(|line| format!("{} {}", line.drug, line.strength).trim().to_owned())
            .unwrap_or_default(),
        prescriber_name: office.staff_name(doc.text("subject", "author").unwrap_or_default()),
        updated_at: Instant(doc.integer("state", "at").or(issued_at).unwrap_or_default()),
        issued_at: issued_at.map(Instant),
        shared: shared(entity, published),
    }
}

fn prescription_state(name: &str) -> PrescriptionState {
    match name {
        "issued" => PrescriptionState::Issued,
        "printed" => PrescriptionState::Printed,
        "stopped" => PrescriptionState::Stopped,
        "voided" => PrescriptionState::Voided,
        "replaced" => PrescriptionState::Replaced,
        "expired" => PrescriptionState::Expired,
        _ => PrescriptionState::Draft,
    }
}

/// One prescription with everything that can be done with it.
pub(super) fn prescription(core: &Core, login: &Login, id: EntityId) -> Result<Prescription, Fault> {
    let (entity, client_id) = readable(login, id)?;
    login.note_reading(core.now(), "prescription.view", std::slice::from_ref(&entity.key))?;
    let published = login.published()?;
    let (mut header, office) = login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let who = client(read, client_id)?.ok_or(ErrorCode::NotFound)?;
        Ok::<_, Fault>((header(read, &office, &who, published)?, office))
    })?;
    add_clinical(login, core.now(), std::slice::from_mut(&mut header))?;
    let doc = &entity.doc;
    let lines = lines(&entity);
    let allergies = header
        .clinical
        .as_ref()
        .map(|clinical| clinical.allergies.clone())
        .unwrap_or_default();
    let own = doc.text("subject", "author") == Some(&login.user.to_string());
    let reason = |of: &str| {
        (state(doc, "state") == of)
            .then(|| doc.text("state", "reason").map(str::to_owned))
            .flatten()
    };
    let (replaces, replaced_by) = login.clinical()?.read(|read| {
        Ok::<_, Fault>((
            link(read, doc.text("links", "replaces"))?,
            link(read, doc.text("links", "replaced_by"))?,
        ))
    })?;
    Ok(Prescription {
        summary: summary(&entity, &office, published),
        header,
        allergy_matches: allergy_matches(&allergies, &lines),
        lines,
        diagnosis: doc.text("diagnosis", "text").unwrap_or_default().to_owned(),
        instructions: doc.text("instructions", "text").unwrap_or_default().to_owned(),
        copies_printed: prints(&entity),
        stop_reason: reason("stopped"),
        void_reason: reason("voided"),
        actions: actions(state(doc, "state"), own, replaced_by.is_some()),
        replaces,
        replaced_by,
    })
}

/// How often it was printed.
pub(super) fn prints(entity: &Entity) -> u32 {
    let prints = entity
        .doc
        .unit("prints")
        .and_then(|prints| prints.as_object())
        .map_or(0, serde_json::Map::len);
    u32::try_from(prints).unwrap_or(u32::MAX)
}

fn link(read: &ReadTx<'_>, id: Option<&str>) -> Result<Option<PrescriptionLink>, Fault> {
    let Some(id) = id.and_then(|id| id.parse::<EntityId>().ok()) else {
        return Ok(None);
    };
    let other = read.get(&key(id))?;
    let number = other.and_then(|other| other.doc.text("number", "value").map(str::to_owned));
    Ok(Some(PrescriptionLink {
        id: id.to_string(),
        number,
    }))
}

fn actions(state: &str, own: bool, replaced: bool) -> Vec<PrescriptionAction> {
    use PrescriptionAction::{Edit, Issue, Print, Reissue, Stop, Void};
    match state {
        "draft" if own => vec![Edit, Issue],
        "draft" => Vec::new(),
        "issued" | "printed" => vec![Print, Stop, Void, Reissue],
        _ if replaced => vec![Print],
        _ => vec![Print, Reissue],
    }
}

/// The allergies whose name is in a line's drug, or the other way round. By name only: no interaction is known here.
pub(crate) fn allergy_matches(allergies: &[String], lines: &[PrescriptionLine]) -> Vec<String> {
    let drugs: Vec<String> = lines
        .iter()
        .map(|line| fold(&line.drug))
        .filter(|drug| !drug.is_empty())
        .collect();
    let named = |allergy: &&String| {
        let allergy = fold(allergy);
        !allergy.is_empty()
            && drugs
                .iter()
                .any(|drug| drug.contains(&allergy) || allergy.contains(drug.as_str()))
    };
    allergies.iter().filter(named).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(drug: &str) -> PrescriptionLine {
        let empty = String::new;
        PrescriptionLine {
            drug: drug.to_owned(),
            form: empty(),
            strength: empty(),
            dose: empty(),
            route: empty(),
            frequency: empty(),
            duration: empty(),
            quantity: empty(),
            refills: 0,
        }
    }

    #[test]
    fn an_allergy_is_found_by_its_name_in_a_drug_whatever_the_case() {
        let allergies = ["Penicillin".to_owned(), "아스피린".to_owned(), "Latex".to_owned()];
        assert_eq!(
            allergy_matches(&allergies, &[line("penicillin V"), line("아스피린 장용정")]),
            ["Penicillin", "아스피린"]
        );
        assert!(allergy_matches(&allergies, &[line(""), line("Sertraline")]).is_empty());
    }
}
