//! The one place where changes are decided: pure, total, deterministic, the same for both storages.
//!
//! [`decide_batch`] takes the facts that a storage read and the groups of one push, and gives the rows to write, the records to keep and the
//! answers. Groups are made all or none; one refused group never delays the others. The rules, unit by unit, are in [`OpDecision`]'s
//! methods; bookings are in [`crate::bookings`].

use std::collections::{BTreeMap, HashMap, HashSet};

use caseload_domain::entities::care_relationship_id;
use caseload_domain::registry::{self, EntityType, Policy, Writers};
use caseload_domain::{
    ClientId, Document, EntityId, EntityKey, FieldProblem, GroupId, OpId, Problem, ReplicaId, Scope, UserId, notes,
};
use serde_json::{Value, json};
use thiserror::Error;

use crate::bookings;
use crate::checksum::{self, Leaf};
use crate::facts::{Actor, Facts, PracticeHead, VerifiedGroup, WHOLE, conflict_id, element_name};
use crate::messages::{Group, LastOp, Op, OpKind, OpResult, Outcome, Refusal};
use crate::row::{Row, UnitMark};

/// Why a whole batch cannot be decided. Nothing of it is written.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum BatchRefusal {
    /// A mutation number is missing between the last known one and the batch.
    #[error("mutation numbers do not follow on each other")]
    MutationGap,
    /// A mutation number was used before for another operation.
    #[error("a mutation number was used for another operation")]
    DeviceForked,
}

/// What is kept of one operation for ever: receipt, history and proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpRecord {
    /// Who sent it.
    pub replica: ReplicaId,
    /// What it was answered; holds number and operation id.
    pub result: OpResult,
    /// The group.
    pub grp: GroupId,
    /// Who did it.
    pub actor: UserId,
    /// The operation as sent.
    pub op: Op,
    /// The scope of what it changed, so that clinical content is sealed in the history as well.
    pub scope: Scope,
    /// Whether this is the operation's first record; a re-registered device gets a second one.
    pub first: bool,
    /// The first and last sequence number that it used, if it wrote anything.
    pub seqs: Option<(i64, i64)>,
    /// The leaves of the rows as it wrote them, in the order of those numbers: with them the hash chain can be verified for ever.
    pub leaves: Vec<Leaf>,
    /// The practice's hash chain after it.
    pub chain: Leaf,
}

/// What a storage has to write, and what to answer.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Rows that are new or changed, with their final content.
    pub rows: Vec<Row>,
    /// Records of the operations decided now.
    pub records: Vec<OpRecord>,
    /// The practice's new head.
    pub head: PracticeHead,
    /// The replica's last change.
    pub last_op: Option<LastOp>,
    /// One answer per operation of the batch, repeated ones included.
    pub results: Vec<OpResult>,
}

/// The limit that decisions themselves enforce.
#[derive(Clone, Copy, Debug)]
pub struct DecideLimits {
    /// Bytes of one document in canonical form.
    pub doc_bytes: usize,
}

/// Decides one push of `replica`.
///
/// # Errors
/// [`BatchRefusal`] when the mutation numbers do not fit the replica's history.
pub fn decide_batch(
    facts: Facts,
    replica: ReplicaId,
    groups: &[VerifiedGroup],
    limits: DecideLimits,
) -> Result<Decision, BatchRefusal> {
    let mut batch = Batch {
        replica,
        limits,
        head: facts.head,
        last_op: facts.last_op,
        receipts: facts.receipts,
        before: facts.rows,
        written: HashMap::new(),
        order: Vec::new(),
        records: Vec::new(),
        results: Vec::new(),
    };
    for verified in groups {
        batch.decide_group(verified)?;
    }
    Ok(batch.finish())
}

struct Batch {
    replica: ReplicaId,
    limits: DecideLimits,
    head: PracticeHead,
    last_op: Option<LastOp>,
    receipts: HashMap<OpId, Vec<crate::facts::Receipt>>,
    before: HashMap<EntityKey, Row>,
    written: HashMap<EntityKey, Row>,
    order: Vec<EntityKey>,
    records: Vec<OpRecord>,
    results: Vec<OpResult>,
}

impl Batch {
    fn decide_group(&mut self, verified: &VerifiedGroup) -> Result<(), BatchRefusal> {
        let group = &verified.group;
        let last = self.last_op.as_ref().map_or(0, |op| op.number);
        let mut answered = Vec::new();
        for (number, op) in (group.first_mut..).zip(&group.ops) {
            let receipts = self.receipts.get(&op.op_id);
            let own = receipts.and_then(|all| {
                all.iter()
                    .find(|receipt| receipt.replica == self.replica && receipt.result.number == number)
            });
            match (number <= last, own) {
                (true, Some(receipt)) => answered.push(receipt.result.clone()),
                (true, None) => return Err(BatchRefusal::DeviceForked),
                (false, _) => {}
            }
        }
        if answered.len() == group.ops.len() {
            self.results.extend(answered);
            return Ok(());
        }
        if !answered.is_empty() || group.first_mut != last + 1 {
            return Err(if answered.is_empty() {
                BatchRefusal::MutationGap
            } else {
                BatchRefusal::DeviceForked
            });
        }
        self.decide_new_group(group, verified.actor);
        Ok(())
    }

    fn decide_new_group(&mut self, group: &Group, actor: Option<Actor>) {
        let mut stage = Stage {
            before: &self.before,
            written: &self.written,
            staged: HashMap::new(),
            client_number: self.head.client_number,
        };
        let mut outcomes = Vec::with_capacity(group.ops.len());
        let created: HashSet<EntityId> = group
            .ops
            .iter()
            .filter(|op| op.kind == OpKind::Create && op.key.kind.as_str() == "client")
            .map(|op| op.key.id)
            .collect();
        for op in &group.ops {
            let outcome = if let Some(earlier) = self.receipts.get(&op.op_id).and_then(|receipts| receipts.first()) {
                Done {
                    outcome: Outcome::Duplicate,
                    opened: earlier.result.opened.clone(),
                    touched: Vec::new(),
                    why: earlier.result.why,
                    fields: Vec::new(),
                }
            } else if let Some(actor) = actor.filter(|actor| actor.user == group.actor && actor.role == group.role) {
                let mut decision = OpDecision {
                    stage: &mut stage,
                    actor,
                    replica: self.replica,
                    limits: self.limits,
                    op,
                    created: &created,
                    opened: Vec::new(),
                    touched: Vec::new(),
                };
                match decision.decide() {
                    Ok(outcome) => Done {
                        outcome,
                        opened: decision.opened,
                        touched: decision.touched,
                        why: None,
                        fields: Vec::new(),
                    },
                    Err(refused) => Done::refused(refused),
                }
            } else {
                Done::refused(Refused::of(Refusal::Signature))
            };
            outcomes.push(outcome);
        }
        let refused = outcomes
            .iter()
            .any(|done| matches!(done.outcome, Outcome::Rejected | Outcome::Upgrade));
        let staged = std::mem::take(&mut stage.staged);
        let client_number = stage.client_number;
        if refused {
            for done in &mut outcomes {
                if !matches!(done.outcome, Outcome::Rejected | Outcome::Upgrade | Outcome::Duplicate) {
                    *done = Done::refused(Refused::of(Refusal::Group));
                }
            }
        } else {
            self.head.client_number = client_number;
            self.written.extend(staged);
        }
        for ((number, op), done) in (group.first_mut..).zip(&group.ops).zip(outcomes) {
            self.record(group, number, op, done);
        }
    }

    fn record(&mut self, group: &Group, number: i64, op: &Op, done: Done) {
        let first_seq = self.head.seq + 1;
        let mut leaves = Vec::with_capacity(done.touched.len());
        for key in &done.touched {
            self.head.seq += 1;
            self.order.push(key.clone());
            if let Some(row) = self.written.get_mut(key) {
                row.seq = self.head.seq;
                leaves.push(row.leaf().unwrap_or_default());
            }
        }
        if !leaves.is_empty() {
            self.head.chain = checksum::extend_chain(&self.head.chain, op.op_id, first_seq, &leaves);
        }
        let row = self.written.get(&op.key).or_else(|| self.before.get(&op.key));
        let result = OpResult {
            number,
            op_id: op.op_id,
            st: done.outcome,
            rev: row.map_or(0, |row| row.rev),
            seq: row.map_or(0, |row| row.seq),
            opened: done.opened,
            why: done.why,
            fields: done.fields,
        };
        let scope = row
            .map(|row| row.scope)
            .or_else(|| registry::find(&op.key.kind)?.scope_of(&Document::new(op.units.clone())));
        let first = !self.receipts.contains_key(&op.op_id);
        self.receipts.entry(op.op_id).or_default().push(crate::facts::Receipt {
            replica: self.replica,
            result: result.clone(),
        });
        self.records.push(OpRecord {
            replica: self.replica,
            result: result.clone(),
            grp: group.grp,
            actor: group.actor,
            op: op.clone(),
            scope: scope.unwrap_or(Scope::Private(group.actor)),
            first,
            seqs: (!leaves.is_empty()).then_some((first_seq, self.head.seq)),
            leaves,
            chain: self.head.chain,
        });
        self.last_op = Some(LastOp {
            number,
            op_id: op.op_id,
        });
        self.results.push(result);
    }

    fn finish(mut self) -> Decision {
        let mut rows = Vec::with_capacity(self.written.len());
        for key in &self.order {
            if let Some(row) = self.written.remove(key) {
                rows.push(row);
            }
        }
        Decision {
            rows,
            records: self.records,
            head: self.head,
            last_op: self.last_op,
            results: self.results,
        }
    }
}

/// How one operation ended, before sequence numbers are known.
struct Done {
    outcome: Outcome,
    opened: Vec<EntityId>,
    touched: Vec<EntityKey>,
    why: Option<Refusal>,
    fields: Vec<FieldProblem>,
}

impl Done {
    fn refused(refused: Refused) -> Self {
        let outcome = if refused.why == Refusal::UnknownKind {
            Outcome::Upgrade
        } else {
            refused.outcome
        };
        Self {
            outcome,
            opened: Vec::new(),
            touched: Vec::new(),
            why: Some(refused.why),
            fields: refused.fields,
        }
    }
}

/// A refusal of one operation.
pub(crate) struct Refused {
    outcome: Outcome,
    why: Refusal,
    fields: Vec<FieldProblem>,
}

impl Refused {
    pub(crate) const fn of(why: Refusal) -> Self {
        Self {
            outcome: Outcome::Rejected,
            why,
            fields: Vec::new(),
        }
    }

    const fn invalid(fields: Vec<FieldProblem>) -> Self {
        Self {
            outcome: Outcome::Rejected,
            why: Refusal::Invalid,
            fields,
        }
    }

    const fn upgrade() -> Self {
        Self {
            outcome: Outcome::Upgrade,
            why: Refusal::UnknownKind,
            fields: Vec::new(),
        }
    }
}

/// The rows as one group sees them: what it changed, what the batch changed, what was read.
pub(crate) struct Stage<'a> {
    before: &'a HashMap<EntityKey, Row>,
    written: &'a HashMap<EntityKey, Row>,
    staged: HashMap<EntityKey, Row>,
    client_number: i64,
}

impl Stage<'_> {
    pub(crate) fn row(&self, key: &EntityKey) -> Option<&Row> {
        self.staged
            .get(key)
            .or_else(|| self.written.get(key))
            .or_else(|| self.before.get(key))
    }

    /// Every appointment that is known, each once, in the order of its id.
    pub(crate) fn appointments(&self) -> Vec<&Row> {
        self.of_kind("appointment")
    }

    /// The clashes that are known of an appointment.
    pub(crate) fn clashes_of(&self, appointment: &str) -> Vec<Row> {
        let is_side = |row: &&Row| {
            ["placed", "contested"]
                .iter()
                .any(|side| row.doc.text("pair", side) == Some(appointment))
        };
        self.of_kind("clash").into_iter().filter(is_side).cloned().collect()
    }

    fn of_kind(&self, kind: &str) -> Vec<&Row> {
        let mut all: BTreeMap<EntityId, &Row> = BTreeMap::new();
        for rows in [self.before, self.written, &self.staged] {
            all.extend(
                rows.values()
                    .filter(|row| row.key.kind.as_str() == kind)
                    .map(|row| (row.key.id, row)),
            );
        }
        all.into_values().collect()
    }
}

/// One operation being decided.
pub(crate) struct OpDecision<'a, 'b> {
    pub(crate) stage: &'a mut Stage<'b>,
    pub(crate) actor: Actor,
    replica: ReplicaId,
    limits: DecideLimits,
    pub(crate) op: &'a Op,
    created: &'a HashSet<EntityId>,
    pub(crate) opened: Vec<EntityId>,
    touched: Vec<EntityKey>,
}

impl OpDecision<'_, '_> {
    fn decide(&mut self) -> Result<Outcome, Refused> {
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
        }
    }

    fn authorise(&self, entity: &EntityType) -> Result<(), Refused> {
        let row = self.stage.row(&self.op.key);
        let scope = row
            .map(|row| row.scope)
            .or_else(|| entity.scope_of(&Document::new(self.op.units.clone())));
        let allowed = match entity.writers {
            Writers::Everyone => true,
            Writers::AdminOrSelf => {
                self.actor.admin || (self.op.key.id == self.actor.user.entity() && self.op.kind == OpKind::Patch)
            }
            Writers::Service => self.op.kind == OpKind::Settle,
            Writers::Clinicians => true,
            Writers::CareGranters => self.may_grant_care(row),
        };
        let may_read = match scope {
            None | Some(Scope::Office) => true,
            Some(Scope::Clinical(client)) => self.actor.role.is_clinical() && self.treats(client),
            Some(Scope::Private(author)) => author == self.actor.user,
        };
        if !allowed || !may_read || !self.authorship_fits(row) {
            return Err(Refused::of(Refusal::Forbidden));
        }
        Ok(())
    }

    /// Whether the actor has or had a care relationship to the client: a change made while entitled is accepted after the care has ended.
    fn treats(&self, client: ClientId) -> bool {
        self.stage
            .row(&EntityKey::new(
                "care_relationship",
                care_relationship_id(client, self.actor.user),
            ))
            .is_some()
    }

    fn may_grant_care(&self, row: Option<&Row>) -> bool {
        let client = row
            .and_then(|row| row.doc.text("parties", "client"))
            .or_else(|| self.op.units.get("parties")?.get("client")?.as_str())
            .and_then(|id| id.parse::<ClientId>().ok());
        let Some(client) = client else { return self.actor.admin };
        let active = self
            .stage
            .row(&EntityKey::new(
                "care_relationship",
                care_relationship_id(client, self.actor.user),
            ))
            .is_some_and(|row| row.doc.text("status", "state") == Some("active"));
        let derived_id_fits = row.is_some() || {
            let therapist = self
                .op
                .units
                .get("parties")
                .and_then(|parties| parties.get("therapist")?.as_str()?.parse().ok());
            therapist.is_some_and(|therapist| care_relationship_id(client, therapist) == self.op.key.id)
        };
        derived_id_fits
            && (self.actor.admin
                || (self.actor.role.is_clinical() && (active || self.created.contains(&client.entity()))))
    }

    /// Notes and prescriptions are written and signed by their author; others with access may stop, void or co-sign.
    fn authorship_fits(&self, row: Option<&Row>) -> bool {
        let actor = self.actor.user.to_string();
        let op_text = |unit: &str, member: &str| self.op.units.get(unit).and_then(|value| value.get(member)?.as_str());
        if op_text("signature", "author").is_some_and(|author| author != actor) {
            return false;
        }
        if !matches!(self.op.key.kind.as_str(), "session_note" | "addendum" | "prescription") {
            return true;
        }
        match (self.op.kind, row) {
            (OpKind::Create, _) => op_text("subject", "author") == Some(&actor),
            (OpKind::Patch, Some(row)) if self.op.units.contains_key("body") || self.op.units.contains_key("order") => {
                row.doc.text("subject", "author") == Some(&actor)
            }
            _ => true,
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
            bookings::reevaluate(self, None, outcome)
        } else {
            outcome
        })
    }

    /// Gives the client a number: the one proposed if it is above every number given out, else the next.
    fn number_client(&mut self, document: &mut Document) -> bool {
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
        let row = self
            .stage
            .row(&self.op.key)
            .cloned()
            .ok_or_else(|| Refused::of(Refusal::Missing))?;
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

    /// Whether the writer had seen the present value of a unit or wrote it on the same replica.
    pub(crate) fn seen(&self, row: &Row, name: &str) -> bool {
        row.marks
            .get(name)
            .is_none_or(|mark| mark.r <= self.op.base_rev || mark.by == self.replica)
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
        let merged = row.rev > self.op.base_rev
            && row
                .marks
                .values()
                .any(|mark| mark.r > self.op.base_rev && mark.by != self.replica);
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
                outcome = bookings::reevaluate(self, Some(&before), outcome);
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
            bookings::reevaluate(self, Some(&before), Outcome::Applied)
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
            bookings::reevaluate(self, Some(&before), Outcome::Applied)
        } else {
            Outcome::Applied
        })
    }

    fn settle(&mut self, entity: &EntityType) -> Result<Outcome, Refused> {
        if !matches!(entity.kind, "conflict" | "clinical_conflict") {
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
        let choice = self.op.units.get("choice").cloned().unwrap_or(Value::Null);
        row.doc.set(
            "state",
            json!({"state": "settled", "choice": choice, "by": self.actor.user, "at": self.op.client_ts}),
        );
        self.write(row, &["state".to_owned()]);
        Ok(Outcome::Applied)
    }

    fn open_conflict(&mut self, row: &Row, unit: &str, reason: &str, current: Option<&Value>, other: Value) {
        let kind = if row.scope.is_clinical() {
            "clinical_conflict"
        } else {
            "conflict"
        };
        let key = EntityKey::new(kind, conflict_id(&row.key, unit, self.replica, self.op.base_rev));
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

    fn validate(&self, entity: &EntityType, document: &Document) -> Result<(), Refused> {
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
fn mark_names(entity: &EntityType, unit: &str, value: &Value) -> Vec<String> {
    match (entity.policy(unit), value) {
        (Policy::Set, Value::Object(elements)) => elements.keys().map(|element| element_name(unit, element)).collect(),
        _ => vec![unit.to_owned()],
    }
}

/// The whole of an operation, kept in a conflict about an entity as a whole.
fn whole_value(op: &Op) -> Value {
    json!({"kind": op.kind, "units": op.units, "add": op.add, "remove": op.remove, "reason": op.reason})
}

/// The number in `C-0042`.
#[must_use]
pub fn parse_client_number(text: &str) -> Option<i64> {
    text.strip_prefix("C-")?.parse().ok().filter(|number| *number > 0)
}

/// `C-0042`.
#[must_use]
pub fn format_client_number(number: i64) -> String {
    format!("C-{number:04}")
}
