//! A file that is no longer what the service holds: a check finds by their buckets which rows differ and fetches them by their ids. What waits
//! stays, and another history is not compared.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use std::collections::BTreeSet;
use std::path::PathBuf;

use caseload_domain::{EntityId, EntityKey, Scope};
use caseload_protocol::auth::ReplicaKind::Office;
use caseload_protocol::checksum::bucket;
use caseload_protocol::messages::{BucketName, Group, WireRow};
use caseload_sync::TransportError;
use caseload_sync::engine::SyncError;
use clinic::{Clinic, Desk, document, new_id, now};
use serde_json::json;

fn buckets(keys: &[&EntityKey]) -> BTreeSet<BucketName> {
    let name = |key: &&EntityKey| BucketName {
        t: key.kind.clone(),
        bucket: bucket(key.id),
    };
    keys.iter().map(name).collect()
}

fn outbox(desk: &Desk) -> Vec<Group> {
    desk.store.next_groups_behind(0, 1_000, 1 << 20).unwrap().groups
}

fn phone(desk: &Desk, client: &EntityKey) -> Option<String> {
    let document = desk.document(client)?;
    document.text("phone", "raw").map(str::to_owned)
}

/// A client whom the service does not know, as a row that it sent.
fn surplus() -> WireRow {
    let client =
        json!({"salt": "0".repeat(32), "name": {"family": "Nobody", "given": "N"}, "status": {"state": "active"}});
    WireRow {
        key: EntityKey::new("client", EntityId::new(new_id())),
        scope: Scope::Office,
        rev: 1,
        seq: 1,
        del: false,
        sv: 1,
        min_writer: 0,
        u: [].into(),
        doc: document(client),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_a_missing_and_a_surplus_row_are_found_by_bucket_and_repaired_and_what_waits_stays() {
    let clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let clients: Vec<EntityKey> = (0..40).map(|number| desk.add_client(&number.to_string())).collect();
    for client in &clients {
        desk.set(client, "phone", json!({"raw": "010-7777"}));
    }
    assert!(desk.is_equal_to_the_service().await);
    let shared: Vec<_> = clients.iter().map(|client| desk.document(client)).collect();

    // Changes wait on an altered row, on one that will be missing, and elsewhere.
    let [altered, below, missing, gone] = [&clients[0], &clients[1], &clients[2], &clients[3]];
    for client in [below, missing, &clients[4]] {
        desk.set(client, "address", json!({"city": "Busan"}));
    }
    let waiting = outbox(&desk);
    assert_eq!(waiting.len(), 3);
    let connection = clinic.behind(&desk);
    for (column, client) in [("doc", altered), ("base_doc", below)] {
        let statement = format!("UPDATE doc SET {column} = replace({column}, '010-7777', '010-7778') WHERE id = ?1");
        assert_eq!(
            connection.execute(&statement, [client.id.uuid().as_bytes()]).unwrap(),
            1
        );
    }
    drop(connection);
    let surplus = surplus();
    desk.store
        .repair(std::slice::from_ref(&surplus), &[missing.clone(), gone.clone()])
        .unwrap();
    assert_eq!(phone(&desk, altered).as_deref(), Some("010-7778"));
    assert_eq!(desk.document(gone), None);
    assert!(desk.document(&surplus.key).is_some());

    let report = desk.engine.check(now()).await.unwrap();
    let expected = [altered, below, missing, gone, &surplus.key];
    assert_eq!(
        report.differing.iter().cloned().collect::<BTreeSet<_>>(),
        buckets(&expected)
    );
    assert_eq!(report.repaired, expected.len());
    let changed: BTreeSet<_> = report.changed.iter().collect();
    let shown_otherwise = BTreeSet::from([altered, missing, gone, &surplus.key]);
    assert_eq!(changed, shown_otherwise, "under what waits nobody saw a difference");
    assert_eq!(outbox(&desk), waiting, "what waits is as it was");
    assert_eq!(desk.document(&surplus.key), None);
    for (client, shared) in clients.iter().zip(&shared) {
        assert_eq!(phone(&desk, client).as_deref(), Some("010-7777"));
        let base = desk.store.read(|read| read.base(client)).unwrap();
        assert_eq!(base.map(|base| base.doc), *shared);
    }
    for client in [below, missing, &clients[4]] {
        let shown = desk.document(client).unwrap();
        assert_eq!(shown.text("address", "city"), Some("Busan"), "and shown as before");
    }
    let again = desk.engine.check(now()).await.unwrap();
    assert_eq!((again.differing, again.repaired), (vec![], 0));
    assert_eq!(again.rows, i64::try_from(2 * clients.len()).unwrap());

    let other = clinic.file("other.db", Office).await;
    assert!(desk.is_equal_to_the_service().await && other.is_equal_to_the_service().await);
    assert_eq!(other.document(missing), desk.document(missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_since_the_last_round_is_left_to_the_next_one_and_is_no_repair() {
    let clinic = Clinic::open().await;
    let (desk, other) = (
        clinic.file("one.db", Office).await,
        clinic.file("other.db", Office).await,
    );
    let client = desk.add_client("Minji");
    desk.round().await.unwrap();
    other.round().await.unwrap();
    other.set(&client, "phone", json!({"raw": "2"}));
    other.round().await.unwrap();
    let report = desk.engine.check(now()).await.unwrap();
    assert_eq!(
        (report.differing.into_iter().collect(), report.repaired),
        (buckets(&[&client]), 0)
    );
    assert_eq!(phone(&desk, &client), None, "a round notes what it has read");
    desk.round().await.unwrap();
    assert_eq!(phone(&desk, &client).as_deref(), Some("2"));
    assert!(desk.is_equal_to_the_service().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_put_back_is_not_compared_before_what_it_lost_was_offered_back() {
    let mut clinic = Clinic::open().await;
    let (desk, other) = (
        clinic.file("one.db", Office).await,
        clinic.file("other.db", Office).await,
    );
    let known: Vec<EntityKey> = (0..6).map(|number| desk.add_client(&number.to_string())).collect();
    desk.round().await.unwrap();
    other.round().await.unwrap();
    let [file, copy]: [PathBuf; 2] = ["service/service.db", "copy.db"].map(|name| clinic.folder.path().join(name));
    clinic.stop_service().await;
    std::fs::copy(&file, &copy).unwrap();
    clinic.start_service().await;
    let lost = desk.add_client("Theo");
    desk.round().await.unwrap();
    clinic.stop_service().await;
    std::fs::copy(&copy, &file).unwrap();
    clinic.start_service().await;
    // The other computer goes on, to behind the position of the first.
    for client in &known {
        other.set(client, "phone", json!({"raw": "later"}));
    }
    other.round().await.unwrap();

    let refused = desk.engine.check(now()).await;
    assert!(
        matches!(refused, Err(SyncError::Transport(TransportError::Refused { .. }))),
        "{refused:?}"
    );
    assert!(desk.document(&lost).is_some(), "it is nowhere else");
    desk.round().await.unwrap();
    assert!(desk.offer_lost() >= 2);
    assert!(desk.is_equal_to_the_service().await);
    let open = desk.store.read(|read| read.open_reoffers()).unwrap();
    assert_eq!(
        open.len(),
        2,
        "the client and her care: of the others the service knows both versions"
    );
}
