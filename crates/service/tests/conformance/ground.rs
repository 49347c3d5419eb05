//! The two storages, each empty and of its own for one test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use caseload_service::storage::Storage;
use caseload_service::storage::mongo::{MongoStorage, deployment};
use caseload_service::storage::sqlite::SqliteStorage;
use caseload_testkit::mongod::Mongod;
use caseload_testkit::replica_set::ReplicaSet;
use caseload_vault::SymmetricKey;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::listening::Heard;

/// An empty storage.
pub(crate) struct Ground {
    pub(crate) storage: Arc<dyn Storage>,
    place: Place,
}

enum Place {
    File(TempDir),
    Database(Database),
}

/// A database of a server, and what is heard of the storages on it.
struct Database {
    uri: String,
    /// The same for someone who may do everything.
    administration: String,
    name: String,
    heard: Heard,
}

impl Database {
    async fn connect(&self) -> Arc<dyn Storage> {
        let storage = MongoStorage::connect_overheard(&self.uri, &master(), self.heard.listener()).await;
        Arc::new(storage.unwrap())
    }
}

/// The account of the service on a secured server.
pub(crate) const ACCOUNT: &str = "service";

pub(crate) fn master() -> SymmetricKey {
    SymmetricKey::from_bytes([42; 32])
}

/// The secured server that all tests of this program share, each in a database of its own.
static SERVER: OnceCell<Mongod> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

pub(crate) async fn secured_server() -> &'static Mongod {
    let server = SERVER.get_or_try_init(Mongod::secured_replica_set).await;
    server.unwrap_or_else(|error| panic!("{error:#}"))
}

fn new_database() -> String {
    format!("conformance{}", DATABASES.fetch_add(1, Ordering::Relaxed))
}

impl Ground {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(&folder.path().join("service.db"), &master()).unwrap();
        Self {
            storage: Arc::new(storage),
            place: Place::File(folder),
        }
    }

    /// A database on a server that asks for TLS and a password, where the service's account has the service's role and no other.
    pub(crate) async fn mongodb() -> Self {
        let server = secured_server().await;
        let name = new_database();
        deployment::ensure_role(&server.uri("admin"), &name).await.unwrap();
        server
            .create_account(ACCOUNT, &name, &[deployment::SERVICE_ROLE])
            .await
            .unwrap();
        Self::in_database(server.uri_as(ACCOUNT, &name), server.uri("admin"), name).await
    }

    /// A database on a server that asks nothing.
    pub(crate) async fn mongodb_on(server: &Mongod) -> Self {
        let name = new_database();
        Self::in_database(server.uri(&name), server.uri("admin"), name).await
    }

    /// A database on a set of three.
    pub(crate) async fn mongodb_on_three(set: &ReplicaSet) -> Self {
        let name = new_database();
        Self::in_database(set.uri(&name), set.uri("admin"), name).await
    }

    async fn in_database(uri: String, administration: String, name: String) -> Self {
        let database = Database {
            heard: Heard::of(&administration, &name),
            uri,
            administration,
            name,
        };
        Self {
            storage: database.connect().await,
            place: Place::Database(database),
        }
    }

    /// What is heard of this storage and its other nodes.
    pub(crate) fn heard(&self) -> Heard {
        self.database().heard.clone()
    }

    /// The address for someone who may do everything, and the name of the database.
    pub(crate) fn administration(&self) -> (String, String) {
        let database = self.database();
        (database.administration.clone(), database.name.clone())
    }

    fn database(&self) -> &Database {
        match &self.place {
            Place::File(_) => panic!("a file is no database server"),
            Place::Database(database) => database,
        }
    }

    /// A second service node on the same practices. A file has one service alone, which is then its own second node.
    pub(crate) async fn another_node(&self) -> Arc<dyn Storage> {
        match &self.place {
            Place::File(_) => Arc::clone(&self.storage),
            Place::Database(database) => database.connect().await,
        }
    }

    /// The same practices after a restart of the service.
    pub(crate) async fn restarted(&self) -> Arc<dyn Storage> {
        self.storage.close().await;
        match &self.place {
            Place::File(folder) => Arc::new(SqliteStorage::open(&folder.path().join("service.db"), &master()).unwrap()),
            Place::Database(database) => database.connect().await,
        }
    }

    /// The folder of the files, where the storage has files of its own.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match &self.place {
            Place::File(folder) => Some(folder.path().to_owned()),
            Place::Database(_) => None,
        }
    }
}
