//! One push: the practice's record first, then the rounds of reads, the decision, and one bulk command per collection.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use caseload_domain::{EntityKey, OpId, PracticeId, ReplicaId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::decide::{DecideLimits, Decision, decide_batch};
use caseload_protocol::facts::{self, Facts, Reads, Receipt};
use caseload_protocol::messages::OpResult;
use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, Collection, Database};
use tokio::task::JoinHandle;

use super::accounts::{replica_filter, to_replica};
use super::documents::{Members as _, id, of_op, of_row, to_head, to_row};
use super::schema;
use super::tombstones::GONE_AT;
use super::transaction::{Undone, Work};
use crate::storage::content::leaf_in;
use crate::storage::error::{PushError, StorageError};
use crate::storage::records::{PushAnswer, PushBatch};
use crate::storage::sealing::PracticeKey;

/// The deciding and writing of one push.
pub(super) struct Push<'a> {
    pub(super) database: &'a Database,
    pub(super) key: PracticeKey,
    pub(super) practice: PracticeId,
    pub(super) batch: PushBatch,
    pub(super) limits: DecideLimits,
}

/// What a push is decided on.
struct Found {
    facts: Facts,
    /// Rows that went with their tombstones and whose documents the server has not removed yet: for the decision they are not there.
    gone: HashSet<EntityKey>,
}

/// A decision with its rows as they will be stored, and its operations, which are sealed while the server stores the rows.
struct Prepared {
    decision: Decision,
    new: Vec<Document>,
    changed: Vec<Document>,
    ops: Option<JoinHandle<Result<Vec<Document>, StorageError>>>,
}

#[async_trait]
impl Work for Push<'_> {
    type Done = PushAnswer;
    type Refusal = PushError;

    async fn attempt(&self, session: &mut ClientSession) -> Result<PushAnswer, Undone<PushError>> {
        let mut found = Found {
            facts: self.begin(session).await?,
            gone: HashSet::new(),
        };
        self.read(session, facts::first_round(&self.batch.groups), &mut found)
            .await?;
        let second = facts::second_round(self.batch.replica, &self.batch.groups, &found.facts);
        self.read(session, second, &mut found).await?;
        let third = facts::third_round(&self.batch.groups, &found.facts);
        self.read(session, third, &mut found).await?;
        let prepared = self.decide(found).await?;
        let Decision { head, results, .. } = self.write(session, prepared).await?;
        Ok(PushAnswer {
            results,
            epoch: head.epoch,
            head_seq: head.seq,
        })
    }
}

impl Push<'_> {
    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// Takes the practice's record, which makes every other writer of the practice wait or try again, and reads what is known of the
    /// sender. The record has to change for that: a command that changes nothing takes no lock.
    async fn begin(&self, session: &mut ClientSession) -> Result<Facts, Undone<PushError>> {
        let practice = self
            .collection(schema::PRACTICES)
            .find_one_and_update(
                doc! { "p": id(self.practice.uuid()) },
                doc! { "$inc": { "lock_gen": 1_i64 } },
            )
            .return_document(ReturnDocument::After)
            .session(&mut *session)
            .await?;
        let practice = practice.ok_or(Undone::Refused(PushError::Storage(StorageError::UnknownPractice)))?;
        let head = to_head(&practice).map_err(storage)?;
        if self.batch.epoch.as_ref().is_some_and(|epoch| *epoch != head.epoch) {
            return Err(Undone::Refused(PushError::EpochChanged));
        }
        let replica = self
            .collection(schema::REPLICAS)
            .find_one(replica_filter(self.practice, self.batch.replica))
            .session(&mut *session)
            .await?;
        let replica = to_replica(&replica.ok_or(Undone::Refused(PushError::UnknownReplica))?).map_err(storage)?;
        let last = replica.last_op.as_ref().map_or(0, |op| op.number);
        let receipts = self.receipts(session, last).await?;
        Ok(Facts {
            head,
            last_op: replica.last_op,
            known: self.batch.known,
            receipts,
            rows: HashMap::new(),
            leaves: HashMap::new(),
        })
    }

    /// The first receipts of all operations, and the sender's own ones of those that it sends again.
    async fn receipts(
        &self,
        session: &mut ClientSession,
        last: i64,
    ) -> Result<HashMap<OpId, Vec<Receipt>>, Undone<PushError>> {
        let groups = self.batch.groups.iter().map(|verified| &verified.group);
        let ids: Vec<Bson> = groups
            .clone()
            .flat_map(|group| &group.ops)
            .map(|op| id(op.op_id.uuid()))
            .collect();
        let p = id(self.practice.uuid());
        let mut receipts = HashMap::new();
        let first = doc! { "p": p.clone(), "first": true, "op_id": { "$in": ids.clone() } };
        self.add_receipts(session, first, &mut receipts).await?;
        let lowest = groups.map(|group| group.first_mut).min().unwrap_or(i64::MAX);
        if lowest <= last {
            let again = doc! {
                "p": p, "replica": id(self.batch.replica.uuid()), "mut": { "$gte": lowest, "$lte": last },
                "op_id": { "$in": ids }, "first": false,
            };
            self.add_receipts(session, again, &mut receipts).await?;
        }
        Ok(receipts)
    }

    async fn add_receipts(
        &self,
        session: &mut ClientSession,
        filter: Document,
        receipts: &mut HashMap<OpId, Vec<Receipt>>,
    ) -> Result<(), Undone<PushError>> {
        let ops = self.collection(schema::OPS);
        let mut found = ops
            .find(filter)
            .projection(doc! { "_id": 0, "replica": 1, "result": 1 })
            .session(&mut *session)
            .await?;
        while let Some(receipt) = found.next(&mut *session).await.transpose()? {
            let replica = ReplicaId::new(receipt.uuid("replica").map_err(storage)?);
            let result: OpResult = serde_json::from_str(receipt.text("result").map_err(storage)?)
                .map_err(|_| storage(StorageError::Unreadable("a receipt")))?;
            receipts
                .entry(result.op_id)
                .or_default()
                .push(Receipt { replica, result });
        }
        Ok(())
    }

    async fn read(
        &self,
        session: &mut ClientSession,
        reads: Reads,
        found: &mut Found,
    ) -> Result<(), Undone<PushError>> {
        if !reads.keys.is_empty() {
            self.add_rows(session, by_keys(self.practice, &reads.keys), found)
                .await?;
        }
        if !reads.slots.is_empty() {
            let slots: Vec<&String> = reads.slots.iter().collect();
            let filter = doc! { "p": id(self.practice.uuid()), "slots": { "$exists": true, "$in": slots } };
            self.add_rows(session, filter, found).await?;
        }
        for seq in reads.seqs {
            let leaf = self.leaf_at(session, seq).await?;
            found.facts.leaves.extend(leaf.map(|leaf| (seq, leaf)));
        }
        Ok(())
    }

    /// The leaf of the row that was written under a sequence number.
    async fn leaf_at(&self, session: &mut ClientSession, seq: i64) -> Result<Option<Leaf>, Undone<PushError>> {
        let filter = doc! { "p": id(self.practice.uuid()), "last_seq": { "$exists": true, "$gte": seq } };
        let found = self
            .collection(schema::OPS)
            .find_one(filter)
            .sort(doc! { "last_seq": 1 })
            .projection(doc! { "_id": 0, "first_seq": 1, "leaves": 1 })
            .session(&mut *session)
            .await?;
        let Some(op) = found else { return Ok(None) };
        let first = op.integer("first_seq").map_err(storage)?;
        Ok(leaf_in(first, op.blob("leaves").map_err(storage)?, seq))
    }

    async fn add_rows(
        &self,
        session: &mut ClientSession,
        filter: Document,
        found: &mut Found,
    ) -> Result<(), Undone<PushError>> {
        let entities = self.database.collection::<RawDocumentBuf>(schema::ENTITIES);
        let mut rows = entities.find(filter).session(&mut *session).await?;
        while rows.advance(&mut *session).await? {
            let current = rows.current();
            let gone = current.get(GONE_AT).is_ok_and(|gone_at| gone_at.is_some());
            let row = to_row(&self.key, current).map_err(storage)?;
            if gone {
                found.gone.insert(row.key);
            } else {
                found.facts.rows.insert(row.key.clone(), row);
            }
        }
        Ok(())
    }

    /// Decides and seals, off the async threads: a full batch takes a while.
    async fn decide(&self, found: Found) -> Result<Prepared, Undone<PushError>> {
        let (key, practice, limits) = (self.key.clone(), self.practice, self.limits);
        let (replica, groups) = (self.batch.replica, Arc::clone(&self.batch.groups));
        let work = move || -> Result<Prepared, PushError> {
            let Found { facts, gone: mut known } = found;
            known.extend(facts.rows.keys().cloned());
            let mut decision = decide_batch(facts, replica, &groups, limits)?;
            let (mut new, mut changed) = (Vec::new(), Vec::new());
            for row in &decision.rows {
                let kept = if known.contains(&row.key) {
                    &mut changed
                } else {
                    &mut new
                };
                kept.push(of_row(&key, practice, row)?);
            }
            let records = std::mem::take(&mut decision.records);
            let ops = (!records.is_empty()).then(|| {
                let seal = move || records.iter().map(|record| of_op(&key, practice, record)).collect();
                tokio::task::spawn_blocking(seal)
            });
            Ok(Prepared {
                decision,
                new,
                changed,
                ops,
            })
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or(Err(PushError::Storage(StorageError::Unavailable(None))))
            .map_err(Undone::Refused)
    }

    async fn write(&self, session: &mut ClientSession, prepared: Prepared) -> Result<Decision, Undone<PushError>> {
        let Some(ops) = prepared.ops else {
            return Ok(prepared.decision);
        };
        if !prepared.new.is_empty() {
            self.collection(schema::ENTITIES)
                .insert_many(&prepared.new)
                .session(&mut *session)
                .await?;
        }
        if !prepared.changed.is_empty() {
            self.replace(session, &prepared.changed).await?;
        }
        let ops = ops.await.unwrap_or(Err(StorageError::Unavailable(None)));
        self.collection(schema::OPS)
            .insert_many(ops.map_err(storage)?)
            .session(&mut *session)
            .await?;
        let Decision { head, last_op, .. } = &prepared.decision;
        let last = doc! { "$set": {
            "last_mut": last_op.as_ref().map(|op| op.number), "last_op": last_op.as_ref().map(|op| id(op.op_id.uuid())),
        } };
        let replica = replica_filter(self.practice, self.batch.replica);
        self.collection(schema::REPLICAS)
            .update_one(replica, last)
            .session(&mut *session)
            .await?;
        let moved = doc! { "$set": {
            "seq": head.seq, "chain": super::documents::bytes(head.chain), "client_number": head.client_number,
        } };
        let practice = doc! { "p": id(self.practice.uuid()) };
        self.collection(schema::PRACTICES)
            .update_one(practice, moved)
            .session(&mut *session)
            .await?;
        Ok(prepared.decision)
    }

    /// Replaces many rows in one command.
    async fn replace(&self, session: &mut ClientSession, rows: &[Document]) -> Result<(), Undone<PushError>> {
        let statement = |row: &Document| -> Result<Document, StorageError> {
            let key = doc! { "p": id(row.uuid("p")?), "t": row.text("t")?, "id": id(row.uuid("id")?) };
            Ok(doc! { "q": key, "u": row })
        };
        let updates = rows
            .iter()
            .map(statement)
            .collect::<Result<Vec<_>, _>>()
            .map_err(storage)?;
        let answer = self
            .database
            .run_command(doc! { "update": schema::ENTITIES, "updates": updates })
            .session(&mut *session)
            .await?;
        // The command itself succeeds when single statements of it fail.
        let replaced = answer.get_i32("n").map_or(0, i64::from);
        if answer.contains_key("writeErrors") || usize::try_from(replaced) != Ok(rows.len()) {
            return Err(storage(StorageError::Failed("a row was not replaced".into())));
        }
        Ok(())
    }
}

/// The rows of many keys, whatever their types.
pub(super) fn by_keys<'a>(practice: PracticeId, keys: impl IntoIterator<Item = &'a EntityKey>) -> Document {
    let p = id(practice.uuid());
    let mut kinds: BTreeMap<&str, Vec<Bson>> = BTreeMap::new();
    for key in keys {
        kinds.entry(key.kind.as_str()).or_default().push(id(key.id.uuid()));
    }
    let mut branches = kinds
        .into_iter()
        .map(|(kind, ids)| doc! { "p": p.clone(), "t": kind, "id": { "$in": ids } });
    match (branches.next(), branches.next()) {
        (Some(only), None) => only,
        (first, second) => {
            let all: Vec<Document> = first.into_iter().chain(second).chain(branches).collect();
            doc! { "p": p, "$or": all }
        }
    }
}

fn storage(error: StorageError) -> Undone<PushError> {
    Undone::Refused(PushError::Storage(error))
}
