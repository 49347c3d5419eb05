//! Signing, verifying here, and exporting so that it can be verified anywhere and for ever.

use caseload_domain::entities::state;
use caseload_domain::notes::signing_bytes;
use caseload_domain::{Document, EntityId, EntityKey, UserId};
use caseload_protocol::checksum::{hex, sha256};
use caseload_store::Entity;
use serde_json::{Value, json};

use super::readable;
use crate::app::Core;
use crate::dto::{ErrorCode, NoteVerification};
use crate::fault::Fault;
use crate::login::{Login, chain_of};
use crate::verification::{ExportedNote, Record, Verdict, verify_record};
use crate::views::office::Office;

/// What a signature states beside the content: who signs, with which licence, when, on which computer.
pub(crate) struct Statement(Value);

impl Statement {
    /// The statement of the person signed in, now.
    pub(crate) fn of(core: &Core, login: &Login) -> Result<Self, Fault> {
        let now = core.now();
        login.office.read(|read| {
            let office = Office::read(read, now)?;
            let id = login.user.to_string();
            let person = office.staff.iter().find(|person| person.id == id);
            Ok(Self(json!({
                "author": login.user,
                "author_name": office.staff_name(&id),
                "licence": person.and_then(|person| person.licence.clone()).unwrap_or_default(),
                "signed_at": now,
                "zone": office.zone_name,
                "device": login.device,
                "device_name": office.device_name(&login.device.to_string()).unwrap_or_default(),
                "key": login.signing.public(),
                "certificate": crate::people::certificate_key(login.user, login.device).id,
            })))
        })
    }
}

/// The unit `signature` over `document`: the statement, the hash of the canonical bytes and the signature over them.
pub(crate) fn signature_unit(
    login: &Login,
    key: &EntityKey,
    document: &Document,
    statement: Statement,
) -> Result<Value, Fault> {
    let Statement(mut unit) = statement;
    if let Some(occasion) = document.unit("occasion") {
        unit["session"] = occasion.clone();
    }
    let bytes = signing_bytes(key, document, &unit)?;
    unit["hash"] = Value::from(hex(&sha256(&bytes)));
    unit["value"] = json!(login.signing.sign(&bytes));
    Ok(unit)
}

fn require_signed(entity: &Entity) -> Result<(), Fault> {
    if state(&entity.doc, "state") == "draft" {
        Err(ErrorCode::Incomplete.into())
    } else {
        Ok(())
    }
}

pub(crate) fn verify(core: &Core, login: &Login, id: EntityId) -> Result<NoteVerification, Fault> {
    let (entity, _) = readable(login, id)?;
    require_signed(&entity)?;
    login.note_reading(core.now(), "note.verify", std::slice::from_ref(&entity.key))?;
    let chains = chains(login, &[&entity])?;
    let verdict = verify_record(&login.root, &chains, &record(&entity));
    Ok(verification(&verdict))
}

fn verification(verdict: &Verdict) -> NoteVerification {
    NoteVerification {
        valid: verdict.valid(),
        text_matches: verdict.text_matches,
        signature_matches: verdict.signature_matches,
        chain_matches: verdict.chain_matches,
        hash: verdict.hash.clone(),
        signed_by: verdict.signed_by.clone(),
    }
}

fn record(entity: &Entity) -> Record {
    Record {
        key: entity.key.clone(),
        document: entity.doc.clone(),
    }
}

/// The certificate chains of everybody who signed one of `entities`.
fn chains(login: &Login, entities: &[&Entity]) -> Result<Vec<Value>, Fault> {
    let mut authors: Vec<UserId> = entities
        .iter()
        .filter_map(|entity| entity.doc.text("signature", "author")?.parse().ok())
        .collect();
    authors.sort_unstable();
    authors.dedup();
    login.office.read(|read| {
        let mut chains = Vec::new();
        for author in authors {
            let certificates = read.certificates_of(author)?;
            let units = certificates
                .iter()
                .filter_map(|certificate| certificate.doc.unit("chain"));
            chains.extend(units.filter(|chain| chain_of(chain).is_some()).cloned());
        }
        Ok(chains)
    })
}

pub(crate) fn export(core: &Core, login: &Login, id: EntityId) -> Result<ExportedNote, Fault> {
    let (entity, _) = readable(login, id)?;
    require_signed(&entity)?;
    login.note_reading(core.now(), "note.export", std::slice::from_ref(&entity.key))?;
    let addenda = login.clinical()?.read(|read| read.addenda_of(id))?;
    let signed: Vec<&Entity> = std::iter::once(&entity).chain(&addenda).collect();
    let practice_name = login
        .office
        .read(|read| Ok::<_, Fault>(Office::read(read, core.now())?.practice_name))?;
    Ok(ExportedNote {
        format: ExportedNote::FORMAT.to_owned(),
        practice: login.practice,
        practice_name,
        root: login.root,
        chains: chains(login, &signed)?,
        note: record(&entity),
        addenda: addenda.iter().map(record).collect(),
    })
}
