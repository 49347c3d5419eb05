//! Placement of bookings: of two overlapping appointments the first to arrive is placed, the other contested, with a Clash record in the same
//! transaction. Nothing is placed again by itself when a slot frees up; a person places, moves, cancels or overrides.

use caseload_domain::appointments::{self, Occupation, Placement, ResourceKind};
use caseload_domain::{Document, EntityKey, Scope};
use serde_json::{Value, json};

use crate::decide::{OpDecision, Refused};
use crate::facts::clash_id;
use crate::messages::{OpKind, Outcome, Refusal};
use crate::row::Row;

pub(crate) fn is_booking(key: &EntityKey) -> bool {
    key.kind.as_str() == "appointment"
}

/// Whether `unit` is the time of an appointment that no longer occupies any.
pub(crate) fn moves_a_freed_booking(row: &Row, unit: &str) -> bool {
    is_booking(&row.key) && unit == "when" && !appointments::status(&row.doc).occupies()
}

/// `override` and `place` operations.
pub(crate) fn place(decision: &mut OpDecision<'_, '_>) -> Result<Outcome, Refused> {
    let mut row = decision
        .stage
        .row(&decision.op.key)
        .cloned()
        .ok_or(Refused::of(Refusal::Missing))?;
    if !is_booking(&row.key) {
        return Err(Refused::of(Refusal::Forbidden));
    }
    let Some(occupation) = occupation(&row) else {
        return Err(Refused::of(Refusal::NotAllowedNow));
    };
    if !decision.seen(&row, "when") {
        return Err(Refused::of(Refusal::NotAllowedNow));
    }
    let before = row.clone();
    if decision.op.kind == OpKind::Override {
        let reason = decision.op.reason.clone().filter(|reason| !reason.trim().is_empty());
        let reason = reason.ok_or(Refused::of(Refusal::ReasonRequired))?;
        row.doc.set(
            "override",
            json!({"reason": reason, "by": decision.actor.user, "at": decision.op.client_ts}),
        );
    } else if others(decision, &row.key, &occupation)
        .iter()
        .any(|(other, _)| is_placed(other))
    {
        return Err(Refused::of(Refusal::NotFree));
    }
    row.doc.set("placement", json!({"state": "placed"}));
    decision.write(row, &["placement".to_owned()]);
    settle_clashes(
        decision,
        &before,
        if decision.op.kind == OpKind::Override {
            "override"
        } else {
            "placed"
        },
    );
    if let Some(row) = decision.stage.row(&decision.op.key).cloned() {
        for (other, shared) in others(decision, &row.key, &occupation) {
            if !is_placed(&other) {
                open_clash(decision, &row, &other, &shared);
            }
        }
    }
    Ok(Outcome::Applied)
}

/// Decides the placement of the appointment that the operation wrote, if its time, people or occupation changed since `before`.
pub(crate) fn reevaluate(
    decision: &mut OpDecision<'_, '_>,
    key: &EntityKey,
    before: Option<&Row>,
    outcome: Outcome,
) -> Outcome {
    let Some(mut row) = decision.stage.row(key).cloned() else {
        return outcome;
    };
    let now = occupation(&row);
    if before.is_some_and(|before| occupation(before) == now) {
        return outcome;
    }
    let Some(now) = now else {
        settle_clashes(decision, &row, "cancelled");
        return outcome;
    };
    if row.doc.unit("override").is_some() {
        row.doc.set("override", Value::Null);
    }
    let others = others(decision, &row.key, &now);
    #[cfg(feature = "test-faults")]
    let others = if caseload_faults::bugs::has(caseload_faults::bugs::Bug::NoClashCheck) {
        Vec::new()
    } else {
        others
    };
    let placement = if others.iter().any(|(other, _)| is_placed(other)) {
        Placement::Contested
    } else {
        Placement::Placed
    };
    let contested = placement == Placement::Contested;
    let mut decided = json!({"state": if contested { "contested" } else { "placed" }});
    if let Some(former) = before
        .and_then(|before| place_before(before, &row))
        .filter(|_| contested)
    {
        decided[FORMER] = former;
    }
    row.doc.set("placement", decided);
    decision.write(row.clone(), &["placement".to_owned()]);
    settle_clashes(decision, &row, "moved");
    for (other, shared) in others {
        match (contested, is_placed(&other)) {
            (true, true) => open_clash(decision, &other, &row, &shared),
            (false, false) => open_clash(decision, &row, &other, &shared),
            _ => {}
        }
    }
    if contested { Outcome::Clash } else { outcome }
}

/// The member of `placement` that keeps the `when` from which a booking was moved into a clash.
const FORMER: &str = "prev_when";

/// Where a booking that is moved had its place last: going back there is one step, as long as nobody else has taken it.
fn place_before(before: &Row, moved: &Row) -> Option<Value> {
    if !is_placed(before) {
        return before.doc.unit("placement")?.get(FORMER).cloned();
    }
    occupation(before)?;
    let when = before.doc.unit("when")?;
    (moved.doc.unit("when") != Some(when)).then(|| when.clone())
}

/// What both compete for.
struct Shared {
    kind: ResourceKind,
    id: String,
}

/// The time that a row occupies; none when it is void.
fn occupation(row: &Row) -> Option<Occupation> {
    if row.deleted {
        None
    } else {
        appointments::occupation(&row.doc)
    }
}

fn is_placed(row: &Row) -> bool {
    appointments::placement(&row.doc) == Placement::Placed
}

fn others(decision: &OpDecision<'_, '_>, key: &EntityKey, now: &Occupation) -> Vec<(Row, Shared)> {
    decision
        .stage
        .appointments()
        .into_iter()
        .filter(|other| other.key != *key)
        .filter_map(|other| {
            let theirs = occupation(other)?;
            let resource = now.clash_with(&theirs)?;
            Some((
                other.clone(),
                Shared {
                    kind: resource.kind,
                    id: resource.id.clone(),
                },
            ))
        })
        .collect()
}

fn open_clash(decision: &mut OpDecision<'_, '_>, placed: &Row, contested: &Row, shared: &Shared) {
    let key = EntityKey::new("clash", clash_id(placed.key.id, contested.key.id));
    let salt = decision
        .stage
        .row(&key)
        .and_then(|row| row.doc.unit("salt").cloned())
        .unwrap_or_else(|| Value::from(decision.derive_salt(&key)));
    let mut document = Document::default();
    document.set("salt", salt);
    document.set(
        "pair",
        json!({"placed": placed.key.id, "contested": contested.key.id, "kind": shared.kind, "resource": shared.id}),
    );
    document.set("state", json!({"state": "open"}));
    let id = key.id;
    decision.write_service_row(key, Scope::Office, document);
    if !decision.opened.contains(&id) {
        decision.opened.push(id);
    }
}

/// Closes or frees the unsettled clashes of an appointment that moved, was placed or no longer occupies time: its own contest is settled; a
/// booking that was contested because of it is freed and waits for a person.
fn settle_clashes(decision: &mut OpDecision<'_, '_>, row: &Row, how: &str) {
    let id = row.key.id.to_string();
    for clash in decision.stage.clashes_of(&id) {
        let state = clash.doc.text("state", "state").unwrap_or_default();
        let own_contest = clash.doc.text("pair", "contested") == Some(&id);
        let next = match (state, own_contest) {
            ("settled", _) => continue,
            (_, true) => "settled",
            ("freed", false) => continue,
            (_, false) => "freed",
        };
        let Row {
            key, doc: mut document, ..
        } = clash;
        document.set(
            "state",
            json!({"state": next, "how": how, "by": decision.actor.user, "at": decision.op.client_ts}),
        );
        decision.write_service_row(key, Scope::Office, document);
    }
}
