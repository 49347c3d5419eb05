//! The clinical record: charts, sessions, notes with their addenda, prescriptions.

use caseload_domain::{EntityKey, OpId, notes};
use caseload_protocol::checksum::{hex, sha256};
use caseload_store::{Entity, Intent, Step};
use serde_json::{Map, Value, json};

use super::Action;
use super::office::one_in_care;
use crate::desk::{Desk, Done, Which::Clinical, Which::Office};
use crate::template::document;

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "chart.write",
        kinds: &["client_chart"],
        weight: 10,
        run: chart,
    },
    Action {
        name: "chart.allergies",
        kinds: &["client_chart"],
        weight: 5,
        run: allergies,
    },
    Action {
        name: "chart.medications",
        kinds: &["client_chart"],
        weight: 3,
        run: medications,
    },
    Action {
        name: "session.write",
        kinds: &["session"],
        weight: 3,
        run: session,
    },
    Action {
        name: "note.draft",
        kinds: &["session_note"],
        weight: 5,
        run: note_draft,
    },
    Action {
        name: "note.edit",
        kinds: &["session_note"],
        weight: 8,
        run: note_edit,
    },
    Action {
        name: "prescription.draft",
        kinds: &["prescription"],
        weight: 6,
        run: prescription_draft,
    },
    Action {
        name: "prescription.edit",
        kinds: &["prescription"],
        weight: 5,
        run: prescription_edit,
    },
    Action {
        name: "prescription.issue",
        kinds: &["prescription"],
        weight: 8,
        run: prescription_issue,
    },
];

pub(super) const FOLLOW_UPS: &[Action] = &[
    Action {
        name: "session.state",
        kinds: &["session"],
        weight: 3,
        run: session_state,
    },
    Action {
        name: "note.sign",
        kinds: &["session_note", "appointment"],
        weight: 6,
        run: note_sign,
    },
    Action {
        name: "note.cosign",
        kinds: &["session_note"],
        weight: 6,
        run: note_cosign,
    },
    Action {
        name: "note.error",
        kinds: &["session_note"],
        weight: 5,
        run: note_error,
    },
    Action {
        name: "note.void",
        kinds: &["session_note"],
        weight: 3,
        run: note_void,
    },
    Action {
        name: "note.addendum",
        kinds: &["addendum"],
        weight: 6,
        run: addendum,
    },
    Action {
        name: "prescription.state",
        kinds: &["prescription"],
        weight: 9,
        run: prescription_state,
    },
    Action {
        name: "prescription.reissue",
        kinds: &["prescription"],
        weight: 6,
        run: prescription_reissue,
    },
];

fn chart(desk: &mut Desk<'_>) -> Done {
    let Some(client) = one_in_care(desk)? else {
        return Ok(false);
    };
    let key = EntityKey::new("client_chart", client.entity());
    let unit = desk
        .chance
        .pick(&["risk", "risk", "risk", "history", "safety_plan", "intake"])
        .copied()
        .unwrap_or("risk");
    let (one, two) = (desk.mark(), desk.mark());
    desk.write(Clinical, "chart.write", std::slice::from_ref(&key), |tx| {
        let value = json!({"level": one, "note": two});
        if tx.get(&key)?.is_some() {
            tx.patch_unit(&key, unit, value)?;
        } else {
            tx.create(&key, document(json!({"subject": {"client": client}, unit: value})))?;
        }
        Ok(vec![key.clone()])
    })
}

fn allergies(desk: &mut Desk<'_>) -> Done {
    element_of_chart(desk, "chart.allergies", "allergies", "a")
}

fn medications(desk: &mut Desk<'_>) -> Done {
    element_of_chart(desk, "chart.medications", "medications", "d")
}

/// Adds, replaces or removes one of three elements.
fn element_of_chart(desk: &mut Desk<'_>, name: &'static str, set: &str, letter: &str) -> Done {
    let Some(chart) = desk.any(Clinical, "client_chart", |_| true)? else {
        return Ok(false);
    };
    let (element, value) = (format!("{letter}{}", desk.chance.below(3)), desk.marked());
    let removes = desk.chance.percent(35);
    let key = chart.key;
    desk.write(Clinical, name, std::slice::from_ref(&key), |tx| {
        if removes {
            tx.remove_element(&key, set, &element)?;
        } else {
            tx.add_element(&key, set, &element, value)?;
        }
        Ok(Vec::new())
    })
}

fn session(desk: &mut Desk<'_>) -> Done {
    let known = desk.any(Clinical, "session", |_| true)?;
    if let Some(session) = known.filter(|_| desk.chance.percent(60)) {
        let units = ["progress", "progress", "interventions", "homework", "feedback"];
        let unit = desk.chance.pick(&units).copied().unwrap_or("progress");
        let value = desk.marked();
        return desk.set(Clinical, "session.write", &session.key, unit, value);
    }
    let Some(client) = one_in_care(desk)? else {
        return Ok(false);
    };
    let session = json!({"subject": {"client": client}, "presenting": desk.marked(), "state": {"state": "open"}});
    desk.create(Clinical, "session.write", "session", session)
}

/// Completed, or opened again.
fn session_state(desk: &mut Desk<'_>) -> Done {
    let Some(session) = desk.any(Clinical, "session", |_| true)? else {
        return Ok(false);
    };
    let next = if session.doc.text("state", "state") == Some("open") {
        "completed"
    } else {
        "open"
    };
    let value = json!({"state": next, "mark": desk.mark()});
    desk.set(Clinical, "session.state", &session.key, "state", value)
}

fn note_draft(desk: &mut Desk<'_>) -> Done {
    let Some(client) = one_in_care(desk)? else {
        return Ok(false);
    };
    let note = json!({"subject": {"client": client, "author": desk.user()}, "template": {"kind": "soap"},
                      "body": {"sections": {"plan": desk.mark(), "objective": desk.mark()}}, "state": {"state": "draft"}});
    desk.create(Clinical, "note.draft", "session_note", note)
}

fn mine(desk: &mut Desk<'_>, kind: &str, state: &str) -> Result<Option<Entity>, caseload_store::StorageError> {
    let me = desk.user().to_string();
    desk.any(Clinical, kind, |entity| {
        entity.doc.text("subject", "author") == Some(&me) && entity.doc.text("state", "state") == Some(state)
    })
}

fn note_edit(desk: &mut Desk<'_>) -> Done {
    let Some(note) = mine(desk, "session_note", "draft")? else {
        return Ok(false);
    };
    let value = json!({"sections": {"plan": desk.mark(), "objective": desk.mark()}});
    desk.set(Clinical, "note.edit", &note.key, "body", value)
}

/// Units that sign a document: state, signature and whatever else is set with them.
fn signing(desk: &mut Desk<'_>, entity: &Entity, state: &str, others: Value) -> Map<String, Value> {
    let mut document = entity.doc.clone();
    let mut units = others.as_object().cloned().unwrap_or_default();
    for (unit, value) in &units {
        document.set(unit, value.clone());
    }
    let mut signature = json!({"author": desk.user(), "signed_at": desk.at, "mark": desk.mark()});
    let bytes = notes::signing_bytes(&entity.key, &document, &signature).unwrap_or_default();
    signature["hash"] = json!(hex(&sha256(&bytes)));
    signature["value"] = json!(desk.me().key.sign(&bytes).to_string());
    units.insert("signature".to_owned(), signature);
    units.insert("state".to_owned(), json!({"state": state, "mark": desk.mark()}));
    units
}

/// Signing marks the appointment as documented, in the other file.
fn note_sign(desk: &mut Desk<'_>) -> Done {
    let Some(note) = mine(desk, "session_note", "draft")? else {
        return Ok(false);
    };
    let appointment = desk.any(Office, "appointment", |_| true)?;
    let units = signing(desk, &note, "signed", json!({}));
    let mark = desk.mark();
    let key = note.key;
    let signed = desk.write(Clinical, "note.sign", std::slice::from_ref(&key), |tx| {
        tx.patch(&key, units)?;
        if let Some(appointment) = appointment {
            let units = Map::from_iter([("documented".to_owned(), json!({"mark": mark}))]);
            let step = Step {
                key: appointment.key,
                units,
            };
            tx.intend(&Intent::new(OpId::new(tx.new_id().uuid()), vec![step]))?;
        }
        Ok(Vec::new())
    })?;
    desk.run_intents()?;
    Ok(signed)
}

/// A colleague who treats the client vouches for a signed note, too.
fn note_cosign(desk: &mut Desk<'_>) -> Done {
    let is_signed = |note: &Entity| note.doc.text("state", "state") == Some("signed");
    let Some(note) = desk.any(Clinical, "session_note", is_signed)? else {
        return Ok(false);
    };
    let (me, mark) = (desk.user(), desk.mark());
    let value = json!({"author": me, "hash": mark, "value": mark});
    let key = note.key;
    desk.write(Clinical, "note.cosign", std::slice::from_ref(&key), |tx| {
        tx.add_element(&key, "cosignatures", &me.to_string(), value)?;
        Ok(Vec::new())
    })
}

fn note_error(desk: &mut Desk<'_>) -> Done {
    let Some(note) = mine(desk, "session_note", "signed")? else {
        return Ok(false);
    };
    let units = Map::from_iter([
        (
            "state".to_owned(),
            json!({"state": "entered_in_error", "mark": desk.mark()}),
        ),
        ("error_mark".to_owned(), desk.marked()),
    ]);
    let key = note.key;
    desk.write(Clinical, "note.error", std::slice::from_ref(&key), |tx| {
        tx.patch(&key, units)?;
        Ok(Vec::new())
    })
}

fn note_void(desk: &mut Desk<'_>) -> Done {
    let Some(note) = mine(desk, "session_note", "draft")? else {
        return Ok(false);
    };
    let key = note.key;
    desk.write(Clinical, "note.void", std::slice::from_ref(&key), |tx| {
        tx.void(&key, "the wrong client")?;
        Ok(Vec::new())
    })
}

fn addendum(desk: &mut Desk<'_>) -> Done {
    let Some(note) = mine(desk, "session_note", "signed")? else {
        return Ok(false);
    };
    let client = note.doc.text("subject", "client").unwrap_or_default().to_owned();
    let body = desk.mark();
    let signature = json!({"author": desk.user(), "hash": body, "value": body});
    let addendum = json!({"subject": {"client": client, "note": note.key.id, "author": desk.user()}, "body": {"text": body},
                          "signature": signature});
    desk.create(Clinical, "note.addendum", "addendum", addendum)
}

fn order(desk: &mut Desk<'_>) -> Value {
    json!({"lines": [{"drug": desk.mark(), "dose": desk.mark(), "frequency": "daily"}]})
}

fn prescription_draft(desk: &mut Desk<'_>) -> Done {
    let Some(client) = one_in_care(desk)? else {
        return Ok(false);
    };
    let prescription = json!({"subject": {"client": client, "author": desk.user()}, "order": order(desk), "state": {"state": "draft"}});
    desk.create(Clinical, "prescription.draft", "prescription", prescription)
}

fn prescription_edit(desk: &mut Desk<'_>) -> Done {
    let Some(prescription) = mine(desk, "prescription", "draft")? else {
        return Ok(false);
    };
    if desk.chance.percent(60) {
        let order = order(desk);
        return desk.set(Clinical, "prescription.edit", &prescription.key, "order", order);
    }
    let unit = if desk.chance.percent(70) {
        "instructions"
    } else {
        "diagnosis"
    };
    let value = desk.marked();
    desk.set(Clinical, "prescription.edit", &prescription.key, unit, value)
}

/// What an issued one replaces is marked as replaced with it.
fn prescription_issue(desk: &mut Desk<'_>) -> Done {
    let Some(prescription) = mine(desk, "prescription", "draft")? else {
        return Ok(false);
    };
    let number = json!({"number": {"value": desk.mark()}});
    let units = signing(desk, &prescription, "issued", number);
    let replaced = prescription
        .doc
        .text("links", "replaces")
        .and_then(|id| id.parse().ok());
    let replaced = replaced.map(|id| EntityKey::new("prescription", id));
    let (key, mark) = (prescription.key, desk.mark());
    let keys: Vec<EntityKey> = std::iter::once(key.clone()).chain(replaced.clone()).collect();
    desk.write(Clinical, "prescription.issue", &keys, |tx| {
        tx.patch(&key, units)?;
        if let Some(old) = replaced
            && let Some(present) = tx.get(&old)?
        {
            tx.overlay_unit(&old, "links", json!({"replaced_by": key.id, "mark": mark}))?;
            if matches!(present.doc.text("state", "state"), Some("issued" | "printed")) {
                tx.patch_unit(&old, "state", json!({"state": "replaced", "mark": mark}))?;
            }
        }
        Ok(Vec::new())
    })
}

/// A new draft with the order of an issued one, which it will replace.
fn prescription_reissue(desk: &mut Desk<'_>) -> Done {
    let is_issued = |old: &Entity| {
        old.doc.text("state", "state") != Some("draft") && old.doc.text("links", "replaced_by").is_none()
    };
    let Some(old) = desk.any(Clinical, "prescription", is_issued)? else {
        return Ok(false);
    };
    let client = old.doc.text("subject", "client").unwrap_or_default().to_owned();
    let draft = json!({"subject": {"client": client, "author": desk.user()}, "order": order(desk),
                       "state": {"state": "draft"}, "links": {"replaces": old.key.id}});
    desk.create(Clinical, "prescription.reissue", "prescription", draft)
}

/// Printing, stopping and voiding what was issued.
fn prescription_state(desk: &mut Desk<'_>) -> Done {
    let state = if desk.chance.percent(85) { "issued" } else { "draft" };
    let Some(prescription) = mine(desk, "prescription", state)? else {
        return Ok(false);
    };
    let next = desk
        .chance
        .pick(&["printed", "stopped", "voided"])
        .copied()
        .unwrap_or("stopped");
    let (copy, mark) = (desk.mark(), desk.mark());
    let key = prescription.key;
    desk.write(Clinical, "prescription.state", std::slice::from_ref(&key), |tx| {
        if next == "printed" {
            tx.add_element(&key, "prints", &copy, json!({"copy": mark}))?;
        }
        tx.patch_unit(&key, "state", json!({"state": next, "mark": mark}))?;
        Ok(Vec::new())
    })
}
