//! A service in a temporary folder under a clock that tests turn, and a client to ask it with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use caseload_domain::{PracticeId, Role};
use caseload_protocol::messages::{ErrorBody, WireErrorCode};
use caseload_service::{Clock, MasterKeySource, RunningService, Service, ServiceConfig, master_key};
use caseload_vault::{SigningKey, SymmetricKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use uuid::Uuid;

use crate::member::Member;

/// 2026-11-21, in the morning.
pub(crate) const START_MS: i64 = 1_795_251_600_000;

/// A random UUID; ids mean nothing in these tests.
pub(crate) fn uuid() -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&SymmetricKey::random().expose()[..16]);
    Uuid::from_bytes(bytes)
}

/// What a service keeps between its runs.
pub(crate) struct Folders {
    root: TempDir,
    pub(crate) now_ms: Arc<AtomicI64>,
    pub(crate) mongodb: Option<String>,
}

impl Folders {
    pub(crate) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        master_key::create(&root.path().join("master-key")).unwrap();
        Self {
            root,
            now_ms: Arc::new(AtomicI64::new(START_MS)),
            mongodb: None,
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub(crate) fn root(&self) -> &Path {
        self.root.path()
    }

    pub(crate) fn config(&self) -> ServiceConfig {
        let now_ms = self.now_ms.clone();
        ServiceConfig {
            clock: Clock::from_fn(move || now_ms.load(Ordering::SeqCst)),
            mongodb: self.mongodb.clone(),
            ..ServiceConfig::new(
                self.data(),
                ([127, 0, 0, 1], 0).into(),
                MasterKeySource::File(self.root.path().join("master-key")),
            )
        }
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

/// A running service and a client.
pub(crate) struct Clinic {
    pub(crate) folders: Folders,
    pub(crate) service: RunningService,
    pub(crate) http: Http,
}

impl Clinic {
    pub(crate) async fn start() -> Self {
        Self::start_in(Folders::new()).await
    }

    pub(crate) async fn start_in(folders: Folders) -> Self {
        let service = Self::start_in_place(&folders).await;
        let http = Http::to(service.url());
        Self { folders, service, http }
    }

    /// A service on what lies in `folders`, without a client.
    pub(crate) async fn start_in_place(folders: &Folders) -> RunningService {
        Service::start(folders.config()).await.unwrap()
    }

    /// A service with a claimed practice, and its owner, signed in with both files registered.
    pub(crate) async fn with_owner() -> (Self, Owner) {
        let clinic = Self::start().await;
        let owner = Owner::publish(&clinic).await;
        (clinic, owner)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.folders.now_ms.load(Ordering::SeqCst)
    }
}

/// The owner of a practice: a therapist who holds its root key.
pub(crate) struct Owner {
    pub(crate) root: SigningKey,
    pub(crate) member: Member,
}

impl Owner {
    pub(crate) fn new() -> Self {
        let root = SigningKey::generate();
        let member = Member::owner(PracticeId::new(uuid()), &root);
        Self { root, member }
    }

    pub(crate) async fn publish(clinic: &Clinic) -> Self {
        let mut owner = Self::new();
        let code = clinic.service.setup_code().unwrap();
        clinic.http.post("/v1/auth/claim", &owner.claim(code)).await.ok();
        owner.member.sign_in(&clinic.http).await;
        owner.member.register_files(&clinic.http).await;
        owner
    }

    pub(crate) fn claim(&self, setup_code: &str) -> caseload_protocol::auth::ClaimRequest {
        caseload_protocol::auth::ClaimRequest {
            setup_code: setup_code.to_owned(),
            practice: self.member.practice,
            practice_name: "Practice at the Park".to_owned(),
            root_key: self.root.public().to_string(),
            chain: serde_json::to_value(&self.member.chain).unwrap(),
            device_name: "Front room".to_owned(),
        }
    }

    /// A colleague, enrolled, signed in and with their files registered.
    pub(crate) async fn enrol(&self, clinic: &Clinic, role: Role) -> Member {
        let (invitation, request) = self.invitation(role, clinic.now_ms());
        clinic
            .http
            .post_as(&self.member, "/v1/auth/enrolments", &request)
            .await
            .ok();
        let mut member = Member::joining(&invitation);
        clinic
            .http
            .post("/v1/auth/enrolments/redeem", &member.redeem(&invitation))
            .await
            .ok();
        member.sign_in(&clinic.http).await;
        member.register_files(&clinic.http).await;
        member
    }
}

/// Sends requests and keeps the whole answer.
#[derive(Clone)]
pub(crate) struct Http {
    url: String,
    client: reqwest::Client,
}

impl Http {
    pub(crate) fn to(url: String) -> Self {
        Self {
            url,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub(crate) async fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        self.send(self.request(path).body(serde_json::to_vec(body).unwrap()))
            .await
    }

    pub(crate) async fn post_as(&self, member: &Member, path: &str, body: &impl Serialize) -> Answer {
        self.post_with(&member.access, path, body).await
    }

    pub(crate) async fn post_with(&self, token: &str, path: &str, body: &impl Serialize) -> Answer {
        self.send(
            self.request(path)
                .bearer_auth(token)
                .body(serde_json::to_vec(body).unwrap()),
        )
        .await
    }

    pub(crate) async fn get_as(&self, member: &Member, path: &str) -> Answer {
        self.send(
            self.client
                .get(format!("{}{path}", self.url))
                .bearer_auth(&member.access),
        )
        .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    /// Any request to be completed by the test.
    pub(crate) fn method(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A POST to be completed by the test.
    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            body: response.bytes().await.unwrap().to_vec(),
        }
    }
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body of an answer that must be a success.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn ok(&self) {
        let _body: serde_json::Value = self.json();
    }

    /// The code of an answer that must be a refusal; the shape of every refusal is checked on the way.
    #[track_caller]
    pub(crate) fn code(&self) -> WireErrorCode {
        assert!(
            self.status >= 400,
            "not refused: {}",
            String::from_utf8_lossy(&self.body)
        );
        let members: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        let error = members["error"].as_object().unwrap();
        assert_eq!(members.as_object().unwrap().len(), 1);
        assert!(
            error
                .keys()
                .all(|member| ["code", "request_id", "retry_after_ms"].contains(&member.as_str()))
        );
        assert_eq!(self.headers["cache-control"], "no-store");
        let body: ErrorBody = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(body.error.request_id.len(), 16);
        body.error.code
    }
}
