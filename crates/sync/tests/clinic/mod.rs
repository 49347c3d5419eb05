//! A clinic of real parts: the service on its embedded storage, and computers with real files and keys, over HTTP on loopback.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    missing_docs,
    reason = "test support"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use caseload_domain::entities::care_relationship_id;
use caseload_domain::time::Millis;
use caseload_domain::{ClientId, DeviceId, Document, EntityId, EntityKey, PracticeId, ReplicaId, Role, UserId};
use caseload_protocol::auth::{ClaimRequest, RegisterReplicaRequest, ReplicaKind};
use caseload_protocol::messages::WireErrorCode;
use caseload_service::{MasterKeySource, RunningService, Service, ServiceConfig};
use caseload_store::{
    Action, Author, Entropy, FileKind, Identity as FileIdentity, KeyProof, Opening, Store, WriteError, WriteTx,
};
use caseload_sync::engine::{Engine, Round, SyncError};
use caseload_sync::session::{self, Identity, Session};
use caseload_sync::transport::{BoxFuture, Exchange, Transport};
use caseload_sync::{HttpTransport, SharedTransport, TransportError};
use caseload_vault::certificates::{Chain, UserCertificate};
use caseload_vault::heads::HeadCheck;
use caseload_vault::{DatabaseKey, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// A clock that only goes on.
static NOW: AtomicI64 = AtomicI64::new(1_800_000_000_000);

pub fn now() -> Millis {
    Millis(NOW.fetch_add(1, Ordering::SeqCst))
}

pub fn new_id() -> Uuid {
    Entropy::system().uuid_v7(now())
}

fn new_replica() -> ReplicaId {
    ReplicaId::new(new_id())
}

/// One practice, its service and its owner.
pub struct Clinic {
    pub folder: TempDir,
    pub practice: PracticeId,
    pub owner: UserId,
    pub owner_key: SigningKey,
    device: DeviceId,
    device_key: DatabaseKey,
    service: Option<RunningService>,
    address: String,
}

impl Clinic {
    /// Claims a fresh service for a fresh practice.
    pub async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = start(&folder.path().join("service"), 0).await;
        let (root, owner_key, device_key) = (SigningKey::generate(), SigningKey::generate(), DatabaseKey::random());
        let (practice, owner, device) = (
            PracticeId::new(new_id()),
            UserId::new(new_id()),
            DeviceId::new(new_id()),
        );
        let certificate = UserCertificate {
            practice,
            user: owner,
            role: Role::Therapist,
            user_key: owner_key.public(),
            device,
            device_key: SigningKey::of_device(&device_key).public(),
            enrolment: None,
        };
        let request = ClaimRequest {
            setup_code: service.setup_code().unwrap().to_owned(),
            practice,
            practice_name: "Clinic".to_owned(),
            root_key: root.public().to_string(),
            chain: serde_json::to_value(Chain::of_owner(certificate, &root)).unwrap(),
            device_name: "first".to_owned(),
        };
        let address = service.url();
        let transport: SharedTransport = Arc::new(HttpTransport::new(&address, None).unwrap());
        session::claim(&transport, &request).await.unwrap();
        Self {
            folder,
            practice,
            owner,
            owner_key,
            device,
            device_key,
            service: Some(service),
            address,
        }
    }

    /// Ends the service in order and starts it again in the same place.
    pub async fn restart_service(&mut self) {
        let port = self.service.as_ref().unwrap().address().port();
        self.stop_service().await;
        self.service = Some(start(&self.folder.path().join("service"), port).await);
    }

    pub async fn stop_service(&mut self) {
        self.service.take().unwrap().shutdown().await;
    }

    pub async fn start_service(&mut self) {
        let port = self.address.rsplit(':').next().unwrap().parse().unwrap();
        self.service = Some(start(&self.folder.path().join("service"), port).await);
    }

    /// Has the service forget every void row, as it does when they are old enough.
    pub async fn let_tombstones_go(&mut self) {
        self.stop_service().await;
        let data = self.folder.path().join("service");
        let mut forgetful = ServiceConfig::new(&data, ([127, 0, 0, 1], 0).into(), MasterKeySource::Demonstration);
        forgetful.tombstone_days = 0;
        // What a service begins at its start it finishes before it ends.
        Service::start(forgetful).await.unwrap().shutdown().await;
        self.start_service().await;
    }

    /// A file of the owner, registered with the service.
    pub async fn file(&self, name: &str, kind: ReplicaKind) -> Desk {
        let path = self.folder.path().join(name);
        let replica = new_replica();
        let session = self.session(Arc::new(Flaky::new(&self.address)));
        let number = session
            .register_replica(&RegisterReplicaRequest {
                replica,
                kind,
                replaces: None,
            })
            .await
            .unwrap();
        let kind = self.file_kind(kind);
        let identity = FileIdentity {
            practice: self.practice,
            device: self.device,
            kind,
            replica,
            replica_number: number,
        };
        let store = Store::create(&path, &self.device_key, &identity, Entropy::system()).unwrap();
        self.desk(path, store)
    }

    /// Opens a file that is there, as after a restore from a copy.
    pub fn reopen(&self, name: &str, kind: ReplicaKind) -> Desk {
        let path = self.folder.path().join(name);
        let opening = Opening {
            kind: self.file_kind(kind),
            proof: KeyProof::Proven,
            head: &|_| HeadCheck::Unknown,
        };
        let store = Store::open(&path, &self.device_key, &opening, Entropy::system()).unwrap();
        self.desk(path, store)
    }

    /// A connection to a file behind its store.
    pub fn behind(&self, desk: &Desk) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = rusqlite::Connection::open_with_flags(&desk.path, flags).unwrap();
        let key = self.device_key.sqlcipher_text();
        connection.execute_batch(&format!("PRAGMA key = \"{}\"", *key)).unwrap();
        connection
    }

    fn file_kind(&self, kind: ReplicaKind) -> FileKind {
        match kind {
            ReplicaKind::Office => FileKind::Office,
            ReplicaKind::Clinical => FileKind::Clinical(self.owner),
        }
    }

    fn desk(&self, path: PathBuf, store: Store) -> Desk {
        let flaky = Arc::new(Flaky::new(&self.address));
        let store = Arc::new(store);
        let engine = Engine::new(
            Arc::new(self.session(flaky.clone())),
            store.clone(),
            "test",
            new_replica,
        );
        Desk {
            path,
            store,
            engine,
            flaky,
            user: self.owner,
            signing: self.owner_key.clone(),
        }
    }

    fn session(&self, transport: Arc<Flaky>) -> Session {
        Session::new(
            transport,
            Identity {
                practice: self.practice,
                device: self.device,
                user: self.owner,
                device_key: SigningKey::of_device(&self.device_key),
                user_key: self.owner_key.clone(),
            },
        )
    }
}

async fn start(data: &Path, port: u16) -> RunningService {
    let listen = ([127, 0, 0, 1], port).into();
    Service::start(ServiceConfig::new(data, listen, MasterKeySource::Demonstration))
        .await
        .unwrap()
}

/// One file that syncs.
pub struct Desk {
    pub path: PathBuf,
    pub store: Arc<Store>,
    pub engine: Engine,
    pub flaky: Arc<Flaky>,
    user: UserId,
    signing: SigningKey,
}

impl Desk {
    pub fn write<T>(&self, body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, WriteError>) -> T {
        self.try_write(body).unwrap()
    }

    pub fn try_write<T>(&self, body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, WriteError>) -> Result<T, WriteError> {
        let author = Author {
            user: self.user,
            role: Role::Therapist,
            signing: &self.signing,
        };
        let action = Action {
            name: "test",
            at: now(),
        };
        self.store.write(&author, action, body).map(|committed| committed.value)
    }

    /// Offers back what a restored service lost; gives the number of rows.
    pub fn offer_lost(&self) -> usize {
        let author = Author {
            user: self.user,
            role: Role::Therapist,
            signing: &self.signing,
        };
        self.store.offer_lost(&author, now()).unwrap()
    }

    pub async fn round(&self) -> Result<Round, SyncError> {
        self.engine.round(now()).await
    }

    /// Syncs, and says whether both ends are equal.
    pub async fn is_equal_to_the_service(&self) -> bool {
        self.round().await.unwrap();
        let report = self.engine.check(now()).await.unwrap();
        report.differing.is_empty() && report.rows > 0
    }

    pub fn document(&self, key: &EntityKey) -> Option<Document> {
        self.store.read(|read| read.get(key)).unwrap().map(|entity| entity.doc)
    }

    pub fn waiting(&self) -> u64 {
        self.store.read(|read| read.waiting()).unwrap().count
    }

    /// A copy of the file as a backup program would make one.
    pub fn copy_to(&self, name: &str) -> PathBuf {
        self.store.checkpoint().unwrap();
        let copy = self.path.with_file_name(name);
        std::fs::copy(&self.path, &copy).unwrap();
        copy
    }

    pub fn add_client(&self, given: &str) -> EntityKey {
        let user = self.user;
        self.write(|tx| {
            let client = tx.create_new(
                "client",
                document(json!({"name": {"family": "Kim", "given": given}, "status": {"state": "active"}})),
            )?;
            let id = ClientId::new(client.id.uuid());
            let care = EntityKey::new("care_relationship", care_relationship_id(id, user));
            let parties = json!({"parties": {"client": id, "therapist": user}, "status": {"state": "active"}});
            tx.create(&care, document(parties))?;
            Ok(client)
        })
    }

    pub fn book(&self, client: &EntityKey, minute: i64) -> EntityKey {
        let start = 1_900_000_000_000 + minute * Millis::MINUTE;
        let user = self.user;
        let client = client.id;
        self.write(|tx| {
            tx.create_new(
                "appointment",
                document(json!({
                    "when": {"start": start, "end": start + 50 * Millis::MINUTE, "zone": "Asia/Seoul", "therapist": user},
                    "participants": {client_name(client): {"client": client}},
                    "status": {"state": "scheduled"},
                })),
            )
        })
    }

    pub fn set(&self, key: &EntityKey, unit: &str, value: Value) {
        self.write(|tx| tx.patch_unit(key, unit, value));
    }

    pub fn note(&self, client: &EntityKey, plan: &str) -> EntityKey {
        let (user, client) = (self.user, client.id);
        self.write(|tx| {
            tx.create_new(
                "session_note",
                document(json!({
                    "subject": {"client": client, "author": user}, "template": {"kind": "soap"},
                    "body": {"sections": {"plan": plan}}, "state": {"state": "draft"},
                })),
            )
        })
    }
}

fn client_name(id: EntityId) -> String {
    id.to_string()
}

pub fn document(value: Value) -> Document {
    serde_json::from_value(value).unwrap()
}

/// The production transport with a network that can be cut: before a request arrives, or before its answer does.
pub struct Flaky {
    inner: HttpTransport,
    lose_answers_to: std::sync::Mutex<Option<&'static str>>,
    pub lost: AtomicUsize,
    paths: std::sync::Mutex<Vec<String>>,
    meanwhile: std::sync::Mutex<Option<Meanwhile>>,
    elsewhere: std::sync::Mutex<Option<Elsewhere>>,
}

/// What happens on the computer while a request is on its way; told its path and how many went there before.
pub type Meanwhile = Box<dyn FnMut(&str, usize) + Send>;

/// How programs of another version would have put it: changes the body of a request to a path before it leaves, or of its answer before it
/// is read, or refuses.
pub type Elsewhere = Box<dyn FnMut(&str, Way, &mut Value) -> Result<(), WireErrorCode> + Send>;

/// Which body of an exchange.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    There,
    Back,
}

impl Flaky {
    fn new(address: &str) -> Self {
        Self {
            inner: HttpTransport::new(address, None).unwrap(),
            lose_answers_to: std::sync::Mutex::new(None),
            lost: AtomicUsize::new(0),
            paths: std::sync::Mutex::new(Vec::new()),
            meanwhile: std::sync::Mutex::new(None),
            elsewhere: std::sync::Mutex::new(None),
        }
    }

    /// From now on this end or the other is of another version.
    pub fn as_of_another_version(
        &self,
        change: impl FnMut(&str, Way, &mut Value) -> Result<(), WireErrorCode> + Send + 'static,
    ) {
        *self.elsewhere.lock().unwrap() = Some(Box::new(change));
    }

    /// From now on both ends are of this version again.
    pub fn as_of_this_version(&self) {
        *self.elsewhere.lock().unwrap() = None;
    }

    fn changed(&self, path: &str, way: Way, body: Vec<u8>) -> Result<Vec<u8>, TransportError> {
        let mut elsewhere = self.elsewhere.lock().unwrap();
        let Some(change) = elsewhere.as_mut() else {
            return Ok(body);
        };
        let mut value = serde_json::from_slice(&body).unwrap();
        match change(path, way, &mut value) {
            Ok(()) => Ok(serde_json::to_vec(&value).unwrap()),
            Err(code) => Err(TransportError::Refused {
                code,
                retry_after_ms: None,
            }),
        }
    }

    /// From now on `work` is done when a request has arrived and before its answer does.
    pub fn meanwhile(&self, work: impl FnMut(&str, usize) + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some(Box::new(work));
    }

    /// How many requests went to `path` so far.
    pub fn requests_to(&self, path: &str) -> usize {
        self.paths.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    /// From now on requests to `path` arrive and their answers do not; `None` mends the network.
    pub fn lose_answers_to(&self, path: Option<&'static str>) {
        *self.lose_answers_to.lock().unwrap() = path;
    }
}

impl Transport for Flaky {
    fn exchange<'a>(&'a self, request: Exchange<'a>) -> BoxFuture<'a, Result<Vec<u8>, TransportError>> {
        let earlier = self.requests_to(request.path);
        self.paths.lock().unwrap().push(request.path.to_owned());
        let is_lost = *self.lose_answers_to.lock().unwrap() == Some(request.path);
        Box::pin(async move {
            let path = request.path;
            let mut request = request;
            if let Some(body) = request.body.take() {
                request.body = Some(self.changed(path, Way::There, body)?);
            }
            let answer = match self.inner.exchange(request).await {
                Ok(body) => self.changed(path, Way::Back, body),
                refused => refused,
            };
            if let Some(work) = self.meanwhile.lock().unwrap().as_mut() {
                work(path, earlier);
            }
            if is_lost {
                self.lost.fetch_add(1, Ordering::SeqCst);
                return answer.and(Err(TransportError::Unreachable(None)));
            }
            answer
        })
    }
}
