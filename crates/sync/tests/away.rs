//! Void rows are not remembered for ever: whoever was away for longer compares, loses nothing that waits, and brings nothing back.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_domain::EntityKey;
use caseload_protocol::auth::ReplicaKind::{Clinical, Office};
use clinic::{Clinic, Desk, Way, now};
use serde_json::json;

/// Enough clients that one row more or less is a small part of all.
fn add_clients(desk: &Desk) -> Vec<EntityKey> {
    ["Minji", "Theo", "Ada", "Noor"]
        .map(|name| desk.add_client(name))
        .to_vec()
}

fn void(desk: &Desk, key: &EntityKey) {
    desk.write(|tx| tx.void(key, "entered twice"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_was_away_for_too_long_drops_what_went_shares_what_waits_and_brings_nothing_back() {
    let mut clinic = Clinic::open().await;
    let (here, away) = (
        clinic.file("here.db", Office).await,
        clinic.file("away.db", Office).await,
    );
    let clients = add_clients(&here);
    let (gone, changed) = (here.book(&clients[0], 0), here.book(&clients[0], 100));
    here.round().await.unwrap();
    away.round().await.unwrap();
    for key in [&gone, &changed] {
        void(&here, key);
    }
    here.round().await.unwrap();
    clinic.let_tombstones_go().await;

    away.set(&clients[1], "phone", json!({"raw": "made while away"}));
    away.set(&changed, "status", json!({"state": "arrived"}));
    let new = away.add_client("Mina");
    away.round().await.unwrap();
    assert_eq!(
        away.waiting(),
        1,
        "the change to what went waits for what becomes of it"
    );
    assert_eq!(
        away.offer_lost(),
        2,
        "to be sure: the service may have been put back meanwhile"
    );
    assert!(away.is_equal_to_the_service().await);
    assert!(away.is_equal_to_the_service().await);
    assert_eq!(away.waiting(), 0);
    for key in [&gone, &changed] {
        assert_eq!(away.document(key), None, "nobody has it any more");
    }
    let refused = away.store.read(|read| read.refused()).unwrap();
    assert_eq!(refused.len(), 1, "the change to what went is kept for its author");
    let reviews = away.store.read(|read| read.open_reoffers()).unwrap();
    assert!(reviews.is_empty(), "the service knows both versions: nothing was lost");
    assert_eq!(away.offer_lost(), 0);

    assert!(here.is_equal_to_the_service().await);
    assert_eq!(here.document(&new), away.document(&new));
    let phone = here.document(&clients[1]).unwrap();
    assert_eq!(phone.text("phone", "raw"), Some("made while away"));
    assert_eq!(here.document(&gone), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_are_equal_although_tombstones_went_between_the_round_and_its_check() {
    let mut clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let clients = add_clients(&desk);
    let booking = desk.book(&clients[0], 0);
    desk.round().await.unwrap();
    void(&desk, &booking);
    desk.round().await.unwrap();
    assert!(desk.document(&booking).is_some(), "it is void and remembered");
    clinic.let_tombstones_go().await;
    let report = desk.engine.check(now()).await.unwrap();
    assert_eq!((report.differing, report.repaired), (vec![], 0));
    assert_eq!(desk.document(&booking), None);
    let changed = desk.round().await.unwrap().changed;
    assert_eq!(changed, [], "that was all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_computer_gets_everything_by_snapshots_once_tombstones_are_gone() {
    let mut clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let clients = add_clients(&desk);
    let booking = desk.book(&clients[0], 0);
    desk.round().await.unwrap();
    void(&desk, &booking);
    desk.round().await.unwrap();
    clinic.let_tombstones_go().await;
    let fresh = clinic.file("fresh.db", Office).await;
    assert!(fresh.is_equal_to_the_service().await);
    assert!(fresh.flaky.requests_to("/v1/sync/snapshot") > 0);
    for client in &clients {
        assert_eq!(fresh.document(client), desk.document(client));
    }
    desk.set(&clients[0], "phone", json!({"raw": "1"}));
    assert!(desk.is_equal_to_the_service().await && fresh.is_equal_to_the_service().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_gains_many_clients_asks_for_them_together_and_an_older_service_one_by_one() {
    let mut clinic = Clinic::open().await;
    let (office, notes) = (
        clinic.file("office.db", Office).await,
        clinic.file("notes.db", Clinical).await,
    );
    let clients: Vec<EntityKey> = (1..=12).map(|n| office.add_client(&format!("Client {n}"))).collect();
    office.round().await.unwrap();
    let written: Vec<EntityKey> = clients
        .iter()
        .flat_map(|client| ["one", "two"].map(|plan| notes.note(client, plan)))
        .collect();
    notes.round().await.unwrap();
    let voided = office.book(&clients[0], 0);
    office.round().await.unwrap();
    void(&office, &voided);
    office.round().await.unwrap();
    clinic.let_tombstones_go().await;

    for (name, is_older, requests) in [("together.db", false, 1), ("one-by-one.db", true, 12)] {
        let fresh = clinic.file(name, Clinical).await;
        if is_older {
            fresh.flaky.as_of_another_version(|path, way, body| {
                if (path, way) == ("/v1/sync/snapshot", Way::There) {
                    body.as_object_mut().unwrap().remove("then");
                }
                Ok(())
            });
        }
        assert!(fresh.is_equal_to_the_service().await);
        assert_eq!(fresh.flaky.requests_to("/v1/sync/snapshot"), requests);
        for note in &written {
            assert_eq!(fresh.document(note), notes.document(note));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_put_back_to_before_its_tombstones_went_gives_them_to_everybody_again() {
    let mut clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let clients = add_clients(&desk);
    let booking = desk.book(&clients[0], 0);
    desk.round().await.unwrap();
    void(&desk, &booking);
    desk.round().await.unwrap();
    put_back_behind(&mut clinic, async |clinic| {
        clinic.let_tombstones_go().await;
        desk.set(&clients[0], "phone", json!({"raw": "1"}));
        assert!(desk.is_equal_to_the_service().await);
        assert_eq!(desk.document(&booking), None);
    })
    .await;
    assert!(desk.is_equal_to_the_service().await);
    assert!(desk.document(&booking).is_some());
    assert_eq!(desk.offer_lost(), 1, "the phone number alone was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_that_are_there_again_come_with_the_next_round_although_nothing_else_was_lost() {
    let mut clinic = Clinic::open().await;
    let (desk, fresh) = (
        clinic.file("one.db", Office).await,
        clinic.file("fresh.db", Office).await,
    );
    let clients = add_clients(&desk);
    let booking = desk.book(&clients[0], 0);
    desk.round().await.unwrap();
    void(&desk, &booking);
    desk.round().await.unwrap();
    put_back_behind(&mut clinic, async |clinic| {
        clinic.let_tombstones_go().await;
        for file in [&desk, &fresh] {
            file.round().await.unwrap();
            assert_eq!(file.document(&booking), None);
        }
    })
    .await;
    for file in [&desk, &fresh] {
        file.round().await.unwrap();
        assert!(file.document(&booking).is_some());
        assert_eq!(file.offer_lost(), 0);
    }
}

/// Does `work` and puts the service back to before it.
async fn put_back_behind(clinic: &mut Clinic, work: impl AsyncFnOnce(&mut Clinic)) {
    let (file, copy) = (
        clinic.folder.path().join("service/service.db"),
        clinic.folder.path().join("copy.db"),
    );
    clinic.stop_service().await;
    std::fs::copy(&file, &copy).unwrap();
    clinic.start_service().await;
    work(clinic).await;
    clinic.stop_service().await;
    std::fs::copy(&copy, &file).unwrap();
    clinic.start_service().await;
}
