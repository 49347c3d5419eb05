//! One push: read in rounds, decide, write.

use std::collections::HashMap;

use caseload_domain::{OpId, PracticeId, ReplicaId};
#[cfg(feature = "test-faults")]
use caseload_faults::bugs::{Bug, has};
use caseload_protocol::decide::{DecideLimits, Decision, OpRecord, decide_batch};
use caseload_protocol::facts::{self, Facts, Reads, Receipt, VerifiedGroup};
use caseload_protocol::messages::OpResult;
use rusqlite::{Connection, OptionalExtension as _, named_params, params};

use super::rows::{self, Id};
use super::{accounts, failure, recovery};
use crate::storage::content::{KeptOp, keep_op};
use crate::storage::error::{PushError, StorageError};
use crate::storage::records::{PushAnswer, PushBatch};
use crate::storage::sealing::{Keyring, PracticeKey};

pub(super) fn push(
    tx: &Connection,
    keys: &Keyring,
    practice: PracticeId,
    batch: &PushBatch,
    limits: DecideLimits,
) -> Result<PushAnswer, PushError> {
    let head = rows::head(tx, practice)?.ok_or(StorageError::UnknownPractice)?;
    if batch.epoch.as_ref().is_some_and(|epoch| *epoch != head.epoch) {
        return Err(PushError::EpochChanged);
    }
    let replica = accounts::replica(tx, practice, batch.replica)?.ok_or(PushError::UnknownReplica)?;
    let key = rows::key(tx, keys, practice)?;
    let mut facts = Facts {
        head,
        last_op: replica.last_op,
        known: batch.known,
        receipts: receipts(tx, practice, batch.replica, &batch.groups).map_err(PushError::Storage)?,
        rows: HashMap::new(),
        leaves: HashMap::new(),
    };
    read(tx, keys, &key, practice, facts::first_round(&batch.groups), &mut facts)?;
    let second = facts::second_round(batch.replica, &batch.groups, &facts);
    read(tx, keys, &key, practice, second, &mut facts)?;
    let third = facts::third_round(&batch.groups, &facts);
    read(tx, keys, &key, practice, third, &mut facts)?;
    let decision = decide_batch(facts, batch.replica, &batch.groups, limits)?;
    write(tx, &key, practice, batch.replica, &decision)?;
    Ok(PushAnswer {
        results: decision.results,
        epoch: decision.head.epoch,
        head_seq: decision.head.seq,
    })
}

fn read(
    tx: &Connection,
    keys: &Keyring,
    key: &PracticeKey,
    practice: PracticeId,
    reads: Reads,
    facts: &mut Facts,
) -> Result<(), StorageError> {
    let found = rows::fetch(tx, keys, practice, &reads.keys)?;
    let under_slots = rows::fetch_slots(tx, key, practice, &reads.slots)?;
    for seq in reads.seqs {
        let leaf = recovery::leaf_at(tx, practice, seq)?;
        facts.leaves.extend(leaf.map(|leaf| (seq, leaf)));
    }
    facts
        .rows
        .extend(found.into_iter().chain(under_slots).map(|row| (row.key.clone(), row)));
    Ok(())
}

fn receipts(
    tx: &Connection,
    practice: PracticeId,
    replica: ReplicaId,
    groups: &[VerifiedGroup],
) -> Result<HashMap<OpId, Vec<Receipt>>, StorageError> {
    let mut first = tx
        .prepare_cached("SELECT replica, result FROM op WHERE practice = ?1 AND op_id = ?2 AND first = 1")
        .map_err(|error| failure(&error))?;
    let mut own = tx
        .prepare_cached("SELECT replica, result FROM op WHERE practice = ?1 AND replica = ?2 AND mut = ?3 AND op_id = ?4 AND first = 0")
        .map_err(|error| failure(&error))?;
    let mut receipts: HashMap<OpId, Vec<Receipt>> = HashMap::new();
    #[cfg(feature = "test-faults")]
    if has(Bug::NoReceipts) {
        return Ok(receipts);
    }
    for group in groups.iter().map(|verified| &verified.group) {
        for (number, op) in (group.first_mut..).zip(&group.ops) {
            let op_id = Id(op.op_id.uuid());
            let found = [
                first
                    .query_row(params![Id(practice.uuid()), op_id], read_receipt)
                    .optional(),
                own.query_row(
                    params![Id(practice.uuid()), Id(replica.uuid()), number, op_id],
                    read_receipt,
                )
                .optional(),
            ];
            for kept in found {
                if let Some((replica, result)) = kept.map_err(|error| failure(&error))? {
                    receipts.entry(op.op_id).or_default().push(receipt(replica, &result)?);
                }
            }
        }
    }
    Ok(receipts)
}

fn read_receipt(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Id, String)> {
    Ok((row.get(0)?, row.get(1)?))
}

fn receipt(replica: Id, result: &str) -> Result<Receipt, StorageError> {
    let result: OpResult = serde_json::from_str(result).map_err(|_| StorageError::Unreadable("a receipt"))?;
    Ok(Receipt {
        replica: ReplicaId::new(replica.0),
        result,
    })
}

fn write(
    tx: &Connection,
    key: &PracticeKey,
    practice: PracticeId,
    replica: ReplicaId,
    decision: &Decision,
) -> Result<(), StorageError> {
    for row in &decision.rows {
        rows::write(tx, key, practice, row)?;
    }
    for record in &decision.records {
        write_op(tx, key, practice, record)?;
    }
    if decision.records.is_empty() {
        return Ok(());
    }
    #[cfg(feature = "test-faults")]
    if has(Bug::CounterOutsideTransaction) {
        tx.execute_batch("RELEASE call; COMMIT; BEGIN IMMEDIATE; SAVEPOINT call;")
            .map_err(|error| failure(&error))?;
    }
    let head = &decision.head;
    tx.prepare_cached("UPDATE practice SET seq = ?2, chain = ?3, client_number = ?4 WHERE practice = ?1")
        .and_then(|mut statement| {
            statement.execute(params![Id(practice.uuid()), head.seq, head.chain, head.client_number])
        })
        .map_err(|error| failure(&error))?;
    let last = decision.last_op.as_ref();
    tx.prepare_cached("UPDATE replica SET last_mut = ?3, last_op = ?4 WHERE practice = ?1 AND replica = ?2")
        .and_then(|mut statement| {
            statement.execute(params![
                Id(practice.uuid()),
                Id(replica.uuid()),
                last.map(|op| op.number),
                last.map(|op| Id(op.op_id.uuid())),
            ])
        })
        .map_err(|error| failure(&error))?;
    Ok(())
}

fn write_op(tx: &Connection, key: &PracticeKey, practice: PracticeId, record: &OpRecord) -> Result<(), StorageError> {
    let (open, sealed) = match keep_op(key, record)? {
        KeptOp::Open(json) => (Some(json), None),
        KeptOp::Sealed(sealed) => (None, Some(sealed)),
    };
    let result = serde_json::to_string(&record.result).map_err(|error| StorageError::Failed(error.into()))?;
    tx.prepare_cached(
        "INSERT INTO op (practice, replica, mut, op_id, first, grp, actor, result, op, sealed, first_seq, last_seq, leaves, chain)
         VALUES (:practice, :replica, :mut, :op_id, :first, :grp, :actor, :result, :op, :sealed, :first_seq, :last_seq, :leaves, :chain)",
    )
    .and_then(|mut statement| {
        statement.execute(named_params! {
            ":practice": Id(practice.uuid()), ":replica": Id(record.replica.uuid()), ":mut": record.result.number,
            ":op_id": Id(record.result.op_id.uuid()), ":first": record.first, ":grp": Id(record.grp.uuid()),
            ":actor": Id(record.actor.uuid()), ":result": result, ":op": open, ":sealed": sealed,
            ":first_seq": record.seqs.map(|seqs| seqs.0), ":last_seq": record.seqs.map(|seqs| seqs.1),
            ":leaves": record.seqs.map(|_| record.leaves.concat()), ":chain": record.chain,
        })
    })
    .map(drop)
    .map_err(|error| failure(&error))
}
