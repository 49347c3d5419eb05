//! A practice in memory: nothing but the decision function and what it wrote.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "shared by several test programs"
)]

use std::collections::{BTreeMap, HashMap};

use caseload_domain::entities::care_relationship_id;
use caseload_domain::{ClientId, Document, EntityId, EntityKey, GroupId, OpId, ReplicaId, Role, UserId};
use caseload_protocol::decide::{BatchRefusal, DecideLimits, Decision, OpRecord, decide_batch};
use caseload_protocol::facts::{self, Actor, Facts, PracticeHead, Receipt, VerifiedGroup};
use caseload_protocol::messages::{Group, LastOp, Op, OpKind, OpResult};
use caseload_protocol::row::Row;
use serde_json::{Value, json};
use uuid::Uuid;

pub const SALT: &str = "00112233445566778899aabbccddeeff";
pub const THERAPIST: u32 = 901;
pub const OTHER: u32 = 902;
pub const DESK: u32 = 903;

pub fn uuid(number: u32) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(number))
}

pub fn id(number: u32) -> String {
    uuid(number).to_string()
}

pub fn key(kind: &str, number: u32) -> EntityKey {
    EntityKey::new(kind, EntityId::new(uuid(number)))
}

pub fn client() -> Value {
    json!({"salt": SALT, "name": {"family": "Kim", "given": "Seo-yeon"}, "status": {"state": "active"}})
}

pub fn appointment(start_minute: i64, end_minute: i64, client: u32) -> Value {
    json!({
        "salt": SALT,
        "when": {"start": start_minute * 60_000, "end": end_minute * 60_000, "zone": "Asia/Seoul", "therapist": id(THERAPIST)},
        "participants": {id(client): {"client": id(client)}},
        "status": {"state": "scheduled"},
    })
}

pub fn note(client: u32) -> Value {
    json!({
        "salt": SALT, "subject": {"client": id(client), "author": id(THERAPIST)}, "template": {"kind": "soap"},
        "body": {"sections": {"plan": "rest"}}, "state": {"state": "draft"},
    })
}

pub fn signature(author: u32) -> Value {
    json!({"state": {"state": "signed"}, "signature": {"author": id(author), "hash": "h", "value": "v"}})
}

fn op(kind: OpKind, key: EntityKey, base_rev: i64, units: &Value) -> Op {
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
        client_ts: 1,
    }
}

pub fn create(kind: &str, number: u32, document: Value) -> Op {
    op(OpKind::Create, key(kind, number), 0, &document)
}

pub fn patch(kind: &str, number: u32, base_rev: i64, units: Value) -> Op {
    op(OpKind::Patch, key(kind, number), base_rev, &units)
}

pub fn place(number: u32, base_rev: i64) -> Op {
    op(OpKind::Place, key("appointment", number), base_rev, &json!({}))
}

pub fn override_booking(number: u32, base_rev: i64, reason: Option<&str>) -> Op {
    Op {
        reason: reason.map(str::to_owned),
        ..op(OpKind::Override, key("appointment", number), base_rev, &json!({}))
    }
}

pub fn care_key(client: u32, therapist: u32) -> EntityKey {
    let id_of = care_relationship_id(ClientId::new(uuid(client)), UserId::new(uuid(therapist)));
    EntityKey::new("care_relationship", id_of)
}

pub fn grant(client: u32, therapist: u32) -> Op {
    let document = json!({"salt": SALT, "parties": {"client": id(client), "therapist": id(therapist)}, "status": {"state": "active"}});
    op(OpKind::Create, care_key(client, therapist), 0, &document)
}

/// Moves a care relationship to `state`, by somebody who has seen whatever it is.
pub fn set_care(client: u32, therapist: u32, state: &str) -> Op {
    let units = json!({"status": {"state": state}});
    op(OpKind::Patch, care_key(client, therapist), 1_000, &units)
}

/// Rows, receipts and head of one practice.
pub struct Clinic {
    pub rows: HashMap<EntityKey, Row>,
    pub records: Vec<OpRecord>,
    /// What the sending file knows: the newest state that it has read.
    pub known: Option<i64>,
    receipts: HashMap<OpId, Vec<Receipt>>,
    last: HashMap<ReplicaId, LastOp>,
    head: PracticeHead,
    next_op: u128,
}

impl Clinic {
    pub fn new() -> Self {
        Self {
            rows: HashMap::new(),
            records: Vec::new(),
            known: None,
            receipts: HashMap::new(),
            last: HashMap::new(),
            head: PracticeHead {
                epoch: "e".into(),
                seq: 0,
                chain: [0; 32],
                client_number: 0,
                gc_floor: 0,
            },
            next_op: 1 << 64,
        }
    }

    /// Appointment 1 is placed, 2 overlaps it and is contested.
    pub fn contested() -> Self {
        let mut clinic = Self::new();
        clinic.create("appointment", 1, appointment(0, 50, 1));
        clinic.push_from(2, vec![create("appointment", 2, appointment(0, 50, 2))]);
        clinic
    }

    /// Client 1 in care of the therapist, with draft note 5.
    pub fn with_note() -> Self {
        let mut clinic = Self::new();
        clinic.push_from(1, vec![create("client", 1, client()), grant(1, THERAPIST)]);
        clinic.create("session_note", 5, note(1));
        clinic
    }

    pub fn replica(number: u32) -> ReplicaId {
        ReplicaId::new(uuid(800 + number))
    }

    pub fn create(&mut self, kind: &str, number: u32, document: Value) -> Vec<OpResult> {
        self.push_from(1, vec![create(kind, number, document)])
    }

    /// Pushes one group of the therapist, who is also the administrator.
    pub fn push_from(&mut self, replica: u32, ops: Vec<Op>) -> Vec<OpResult> {
        self.push_group(replica, THERAPIST, Role::Therapist, true, ops)
    }

    pub fn push_as(&mut self, replica: u32, user: u32, role: Role, ops: Vec<Op>) -> Vec<OpResult> {
        self.push_group(replica, user, role, false, ops)
    }

    pub fn push_group(&mut self, replica: u32, user: u32, role: Role, admin: bool, ops: Vec<Op>) -> Vec<OpResult> {
        let groups = self.groups(replica, user, role, admin, ops);
        self.decide(replica, &groups).unwrap()
    }

    pub fn groups(&mut self, replica: u32, user: u32, role: Role, admin: bool, mut ops: Vec<Op>) -> Vec<VerifiedGroup> {
        for op in &mut ops {
            if op.op_id.uuid().is_nil() {
                self.next_op += 1;
                op.op_id = OpId::new(Uuid::from_u128(self.next_op));
            }
        }
        let user = UserId::new(uuid(user));
        let first_mut = self.last.get(&Self::replica(replica)).map_or(1, |last| last.number + 1);
        self.next_op += 1;
        vec![VerifiedGroup {
            group: Group {
                grp: GroupId::new(Uuid::from_u128(self.next_op)),
                actor: user,
                role,
                origin: Self::replica(replica),
                origin_mut: first_mut,
                first_mut,
                sig: String::new(),
                detached: false,
                ops,
            },
            actor: Some(Actor { user, role, admin }),
        }]
    }

    pub fn decide(&mut self, replica: u32, groups: &[VerifiedGroup]) -> Result<Vec<OpResult>, BatchRefusal> {
        let replica = Self::replica(replica);
        let decision = decide_batch(
            self.facts(replica, groups),
            replica,
            groups,
            DecideLimits { doc_bytes: 262_144 },
        )?;
        self.write(replica, decision)
    }

    /// Reads exactly what the three rounds name, so that a decision that needs more shows here.
    fn facts(&self, replica: ReplicaId, groups: &[VerifiedGroup]) -> Facts {
        let mut facts = Facts {
            head: self.head.clone(),
            last_op: self.last.get(&replica).cloned(),
            known: self.known,
            receipts: HashMap::new(),
            rows: HashMap::new(),
            leaves: HashMap::new(),
        };
        for op in groups.iter().flat_map(|verified| &verified.group.ops) {
            if let Some(receipts) = self.receipts.get(&op.op_id) {
                facts.receipts.insert(op.op_id, receipts.clone());
            }
        }
        let written = self
            .records
            .iter()
            .filter_map(|record| Some((record.seqs?.0, &record.leaves)));
        let by_seq: HashMap<i64, _> = written
            .flat_map(|(first, leaves)| (first..).zip(leaves.iter().copied()))
            .collect();
        let read = |reads: facts::Reads, facts: &mut Facts| {
            for seq in &reads.seqs {
                facts.leaves.extend(by_seq.get(seq).map(|leaf| (*seq, *leaf)));
            }
            for row in self.rows.values() {
                if reads.keys.contains(&row.key) || row.slots().iter().any(|slot| reads.slots.contains(slot)) {
                    facts.rows.insert(row.key.clone(), row.clone());
                }
            }
        };
        read(facts::first_round(groups), &mut facts);
        read(facts::second_round(replica, groups, &facts), &mut facts);
        read(facts::third_round(groups, &facts), &mut facts);
        facts
    }

    fn write(&mut self, replica: ReplicaId, decision: Decision) -> Result<Vec<OpResult>, BatchRefusal> {
        for row in decision.rows {
            self.rows.insert(row.key.clone(), row);
        }
        for record in &decision.records {
            self.receipts.entry(record.op.op_id).or_default().push(Receipt {
                replica,
                result: record.result.clone(),
            });
        }
        self.records.extend(decision.records);
        if let Some(last) = decision.last_op {
            self.last.insert(replica, last);
        }
        self.head = decision.head;
        Ok(decision.results)
    }

    pub fn head(&self) -> PracticeHead {
        self.head.clone()
    }

    pub fn row(&self, key: &EntityKey) -> &Row {
        &self.rows[key]
    }

    pub fn doc(&self, kind: &str, number: u32) -> Document {
        self.rows[&key(kind, number)].doc.clone()
    }

    pub fn placement(&self, number: u32) -> String {
        self.doc("appointment", number)
            .text("placement", "state")
            .unwrap_or("provisional")
            .to_owned()
    }

    pub fn clash_state(&self, one: u32, other: u32) -> String {
        let id = facts::clash_id(EntityId::new(uuid(one)), EntityId::new(uuid(other)));
        self.rows[&EntityKey::new("clash", id)]
            .doc
            .text("state", "state")
            .unwrap_or_default()
            .to_owned()
    }
}
