//! Starting and ending the service.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use caseload_vault::SymmetricKey;
use caseload_vault::enrolment::TlsPin;
use hyper_util::rt::TokioTimer;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::auth::setup_code::SetupCode;
use crate::clock::Clock;
use crate::config::{ServiceConfig, StartError, Transport};
use crate::master_key::MasterKeySource;
use crate::restore;
use crate::routes;
use crate::state::App;
use crate::storage::Storage;
use crate::storage::mongo::MongoStorage;
use crate::storage::sqlite::SqliteStorage;
use crate::tls::{self, Authority};
use crate::tombstones;

/// How long a client may take to send a request's header.
const HEADER: Duration = Duration::from_secs(30);
/// How long requests in work may take to end when the service ends.
const DRAIN: Duration = Duration::from_secs(25);

/// The central service of a practice.
#[derive(Debug)]
pub struct Service;

impl Service {
    /// Opens the storage and listens. When this returns, requests are answered.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: ServiceConfig) -> Result<RunningService, StartError> {
        // One TLS provider for everything in this process; whoever came first installed the same one.
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        let encrypted = is_encrypted(&config)?;
        let lock = take_folder(&config.data)?;
        if config.master_key == MasterKeySource::Demonstration {
            tracing::warn!("demonstration: the master key lies with the data; use this with made-up data only");
        }
        let master = config.master_key.read(&config.data)?;
        let listener = listen(config.listen).map_err(StartError::Listen)?;
        let address = listener.local_addr().map_err(StartError::Listen)?;
        let security = if encrypted {
            Some(Security::prepare(&config, address)?)
        } else {
            None
        };
        let storage = open_storage(&config, &master).await?;
        let setup = SetupCode::of(&config.data);
        let setup_code = prepare_setup_code(storage.as_ref(), &setup).await?;
        let (stop, stopping) = watch::channel(false);
        let app = Arc::new(App::new(storage.clone(), config.clock.clone(), setup, stopping));
        let handle = Handle::new();
        let router = routes::router(&app);
        let pin = security.as_ref().map(|security| security.authority.pin());
        let serving = serve(listener, router, handle.clone(), security.as_ref()).map_err(StartError::Listen)?;
        let renewing = security.map(|security| tokio::spawn(security.renew(config.clock.clone(), stop.subscribe())));
        let collecting = tokio::spawn(tombstones::collect_daily(
            storage.clone(),
            config.clock.clone(),
            config.tombstone_days,
            stop.subscribe(),
        ));
        Ok(RunningService {
            address,
            pin,
            setup_code,
            stop,
            handle,
            serving,
            renewing,
            collecting,
            storage,
            _lock: lock,
        })
    }
}

/// A service that answers requests. Dropping it ends it at once; [`RunningService::shutdown`] ends it in order.
pub struct RunningService {
    address: SocketAddr,
    pin: Option<TlsPin>,
    setup_code: Option<String>,
    stop: watch::Sender<bool>,
    handle: Handle<SocketAddr>,
    serving: JoinHandle<io::Result<()>>,
    renewing: Option<JoinHandle<()>>,
    collecting: JoinHandle<()>,
    storage: Arc<dyn Storage>,
    /// Held as long as this service uses the data folder.
    _lock: File,
}

impl RunningService {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that devices use, `http://...` or `https://...`.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "{}://{}",
            if self.pin.is_some() { "https" } else { "http" },
            self.address
        )
    }

    /// What devices know the service by, when it serves TLS.
    #[must_use]
    pub const fn pin(&self) -> Option<TlsPin> {
        self.pin
    }

    /// The code with which a practice can be published, if there was none when the service started.
    #[must_use]
    pub fn setup_code(&self) -> Option<&str> {
        self.setup_code.as_deref()
    }

    /// Ends the service: no new connections, waiting devices are answered, requests in work end (within 25 seconds), the storage is closed.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.handle.graceful_shutdown(Some(DRAIN));
        match (&mut self.serving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the listener failed"),
            Err(error) => tracing::error!(%error, "serving ended unexpectedly"),
        }
        if timeout(DRAIN, &mut self.collecting).await.is_err() {
            tracing::warn!("tombstones were being collected still");
        }
        self.storage.close().await;
    }
}

impl std::fmt::Debug for RunningService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The setup code is a secret.
        f.debug_struct("RunningService")
            .field("address", &self.address)
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl Drop for RunningService {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.handle.shutdown();
        self.serving.abort();
        self.collecting.abort();
        if let Some(renewing) = &self.renewing {
            renewing.abort();
        }
    }
}

/// The whole service without a listener: the same routes over the same storage, for a program that calls them itself.
pub struct EmbeddedService {
    router: Router,
    storage: Arc<dyn Storage>,
    stop: watch::Sender<bool>,
    /// Held as long as this service uses the data folder.
    _lock: File,
}

impl EmbeddedService {
    /// Opens the storage. What concerns listening (address, encryption, names) is not used.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn open(config: &ServiceConfig) -> Result<Self, StartError> {
        let lock = take_folder(&config.data)?;
        let master = config.master_key.read(&config.data)?;
        let storage = open_storage(config, &master).await?;
        let setup = SetupCode::of(&config.data);
        prepare_setup_code(storage.as_ref(), &setup).await?;
        let (stop, stopping) = watch::channel(false);
        let app = Arc::new(App::new(storage.clone(), config.clock.clone(), setup, stopping));
        Ok(Self {
            router: routes::router(&app),
            storage,
            stop,
            _lock: lock,
        })
    }

    /// Every route, to be called as often as wanted.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// What the routes work on.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Ends it: waiting devices are answered, the storage is closed.
    pub async fn close(self) {
        self.stop.send_replace(true);
        self.storage.close().await;
    }
}

fn is_encrypted(config: &ServiceConfig) -> Result<bool, StartError> {
    match (config.transport, config.listen.ip().to_canonical().is_loopback()) {
        (Transport::Tls, _) | (Transport::Automatic, false) => Ok(true),
        (Transport::Automatic | Transport::PlainHttp, true) => Ok(false),
        (Transport::PlainHttp, false) => Err(StartError::PlainHttpBeyondLoopback),
    }
}

/// Makes the data folder and takes it for this process alone.
pub(crate) fn take_folder(data: &Path) -> Result<File, StartError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(data).map_err(StartError::DataFolder)?;
    let lock = File::create(data.join("service.lock")).map_err(StartError::DataFolder)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(StartError::InUse),
        Err(fs::TryLockError::Error(error)) => Err(StartError::DataFolder(error)),
    }
}

async fn open_storage(config: &ServiceConfig, master: &SymmetricKey) -> Result<Arc<dyn Storage>, StartError> {
    Ok(match &config.mongodb {
        Some(uri) => Arc::new(MongoStorage::connect(uri, master).await?),
        None => Arc::new(SqliteStorage::open(&config.data.join(restore::DATABASE), master)?),
    })
}

async fn prepare_setup_code(storage: &dyn Storage, setup: &SetupCode) -> Result<Option<String>, StartError> {
    if storage.any_practice().await? {
        setup.remove().map_err(StartError::DataFolder)?;
        return Ok(None);
    }
    setup.open().map(Some).map_err(StartError::DataFolder)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(
    listener: TcpListener,
    router: Router,
    handle: Handle<SocketAddr>,
    security: Option<&Security>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = bounded(axum_server::from_tcp(listener)?)
        .handle(handle)
        .acceptor(NoDelayAcceptor::new());
    Ok(match security {
        None => tokio::spawn(server.serve(service)),
        Some(security) => {
            let config = security.served.clone();
            let server = server.map(|plain| RustlsAcceptor::new(config).acceptor(plain));
            tokio::spawn(server.serve(service))
        }
    })
}

/// HTTP/1.1 only, with a limit of time for headers, so that a slow sender holds no connection.
fn bounded(server: Server<SocketAddr>) -> Server<SocketAddr> {
    let mut server = server.http1_only();
    server
        .http_builder()
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER);
    server
}

/// The authority and what is served under it.
struct Security {
    authority: Authority,
    names: Vec<String>,
    served: RustlsConfig,
}

impl Security {
    fn prepare(config: &ServiceConfig, address: SocketAddr) -> Result<Self, StartError> {
        let authority = Authority::of(&config.data)?;
        let names = tls::names(&config.names, address);
        let served = RustlsConfig::from_config(authority.server_config(&names, config.clock.now_ms())?);
        Ok(Self {
            authority,
            names,
            served,
        })
    }

    /// Makes the certificate anew every day, so that a service that runs for months never serves an expired one.
    async fn renew(self, clock: Clock, mut stopping: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(tls::RENEW_EVERY) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            match self.authority.server_config(&self.names, clock.now_ms()) {
                Ok(config) => self.served.reload_from_config(config),
                Err(error) => tracing::error!(%error, "the certificate was not renewed"),
            }
        }
    }
}
