//! A person on a computer, with real keys, and what they send.

use std::collections::BTreeMap;

use caseload_domain::entities::care_relationship_id;
use caseload_domain::{
    ClientId, DeviceId, EntityId, EntityKey, GroupId, OpId, PracticeId, ReplicaId, Role, Scope, UserId,
};
use caseload_protocol::auth::{
    ChallengeRequest, ChallengeResponse, MintRequest, RedeemRequest, RegisterReplicaRequest, RegisterReplicaResponse,
    ReplicaKind, SessionRequest, SessionResponse, session_bytes,
};
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::{
    Group, HelloRequest, Op, OpKind, PullRequest, PullResponse, PushRequest, PushResponse,
};
use caseload_vault::certificates::{Authorisation, Chain, Signed, UserCertificate};
use caseload_vault::enrolment::EnrolmentCode;
use caseload_vault::{Signature, SigningKey};
use serde_json::{Map, Value, json};

use crate::clinic::{Clinic, Http, Owner, START_MS, uuid};

/// A person on a computer.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) practice: PracticeId,
    pub(crate) user: UserId,
    pub(crate) device: DeviceId,
    pub(crate) role: Role,
    pub(crate) user_key: SigningKey,
    pub(crate) device_key: SigningKey,
    pub(crate) chain: Chain,
    pub(crate) office: ReplicaId,
    pub(crate) clinical: ReplicaId,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// What somebody who joins is told.
pub(crate) struct Invitation {
    pub(crate) code: EnrolmentCode,
    pub(crate) authorisation: Signed<Authorisation>,
}

impl Owner {
    /// An invitation signed by the practice root, and the request that leaves it at the service.
    pub(crate) fn invitation(&self, role: Role, now_ms: i64) -> (Invitation, MintRequest) {
        Invitation::new(
            self.member.practice,
            UserId::new(uuid()),
            role,
            now_ms + 600_000,
            &self.root,
        )
    }
}

impl Invitation {
    pub(crate) fn new(
        practice: PracticeId,
        user: UserId,
        role: Role,
        expires_ms: i64,
        signer: &SigningKey,
    ) -> (Self, MintRequest) {
        let code = EnrolmentCode::random();
        let statement = Authorisation {
            practice,
            enrolment: code.id(),
            user,
            role,
            admin: false,
            enrolment_key: code.signing_key().public(),
            expires_at_ms: expires_ms,
        };
        let authorisation = Signed::new(statement, signer);
        let request = MintRequest {
            id: code.id().to_string(),
            authorisation: serde_json::to_value(&authorisation).unwrap(),
            admin_certificate: Value::Null,
            sealed_bundle: None,
            user_name: "Robin".to_owned(),
            expires_ms,
        };
        (Self { code, authorisation }, request)
    }
}

impl Member {
    pub(crate) fn owner(practice: PracticeId, root: &SigningKey) -> Self {
        let (user_key, device_key) = (SigningKey::generate(), SigningKey::generate());
        let certificate = UserCertificate {
            practice,
            user: UserId::new(uuid()),
            role: Role::Therapist,
            user_key: user_key.public(),
            device: DeviceId::new(uuid()),
            device_key: device_key.public(),
            enrolment: None,
        };
        Self::of_chain(Chain::of_owner(certificate, root), user_key, device_key)
    }

    pub(crate) fn joining(invitation: &Invitation) -> Self {
        let (user_key, device_key) = (SigningKey::generate(), SigningKey::generate());
        let authorised = invitation.authorisation.statement();
        let certificate = UserCertificate {
            practice: authorised.practice,
            user: authorised.user,
            role: authorised.role,
            user_key: user_key.public(),
            device: DeviceId::new(uuid()),
            device_key: device_key.public(),
            enrolment: Some(invitation.code.id()),
        };
        let chain = Chain {
            admin: None,
            sponsor: None,
            authorisation: Some(invitation.authorisation.clone()),
            user: Signed::new(certificate, &invitation.code.signing_key()),
        };
        Self::of_chain(chain, user_key, device_key)
    }

    fn of_chain(chain: Chain, user_key: SigningKey, device_key: SigningKey) -> Self {
        let certificate = chain.user.statement();
        Self {
            practice: certificate.practice,
            user: certificate.user,
            device: certificate.device,
            role: certificate.role,
            user_key,
            device_key,
            chain,
            office: ReplicaId::new(uuid()),
            clinical: ReplicaId::new(uuid()),
            access: String::new(),
            refresh: String::new(),
        }
    }

    pub(crate) fn redeem(&self, invitation: &Invitation) -> RedeemRequest {
        RedeemRequest {
            practice: self.practice,
            id: invitation.code.id().to_string(),
            chain: serde_json::to_value(&self.chain).unwrap(),
            device_name: "Desk".to_owned(),
        }
    }

    pub(crate) async fn challenge(&self, http: &Http) -> String {
        let request = ChallengeRequest {
            practice: self.practice,
            device: self.device,
        };
        http.post("/v1/auth/challenge", &request)
            .await
            .json::<ChallengeResponse>()
            .nonce
    }

    pub(crate) fn session_request(&self, nonce: String) -> SessionRequest {
        let bytes = session_bytes(self.practice, self.device, self.user, &nonce);
        SessionRequest {
            practice: self.practice,
            device: self.device,
            user: self.user,
            nonce,
            device_sig: text(&self.device_key.sign(&bytes)),
            user_sig: text(&self.user_key.sign(&bytes)),
        }
    }

    pub(crate) async fn sign_in(&mut self, http: &Http) {
        let nonce = self.challenge(http).await;
        let session: SessionResponse = http.post("/v1/auth/session", &self.session_request(nonce)).await.json();
        (self.access, self.refresh) = (session.access, session.refresh);
    }

    pub(crate) async fn register_files(&self, http: &Http) {
        let mut files = vec![(self.office, ReplicaKind::Office)];
        if self.role.is_clinical() {
            files.push((self.clinical, ReplicaKind::Clinical));
        }
        for (replica, kind) in files {
            let request = RegisterReplicaRequest {
                replica,
                kind,
                replaces: None,
            };
            http.post_as(self, "/v1/devices/replicas", &request)
                .await
                .json::<RegisterReplicaResponse>();
        }
    }

    /// A signed group of this member's operations.
    pub(crate) fn group(&self, replica: ReplicaId, first_mut: i64, ops: Vec<Op>) -> Group {
        let mut group = Group {
            grp: GroupId::new(uuid()),
            actor: self.user,
            role: self.role,
            origin: replica,
            origin_mut: first_mut,
            first_mut,
            sig: String::new(),
            detached: false,
            ops,
        };
        self.sign(&mut group);
        group
    }

    pub(crate) fn sign(&self, group: &mut Group) {
        // What has no canonical form cannot be signed honestly; a forger signs something else.
        let bytes = group.signing_bytes(self.practice).unwrap_or_default();
        group.sig = text(&self.user_key.sign(&bytes));
    }

    pub(crate) fn push(&self, replica: ReplicaId, groups: Vec<Group>) -> PushRequest {
        PushRequest {
            practice: self.practice,
            replica,
            epoch: None,
            known: None,
            groups,
        }
    }

    pub(crate) fn pull(&self, replica: ReplicaId, have: &[Scope]) -> PullRequest {
        PullRequest {
            practice: self.practice,
            replica,
            cursor: None,
            have: have.to_vec(),
            max_rows: 1_000,
        }
    }

    pub(crate) fn hello(&self, replica: ReplicaId) -> HelloRequest {
        HelloRequest {
            proto: 1,
            app: "0.1.0".to_owned(),
            schema: BTreeMap::new(),
            practice: self.practice,
            device: self.device,
            replica,
            last_op: None,
            next_mut: 1,
            cursor: None,
            time_ms: START_MS,
        }
    }

    /// All that the feed gives for `have`.
    pub(crate) async fn pull_all(&self, http: &Http, replica: ReplicaId, have: &[Scope]) -> PullResponse {
        let mut request = self.pull(replica, have);
        let mut rows = Vec::new();
        loop {
            let mut answer: PullResponse = http.post_as(self, "/v1/sync/pull", &request).await.json();
            rows.append(&mut answer.rows);
            if !answer.more || have.is_empty() {
                return PullResponse { rows, ..answer };
            }
            request.cursor = Some(answer.cursor);
        }
    }

    /// A client whom this therapist treats, pushed from the office file as its operations `first_mut` and the next.
    pub(crate) async fn create_client(&self, clinic: &Clinic, first_mut: i64) -> ClientId {
        let client = ClientId::new(uuid());
        let ops = vec![new_client(client), new_care(client, self.user)];
        let request = self.push(self.office, vec![self.group(self.office, first_mut, ops)]);
        clinic
            .http
            .post_as(self, "/v1/sync/push", &request)
            .await
            .json::<PushResponse>();
        client
    }

    /// A chart with a marker in it, pushed from the clinical file.
    pub(crate) async fn create_chart(&self, clinic: &Clinic, client: ClientId, first_mut: i64) -> EntityKey {
        let ops = vec![new_chart(client)];
        let request = self.push(self.clinical, vec![self.group(self.clinical, first_mut, ops)]);
        clinic
            .http
            .post_as(self, "/v1/sync/push", &request)
            .await
            .json::<PushResponse>();
        EntityKey::new("client_chart", client.entity())
    }
}

/// Text that must never reach who may not read it.
pub(crate) const MARKER: &str = "marker-of-a-clinical-history";

pub(crate) fn text(signature: &Signature) -> String {
    serde_json::to_value(signature).unwrap().as_str().unwrap().to_owned()
}

pub(crate) fn create(key: EntityKey, units: Value) -> Op {
    let mut units: Map<String, Value> = units.as_object().unwrap().clone();
    units.insert("salt".to_owned(), uuid().simple().to_string().into());
    Op {
        op_id: OpId::new(uuid()),
        key,
        kind: OpKind::Create,
        base_rev: 0,
        sv: 1,
        units,
        add: BTreeMap::new(),
        remove: BTreeMap::new(),
        reason: None,
        client_ts: START_MS,
    }
}

pub(crate) fn new_client(client: ClientId) -> Op {
    let units =
        json!({"name": {"family": "Kim", "given": "Min-ji"}, "status": {"state": "active"}, "later": {"unknown": [1]}});
    create(EntityKey::new("client", client.entity()), units)
}

pub(crate) fn new_care(client: ClientId, therapist: UserId) -> Op {
    let units = json!({"parties": {"client": client, "therapist": therapist}, "status": {"state": "active"}});
    create(
        EntityKey::new("care_relationship", care_relationship_id(client, therapist)),
        units,
    )
}

pub(crate) fn new_chart(client: ClientId) -> Op {
    let units = json!({"subject": {"client": client}, "history": {"text": MARKER}});
    create(EntityKey::new("client_chart", client.entity()), units)
}

pub(crate) fn some_entity(kind: &str) -> EntityKey {
    EntityKey::new(kind, EntityId::derived(&["test", kind]))
}

pub(crate) fn at(cursor: &Cursor, change: impl FnOnce(&mut Cursor)) -> Option<Cursor> {
    let mut cursor = cursor.clone();
    change(&mut cursor);
    Some(cursor)
}
