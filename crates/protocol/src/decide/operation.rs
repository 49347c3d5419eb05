//! One operation, decided unit by unit by the policies of its entity.

use std::collections::{BTreeMap, HashMap, HashSet};

use caseload_domain::registry::{self, EntityType, Policy};
use caseload_domain::{Document, EntityId, EntityKey, FieldProblem, Problem, ReplicaId, Scope, notes};
#[cfg(feature = "test-faults")]
use caseload_faults::bugs::{Bug, has};
use serde_json::{Value, json};

use super::DecideLimits;
use super::numbers::{format_client_number, parse_client_number};
use super::stage::{Refused, Stage};
use crate::bookings;
use crate::checksum::{self, Leaf};
use crate::facts::{Actor, WHOLE, conflict_id, element_name, own_conflict_id};
use crate::messages::{Op, OpKind, Outcome, Refusal};
use crate::reoffer;
use crate::row::{Row, UnitMark};

/// One operation being decided.
pub(crate) struct OpDecision<'a, 'b> {
    pub(crate) stage: &'a mut Stage<'b>,
    pub(crate) actor: Actor,
    pub(super) replica: ReplicaId,
    pub(super) limits: DecideLimits,
    /// See [`crate::facts::Facts::known`].
    pub(super) known: Option<i64>,
    /// See [`Group::detached`](crate::messages::Group::detached).
    pub(super) detached: bool,
    pub(crate) op: &'a Op,
    pub(super) created: &'a HashSet<EntityId>,
    /// The leaves that this history wrote under the sequence numbers of offered rows.
    pub(super) leaves: &'a HashMap<i64, Leaf>,
    pub(crate) opened: Vec<EntityId>,
    pub(super) touched: Vec<EntityKey>,
}

impl OpDecision<'_, '_> {
    pub(super) fn decide(&mut self) -> Result<Outcome, Refused> {
        let entity = registry::find(&self.op.key.kind).ok_or_else(Refused::upgrade)?;
        if self
            .stage
            .row(&self.op.key)
            .is_some_and(|row| row.min_writer > self.op.sv)
        {
            return Err(Refused::upgrade());
        }
        self.authorise(entity)?;
        match self.op.kind {
            OpKind::Create => self.create(entity),
            OpKind::Patch => self.patch(entity),
            OpKind::Void => self.void(entity),
            OpKind::Restore => self.restore(entity),
            OpKind::Settle => self.settle(entity),
            OpKind::Override | OpKind::Place => bookings::place(self),
            OpKind::Reoffer => self.reoffer(),
        }
    }

    fn create(&mut self, entity: &EntityType) -> Result<Outcome, Refused> {
        let document = Document::new(self.op.units.clone());
        for unit in entity
            .units
            .iter()
            .filter(|unit| matches!(unit.policy, Policy::Service))
        {
            let proposes_number = entity.kind == "client" && unit.name == "number";
            if document.unit(unit.name).is_some() && !proposes_number {
                return Err(Refused::of(Refusal::ServiceUnit));
            }
        }
        if let Some(existing) = self.stage.row(&self.op.key) {
            return self.create_again(entity, existing.clone(), &document);
        }
        self.validate(entity, &document)?;
        let scope = entity
            .scope_of(&document)
            .ok_or_else(|| Refused::invalid(vec![FieldProblem::new("subject.client", Problem::Required)]))?;
        let mut row = Row {
            key: self.op.key.clone(),
            rev: 0,
            seq: 0,
            deleted: false,
            schema: self.op.sv,
            min_writer: 0,
            scope,
            doc: document,
            marks: BTreeMap::new(),
        };
        let units: Vec<String> = row
            .doc
            .units()
            .iter()
            .flat_map(|(unit, value)| mark_names(entity, unit, value))
            .collect();
        let mut renumbered = false;
        if entity.kind == "client" {
            renumbered = self.number_client(&mut row.doc);
        }
        self.write(row, &units);
        let outcome = if renumbered { Outcome::Merged } else { Outcome::Applied };
        Ok(if bookings::is_booking(&self.op.key) {
            bookings::reevaluate(self, &self.op.key, None, outcome)
        } else {
            outcome
        })
    }

    /// Gives the client a number: the one proposed if it is above every number given out, else the next.
    pub(super) fn number_client(&mut self, document: &mut Document) -> bool {
        let proposed = document.text("number", "value").map(str::to_owned);
        let proposed_number = proposed.as_deref().and_then(parse_client_number);
        let next = self.stage.client_number + 1;
        let number = proposed_number
            .filter(|number| (next..next + 10_000).contains(number))
            .unwrap_or(next);
        self.stage.client_number = number;
        let value = format_client_number(number);
        let renumbered = proposed.as_ref().is_some_and(|proposed| *proposed != value);
        let former: Vec<String> = proposed.filter(|_| renumbered).into_iter().collect();
        document.set("number", json!({"value": value, "former": former, "confirmed": true}));
        renumbered
    }

    /// A creation of something that exists: two devices derived the same id, or a lost row was sent anew. Counts as an edit that saw nothing.
    fn create_again(&mut self, entity: &EntityType, existing: Row, document: &Document) -> Result<Outcome, Refused> {
        let same_subject = entity.scope_of(document) == Some(existing.scope);
        if !same_subject || (entity.freeze.is_some() && existing.doc != *document) {
            return Err(Refused::of(if entity.freeze.is_some() {
                Refusal::Integrity
            } else {
                Refusal::Exists
            }));
        }
        if existing.deleted {
            self.open_conflict(&existing, WHOLE, "edit_after_void", None, whole_value(self.op));
            return Ok(Outcome::Conflict);
        }
        let mut changes = Changes::default();
        for (unit, value) in document.units() {
            match entity.policy(unit) {
                Policy::Immutable | Policy::Service => {}
                Policy::Set => {
                    for (element, value) in value.as_object().into_iter().flatten() {
                        self.add_element(&existing, unit, element, value, &mut changes);
                    }
                }
                Policy::KeepBoth | Policy::State(_) if existing.doc.unit(unit) == Some(value) => {}
                Policy::KeepBoth | Policy::State(_) => {
                    if existing.marks.contains_key(unit) {
                        changes.conflicts.push((unit.clone(), "same_unit", value.clone()));
                    } else {
                        changes.units.push((unit.clone(), value.clone()));
                    }
                }
            }
        }
        self.make(entity, existing, changes)
    }

    fn patch(&mut self, entity: &EntityType) -> Result<Outcome, Refused> {
        #[cfg_attr(
            not(feature = "test-faults"),
            expect(unused_mut, reason = "a planted defect changes it")
        )]
        let mut row = self
            .stage
            .row(&self.op.key)
            .cloned()
            .ok_or_else(|| Refused::of(Refusal::Missing))?;
        #[cfg(feature = "test-faults")]
        if has(Bug::PatchRevivesVoided) {
            row.deleted = false;
        }
        if row.deleted {
            self.open_conflict(&row, WHOLE, "edit_after_void", None, whole_value(self.op));
            return Ok(Outcome::Conflict);
        }
        let mut changes = Changes::default();
        for (unit, value) in &self.op.units {
            self.patch_unit(entity, &row, unit, value, &mut changes)?;
        }
        for (unit, elements) in &self.op.add {
            self.require_set(entity, &row, unit)?;
            for (element, value) in elements {
                self.add_element(&row, unit, element, value, &mut changes);
            }
        }
        for (unit, elements) in &self.op.remove {
            self.require_set(entity, &row, unit)?;
            for element in elements {
                self.remove_element(&row, unit, element, &mut changes);
            }
        }
        if self.vouches_for_other_content(entity, &row, &changes) {
            let reason = if changes.conflicts.is_empty() {
                "content_changed"
            } else {
                "same_unit"
            };
            self.open_conflict(
                &row,
                "signature",
                reason,
                row.doc.unit("signature"),
                whole_value(self.op),
            );
            return Ok(Outcome::Conflict);
        }
        self.make(entity, row, changes)
    }

    fn patch_unit(
        &self,
        entity: &EntityType,
        row: &Row,
        unit: &str,
        value: &Value,
        changes: &mut Changes,
    ) -> Result<(), Refused> {
        let current = row.doc.unit(unit);
        if matches!(entity.policy(unit), Policy::Service) {
            return Err(Refused::of(Refusal::ServiceUnit));
        }
        if current == Some(value) || (current.is_none() && value.is_null()) {
            return Ok(());
        }
        let mut conflict = |reason| changes.conflicts.push((unit.to_owned(), reason, value.clone()));
        if entity.is_frozen(&row.doc, unit) {
            return if self.seen(row, "state") {
                Err(Refused::of(Refusal::Integrity))
            } else {
                conflict("frozen");
                Ok(())
            };
        }
        match entity.policy(unit) {
            Policy::Immutable | Policy::Service => return Err(Refused::of(Refusal::Immutable)),
            Policy::Set => return Err(Refused::invalid(vec![FieldProblem::new(unit, Problem::Malformed)])),
            Policy::State(next) => {
                let from = current.and_then(|unit| unit.get("state")?.as_str()).unwrap_or_default();
                let to = value.get("state").and_then(Value::as_str).unwrap_or_default();
                let allowed = next(from).contains(&to);
                match (allowed || from == to, self.seen(row, unit)) {
                    (true, true) => changes.units.push((unit.to_owned(), value.clone())),
                    (true, false) if allowed => changes.units.push((unit.to_owned(), value.clone())),
                    (true, false) => {}
                    (false, true) => return Err(Refused::of(Refusal::NotAllowedNow)),
                    (false, false) => conflict("state"),
                }
            }
            #[cfg(feature = "test-faults")]
            Policy::KeepBoth if !self.seen(row, unit) && crate::planted::merge_members(current, value).is_some() => {
                let merged = crate::planted::merge_members(current, value).unwrap_or_default();
                changes.units.push((unit.to_owned(), merged));
            }
            Policy::KeepBoth if !self.seen(row, unit) => conflict("same_unit"),
            Policy::KeepBoth if bookings::moves_a_freed_booking(row, unit) && !self.seen(row, "status") => {
                conflict("moved_after_cancelled");
            }
            Policy::KeepBoth => changes.units.push((unit.to_owned(), value.clone())),
        }
        Ok(())
    }

    fn require_set(&self, entity: &EntityType, row: &Row, unit: &str) -> Result<(), Refused> {
        match entity.policy(unit) {
            _ if entity.is_frozen(&row.doc, unit) => Err(Refused::of(Refusal::Integrity)),
            Policy::Set => Ok(()),
            Policy::KeepBoth if entity.units.iter().all(|known| known.name != unit) => Ok(()),
            Policy::Service => Err(Refused::of(Refusal::ServiceUnit)),
            Policy::KeepBoth | Policy::State(_) | Policy::Immutable => {
                Err(Refused::invalid(vec![FieldProblem::new(unit, Problem::Malformed)]))
            }
        }
    }

    fn add_element(&self, row: &Row, unit: &str, element: &str, value: &Value, changes: &mut Changes) {
        let name = element_name(unit, element);
        match row.doc.unit(unit).and_then(|elements| elements.get(element)) {
            Some(present) if present == value => {}
            Some(_) if !self.seen(row, &name) => changes.conflicts.push((name, "same_unit", value.clone())),
            _ => changes.added.push((unit.to_owned(), element.to_owned(), value.clone())),
        }
    }

    /// Removal loses against an edit that the remover had not seen: an allergy that somebody just described stays.
    fn remove_element(&self, row: &Row, unit: &str, element: &str, changes: &mut Changes) {
        let present = row.doc.unit(unit).and_then(|elements| elements.get(element)).is_some();
        if present && self.seen(row, &element_name(unit, element)) {
            changes.removed.push((unit.to_owned(), element.to_owned()));
        } else if present {
            changes.kept_against_removal = true;
        }
    }

    /// The revision up to which the writer had seen the entity, as this history counts.
    fn base_rev(&self) -> i64 {
        if self.detached { 0 } else { self.op.base_rev }
    }

    /// Whether the writer had seen the present value of a unit or wrote it on the same replica.
    pub(crate) fn seen(&self, row: &Row, name: &str) -> bool {
        row.marks
            .get(name)
            .is_none_or(|mark| mark.r <= self.base_rev() || mark.by == self.replica)
    }

    fn vouches_for_other_content(&self, entity: &EntityType, row: &Row, changes: &Changes) -> bool {
        let vouches = entity.vouching.iter().any(|unit| self.op.units.contains_key(*unit));
        vouches
            && (!changes.conflicts.is_empty()
                || notes::signed_units(entity.kind)
                    .iter()
                    .any(|unit| !self.seen(row, unit)))
    }

    /// Makes the changes to `row`, opens its conflicts and says how the operation ended.
    fn make(&mut self, entity: &EntityType, mut row: Row, changes: Changes) -> Result<Outcome, Refused> {
        let before = row.clone();
        let merged = row.rev > self.base_rev()
            && row
                .marks
                .values()
                .any(|mark| mark.r > self.base_rev() && mark.by != self.replica);
        let mut names = Vec::new();
        for (unit, value) in changes.units {
            row.doc.set(&unit, value);
            names.push(unit);
        }
        for (unit, element, value) in changes.added {
            row.doc.set_element(&unit, &element, value);
            names.push(element_name(&unit, &element));
        }
        for (unit, element) in changes.removed {
            row.doc.remove_element(&unit, &element);
            names.push(element_name(&unit, &element));
        }
        let mut outcome = if merged || changes.kept_against_removal {
            Outcome::Merged
        } else {
            Outcome::Applied
        };
        if !names.is_empty() {
            self.validate(entity, &row.doc)?;
            row.schema = row.schema.max(self.op.sv);
            self.write(row, &names);
            if bookings::is_booking(&self.op.key) {
                outcome = bookings::reevaluate(self, &self.op.key, Some(&before), outcome);
            }
        }
        for (name, reason, value) in changes.conflicts {
            let current = match name.split_once('/') {
                Some((unit, element)) => before.doc.unit(unit).and_then(|elements| elements.get(element)),
                None => before.doc.unit(&name),
            };
            self.open_conflict(&before, &name, reason, current.cloned().as_ref(), value);
            outcome = Outcome::Conflict;
        }
        Ok(outcome)
    }

    fn void(&mut self, entity: &EntityType) -> Result<Outcome, Refused> {
        let mut row = self
            .stage
            .row(&self.op.key)
            .cloned()
            .ok_or_else(|| Refused::of(Refusal::Missing))?;
        if row.deleted {
            return Ok(Outcome::Applied);
        }
        if entity.freeze.as_ref().is_some_and(|freeze| (freeze.when)(&row.doc)) {
            return Err(Refused::of(Refusal::Immutable));
        }
        if self.op.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
            return Err(Refused::of(Refusal::ReasonRequired));
        }
        let unseen = row.marks.keys().any(|name| !self.seen(&row, name));
        if unseen {
            self.open_conflict(&row, WHOLE, "void_vs_edit", None, whole_value(self.op));
            return Ok(Outcome::Conflict);
        }
        let before = row.clone();
        row.deleted = true;
        self.write(row, &[WHOLE.to_owned()]);
        Ok(if bookings::is_booking(&self.op.key) {
            bookings::reevaluate(self, &self.op.key, Some(&before), Outcome::Applied)
        } else {
            Outcome::Applied
        })
    }

    fn restore(&mut self, entity: &EntityType) -> Result<Outcome, Refused> {
        let mut row = self
            .stage
            .row(&self.op.key)
            .cloned()
            .ok_or_else(|| Refused::of(Refusal::Missing))?;
        if !row.deleted {
            return Ok(Outcome::Applied);
        }
        let before = row.clone();
        row.deleted = false;
        self.validate(entity, &row.doc)?;
        self.write(row, &[WHOLE.to_owned()]);
        Ok(if bookings::is_booking(&self.op.key) {
            bookings::reevaluate(self, &self.op.key, Some(&before), Outcome::Applied)
        } else {
            Outcome::Applied
        })
    }

    fn settle(&mut self, entity: &EntityType) -> Result<Outcome, Refused> {
        let is_offer = reoffer::is_record(&self.op.key);
        if !is_offer && !matches!(entity.kind, "conflict" | "clinical_conflict") {
            return Err(Refused::of(Refusal::Forbidden));
        }
        let mut row = self
            .stage
            .row(&self.op.key)
            .cloned()
            .ok_or_else(|| Refused::of(Refusal::Missing))?;
        if row.doc.text("state", "state") == Some("settled") {
            return Ok(Outcome::Applied);
        }
        if is_offer {
            return self.settle_reoffer(row);
        }
        let choice = self.op.units.get("choice").cloned().unwrap_or(Value::Null);
        row.doc.set(
            "state",
            json!({"state": "settled", "choice": choice, "by": self.actor.user, "at": self.op.client_ts}),
        );
        self.write(row, &["state".to_owned()]);
        Ok(Outcome::Applied)
    }

    pub(super) fn open_conflict(&mut self, row: &Row, unit: &str, reason: &str, current: Option<&Value>, other: Value) {
        let kind = if row.scope.is_clinical() {
            "clinical_conflict"
        } else {
            "conflict"
        };
        let id = if unit == WHOLE || self.detached {
            own_conflict_id(&row.key, unit, self.op.op_id)
        } else {
            conflict_id(&row.key, unit, self.replica, self.op.base_rev)
        };
        let key = EntityKey::new(kind, id);
        let mark = row.marks.get(unit);
        let mut document = Document::default();
        document.set("salt", Value::from(self.derive_salt(&key)));
        if let Scope::Clinical(client) = row.scope {
            document.set("subject", json!({"client": client}));
        }
        document.set(
            "about",
            json!({"type": row.key.kind, "id": row.key.id, "unit": unit, "reason": reason}),
        );
        document.set(
            "current",
            json!({"value": current, "rev": mark.map_or(row.rev, |mark| mark.r), "replica": mark.map(|mark| mark.by)}),
        );
        document.set(
            "other",
            json!({"value": other, "base_rev": self.op.base_rev, "actor": self.actor.user, "replica": self.replica,
                   "at": self.op.client_ts, "op": self.op.op_id}),
        );
        document.set("state", json!({"state": "open"}));
        let id = key.id;
        self.write_service_row(key, row.scope, document);
        if !self.opened.contains(&id) {
            self.opened.push(id);
        }
    }

    /// Creates or replaces a record that only the service writes; does nothing when it already says the same.
    pub(crate) fn write_service_row(&mut self, key: EntityKey, scope: Scope, document: Document) {
        let existing = self.stage.row(&key).cloned();
        if existing.as_ref().is_some_and(|row| row.doc == document) {
            return;
        }
        let units: Vec<String> = document.units().keys().cloned().collect();
        let row = Row {
            doc: document,
            ..existing.unwrap_or(Row {
                key,
                rev: 0,
                seq: 0,
                deleted: false,
                schema: 1,
                min_writer: 0,
                scope,
                doc: Document::default(),
                marks: BTreeMap::new(),
            })
        };
        self.write(row, &units);
    }

    /// A salt that nobody can guess without knowing the operation's id.
    pub(crate) fn derive_salt(&self, key: &EntityKey) -> String {
        let mut input = self.op.op_id.uuid().as_bytes().to_vec();
        input.extend_from_slice(key.id.uuid().as_bytes());
        checksum::hex(&checksum::sha256(&input)[..16])
    }

    /// Writes a row once per operation: the revision rises by one, however many of its units change.
    pub(crate) fn write(&mut self, mut row: Row, names: &[String]) {
        if !self.touched.contains(&row.key) {
            row.rev += 1;
            self.touched.push(row.key.clone());
        }
        for name in names {
            row.marks.insert(
                name.clone(),
                UnitMark {
                    r: row.rev,
                    by: self.replica,
                },
            );
        }
        self.stage.staged.insert(row.key.clone(), row);
    }

    pub(super) fn validate(&self, entity: &EntityType, document: &Document) -> Result<(), Refused> {
        let problems = (entity.validate)(document);
        if !problems.is_empty() {
            return Err(Refused::invalid(problems));
        }
        match document.canonical() {
            Ok(bytes) if bytes.len() > self.limits.doc_bytes => Err(Refused::of(Refusal::TooLarge)),
            Ok(_) => Ok(()),
            Err(_) => Err(Refused::of(Refusal::Invalid)),
        }
    }
}

/// What one operation does to a row.
#[derive(Default)]
struct Changes {
    units: Vec<(String, Value)>,
    added: Vec<(String, String, Value)>,
    removed: Vec<(String, String)>,
    conflicts: Vec<(String, &'static str, Value)>,
    kept_against_removal: bool,
}

/// The marks that writing a unit sets: one per element for a set unit.
pub(super) fn mark_names(entity: &EntityType, unit: &str, value: &Value) -> Vec<String> {
    match (entity.policy(unit), value) {
        (Policy::Set, Value::Object(elements)) => elements.keys().map(|element| element_name(unit, element)).collect(),
        _ => vec![unit.to_owned()],
    }
}

/// The whole of an operation, kept in a conflict about an entity as a whole.
fn whole_value(op: &Op) -> Value {
    json!({"kind": op.kind, "units": op.units, "add": op.add, "remove": op.remove, "reason": op.reason})
}
