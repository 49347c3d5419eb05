//! Random histories of one device against a service of a few lines. After every step: what is shown is the service's version with the waiting
//! operations replayed; what was sent never changes; no base is ever raised; numbers have no gap; signatures verify; what a person changed
//! waits as an operation. At rest both are equal.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashMap};

use caseload_domain::time::Millis;
use caseload_domain::{ClientId, DeviceId, Document, EntityKey, OpId, PracticeId, ReplicaId, Role, Scope, UserId};
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::{Group, Op, OpKind, OpResult, Outcome, Refusal, WireRow};
use caseload_protocol::rebase::{Working, rebase};
use caseload_vault::{DatabaseKey, Signature, SigningKey};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::touches::touches;
use crate::write::WriteError;
use crate::{Action, Author, Entropy, FileKind, Identity, SnapshotPart, Store, outbox, rows};

const ENTITIES: u8 = 3;
const PRACTICE: PracticeId = PracticeId::new(Uuid::from_u128(1));

#[derive(Clone, Debug)]
enum Act {
    Create(u8),
    Patch(u8, u8, u8),
    PatchTwo(u8, u8),
    Tag(u8, u8),
    Untag(u8, u8),
    Void(u8),
    Restore(u8),
    Remote(u8, u8, u8),
    Send {
        most: u8,
        accept: bool,
        lose_reply: bool,
        answered: u8,
    },
    Pull(u8),
    Snapshot,
    Reregister,
    Reopen,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let entity = 0..ENTITIES;
    let act = prop_oneof![
        4 => entity.clone().prop_map(Act::Create),
        8 => (entity.clone(), 0..4_u8, 0..9_u8).prop_map(|(e, u, v)| Act::Patch(e, u, v)),
        4 => (entity.clone(), 0..9_u8).prop_map(|(e, v)| Act::PatchTwo(e, v)),
        3 => (entity.clone(), 0..3_u8).prop_map(|(e, t)| Act::Tag(e, t)),
        2 => (entity.clone(), 0..3_u8).prop_map(|(e, t)| Act::Untag(e, t)),
        1 => entity.clone().prop_map(Act::Void),
        1 => entity.clone().prop_map(Act::Restore),
        4 => (entity, 0..4_u8, 0..9_u8).prop_map(|(e, u, v)| Act::Remote(e, u, v)),
        6 => (1..6_u8, prop::bool::weighted(0.8), prop::bool::weighted(0.2), 0..4_u8)
            .prop_map(|(most, accept, lose_reply, answered)| Act::Send { most, accept, lose_reply, answered }),
        5 => (1..4_u8).prop_map(Act::Pull),
        2 => Just(Act::Snapshot),
        1 => Just(Act::Reregister),
        1 => Just(Act::Reopen),
    ];
    prop::collection::vec(act, 1..60)
}

/// Takes what it is sent, in order, and remembers every answer.
#[derive(Default)]
struct Service {
    rows: BTreeMap<EntityKey, (i64, i64, Working)>,
    receipts: HashMap<OpId, OpResult>,
    head: i64,
    last_mut: i64,
}

impl Service {
    fn touch(&mut self, key: &EntityKey, state: Working) -> (i64, i64) {
        self.head += 1;
        let rev = self.rows.get(key).map_or(0, |row| row.0) + 1;
        self.rows.insert(key.clone(), (rev, self.head, state));
        (rev, self.head)
    }

    fn push(&mut self, groups: &[Group], accept: bool) -> Vec<OpResult> {
        groups.iter().flat_map(|group| self.take(group, accept)).collect()
    }

    fn take(&mut self, group: &Group, accept: bool) -> Vec<OpResult> {
        if group.next_mut() - 1 > self.last_mut {
            assert_eq!(group.first_mut, self.last_mut + 1, "numbers have a gap");
            self.last_mut = group.next_mut() - 1;
        }
        (group.first_mut..)
            .zip(&group.ops)
            .map(|(number, op)| self.decide(number, op, accept))
            .collect()
    }

    fn decide(&mut self, number: i64, op: &Op, accept: bool) -> OpResult {
        if let Some(earlier) = self.receipts.get(&op.op_id) {
            return OpResult {
                number,
                st: Outcome::Duplicate,
                ..earlier.clone()
            };
        }
        let row = self.rows.get(&op.key).map(|row| row.2.clone());
        let state = rebase(row, [op]).filter(|_| accept);
        let (st, why, (rev, seq)) = match state {
            Some(state) => (Outcome::Applied, None, self.touch(&op.key, state)),
            None => (Outcome::Rejected, Some(Refusal::Forbidden), (0, 0)),
        };
        let result = OpResult {
            number,
            op_id: op.op_id,
            st,
            rev,
            seq,
            opened: Vec::new(),
            why,
            fields: Vec::new(),
        };
        self.receipts.insert(op.op_id, result.clone());
        result
    }

    fn wire(&self, key: &EntityKey) -> WireRow {
        let (rev, seq, state) = &self.rows[key];
        WireRow {
            key: key.clone(),
            rev: *rev,
            seq: *seq,
            del: state.deleted,
            sv: 1,
            min_writer: 0,
            scope: Scope::Office,
            u: BTreeMap::new(),
            doc: state.doc.clone(),
        }
    }

    fn page(&self, after: i64, most: usize) -> (Vec<WireRow>, Cursor) {
        let mut rows: Vec<WireRow> = self
            .rows
            .keys()
            .map(|key| self.wire(key))
            .filter(|row| row.seq > after)
            .collect();
        rows.sort_by_key(|row| row.seq);
        let more = rows.len() > most;
        rows.truncate(most);
        let seq = if more { rows.last().unwrap().seq } else { self.head };
        (
            rows,
            Cursor {
                epoch: "e".to_owned(),
                seq,
                chain: String::new(),
                scopes: String::new(),
                read_at: None,
            },
        )
    }
}

struct Device {
    folder: tempfile::TempDir,
    key: DatabaseKey,
    signing: SigningKey,
    store: Option<Store>,
    clock: i64,
    seen_sent: HashMap<OpId, Op>,
    bases: HashMap<OpId, i64>,
}

impl Device {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = DatabaseKey::from_bytes(&[3; 48]);
        let identity = Identity {
            practice: PRACTICE,
            device: DeviceId::new(Uuid::from_u128(2)),
            kind: FileKind::Office,
            replica: ReplicaId::new(Uuid::from_u128(3)),
            replica_number: 1,
        };
        let store = Store::create(&folder.path().join("office.db"), &key, &identity, Entropy::seeded(1)).unwrap();
        Self {
            folder,
            key,
            signing: SigningKey::from_seed(&[4; 32]),
            store: Some(store),
            clock: 0,
            seen_sent: HashMap::new(),
            bases: HashMap::new(),
        }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn write(&mut self, body: impl FnOnce(&mut crate::WriteTx<'_>) -> Result<(), WriteError>) {
        self.clock += 1;
        let author = Author {
            user: UserId::new(Uuid::from_u128(5)),
            role: Role::Therapist,
            signing: &self.signing,
        };
        let action = Action {
            name: "test",
            at: Millis(self.clock),
        };
        let before = self.shown();
        match self.store().write(&author, action, body) {
            Ok(_) => {}
            Err(error) => assert!(error.is_refusal(), "{error:?}"),
        }
        for ((key, now, waiting), (_, earlier, _)) in self.shown().into_iter().zip(before) {
            assert!(
                now == earlier || waiting > 0,
                "{key:?} was changed and nothing of it waits"
            );
        }
    }

    /// Each entity as it is shown, and how many operations on it wait.
    fn shown(&self) -> Vec<(EntityKey, Option<Working>, usize)> {
        let read = |reads: &crate::ReadTx<'_>| {
            let each = (0..ENTITIES).map(key).map(|key| {
                let stored = rows::load(reads.connection(), &key)?;
                let waiting = outbox::ops_on(reads.connection(), &key)?.len();
                Ok((key, stored.map(|stored| stored.working()).transpose()?, waiting))
            });
            each.collect::<Result<_, crate::StorageError>>()
        };
        self.store().read(read).unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        let check = |_: &caseload_vault::heads::Head| caseload_vault::heads::HeadCheck::Unknown;
        let opening = crate::Opening {
            kind: FileKind::Office,
            proof: crate::KeyProof::Proven,
            head: &check,
        };
        let entropy = Entropy::seeded(self.clock.unsigned_abs() + 100);
        self.store = Some(Store::open(&self.folder.path().join("office.db"), &self.key, &opening, entropy).unwrap());
    }

    fn send(&mut self, most: usize) -> Vec<Group> {
        let groups = self.store().next_groups(most, 1 << 20).unwrap();
        for op in groups.iter().flat_map(|group| &group.ops) {
            let earlier = self.seen_sent.entry(op.op_id).or_insert_with(|| op.clone());
            assert_eq!(earlier, op, "what was sent has changed");
        }
        for group in &groups {
            let signature: Signature = serde_json::from_value(json!(group.sig)).unwrap();
            self.signing
                .public()
                .verify(&group.signing_bytes(PRACTICE).unwrap(), &signature)
                .unwrap();
        }
        groups
    }

    fn check(&mut self) {
        let bases = &mut self.bases;
        self.store
            .as_ref()
            .unwrap()
            .read(|reads| {
                for entity in 0..ENTITIES {
                    let key = key(entity);
                    let ops = outbox::ops_on(reads.connection(), &key)?;
                    for op in &ops {
                        let known = *bases.entry(op.op_id).or_insert(op.base_rev);
                        assert_eq!(op.base_rev, known, "a base has moved");
                    }
                    let is_shared = reads.base(&key)?.is_some();
                    for (position, later) in ops.iter().enumerate() {
                        for earlier in &ops[..position] {
                            // A creation only adds to what somebody else created.
                            let adds = is_shared && earlier.kind == OpKind::Create;
                            let hides = !adds && touches(earlier).overlaps(&touches(later));
                            assert!(
                                !hides || later.base_rev <= earlier.base_rev,
                                "a base beyond what was seen"
                            );
                        }
                    }
                    let stored = rows::load(reads.connection(), &key)?;
                    assert!(ops.is_empty() || stored.as_ref().is_none_or(rows::Stored::may_have_ops));
                    let shown = stored.as_ref().map(|stored| stored.working().unwrap());
                    assert_eq!(shown, rebase(reads.base(&key)?, &ops), "{key:?}");
                    if let Some(stored) = &stored {
                        let canonical = rows::canonical_text(&shown.unwrap().doc).unwrap();
                        assert_eq!(stored.text, canonical, "what is stored is canonical");
                    }
                }
                Ok::<_, crate::StorageError>(())
            })
            .unwrap();
    }
}

fn key(entity: u8) -> EntityKey {
    EntityKey::new(
        "client",
        ClientId::new(Uuid::from_u128(100 + u128::from(entity))).entity(),
    )
}

fn client(n: u8) -> Document {
    serde_json::from_value(json!({
        "salt": "0".repeat(32), "name": {"family": format!("F{n}")}, "status": {"state": "active"},
    }))
    .unwrap()
}

fn patch(unit: u8, value: u8) -> Map<String, Value> {
    let (unit, value) = match unit {
        0 => ("phone", json!({"raw": value.to_string()})),
        1 => ("email", json!({"value": value})),
        2 => ("future", if value == 0 { Value::Null } else { json!([value]) }),
        _ => (
            "status",
            json!({"state": if value.is_multiple_of(2) { "active" } else { "closed" }}),
        ),
    };
    Map::from_iter([(unit.to_owned(), value)])
}

fn run(acts: Vec<Act>) {
    let mut device = Device::new();
    let mut service = Service::default();
    let mut replicas = 10;
    for act in acts {
        perform(act, &mut device, &mut service, &mut replicas);
        device.check();
    }
    come_to_rest(&mut device, &mut service);
}

fn perform(act: Act, device: &mut Device, service: &mut Service, replicas: &mut u128) {
    match act {
        Act::Create(e) => device.write(|tx| tx.create(&key(e), client(e))),
        Act::Patch(e, unit, value) => device.write(|tx| tx.patch(&key(e), patch(unit, value))),
        Act::PatchTwo(e, value) => device.write(|tx| {
            tx.patch(&key(e), patch(0, value))?;
            tx.patch(&key((e + 1) % ENTITIES), patch(1, value))?;
            tx.patch(&key(e), patch(1, value))
        }),
        Act::Tag(e, tag) => device.write(|tx| tx.add_element(&key(e), "tags", &tag.to_string(), json!({"label": tag}))),
        Act::Untag(e, tag) => device.write(|tx| tx.remove_element(&key(e), "tags", &tag.to_string())),
        Act::Void(e) => device.write(|tx| tx.void(&key(e), "why")),
        Act::Restore(e) => device.write(|tx| tx.restore(&key(e))),
        Act::Remote(e, unit, value) => {
            if let Some((_, _, mut state)) = service.rows.get(&key(e)).cloned() {
                for (unit, value) in patch(unit, value) {
                    state.doc.set(&unit, value);
                }
                service.touch(&key(e), state);
            }
        }
        Act::Send {
            most,
            accept,
            lose_reply,
            answered,
        } => {
            let groups = device.send(usize::from(most));
            let mut results = service.push(&groups, accept);
            if !lose_reply {
                results.truncate(results.len().saturating_sub(usize::from(answered / 3)).max(1));
                device.store().acknowledge(&results, "e", Millis(device.clock)).unwrap();
            }
        }
        Act::Pull(most) => {
            let after = device
                .store()
                .sync_state()
                .unwrap()
                .cursor
                .map_or(0, |cursor| cursor.seq);
            let (rows, cursor) = service.page(after, usize::from(most));
            device.store().apply_page(&rows, &cursor).unwrap();
        }
        Act::Snapshot => {
            let rows: Vec<WireRow> = service.rows.keys().map(|key| service.wire(key)).collect();
            let cursor = service.page(0, usize::MAX).1;
            let store = device.store();
            let all = SnapshotPart {
                scope: Scope::Office,
                rows: &rows,
                is_last: true,
            };
            store.apply_snapshots(&[all], &cursor).unwrap();
            store.set_cursor(&cursor).unwrap();
        }
        Act::Reregister => {
            *replicas += 1;
            device
                .store()
                .reregister(ReplicaId::new(Uuid::from_u128(*replicas)), 2)
                .unwrap();
            service.last_mut = 0;
        }
        Act::Reopen => device.reopen(),
    }
}

fn come_to_rest(device: &mut Device, service: &mut Service) {
    loop {
        let groups = device.send(100);
        if groups.is_empty() {
            break;
        }
        let results = service.push(&groups, true);
        device.store().acknowledge(&results, "e", Millis(device.clock)).unwrap();
        device.check();
    }
    let after = device
        .store()
        .sync_state()
        .unwrap()
        .cursor
        .map_or(0, |cursor| cursor.seq);
    let (rows, cursor) = service.page(after, usize::MAX);
    device.store().apply_page(&rows, &cursor).unwrap();
    device.check();
    device
        .store()
        .read(|reads| {
            assert!(outbox::is_empty(reads.connection())?, "everything ends in an answer");
            let shown: BTreeMap<EntityKey, Working> = (0..ENTITIES)
                .filter_map(|e| reads.get(&key(e)).unwrap())
                .map(|entity| {
                    (
                        entity.key,
                        Working {
                            doc: entity.doc,
                            deleted: entity.deleted,
                        },
                    )
                })
                .collect();
            let held = service
                .rows
                .iter()
                .map(|(key, row)| (key.clone(), row.2.clone()))
                .collect();
            assert_eq!(shown, held, "both ends are equal");
            Ok::<_, crate::StorageError>(())
        })
        .unwrap();
    assert_eq!(device.store().verify_audit().unwrap().first_bad, None);
}

#[test]
fn what_is_shown_is_always_the_services_version_with_what_waits_replayed() {
    let from_environment = Config::default();
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config {
        cases: if is_set { from_environment.cases } else { 96 },
        failure_persistence: None,
        ..from_environment
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner
        .run(&acts(), |acts| {
            run(acts);
            Ok(())
        })
        .unwrap();
}
