//! The process of the service.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::{Context, Result};
use caseload_service::{MasterKeySource, Service, ServiceConfig, master_key};
use serde::{Deserialize, Serialize};

/// What the service works with.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) data: PathBuf,
    pub(crate) master_key: PathBuf,
    pub(crate) mongodb: Option<String>,
}

/// Where it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Started {
    pub(crate) address: String,
    pub(crate) setup_code: String,
}

/// Serves on a free port of the loopback address until standard input ends.
///
/// # Errors
/// When the service does not start.
pub(crate) fn run() -> Result<()> {
    let mut lines = std::io::stdin().lock().lines();
    let first = lines
        .next()
        .context("nothing to serve")?
        .context("read what to serve")?;
    let start: Start = serde_json::from_str(&first).context("read what to serve")?;
    master_key::create(&start.master_key).context("make a master key")?;
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = ServiceConfig::new(start.data, listen, MasterKeySource::File(start.master_key));
    config.mongodb = start.mongodb;

    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let service = runtime.block_on(Service::start(config)).context("start the service")?;
    let setup_code = service
        .setup_code()
        .context("the service has a practice already")?
        .to_owned();
    let line = serde_json::to_string(&Started {
        address: service.url(),
        setup_code,
    })
    .context("write an answer")?;
    writeln!(std::io::stdout(), "{line}").context("write an answer")?;
    // The runtime's own threads serve while this one waits.
    lines.for_each(drop);
    runtime.block_on(service.shutdown());
    Ok(())
}
