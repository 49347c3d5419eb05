//! Folding a change into an operation that was never sent, so that a thousand automatic saves of one draft are one operation. What was sent
//! once is never changed.

use caseload_domain::registry::{self, Policy};
use caseload_domain::{Document, EntityKey, GroupId, OpId};
use caseload_protocol::messages::{Group, Op, OpKind};
use rusqlite::Connection;
use serde_json::Value;

use crate::outbox;
use crate::rows;
use crate::state::{self, Name};
use crate::store::Meta;
use crate::touches::touches;
use crate::write::{Author, WriteError, sign};

/// Groups with more operations are left as they are: signing them again would cost more than a further operation.
const LARGEST: usize = 20;

/// Whether `op` may become part of `earlier`, an operation on the same entity with nothing on that entity between them.
pub(crate) fn can_fold(earlier: &Op, op: &Op) -> bool {
    op.kind == OpKind::Patch
        && match earlier.kind {
            OpKind::Create => op.base_rev == earlier.base_rev,
            // Its base stays: what it did not touch must have been seen at that same base.
            OpKind::Patch => {
                let known = touches(earlier).covers(&touches(op));
                (known || op.base_rev == earlier.base_rev) && !repeats_a_state(earlier, op) && !takes_back(earlier, op)
            }
            OpKind::Void | OpKind::Restore | OpKind::Settle | OpKind::Override | OpKind::Place | OpKind::Reoffer => {
                false
            }
        }
}

/// Two steps of a state are not one: the first may be allowed from the state that the service has, the sum of both not.
fn repeats_a_state(earlier: &Op, op: &Op) -> bool {
    let Some(entity) = registry::find(&op.key.kind) else {
        return true;
    };
    op.units
        .keys()
        .any(|unit| earlier.units.contains_key(unit) && matches!(entity.policy(unit), Policy::State(_)))
}

/// An element added and removed again leaves an empty set where there was none; one operation could not say that.
fn takes_back(earlier: &Op, op: &Op) -> bool {
    op.remove.iter().any(|(unit, elements)| {
        earlier
            .add
            .get(unit)
            .is_some_and(|added| elements.iter().any(|element| added.contains_key(element)))
    })
}

/// Makes `earlier` do what both did one after the other.
pub(crate) fn fold(earlier: &mut Op, op: Op) {
    earlier.client_ts = op.client_ts;
    earlier.sv = earlier.sv.max(op.sv);
    if earlier.kind == OpKind::Create {
        let mut document = Document::new(std::mem::take(&mut earlier.units));
        for (unit, value) in op.units {
            document.set(&unit, value);
        }
        for (unit, elements) in op.add {
            for (element, value) in elements {
                document.set_element(&unit, &element, value);
            }
        }
        for (unit, elements) in op.remove {
            for element in elements {
                document.remove_element(&unit, &element);
            }
        }
        earlier.units = document.units().clone();
        return;
    }
    for (unit, value) in op.units {
        earlier.add.remove(&unit);
        earlier.remove.remove(&unit);
        earlier.units.insert(unit, value);
    }
    for (unit, elements) in op.add {
        for (element, value) in elements {
            if let Some(removed) = earlier.remove.get_mut(&unit) {
                removed.retain(|other| *other != element);
            }
            match earlier.units.get_mut(&unit) {
                Some(Value::Object(whole)) => drop(whole.insert(element, value)),
                _ => drop(earlier.add.entry(unit.clone()).or_default().insert(element, value)),
            }
        }
    }
    for (unit, elements) in op.remove {
        for element in elements {
            match earlier.units.get_mut(&unit) {
                Some(Value::Object(whole)) => drop(whole.remove(&element)),
                _ => {
                    let removed = earlier.remove.entry(unit.clone()).or_default();
                    if !removed.contains(&element) {
                        removed.push(element);
                    }
                }
            }
        }
    }
    earlier.add.retain(|_, elements| !elements.is_empty());
    earlier.remove.retain(|_, elements| !elements.is_empty());
}

/// Folds `op` into the last waiting operation on its entity and signs that group anew. `None` when it has to be an operation of its own.
pub(crate) fn into_unsent(
    connection: &Connection,
    meta: &Meta,
    author: &Author<'_>,
    op: &Op,
    detached: bool,
) -> Result<Option<GroupId>, WriteError> {
    if op.kind != OpKind::Patch || !rows::load(connection, &op.key)?.is_some_and(|stored| stored.may_have_ops()) {
        return Ok(None);
    }
    let Some(last) = outbox::waits_on(connection, &op.key)?.pop() else {
        return Ok(None);
    };
    if !last.is_new || !can_fold(&last.op, op) {
        return Ok(None);
    }
    let Some(found) = outbox::load_group(connection, last.grp)? else {
        return Ok(None);
    };
    let mut group = found.group;
    let is_mine = group.actor == author.user
        && group.role == author.role
        && group.origin == state::require(connection, Name::Replica)?;
    let in_order = found.is_last || !depends_on_order(&op.key);
    if group.detached != detached
        || found.sealed
        || !found.all_new
        || !is_mine
        || !in_order
        || group.ops.len() > LARGEST
    {
        return Ok(None);
    }
    let Some((replaced, folded)) = take_in(&mut group, op) else {
        return Ok(None);
    };
    group.sig = sign(&group, meta, author)?;
    outbox::replace_unsent(connection, group.grp, replaced, &folded, &group.sig)?;
    Ok(Some(group.grp))
}

/// Makes the last operation of `group` on the entity contain `op`, under the new operation's id: a copy of this file may have sent the earlier
/// one, and another content under its id would pass for a repetition there. Gives the id that was replaced.
fn take_in(group: &mut Group, op: &Op) -> Option<(OpId, Op)> {
    let target = group.ops.iter_mut().rev().find(|earlier| earlier.key == op.key)?;
    let replaced = target.op_id;
    fold(target, op.clone());
    target.op_id = op.op_id;
    Some((replaced, target.clone()))
}

/// A booking moved before another one freed the time would be contested, and care that ended before it began is refused.
pub(crate) fn depends_on_order(key: &EntityKey) -> bool {
    matches!(key.kind.as_str(), "appointment" | "care_relationship")
}
