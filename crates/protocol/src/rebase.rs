//! Replaying changes on a document: how a device shows its own waiting changes on top of what the service sent, and how the service makes
//! a change once it is decided. There is no other code that applies an operation.

use caseload_domain::Document;
use caseload_domain::registry::{self, Policy};
use serde_json::{Map, Value};

use crate::messages::{Op, OpKind};

/// A document with its deletion mark.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Working {
    /// The content.
    pub doc: Document,
    /// Whether it is void.
    pub deleted: bool,
}

/// `base` (the service's last version, if there is one) with the waiting `ops` of this entity replayed in order. `None` when nothing was
/// ever created. What only the service decides (placement, clashes) is left as it is.
#[must_use]
pub fn rebase<'a>(base: Option<Working>, ops: impl IntoIterator<Item = &'a Op>) -> Option<Working> {
    ops.into_iter().fold(base, |state, op| match (state, op.kind) {
        (None, OpKind::Create | OpKind::Reoffer) => Some(Working {
            doc: Document::new(op.units.clone()),
            deleted: false,
        }),
        (None, _) => None,
        (Some(mut state), OpKind::Create) => {
            if !state.deleted {
                fill_in(&mut state.doc, op);
            }
            Some(state)
        }
        (Some(state), OpKind::Reoffer) => Some(state),
        (Some(mut state), OpKind::Void) => {
            state.deleted = true;
            Some(state)
        }
        (Some(mut state), OpKind::Restore) => {
            state.deleted = false;
            Some(state)
        }
        (Some(mut state), OpKind::Patch) => {
            apply_patch(&mut state.doc, &op.units, op);
            Some(state)
        }
        (Some(mut state), OpKind::Settle) => {
            let mut settled = Map::new();
            settled.insert("state".to_owned(), Value::from("settled"));
            if let Some(choice) = op.units.get("choice") {
                settled.insert("choice".to_owned(), choice.clone());
            }
            state.doc.set("state", Value::Object(settled));
            Some(state)
        }
        (Some(mut state), OpKind::Override | OpKind::Place) => {
            apply_patch(&mut state.doc, &op.units, op);
            Some(state)
        }
    })
}

/// A creation of what exists meanwhile, because two computers derived one id: it adds what is not there yet, as the service will. So nobody's
/// words vanish from before her eyes while they wait, and what she writes next is written by somebody who sees them.
fn fill_in(doc: &mut Document, op: &Op) {
    let Some(entity) = registry::find(&op.key.kind) else {
        return;
    };
    for (unit, value) in &op.units {
        match (entity.policy(unit), value) {
            (Policy::Immutable | Policy::Service, _) => {}
            (Policy::Set, Value::Object(elements)) => {
                for (element, value) in elements {
                    if doc.unit(unit).and_then(|present| present.get(element)).is_none() {
                        doc.set_element(unit, element, value.clone());
                    }
                }
            }
            (Policy::KeepBoth | Policy::State(_) | Policy::Set, _) => {
                if doc.unit(unit).is_none() {
                    doc.set(unit, value.clone());
                }
            }
        }
    }
}

/// Replaces `units` and makes the set changes of `op`.
pub(crate) fn apply_patch(doc: &mut Document, units: &Map<String, Value>, op: &Op) {
    for (unit, value) in units {
        doc.set(unit, value.clone());
    }
    for (unit, elements) in &op.add {
        for (element, value) in elements {
            doc.set_element(unit, element, value.clone());
        }
    }
    for (unit, elements) in &op.remove {
        for element in elements {
            doc.remove_element(unit, element);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn working(doc: Value, deleted: bool) -> Working {
        let doc = Document::new(doc.as_object().cloned().unwrap_or_default());
        Working { doc, deleted }
    }

    fn created(units: Value) -> Op {
        serde_json::from_value(json!({
            "op_id": "01800000-0000-7000-8000-000000000001", "t": "client_chart", "id": "01800000-0000-7000-8000-000000000002",
            "kind": "create", "base_rev": 0, "sv": 1, "units": units, "client_ts": 0,
        }))
        .unwrap()
    }

    #[test]
    fn a_waiting_creation_of_what_exists_meanwhile_adds_what_is_not_there_and_changes_nothing_else() {
        let op = created(json!({
            "subject": {"client": "another"}, "risk": {"level": "mine"}, "intake": {"text": "mine"},
            "allergies": {"a": {"text": "mine"}, "b": {"text": "mine"}},
        }));
        let theirs =
            json!({"subject": {"client": "c"}, "intake": {"text": "theirs"}, "allergies": {"a": {"text": "theirs"}}});
        let both = json!({
            "subject": {"client": "c"}, "intake": {"text": "theirs"}, "risk": {"level": "mine"},
            "allergies": {"a": {"text": "theirs"}, "b": {"text": "mine"}},
        });
        assert_eq!(
            rebase(Some(working(theirs.clone(), false)), [&op]),
            Some(working(both, false))
        );
        let void = working(theirs, true);
        assert_eq!(rebase(Some(void.clone()), [&op]), Some(void), "a void stays what it is");
    }
}
