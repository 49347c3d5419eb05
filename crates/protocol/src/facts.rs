//! What a storage reads before [`crate::decide`] can decide, in at most three rounds of look-ups by key.
//!
//! Every id that a decision may need is either named by an operation or derived from what was read, so that no decision searches.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use caseload_domain::entities::care_relationship_id;
use caseload_domain::{ClientId, Document, EntityId, EntityKey, OpId, ReplicaId, Role, Scope, UserId, appointments};

use serde_json::{Map, Value};

use crate::checksum::Leaf;
use crate::messages::{Group, LastOp, Op, OpKind, OpResult, WireRow};
use crate::reoffer;
use crate::row::{Row, clash_slot};

/// The head of a practice's history: one record, changed by the first statement of every writing transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PracticeHead {
    /// The identity of the history.
    pub epoch: String,
    /// The newest sequence number; numbers are contiguous from 1.
    pub seq: i64,
    /// The hash chain up to it.
    pub chain: Leaf,
    /// The highest client number given out.
    pub client_number: i64,
    /// Tombstones at or below it are gone.
    pub gc_floor: i64,
}

/// Who stands behind a group, as verified by certificate and signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The person.
    pub user: UserId,
    /// Their role.
    pub role: Role,
    /// Whether they administer the practice.
    pub admin: bool,
}

/// A group with its verified actor; `None` when the signature or the certificate did not verify, which refuses the group.
#[derive(Clone, Debug)]
pub struct VerifiedGroup {
    /// The group as sent.
    pub group: Group,
    /// Who stands behind it.
    pub actor: Option<Actor>,
}

/// The receipt of an operation that was decided earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The replica that sent it.
    pub replica: ReplicaId,
    /// What it was answered.
    pub result: OpResult,
}

/// Everything that a decision depends on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The practice's head.
    pub head: PracticeHead,
    /// The last change of the sending replica.
    pub last_op: Option<LastOp>,
    /// The sequence number of the newest state of which the sending file holds anything; `None` when it has read nothing yet. What was changed
    /// after it, nobody at that file knew when the groups were made.
    pub known: Option<i64>,
    /// Receipts of the operations in the batch, by operation and sending replica.
    pub receipts: HashMap<OpId, Vec<Receipt>>,
    /// The rows that the rounds named, as far as they exist.
    pub rows: HashMap<EntityKey, Row>,
    /// The leaves that this history wrote under the sequence numbers that the first round named, as far as there are any.
    pub leaves: HashMap<i64, Leaf>,
}

/// One round of look-ups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Rows by key.
    pub keys: BTreeSet<EntityKey>,
    /// Rows by slot, whatever their type (see [`Row::slots`]).
    pub slots: BTreeSet<String>,
    /// Sequence numbers whose leaves are asked for.
    pub seqs: BTreeSet<i64>,
}

impl Reads {
    /// Whether nothing is to be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.slots.is_empty() && self.seqs.is_empty()
    }
}

/// The first round: what the operations themselves name.
#[must_use]
pub fn first_round(groups: &[VerifiedGroup]) -> Reads {
    let mut reads = Reads::default();
    for (group, op) in ops(groups) {
        reads.keys.insert(op.key.clone());
        reads.keys.extend(reoffer::named_by(op));
        if op.kind == OpKind::Reoffer {
            reads.seqs.extend(reoffer::row_of(&op.units).map(|row| row.seq));
        }
        for client in clients_named_by(op) {
            reads.keys.insert(EntityKey::new(
                "care_relationship",
                care_relationship_id(client, group.actor),
            ));
        }
    }
    reads
}

/// The second round: conflicts that may be open about existing rows, care relationships to their clients, and what overlaps or clashes with
/// bookings. About a row that does not exist yet nothing can be open, so that many creations ask for nothing here.
#[must_use]
pub fn second_round(replica: ReplicaId, groups: &[VerifiedGroup], facts: &Facts) -> Reads {
    let mut reads = Reads::default();
    let mut bookings: BTreeMap<EntityKey, Possible> = BTreeMap::new();
    for (group, op) in ops(groups) {
        let row = facts.rows.get(&op.key);
        if row.is_some() {
            let units = conflict_units(op);
            let of_units = units
                .iter()
                .map(|unit| conflict_id_of(group, op, &op.key, unit, replica));
            // A record about the whole row is the operation's own, and yet may be there before it: offered back to a restored service.
            for id in of_units.chain([own_conflict_id(&op.key, WHOLE, op.op_id)]) {
                reads.keys.insert(EntityKey::new("conflict", id));
                reads.keys.insert(EntityKey::new("clinical_conflict", id));
            }
        }
        if let Some(Scope::Clinical(client)) = row.map(|row| row.scope) {
            reads.keys.insert(EntityKey::new(
                "care_relationship",
                care_relationship_id(client, group.actor),
            ));
        }
        if op.key.kind.as_str() == "appointment" {
            reads.slots.insert(clash_slot(&op.key.id.to_string()));
            let possible = bookings.entry(op.key.clone()).or_default();
            if let Some(row) = row {
                possible.add(row.doc.units());
            }
            possible.add(&op.units);
            possible.add(
                &op.add
                    .iter()
                    .map(|(unit, elements)| (unit.clone(), elements.clone().into()))
                    .collect(),
            );
        }
    }
    for (group, op, lost) in accepted(groups, facts) {
        if lost.key.kind.as_str() == "appointment" {
            reads.slots.insert(clash_slot(&lost.key.id.to_string()));
            let possible = bookings.entry(lost.key.clone()).or_default();
            possible.add(lost.doc.units());
            if let Some(row) = facts.rows.get(&lost.key) {
                possible.add(row.doc.units());
            }
        }
        let units = lost.doc.units().keys();
        let of_units = units.map(|unit| conflict_id_of(group, op, &lost.key, unit, replica));
        for id in of_units.chain([own_conflict_id(&lost.key, WHOLE, op.op_id)]) {
            reads.keys.insert(EntityKey::new("conflict", id));
            reads.keys.insert(EntityKey::new("clinical_conflict", id));
        }
    }
    for possible in bookings.values() {
        reads.slots.extend(possible.slots());
    }
    reads.keys.retain(|key| !facts.rows.contains_key(key));
    reads
}

/// Every time and every participant that one appointment may end up with: a decision can take the time of one side and the people of
/// another, so all combinations are looked up.
#[derive(Default)]
struct Possible {
    times: Vec<Value>,
    participants: Map<String, Value>,
}

impl Possible {
    fn add(&mut self, units: &Map<String, Value>) {
        self.times.extend(units.get("when").cloned());
        if let Some(Value::Object(participants)) = units.get("participants") {
            self.participants.extend(participants.clone());
        }
    }

    fn slots(&self) -> Vec<String> {
        let occupation = |when: &Value| {
            let mut document = Document::default();
            document.set("when", when.clone());
            document.set("participants", Value::Object(self.participants.clone()));
            appointments::occupation_if_active(&document)
        };
        self.times
            .iter()
            .filter_map(occupation)
            .flat_map(|occupation| occupation.slots())
            .collect()
    }
}

/// The third round: the records that may exist, settled ones included, of clashes between the appointments found.
#[must_use]
pub fn third_round(groups: &[VerifiedGroup], facts: &Facts) -> Reads {
    let mut reads = Reads::default();
    let appointments: Vec<&EntityKey> = facts
        .rows
        .keys()
        .filter(|key| key.kind.as_str() == "appointment")
        .collect();
    let touched: BTreeSet<EntityKey> = ops(groups)
        .map(|(_, op)| op.key.clone())
        .chain(accepted(groups, facts).map(|(_, _, lost)| lost.key))
        .filter(|key| key.kind.as_str() == "appointment")
        .collect();
    for key in touched {
        for other in &appointments {
            if **other != key {
                reads.keys.insert(EntityKey::new("clash", clash_id(key.id, other.id)));
            }
        }
    }
    reads
}

/// The offered rows whose reviews the operations settle.
fn accepted<'a>(groups: &'a [VerifiedGroup], facts: &'a Facts) -> impl Iterator<Item = (&'a Group, &'a Op, WireRow)> {
    ops(groups)
        .filter(|(_, op)| op.kind == OpKind::Settle && reoffer::is_record(&op.key))
        .filter_map(|(group, op)| Some((group, op, reoffer::row_of(facts.rows.get(&op.key)?.doc.units())?)))
}

/// The id of the record of a clash: the same whichever side was first.
#[must_use]
pub fn clash_id(one: EntityId, other: EntityId) -> EntityId {
    let (low, high) = if one < other { (one, other) } else { (other, one) };
    EntityId::derived(&["clash", &low.to_string(), &high.to_string()])
}

/// The id of the record of a conflict. A device's chained edits of one unit inherit their base, so they update one record instead of opening
/// several.
#[must_use]
pub fn conflict_id(key: &EntityKey, unit: &str, replica: ReplicaId, base_rev: i64) -> EntityId {
    EntityId::derived(&[
        "conflict",
        key.kind.as_str(),
        &key.id.to_string(),
        unit,
        &replica.to_string(),
        &base_rev.to_string(),
    ])
}

/// The id of the record of a conflict that no other operation shares: about an entity as a whole, because two edits of something void may
/// change different units, and neither takes the other's place; and of detached groups, whose bases are of several histories.
pub(crate) fn own_conflict_id(key: &EntityKey, unit: &str, op: OpId) -> EntityId {
    EntityId::derived(&[
        "conflict",
        key.kind.as_str(),
        &key.id.to_string(),
        unit,
        &op.to_string(),
    ])
}

/// The id of the record of a conflict that an operation of `group` opens about one unit of `key`.
fn conflict_id_of(group: &Group, op: &Op, key: &EntityKey, unit: &str, replica: ReplicaId) -> EntityId {
    if group.detached {
        own_conflict_id(key, unit, op.op_id)
    } else {
        conflict_id(key, unit, replica, op.base_rev)
    }
}

/// The unit under which a conflict about a whole entity (edited after it was void, void after an edit) is recorded.
pub(crate) const WHOLE: &str = "*";

/// The unit names under which `op` may open conflicts that exist already.
fn conflict_units(op: &Op) -> Vec<String> {
    let mut units = vec!["signature".to_owned()];
    units.extend(op.units.keys().cloned());
    for (unit, elements) in &op.add {
        units.extend(elements.keys().map(|element| element_name(unit, element)));
    }
    if !matches!(op.kind, OpKind::Patch | OpKind::Create | OpKind::Void) {
        units.clear();
    }
    units
}

/// The name under which one element of a set unit is marked and conflicts.
pub(crate) fn element_name(unit: &str, element: &str) -> String {
    format!("{unit}/{element}")
}

fn clients_named_by(op: &Op) -> impl Iterator<Item = ClientId> + '_ {
    ["subject", "parties"]
        .into_iter()
        .filter_map(|unit| op.units.get(unit)?.get("client")?.as_str()?.parse().ok())
}

fn ops(groups: &[VerifiedGroup]) -> impl Iterator<Item = (&Group, &Op)> {
    groups
        .iter()
        .flat_map(|verified| verified.group.ops.iter().map(move |op| (&verified.group, op)))
}
