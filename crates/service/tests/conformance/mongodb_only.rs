//! What only a server of its own can do: be absent, be no replica set, and die.

use std::time::{Duration, Instant};

use caseload_domain::Scope;
use caseload_service::storage::mongo::MongoStorage;
use caseload_service::storage::{OpenError, PushError, StorageError};
use caseload_testkit::mongod::Mongod;

use crate::clinic::{Clinic, OWNER, client_document, create};
use crate::ground::{Ground, master};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_replica_set_is_named_as_such() {
    let server = Mongod::alone().await.unwrap_or_else(|error| panic!("{error:#}"));
    for uri in [server.uri("practice"), format!("{}?replicaSet=elsewhere", server.uri("practice"))] {
        let refused = MongoStorage::connect(&uri, &master()).await;
        assert!(matches!(refused.err(), Some(OpenError::NotReplicaSet)), "{uri}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_reported_within_seconds() {
    let began = Instant::now();
    // Port 9 discards; nobody listens there.
    let refused = MongoStorage::connect("mongodb://127.0.0.1:9/practice", &master()).await;
    assert!(matches!(refused.err(), Some(OpenError::Unreachable(_))));
    assert!(began.elapsed() < Duration::from_secs(10));
    let refused = MongoStorage::connect("no uri", &master()).await;
    assert!(matches!(refused.err(), Some(OpenError::Uri(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_down_a_push_may_be_tried_again_and_what_was_acknowledged_survives_its_death() {
    let mut server = Mongod::replica_set().await.unwrap_or_else(|error| panic!("{error:#}"));
    let ground = Ground::mongodb_on(&server).await;
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let mut acknowledged = Vec::new();
    for number in 0..20 {
        acknowledged.extend(clinic.push(&mut owner, vec![create("client", number, &client_document("Kim"))]).await.results);
    }
    server.kill().unwrap();

    let group = owner.group(vec![create("client", 99, &client_document("Lee"))]);
    let refused = clinic.send(&owner, vec![group.clone()]).await;
    assert!(matches!(refused, Err(PushError::Storage(StorageError::Unavailable(_)))), "{refused:?}");
    assert!(clinic.storage.ping().await.is_err_and(|error| error.is_retryable()));

    server.restart().await.unwrap();
    let answer = clinic.send(&owner, vec![group]).await.unwrap();
    assert_eq!(answer.results[0].seq, 21, "nothing was lost and nothing was made twice");
    let rows = clinic.rows(&[Scope::Office]).await;
    for result in acknowledged {
        assert!(rows.iter().any(|row| row.seq == result.seq));
    }
}
