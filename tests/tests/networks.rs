//! The clinic's network for real: the service on one machine, a front desk on another, a cable between them and nothing else.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caseload_tests::computer::{Computer, Refusal, refusal, text_at};
use caseload_tests::networks::{Machine, Networks};
use caseload_tests::processes::{Running, wait_for};
use caseload_tests::programs::built;
use serde_json::Value;

const START_LIMIT: Duration = Duration::from_secs(60);

/// Asks a server in plain HTTP and prints the first bytes of what it says, in hexadecimal.
const PLAIN_REQUEST: &str = r#"
import socket, sys
connection = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: clinic\r\nConnection: close\r\n\r\n")
print(connection.recv(64).hex())
"#;

/// A computer that stands at one end of the cable.
struct Seat<'a> {
    machine: &'a Machine,
    computer: Computer,
}

impl Seat<'_> {
    fn output(&self, arguments: &[&str]) -> Result<Output> {
        let command = self.computer.command(arguments)?;
        self.machine.inside(&command)?.output().context("run caseload")
    }

    fn run(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.output(arguments)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "caseload {}: {said}", arguments.join(" "));
        serde_json::from_slice(&output.stdout).context("read an answer")
    }

    fn refused(&self, arguments: &[&str]) -> Result<Refusal> {
        refusal(&self.output(arguments)?).with_context(|| format!("caseload {}", arguments.join(" ")))
    }
}

/// Starts a service that listens at one end of the cable, and gives what it says of itself.
fn start_service(machine: &Machine, folder: &Path) -> Result<(Running, String)> {
    let log = folder.join("service.log");
    let file = fs::File::create(&log).context("make a log")?;
    let mut command = Command::new(built("caseload")?);
    command
        .args([
            "service",
            "--demo",
            "--listen",
            &format!("{}:0", machine.address()),
            "--data",
        ])
        .arg(folder.join("service"))
        .env_remove("CASELOAD_MONGODB_URI");
    let mut command = machine.inside(&command)?;
    command.stdout(file.try_clone()?).stderr(Stdio::from(file));
    let mut process = Running::start("the service", &mut command)?;
    let said = wait_for("the service to listen", START_LIMIT, || {
        process.ensure_alive()?;
        let said = fs::read_to_string(&log).context("read the log")?;
        Ok(said.contains("listening on ").then_some(said))
    })?;
    Ok((process, said))
}

fn after(said: &str, name: &str) -> Result<String> {
    let found = said.lines().find_map(|line| line.strip_prefix(name));
    found
        .map(str::to_owned)
        .with_context(|| format!("it does not say its {name}: {said}"))
}

#[test]
fn across_a_network_a_desk_joins_by_the_pinned_authority_and_by_nothing_else() -> Result<()> {
    let networks = Networks::joined()?;
    let [clinic, front] = networks.machines();
    let folder = tempfile::tempdir()?;
    let (service, said) = start_service(clinic, folder.path())?;
    let (address, code, pin) = (
        after(&said, "listening on ")?,
        after(&said, "setup code: ")?,
        after(&said, "fingerprint: ")?,
    );
    ensure!(
        address.starts_with(&format!("https://{}:", clinic.address())),
        "{address}"
    );
    let plain = address.replace("https://", "http://");
    let wrong_pin = format!("{}{}", if pin.starts_with('A') { 'B' } else { 'A' }, &pin[1..]);

    // The therapist works on another machine than the service as well.
    let therapist = Seat {
        machine: front,
        computer: Computer::new(folder.path(), "therapist", "harbour lantern velvet quill")?,
    };
    therapist.run(&[
        "create",
        "--practice",
        "Practice",
        "--zone",
        "Asia/Seoul",
        "--name",
        "Therapist",
    ])?;
    for (why, address, pin, expected) in [
        ("another fingerprint", &address, Some(&wrong_pin), "pin_mismatch"),
        ("no fingerprint", &address, None, "pin_mismatch"),
        ("plain HTTP across the network", &plain, None, "insecure_address"),
        (
            "plain HTTP with the fingerprint",
            &plain,
            Some(&pin),
            "insecure_address",
        ),
    ] {
        let mut publish = vec!["publish", "--address", address, "--setup-code", &code];
        publish.extend(pin.into_iter().flat_map(|pin| ["--pin", pin]));
        let refusal = therapist.refused(&publish)?;
        ensure!(refusal.code == expected && !refusal.retry, "{why}: {refusal:?}");
    }
    let port = address.rsplit(':').next().unwrap_or_default();
    let answer = front
        .enter("python3")?
        .args(["-c", PLAIN_REQUEST, clinic.address(), port])
        .output()
        .context("ask in plain HTTP")?;
    ensure!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
    let heard = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    // A TLS alert, or nothing: no answer of HTTP, which begins with 48 54 54 50.
    ensure!(
        heard.is_empty() || heard.starts_with("15"),
        "it answers plain HTTP: {heard}"
    );

    therapist.run(&["publish", "--address", &address, "--setup-code", &code, "--pin", &pin])?;
    therapist.run(&["clients", "add", "--family", "Park", "--given", "Jiwoo"])?;
    therapist.run(&["sync"])?;
    let line = text_at(
        &therapist.run(&["enrol", "--role", "front-desk", "--name", "Desk"])?,
        "/code",
    )?;
    let desk = Seat {
        machine: front,
        computer: Computer::new(folder.path(), "desk", "saddle copper meadow friday")?,
    };
    desk.run(&["join", &line, "--name", "Desk"])?;
    let overview = desk.run(&["sync"])?;
    ensure!(
        overview["state"] == "up_to_date" && text_at(&overview, "/address")? == address,
        "{overview}"
    );
    ensure!(desk.run(&["clients", "list", "Park"])?["total"] == 1);

    // Without the cable the desk goes on working; with it, what waited arrives.
    front.pull_out()?;
    desk.run(&["clients", "set", "Park", "--phone", "010-1234-5678"])?;
    let refusal = desk.refused(&["sync"])?;
    ensure!(refusal.code == "offline" && refusal.retry, "{refusal:?}");
    front.plug_in()?;
    desk.run(&["sync"])?;
    therapist.run(&["sync"])?;
    let seen = therapist.run(&["clients", "show", "Park"])?;
    ensure!(text_at(&seen, "/details/phone")? == "010-1234-5678");
    service.stop()
}
