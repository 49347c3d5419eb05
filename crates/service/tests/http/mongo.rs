//! The same service over a real MongoDB: the storages pass one suite of their own, so here is what only the whole service shows.

use caseload_domain::{ClientId, Role, Scope};
use caseload_protocol::messages::{Outcome, PullResponse, PushResponse, WaitResponse, WireErrorCode};
use caseload_service::storage::OpenError;
use caseload_service::{Service, ServiceConfig, StartError};
use caseload_testkit::mongod::Mongod;

use crate::clinic::{Clinic, Folders, Http, Owner, uuid};
use crate::member::new_client;

pub(crate) fn folders(server: &Mongod) -> Folders {
    let mut folders = Folders::new();
    folders.mongodb = Some(server.uri(&format!("caseload_{}", uuid().simple())));
    folders
}

#[tokio::test]
async fn a_practice_lives_on_mongodb_and_two_nodes_serve_it() {
    let server = Mongod::replica_set().await.unwrap();
    let clinic = Clinic::start_in(folders(&server)).await;
    let owner = Owner::publish(&clinic).await;
    let me = &owner.member;
    let client = me.create_client(&clinic, 1).await;
    me.create_chart(&clinic, client, 1).await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let held: PullResponse = clinic
        .http
        .post_as(
            &desk,
            "/v1/sync/pull",
            &desk.pull(desk.office, &[Scope::Clinical(client)]),
        )
        .await
        .json();
    assert_eq!(
        (held.enter, held.leave, held.rows.len()),
        (vec![Scope::Office], vec![Scope::Clinical(client)], 0)
    );

    let second = ServiceConfig {
        data: clinic.folders.root().join("second"),
        ..clinic.folders.config()
    };
    let second = Service::start(second).await.unwrap();
    assert_eq!(second.setup_code(), None, "the practice was claimed at the other node");
    let other_node = Http::to(second.url());
    let here = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await;
    let there = me.pull_all(&other_node, me.office, &[Scope::Office]).await;
    assert_eq!(here, there, "a session opened at one node is known at the other");
    let path = format!("/v1/sync/wait?seq={}", here.head_seq);
    let wait = async { other_node.get_as(me, &path).await.json::<WaitResponse>().head_seq };
    let (woken, _) = tokio::join!(wait, me.create_client(&clinic, 3));
    assert!(
        woken > here.head_seq,
        "a change at one node wakes who waits at the other"
    );
}

#[tokio::test]
async fn while_mongodb_is_away_a_push_is_refused_as_retryable_and_later_made_once() {
    let mut server = Mongod::replica_set().await.unwrap();
    let clinic = Clinic::start_in(folders(&server)).await;
    let owner = Owner::publish(&clinic).await;
    let me = &owner.member;
    let request = me.push(
        me.office,
        vec![me.group(me.office, 1, vec![new_client(ClientId::new(uuid()))])],
    );
    server.kill().unwrap();
    let refused = clinic.http.post_as(me, "/v1/sync/push", &request).await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, WireErrorCode::StorageUnavailable)
    );
    assert!(refused.code().is_retryable());
    assert_eq!(
        clinic.http.get("/healthz").await.code(),
        WireErrorCode::StorageUnavailable
    );
    server.restart().await.unwrap();
    let made: PushResponse = clinic.http.post_as(me, "/v1/sync/push", &request).await.json();
    assert_eq!((made.results[0].st, made.head_seq), (Outcome::Applied, 1));
    let again: PushResponse = clinic.http.post_as(me, "/v1/sync/push", &request).await.json();
    assert_eq!(again, made);
}

#[tokio::test]
async fn a_server_that_is_no_replica_set_or_is_not_there_stops_the_start_and_says_so() {
    let server = Mongod::alone().await.unwrap();
    let folders = folders(&server);
    let started = Service::start(folders.config()).await;
    assert!(matches!(started, Err(StartError::Open(OpenError::NotReplicaSet))));
    drop(server);
    let started = Service::start(folders.config()).await;
    assert!(matches!(started, Err(StartError::Open(OpenError::Unreachable(_)))));
}
