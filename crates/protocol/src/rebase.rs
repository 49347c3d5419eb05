//! Replaying changes on a document: how a device shows its own waiting changes on top of what the service sent, and how the service makes
//! a change once it is decided. There is no other code that applies an operation.

use caseload_domain::Document;
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
        (Some(state), OpKind::Create | OpKind::Reoffer) => Some(state),
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
