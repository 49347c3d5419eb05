//! What one action has still to do in the other file. Two files cannot be committed together, so the first transaction stores an intent; it
//! is executed on the other file at once and again at every unlock until it is done. Its operation ids are fixed, so that doing it twice is
//! doing it once, here and at the service.

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, OpId};
use rusqlite::params;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::audit::Action;
use crate::error::StorageError;
use crate::read::ReadTx;
use crate::store::Store;
use crate::turns::Who;
use crate::write::{Author, WriteError, WriteTx};

/// Units of one entity in the other file that are to be replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The entity.
    pub key: EntityKey,
    /// The units.
    pub units: Map<String, Value>,
}

/// What is to be done in the other file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Its id; the ids of its operations derive from it.
    pub id: OpId,
    /// What to do, in order. A step that the rules do not allow any more is left out.
    pub steps: Vec<Step>,
}

/// What became of an intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executed {
    /// It was done now.
    Done,
    /// It had been done before; nothing was changed.
    Already,
}

impl Intent {
    /// An intent of these steps.
    #[must_use]
    pub const fn new(id: OpId, steps: Vec<Step>) -> Self {
        Self { id, steps }
    }

    /// Frozen: a restored file executes again and must arrive at the same ids.
    fn op_id(&self, step: usize) -> OpId {
        OpId::new(Uuid::new_v5(&self.id.uuid(), format!("step {step}").as_bytes()))
    }
}

impl WriteTx<'_> {
    /// Stores what the other file has to do, together with the changes of this transaction.
    ///
    /// # Errors
    /// [`WriteError::Storage`].
    pub fn intend(&mut self, intent: &Intent) -> Result<(), WriteError> {
        let body = serde_json::to_string(intent).map_err(|_| StorageError::Unreadable("intent"))?;
        self.connection()
            .prepare_cached("INSERT OR IGNORE INTO intent (id, at, body) VALUES (?1, ?2, ?3)")?
            .execute(params![intent.id.uuid().as_bytes(), self.at().0, body])?;
        self.mark_local_change();
        Ok(())
    }

    /// Does what the other file intended, once. It has to be the only thing of its transaction.
    ///
    /// # Errors
    /// [`WriteError::Storage`]; a step that the rules refuse is left out instead.
    pub fn execute(&mut self, intent: &Intent) -> Result<Executed, WriteError> {
        let inserted = self
            .connection()
            .prepare_cached("INSERT OR IGNORE INTO executed_intent (id, at) VALUES (?1, ?2)")?
            .execute(params![intent.id.uuid().as_bytes(), self.at().0])?;
        if inserted == 0 {
            return Ok(Executed::Already);
        }
        self.mark_local_change();
        for (position, step) in intent.steps.iter().enumerate() {
            match self.patch_as(intent.op_id(position), &step.key, step.units.clone()) {
                Err(error) if !error.is_refusal() => return Err(error),
                Err(refusal) => {
                    tracing::info!(entity = ?step.key, %refusal, "a step of an intent is not possible any more")
                }
                Ok(()) => {}
            }
        }
        Ok(Executed::Done)
    }
}

impl ReadTx<'_> {
    /// What has still to be done in the other file, oldest first.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open_intents(&self) -> Result<Vec<Intent>, StorageError> {
        let mut statement = self
            .connection()
            .prepare_cached("SELECT body FROM intent ORDER BY at, id")?;
        let mut rows = statement.query([])?;
        let mut intents = Vec::new();
        while let Some(row) = rows.next()? {
            let body = row.get_ref(0)?.as_str().unwrap_or_default();
            intents.push(serde_json::from_str(body).map_err(|_| StorageError::Unreadable("intent"))?);
        }
        Ok(intents)
    }
}

impl Store {
    /// Forgets an intent that the other file has done.
    fn clear_intent(&self, intent: &Intent) -> Result<(), StorageError> {
        self.transact_for(Who::Person, |connection| {
            connection
                .prepare_cached("DELETE FROM intent WHERE id = ?1")?
                .execute([intent.id.uuid().as_bytes()])?;
            Ok(())
        })
    }
}

/// Executes on `target` what `source` intends and forgets it there; gives the number. Whatever happens in between, calling it again
/// completes it.
///
/// # Errors
/// [`WriteError::Storage`]; what was not done stays intended.
pub fn run_intents(source: &Store, target: &Store, author: &Author<'_>, at: Millis) -> Result<usize, WriteError> {
    let intents = source.read(|reads| reads.open_intents())?;
    let count = intents.len();
    for intent in intents {
        target.write(
            author,
            Action {
                name: "intent.execute",
                at,
            },
            |tx| tx.execute(&intent),
        )?;
        source.clear_intent(&intent)?;
    }
    Ok(count)
}
