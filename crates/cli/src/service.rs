//! Running the central service until it is told to end.

use anyhow::Context;
use caseload_service::master_key::Environment;
use caseload_service::{MasterKeySource, Service, ServiceConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments;
use crate::output;

/// Starts the service, says where it is, and ends it in order at SIGINT or SIGTERM.
pub(crate) async fn run(options: arguments::Service) -> anyhow::Result<()> {
    let master_key = match (options.master_key, options.demo) {
        (Some(file), _) => MasterKeySource::File(file),
        (None, true) => MasterKeySource::Demonstration,
        (None, false) => MasterKeySource::Standard(Environment::of_process()),
    };
    let mut config = ServiceConfig::new(options.data, options.listen, master_key);
    config.mongodb = options.mongodb;
    config.names = options.name;
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
