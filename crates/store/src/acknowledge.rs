//! The service's answers to what was sent.

use std::collections::BTreeSet;

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, GroupId, OpId};
use caseload_protocol::messages::{LastOp, OpResult, Outcome, Refusal};
use caseload_protocol::reoffer;
use rusqlite::{Connection, params};

use crate::error::StorageError;
use crate::identity::FileKind;
use crate::lost;
use crate::outbox::{group_id, load_group, show_again};
use crate::refused::{RefusedWhy, refuse};
use crate::rows;
use crate::state::{self, Name};
use crate::store::Store;

/// What an acknowledgement did.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Acknowledged {
    /// Entities that look different now, or are shared now.
    pub changed: Vec<EntityKey>,
    /// Operations that were refused.
    pub refused: usize,
    /// Operations that are held until a newer program.
    pub held: usize,
}

impl Store {
    /// Takes the service's answers, matched by operation id: a number alone would lose changes of a restored file.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn acknowledge(&self, results: &[OpResult], epoch: &str, at: Millis) -> Result<Acknowledged, StorageError> {
        self.acknowledge_steps(results, epoch, at, || self.is_wanted())
    }

    /// Takes whole groups of answers in until `is_wanted` says that somebody waits for the writer, then the next ones.
    pub(crate) fn acknowledge_steps(
        &self,
        results: &[OpResult],
        epoch: &str,
        at: Millis,
        is_wanted: impl Fn() -> bool,
    ) -> Result<Acknowledged, StorageError> {
        let mut all = Acknowledged::default();
        let mut rest = results;
        loop {
            let (part, count) =
                self.transact(|connection| acknowledge(connection, self.kind(), rest, epoch, at, &is_wanted))?;
            all.changed.extend(part.changed);
            all.refused += part.refused;
            all.held += part.held;
            rest = &rest[count..];
            if rest.is_empty() {
                all.changed.sort();
                all.changed.dedup();
                return Ok(all);
            }
        }
    }
}

/// Whether the change is at the service. A repeated operation that had been refused is answered as a duplicate with the old reason.
fn is_taken(result: &OpResult) -> bool {
    match result.st {
        Outcome::Applied | Outcome::Merged | Outcome::Conflict | Outcome::Clash => true,
        Outcome::Duplicate => result.why.is_none(),
        Outcome::Rejected | Outcome::Upgrade => false,
    }
}

fn waits_for_newer_program(result: &OpResult) -> bool {
    result.st == Outcome::Upgrade || (result.st == Outcome::Duplicate && result.why == Some(Refusal::UnknownKind))
}

/// Takes the service's answers, whole groups of them, until `is_wanted`; says how many it took.
fn acknowledge(
    connection: &Connection,
    file: FileKind,
    results: &[OpResult],
    epoch: &str,
    at: Millis,
    is_wanted: impl Fn() -> bool,
) -> Result<(Acknowledged, usize), StorageError> {
    let mut answer = Acknowledged::default();
    // An acknowledged operation is still shown as it was made; only refused and released ones change what is seen.
    let (mut taken, mut touched) = (BTreeSet::new(), BTreeSet::new());
    let mut not_lost = Vec::new();
    let mut refused: Vec<(GroupId, Vec<&OpResult>)> = Vec::new();
    let mut last = state::get::<LastOp>(connection, Name::LastOp)?;
    let (mut group, mut count) = (None, 0);
    for result in results {
        let found = find(connection, result.op_id)?;
        let own = found.as_ref().map(|(grp, _)| *grp);
        if count > 0 && (own.is_none() || own != group) && is_wanted() {
            break;
        }
        (group, count) = (own, count + 1);
        let Some((grp, key)) = found else {
            continue;
        };
        if last.as_ref().is_none_or(|last: &LastOp| last.number < result.number) {
            last = Some(LastOp {
                number: result.number,
                op_id: result.op_id,
            });
        }
        if is_taken(result) {
            connection
                .prepare_cached("UPDATE outbox SET state = 'acked', ack_seq = ?2 WHERE op_id = ?1")?
                .execute(params![result.op_id.uuid().as_bytes(), result.seq])?;
            if reoffer::is_record(&key) && result.rev == 0 {
                not_lost.push(key.clone());
            }
            taken.insert(key);
        } else {
            match refused.iter_mut().find(|(group, _)| *group == grp) {
                Some((_, results)) => results.push(result),
                None => refused.push((grp, vec![result])),
            }
        }
    }
    for (grp, results) in refused {
        let ops = load_group(connection, grp)?.map_or(0, |stored| stored.group.ops.len());
        if results.iter().any(|result| waits_for_newer_program(result)) {
            connection
                .prepare_cached("UPDATE outbox SET state = 'held' WHERE grp = ?1")?
                .execute([grp.uuid().as_bytes()])?;
            answer.held += ops;
        } else {
            let own = results
                .iter()
                .find(|result| result.why != Some(Refusal::Group))
                .or(results.first());
            let why = RefusedWhy::Service(own.and_then(|result| result.why).unwrap_or(Refusal::Group));
            let fields = own.map_or(&[][..], |result| &result.fields);
            touched.extend(refuse(connection, grp, why, fields, at)?);
            answer.refused += ops;
        }
    }
    if let Some(last) = last {
        state::put(connection, Name::LastOp, &last)?;
    }
    touched.extend(lost::were_not_lost(connection, &not_lost)?);
    state::put(connection, Name::Epoch, &epoch)?;
    // Nothing is released here, whatever the position: it may be of a history that the service has lost. A pull tells.
    show_again(connection, file, touched.iter().cloned())?;
    taken.extend(touched);
    answer.changed = taken.into_iter().collect();
    Ok((answer, count))
}

fn find(connection: &Connection, op: OpId) -> Result<Option<(GroupId, EntityKey)>, StorageError> {
    let mut statement =
        connection.prepare_cached("SELECT grp, type, id FROM outbox WHERE op_id = ?1 AND state <> 'held'")?;
    let mut rows = statement.query([op.uuid().as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some((group_id(row, 0)?, rows::key(row, 1)?)))
}
