//! The service put back from an older copy, with the command and without, on both storages.

use std::fs;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use caseload_testkit::mongod::Mongod;
use caseload_tests::computer::text_at;
use tokio::runtime::Handle;

use crate::clinic::{Clinic, add_client, copy_folder, has_phone, reviews, set_phone};

/// What was acknowledged after `copy` was made comes back after `put_back`, and what waited is kept.
fn what_the_copy_lacks_comes_back(
    mut clinic: Clinic,
    copy: impl FnOnce(&mut Clinic) -> Result<()>,
    put_back: impl FnOnce(&Clinic) -> Result<()>,
) -> Result<()> {
    let old = add_client(&clinic.therapist, "Old")?;
    clinic.everybody_is_equal()?;
    copy(&mut clinic)?;

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
    put_back(&clinic)?;
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

fn copy_of(clinic: &Clinic) -> PathBuf {
    clinic.folder.path().join("copy")
}

fn back_up(clinic: &mut Clinic) -> Result<()> {
    clinic.operate(&["service-backup", "--to", &copy_of(clinic).to_string_lossy()])
}

#[test]
fn a_service_restored_from_an_older_copy_gets_back_what_the_copy_lacks() -> Result<()> {
    what_the_copy_lacks_comes_back(Clinic::publish()?, back_up, |clinic| {
        let copy = copy_of(clinic);
        clinic.operate(&["service-restore", "--from", &copy.to_string_lossy(), "--replace"])
    })
}

#[test]
fn a_copy_of_the_service_put_back_by_hand_is_noticed_and_completed_all_the_same() -> Result<()> {
    what_the_copy_lacks_comes_back(Clinic::publish()?, back_up, |clinic| {
        let data = clinic.service.folder();
        for name in ["service.db-wal", "service.db-shm"] {
            let _not_there = fs::remove_file(data.join(name));
        }
        fs::copy(copy_of(clinic).join("service.db"), data.join("service.db"))?;
        Ok(())
    })
}

/// A MongoDB whose files are copied and put back while it is down, as a snapshot of its disk would be.
fn a_database_put_back(mut server: Mongod, says_so: bool) -> Result<()> {
    let uri = server.uri("caseload");
    let clinic = Clinic::publish_on(Some(&uri), |_| Ok(()))?;
    let server = std::cell::RefCell::new(&mut server);
    what_the_copy_lacks_comes_back(
        clinic,
        |clinic| {
            clinic.service.stop()?;
            let mut server = server.borrow_mut();
            server.kill()?;
            copy_folder(&server.data(), &copy_of(clinic))?;
            Handle::current().block_on(server.restart())?;
            clinic.service.start()
        },
        |clinic| {
            let mut server = server.borrow_mut();
            server.kill()?;
            fs::remove_dir_all(server.data())?;
            copy_folder(&copy_of(clinic), &server.data())?;
            Handle::current().block_on(server.restart())?;
            if says_so {
                clinic.operate(&["service-restore", "--in-place", "--mongodb", &uri])?;
            }
            Ok(())
        },
    )
}

#[tokio::test]
async fn a_mongodb_put_back_to_an_older_state_gets_back_what_it_lacks() -> Result<()> {
    let server = Mongod::replica_set().await?;
    tokio::task::spawn_blocking(move || a_database_put_back(server, true)).await?
}

#[tokio::test]
async fn a_mongodb_put_back_by_hand_is_noticed_and_completed_all_the_same() -> Result<()> {
    let server = Mongod::replica_set().await?;
    tokio::task::spawn_blocking(move || a_database_put_back(server, false)).await?
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
