//! The plain reference: what every person wrote, what they saw when they wrote it, and what the service has held since.
//!
//! A value is a unit, or one element of a set unit, in canonical form. Values carry a mark of their own, so that equal text means the same
//! writing. One value follows another when its writer had the other before her eyes, or wrote a value that follows it.

use std::collections::{BTreeMap, BTreeSet};

use caseload_domain::registry::{self, Policy, Writers};
use caseload_domain::{Document, EntityKey, canonical};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::messages::Op;
use caseload_protocol::row::Row;
use serde_json::Value;

use crate::invariants::Broken;

/// A unit, or `unit/element`, of an entity.
pub(crate) type Name = (EntityKey, String);

/// Values by name.
pub(crate) type Values = BTreeMap<String, String>;

/// One writing of one value by one person.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// The file in which it was written.
    pub(crate) file: usize,
    /// `None` removes.
    pub(crate) value: Option<String>,
    /// What the writer saw in its place.
    pub(crate) seen: Option<String>,
    /// Whether it has to be found at the end: not when the only file that held it was replaced by an older one.
    pub(crate) expected: bool,
}

/// A row as the service held it when it was last looked at.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) rev: i64,
    pub(crate) deleted: bool,
    pub(crate) values: Values,
    pub(crate) doc: Document,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) writes: BTreeMap<Name, Vec<Write>>,
    pub(crate) created: BTreeMap<EntityKey, usize>,
    pub(crate) restored: BTreeSet<EntityKey>,
    /// What was written last in each file.
    pub(crate) latest: BTreeMap<usize, Name>,
    pub(crate) rows: BTreeMap<EntityKey, Held>,
    /// What void rows said that went with their tombstones.
    pub(crate) went: BTreeMap<EntityKey, Vec<Values>>,
    pub(crate) head: i64,
    /// Whether the service was put back: a lost row that is accepted may bring another state with it.
    pub(crate) was_put_back: bool,
    /// The hash chain after each number at which an operation was seen to end.
    pub(crate) chain: BTreeMap<i64, Leaf>,
    /// What an action found broken, to be reported after it.
    pub(crate) later: Option<Broken>,
}

/// The values of a document that people write; what the service writes by itself is left out.
pub(crate) fn values(key: &EntityKey, doc: &Document) -> Values {
    let mut values = Values::new();
    let Some(entity) = registry::find(&key.kind) else {
        return values;
    };
    for (unit, value) in doc.units() {
        match (entity.policy(unit), value) {
            (Policy::Service, _) => {}
            (Policy::Set, Value::Object(elements)) => {
                for (element, value) in elements {
                    values.insert(format!("{unit}/{element}"), text(value));
                }
            }
            _ => {
                values.insert(unit.clone(), text(value));
            }
        }
    }
    values
}

/// What an operation writes under each name; `None` removes.
pub(crate) fn written_by(op: &Op) -> BTreeMap<String, Option<String>> {
    let whole = values(&op.key, &Document::new(op.units.clone()));
    let mut written: BTreeMap<String, Option<String>> =
        whole.into_iter().map(|(name, value)| (name, Some(value))).collect();
    for (unit, elements) in &op.add {
        for (element, value) in elements {
            written.insert(format!("{unit}/{element}"), Some(text(value)));
        }
    }
    for (unit, elements) in &op.remove {
        for element in elements {
            written.insert(format!("{unit}/{element}"), None);
        }
    }
    written
}

/// The canonical form of a value.
pub(crate) fn text(value: &Value) -> String {
    canonical::to_bytes(value)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

/// Whether a program may replace a value of this name that nobody had seen: states move by what may follow, whoever looks.
fn is_state(name: &Name) -> bool {
    registry::find(&name.0.kind).is_some_and(|entity| matches!(entity.policy(&name.1), Policy::State(_)))
}

/// Whether a state may have become another one in so many steps, or is the same one that somebody entered anew.
fn is_way(name: &Name, old: Option<&String>, new: Option<&String>, steps: i64) -> bool {
    let Some(Policy::State(next)) = registry::find(&name.0.kind).map(|entity| entity.policy(&name.1)) else {
        return false;
    };
    let state = |text: Option<&String>| {
        let value: Value = serde_json::from_str(text?).ok()?;
        Some(value.get("state")?.as_str()?.to_owned())
    };
    let (Some(old), Some(new)) = (state(old), state(new)) else {
        return false;
    };
    let mut reached = BTreeSet::from([old]);
    for _ in 0..steps {
        let further: Vec<String> = reached
            .iter()
            .flat_map(|state| next(state))
            .map(|state| (*state).to_owned())
            .collect();
        let before = reached.len();
        reached.extend(further);
        if reached.len() == before {
            break;
        }
    }
    reached.contains(&new)
}

/// Whether only the service makes rows of this type.
fn is_of_the_service(key: &EntityKey) -> bool {
    registry::find(&key.kind).is_some_and(|entity| entity.writers == Writers::Service)
}

impl Model {
    /// Remembers what a committed action made of one entity.
    pub(crate) fn wrote(&mut self, file: usize, key: &EntityKey, before: Option<&Document>, after: &Document) {
        if before.is_none() {
            self.created.entry(key.clone()).or_insert(file);
        }
        let before = before.map(|doc| values(key, doc)).unwrap_or_default();
        let after = values(key, after);
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (seen, value) = (before.get(name).cloned(), after.get(name).cloned());
            if seen != value {
                self.latest.insert(file, (key.clone(), name.clone()));
                self.remember((key.clone(), name.clone()), file, seen, value, true);
            }
        }
    }

    /// Remembers what void rows said that are about to go.
    pub(crate) fn went(&mut self, void: impl Iterator<Item = Row>) {
        for row in void {
            let said = values(&row.key, &row.doc);
            self.went.entry(row.key).or_default().push(said);
        }
    }

    /// Remembers one writing.
    pub(crate) fn remember(
        &mut self,
        name: Name,
        file: usize,
        seen: Option<String>,
        value: Option<String>,
        expected: bool,
    ) {
        self.writes.entry(name).or_default().push(Write {
            file,
            value,
            seen,
            expected,
        });
    }

    /// Whether the writer of `new` had seen `old`, directly or through what she saw.
    pub(crate) fn follows(&self, name: &Name, new: Option<&String>, old: Option<&String>) -> bool {
        let Some(writes) = self.writes.get(name) else {
            return false;
        };
        let mut reached: BTreeSet<Option<&String>> = BTreeSet::from([new]);
        let mut open = vec![new];
        while let Some(value) = open.pop() {
            for write in writes.iter().filter(|write| write.value.as_ref() == value) {
                let seen = write.seen.as_ref();
                if seen == old {
                    return true;
                }
                if reached.insert(seen) {
                    open.push(seen);
                }
            }
        }
        false
    }

    /// Whether a value was written in this very file.
    pub(crate) fn wrote_in(&self, file: usize, name: &Name, value: Option<&String>) -> bool {
        let writes = self.writes.get(name).map(Vec::as_slice).unwrap_or_default();
        writes
            .iter()
            .any(|write| write.file == file && write.value.as_ref() == value)
    }

    /// Keeps what an action found broken.
    pub(crate) fn break_later(&mut self, invariant: &'static str, what: String) {
        self.later.get_or_insert(Broken::of(invariant, what));
    }

    /// Whether somebody wrote exactly this value.
    pub(crate) fn was_written(&self, name: &Name, value: &str) -> bool {
        self.writes
            .get(name)
            .is_some_and(|writes| writes.iter().any(|write| write.value.as_deref() == Some(value)))
    }

    /// Takes in the rows that changed at the service and checks every step that they made.
    pub(crate) fn observe(&mut self, rows: &[Row], head: i64) -> Result<(), Broken> {
        for row in rows {
            self.observe_row(row)?;
        }
        self.head = head;
        Ok(())
    }

    fn observe_row(&mut self, row: &Row) -> Result<(), Broken> {
        let now = Held {
            rev: row.rev,
            deleted: row.deleted,
            values: values(&row.key, &row.doc),
            doc: row.doc.clone(),
        };
        let before = self.rows.insert(row.key.clone(), now.clone());
        let is_ours = !is_of_the_service(&row.key);
        if is_ours && !self.created.contains_key(&row.key) {
            return Err(Broken::of("I10", format!("{:?} was created by nobody", row.key)));
        }
        let Some(before) = before else {
            return self.check_written(&row.key, &now.values);
        };
        if before.deleted && !row.deleted && !self.restored.contains(&row.key) {
            return Err(Broken::of("I10", format!("{:?} came back after a void", row.key)));
        }
        self.check_frozen(row, &before)?;
        self.check_written(&row.key, &now.values)?;
        let names: BTreeSet<&String> = before.values.keys().chain(now.values.keys()).collect();
        for name in names {
            let (old, new) = (before.values.get(name), now.values.get(name));
            let name: Name = (row.key.clone(), name.clone());
            if old == new || old.is_none() {
                continue;
            }
            if is_state(&name) {
                if !self.was_put_back && !is_way(&name, old, new, row.rev - before.rev) {
                    return Err(Broken::of(
                        "I5",
                        format!("{name:?}: {old:?} became {new:?}, which may not follow"),
                    ));
                }
                continue;
            }
            if !self.follows(&name, new, old) {
                return Err(Broken::of(
                    "I5",
                    format!(
                        "{name:?}: {old:?} was replaced by {new:?}, whose writer had not seen it; {:#?}",
                        self.writes.get(&name)
                    ),
                ));
            }
        }
        Ok(())
    }

    fn check_written(&self, key: &EntityKey, values: &Values) -> Result<(), Broken> {
        for (name, value) in values {
            let name = (key.clone(), name.clone());
            if !self.was_written(&name, value) {
                return Err(Broken::of("I16", format!("{name:?}: nobody wrote {value}")));
            }
        }
        Ok(())
    }

    /// Signed and issued content never changes: there are no other ledger rows yet.
    fn check_frozen(&self, row: &Row, before: &Held) -> Result<(), Broken> {
        let Some(entity) = registry::find(&row.key.kind) else {
            return Ok(());
        };
        for (unit, value) in before.doc.units() {
            if entity.is_frozen(&before.doc, unit) && row.doc.unit(unit) != Some(value) {
                return Err(Broken::of(
                    "I12",
                    format!("{:?}.{unit} changed after it was frozen", row.key),
                ));
            }
        }
        Ok(())
    }

    /// Forgets what was seen of the service, which is another one now. `is_there` says whether a writing is still in its file: the others may
    /// be gone with the service's files.
    pub(crate) fn service_was_put_back(&mut self, is_there: impl Fn(&Name, &Write) -> bool) {
        for (name, writes) in &mut self.writes {
            for write in writes {
                write.expected = write.expected && is_there(name, write);
            }
        }
        self.rows.clear();
        self.chain.clear();
        self.head = 0;
        self.was_put_back = true;
    }

    /// What was written in `files` after the copy may be lost with them, unless the service has it.
    pub(crate) fn files_were_put_back(&mut self, files: &[usize], at_copy: &BTreeMap<Name, usize>) {
        for (name, writes) in &mut self.writes {
            let kept = at_copy.get(name).copied().unwrap_or_default();
            for write in writes.iter_mut().skip(kept).filter(|write| files.contains(&write.file)) {
                write.expected = false;
            }
        }
    }

    /// How much was written under each name until now.
    pub(crate) fn extent(&self) -> BTreeMap<Name, usize> {
        self.writes
            .iter()
            .map(|(name, writes)| (name.clone(), writes.len()))
            .collect()
    }

    /// Every writing that is found nowhere: neither in `found` nor replaced by a value there whose writer had seen it.
    pub(crate) fn lost(&self, found: &BTreeMap<Name, BTreeSet<Option<String>>>) -> Vec<(Name, Write)> {
        let nothing = BTreeSet::new();
        let mut lost = Vec::new();
        for (name, writes) in &self.writes {
            // Of two salts for one derived id the first stays: nobody wrote either.
            if is_state(name) || name.1 == "salt" || is_of_the_service(&name.0) {
                continue;
            }
            let found = found.get(name).unwrap_or(&nothing);
            for write in writes.iter().filter(|write| write.expected && write.value.is_some()) {
                let is_kept = found.iter().any(|present| {
                    *present == write.value || self.follows(name, present.as_ref(), write.value.as_ref())
                });
                if !is_kept {
                    lost.push((name.clone(), write.clone()));
                }
            }
        }
        lost
    }
}

/// Members that a newer program adds begin with this; an older one has to carry them along.
pub(crate) const NEWER: &str = "newer_";
