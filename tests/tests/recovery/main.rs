//! What happens when a machine is lost, copied or put back from a copy, with the real programs on both storages: the service restored from an
//! older copy ([`restored`]), a computer away for longer than void entries are remembered ([`away`]), a computer lost and taken out of the practice
//! ([`revoked`]), restored from a copy or cloned, care that begins and ends, a clinician who is signed out before her work went out; and a program that the service does not speak
//! with any more ([`versions`]). The outbox is kept in all of them, and in the end every computer and the service hold the same.

#![allow(clippy::unwrap_used, reason = "tests")]

mod away;
mod clinic;
mod restored;
mod revoked;
mod versions;

use std::fs;

use anyhow::{Context, Result, ensure};
use caseload_app::dto::Unlock;
use caseload_app::{App, Env, Sharing};
use caseload_testkit::mongod::Mongod;
use caseload_tests::computer::{Computer, text_at};
use serde_json::Value;

use crate::clinic::{
    Clinic, OWNER, PASSPHRASE, add_client, copy_folder, has_phone, is_equal, is_equal_for, set_phone, share, share_as,
};

fn restored_from_a_copy(mongodb: Option<&str>) -> Result<()> {
    let clinic = Clinic::publish_on(mongodb, |_| Ok(()))?;
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

fn cloned(mongodb: Option<&str>) -> Result<()> {
    let mut clinic = Clinic::publish_on(mongodb, |_| Ok(()))?;
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

fn care_begins_and_ends(mongodb: Option<&str>) -> Result<()> {
    let mut clinic = Clinic::publish_on(mongodb, |_| Ok(()))?;
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

fn signed_out_with_unsent_work(mongodb: Option<&str>) -> Result<()> {
    const SECOND: &str = "Second";
    let mut clinic = Clinic::publish_on(mongodb, |computer| {
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

#[test]
fn a_computer_restored_from_a_copy_gets_everything_back_and_keeps_what_waited_in_the_copy() -> Result<()> {
    restored_from_a_copy(None)
}

#[test]
fn a_cloned_computer_and_its_original_both_go_on_and_lose_nothing() -> Result<()> {
    cloned(None)
}

#[test]
fn care_that_begins_brings_the_record_and_care_that_ends_takes_it_away_after_what_was_not_sent_went_out() -> Result<()>
{
    care_begins_and_ends(None)
}

#[test]
fn a_clinician_signed_out_with_unsent_work_is_counted_for_everybody_and_it_goes_at_her_next_sign_in() -> Result<()> {
    signed_out_with_unsent_work(None)
}

#[tokio::test]
async fn the_same_four_with_a_service_on_mongodb() -> Result<()> {
    let server = Mongod::replica_set().await?;
    let stories = [
        restored_from_a_copy,
        cloned,
        care_begins_and_ends,
        signed_out_with_unsent_work,
    ];
    for (number, story) in stories.into_iter().enumerate() {
        let uri = server.uri(&format!("story{number}"));
        tokio::task::spawn_blocking(move || story(Some(&uri)))
            .await?
            .with_context(|| format!("story {number} on MongoDB"))?;
    }
    Ok(())
}
