//! A file that was added on one computer is on the other byte for byte, though the service died while it was sent and the line was cut while it
//! was fetched; and it is nobody's who may not read its document.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use caseload_testkit::mongod::Mongod;
use caseload_tests::computer::{Computer, text_at};
use caseload_tests::relay::{Exchange, Fate, Relay};
use caseload_tests::service::Service;
use serde_json::Value;

/// Text that stands in every file and must never lie anywhere but in it.
const MARKER: &[u8] = b"canary-of-a-file-that-was-added";
const SIZE: usize = 10 << 20;

#[test]
fn with_the_embedded_storage_a_file_survives_the_service_and_reaches_its_readers_alone() -> Result<()> {
    a_file_survives_the_service(None)
}

#[tokio::test]
async fn with_mongodb_a_file_survives_the_service_and_reaches_its_readers_alone() -> Result<()> {
    let server = Mongod::replica_set().await?;
    let uri = server.uri("caseload");
    tokio::task::spawn_blocking(move || a_file_survives_the_service(Some(&uri))).await?
}

/// The parts of files that went through the relay, by their method and path.
type Seen = Arc<Mutex<Vec<String>>>;

fn a_file_survives_the_service(mongodb: Option<&str>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    let mut service = Service::new(&root.join("service"), mongodb)?.for_demonstration();
    service.start()?;
    let (address, code) = (service.address(), service.setup_code()?);
    let service = Arc::new(Mutex::new(service));
    // The service is killed when this many parts more have come; 0 leaves it alive.
    let deadly = Arc::new(AtomicUsize::new(0));
    // The line is cut when this many parts more have been given out; 0 leaves it whole.
    let cut = Arc::new(AtomicUsize::new(0));
    let seen = Seen::default();
    let relay = {
        let (service, deadly, seen) = (Arc::clone(&service), Arc::clone(&deadly), Arc::clone(&seen));
        let cut = Arc::clone(&cut);
        Relay::start(&address, move |exchange| {
            if exchange.request.starts_with(b"GET /v1/blobs/") {
                return fetching(exchange, &cut, &seen);
            }
            decide(exchange, &service, &deadly, &seen)
        })?
    };
    let (therapist, desk) = practice(root, &relay.address(), &code)?;
    let (scan, report) = (file(root, "scan.pdf", 1)?, file(root, "report.pdf", 2)?);
    let client = text_at(
        &therapist.run(&["clients", "add", "--family", "Kim", "--given", "Ada"])?,
        "/client/id",
    )?;

    let added = therapist.run(&["documents", "add", &client, path(&scan)?, "--category", "referral"])?;
    let scan_id = text_at(&added, "/0/id")?;
    ensure!(added[0]["file"] == "waiting" && added[0]["size"] == SIZE, "{added}");
    deadly.store(4, Ordering::SeqCst);
    let refusal = therapist.refused(&["sync"])?;
    ensure!(refusal.code == "offline" && refusal.retry, "{refusal:?}");
    ensure!(
        deadly.load(Ordering::SeqCst) == 0,
        "the service died while it received the file"
    );
    desk_waits(&desk, &client, &scan_id, &service, root)?;
    seen.lock().unwrap().clear();
    share(&therapist)?;
    let parts = seen.lock().unwrap().clone();
    let first = parts
        .iter()
        .find(|part| part.starts_with("PUT"))
        .context("parts were sent")?;
    ensure!(
        !first.ends_with("off=0"),
        "the upload goes on where it was cut: {parts:?}"
    );
    ensure!(
        parts.iter().filter(|part| part.starts_with("PUT")).count() < 10,
        "{parts:?}"
    );
    ensure!(therapist.run(&["documents", "list", &client])?[0]["file"] == "here");

    cut.store(4, Ordering::SeqCst);
    let refusal = desk.refused(&["sync"])?;
    ensure!(refusal.code == "offline" && refusal.retry, "{refusal:?}");
    let listed = desk.run(&["documents", "list", &client])?;
    ensure!(listed[0]["file"] != "here", "half of a file is none: {listed}");
    seen.lock().unwrap().clear();
    share(&desk)?;
    let parts = seen.lock().unwrap().clone();
    let first = parts.iter().find(|part| part.starts_with("GET"));
    ensure!(
        first.is_some_and(|first| first.ends_with(&format!("bytes={}", 3 * PART))),
        "the download goes on where it was cut: {parts:?}"
    );
    let listed = desk.run(&["documents", "list", &client])?;
    ensure!(
        listed[0]["file"] == "here" && listed[0]["category"] == "referral",
        "a recent file comes without being asked for: {listed}"
    );
    let saved = root.join("saved.pdf");
    desk.run(&["documents", "save", &scan_id, path(&saved)?])?;
    ensure!(fs::read(&saved)? == fs::read(&scan)?, "byte for byte");
    let again = desk.refused(&["documents", "save", &scan_id, path(&saved)?])?;
    ensure!(
        again.code == "invalid_fields",
        "a file that is there is not replaced: {again:?}"
    );

    let added = therapist.run(&["documents", "add", &client, path(&report)?, "--clinical"])?;
    let reported = added
        .as_array()
        .context("a list")?
        .iter()
        .find(|document| document["kind"] == "clinical");
    let report_id = text_at(reported.context("the clinical document")?, "/id")?;
    share(&therapist)?;
    share(&desk)?;
    let listed = desk.run(&["documents", "list", &client])?;
    ensure!(listed.as_array().is_some_and(|listed| listed.len() == 1), "{listed}");
    let refused = desk.refused(&["documents", "save", &report_id, path(&root.join("stolen.pdf"))?])?;
    ensure!(refused.code == "not_found", "{refused:?}");
    let refused = desk.refused(&["documents", "add", &client, path(&report)?, "--clinical"])?;
    ensure!(refused.code == "forbidden", "{refused:?}");

    let own = root.join("own.pdf");
    therapist.run(&["documents", "save", &report_id, path(&own)?])?;
    ensure!(fs::read(&own)? == fs::read(&report)?);
    service.lock().unwrap().stop()?;
    hunt(root, &[&therapist, &desk])
}

/// Bytes of one part that is fetched.
const PART: usize = 1 << 20;

/// Notes from where a part is asked for, and loses what the last one before the cut brings.
fn fetching(exchange: &Exchange, cut: &AtomicUsize, seen: &Seen) -> Fate {
    let head = String::from_utf8_lossy(&exchange.request).to_lowercase();
    let from = head.split("range: ").nth(1).and_then(|range| range.split('-').next());
    let from = from.unwrap_or_default();
    seen.lock().unwrap().push(format!("GET {} {from}", exchange.path));
    if cut.load(Ordering::SeqCst) == 0 || cut.fetch_sub(1, Ordering::SeqCst) > 1 {
        return Fate::Passed;
    }
    Fate::Lost
}

fn decide(exchange: &Exchange, service: &Mutex<Service>, deadly: &AtomicUsize, seen: &Seen) -> Fate {
    if !exchange.path.starts_with("/v1/blobs/") {
        return Fate::Passed;
    }
    let method = if exchange.request.starts_with(b"PUT") {
        "PUT"
    } else {
        "other"
    };
    seen.lock().unwrap().push(format!("{method} {}", exchange.path));
    if method != "PUT" || deadly.load(Ordering::SeqCst) == 0 {
        return Fate::Passed;
    }
    if deadly.fetch_sub(1, Ordering::SeqCst) > 1 {
        return Fate::Passed;
    }
    service.lock().unwrap().kill().unwrap();
    Fate::Lost
}

/// A practice of a therapist and a front desk, each on a computer, over one service.
fn practice(root: &Path, address: &str, code: &str) -> Result<(Computer, Computer)> {
    let therapist = Computer::new(root, "therapist", "harbour lantern velvet quill")?;
    let create = [
        "create",
        "--practice",
        "Practice",
        "--zone",
        "Europe/Berlin",
        "--name",
        "Therapist",
    ];
    therapist.run(&create)?;
    therapist.run(&["publish", "--address", address, "--setup-code", code])?;
    let line = text_at(
        &therapist.run(&["enrol", "--role", "front-desk", "--name", "Desk"])?,
        "/code",
    )?;
    let desk = Computer::new(root, "desk", "saddle copper meadow friday")?;
    desk.run(&["join", &line, "--name", "Desk"])?;
    share(&desk)?;
    share(&therapist)?;
    Ok((therapist, desk))
}

/// The row is there before its file: the desk sees the document, and its file is not to be had yet.
fn desk_waits(desk: &Computer, client: &str, id: &str, service: &Mutex<Service>, root: &Path) -> Result<()> {
    service.lock().unwrap().start()?;
    share(desk)?;
    let listed = desk.run(&["documents", "list", client])?;
    ensure!(listed[0]["id"] == *id && listed[0]["file"] == "elsewhere", "{listed}");
    let early = desk.refused(&["documents", "save", id, path(&root.join("early.pdf"))?])?;
    ensure!(early.code == "not_found", "{early:?}");
    Ok(())
}

fn share(computer: &Computer) -> Result<()> {
    let overview: Value = computer.run(&["sync"])?;
    ensure!(
        overview["state"] == "up_to_date" && overview["waiting"] == 0,
        "{overview}"
    );
    Ok(())
}

/// A file full of markers that no two places of have the same bytes.
fn file(root: &Path, name: &str, seed: u64) -> Result<PathBuf> {
    let mut bytes = Vec::with_capacity(SIZE);
    let mut state = seed;
    while bytes.len() < SIZE {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bytes.extend_from_slice(&state.to_be_bytes());
        bytes.extend_from_slice(MARKER);
    }
    bytes.truncate(SIZE);
    let path = root.join(name);
    fs::write(&path, bytes)?;
    Ok(path)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

/// No byte of a file lies in the service's folder or on a computer, except in the files that were added and saved.
fn hunt(root: &Path, computers: &[&Computer]) -> Result<()> {
    let mut places = vec![root.join("service")];
    places.extend(computers.iter().map(|computer| computer.profile().to_owned()));
    let mut looked_at = 0;
    while let Some(place) = places.pop() {
        if place.is_dir() {
            for entry in fs::read_dir(&place)? {
                places.push(entry?.path());
            }
            continue;
        }
        let bytes = fs::read(&place)?;
        looked_at += bytes.len();
        let found = bytes.windows(MARKER.len()).any(|window| window == MARKER);
        ensure!(!found, "{} holds what was in a file", place.display());
    }
    ensure!(looked_at > SIZE, "the ciphertext was among what was looked at");
    Ok(())
}
