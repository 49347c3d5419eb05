//! Care that ends between a real file and the real service: what was written before the file knew of it goes out, what comes after is kept
//! aside with its content.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use std::sync::Arc;

use caseload_domain::entities::care_relationship_id;
use caseload_domain::{ClientId, EntityKey};
use caseload_protocol::auth::ReplicaKind::{Clinical, Office};
use caseload_protocol::messages::Refusal;
use caseload_store::{RefusedGroup, RefusedWhy};
use clinic::{Clinic, Desk};
use serde_json::json;

/// Moves the owner's care of `client` to `state` and shares that.
async fn set_care(clinic: &Clinic, office: &Desk, client: &EntityKey, state: &str) {
    let care = care_relationship_id(ClientId::new(client.id.uuid()), clinic.owner);
    office.set(
        &EntityKey::new("care_relationship", care),
        "status",
        json!({"state": state}),
    );
    office.round().await.unwrap();
}

fn refused(desk: &Desk) -> Vec<RefusedGroup> {
    desk.store.read(|read| read.refused()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_after_the_file_read_that_care_ended_is_kept_aside_and_goes_when_care_is_taken_up_again() {
    let clinic = Clinic::open().await;
    let (office, clinical) = (
        clinic.file("one.db", Office).await,
        clinic.file("clinical.db", Clinical).await,
    );
    let client = office.add_client("Minji");
    office.round().await.unwrap();
    clinical.round().await.unwrap();
    let before = clinical.note(&client, "before anybody could know");
    set_care(&clinic, &office, &client, "ended").await;
    let round = clinical.round().await.unwrap();
    assert_eq!((round.pushed, round.refused), (1, 0), "it was written in good faith");
    assert_eq!(clinical.document(&before), None, "and has left the file since");

    // Her office file is behind, so nothing on this computer says no.
    let after = clinical.note(&client, "after it was known");
    let round = clinical.round().await.unwrap();
    assert_eq!((round.refused, clinical.waiting()), (1, 0));
    let kept = refused(&clinical);
    assert_eq!(kept[0].why, RefusedWhy::Service(Refusal::Forbidden));
    assert_eq!(
        kept[0].ops[0].units["body"],
        json!({"sections": {"plan": "after it was known"}})
    );
    assert_eq!(clinical.document(&after), None);

    set_care(&clinic, &office, &client, "active").await;
    clinical.write(|tx| tx.retry(kept[0].grp));
    assert!(clinical.is_equal_to_the_service().await);
    for note in [&before, &after] {
        assert!(clinical.document(note).is_some());
    }
    assert_eq!(refused(&clinical), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_while_the_end_of_care_is_on_its_way_is_kept_aside_as_well() {
    let clinic = Clinic::open().await;
    let (office, clinical) = (
        clinic.file("one.db", Office).await,
        Arc::new(clinic.file("clinical.db", Clinical).await),
    );
    let client = office.add_client("Minji");
    office.round().await.unwrap();
    clinical.note(&client, "shared");
    clinical.round().await.unwrap();
    set_care(&clinic, &office, &client, "ended").await;
    let (desk, of, asked) = (
        Arc::downgrade(&clinical),
        client.clone(),
        clinical.flaky.requests_to("/v1/sync/pull"),
    );
    clinical.flaky.meanwhile(move |path, earlier| {
        if let (Some(desk), "/v1/sync/pull") = (desk.upgrade(), path)
            && earlier == asked
        {
            desk.note(&of, "in between");
        }
    });
    let round = clinical.round().await.unwrap();
    clinical.flaky.meanwhile(|_, _| {});
    assert_eq!((round.pushed, clinical.waiting()), (0, 0), "it was never sent");
    let kept = refused(&clinical);
    assert_eq!((kept.len(), kept[0].why), (1, RefusedWhy::ScopeLeft));
    assert_eq!(
        kept[0].ops[0].units["body"],
        json!({"sections": {"plan": "in between"}})
    );
}
