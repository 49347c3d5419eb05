//! What happens when a machine is lost, copied or put back from a copy, with the real programs: the service restored from an older copy, with
//! the command and without, a computer restored from a copy, a computer cloned, care that begins and ends, a clinician who is signed out
//! before her work went out. The outbox is kept in all of them, and in the end every computer and the service hold the same.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use caseload_app::dto::Unlock;
use caseload_app::{App, Env, Sharing};
use caseload_testkit::mongod::Mongod;
use caseload_tests::computer::{Computer, text_at};
use caseload_tests::programs::built;
use caseload_tests::service::Service;
use serde_json::Value;
use tempfile::TempDir;

const OWNER: &str = "Therapist";
const PASSPHRASE: &str = "harbour lantern velvet quill";

/// A therapist who owns the practice, a front desk, and their service.
struct Clinic {
    folder: TempDir,
    service: Service,
    therapist: Computer,
    desk: Computer,
}

impl Clinic {
    fn publish() -> Result<Self> {
        Self::publish_on(None, |_| Ok(()))
    }

    /// With a service on MongoDB, or after `beforehand` was done on the therapist's computer.
    fn publish_on(mongodb: Option<&str>, beforehand: impl FnOnce(&Computer) -> Result<()>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut service = Service::new(&folder.path().join("service"), mongodb)?.for_demonstration();
        service.start()?;
        let therapist = Computer::new(folder.path(), "therapist", PASSPHRASE)?;
        let desk = Computer::new(folder.path(), "desk", "copper window winter nine")?;
        therapist.run(&[
            "create",
            "--practice",
            "Practice",
            "--zone",
            "Europe/Berlin",
            "--name",
            OWNER,
        ])?;
        beforehand(&therapist)?;
        let code = service.setup_code()?;
        therapist.run(&[
            "--user",
            OWNER,
            "publish",
            "--address",
            &service.address(),
            "--setup-code",
            &code,
        ])?;
        let clinic = Self {
            folder,
            service,
            therapist,
            desk,
        };
        clinic.enrol(&clinic.desk, "front-desk", "Desk")?;
        Ok(clinic)
    }

    /// Lets a person join on a computer of their own.
    fn enrol(&self, computer: &Computer, role: &str, name: &str) -> Result<()> {
        share_as(&self.therapist, OWNER)?;
        let enrolment = self
            .therapist
            .run(&["--user", OWNER, "enrol", "--role", role, "--name", name])?;
        let line = text_at(&enrolment, "/code")?;
        computer.run(&["join", &line, "--name", name, "--device", name])?;
        share(computer)?;
        share_as(&self.therapist, OWNER)
    }

    fn operate(&self, arguments: &[&str]) -> Result<()> {
        operate(arguments, self.service.folder(), &self.folder.path().join("config"))
    }

    fn everybody_is_equal(&self) -> Result<()> {
        for computer in [&self.therapist, &self.desk] {
            share(computer)?;
        }
        for computer in [&self.therapist, &self.desk] {
            share(computer)?;
            is_equal(computer)?;
        }
        Ok(())
    }
}

fn add_client(computer: &Computer, family: &str) -> Result<String> {
    let answer = computer.run(&["clients", "add", "--family", family, "--given", "Ada", "--force"])?;
    text_at(&answer, "/client/id")
}

fn set_phone(computer: &Computer, client: &str, phone: &str) -> Result<()> {
    computer.run(&["clients", "set", client, "--phone", phone]).map(drop)
}

fn has_phone(computer: &Computer, client: &str, phone: &str) -> Result<()> {
    let shown = computer.run(&["clients", "show", client])?;
    ensure!(shown.to_string().contains(phone), "{phone} is not in {shown}");
    Ok(())
}

/// Everything goes and comes; nothing is refused and nothing waits.
fn share(computer: &Computer) -> Result<()> {
    went_well(&computer.run(&["sync"])?)
}

/// The same on a computer that several people use.
fn share_as(computer: &Computer, person: &str) -> Result<()> {
    went_well(&computer.run(&["--user", person, "sync"])?)
}

fn went_well(overview: &Value) -> Result<()> {
    ensure!(
        overview["state"] == "up_to_date" && overview["waiting"] == 0,
        "{overview}"
    );
    ensure!(overview["refused"] == serde_json::json!([]), "{overview}");
    Ok(())
}

fn is_equal(computer: &Computer) -> Result<()> {
    is_equal_for(computer, &[])
}

fn is_equal_for(computer: &Computer, person: &[&str]) -> Result<()> {
    let checksum = computer.run(&[person, &["checksum"]].concat())?;
    for scope in checksum["scopes"].as_array().context("a list")? {
        ensure!(
            text_at(scope, "/here")? == text_at(scope, "/service")?,
            "the two ends differ: {scope}"
        );
    }
    Ok(())
}

fn reviews(computer: &Computer) -> Result<usize> {
    let list = computer.run(&["reoffers", "list"])?;
    Ok(list.as_array().context("a list")?.len())
}

fn operate(arguments: &[&str], data: &Path, config: &Path) -> Result<()> {
    let output = Command::new(built("caseload")?)
        .arg(arguments[0])
        .arg("--data")
        .arg(data)
        .args(&arguments[1..])
        .arg("--demo")
        .env("XDG_CONFIG_HOME", config)
        .env_remove("CASELOAD_MONGODB_URI")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(())
}

/// How the operator puts the copy back.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Command,
    Hand,
}

fn a_service_from_an_older_copy(by: By) -> Result<()> {
    let mut clinic = Clinic::publish()?;
    let old = add_client(&clinic.therapist, "Old")?;
    clinic.everybody_is_equal()?;
    let data = clinic.service.folder().to_owned();
    let copy = clinic.folder.path().join("copy");
    clinic.operate(&["service-backup", "--to", &copy.to_string_lossy()])?;

    // Acknowledged after the copy was made: a client with her care, a note, a phone number.
    let lost = add_client(&clinic.therapist, "Lost")?;
    let note = clinic
        .therapist
        .run(&["notes", "new", &lost, "--section", "plan=Breathing twice a day"])?;
    let note = text_at(&note, "/summary/id")?;
    set_phone(&clinic.therapist, &old, "+49 30 1111111")?;
    clinic.everybody_is_equal()?;
    // Not yet sent when it happens, on top of what will be lost.
    set_phone(&clinic.desk, &lost, "+49 30 2222222")?;

    clinic.service.stop()?;
    match by {
        By::Command => clinic.operate(&["service-restore", "--from", &copy.to_string_lossy(), "--replace"])?,
        By::Hand => {
            for name in ["service.db-wal", "service.db-shm"] {
                let _not_there = fs::remove_file(data.join(name));
            }
            fs::copy(copy.join("service.db"), data.join("service.db"))?;
        }
    }
    clinic.service.start()?;

    let overview = clinic.desk.run(&["sync"])?;
    ensure!(
        overview["waiting"].as_u64() > Some(0),
        "what waited waits on: {overview}"
    );
    ensure!(overview["refused"] == serde_json::json!([]), "{overview}");
    clinic.therapist.run(&["sync"])?;
    ensure!(
        reviews(&clinic.therapist)? >= 3,
        "the client, her care and the phone number"
    );
    ensure!(
        clinic.desk.refused(&["reoffers", "accept-all"])?.code == "forbidden",
        "the desk sees and does not settle"
    );
    clinic.therapist.run(&["reoffers", "accept-all"])?;
    // The care is back with the first round, the note's review arrives with the second.
    clinic.therapist.run(&["sync"])?;
    clinic.therapist.run(&["sync"])?;
    ensure!(reviews(&clinic.therapist)? == 1, "the note");
    clinic.therapist.run(&["reoffers", "accept-all"])?;
    clinic.everybody_is_equal()?;

    let shown = clinic.therapist.run(&["notes", "show", &note])?;
    ensure!(shown.to_string().contains("Breathing twice a day"), "{shown}");
    for computer in [&clinic.therapist, &clinic.desk] {
        has_phone(computer, &old, "1111111")?;
        has_phone(computer, &lost, "2222222")?;
        ensure!(reviews(computer)? == 0);
        ensure!(computer.run(&["conflicts", "list"])? == serde_json::json!([]));
    }
    clinic.service.stop()
}

#[test]
fn a_service_restored_from_an_older_copy_gets_back_what_the_copy_lacks() -> Result<()> {
    a_service_from_an_older_copy(By::Command)
}

#[test]
fn a_copy_of_the_service_put_back_by_hand_is_noticed_and_completed_all_the_same() -> Result<()> {
    a_service_from_an_older_copy(By::Hand)
}

#[test]
fn a_computer_restored_from_a_copy_gets_everything_back_and_keeps_what_waited_in_the_copy() -> Result<()> {
    let clinic = Clinic::publish()?;
    let client = add_client(&clinic.desk, "Kim")?;
    share(&clinic.desk)?;
    let copy = clinic.folder.path().join("desk-copy");
    let waited = add_client(&clinic.desk, "Waited")?;
    copy_folder(clinic.desk.profile(), &copy)?;
    share(&clinic.desk)?;
    set_phone(&clinic.desk, &client, "+49 30 3333333")?;
    share(&clinic.desk)?;

    fs::remove_dir_all(clinic.desk.profile())?;
    copy_folder(&copy, clinic.desk.profile())?;
    set_phone(&clinic.desk, &waited, "+49 30 4444444")?;
    let mut clinic = clinic;
    clinic.everybody_is_equal()?;
    for computer in [&clinic.therapist, &clinic.desk] {
        has_phone(computer, &client, "3333333")?;
        has_phone(computer, &waited, "4444444")?;
        let listed = computer.run(&["clients", "list"])?;
        ensure!(listed["total"] == 2, "nothing was made twice: {listed}");
    }
    clinic.service.stop()
}

#[test]
fn a_cloned_computer_and_its_original_both_go_on_and_lose_nothing() -> Result<()> {
    let mut clinic = Clinic::publish()?;
    let client = add_client(&clinic.desk, "Kim")?;
    clinic.everybody_is_equal()?;
    let clone = Computer::new(clinic.folder.path(), "clone", clinic.desk.passphrase())?;
    copy_folder(clinic.desk.profile(), clone.profile())?;
    for (computer, family) in [(&clinic.desk, "Original"), (&clone, "Clone")] {
        add_client(computer, family)?;
    }
    set_phone(&clone, &client, "+49 30 5555555")?;
    for computer in [&clinic.desk, &clone, &clinic.desk] {
        share(computer)?;
    }
    add_client(&clinic.desk, "Again")?;
    add_client(&clone, "And again")?;
    for computer in [&clone, &clinic.desk, &clone] {
        share(computer)?;
    }
    is_equal(&clone)?;
    clinic.everybody_is_equal()?;
    for computer in [&clinic.therapist, &clinic.desk, &clone] {
        let listed = computer.run(&["clients", "list"])?;
        ensure!(listed["total"] == 5, "{listed}");
        has_phone(computer, &client, "5555555")?;
    }
    clinic.service.stop()
}

#[tokio::test]
async fn on_mongodb_a_history_begun_anew_is_noticed_by_every_computer_and_what_waited_goes_out() -> Result<()> {
    let server = Mongod::replica_set().await?;
    let uri = server.uri("caseload");
    tokio::task::spawn_blocking(move || a_new_history_on(&uri)).await?
}

fn a_new_history_on(uri: &str) -> Result<()> {
    let mut clinic = Clinic::publish_on(Some(uri), |_| Ok(()))?;
    let client = add_client(&clinic.therapist, "Kim")?;
    clinic.everybody_is_equal()?;
    set_phone(&clinic.desk, &client, "+49 30 6666666")?;
    clinic.service.stop()?;
    clinic.operate(&["service-restore", "--in-place", "--mongodb", uri])?;
    clinic.service.start()?;
    clinic.everybody_is_equal()?;
    for computer in [&clinic.therapist, &clinic.desk] {
        has_phone(computer, &client, "6666666")?;
        ensure!(reviews(computer)? == 0, "the database holds everything");
    }
    clinic.service.stop()
}

#[test]
fn care_that_begins_brings_the_record_and_care_that_ends_takes_it_away_after_what_was_not_sent_went_out() -> Result<()>
{
    let mut clinic = Clinic::publish()?;
    let colleague = Computer::new(clinic.folder.path(), "colleague", "meadow granite ribbon tea")?;
    clinic.enrol(&colleague, "therapist", "Colleague")?;
    let client = add_client(&clinic.therapist, "Kim")?;
    let plan = "plan=Breathing twice a day";
    let note = clinic.therapist.run(&["notes", "new", &client, "--section", plan])?;
    let note = text_at(&note, "/summary/id")?;
    let care = |command: &str| -> Result<()> {
        clinic.therapist.run(&["clients", command, &client, "Colleague"])?;
        share(&clinic.therapist)
    };
    share(&clinic.therapist)?;
    share(&colleague)?;
    let before = colleague.refused(&["notes", "show", &note])?;
    ensure!(before.code == "not_found", "{before:?}");

    care("care")?;
    share(&colleague)?;
    let seen = colleague.run(&["notes", "show", &note])?;
    ensure!(seen.to_string().contains("Breathing twice a day"), "{seen}");

    // Written before she knows that care has ended: she was entitled when she wrote it, so it goes out and is nobody else's to lose.
    colleague.run(&["notes", "new", &client, "--section", "plan=Written in between"])?;
    care("end-care")?;
    share(&colleague)?;
    let gone = colleague.refused(&["notes", "show", &note])?;
    ensure!(gone.code == "not_found", "{gone:?}");
    is_equal(&colleague)?;
    share(&clinic.therapist)?;
    let notes = clinic.therapist.run(&["notes", "list", &client])?;
    ensure!(notes.as_array().context("a list")?.len() == 2, "{notes}");

    care("care")?;
    share(&colleague)?;
    colleague.run(&["notes", "show", &note])?;
    clinic.everybody_is_equal()?;
    is_equal(&colleague)?;
    clinic.service.stop()
}

#[test]
fn a_clinician_signed_out_with_unsent_work_is_counted_for_everybody_and_it_goes_at_her_next_sign_in() -> Result<()> {
    const SECOND: &str = "Second";
    let mut clinic = Clinic::publish_on(None, |computer| {
        let app = App::open_with(computer.profile(), Env::system().sharing(Sharing::WhenAsked)).unwrap();
        let user_id = app.status().unwrap().users[0].id.clone();
        let passphrase = Some(PASSPHRASE.to_owned());
        app.unlock(Unlock { user_id, passphrase }).unwrap();
        app.add_person_here(SECOND, caseload_domain::Role::Therapist, "L-2", PASSPHRASE)
            .unwrap();
        tokio::runtime::Runtime::new()?.block_on(app.lock()).unwrap();
        Ok(())
    })?;
    let shared = &clinic.therapist;
    share_as(shared, SECOND)?;
    let client = shared.run(&["--user", SECOND, "clients", "add", "--family", "Kim", "--given", "Ada"])?;
    let client = text_at(&client, "/client/id")?;
    share_as(shared, SECOND)?;
    let note = shared.run(&["--user", SECOND, "notes", "new", &client, "--section", "plan=Unsent"])?;
    let note = text_at(&note, "/summary/id")?;

    let overview = shared.run(&["--user", OWNER, "sync"])?;
    let left = |overview: &Value| -> Option<(u64, bool)> {
        let replicas = overview["replicas"].as_array()?;
        let hers = replicas.iter().find(|replica| replica["ownerName"] == SECOND)?;
        Some((hers["waiting"].as_u64()?, hers["oldestWaitingAt"].is_number()))
    };
    ensure!(
        left(&overview).is_some_and(|(waiting, is_dated)| waiting > 0 && is_dated),
        "everybody sees how much of hers waits and since when: {overview}"
    );
    ensure!(!overview.to_string().contains("Unsent"), "and nothing of what it is");

    share_as(shared, SECOND)?;
    let overview = shared.run(&["--user", OWNER, "sync"])?;
    ensure!(left(&overview) == Some((0, false)), "{overview}");
    shared.run(&["--user", SECOND, "notes", "show", &note])?;
    share(&clinic.desk)?;
    is_equal_for(shared, &["--user", SECOND])?;
    is_equal_for(shared, &["--user", OWNER])?;
    clinic.service.stop()
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
