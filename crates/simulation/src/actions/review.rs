//! What the service lays before people: conflicts and clashes, settled from any computer whose person may see them, and refused changes, tried
//! again where they were made.

use caseload_domain::appointments::{self, AppointmentStatus};
use caseload_domain::{EntityKey, EntityKind};
use caseload_store::{Entity, RefusedGroup, RefusedWhy, WriteError, WriteTx};
use serde_json::{Value, json};

use super::Action;
use crate::desk::{Desk, Done, Which, Which::Clinical, Which::Office};
use crate::model::written_by;

/// Making a change again that waited for an updated program.
pub(super) const GO_OUT: Action = Action {
    name: "refused.retry",
    kinds: &[],
    weight: 0,
    run: |desk| retry(desk, Office, |group| group.why == RefusedWhy::Held),
};

pub(super) const FOLLOW_UPS: &[Action] = &[
    Action {
        name: "conflict.settle",
        kinds: &["conflict"],
        weight: 6,
        run: |desk| settle(desk, Office, "conflict"),
    },
    Action {
        name: "clinical_conflict.settle",
        kinds: &["clinical_conflict"],
        weight: 14,
        run: |desk| settle(desk, Clinical, "clinical_conflict"),
    },
    Action {
        name: "clash.settle",
        kinds: &["clash", "appointment"],
        weight: 5,
        run: clash,
    },
    Action {
        name: "refused.retry",
        kinds: &[],
        weight: 5,
        run: |desk| {
            let which = if desk.chance.percent(65) { Office } else { Clinical };
            retry(desk, which, |_| true)
        },
    },
];

fn settle(desk: &mut Desk<'_>, which: Which, kind: &'static str) -> Done {
    let is_open = |entity: &Entity| entity.doc.text("state", "state") == Some("open");
    let Some(conflict) = desk.any(which, kind, is_open)? else {
        return Ok(false);
    };
    let subject = EntityKey {
        kind: EntityKind::new(conflict.doc.text("about", "type").unwrap_or_default().to_owned()),
        id: match conflict.doc.text("about", "id").and_then(|id| id.parse().ok()) {
            Some(id) => id,
            None => return Ok(false),
        },
    };
    let unit = conflict.doc.text("about", "unit").unwrap_or_default().to_owned();
    let other = conflict.doc.unit("other").and_then(|other| other.get("value")).cloned();
    let other = other.unwrap_or(Value::Null);
    let takes_other = desk.chance.percent(60) && unit != "signature";
    let keys = [subject, conflict.key];
    let done = desk.write(which, kind, &keys, |tx| {
        if takes_other {
            put(tx, &keys[0], &unit, other)?;
        }
        tx.settle(&keys[1], json!({"side": if takes_other { "other" } else { "current" }}))?;
        Ok(Vec::new())
    })?;
    if done {
        desk.tally.count("outcome: conflict settled");
    }
    Ok(done)
}

fn put(tx: &mut WriteTx<'_>, subject: &EntityKey, unit: &str, value: Value) -> Result<(), WriteError> {
    match unit.split_once('/') {
        _ if unit == "*" && value.get("kind") == Some(&json!("void")) => tx.void(subject, "agreed"),
        _ if unit == "*" => {
            tx.restore(subject)?;
            let units = value
                .get("units")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            tx.patch(subject, units)
        }
        Some((set, element)) if value.is_null() => tx.remove_element(subject, set, element),
        Some((set, element)) => tx.add_element(subject, set, element, value),
        None => tx.patch_unit(subject, unit, value),
    }
}

fn clash(desk: &mut Desk<'_>) -> Done {
    let is_open = |entity: &Entity| entity.doc.text("state", "state") != Some("settled");
    let Some(clash) = desk.any(Office, "clash", is_open)? else {
        return Ok(false);
    };
    let side = |name: &str| {
        let id = clash.doc.text("pair", name)?.parse().ok()?;
        Some(EntityKey::new("appointment", id))
    };
    let (Some(placed), Some(contested)) = (side("placed"), side("contested")) else {
        return Ok(false);
    };
    let choice = desk.chance.below(3);
    let status = json!({"state": AppointmentStatus::CancelledByTherapist.as_str(), "mark": desk.mark()});
    let keys = [placed, contested];
    let done = desk.write(Office, "clash.settle", &keys, |tx| {
        match choice {
            0 => tx.patch_unit(&keys[1], "status", status)?,
            1 => {
                let free = tx
                    .get(&keys[0])?
                    .is_some_and(|placed| !appointments::status(&placed.doc).occupies());
                if !free {
                    tx.patch_unit(&keys[0], "status", status)?;
                }
                tx.place(&keys[1])?;
            }
            _ => tx.override_booking(&keys[1], "both agreed")?,
        }
        Ok(Vec::new())
    })?;
    if done {
        desk.tally.count("outcome: clash settled");
    }
    Ok(done)
}

/// Makes a refused change again. Nobody sees for that what others wrote in its place meanwhile: to the model it is the same writing as before,
/// except where this file itself wrote what is there now.
fn retry(desk: &mut Desk<'_>, which: Which, fits: impl Fn(&RefusedGroup) -> bool) -> Done {
    let Some(store) = desk.store(which) else {
        return Ok(false);
    };
    let mut refused = store.read(|read| read.refused())?;
    refused.retain(fits);
    let Some(group) = desk.chance.pick(&refused).cloned() else {
        return Ok(false);
    };
    let [office, clinical] = desk.machine.files();
    let file = if which == Office { office } else { clinical };
    let mut again = Vec::new();
    for op in &group.ops {
        let present = desk.shown(which, &op.key)?.unwrap_or_default();
        for (name, value) in written_by(op) {
            let seen = present.get(&name).cloned();
            let name = (op.key.clone(), name);
            if seen != value && desk.model.wrote_in(file, &name, seen.as_ref()) {
                again.push((name, seen, value));
            }
        }
    }
    // Told before it is done: a crash in between leaves it done and not reported.
    for (name, seen, value) in again {
        desk.model.remember(name, file, seen, value, false);
    }
    let Some(store) = desk.store(which) else {
        return Ok(false);
    };
    let action = caseload_store::Action {
        name: "refused.retry",
        at: desk.at,
    };
    match store.write(&desk.machine.author(desk.cast), action, |tx| tx.retry(group.grp)) {
        Ok(_) => {
            desk.tally.count("outcome: refused change tried again");
            if group.why == RefusedWhy::Held && desk.machine.is_newer {
                desk.tally.count("outcome: held change made by an updated program");
            }
            Ok(true)
        }
        Err(WriteError::Storage(error)) => Err(error),
        Err(_refusal) => Ok(false),
    }
}
