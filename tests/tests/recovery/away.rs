//! A computer that was away for longer than void entries are remembered.

use std::fs;

use anyhow::{Context, Result, ensure};
use caseload_testkit::mongod::Mongod;
use caseload_tests::computer::{Computer, text_at};

use crate::clinic::{Clinic, add_client, has_phone, is_equal, reviews, set_phone, share};

fn away_for_too_long(mongodb: Option<&str>) -> Result<()> {
    let mut clinic = Clinic::publish_on(mongodb, |_| Ok(()))?;
    let client = add_client(&clinic.therapist, "Kim")?;
    for family in ["Lee", "Park", "Choi", "Jung"] {
        add_client(&clinic.therapist, family)?;
    }
    for title in ["Referral", "Wrong client"] {
        let file = clinic.folder.path().join(title);
        fs::write(&file, title)?;
        let file = file.to_string_lossy();
        clinic
            .therapist
            .run(&["documents", "add", &client, &file, "--title", title])?;
    }
    let listed = clinic.therapist.run(&["documents", "list", &client])?;
    let listed = listed.as_array().context("a list")?;
    let named = |title: &str| -> Result<String> {
        let document = listed.iter().find(|document| document["title"] == title);
        text_at(document.context("both were added")?, "/id")
    };
    let (kept, gone) = (named("Referral")?, named("Wrong client")?);
    clinic.everybody_is_equal()?;

    // While the desk is away an entry is voided, shared, and forgotten by the service.
    clinic
        .therapist
        .run(&["documents", "void", &gone, "belongs to somebody else"])?;
    share(&clinic.therapist)?;
    clinic.service.stop()?;
    clinic.service.remember_void_entries(0);
    clinic.service.start()?;
    clinic.service.stop()?;
    clinic.service.remember_void_entries(400);
    clinic.service.start()?;
    share(&clinic.therapist)?;
    is_equal(&clinic.therapist)?;

    // What the desk did meanwhile, of which one thing is about what nobody has any more.
    set_phone(&clinic.desk, &client, "+49 30 7777777")?;
    let new = add_client(&clinic.desk, "Yoon")?;
    clinic.desk.run(&["documents", "void", &gone, "not ours"])?;
    // The first compares; what waited on the entry that went goes when the service has said what became of it.
    clinic.desk.run(&["sync"])?;
    let overview = clinic.desk.run(&["sync"])?;
    ensure!(overview["waiting"] == 0, "everything went: {overview}");
    let refused = overview["refused"].as_array().context("a list")?;
    ensure!(
        refused.len() == 1,
        "what nobody has any more was not changed, and that is told: {overview}"
    );
    what_was_refused_is_thrown_away(&clinic.desk, &text_at(&refused[0], "/id")?)?;
    is_equal(&clinic.desk)?;
    ensure!(reviews(&clinic.desk)? == 0, "what went is not offered back");
    let listed = clinic.desk.run(&["documents", "list", &client])?.to_string();
    ensure!(listed.contains(&kept) && !listed.contains(&gone), "{listed}");

    share(&clinic.therapist)?;
    has_phone(&clinic.therapist, &client, "7777777")?;
    clinic.therapist.run(&["clients", "show", &new])?;
    is_equal(&clinic.therapist)?;
    clinic.service.stop()
}

/// It cannot be made again, because what it was about is gone; it stays until somebody throws it away.
fn what_was_refused_is_thrown_away(desk: &Computer, id: &str) -> Result<()> {
    let again = desk.refused(&["refused", "retry", id])?;
    ensure!(again.code == "not_found", "{again:?}");
    let listed = desk.run(&["refused", "list"])?;
    ensure!(
        listed[0]["id"] == id && listed.as_array().is_some_and(|listed| listed.len() == 1),
        "{listed}"
    );
    let overview = desk.run(&["refused", "discard", id])?;
    ensure!(overview["refused"] == serde_json::json!([]), "{overview}");
    let gone = desk.refused(&["refused", "discard", id])?;
    ensure!(gone.code == "not_found", "{gone:?}");
    ensure!(
        desk.run(&["audit", "verify"]).is_ok(),
        "it is in the audit trail, whose chain holds"
    );
    Ok(())
}

#[test]
fn a_computer_away_for_longer_than_void_entries_are_remembered_keeps_its_work_and_brings_nothing_back() -> Result<()> {
    away_for_too_long(None)
}

#[tokio::test]
async fn the_same_with_a_service_on_mongodb() -> Result<()> {
    let server = Mongod::replica_set().await?;
    let uri = server.uri("caseload");
    tokio::task::spawn_blocking(move || away_for_too_long(Some(&uri))).await?
}
