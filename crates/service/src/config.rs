//! How a service is started, and why it may not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::clock::Clock;
use crate::master_key::{MasterKeyError, MasterKeySource};
use crate::storage::{OpenError, StorageError};
use crate::tls::TlsError;
use crate::tombstones::KEPT_DAYS;

/// How a service is started.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// The folder for everything that the service keeps; made when it is missing.
    pub data: PathBuf,
    /// Where it listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Whether connections are encrypted.
    pub transport: Transport,
    /// Further host names and addresses for the certificate, such as the one that the clinic's network gives this machine.
    pub names: Vec<String>,
    /// A MongoDB connection string; without it the service keeps its own SQLite file in `data`.
    pub mongodb: Option<String>,
    /// Where the master key comes from.
    pub master_key: MasterKeySource,
    /// For how many days void rows are remembered. A device that was away for longer compares everything it holds instead of reading on.
    pub tombstone_days: u32,
    /// The clock.
    pub clock: Clock,
}

impl ServiceConfig {
    /// A service in `data` with everything else as it usually is: SQLite, TLS unless it listens on this machine only, the machine's clock.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>, listen: SocketAddr, master_key: MasterKeySource) -> Self {
        Self {
            data: data.into(),
            listen,
            transport: Transport::Automatic,
            names: Vec::new(),
            mongodb: None,
            master_key,
            tombstone_days: KEPT_DAYS,
            clock: Clock::system(),
        }
    }
}

/// Whether connections are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP on loopback, TLS everywhere else.
    Automatic,
    /// Plain HTTP; refused where others could listen.
    PlainHttp,
    /// TLS, on loopback as well.
    Tls,
}

/// Why a service did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Plain HTTP was asked for on an address that is reached from other machines.
    #[error("plain HTTP is allowed on loopback addresses only")]
    PlainHttpBeyondLoopback,
    /// The data folder cannot be used.
    #[error("the data folder cannot be used")]
    DataFolder(#[source] io::Error),
    /// Another service works in the same data folder.
    #[error("another service is using this data folder")]
    InUse,
    /// There is no usable master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The storage did not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The storage did not answer.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// There is no certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error("the address cannot be listened on")]
    Listen(#[source] io::Error),
}
