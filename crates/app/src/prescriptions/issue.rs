//! Issuing, and what can happen to an issued prescription: it is stopped, voided or replaced, and never edited.

use caseload_domain::EntityId;
use caseload_domain::entities::state;
use serde_json::{Map, Value, json};

use super::{existing, key, lines, readable, require_own_draft};
use crate::app::Core;
use crate::checks::{self, Checks};
use crate::conflicts;
use crate::dto::{ErrorCode, FieldProblem};
use crate::fault::Fault;
use crate::login::{Login, setting};
use crate::notes::{Statement, signature_unit};
use crate::practice::document;

pub(super) fn issue(core: &Core, login: &Login, id: EntityId) -> Result<(), Fault> {
    let (entity, _) = readable(login, id)?;
    require_own_draft(login, &entity)?;
    check_complete(&lines(&entity))?;
    login
        .clinical()?
        .read(|read| conflicts::require_settled(read, &entity.key))?;
    let statement = Statement::of(core, login)?;
    let number = next_number(login)?;
    core.write_clinical(login, "prescription.issue", |tx| {
        let mut entity = existing(tx, id)?;
        require_own_draft(login, &entity)?;
        conflicts::require_settled(tx, &entity.key)?;
        entity.doc.set("number", json!({"value": number}));
        let signature = signature_unit(login, &entity.key, &entity.doc, statement)?;
        let units = [
            ("number", json!({"value": number})),
            ("signature", signature),
            ("state", json!({"state": "issued", "by": login.user, "at": tx.at()})),
        ];
        tx.patch(
            &entity.key,
            units
                .into_iter()
                .map(|(unit, value)| (unit.to_owned(), value))
                .collect(),
        )?;
        let replaced = entity
            .doc
            .text("links", "replaces")
            .and_then(|old| old.parse::<EntityId>().ok());
        let Some(old) = replaced else { return Ok(()) };
        let present = existing(tx, old)?;
        tx.overlay_unit(&key(old), "links", json!({"replaced_by": id}))?;
        if matches!(state(&present.doc, "state"), "issued" | "printed") {
            tx.overlay_unit(
                &key(old),
                "state",
                json!({"state": "replaced", "by": login.user, "at": tx.at()}),
            )?;
        }
        Ok(())
    })
}

fn check_complete(lines: &[crate::dto::PrescriptionLine]) -> Result<(), Fault> {
    if lines.is_empty() {
        return Err(ErrorCode::Incomplete.into());
    }
    let mut check = Checks::default();
    for (index, line) in lines.iter().enumerate() {
        for (member, text) in [
            ("drug", &line.drug),
            ("dose", &line.dose),
            ("frequency", &line.frequency),
        ] {
            if text.trim().is_empty() {
                check.problem(&format!("lines.{index}.{member}"), FieldProblem::Required);
            }
        }
    }
    check.done()
}

/// `RX-<replica>-<n>`. The number is reserved before it is used, so that it is given out once even if the program dies in between or
/// prescriptions leave this file again; a number that was reserved in vain is a gap.
fn next_number(login: &Login) -> Result<String, Fault> {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = crate::app::lock(&ONE_AT_A_TIME);
    let clinical = login.clinical()?;
    let replica = clinical.identity()?.replica_number;
    let prefix = format!("RX-{replica}-");
    let reserved = clinical.setting(setting::PRESCRIPTIONS)?.and_then(|text| {
        let (of, last) = text.split_once(' ')?;
        last.parse::<i64>().ok().filter(|_| of == replica.to_string())
    });
    let present = clinical.read(|read| read.list("prescription"))?;
    let used = present.iter().filter_map(|entity| {
        entity
            .doc
            .text("number", "value")?
            .strip_prefix(&prefix)?
            .parse::<i64>()
            .ok()
    });
    let next = used.max().max(reserved).unwrap_or_default() + 1;
    clinical.set_setting(setting::PRESCRIPTIONS, Some(&format!("{replica} {next}")))?;
    Ok(format!("{prefix}{next}"))
}

/// Stops or voids.
pub(super) fn end(core: &Core, login: &Login, id: EntityId, into: &str, reason: &str) -> Result<(), Fault> {
    let reason = checks::reason(reason)?;
    let (entity, _) = readable(login, id)?;
    if state(&entity.doc, "state") == "draft" {
        require_own_draft(login, &entity)?;
    }
    core.write_clinical(
        login,
        if into == "voided" {
            "prescription.void"
        } else {
            "prescription.stop"
        },
        |tx| {
            let present = existing(tx, id)?;
            // A draft never went out: it has no number to take back.
            if state(&present.doc, "state") == "draft" {
                return Err(ErrorCode::TransitionRefused.into());
            }
            let value = json!({"state": into, "reason": reason, "by": login.user, "at": tx.at()});
            Ok(tx.patch(&key(id), Map::from_iter([("state".to_owned(), value)]))?)
        },
    )
}

/// A new draft that will replace `id`; a draft that is there already is taken up again.
pub(super) fn again(core: &Core, login: &Login, id: EntityId) -> Result<EntityId, Fault> {
    let (old, client) = readable(login, id)?;
    if state(&old.doc, "state") == "draft" || old.doc.text("links", "replaced_by").is_some() {
        return Err(ErrorCode::TransitionRefused.into());
    }
    core.write_clinical(login, "prescription.reissue", |tx| {
        let begun = tx.prescriptions_of_client(client)?.into_iter().find(|other| {
            state(&other.doc, "state") == "draft"
                && other.doc.text("links", "replaces") == Some(&id.to_string())
                && other.doc.text("subject", "author") == Some(&login.user.to_string())
        });
        if let Some(begun) = begun {
            return Ok(begun.key.id);
        }
        let copied = |unit: &str| old.doc.unit(unit).cloned().unwrap_or(Value::Object(Map::new()));
        let draft = document([
            ("subject", json!({"client": client, "author": login.user})),
            ("order", copied("order")),
            ("diagnosis", copied("diagnosis")),
            ("instructions", copied("instructions")),
            ("state", json!({"state": "draft", "at": tx.at()})),
            ("links", json!({"replaces": id})),
        ]);
        Ok(tx.create_new("prescription", draft)?.id)
    })
}
