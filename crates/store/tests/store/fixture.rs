//! A clinic in a folder: one office and one clinical file, a person, and a service of a few lines that takes everything.

use std::cell::Cell;
use std::path::PathBuf;

use caseload_domain::time::Millis;
use caseload_domain::{ClientId, DeviceId, Document, EntityId, EntityKey, PracticeId, ReplicaId, Role, Scope, UserId};
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::{Group, OpResult, Outcome, WireRow};
use caseload_store::{
    Action, ApplyError, Author, Committed, Entity, Entropy, FileKind, Identity, KeyProof, OpenError, Opening,
    SnapshotPart, Store, WriteError, WriteTx,
};
use caseload_vault::heads::{Head, HeadCheck};
use caseload_vault::{DatabaseKey, SigningKey};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) struct Clinic {
    pub(crate) folder: TempDir,
    pub(crate) key: DatabaseKey,
    pub(crate) signing: SigningKey,
    pub(crate) user: UserId,
    clock: Cell<i64>,
    seed: Cell<u64>,
}

pub(crate) const REPLICA: ReplicaId = ReplicaId::new(Uuid::from_u128(0xA));
pub(crate) const PRACTICE: PracticeId = PracticeId::new(Uuid::from_u128(0xB));

pub(crate) fn uuid(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub(crate) fn client_id(n: u128) -> ClientId {
    ClientId::new(uuid(0xC000 + n))
}

pub(crate) fn key_of(kind: &str, n: u128) -> EntityKey {
    EntityKey::new(kind, EntityId::new(uuid(n)))
}

pub(crate) fn doc(value: Value) -> Document {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn units(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

impl Clinic {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            key: DatabaseKey::from_bytes(&[7; 48]),
            signing: SigningKey::from_seed(&[9; 32]),
            user: UserId::new(uuid(0xD)),
            clock: Cell::new(1_800_000_000_000),
            seed: Cell::new(1),
        }
    }

    pub(crate) fn clinical_kind(&self) -> FileKind {
        FileKind::Clinical(self.user)
    }

    pub(crate) fn path(&self, kind: FileKind) -> PathBuf {
        self.folder.path().join(if kind == FileKind::Office {
            "office.db"
        } else {
            "clinical.db"
        })
    }

    pub(crate) fn identity(&self, kind: FileKind) -> Identity {
        Identity {
            practice: PRACTICE,
            device: DeviceId::new(uuid(0xE)),
            kind,
            replica: REPLICA,
            replica_number: 1,
        }
    }

    pub(crate) fn entropy(&self) -> Entropy {
        self.seed.set(self.seed.get() + 1);
        Entropy::seeded(self.seed.get())
    }

    pub(crate) fn create(&self, kind: FileKind) -> Store {
        Store::create(&self.path(kind), &self.key, &self.identity(kind), self.entropy()).unwrap()
    }

    pub(crate) fn office(&self) -> Store {
        self.create(FileKind::Office)
    }

    pub(crate) fn clinical(&self) -> Store {
        self.create(self.clinical_kind())
    }

    pub(crate) fn try_open(
        &self,
        kind: FileKind,
        key: &DatabaseKey,
        proof: KeyProof,
        head: &dyn Fn(&Head) -> HeadCheck,
    ) -> Result<Store, OpenError> {
        Store::open(&self.path(kind), key, &Opening { kind, proof, head }, self.entropy())
    }

    pub(crate) fn open(&self, kind: FileKind) -> Store {
        self.try_open(kind, &self.key, KeyProof::Proven, &|_| HeadCheck::Unknown)
            .unwrap()
    }

    pub(crate) fn at(&self) -> Millis {
        self.clock.set(self.clock.get() + 1_000);
        Millis(self.clock.get())
    }

    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            user: self.user,
            role: Role::Therapist,
            signing: &self.signing,
        }
    }

    pub(crate) fn write<T>(
        &self,
        store: &Store,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, WriteError>,
    ) -> Result<Committed<T>, WriteError> {
        store.write(
            &self.author(),
            Action {
                name: "test.change",
                at: self.at(),
            },
            body,
        )
    }

    pub(crate) fn patch(&self, store: &Store, key: &EntityKey, value: Value) -> Result<Committed<()>, WriteError> {
        self.write(store, |tx| tx.patch(key, units(value)))
    }

    pub(crate) fn client(&self, store: &Store, n: u128, family: &str, given: &str) -> EntityKey {
        let key = EntityKey::new("client", client_id(n).entity());
        let document = doc(json!({"name": {"family": family, "given": given}, "status": {"state": "active"}}));
        self.write(store, |tx| tx.create(&key, document)).unwrap();
        key
    }

    pub(crate) fn draft(&self, store: &Store, n: u128, text: &str) -> EntityKey {
        let key = key_of("session_note", n);
        let document = doc(json!({
            "subject": {"client": client_id(1), "author": self.user},
            "template": {"kind": "soap"},
            "body": {"sections": {"subjective": text}},
            "state": {"state": "draft"},
        }));
        self.write(store, |tx| tx.create(&key, document)).unwrap();
        key
    }
}

pub(crate) fn get(store: &Store, key: &EntityKey) -> Option<Entity> {
    store.read(|reads| reads.get(key)).unwrap()
}

/// A page of a snapshot of the office.
pub(crate) fn snapshot(
    store: &Store,
    rows: &[WireRow],
    read_at: &Cursor,
    is_last: bool,
) -> Result<Vec<EntityKey>, ApplyError> {
    snapshot_of(store, Scope::Office, rows, read_at, is_last)
}

pub(crate) fn snapshot_of(
    store: &Store,
    scope: Scope,
    rows: &[WireRow],
    read_at: &Cursor,
    is_last: bool,
) -> Result<Vec<EntityKey>, ApplyError> {
    store.apply_snapshots(&[SnapshotPart { scope, rows, is_last }], read_at)
}

pub(crate) fn waiting(store: &Store) -> u64 {
    store.read(|reads| reads.waiting()).unwrap().count
}

pub(crate) fn cursor(seq: i64) -> Cursor {
    Cursor {
        epoch: "e1".to_owned(),
        seq,
        chain: "0".repeat(16),
        scopes: "0".repeat(16),
        read_at: None,
    }
}

pub(crate) fn result(number: i64, op: caseload_domain::OpId, seq: i64) -> OpResult {
    OpResult {
        number,
        op_id: op,
        st: Outcome::Applied,
        rev: 1,
        seq,
        opened: Vec::new(),
        why: None,
        fields: Vec::new(),
    }
}

/// Results that say the same of every operation of `groups`; sequence numbers go on from `seq`.
pub(crate) fn results(groups: &[Group], seq: i64) -> Vec<OpResult> {
    let ops = groups.iter().flat_map(|group| (group.first_mut..).zip(&group.ops));
    ops.zip(seq..)
        .map(|((number, op), seq)| result(number, op.op_id, seq))
        .collect()
}

pub(crate) fn wire(key: &EntityKey, rev: i64, seq: i64, document: Document) -> WireRow {
    let scope = caseload_domain::registry::find(&key.kind)
        .and_then(|entity| entity.scope_of(&document))
        .unwrap_or(Scope::Office);
    let u = document.units().keys().map(|unit| (unit.clone(), rev)).collect();
    WireRow {
        key: key.clone(),
        rev,
        seq,
        del: false,
        sv: 1,
        min_writer: 0,
        scope,
        u,
        doc: document,
    }
}

/// What the service would hold after taking `entity` as it is shown.
pub(crate) fn shared(store: &Store, key: &EntityKey, rev: i64, seq: i64) {
    let entity = get(store, key).unwrap();
    let groups = store.next_groups(1000, 1 << 24).unwrap();
    let answers: Vec<OpResult> = results(&groups, 0)
        .into_iter()
        .map(|result| OpResult { seq, ..result })
        .collect();
    store.acknowledge(&answers, "e1", Millis(1)).unwrap();
    store
        .apply_page(&[wire(key, rev, seq, entity.doc)], &cursor(seq))
        .unwrap();
}
