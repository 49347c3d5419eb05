//! Rows offered back after a restore of the service: kept for review, and what a person's choice does.

use std::collections::BTreeMap;

use caseload_domain::registry::{self, EntityType, Policy, Writers};
use caseload_domain::{Document, EntityId, ReplicaId, notes};
use serde_json::{Value, json};

use super::operation::{OpDecision, mark_names};
use super::stage::Refused;
use crate::bookings;
use crate::facts::{WHOLE, element_name};
use crate::messages::{Outcome, Refusal, WireRow};
use crate::reoffer::{self, ACCEPT, REFUSE};
use crate::row::{Row, UnitMark};

const SIGNATURE: &str = "signature";

impl OpDecision<'_, '_> {
    /// Keeps an offered row for review, unless this history has held that very version: then nothing was lost.
    pub(super) fn reoffer(&mut self) -> Result<Outcome, Refused> {
        let invalid = || Refused::of(Refusal::Invalid);
        let lost = reoffer::row_of(&self.op.units).ok_or_else(invalid)?;
        let entity = registry::find(&lost.key.kind).ok_or_else(Refused::upgrade)?;
        let leaf = reoffer::leaf(&lost).map_err(|_| invalid())?;
        if reoffer::record_key(&lost).as_ref() != Some(&self.op.key) || entity.scope_of(&lost.doc) != Some(lost.scope) {
            return Err(invalid());
        }
        let was_here = self.leaves.get(&lost.seq) == Some(&leaf);
        let is_here = self.stage.row(&lost.key).is_some_and(|row| row.leaf() == Ok(leaf));
        // Clashes are found again when the bookings are.
        let derived = entity.kind == "clash";
        if was_here || is_here || derived || self.stage.row(&self.op.key).is_some() {
            return Ok(Outcome::Applied);
        }
        let mut document = Document::new(reoffer::units(&lost));
        document.set("salt", Value::from(self.derive_salt(&self.op.key)));
        document.set(
            "offered",
            json!({"by": self.actor.user, "replica": self.replica, "at": self.op.client_ts}),
        );
        document.set("state", json!({"state": "open"}));
        self.write_service_row(self.op.key.clone(), lost.scope, document);
        Ok(Outcome::Applied)
    }

    /// Settles the review of an offered row: office rows by an administrator, clinical ones by whoever treats the client.
    pub(super) fn settle_reoffer(&mut self, mut record: Row) -> Result<Outcome, Refused> {
        if !record.scope.is_clinical() && !self.actor.admin {
            return Err(Refused::of(Refusal::Forbidden));
        }
        let lost = reoffer::row_of(record.doc.units()).ok_or(Refused::of(Refusal::Invalid))?;
        // What the operation does not name was not read for this decision.
        if reoffer::named_by(self.op).as_ref() != Some(&lost.key) {
            return Err(Refused::of(Refusal::Invalid));
        }
        let choice = self.op.units.get("choice").and_then(Value::as_str);
        let outcome = match choice {
            Some(ACCEPT) => self.accept(lost)?,
            Some(REFUSE) => Outcome::Applied,
            _ => return Err(Refused::of(Refusal::Invalid)),
        };
        record.doc.set(
            "state",
            json!({"state": "settled", "choice": choice, "by": self.actor.user, "at": self.op.client_ts}),
        );
        self.write(record, &["state".to_owned()]);
        Ok(outcome)
    }

    fn accept(&mut self, lost: WireRow) -> Result<Outcome, Refused> {
        let entity = registry::find(&lost.key.kind).ok_or_else(Refused::upgrade)?;
        match self.stage.row(&lost.key).cloned() {
            None => self.bring_back(entity, lost),
            Some(present) => self.join(entity, present, lost),
        }
    }

    /// The row exists nowhere in this history. Its revision goes on from the lost one, and its units keep the revisions at which they were
    /// written: changes that wait on a device on top of the lost version have seen them. The record of an offer comes back to be reviewed:
    /// what a choice did in the lost history is not done in this one.
    fn bring_back(&mut self, entity: &EntityType, lost: WireRow) -> Result<Outcome, Refused> {
        let nobody = nobody();
        let mut row = Row {
            key: lost.key,
            rev: lost.rev,
            seq: 0,
            deleted: lost.del,
            schema: lost.sv,
            min_writer: lost.min_writer,
            scope: lost.scope,
            doc: lost.doc,
            marks: BTreeMap::new(),
        };
        for (unit, r) in lost.u {
            row.marks.insert(unit, UnitMark { r, by: nobody });
        }
        if entity.writers != Writers::Service {
            self.validate(entity, &row.doc)?;
        }
        let mut outcome = Outcome::Applied;
        if entity.kind == "client" && self.number_client(&mut row.doc) {
            outcome = Outcome::Merged;
        }
        if reoffer::is_record(&row.key) {
            row.doc.set("state", json!({"state": "open"}));
        }
        let key = row.key.clone();
        self.write(row, &[]);
        Ok(if bookings::is_booking(&key) {
            bookings::reevaluate(self, &key, None, outcome)
        } else {
            outcome
        })
    }

    /// The row exists in another form. What the reviewer had seen of it gives way to the lost values, what they had not seen stays and the
    /// lost value becomes a Conflict.
    fn join(&mut self, entity: &EntityType, mut row: Row, lost: WireRow) -> Result<Outcome, Refused> {
        if entity.writers == Writers::Service {
            return Ok(Outcome::Applied);
        }
        let is_same = row.doc == lost.doc && row.deleted == lost.del;
        if !is_same && entity.freeze.as_ref().is_some_and(|freeze| (freeze.when)(&row.doc)) {
            return Err(Refused::of(Refusal::Immutable));
        }
        let before = row.clone();
        let whole = json!({"units": lost.doc.units(), "deleted": lost.del});
        if is_same || row.deleted {
            self.write_above(row, &lost, &unseen_units(&before, &lost, &[]));
            if is_same {
                return Ok(Outcome::Applied);
            }
            self.open_conflict(&before, WHOLE, "edit_after_void", None, whole);
            return Ok(Outcome::Conflict);
        }
        let seen_rev = match self.op.units.get("seen").and_then(Value::as_i64) {
            Some(rev) if !self.detached => rev,
            _ => 0,
        };
        let seen = |row: &Row, name: &str| row.marks.get(name).is_none_or(|mark| mark.r <= seen_rev);
        let (mut names, mut conflicts) = (Vec::new(), Vec::new());
        for (unit, value) in lost.doc.units() {
            let policy = entity.policy(unit);
            if matches!(policy, Policy::Service | Policy::Immutable) || row.doc.unit(unit) == Some(value) {
                continue;
            }
            match (policy, value) {
                (Policy::Set, Value::Object(elements)) => {
                    for (element, value) in elements {
                        let name = element_name(unit, element);
                        let present = row.doc.unit(unit).and_then(|elements| elements.get(element));
                        if present == Some(value) {
                            continue;
                        }
                        if present.is_none() || seen(&row, &name) {
                            row.doc.set_element(unit, element, value.clone());
                            names.push(name);
                        } else {
                            conflicts.push((name, present.cloned(), value.clone()));
                        }
                    }
                }
                _ if seen(&row, unit) => {
                    row.doc.set(unit, value.clone());
                    names.extend(mark_names(entity, unit, value));
                }
                _ => conflicts.push((unit.clone(), row.doc.unit(unit).cloned(), value.clone())),
            }
        }
        if lost.del && before.marks.keys().all(|name| seen(&before, name)) {
            row.deleted = true;
            names.push(WHOLE.to_owned());
        } else if lost.del {
            conflicts.push((WHOLE.to_owned(), None, whole.clone()));
        }
        let unseen = unseen_units(&before, &lost, &names);
        let vouches = entity.vouching.iter().any(|unit| names.iter().any(|name| name == unit));
        if vouches && (!conflicts.is_empty() || signs_other_content(entity, &before, &lost, seen_rev)) {
            let signature = before.doc.unit(SIGNATURE).cloned();
            self.open_conflict(&before, SIGNATURE, "content_changed", signature.as_ref(), whole);
            self.write_above(before.clone(), &lost, &unseen_units(&before, &lost, &[]));
            return Ok(Outcome::Conflict);
        }
        let mut outcome = Outcome::Merged;
        if !names.is_empty() {
            self.validate(entity, &row.doc)?;
        }
        row.schema = row.schema.max(lost.sv);
        let key = row.key.clone();
        names.extend(unseen);
        self.write_above(row, &lost, &names);
        if !names.is_empty() && bookings::is_booking(&key) {
            outcome = bookings::reevaluate(self, &key, Some(&before), outcome);
        }
        for (name, current, value) in conflicts {
            self.open_conflict(&before, &name, "same_unit", current.as_ref(), value);
            outcome = Outcome::Conflict;
        }
        Ok(outcome)
    }

    /// Writes a row above both histories, so that no device takes an older version for a newer one and no revision that a waiting change names
    /// is given away again. It is nobody's writing: the reviewer's own file may still send what it held back, and that was written without
    /// having seen this.
    fn write_above(&mut self, mut row: Row, lost: &WireRow, names: &[String]) {
        if names.is_empty() && row.rev >= lost.rev {
            return;
        }
        row.rev = row.rev.max(lost.rev);
        let own = std::mem::replace(&mut self.replica, nobody());
        self.write(row, names);
        self.replica = own;
    }
}

/// Units and elements of the present row that stay and that a change waiting on top of the lost version may not have seen, although the two
/// histories count the same revisions: those with another value, and those whose value the lost version had from a later revision.
fn unseen_units(present: &Row, lost: &WireRow, taken: &[String]) -> Vec<String> {
    let stays = present
        .marks
        .iter()
        .filter(|(name, _)| *name != WHOLE && !taken.contains(name));
    stays
        .filter(|(name, mark)| {
            value_of(&present.doc, name) != value_of(&lost.doc, name)
                || lost.u.get(*name).is_some_and(|revision| *revision > mark.r)
        })
        .map(|(name, _)| name.clone())
        .collect()
}

/// The value of a unit, or of an element of a set.
fn value_of<'a>(document: &'a Document, name: &str) -> Option<&'a Value> {
    match name.split_once('/') {
        Some((unit, element)) => document.unit(unit)?.get(element),
        None => document.unit(name),
    }
}

/// The replica of values that come from a lost history.
fn nobody() -> ReplicaId {
    ReplicaId::new(EntityId::derived(&["nobody"]).uuid())
}

/// Whether the signature of the lost version would stand under content that it does not cover: written unseen, or not in the lost version.
fn signs_other_content(entity: &EntityType, present: &Row, lost: &WireRow, seen_rev: i64) -> bool {
    notes::signed_units(entity.kind).iter().any(|unit| {
        let unseen = present.marks.get(*unit).is_some_and(|mark| mark.r > seen_rev);
        let differs = present.doc.unit(unit) != lost.doc.unit(unit);
        differs && (unseen || lost.doc.unit(unit).is_none())
    })
}
