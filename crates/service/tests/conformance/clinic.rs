//! A practice on a storage, with people whose changes are pushed.

use std::collections::BTreeMap;
use std::sync::Arc;

use caseload_domain::entities::care_relationship_id;
use caseload_domain::{
    ClientId, DeviceId, EntityId, EntityKey, GroupId, OpId, PracticeId, ReplicaId, Role, Scope, UserId,
};
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::decide::DecideLimits;
use caseload_protocol::facts::{Actor, VerifiedGroup};
use caseload_protocol::messages::{Group, Op, OpKind};
use caseload_protocol::row::Row;
use caseload_service::storage::{
    Account, Device, NewPractice, NewReplica, PageLimit, PushAnswer, PushBatch, PushError, RegisterError, Storage,
};
use caseload_vault::PublicKey;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const SALT: &str = "00112233445566778899aabbccddeeff";
pub(crate) const LIMITS: DecideLimits = DecideLimits { doc_bytes: 262_144 };
pub(crate) const EVERYTHING: PageLimit = PageLimit {
    rows: 100_000,
    bytes: u64::MAX,
};

/// The owner: a therapist who administers.
pub(crate) const OWNER: u32 = 901;
pub(crate) const THERAPIST: u32 = 902;
pub(crate) const DESK: u32 = 903;

pub(crate) fn uuid(number: u32) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

pub(crate) fn id(number: u32) -> String {
    uuid(number).to_string()
}

pub(crate) fn user(number: u32) -> UserId {
    UserId::new(uuid(number))
}

pub(crate) fn key(kind: &str, number: u32) -> EntityKey {
    EntityKey::new(kind, EntityId::new(uuid(number)))
}

pub(crate) fn clinical(client: u32) -> Scope {
    Scope::Clinical(ClientId::new(uuid(client)))
}

pub(crate) fn client_document(family: &str) -> Value {
    json!({"salt": SALT, "name": {"family": family, "given": "Seo-yeon"}, "status": {"state": "active"}})
}

pub(crate) fn booking(start_minute: i64, client: u32, therapist: u32) -> Value {
    json!({
        "salt": SALT,
        "when": {"start": start_minute * 60_000, "end": (start_minute + 50) * 60_000, "zone": "Asia/Seoul", "therapist": id(therapist)},
        "participants": {id(client): {"client": id(client)}},
        "status": {"state": "scheduled"},
    })
}

pub(crate) fn note(client: u32, author: u32, plan: &str) -> Value {
    json!({
        "salt": SALT, "subject": {"client": id(client), "author": id(author)}, "template": {"kind": "soap"},
        "body": {"sections": {"plan": plan}}, "state": {"state": "draft"},
    })
}

pub(crate) fn create(kind: &str, number: u32, document: &Value) -> Op {
    op(OpKind::Create, key(kind, number), 0, document)
}

pub(crate) fn patch(kind: &str, number: u32, base_rev: i64, units: &Value) -> Op {
    op(OpKind::Patch, key(kind, number), base_rev, units)
}

pub(crate) fn void(kind: &str, number: u32, base_rev: i64) -> Op {
    Op {
        reason: Some("entered twice".into()),
        ..op(OpKind::Void, key(kind, number), base_rev, &json!({}))
    }
}

/// A care relationship of `therapist` with `client`.
pub(crate) fn grant(client: u32, therapist: u32) -> Op {
    let document = json!({
        "salt": SALT, "parties": {"client": id(client), "therapist": id(therapist)}, "status": {"state": "active"},
    });
    op(OpKind::Create, care_key(client, therapist), 0, &document)
}

pub(crate) fn care_key(client: u32, therapist: u32) -> EntityKey {
    EntityKey::new(
        "care_relationship",
        care_relationship_id(ClientId::new(uuid(client)), user(therapist)),
    )
}

pub(crate) fn op(kind: OpKind, key: EntityKey, base_rev: i64, units: &Value) -> Op {
    Op {
        op_id: OpId::new(Uuid::nil()),
        key,
        kind,
        base_rev,
        sv: 1,
        units: units.as_object().unwrap().clone(),
        add: BTreeMap::new(),
        remove: BTreeMap::new(),
        reason: None,
        client_ts: 1_700_000_000_000,
    }
}

/// One file of one person, which numbers its changes.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(crate) replica: ReplicaId,
    pub(crate) actor: Actor,
    pub(crate) next: i64,
    /// The newest state that the file has read.
    pub(crate) known: Option<i64>,
    ops: u32,
}

impl Sender {
    pub(crate) fn new(number: u32, person: u32) -> Self {
        let role = if person == DESK {
            Role::FrontDesk
        } else {
            Role::Therapist
        };
        Self {
            replica: ReplicaId::new(uuid(number)),
            actor: Actor {
                user: user(person),
                role,
                admin: person == OWNER,
            },
            next: 1,
            known: None,
            ops: 0,
        }
    }

    /// The next group of this file.
    pub(crate) fn group(&mut self, mut ops: Vec<Op>) -> VerifiedGroup {
        for op in &mut ops {
            self.ops += 1;
            if op.op_id.uuid().is_nil() {
                op.op_id = OpId::new(Uuid::from_u64_pair(
                    self.replica.uuid().as_u64_pair().1,
                    u64::from(self.ops),
                ));
            }
        }
        let first_mut = self.next;
        self.next += i64::try_from(ops.len()).unwrap();
        VerifiedGroup {
            group: Group {
                grp: GroupId::new(Uuid::from_u64_pair(
                    self.replica.uuid().as_u64_pair().1,
                    1 << 40 | u64::from(self.ops),
                )),
                actor: self.actor.user,
                role: self.actor.role,
                origin: self.replica,
                origin_mut: first_mut,
                first_mut,
                sig: String::new(),
                detached: false,
                ops,
            },
            actor: Some(self.actor),
        }
    }

    pub(crate) fn batch(&self, groups: Vec<VerifiedGroup>) -> PushBatch {
        PushBatch {
            replica: self.replica,
            epoch: None,
            known: self.known,
            groups: groups.into(),
        }
    }
}

/// A claimed practice.
#[derive(Clone)]
pub(crate) struct Clinic {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) practice: PracticeId,
}

pub(crate) fn new_practice(number: u32) -> NewPractice {
    NewPractice {
        practice: PracticeId::new(uuid(number)),
        name: "Practice".into(),
        root_key: PublicKey([1; 32]),
        epoch: "history-1".into(),
    }
}

pub(crate) fn account(person: u32) -> Account {
    let sender = Sender::new(0, person);
    Account {
        user: user(person),
        role: sender.actor.role,
        admin: sender.actor.admin,
        public_key: PublicKey([person as u8; 32]),
    }
}

pub(crate) fn device(number: u32, users: &[u32]) -> Device {
    Device {
        device: DeviceId::new(uuid(number)),
        public_key: PublicKey([number as u8; 32]),
        name: "Reception".into(),
        users: users.iter().copied().map(user).collect(),
        revoked: false,
    }
}

impl Clinic {
    /// A practice without content.
    pub(crate) async fn on(storage: &Arc<dyn Storage>) -> Self {
        let practice = new_practice(1);
        storage
            .claim(&practice, &account(OWNER), &device(700, &[OWNER]))
            .await
            .unwrap();
        Self {
            storage: Arc::clone(storage),
            practice: practice.practice,
        }
    }

    /// The same practice seen through another node.
    pub(crate) fn through(&self, storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            practice: self.practice,
        }
    }

    /// A registered file of a person.
    pub(crate) async fn sender(&self, number: u32, person: u32) -> Sender {
        let sender = Sender::new(number, person);
        let replica = NewReplica {
            replica: sender.replica,
            kind: ReplicaKind::Office,
            device: DeviceId::new(uuid(700)),
            user: sender.actor.user,
            replaces: None,
        };
        loop {
            match self.storage.register_replica(self.practice, &replica).await {
                Err(RegisterError::Storage(error)) if error.is_retryable() => {}
                registered => {
                    registered.unwrap();
                    return sender;
                }
            }
        }
    }

    pub(crate) async fn push(&self, sender: &mut Sender, ops: Vec<Op>) -> PushAnswer {
        let group = sender.group(ops);
        self.send_until_answered(sender, &group).await
    }

    /// Sends as a device does: the same bytes until there is an answer. A busy machine may take longer than the storage waits.
    pub(crate) async fn send_until_answered(&self, sender: &Sender, group: &VerifiedGroup) -> PushAnswer {
        loop {
            match self.send(sender, vec![group.clone()]).await {
                Err(PushError::Storage(error)) if error.is_retryable() => {}
                answer => return answer.unwrap(),
            }
        }
    }

    pub(crate) async fn send(&self, sender: &Sender, groups: Vec<VerifiedGroup>) -> Result<PushAnswer, PushError> {
        self.storage.push(self.practice, sender.batch(groups), LIMITS).await
    }

    pub(crate) async fn row(&self, key: &EntityKey) -> Row {
        self.storage
            .fetch(self.practice, std::slice::from_ref(key))
            .await
            .unwrap()
            .remove(0)
    }

    pub(crate) async fn head_seq(&self) -> i64 {
        self.storage.head(self.practice).await.unwrap().unwrap().seq
    }

    /// All rows of the scopes, in the order of the feed.
    pub(crate) async fn rows(&self, scopes: &[Scope]) -> Vec<Row> {
        self.storage
            .read_since(self.practice, 0, scopes, EVERYTHING)
            .await
            .unwrap()
            .rows
    }

    pub(crate) async fn placement(&self, number: u32) -> String {
        self.row(&key("appointment", number))
            .await
            .doc
            .text("placement", "state")
            .unwrap_or("provisional")
            .to_owned()
    }
}
