//! The one place where changes are decided: pure, total, deterministic, the same for both storages.
//!
//! [`decide_batch`] takes the facts that a storage read and the groups of one push, and gives the rows to write, the records to keep and the
//! answers. Groups are made all or none; one refused group never delays the others. The rules are in
//! `operation`, unit by unit; who may do what is in `authority`; bookings are in `bookings`, rows offered back in `review`.

mod authority;
mod numbers;
mod operation;
mod review;
mod stage;

use std::collections::{HashMap, HashSet};

use caseload_domain::registry;
use caseload_domain::{Document, EntityId, EntityKey, FieldProblem, GroupId, OpId, ReplicaId, Scope, UserId};
#[cfg(feature = "test-faults")]
use caseload_faults::bugs::{Bug, has};
use thiserror::Error;

pub use numbers::{format_client_number, parse_client_number};
pub(crate) use operation::OpDecision;
pub(crate) use stage::Refused;

use stage::Stage;

use crate::checksum::{self, Leaf};
use crate::facts::{Actor, Facts, PracticeHead, VerifiedGroup};
use crate::messages::{Group, LastOp, Op, OpKind, OpResult, Outcome, Refusal};
use crate::row::Row;

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
        known: facts.known,
        receipts: facts.receipts,
        leaves: facts.leaves,
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
    known: Option<i64>,
    receipts: HashMap<OpId, Vec<crate::facts::Receipt>>,
    leaves: HashMap<i64, Leaf>,
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
                #[cfg(feature = "test-faults")]
                (true, None) if has(Bug::AcknowledgedByNumber) => answered.push(OpResult {
                    number,
                    op_id: op.op_id,
                    st: Outcome::Applied,
                    rev: 0,
                    seq: 0,
                    opened: Vec::new(),
                    why: None,
                    fields: Vec::new(),
                }),
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
            let earlier = self.receipts.get(&op.op_id).and_then(|receipts| receipts.first());
            #[cfg(feature = "test-faults")]
            let earlier = earlier.filter(|_| !has(Bug::NoDedupeByOpId));
            let outcome = if let Some(earlier) = earlier {
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
                    known: self.known,
                    detached: group.detached,
                    op,
                    created: &created,
                    leaves: &self.leaves,
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
