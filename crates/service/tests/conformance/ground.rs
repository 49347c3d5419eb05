//! The two storages, each empty and of its own for one test.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use caseload_service::storage::Storage;
use caseload_service::storage::mongo::MongoStorage;
use caseload_service::storage::sqlite::SqliteStorage;
use caseload_testkit::mongod::Mongod;
use caseload_vault::SymmetricKey;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// An empty storage.
pub(crate) struct Ground {
    pub(crate) storage: Arc<dyn Storage>,
    place: Place,
}

enum Place {
    File(TempDir),
    Database(String),
}

pub(crate) fn master() -> SymmetricKey {
    SymmetricKey::from_bytes([42; 32])
}

/// The server that all tests of this program share, each in a database of its own.
static SERVER: OnceCell<Mongod> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

impl Ground {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = SqliteStorage::open(&folder.path().join("service.db"), &master()).unwrap();
        Self {
            storage: Arc::new(storage),
            place: Place::File(folder),
        }
    }

    pub(crate) async fn mongodb() -> Self {
        let server = SERVER
            .get_or_try_init(Mongod::replica_set)
            .await
            .unwrap_or_else(|error| panic!("{error:#}"));
        Self::mongodb_on(server).await
    }

    pub(crate) async fn mongodb_on(server: &Mongod) -> Self {
        let number = DATABASES.fetch_add(1, Ordering::Relaxed);
        let uri = server.uri(&format!("conformance{number}"));
        let storage = MongoStorage::connect(&uri, &master()).await.unwrap();
        Self {
            storage: Arc::new(storage),
            place: Place::Database(uri),
        }
    }

    /// A second service node on the same practices. A file has one service alone, which is then its own second node.
    pub(crate) async fn another_node(&self) -> Arc<dyn Storage> {
        match &self.place {
            Place::File(_) => Arc::clone(&self.storage),
            Place::Database(uri) => Arc::new(MongoStorage::connect(uri, &master()).await.unwrap()),
        }
    }

    /// The same practices after a restart of the service.
    pub(crate) async fn restarted(&self) -> Arc<dyn Storage> {
        self.storage.close().await;
        match &self.place {
            Place::File(folder) => Arc::new(SqliteStorage::open(&folder.path().join("service.db"), &master()).unwrap()),
            Place::Database(uri) => Arc::new(MongoStorage::connect(uri, &master()).await.unwrap()),
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
