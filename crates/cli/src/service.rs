//! Running the central service until it is told to end; restoring it from a copy, and making one.

use std::path::PathBuf;

use anyhow::Context;
use caseload_service::master_key::Environment;
use caseload_service::restore::{self, Restoration, Source};
use caseload_service::{MasterKeySource, Service, ServiceConfig};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::signed_in;
use crate::{Done, arguments, output};

/// Starts the service, says where it is, and ends it in order at SIGINT or SIGTERM.
pub(crate) async fn run(options: arguments::Service) -> anyhow::Result<()> {
    let master_key = master_key(options.master_key, options.demo);
    let mut config = ServiceConfig::new(options.data, options.listen, master_key);
    config.mongodb = options.mongodb;
    config.names = options.name;
    config.tombstone_days = options.tombstone_days;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let service = Service::start(config).await.context("the service did not start")?;
    if let Some(code) = service.setup_code() {
        output::line(&format!("setup code: {code}"));
    }
    if let Some(pin) = service.pin() {
        output::line(&format!(
            "fingerprint: {}",
            serde_json::to_value(pin)?.as_str().unwrap_or_default()
        ));
    }
    output::line(&format!("listening on {}", service.url()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    service.shutdown().await;
    Ok(())
}

/// Puts a copy in place and begins a new history; prints each practice with its newest number.
pub(crate) async fn restore(context: &signed_in::Context, options: arguments::ServiceRestore) -> Done {
    let restoration = Restoration {
        data: options.data,
        mongodb: options.mongodb,
        master_key: master_key(options.master_key, options.demo),
        source: options.from.map_or(Source::InPlace, Source::Copy),
        replace: options.replace,
    };
    let restored = restore::restore(&restoration).await.context("nothing was restored")?;
    let practices: Vec<_> = restored
        .iter()
        .map(|restored| {
            json!({
                "practice": restored.practice, "headSeq": restored.head_seq, "verifiedChanges": restored.verified,
                "epoch": restored.epoch,
            })
        })
        .collect();
    context.print(&practices)
}

/// Copies the data of an embedded service that may be running.
pub(crate) async fn backup(options: arguments::ServiceBackup) -> anyhow::Result<()> {
    let master_key = master_key(options.master_key, options.demo);
    restore::backup(&options.data, &master_key, &options.to)
        .await
        .context("no copy was made")?;
    output::line(&format!("copied to {}", options.to.display()));
    Ok(())
}

fn master_key(file: Option<PathBuf>, demo: bool) -> MasterKeySource {
    match (file, demo) {
        (Some(file), _) => MasterKeySource::File(file),
        (None, true) => MasterKeySource::Demonstration,
        (None, false) => MasterKeySource::Standard(Environment::of_process()),
    }
}
