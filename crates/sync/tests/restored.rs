//! A service restored from an older copy: what it lost is offered back and reviewed, and what waits on a computer is kept through it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_domain::EntityKey;
use caseload_protocol::auth::ReplicaKind::{Clinical, Office};
use caseload_protocol::messages::WireErrorCode;
use caseload_service::MasterKeySource;
use caseload_service::restore::{Restoration, Source, restore};
use clinic::{Clinic, Desk, Way};
use serde_json::json;

/// What an operator does with the copy.
#[derive(Clone, Copy)]
enum By {
    /// `service-restore`.
    Command,
    /// The file is put back, and nobody says so.
    Hand,
}

/// Runs `work` between the making of a copy of the service and putting it back.
async fn lose(clinic: &mut Clinic, by: By, work: impl AsyncFnOnce()) {
    let (data, copy) = (
        clinic.folder.path().join("service"),
        clinic.folder.path().join("copy.db"),
    );
    clinic.stop_service().await;
    std::fs::copy(data.join("service.db"), &copy).unwrap();
    clinic.start_service().await;
    work().await;
    clinic.stop_service().await;
    match by {
        By::Hand => {
            std::fs::copy(&copy, data.join("service.db")).unwrap();
        }
        By::Command => {
            let restoration = Restoration {
                data,
                mongodb: None,
                master_key: MasterKeySource::Demonstration,
                source: Source::Copy(copy),
                replace: true,
            };
            assert_eq!(restore(&restoration).await.unwrap().len(), 1);
        }
    }
    clinic.start_service().await;
}

/// Compares, offers back what is missing, and shares that.
async fn offer(desk: &Desk) -> usize {
    desk.round().await.unwrap();
    let offered = desk.offer_lost();
    desk.round().await.unwrap();
    offered
}

fn open_reviews(desk: &Desk) -> Vec<EntityKey> {
    let open = desk.store.read(|read| read.open_reoffers()).unwrap();
    let mut keys: Vec<EntityKey> = open.into_iter().map(|record| record.key).collect();
    keys.sort();
    keys
}

fn settle_all(desk: &Desk, accept: bool) {
    for record in open_reviews(desk) {
        desk.write(|tx| tx.settle_reoffer(&record, accept));
    }
}

async fn what_was_lost_comes_back_by_review(by: By) {
    let mut clinic = Clinic::open().await;
    let (desk, other) = (
        clinic.file("one.db", Office).await,
        clinic.file("other.db", Office).await,
    );
    let kept = desk.add_client("Minji");
    desk.round().await.unwrap();
    other.round().await.unwrap();
    let mut lost = None;
    lose(&mut clinic, by, async || {
        let new = desk.add_client("Theo");
        desk.book(&new, 0);
        desk.set(&kept, "phone", json!({"raw": "acknowledged"}));
        desk.round().await.unwrap();
        lost = Some(new);
    })
    .await;
    let lost = lost.unwrap();
    desk.set(&lost, "phone", json!({"raw": "made on top of what was lost"}));
    desk.set(&kept, "address", json!({"city": "waited"}));
    let waiting = desk.waiting();

    assert_eq!(
        offer(&desk).await,
        4,
        "two new rows with their care, a booking and a changed one"
    );
    assert_eq!(
        desk.waiting(),
        waiting,
        "both changes wait for the reviews of the rows below them"
    );
    assert_eq!(desk.offer_lost(), 0, "each is offered once");
    assert!(desk.store.read(|read| read.refused()).unwrap().is_empty());
    other.round().await.unwrap();
    assert_eq!(open_reviews(&other), open_reviews(&desk));
    assert_eq!(open_reviews(&other).len(), 4);

    settle_all(&other, true);
    assert!(other.is_equal_to_the_service().await);
    desk.round().await.unwrap();
    assert!(desk.is_equal_to_the_service().await && other.is_equal_to_the_service().await);
    for seen in [&desk, &other] {
        let (client, changed) = (seen.document(&lost).unwrap(), seen.document(&kept).unwrap());
        assert_eq!(client.text("name", "given"), Some("Theo"));
        assert_eq!(client.text("phone", "raw"), Some("made on top of what was lost"));
        assert_eq!(
            (changed.text("phone", "raw"), changed.text("address", "city")),
            (Some("acknowledged"), Some("waited"))
        );
        assert!(open_reviews(seen).is_empty());
        assert_eq!(seen.store.read(|read| read.list("appointment")).unwrap().len(), 1);
    }
    assert_eq!((desk.waiting(), other.waiting()), (0, 0));
    assert!(desk.store.read(|read| read.open_conflicts()).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_service_lost_is_offered_back_and_accepted_rows_are_everybodys_again() {
    what_was_lost_comes_back_by_review(By::Command).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_put_back_by_hand_is_noticed_by_its_chain_and_what_it_lacks_is_offered_back() {
    what_was_lost_comes_back_by_review(By::Hand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_row_stays_away_and_the_change_that_waited_on_it_is_kept_as_refused() {
    let mut clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    desk.add_client("Minji");
    desk.round().await.unwrap();
    let mut lost = None;
    lose(&mut clinic, By::Command, async || {
        lost = Some(desk.add_client("Theo"));
        desk.round().await.unwrap();
    })
    .await;
    let lost = lost.unwrap();
    desk.set(&lost, "phone", json!({"raw": "1"}));
    offer(&desk).await;
    settle_all(&desk, false);
    assert!(desk.is_equal_to_the_service().await);
    assert_eq!(desk.document(&lost), None);
    assert_eq!(desk.waiting(), 0);
    let refused = desk.store.read(|read| read.refused()).unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].ops[0].key, lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_was_not_behind_the_copy_offers_nothing() {
    let mut clinic = Clinic::open().await;
    let (desk, away) = (
        clinic.file("one.db", Office).await,
        clinic.file("away.db", Office).await,
    );
    let client = desk.add_client("Minji");
    desk.round().await.unwrap();
    away.round().await.unwrap();
    desk.set(&client, "phone", json!({"raw": "before the copy"}));
    desk.round().await.unwrap();
    lose(&mut clinic, By::Command, async || {}).await;
    away.set(&client, "email", json!({"value": "away@example.org"}));
    offer(&away).await;
    assert!(away.is_equal_to_the_service().await);
    assert!(
        open_reviews(&away).is_empty(),
        "the service has held the version that was replaced"
    );
    let seen = away.document(&client).unwrap();
    assert_eq!(
        (seen.text("phone", "raw"), seen.text("email", "value")),
        (Some("before the copy"), Some("away@example.org"))
    );
    assert_eq!(away.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_put_back_by_hand_in_the_middle_of_a_snapshot_is_noticed_and_the_snapshot_begun_anew() {
    let mut clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let clients: Vec<EntityKey> = ["Minji", "Theo", "Ada", "Noor"]
        .map(|name| desk.add_client(name))
        .to_vec();
    let voided = desk.book(&clients[0], 0);
    desk.round().await.unwrap();
    desk.write(|tx| tx.void(&voided, "entered twice"));
    desk.round().await.unwrap();
    clinic.let_tombstones_go().await;
    let fresh = clinic.file("fresh.db", Office).await;
    lose(&mut clinic, By::Hand, async || {
        desk.add_client("Lost");
        desk.round().await.unwrap();
        let mut pages = 0;
        fresh.flaky.as_of_another_version(move |path, way, body| {
            if (path, way) == ("/v1/sync/snapshot", Way::There) {
                pages += 1;
                body["max_rows"] = json!(2);
            }
            if pages > 2 {
                return Err(WireErrorCode::StorageUnavailable);
            }
            Ok(())
        });
        fresh.round().await.unwrap_err();
    })
    .await;
    let series = fresh.store.snapshots().unwrap().unwrap();
    assert!(series.begun.is_some(), "two pages of it have come");
    fresh.flaky.as_of_this_version();
    assert!(fresh.is_equal_to_the_service().await);
    for client in &clients {
        assert!(fresh.document(client).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_made_on_a_page_of_a_snapshot_that_the_service_lost_replaces_nothing_that_nobody_saw() {
    let mut clinic = Clinic::open().await;
    let (desk, other) = (
        clinic.file("one.db", Office).await,
        clinic.file("other.db", Office).await,
    );
    let clients: Vec<EntityKey> = ["Minji", "Theo", "Ada", "Noor"]
        .map(|name| desk.add_client(name))
        .to_vec();
    let voided = desk.book(&clients[0], 0);
    desk.round().await.unwrap();
    desk.write(|tx| tx.void(&voided, "entered twice"));
    desk.round().await.unwrap();
    other.round().await.unwrap();
    clinic.let_tombstones_go().await;
    let fresh = clinic.file("fresh.db", Office).await;
    lose(&mut clinic, By::Hand, async || {
        desk.set(&clients[0], "phone", json!({"raw": "lost"}));
        desk.round().await.unwrap();
        let mut pages = 0;
        fresh.flaky.as_of_another_version(move |path, way, body| {
            if (path, way) == ("/v1/sync/snapshot", Way::There) {
                pages += 1;
                body["max_rows"] = json!(6);
            }
            if pages > 1 {
                return Err(WireErrorCode::StorageUnavailable);
            }
            Ok(())
        });
        fresh.round().await.unwrap_err();
    })
    .await;
    assert!(fresh.store.sync_state().unwrap().cursor.is_none());
    let seen = fresh.document(&clients[0]).unwrap();
    assert_eq!(seen.text("phone", "raw"), Some("lost"));
    fresh.flaky.as_of_this_version();
    fresh.set(&clients[0], "phone", json!({"raw": "on top of what was lost"}));
    other.set(&clients[0], "phone", json!({"raw": "nobody saw this"}));
    other.round().await.unwrap();

    assert_eq!(offer(&fresh).await, 1, "what was lost is offered back");
    other.round().await.unwrap();
    let shown = other.document(&clients[0]).unwrap();
    assert_eq!(shown.text("phone", "raw"), Some("nobody saw this"));
    assert_eq!(open_reviews(&other).len(), 1);
    assert_eq!(
        fresh.waiting(),
        1,
        "the change waits for what becomes of the row below it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clinical_record_whose_care_was_lost_with_it_comes_back_when_the_care_does() {
    let mut clinic = Clinic::open().await;
    let (office, clinical) = (
        clinic.file("one.db", Office).await,
        clinic.file("clinical.db", Clinical).await,
    );
    office.add_client("Minji");
    office.round().await.unwrap();
    clinical.round().await.unwrap();
    let mut note = None;
    lose(&mut clinic, By::Command, async || {
        let client = office.add_client("Theo");
        office.round().await.unwrap();
        clinical.round().await.unwrap();
        note = Some(clinical.note(&client, "the plan"));
        clinical.round().await.unwrap();
    })
    .await;
    let note = note.unwrap();
    clinical.set(&note, "body", json!({"sections": {"plan": "the plan, and more"}}));
    offer(&office).await;
    assert_eq!(offer(&clinical).await, 1);
    assert_eq!(
        clinical.document(&note),
        None,
        "nobody may see it while there is no care"
    );
    assert!(open_reviews(&clinical).is_empty());
    assert_eq!(clinical.waiting(), 1, "what waited on it waits on");

    settle_all(&office, true);
    office.round().await.unwrap();
    clinical.round().await.unwrap();
    assert_eq!(open_reviews(&clinical).len(), 1);
    settle_all(&clinical, true);
    clinical.round().await.unwrap();
    assert!(clinical.is_equal_to_the_service().await);
    let body = clinical.document(&note).unwrap();
    let plan = body.unit("body").unwrap()["sections"]["plan"].clone();
    assert_eq!((plan, clinical.waiting()), (json!("the plan, and more"), 0));
}
