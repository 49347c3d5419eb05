//! The real service inside this process: its routes are called without a network, its SQLite file lies in a folder that may be copied,
//! brought back and killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use caseload_domain::EntityKey;
use caseload_protocol::messages::ErrorBody;
use caseload_service::storage::Storage;
use caseload_service::{Clock, EmbeddedService, MasterKeySource, ServiceConfig};
use caseload_sync::TransportError;
use caseload_vault::DatabaseKey;
use rusqlite::{Connection, OpenFlags};
use tower::Service as _;

#[cfg(feature = "test-faults")]
use caseload_faults::crash::Fuse;

/// Answers larger than this are no answers.
const MOST_BYTES: usize = 64 << 20;

/// The service and its folder.
pub(crate) struct Host {
    root: PathBuf,
    folder: PathBuf,
    lives: u32,
    clock: Arc<AtomicI64>,
    running: Option<EmbeddedService>,
    #[cfg(feature = "test-faults")]
    pub(crate) fuse: Fuse,
}

impl Host {
    /// Starts the service on a copy of `template` below `root`.
    pub(crate) async fn start(root: &Path, template: Option<&Path>, clock: Arc<AtomicI64>) -> Result<Self> {
        let folder = root.join("service-0");
        match template {
            Some(template) => copy_folder(template, &folder)?,
            None => fs::create_dir_all(&folder)?,
        }
        let mut host = Self {
            root: root.to_owned(),
            #[cfg(feature = "test-faults")]
            fuse: Fuse::of(&folder),
            folder,
            lives: 0,
            clock,
            running: None,
        };
        host.open().await?;
        Ok(host)
    }

    async fn open(&mut self) -> Result<()> {
        let clock = Arc::clone(&self.clock);
        let mut config = ServiceConfig::new(&self.folder, ([127, 0, 0, 1], 0).into(), MasterKeySource::Demonstration);
        config.clock = Clock::from_fn(move || clock.load(Ordering::SeqCst));
        self.running = Some(EmbeddedService::open(&config).await.context("the service starts")?);
        Ok(())
    }

    /// The routes as they are now.
    pub(crate) fn router(&self) -> Router {
        self.running.as_ref().map(EmbeddedService::router).unwrap_or_default()
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        self.running
            .as_ref()
            .map(EmbeddedService::storage)
            .expect("the service runs except while it is replaced")
    }

    /// Where the service keeps its data.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends the service in order and starts it again.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.close().await;
        self.open().await
    }

    /// Kills the service: what goes on is what its files hold at this moment.
    #[cfg(feature = "test-faults")]
    pub(crate) async fn kill(&mut self) -> Result<()> {
        let next = self.next_folder();
        copy_folder(&self.folder, &next)?;
        self.replace(next).await
    }

    /// Puts an older copy in the place of the service's data.
    pub(crate) async fn put_back(&mut self, copy: &Path) -> Result<()> {
        let next = self.next_folder();
        copy_folder(copy, &next)?;
        self.replace(next).await
    }

    /// Ends the service in order and keeps a copy of its data under `name`.
    pub(crate) async fn copy(&mut self, name: &str) -> Result<PathBuf> {
        self.close().await;
        let copy = self.root.join(name);
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy_folder(&self.folder, &copy)?;
        self.open().await?;
        Ok(copy)
    }

    /// Ends the service in order, marks a row as one that only newer programs may change, as such a program would, and starts it again.
    pub(crate) async fn keep_for_newer_programs(&mut self, key: &EntityKey) -> Result<()> {
        self.close().await;
        let master = MasterKeySource::Demonstration.read(&self.folder)?;
        let mut bytes = [0; DatabaseKey::LEN];
        bytes[..32].copy_from_slice(master.derive("service-database/v1", b"").expose());
        bytes[32..].copy_from_slice(&master.derive("service-database-salt/v1", b"").expose()[..16]);
        let file = self.folder.join("service.db");
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let keying = DatabaseKey::from_bytes(&bytes).sqlcipher_text();
        connection.execute_batch(&format!("PRAGMA key = \"{}\";", *keying))?;
        connection.execute(
            "UPDATE entity SET min_writer = 2 WHERE t = ?1 AND id = ?2",
            (key.kind.as_str(), key.id.uuid().as_bytes()),
        )?;
        drop(connection);
        self.open().await
    }

    pub(crate) async fn close(&mut self) {
        if let Some(running) = self.running.take() {
            running.close().await;
        }
    }

    fn next_folder(&mut self) -> PathBuf {
        self.lives += 1;
        self.root.join(format!("service-{}", self.lives))
    }

    async fn replace(&mut self, next: PathBuf) -> Result<()> {
        self.close().await;
        fs::remove_dir_all(&self.folder)?;
        self.folder = next;
        #[cfg(feature = "test-faults")]
        {
            self.fuse = Fuse::of(&self.folder);
        }
        self.open().await
    }
}

/// One request as it is on the wire.
#[derive(Clone)]
pub(crate) struct Sent {
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) body: Option<Vec<u8>>,
}

/// Calls the service as HTTP would.
pub(crate) async fn call(mut router: Router, sent: &Sent) -> Result<Vec<u8>, TransportError> {
    let builder = match sent.body {
        Some(_) => Request::post(&sent.path).header(header::CONTENT_TYPE, "application/json"),
        None => Request::get(&sent.path),
    };
    let builder = match &sent.token {
        Some(token) => builder.header(header::AUTHORIZATION, format!("Bearer {token}")),
        None => builder,
    };
    let request = builder
        .body(Body::from(sent.body.clone().unwrap_or_default()))
        .map_err(|_| TransportError::Address)?;
    let Ok(answer) = router.call(request).await;
    let status = answer.status();
    let body = axum::body::to_bytes(answer.into_body(), MOST_BYTES)
        .await
        .map_err(|_| TransportError::Unreadable)?;
    if status.is_success() {
        return Ok(body.to_vec());
    }
    let refusal: ErrorBody = serde_json::from_slice(&body).map_err(|_| TransportError::Unreadable)?;
    Err(TransportError::Refused {
        code: refusal.error.code,
        retry_after_ms: refusal.error.retry_after_ms,
    })
}

/// Copies the files of a folder, except the shared memory of write-ahead logs, which a dead process does not leave in a usable state.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !name.to_string_lossy().ends_with("-shm") {
            fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}
