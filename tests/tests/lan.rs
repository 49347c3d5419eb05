//! A service that other machines reach: TLS under its own authority, known by its fingerprint.
//!
//! Every address of 127.0.0.0/8 is this machine, so that one of them, named for the certificate, stands for the clinic's network.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caseload_tests::computer::Computer;
use caseload_tests::computer::text_at;
use caseload_tests::processes::{Running, wait_for};
use caseload_tests::programs::built;

/// The name by which computers reach the service.
const HOST: &str = "127.0.0.2";
/// A name that the certificate does not have.
const OTHER_HOST: &str = "127.0.0.3";
/// Reserved for documentation: nobody is there.
const ANOTHER_MACHINE: &str = "192.0.2.10";

const START_LIMIT: Duration = Duration::from_secs(60);

/// A running service and what it said when it started.
struct LanService {
    process: Running,
    port: u16,
    setup_code: String,
    pin: String,
}

impl LanService {
    fn start(folder: &Path) -> Result<Self> {
        let log = folder.join("service.log");
        let file = fs::File::create(&log).context("make a log")?;
        let mut command = Command::new(built("caseload")?);
        command
            .args(["service", "--demo", "--listen", "0.0.0.0:0", "--name", HOST, "--data"])
            .arg(folder.join("service"))
            .env_remove("CASELOAD_MONGODB_URI")
            .stdout(file.try_clone()?)
            .stderr(Stdio::from(file));
        let mut process = Running::start("the service", &mut command)?;
        let said = wait_for("the service to listen", START_LIMIT, || {
            process.ensure_alive()?;
            let said = fs::read_to_string(&log).context("read the log")?;
            Ok(said
                .lines()
                .any(|line| line.starts_with("listening on "))
                .then_some(said))
        })?;
        let after = |name: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(name));
            found
                .map(str::to_owned)
                .with_context(|| format!("it does not say its {name}: {said}"))
        };
        let url = after("listening on ")?;
        ensure!(
            url.starts_with("https://"),
            "an address that others reach is served by TLS: {url}"
        );
        Ok(Self {
            process,
            port: url
                .rsplit(':')
                .next()
                .unwrap_or_default()
                .parse()
                .context("read the port")?,
            setup_code: after("setup code: ")?,
            pin: after("fingerprint: ")?,
        })
    }

    fn address(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }
}

#[test]
fn a_practice_is_published_joined_and_shared_over_tls_that_is_known_by_its_fingerprint() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let service = LanService::start(folder.path())?;
    let therapist = Computer::new(folder.path(), "therapist", "harbour lantern velvet quill")?;
    therapist.run(&[
        "create",
        "--practice",
        "Practice",
        "--zone",
        "Asia/Seoul",
        "--name",
        "Therapist",
    ])?;

    let wrong_pin = format!(
        "{}{}",
        if service.pin.starts_with('A') { 'B' } else { 'A' },
        &service.pin[1..]
    );
    let plain = |host: &str| format!("http://{host}:{}", service.port);
    for (why, address, pin, code) in [
        (
            "another fingerprint",
            service.address(HOST),
            Some(wrong_pin.as_str()),
            "pin_mismatch",
        ),
        ("no fingerprint", service.address(HOST), None, "pin_mismatch"),
        (
            "a host that the certificate does not name",
            service.address(OTHER_HOST),
            Some(service.pin.as_str()),
            "pin_mismatch",
        ),
        (
            "plain HTTP to another machine",
            plain(ANOTHER_MACHINE),
            None,
            "insecure_address",
        ),
        (
            "plain HTTP by a host name",
            plain("clinic.example"),
            None,
            "insecure_address",
        ),
    ] {
        let mut command = vec!["publish", "--address", &address, "--setup-code", &service.setup_code];
        command.extend(pin.into_iter().flat_map(|pin| ["--pin", pin]));
        let refusal = therapist.refused(&command)?;
        ensure!(refusal.code == code && !refusal.retry, "{why}: {refusal:?}");
    }

    let address = service.address(HOST);
    let publish = [
        "publish",
        "--address",
        &address,
        "--setup-code",
        &service.setup_code,
        "--pin",
        &service.pin,
    ];
    therapist.run(&publish)?;
    therapist.run(&["clients", "add", "--family", "Park", "--given", "Jiwoo"])?;
    therapist.run(&["sync"])?;
    let line = text_at(
        &therapist.run(&["enrol", "--role", "front-desk", "--name", "Desk"])?,
        "/code",
    )?;

    // The line is all that the newcomer needs: address and fingerprint are in it.
    let desk = Computer::new(folder.path(), "desk", "saddle copper meadow friday")?;
    desk.run(&["join", &line, "--name", "Desk"])?;
    let overview = desk.run(&["sync"])?;
    ensure!(
        overview["state"] == "up_to_date" && text_at(&overview, "/address")? == address,
        "{overview}"
    );
    ensure!(desk.run(&["clients", "list", "Park"])?["total"] == 1);
    desk.run(&["clients", "set", "Park", "--phone", "010-1234-5678"])?;
    desk.run(&["sync"])?;
    therapist.run(&["sync"])?;
    let seen = therapist.run(&["clients", "show", "Park"])?;
    ensure!(text_at(&seen, "/details/phone")? == "010-1234-5678");
    service.process.stop()
}
