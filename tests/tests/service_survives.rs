//! What the service acknowledged is there after it was killed, and what it could not keep is refused and not lost.
//!
//! The service is a process of its own and dies by SIGKILL between its acknowledgement and whatever comes next. A relay keeps the bytes of
//! the push, so that the very same ones can be sent again.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use caseload_testkit::mongod::Mongod;
use caseload_testkit::ports::free_port;
use caseload_tests::computer::{Computer, text_at};
use caseload_tests::programs::built;
use caseload_tests::relay::{Exchange, Fate, Relay, body_of, send_again};
use caseload_tests::service::Service;
use serde_json::Value;
use tempfile::TempDir;

const PUSH: &str = "/v1/sync/push";

#[test]
fn with_the_embedded_storage_a_killed_service_keeps_what_it_acknowledged() -> Result<()> {
    killed_after_its_acknowledgement(None)
}

#[tokio::test]
async fn with_mongodb_a_killed_service_keeps_what_it_acknowledged() -> Result<()> {
    let server = Mongod::replica_set().await?;
    let uri = server.uri("caseload");
    tokio::task::spawn_blocking(move || killed_after_its_acknowledgement(Some(&uri))).await?
}

#[tokio::test]
async fn while_mongodb_is_away_sharing_is_refused_as_retryable_and_nothing_is_lost() -> Result<()> {
    let mut server = Mongod::replica_set().await?;
    let uri = server.uri("caseload");
    let (clinic, records) = tokio::task::spawn_blocking(move || {
        let clinic = Clinic::publish(Some(&uri), |_, _| Fate::Passed)?;
        let records = clinic.equal_records()?;
        clinic.add_client("Away")?;
        anyhow::Ok((clinic, records))
    })
    .await??;
    server.kill()?;
    let clinic = tokio::task::spawn_blocking(move || {
        let refusal = clinic.therapist.refused(&["sync"])?;
        ensure!(refusal.code == "service_storage" && refusal.retry, "{refusal:?}");
        let found = clinic.therapist.run(&["clients", "list", "Away"])?;
        ensure!(
            found["total"] == 1 && found["rows"][0]["shared"] == false,
            "it waits here: {found}"
        );
        anyhow::Ok(clinic)
    })
    .await??;
    server.restart().await?;
    tokio::task::spawn_blocking(move || {
        clinic.share()?;
        ensure!(clinic.equal_records()? > records, "the change has come to the service");
        clinic.service.lock().unwrap().stop()
    })
    .await?
}

#[tokio::test]
async fn a_server_that_is_no_replica_set_or_is_not_there_stops_the_start_and_the_program_says_so() -> Result<()> {
    let server = Mongod::alone().await?;
    let folder = tempfile::tempdir()?;
    let said = start_fails(folder.path(), &server.uri("caseload"))?;
    ensure!(
        said.contains("no member of a replica set") && said.contains("--replSet"),
        "{said}"
    );
    drop(server);
    let nowhere = format!("mongodb://127.0.0.1:{}/caseload", free_port()?);
    let said = start_fails(folder.path(), &nowhere)?;
    ensure!(said.contains("MongoDB cannot be reached"), "{said}");
    Ok(())
}

#[test]
fn asked_to_end_the_service_shuts_down_cleanly_and_starts_again_with_the_same_code() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut service = Service::new(&folder.path().join("service"), None)?.for_demonstration();
    service.start()?;
    let code = service.setup_code()?;
    // Stopping sends SIGTERM and fails unless the program then ends with exit code 0.
    service.stop()?;
    service.start()?;
    ensure!(service.setup_code()? == code);
    service.stop()
}

/// A practice that was published through a relay.
struct Clinic {
    _folder: TempDir,
    service: Arc<Mutex<Service>>,
    therapist: Computer,
}

impl Clinic {
    fn publish(
        mongodb: Option<&str>,
        decide: impl Fn(&Exchange, &mut Service) -> Fate + Send + Sync + 'static,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut service = Service::new(&folder.path().join("service"), mongodb)?.for_demonstration();
        service.start()?;
        let (address, code) = (service.address(), service.setup_code()?);
        let service = Arc::new(Mutex::new(service));
        let decider = Arc::clone(&service);
        let relay = Relay::start(&address, move |exchange| decide(exchange, &mut decider.lock().unwrap()))?;
        let therapist = Computer::new(folder.path(), "therapist", "harbour lantern velvet quill")?;
        therapist.run(&[
            "create",
            "--practice",
            "Practice",
            "--zone",
            "Europe/Berlin",
            "--name",
            "Therapist",
        ])?;
        therapist.run(&["publish", "--address", &relay.address(), "--setup-code", &code])?;
        let clinic = Self {
            _folder: folder,
            service,
            therapist,
        };
        clinic.share()?;
        Ok(clinic)
    }

    fn add_client(&self, family: &str) -> Result<()> {
        self.therapist
            .run(&["clients", "add", "--family", family, "--given", "Ada"])
            .map(drop)
    }

    fn share(&self) -> Result<()> {
        let overview = self.therapist.run(&["sync"])?;
        ensure!(
            overview["state"] == "up_to_date" && overview["waiting"] == 0,
            "{overview}"
        );
        ensure!(overview["refused"] == serde_json::json!([]), "{overview}");
        Ok(())
    }

    /// How many records both ends hold, which are the same ones.
    fn equal_records(&self) -> Result<u64> {
        let checksum = self.therapist.run(&["checksum"])?;
        let scopes = checksum["scopes"].as_array().context("a list")?;
        for scope in scopes {
            ensure!(
                text_at(scope, "/here")? == text_at(scope, "/service")?,
                "the two ends differ: {scope}"
            );
            ensure!(scope["repaired"] == 0, "something had to be repaired: {scope}");
        }
        Ok(scopes.iter().filter_map(|scope| scope["records"].as_u64()).sum())
    }
}

/// The service dies after a push was acknowledged: once before the device knows, once right after.
fn killed_after_its_acknowledgement(mongodb: Option<&str>) -> Result<()> {
    let armed: Arc<Mutex<Option<Fate>>> = Arc::default();
    let kept: Arc<Mutex<Vec<Exchange>>> = Arc::default();
    let clinic = {
        let (armed, kept) = (Arc::clone(&armed), Arc::clone(&kept));
        Clinic::publish(mongodb, move |exchange, service| {
            let Some(fate) = armed.lock().unwrap().take_if(|_| exchange.path == PUSH) else {
                return Fate::Passed;
            };
            service.kill().unwrap();
            kept.lock().unwrap().push(exchange.clone());
            fate
        })?
    };
    for (fate, family) in [(Fate::Lost, "Lost"), (Fate::Passed, "Passed")] {
        let before = clinic.equal_records()?;
        clinic.add_client(family)?;
        *armed.lock().unwrap() = Some(fate);
        let refusal = clinic.therapist.refused(&["sync"])?;
        ensure!(refusal.code == "offline" && refusal.retry, "{fate:?}: {refusal:?}");
        let exchange = kept.lock().unwrap().pop().context("nothing was pushed")?;
        let acknowledged: Value = serde_json::from_slice(body_of(&exchange.response))?;
        let outcomes = acknowledged["results"].as_array().context("a list")?;
        ensure!(
            !outcomes.is_empty() && acknowledged["results"][0]["st"] == "applied",
            "{acknowledged}"
        );

        let address = {
            let mut service = clinic.service.lock().unwrap();
            service.start()?;
            service.address()
        };
        let again: Value = serde_json::from_slice(&send_again(&address, &exchange)?)?;
        ensure!(
            again == acknowledged,
            "the same bytes have the same answer: {again} and {acknowledged}"
        );
        clinic.share()?;
        let added = clinic.equal_records()? - before;
        // A client, the care relationship that comes with her, and nothing twice.
        ensure!(
            added == outcomes.len() as u64,
            "{added} records came of {} operations",
            outcomes.len()
        );
        let found = clinic.therapist.run(&["clients", "list", family])?;
        ensure!(found["total"] == 1 && found["rows"][0]["shared"] == true, "{found}");
    }
    clinic.service.lock().unwrap().stop()
}

/// Starts a service that has to give up, and gives what it said.
fn start_fails(folder: &Path, uri: &str) -> Result<String> {
    let output = Command::new(built("caseload")?)
        .args([
            "service",
            "--demo",
            "--listen",
            "127.0.0.1:0",
            "--mongodb",
            uri,
            "--data",
        ])
        .arg(folder.join("service"))
        .output()
        .context("run the service")?;
    ensure!(output.status.code() == Some(1), "it ended with {}", output.status);
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}
