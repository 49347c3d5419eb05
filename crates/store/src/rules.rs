//! What may be changed, as far as it can be known here: the rules that the service decides by, so that a person learns at once what would be
//! refused later.

use caseload_domain::registry::{EntityType, Policy, Writers};
use caseload_domain::{Document, appointments};
use caseload_protocol::messages::{Op, OpKind};
use caseload_protocol::rebase::Working;
use serde_json::Value;

use crate::rows::Stored;
use crate::write::WriteError;

/// Whether there is anything to do; what would change nothing is taken out of `op`.
///
/// # Errors
/// When the rules do not allow it.
pub(crate) fn is_allowed(
    entity: &EntityType,
    stored: Option<&Stored>,
    before: Option<&Working>,
    op: &mut Op,
) -> Result<bool, WriteError> {
    if op.kind == OpKind::Reoffer {
        return Ok(before.is_none());
    }
    if entity.writers == Writers::Service && op.kind != OpKind::Settle {
        return Err(WriteError::ServiceUnit {
            unit: entity.kind.to_owned(),
        });
    }
    if op.kind == OpKind::Create {
        return may_create(entity, before, op).map(|()| true);
    }
    let before = before.ok_or(WriteError::Missing)?;
    if stored.is_some_and(|stored| stored.min_writer > op.sv) {
        return Err(WriteError::NeedsNewerProgram);
    }
    let has_reason = op.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
    match op.kind {
        OpKind::Create | OpKind::Reoffer | OpKind::Patch => may_patch(entity, before, op),
        OpKind::Void if before.deleted => Ok(false),
        OpKind::Void if entity.freeze.as_ref().is_some_and(|freeze| (freeze.when)(&before.doc)) => {
            Err(WriteError::Frozen {
                unit: entity.kind.to_owned(),
            })
        }
        OpKind::Void | OpKind::Override if !has_reason => Err(WriteError::ReasonRequired),
        OpKind::Void => Ok(true),
        OpKind::Restore => Ok(before.deleted),
        OpKind::Settle
            if !matches!(
                entity.kind,
                "conflict" | "clinical_conflict" | "reoffer" | "clinical_reoffer"
            ) =>
        {
            Err(WriteError::ServiceUnit {
                unit: entity.kind.to_owned(),
            })
        }
        OpKind::Settle => Ok(before.doc.text("state", "state") != Some("settled")),
        OpKind::Override | OpKind::Place => {
            let occupies =
                entity.kind == "appointment" && !before.deleted && appointments::occupation(&before.doc).is_some();
            if occupies {
                Ok(true)
            } else {
                Err(WriteError::NotAllowedNow {
                    unit: "placement".to_owned(),
                })
            }
        }
    }
}

fn may_create(entity: &EntityType, before: Option<&Working>, op: &Op) -> Result<(), WriteError> {
    if before.is_some() {
        return Err(WriteError::Exists);
    }
    for unit in entity
        .units
        .iter()
        .filter(|unit| matches!(unit.policy, Policy::Service))
    {
        // A client's number is proposed by the device and confirmed or changed by the service.
        let is_proposal = entity.kind == "client" && unit.name == "number";
        if op.units.contains_key(unit.name) && !is_proposal {
            return Err(WriteError::ServiceUnit {
                unit: unit.name.to_owned(),
            });
        }
    }
    Ok(())
}

fn may_patch(entity: &EntityType, before: &Working, op: &mut Op) -> Result<bool, WriteError> {
    if before.deleted {
        return Err(WriteError::Voided);
    }
    let doc = &before.doc;
    op.units
        .retain(|unit, value| doc.unit(unit).map_or(!value.is_null(), |current| current != value));
    for (unit, value) in &op.units {
        may_replace(entity, doc, unit, value)?;
    }
    op.add.retain(|unit, elements| {
        elements.retain(|element, value| doc.unit(unit).and_then(|present| present.get(element)) != Some(value));
        !elements.is_empty()
    });
    op.remove.retain(|unit, elements| {
        elements.retain(|element| doc.unit(unit).and_then(|present| present.get(element)).is_some());
        !elements.is_empty()
    });
    for unit in op.add.keys().chain(op.remove.keys()) {
        may_change_elements(entity, doc, unit)?;
    }
    Ok(!(op.units.is_empty() && op.add.is_empty() && op.remove.is_empty()))
}

fn may_replace(entity: &EntityType, doc: &Document, unit: &str, value: &Value) -> Result<(), WriteError> {
    let unit_name = || unit.to_owned();
    if entity.is_frozen(doc, unit) {
        return Err(WriteError::Frozen { unit: unit_name() });
    }
    match entity.policy(unit) {
        Policy::KeepBoth => Ok(()),
        Policy::Service => Err(WriteError::ServiceUnit { unit: unit_name() }),
        Policy::Immutable => Err(WriteError::Immutable { unit: unit_name() }),
        Policy::Set => Err(WriteError::NotASet { unit: unit_name() }),
        Policy::State(next) => {
            let from = doc.text(unit, "state").unwrap_or_default();
            let to = value.get("state").and_then(Value::as_str).unwrap_or_default();
            let allowed = from == to || next(from).contains(&to);
            if allowed {
                Ok(())
            } else {
                Err(WriteError::NotAllowedNow { unit: unit_name() })
            }
        }
    }
}

fn may_change_elements(entity: &EntityType, doc: &Document, unit: &str) -> Result<(), WriteError> {
    let unit_name = || unit.to_owned();
    if entity.is_frozen(doc, unit) {
        return Err(WriteError::Frozen { unit: unit_name() });
    }
    match entity.policy(unit) {
        Policy::Set => Ok(()),
        Policy::KeepBoth if entity.units.iter().all(|known| known.name != unit) => Ok(()),
        Policy::Service => Err(WriteError::ServiceUnit { unit: unit_name() }),
        Policy::KeepBoth | Policy::State(_) | Policy::Immutable => Err(WriteError::NotASet { unit: unit_name() }),
    }
}
