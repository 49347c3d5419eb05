//! A person at a computer: what an action may use, and the door through which all of them write. Whatever it commits is told to the model.

use std::collections::BTreeMap;

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, UserId};
use caseload_store::{Action, Entity, StorageError, Store, WriteError, WriteTx, run_intents};
use serde_json::{Value, json};

use crate::cast::{Cast, Person};
use crate::machine::Machine;
use crate::model::{Model, Values, text, values};
use crate::tally::Tally;
use caseload_testkit::chance::Chance;

/// Which file of the computer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Office,
    Clinical,
}

/// See the module.
pub(crate) struct Desk<'a> {
    pub(crate) cast: &'a Cast,
    pub(crate) machine: &'a Machine,
    pub(crate) model: &'a mut Model,
    pub(crate) chance: &'a mut Chance,
    pub(crate) tally: &'a mut Tally,
    pub(crate) marks: &'a mut u64,
    pub(crate) at: Millis,
}

/// Whether an action changed anything. An error is a failure of the file, such as the end of the process.
pub(crate) type Done = Result<bool, StorageError>;

impl Desk<'_> {
    pub(crate) fn me(&self) -> &Person {
        self.cast.person_of(self.machine.computer)
    }

    pub(crate) fn user(&self) -> UserId {
        self.me().user
    }

    /// A text that was never written before.
    pub(crate) fn mark(&mut self) -> String {
        *self.marks += 1;
        format!("m{}", self.marks)
    }

    /// An object with a text that was never written before.
    pub(crate) fn marked(&mut self) -> Value {
        json!({"text": self.mark()})
    }

    pub(crate) fn store(&self, which: Which) -> Option<&Store> {
        let file = match which {
            Which::Office => self.machine.office.as_ref(),
            Which::Clinical => self.machine.clinical.as_ref(),
        };
        file.map(|file| file.store.as_ref())
    }

    /// Everything of a type that is not void.
    pub(crate) fn all(&self, which: Which, kind: &str) -> Result<Vec<Entity>, StorageError> {
        match self.store(which) {
            Some(store) => store.read(|read| read.list(kind)),
            None => Ok(Vec::new()),
        }
    }

    /// What this file shows of an entity.
    pub(crate) fn shown(&self, which: Which, key: &EntityKey) -> Result<Option<Values>, StorageError> {
        let found = match self.store(which) {
            Some(store) => store.read(|read| read.get(key))?,
            None => None,
        };
        Ok(found.map(|entity| values(key, &entity.doc)))
    }

    /// One of a type for which `fits` holds.
    pub(crate) fn any(
        &mut self,
        which: Which,
        kind: &str,
        fits: impl Fn(&Entity) -> bool,
    ) -> Result<Option<Entity>, StorageError> {
        let mut all = self.all(which, kind)?;
        all.retain(fits);
        // Most work is about a few things, so that people meet.
        let few = if self.chance.percent(65) {
            all.len().min(2)
        } else {
            all.len()
        };
        Ok(self.chance.pick(&all[..few]).cloned())
    }

    /// Writes through the store's one door. `keys` are the entities that exist and may be changed, the closure answers those that it made.
    pub(crate) fn write(
        &mut self,
        which: Which,
        name: &'static str,
        keys: &[EntityKey],
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<Vec<EntityKey>, WriteError>,
    ) -> Done {
        let Some(store) = self.store(which) else {
            return Ok(false);
        };
        let mut before = BTreeMap::new();
        for key in keys {
            if let Some(entity) = store.read(|read| read.get(key))? {
                before.insert(key.clone(), entity);
            }
        }
        let action = Action { name, at: self.at };
        let written = store.write(&self.machine.author(self.cast), action, |tx| {
            let made = body(tx)?;
            let mut after = Vec::new();
            for key in keys.iter().chain(&made) {
                after.extend(tx.get(key)?);
            }
            Ok::<_, WriteError>(after)
        });
        match written {
            Ok(committed) => {
                let [office, clinical] = self.machine.files();
                let file = if which == Which::Office { office } else { clinical };
                for entity in committed.value {
                    let before = before.get(&entity.key);
                    if before.is_some_and(|before| before.deleted) && !entity.deleted {
                        self.model.restored.insert(entity.key.clone());
                    }
                    self.model
                        .wrote(file, &entity.key, before.map(|before| &before.doc), &entity.doc);
                }
                Ok(!committed.changed.is_empty())
            }
            Err(WriteError::Storage(error)) => Err(error),
            Err(_refusal) => {
                self.tally.count("outcome: refused before it was written");
                Ok(false)
            }
        }
    }

    /// Replaces one unit of an entity.
    pub(crate) fn set(&mut self, which: Which, name: &'static str, key: &EntityKey, unit: &str, value: Value) -> Done {
        self.write(which, name, std::slice::from_ref(key), |tx| {
            tx.patch_unit(key, unit, value)?;
            Ok(Vec::new())
        })
    }

    /// Creates an entity with a new id.
    pub(crate) fn create(&mut self, which: Which, name: &'static str, kind: &str, document: Value) -> Done {
        self.write(which, name, &[], |tx| {
            Ok(vec![tx.create_new(kind, crate::template::document(document))?])
        })
    }

    /// Does in the office file what the clinical one intends.
    pub(crate) fn run_intents(&mut self) -> Done {
        let (Some(office), Some(clinical)) = (self.store(Which::Office), self.store(Which::Clinical)) else {
            return Ok(false);
        };
        let mut planned = Vec::new();
        for intent in clinical.read(|read| read.open_intents())? {
            for step in intent.steps {
                let seen = office.read(|read| read.get(&step.key))?;
                for (unit, value) in step.units {
                    let before = seen.as_ref().and_then(|entity| entity.doc.unit(&unit)).map(text);
                    planned.push(((step.key.clone(), unit), before, text(&value)));
                }
            }
        }
        let file = self.machine.files()[0];
        // Told before it is done: a crash in between leaves it done and not reported.
        for (name, before, value) in planned {
            self.model.remember(name, file, before, Some(value), false);
        }
        let (office, clinical) = (self.machine.office.as_ref(), self.machine.clinical.as_ref());
        let (Some(office), Some(clinical)) = (office, clinical) else {
            return Ok(false);
        };
        let author = self.machine.author(self.cast);
        match run_intents(&clinical.store, &office.store, &author, self.at) {
            Ok(done) => Ok(done > 0),
            Err(WriteError::Storage(error)) => Err(error),
            Err(_refusal) => Ok(false),
        }
    }
}
