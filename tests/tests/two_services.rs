//! Two services, each a process of its own, on one MongoDB that asks for TLS and a password, under the role that the program makes.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use caseload_testkit::mongod::Mongod;
use caseload_tests::computer::{Computer, text_at};
use caseload_tests::service::Service;
use caseload_tests::switchboard::Switchboard;
use tempfile::TempDir;

const DATABASE: &str = "clinic";
const ACCOUNT: &str = "caseload";
const DAY: &str = "2031-05-14";
/// The hours that both book, one a round.
const HOURS: [&str; 2] = ["09:00", "11:00"];

#[tokio::test]
async fn of_two_bookings_of_an_hour_that_reach_two_services_at_once_exactly_one_is_placed() -> Result<()> {
    let server = Mongod::secured_replica_set().await?;
    let administration = server.uri("admin");
    tokio::task::spawn_blocking(move || make_role(&administration)).await??;
    server.create_account(ACCOUNT, DATABASE, &["caseload_service"]).await?;
    let uri = server.uri_as(ACCOUNT, DATABASE);
    tokio::task::spawn_blocking(move || Race::prepare(&uri)?.run()).await?
}

/// As an administrator does, by the command line.
fn make_role(administration: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let administrator = Computer::new(folder.path(), "administrator", "")?;
    let shown = administrator.run(&["mongodb", "role", "--database", DATABASE])?;
    ensure!(
        shown["createRole"] == "caseload_service" && shown["privileges"].as_array().is_some_and(|list| list.len() >= 8),
        "{shown}"
    );
    let sharding = administrator.run(&["mongodb", "sharding", "--database", DATABASE])?;
    ensure!(
        sharding[0] == serde_json::json!({ "shardCollection": "clinic.practices", "key": { "p": 1 } }),
        "{sharding}"
    );
    let mut make = administrator.command(&["mongodb", "role", "--create", "--database", DATABASE])?;
    let made = make.env("CASELOAD_MONGODB_ADMIN_URI", administration).output()?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

struct Race {
    _folder: TempDir,
    services: [Service; 2],
    switchboard: Switchboard,
    therapist: Computer,
    desk: Computer,
}

impl Race {
    fn prepare(uri: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut one = Service::new(&folder.path().join("one"), Some(uri))?;
        one.start()?;
        let code = one.setup_code()?;
        let mut other = Service::new(&folder.path().join("other"), Some(uri))?.with_the_key_of(&one);
        other.start()?;
        let switchboard = Switchboard::start(&one.address())?;
        let therapist = Computer::new(folder.path(), "therapist", "harbour lantern velvet quill")?;
        let desk = Computer::new(folder.path(), "desk", "saddle copper meadow friday")?;
        therapist.run(&[
            "create",
            "--practice",
            "Practice",
            "--zone",
            "Asia/Seoul",
            "--name",
            "Hana Kim",
        ])?;
        for family in ["Park", "Choi"] {
            therapist.run(&["clients", "add", "--family", family, "--given", "Jiwoo"])?;
        }
        therapist.run(&["publish", "--address", &switchboard.address(), "--setup-code", &code])?;
        therapist.run(&["sync"])?;
        let enrolment = therapist.run(&["enrol", "--role", "front-desk", "--name", "Desk"])?;
        desk.run(&["join", &text_at(&enrolment, "/code")?, "--name", "Desk"])?;
        desk.run(&["sync"])?;
        Ok(Self {
            _folder: folder,
            services: [one, other],
            switchboard,
            therapist,
            desk,
        })
    }

    fn run(mut self) -> Result<()> {
        for (round, hour) in HOURS.iter().enumerate() {
            let hers = book(&self.therapist, "Park", hour, None)?;
            let theirs = book(&self.desk, "Choi", hour, Some("Hana Kim"))?;
            self.share_at_once().with_context(|| format!("round {round}"))?;
            for computer in [&self.therapist, &self.desk] {
                computer.run(&["sync"])?;
                let mut placements = [placement(computer, &hers)?, placement(computer, &theirs)?];
                placements.sort();
                ensure!(placements == ["contested", "placed"], "round {round}: {placements:?}");
                let clashes = computer.run(&["clashes", "list"])?;
                ensure!(
                    clashes.as_array().is_some_and(|clashes| clashes.len() == round + 1),
                    "{clashes}"
                );
            }
            ensure!(
                placement(&self.therapist, &hers)? == placement(&self.desk, &hers)?,
                "both see the same one placed"
            );
        }
        self.services.iter_mut().try_for_each(Service::stop)
    }

    /// Both share: each signs in at a service of its own, both pushes wait for each other and then go at once.
    fn share_at_once(&self) -> Result<()> {
        self.switchboard.hold_pushes();
        let mut sharing = Vec::new();
        for (computer, service) in [&self.therapist, &self.desk].into_iter().zip(&self.services) {
            self.switchboard.choose(&service.address())?;
            sharing.push(begin_sync(computer)?);
            self.switchboard.wait_for_pushes(sharing.len())?;
        }
        self.switchboard.release();
        for child in sharing {
            let output = child.wait_with_output().context("wait for a sync")?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }
}

fn begin_sync(computer: &Computer) -> Result<Child> {
    let mut command = computer.command(&["sync"])?;
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().context("run caseload")
}

fn book(computer: &Computer, client: &str, hour: &str, therapist: Option<&str>) -> Result<String> {
    let found = computer.run(&["clients", "list", client])?;
    let client = text_at(&found, "/rows/0/id")?;
    let mut command = vec!["appointments", "book", &client, "--date", DAY, "--time", hour];
    command.extend(therapist.into_iter().flat_map(|name| ["--therapist", name]));
    text_at(&computer.run(&command)?, "/appointment/item/id")
}

fn placement(computer: &Computer, appointment: &str) -> Result<String> {
    text_at(
        &computer.run(&["appointments", "show", appointment])?,
        "/item/placement",
    )
}
