//! Rounds that end in the middle: what they did until then stays, and is told.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_domain::EntityKey;
use caseload_protocol::auth::ReplicaKind::{Clinical, Office};
use caseload_protocol::messages::WireErrorCode;
use clinic::{Clinic, Way};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_round_took_in_before_it_failed_is_told_by_the_next_one() {
    let clinic = Clinic::open().await;
    let (desk, other) = (
        clinic.file("one.db", Office).await,
        clinic.file("other.db", Office).await,
    );
    other.round().await.unwrap();
    let clients: Vec<EntityKey> = ["Minji", "Theo", "Ada", "Noor"]
        .map(|name| desk.add_client(name))
        .to_vec();
    desk.round().await.unwrap();
    let mut pages = 0;
    other.flaky.as_of_another_version(move |path, way, body| {
        if (path, way) == ("/v1/sync/pull", Way::There) {
            pages += 1;
            body["max_rows"] = json!(3);
        }
        if pages > 2 {
            return Err(WireErrorCode::StorageUnavailable);
        }
        Ok(())
    });
    other.round().await.unwrap_err();
    let held = clients.iter().filter(|client| other.document(client).is_some()).count();
    assert!((1..4).contains(&held), "some of it came: {held}");
    other.flaky.as_of_this_version();
    let told = other.round().await.unwrap().changed;
    for client in &clients {
        assert!(told.contains(client), "{told:?}");
    }
    assert!(other.round().await.unwrap().changed.is_empty(), "and only by that one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_refused_because_care_ended_meanwhile_is_asked_for_as_it_is_now_in_the_same_round() {
    let clinic = Clinic::open().await;
    let (office, notes) = (
        clinic.file("office.db", Office).await,
        clinic.file("notes.db", Clinical).await,
    );
    notes.round().await.unwrap();
    let clients: Vec<EntityKey> = ["Minji", "Theo"].map(|name| office.add_client(name)).to_vec();
    office.round().await.unwrap();
    let note = notes.note(&clients[0], "the plan");
    notes.round().await.unwrap();

    let second = clinic.file("second.db", Clinical).await;
    second.round().await.unwrap();
    let third = office.add_client("Ada");
    office.round().await.unwrap();
    let mut requests = 0;
    second.flaky.as_of_another_version(move |path, way, _| {
        if (path, way) == ("/v1/sync/snapshot", Way::There) {
            requests += 1;
            if requests == 1 {
                return Err(WireErrorCode::Forbidden);
            }
        }
        Ok(())
    });
    second.round().await.unwrap();
    assert!(second.flaky.requests_to("/v1/sync/pull") > 1);
    assert!(second.document(&note).is_some());
    let plan = second.note(&third, "of the client that came");
    assert!(second.is_equal_to_the_service().await);
    notes.round().await.unwrap();
    assert!(notes.document(&plan).is_some());
}
