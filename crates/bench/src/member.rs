//! A person on a computer: real keys, real certificates, and requests from an address of its own.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caseload_domain::{DeviceId, GroupId, PracticeId, ReplicaId, Role, UserId};
use caseload_protocol::auth::{
    ChallengeRequest, ChallengeResponse, ClaimRequest, Done, MintRequest, RedeemRequest, RegisterReplicaRequest,
    RegisterReplicaResponse, ReplicaKind, SessionRequest, SessionResponse, session_bytes,
};
use caseload_protocol::messages::{Group, Op};
use caseload_vault::certificates::{Authorisation, Chain, Signed, UserCertificate};
use caseload_vault::enrolment::EnrolmentCode;
use caseload_vault::{DatabaseKey, Signature, SigningKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::{self, new_id};

const CODE_LIVES_MS: i64 = 600_000;
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to the service from one address of the loopback network, as if from another machine.
pub(crate) struct Http {
    url: String,
    client: reqwest::Client,
}

impl Http {
    pub(crate) fn from_machine(url: &str, number: u8) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .local_address(IpAddr::V4(Ipv4Addr::new(127, 0, 1, number)))
            .timeout(TIMEOUT)
            .build()
            .context("make a client")?;
        Ok(Self {
            url: url.to_owned(),
            client,
        })
    }

    /// Posts and reads the answer.
    ///
    /// # Errors
    /// When the service refuses or does not answer.
    pub(crate) async fn post<A: DeserializeOwned>(&self, token: &str, path: &str, body: &impl Serialize) -> Result<A> {
        let mut request = self
            .client
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .body(serde_json::to_vec(body).context("write a request")?);
        if !token.is_empty() {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.with_context(|| format!("ask {path}"))?;
        let status = answer.status();
        let bytes = answer.bytes().await.with_context(|| format!("read from {path}"))?;
        ensure!(
            status.is_success(),
            "{path}: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
        serde_json::from_slice(&bytes).with_context(|| format!("understand {path}"))
    }
}

/// A person and her key, the same on all her computers.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) key: SigningKey,
}

impl Person {
    pub(crate) fn new() -> Self {
        Self {
            user: UserId::new(new_id()),
            key: SigningKey::generate(),
        }
    }
}

/// Somebody signed in on a computer, with both files registered.
pub(crate) struct Member {
    pub(crate) practice: PracticeId,
    pub(crate) person: Person,
    pub(crate) office: ReplicaId,
    pub(crate) clinical: ReplicaId,
    pub(crate) http: Http,
    pub(crate) access: String,
    pub(crate) device: DeviceId,
    /// Of the office file; the computer's signing key derives from it.
    pub(crate) office_key: DatabaseKey,
    /// The numbers that the service gave to the office and the clinical file.
    pub(crate) numbers: [i64; 2],
}

impl Member {
    fn new(practice: PracticeId, person: &Person, http: Http) -> Self {
        Self {
            practice,
            person: person.clone(),
            office: ReplicaId::new(new_id()),
            clinical: ReplicaId::new(new_id()),
            http,
            access: String::new(),
            device: DeviceId::new(new_id()),
            office_key: DatabaseKey::random(),
            numbers: [0; 2],
        }
    }

    fn device_key(&self) -> SigningKey {
        SigningKey::of_device(&self.office_key)
    }

    fn certificate(&self, enrolment: Option<&EnrolmentCode>) -> UserCertificate {
        UserCertificate {
            practice: self.practice,
            user: self.person.user,
            role: Role::Therapist,
            user_key: self.person.key.public(),
            device: self.device,
            device_key: self.device_key().public(),
            enrolment: enrolment.map(EnrolmentCode::id),
        }
    }

    /// The owner, who publishes the practice.
    pub(crate) async fn publish(person: &Person, root: &SigningKey, http: Http, setup_code: String) -> Result<Self> {
        let member = Self::new(PracticeId::new(new_id()), person, http);
        let claim = ClaimRequest {
            setup_code,
            practice: member.practice,
            practice_name: "Bench".to_owned(),
            root_key: root.public().to_string(),
            chain: serde_json::to_value(Chain::of_owner(member.certificate(None), root))?,
            device_name: "first".to_owned(),
        };
        member.http.post::<Done>("", "/v1/auth/claim", &claim).await?;
        member.signed_in().await
    }

    /// Another computer, of `person`, invited by the owner.
    pub(crate) async fn join(owner: &Self, person: &Person, root: &SigningKey, http: Http) -> Result<Self> {
        let code = EnrolmentCode::random();
        let expires = clock::now().0 + CODE_LIVES_MS;
        let statement = Authorisation {
            practice: owner.practice,
            enrolment: code.id(),
            user: person.user,
            role: Role::Therapist,
            admin: false,
            enrolment_key: code.signing_key().public(),
            expires_at_ms: expires,
        };
        let authorisation = Signed::new(statement, root);
        let mint = MintRequest {
            id: code.id().to_string(),
            authorisation: serde_json::to_value(&authorisation)?,
            admin_certificate: Value::Null,
            sealed_bundle: None,
            user_name: "Simulated".to_owned(),
            expires_ms: expires,
        };
        http.post::<Done>(&owner.access, "/v1/auth/enrolments", &mint).await?;
        let member = Self::new(owner.practice, person, http);
        let chain = Chain {
            admin: None,
            sponsor: None,
            authorisation: Some(authorisation),
            user: Signed::new(member.certificate(Some(&code)), &code.signing_key()),
        };
        let redeem = RedeemRequest {
            practice: owner.practice,
            id: code.id().to_string(),
            chain: serde_json::to_value(&chain)?,
            device_name: "simulated".to_owned(),
        };
        member
            .http
            .post::<Done>("", "/v1/auth/enrolments/redeem", &redeem)
            .await?;
        member.signed_in().await
    }

    async fn signed_in(mut self) -> Result<Self> {
        let (practice, device, user) = (self.practice, self.device, self.person.user);
        let ChallengeResponse { nonce } = self
            .http
            .post("", "/v1/auth/challenge", &ChallengeRequest { practice, device })
            .await?;
        let bytes = session_bytes(practice, device, user, &nonce);
        let request = SessionRequest {
            practice,
            device,
            user,
            nonce,
            device_sig: text(&self.device_key().sign(&bytes))?,
            user_sig: text(&self.person.key.sign(&bytes))?,
        };
        let session: SessionResponse = self.http.post("", "/v1/auth/session", &request).await?;
        self.access = session.access;
        self.numbers = [
            self.register(self.office, ReplicaKind::Office).await?,
            self.register(self.clinical, ReplicaKind::Clinical).await?,
        ];
        Ok(self)
    }

    /// Makes a file known to the service; gives its number.
    ///
    /// # Errors
    /// As [`Http::post`].
    pub(crate) async fn register(&self, replica: ReplicaId, kind: ReplicaKind) -> Result<i64> {
        let request = RegisterReplicaRequest {
            replica,
            kind,
            replaces: None,
        };
        let answer: RegisterReplicaResponse = self.post("/v1/devices/replicas", &request).await?;
        Ok(answer.number)
    }

    /// Posts as this member.
    ///
    /// # Errors
    /// As [`Http::post`].
    pub(crate) async fn post<A: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<A> {
        self.http.post(&self.access, path, body).await
    }

    /// A signed group.
    ///
    /// # Errors
    /// When an operation has no canonical form.
    pub(crate) fn group(&self, replica: ReplicaId, first_mut: i64, ops: Vec<Op>) -> Result<Group> {
        let mut group = Group {
            grp: GroupId::new(new_id()),
            actor: self.person.user,
            role: Role::Therapist,
            origin: replica,
            origin_mut: first_mut,
            first_mut,
            sig: String::new(),
            detached: false,
            ops,
        };
        let bytes = group
            .signing_bytes(self.practice)
            .context("an operation has no canonical form")?;
        group.sig = text(&self.person.key.sign(&bytes))?;
        Ok(group)
    }
}

fn text(signature: &Signature) -> Result<String> {
    let value = serde_json::to_value(signature).context("write a signature")?;
    Ok(value.as_str().context("a signature is a text")?.to_owned())
}
