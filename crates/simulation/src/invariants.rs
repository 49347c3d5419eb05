//! What has to hold when everything is at rest: one function for each invariant, named after it. What can be seen at every step (I5, I9, I10,
//! I12, I16) is also checked there, in the model and the actions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use caseload_domain::appointments::{self, Placement};
use caseload_domain::{Document, EntityKey, EntityKind, Scope, registry};
use caseload_protocol::checksum::{self, Leaf};
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::messages::{Op, WireRow};
use caseload_protocol::reoffer;
use caseload_protocol::row::Row;
use caseload_service::storage::HistoryEntry;
use caseload_store::{RefusedGroup, RefusedWhy, Store};
use serde_json::Value;

use crate::model::{Model, Name, text, values};

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name, `I1` to `I16`, or what kept the history from coming to rest.
    pub invariant: &'static str,
    /// What was found.
    pub what: String,
}

impl Broken {
    pub(crate) const fn of(invariant: &'static str, what: String) -> Self {
        Self { invariant, what }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

type Checked = Result<(), Broken>;

/// The service at rest.
pub(crate) struct Rest {
    pub(crate) head: PracticeHead,
    pub(crate) rows: BTreeMap<EntityKey, Row>,
    pub(crate) history: Vec<HistoryEntry>,
}

/// One file at rest.
pub(crate) struct FileAtRest<'a> {
    pub(crate) file: usize,
    pub(crate) store: &'a Store,
    /// The scopes that the service would give to its reader now.
    pub(crate) entitled: BTreeSet<Scope>,
    /// Whether its computer was revoked: it shares nothing any more, and what it has not shared is nowhere else.
    pub(crate) is_revoked: bool,
}

/// A reader that saw a number has every lower one.
pub(crate) fn i1_a_reader_that_saw_a_number_has_every_lower_one(rest: &Rest, file: &FileAtRest<'_>) -> Checked {
    let state = file.store.sync_state().map_err(failed)?;
    let Some(cursor) = state.cursor else {
        return Ok(());
    };
    for row in rest.rows.values() {
        if state.scopes.contains(&row.scope) && row.seq <= cursor.seq {
            let held = file.store.read(|read| read.get(&row.key)).map_err(failed)?;
            if held.is_none_or(|held| held.rev < row.rev) {
                return broken("I1", file, &row.key, "is behind the position of the file");
            }
        }
    }
    Ok(())
}

/// Numbers follow on each other without a gap and the chain verifies.
pub(crate) fn i2_numbers_are_contiguous_and_the_chain_verifies(rest: &Rest) -> Checked {
    let (mut seq, mut chain): (i64, Leaf) = (0, [0; 32]);
    for entry in &rest.history {
        let leaves = i64::try_from(entry.leaves.len()).unwrap_or(i64::MAX);
        if entry.first_seq != seq + 1 || entry.last_seq != seq + leaves {
            return Err(Broken::of(
                "I2",
                format!("after {seq} comes {} to {}", entry.first_seq, entry.last_seq),
            ));
        }
        chain = checksum::extend_chain(&chain, entry.op_id, entry.first_seq, &entry.leaves);
        if chain != entry.chain {
            return Err(Broken::of("I2", format!("the chain breaks at {}", entry.last_seq)));
        }
        seq = entry.last_seq;
    }
    let mut used = BTreeSet::new();
    for row in rest.rows.values() {
        if row.seq > rest.head.seq || !used.insert(row.seq) {
            return Err(Broken::of("I2", format!("{:?} has the number {}", row.key, row.seq)));
        }
    }
    if (seq, chain) == (rest.head.seq, rest.head.chain) {
        Ok(())
    } else {
        Err(Broken::of(
            "I2",
            format!("the history ends at {seq}, the head is {}", rest.head.seq),
        ))
    }
}

/// No operation wrote rows twice.
pub(crate) fn i3_each_operation_is_applied_at_most_once(rest: &Rest) -> Checked {
    let mut seen = BTreeSet::new();
    for entry in &rest.history {
        if !seen.insert(entry.op_id) {
            return Err(Broken::of("I3", format!("{} was applied twice", entry.op_id)));
        }
    }
    Ok(())
}

/// Nothing waits any more: every operation has its receipt, or is kept as refused, or waits for the review of a lost row that nobody here may
/// see.
pub(crate) fn i4_every_operation_ended(file: &FileAtRest<'_>) -> Checked {
    let waiting = file.store.read(|read| read.waiting()).map_err(failed)?.count;
    let for_reviews = for_reviews(file)?.len();
    if usize::try_from(waiting) == Ok(for_reviews) {
        Ok(())
    } else {
        Err(Broken::of(
            "I4",
            format!(
                "file {}: {waiting} operations still wait, {for_reviews} of them for reviews",
                file.file
            ),
        ))
    }
}

/// No honest operation is refused because of its signature.
pub(crate) fn i4_no_honest_signature_is_refused(file: &FileAtRest<'_>) -> Checked {
    use caseload_protocol::messages::Refusal;
    for group in refused(file)? {
        if group.why == RefusedWhy::Service(Refusal::Signature) {
            return Err(Broken::of("I4", format!("file {}: a signature was refused", file.file)));
        }
    }
    Ok(())
}

/// Every value that was written is at the service, in a void row that went, in a conflict, kept as refused, or replaced by somebody who had seen it.
pub(crate) fn i5_no_unseen_value_is_lost(model: &Model, rest: &Rest, files: &[FileAtRest<'_>]) -> Checked {
    let mut found: BTreeMap<Name, BTreeSet<Option<String>>> = BTreeMap::new();
    let mut add = |key: &EntityKey, name: String, value: Option<String>| {
        found.entry((key.clone(), name)).or_default().insert(value);
    };
    for row in rest.rows.values() {
        let present = values(&row.key, &row.doc);
        for (key, name) in model.writes.keys().filter(|name| name.0 == row.key) {
            add(key, name.clone(), present.get(name).cloned());
        }
        if matches!(row.key.kind.as_str(), "conflict" | "clinical_conflict") {
            conflict_values(&row.doc, &mut add);
        }
        if let Some(lost) = reoffer::row_of(row.doc.units()).filter(|_| reoffer::is_record(&row.key)) {
            lost_values(&lost, &mut add);
        }
    }
    for (key, said) in &model.went {
        for (_, name) in model.writes.keys().filter(|name| name.0 == *key) {
            for values in said {
                add(key, name.clone(), values.get(name).cloned());
            }
        }
    }
    for file in files {
        for group in refused(file)? {
            for op in &group.ops {
                op_values(op, &mut add);
                // An offer that was not taken still holds the row that it is about.
                if let Some(lost) = lost_row(op) {
                    lost_values(&lost, &mut add);
                }
            }
        }
        for op in for_reviews(file)? {
            op_values(&op, &mut add);
        }
        if file.is_revoked {
            held_values(model, file, &mut add)?;
        }
    }
    match model.lost(&found).first() {
        None => Ok(()),
        Some((name, write)) => Err(Broken::of(
            "I5",
            format!("{name:?}: {:?} of file {} is found nowhere", write.value, write.file),
        )),
    }
}

/// What a file that shares nothing any more holds: as its reader sees it, as the service had it, offered back, and in conflicts.
fn held_values(
    model: &Model,
    file: &FileAtRest<'_>,
    add: &mut impl FnMut(&EntityKey, String, Option<String>),
) -> Checked {
    let keys: BTreeSet<&EntityKey> = model.writes.keys().map(|(key, _)| key).collect();
    file.store
        .read(|read| {
            for key in keys {
                let versions = [read.get(key)?.map(|row| row.doc), read.base(key)?.map(|row| row.doc)];
                for (name, value) in versions.iter().flatten().flat_map(|doc| values(key, doc)) {
                    add(key, name, Some(value));
                }
            }
            for kind in ["conflict", "clinical_conflict"] {
                for record in read.list(kind)? {
                    conflict_values(&record.doc, add);
                }
            }
            let records = read.open_reoffers()?;
            let offered = records.iter().filter_map(|record| reoffer::row_of(record.doc.units()));
            for lost in read.lost()?.into_iter().chain(offered) {
                lost_values(&lost, add);
            }
            Ok::<_, caseload_store::StorageError>(())
        })
        .map_err(failed)
}

/// The row that an operation offers back.
fn lost_row(op: &Op) -> Option<WireRow> {
    reoffer::row_of(&op.units).filter(|_| reoffer::is_record(&op.key))
}

fn lost_values(lost: &WireRow, add: &mut impl FnMut(&EntityKey, String, Option<String>)) {
    for (name, value) in values(&lost.key, &lost.doc) {
        add(&lost.key, name, Some(value));
    }
}

fn conflict_values(doc: &Document, add: &mut impl FnMut(&EntityKey, String, Option<String>)) {
    let about = |member: &str| doc.text("about", member).unwrap_or_default().to_owned();
    let Ok(id) = about("id").parse() else { return };
    let key = EntityKey {
        kind: EntityKind::new(about("type")),
        id,
    };
    let unit = about("unit");
    for side in ["current", "other"] {
        let Some(value) = doc.unit(side).and_then(|side| side.get("value")) else {
            continue;
        };
        if matches!(unit.as_str(), "*" | "signature") {
            whole_values(&key, value, add);
        }
        add(&key, unit.clone(), Some(text(value)));
    }
}

/// The values of a whole operation that a conflict keeps.
fn whole_values(key: &EntityKey, whole: &Value, add: &mut impl FnMut(&EntityKey, String, Option<String>)) {
    if let Some(units) = whole.get("units").and_then(Value::as_object) {
        let doc = Document::new(units.clone());
        for (name, value) in values(key, &doc) {
            add(key, name, Some(value));
        }
    }
    for (unit, elements) in whole.get("add").and_then(Value::as_object).into_iter().flatten() {
        for (element, value) in elements.as_object().into_iter().flatten() {
            add(key, format!("{unit}/{element}"), Some(text(value)));
        }
    }
}

fn op_values(op: &Op, add: &mut impl FnMut(&EntityKey, String, Option<String>)) {
    let whole = serde_json::json!({"units": op.units, "add": op.add});
    whole_values(&op.key, &whole, add);
}

/// The service's version of every row is the device's, and what is shown is that version, except where a change is held until the program is
/// newer.
pub(crate) fn i6_the_file_holds_what_the_service_holds(rest: &Rest, file: &FileAtRest<'_>) -> Checked {
    let held: BTreeSet<EntityKey> = refused(file)?
        .into_iter()
        .filter(|group| group.why == RefusedWhy::Held)
        .flat_map(|group| group.ops.into_iter().map(|op| op.key))
        .collect();
    for row in rest.rows.values().filter(|row| file.entitled.contains(&row.scope)) {
        let (base, shown) = file
            .store
            .read(|read| Ok::<_, caseload_store::StorageError>((read.base(&row.key)?, read.get(&row.key)?)))
            .map_err(failed)?;
        let (Some(base), Some(shown)) = (base, shown) else {
            return broken("I6", file, &row.key, "is missing");
        };
        if shown.rev != row.rev || base.doc != row.doc || base.deleted != row.deleted {
            return broken("I6", file, &row.key, "differs from the service's version");
        }
        if !held.contains(&row.key) && (shown.doc != row.doc || shown.deleted != row.deleted) {
            return broken("I6", file, &row.key, "is shown otherwise than the service holds it");
        }
    }
    Ok(())
}

/// Of the placed appointments no two take the same therapist, room or client at the same time, except on purpose.
pub(crate) fn i7_no_unintended_double_booking(rest: &Rest) -> Checked {
    let placed: Vec<_> = rest
        .rows
        .values()
        .filter(|row| row.key.kind.as_str() == "appointment" && !row.deleted)
        .filter(|row| appointments::placement(&row.doc) == Placement::Placed && row.doc.unit("override").is_none())
        .filter_map(|row| Some((row, appointments::occupation(&row.doc)?)))
        .collect();
    for (at, (one, occupied)) in placed.iter().enumerate() {
        for (other, also) in &placed[at + 1..] {
            if let Some(resource) = occupied.clash_with(also) {
                return Err(Broken::of(
                    "I7",
                    format!("{} and {} both have {resource:?}", one.key.id, other.key.id),
                ));
            }
        }
    }
    Ok(())
}

/// Every booked appointment, and everything else that was created, exists at the service or is kept as refused.
pub(crate) fn i8_whatever_was_created_exists(model: &Model, rest: &Rest, files: &[FileAtRest<'_>]) -> Checked {
    let mut kept: BTreeSet<EntityKey> = model.went.keys().cloned().collect();
    for file in files {
        for group in refused(file)? {
            kept.extend(group.ops.iter().filter_map(lost_row).map(|lost| lost.key));
            kept.extend(group.ops.into_iter().map(|op| op.key));
        }
        kept.extend(for_reviews(file)?.into_iter().map(|op| op.key));
        if file.is_revoked {
            for key in model.created.keys() {
                if file.store.read(|read| read.get(key)).map_err(failed)?.is_some() {
                    kept.insert(key.clone());
                }
            }
        }
    }
    for row in rest.rows.values().filter(|row| reoffer::is_record(&row.key)) {
        kept.extend(reoffer::row_of(row.doc.units()).map(|lost| lost.key));
    }
    for key in model.created.keys() {
        let expected = model
            .writes
            .iter()
            .any(|((of, name), writes)| of == key && name == "salt" && writes.iter().any(|write| write.expected));
        if expected && !rest.rows.contains_key(key) && !kept.contains(key) {
            return Err(Broken::of("I8", format!("{key:?} was created and does not exist")));
        }
    }
    Ok(())
}

/// A file holds nothing outside the scopes of its reader.
pub(crate) fn i11_a_file_holds_nothing_outside_its_scopes(rest: &Rest, file: &FileAtRest<'_>) -> Checked {
    for kind in registry::all().map(|entity| entity.kind) {
        let held = file.store.read(|read| read.list(kind)).map_err(failed)?;
        for entity in held {
            if !file.entitled.contains(&entity.scope) && rest.rows.contains_key(&entity.key) {
                return broken("I11", file, &entity.key, "is outside the scopes of the file");
            }
        }
    }
    Ok(())
}

/// What is unique is unique everywhere: no two clients have one number.
pub(crate) fn i12_no_two_clients_have_one_number(rest: &Rest) -> Checked {
    let mut numbers = BTreeSet::new();
    for row in rest.rows.values().filter(|row| row.key.kind.as_str() == "client") {
        let number = row.doc.text("number", "value").unwrap_or_default();
        if number.is_empty() || !numbers.insert(number) {
            return Err(Broken::of("I12", format!("{} has the number {number:?}", row.key.id)));
        }
    }
    Ok(())
}

fn for_reviews(file: &FileAtRest<'_>) -> Result<Vec<Op>, Broken> {
    file.store.read(|read| read.waiting_for_reviews()).map_err(failed)
}

/// Whatever was once committed is in the history to its end, however often the service was killed or started again. After a copy was put back
/// this begins anew.
pub(crate) fn i13_what_was_committed_is_still_there(model: &Model, rest: &Rest) -> Checked {
    let now: BTreeMap<i64, Leaf> = rest.history.iter().map(|entry| (entry.last_seq, entry.chain)).collect();
    match model.chain.iter().find(|(seq, chain)| now.get(seq) != Some(chain)) {
        None => Ok(()),
        Some((seq, _)) => Err(Broken::of("I13", format!("what was committed at {seq} is gone"))),
    }
}

/// A file that had read a history that is no more has noticed: its position, and the newest state that it read, are states of this one.
pub(crate) fn i15_every_position_is_a_state_of_this_history(rest: &Rest, file: &FileAtRest<'_>) -> Checked {
    let Some(cursor) = file.store.sync_state().map_err(failed)?.cursor else {
        return Ok(());
    };
    let newest = cursor.newest();
    for (seq, chain) in [(cursor.seq, &cursor.chain), (newest.seq, &newest.chain)] {
        let there = rest.history.iter().find(|entry| entry.last_seq == seq);
        if there.is_none_or(|entry| checksum::hex(&entry.chain[..8]) != *chain) {
            return Err(Broken::of(
                "I15",
                format!("file {}: its position {seq} is of another history", file.file),
            ));
        }
    }
    Ok(())
}

fn refused(file: &FileAtRest<'_>) -> Result<Vec<RefusedGroup>, Broken> {
    file.store.read(|read| read.refused()).map_err(failed)
}

fn broken(invariant: &'static str, file: &FileAtRest<'_>, key: &EntityKey, how: &str) -> Checked {
    Err(Broken::of(invariant, format!("file {}: {key:?} {how}", file.file)))
}

fn failed(error: caseload_store::StorageError) -> Broken {
    Broken::of("a file", error.to_string())
}
