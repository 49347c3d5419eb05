//! What only a server of its own can do: be absent, be no replica set, and die.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use caseload_domain::Scope;
use caseload_protocol::messages::Outcome;
use caseload_service::storage::mongo::MongoStorage;
use caseload_service::storage::{OpenError, PushError, Storage, StorageError};
use caseload_testkit::mongod::Mongod;

use mongodb::Client;
use mongodb::bson::{Document, Timestamp, doc};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;

use crate::clinic::{
    Clinic, DESK, EVERYTHING, OWNER, booking, client_document, clinical, create, grant, key, note, patch, user,
};
use crate::ground::{Ground, master};
use crate::listening::Heard;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_replica_set_is_named_as_such() {
    let server = Mongod::alone().await.unwrap_or_else(|error| panic!("{error:#}"));
    for uri in [
        server.uri("practice"),
        format!("{}?replicaSet=elsewhere", server.uri("practice")),
    ] {
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
        acknowledged.extend(
            clinic
                .push(&mut owner, vec![create("client", number, &client_document("Kim"))])
                .await
                .results,
        );
    }
    server.kill().unwrap();

    let group = owner.group(vec![create("client", 99, &client_document("Lee"))]);
    let refused = clinic.send(&owner, vec![group.clone()]).await;
    assert!(
        matches!(refused, Err(PushError::Storage(StorageError::Unavailable(_)))),
        "{refused:?}"
    );
    assert!(clinic.storage.ping().await.is_err_and(|error| error.is_retryable()));

    server.restart().await.unwrap();
    let answer = clinic.send(&owner, vec![group]).await.unwrap();
    assert_eq!(answer.results[0].seq, 21, "nothing was lost and nothing was made twice");
    let rows = clinic.rows(&[Scope::Office]).await;
    for result in acknowledged {
        assert!(rows.iter().any(|row| row.seq == result.seq));
    }
    ground.heard().conclude().await;
}

async fn admin(server: &Mongod, command: Document) -> Document {
    let client = Client::with_uri_str(server.uri("admin")).await.unwrap();
    client.database("admin").run_command(command).await.unwrap()
}

/// A practice on a server of its own, whose failures no other test notices.
async fn alone() -> (Mongod, Clinic, Heard) {
    let server = Mongod::replica_set().await.unwrap_or_else(|error| panic!("{error:#}"));
    let ground = Ground::mongodb_on(&server).await;
    let clinic = Clinic::on(&ground.storage).await;
    (server, clinic, ground.heard())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_unknown_result_and_a_passing_refusal_are_tried_again_and_make_everything_once() {
    let (server, clinic, heard) = alone().await;
    let mut owner = clinic.sender(800, OWNER).await;
    let failures = [
        // The connection breaks after the commit was sent, more often than the driver itself tries again.
        doc! { "failCommands": ["commitTransaction"], "closeConnection": true },
        doc! { "failCommands": ["commitTransaction"], "errorCode": 50, "errorLabels": ["UnknownTransactionCommitResult"] },
        doc! { "failCommands": ["insert"], "errorCode": 112, "errorLabels": ["TransientTransactionError"] },
        doc! { "failCommands": ["findAndModify"], "errorCode": 112, "errorLabels": ["TransientTransactionError"] },
        doc! { "failCommands": ["find", "update"], "closeConnection": true },
    ];
    for (number, failure) in (1..).zip(failures) {
        admin(
            &server,
            doc! { "configureFailPoint": "failCommand", "mode": { "times": 3 }, "data": &failure },
        )
        .await;
        let group = owner.group(vec![create("client", number, &client_document("Kim"))]);
        let answer = clinic
            .send(&owner, vec![group])
            .await
            .unwrap_or_else(|error| panic!("{failure}: {error}"));
        assert_eq!(
            (answer.results[0].st, answer.results[0].seq),
            (Outcome::Applied, i64::from(number)),
            "{failure}"
        );
    }
    heard.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_on_failing_is_given_up_after_the_deadline_and_nothing_was_made() {
    let (server, clinic, heard) = alone().await;
    let mut owner = clinic.sender(800, OWNER).await;
    let failure = doc! { "failCommands": ["insert"], "errorCode": 112, "errorLabels": ["TransientTransactionError"] };
    admin(
        &server,
        doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": failure },
    )
    .await;
    let group = owner.group(vec![create("client", 1, &client_document("Kim"))]);
    let began = Instant::now();
    let refused = clinic.send(&owner, vec![group.clone()]).await;
    assert!(
        matches!(refused, Err(PushError::Storage(StorageError::Unavailable(_)))),
        "{refused:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(15));
    assert_eq!(clinic.head_seq().await, 0);
    admin(&server, doc! { "configureFailPoint": "failCommand", "mode": "off" }).await;
    let answer = clinic.send_until_answered(&owner, &group).await;
    assert_eq!(answer.results[0].st, Outcome::Applied);
    heard.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_step_down_of_the_primary() {
    let (server, clinic, heard) = alone().await;
    let mut owner = clinic.sender(800, OWNER).await;
    for number in 1..=30 {
        if number % 10 == 0 {
            // The server closes the connection on which it is told to step down.
            let client = Client::with_uri_str(server.uri("admin")).await.unwrap();
            let _closed = client
                .database("admin")
                .run_command(doc! { "replSetStepDown": 1, "force": true })
                .await;
        }
        let group = owner.group(vec![create("client", number, &client_document("Kim"))]);
        let mut answer = clinic.send(&owner, vec![group.clone()]).await;
        while let Err(PushError::Storage(StorageError::Unavailable(_))) = answer {
            answer = clinic.send(&owner, vec![group.clone()]).await;
        }
        assert_eq!(answer.unwrap().results[0].seq, i64::from(number));
    }
    assert_eq!(clinic.rows(&[Scope::Office]).await.len(), 30);
    heard.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_read_of_a_practice_walks_through_a_whole_collection() {
    let (server, clinic, heard) = alone().await;
    let mut owner = clinic.sender(800, OWNER).await;
    let mut desk = clinic.sender(801, DESK).await;
    for number in 0..100 {
        clinic
            .push(
                &mut owner,
                vec![create("client", 1_000 + number, &client_document("Kim"))],
            )
            .await;
    }
    let names = Client::with_uri_str(server.uri("admin")).await.unwrap();
    let mut databases = names.list_database_names().await.unwrap();
    databases.retain(|name| name.starts_with("conformance"));
    let database = names.database(&databases[0]);
    database.run_command(doc! { "profile": 2 }).await.unwrap();

    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    clinic
        .push(&mut owner, vec![create("session_note", 5, &note(1, OWNER, "text"))])
        .await;
    clinic
        .push(&mut owner, vec![create("appointment", 1, &booking(600, 1, OWNER))])
        .await;
    clinic
        .push(&mut desk, vec![create("appointment", 2, &booking(610, 2, OWNER))])
        .await;
    let change = desk.group(vec![patch(
        "client",
        1,
        1,
        &serde_json::json!({"phone": {"raw": "010"}}),
    )]);
    clinic.send(&desk, vec![change.clone()]).await.unwrap();
    clinic.send(&desk, vec![change]).await.unwrap();
    let (storage, practice) = (&clinic.storage, clinic.practice);
    let seq = clinic.head_seq().await;
    storage
        .read_since(practice, seq - 2, &[Scope::Office], EVERYTHING)
        .await
        .unwrap();
    storage
        .snapshot_page(practice, &[clinical(1)], Some(&key("a", 1)), EVERYTHING)
        .await
        .unwrap();
    storage.leaves(practice, &[clinical(1)]).await.unwrap();
    storage
        .fetch(practice, &[key("client", 1), key("session_note", 5)])
        .await
        .unwrap();
    storage.care_scopes(practice, user(OWNER)).await.unwrap();
    storage.chain_at(practice, seq - 1).await.unwrap();
    storage.history(practice, seq - 2, 10).await.unwrap();
    database.run_command(doc! { "profile": 0 }).await.unwrap();

    let profile = database.collection::<Document>("system.profile");
    let mut entries = profile
        .find(doc! { "ns": { "$ne": format!("{}.system.profile", database.name()) } })
        .await
        .unwrap();
    let mut reads = 0;
    while entries.advance().await.unwrap() {
        let entry: Document = entries.deserialize_current().unwrap();
        let plan = entry.get_str("planSummary").unwrap_or_default();
        let examined = entry
            .get_i32("docsExamined")
            .unwrap_or_default()
            .max(entry.get_i32("keysExamined").unwrap_or_default());
        assert!(!plan.contains("COLLSCAN"), "{entry}");
        assert!(examined < 40, "{plan} examined {examined}: {entry}");
        reads += usize::from(!plan.is_empty());
    }
    assert!(reads > 30, "the profile holds what was read: {reads}");
    heard.conclude().await;
}

/// What a question for a practice's record said about the state to be read.
#[derive(Clone, Debug, PartialEq)]
struct Asked {
    level: String,
    at_least: Option<Timestamp>,
}

/// A node whose reads of the record are written down.
async fn listened(server: &Mongod, database: &str) -> (Arc<dyn Storage>, Arc<Mutex<Vec<Asked>>>) {
    let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let heard = Arc::clone(&asked);
    let listener = EventHandler::callback(move |event| {
        let CommandEvent::Started(event) = event else { return };
        let record = ["practices", "entities", "ops", "replicas"];
        let reads = event.command.get_str("find").is_ok_and(|name| record.contains(&name));
        if reads && event.command.get_bool("autocommit").is_err() {
            let concern = event.command.get_document("readConcern").cloned().unwrap_or_default();
            heard.lock().unwrap().push(Asked {
                level: concern.get_str("level").unwrap_or_default().to_owned(),
                at_least: concern.get_timestamp("afterClusterTime").ok(),
            });
        }
    });
    let storage = MongoStorage::connect_overheard(&server.uri(database), &master(), listener).await;
    (Arc::new(storage.unwrap()), asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_or_written_is_contained_in_every_later_read_of_the_same_node() {
    let server = Mongod::replica_set().await.unwrap_or_else(|error| panic!("{error:#}"));
    let (storage, asked) = listened(&server, "monotone").await;
    let clinic = Clinic::on(&storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    asked.lock().unwrap().clear();
    let practice = clinic.practice;
    storage.head(practice).await.unwrap();
    storage
        .read_since(practice, 0, &[Scope::Office], EVERYTHING)
        .await
        .unwrap();
    storage
        .snapshot_page(practice, &[Scope::Office], None, EVERYTHING)
        .await
        .unwrap();
    storage.chain_at(practice, 1).await.unwrap();
    storage.fetch(practice, &[key("client", 1)]).await.unwrap();
    storage.care_scopes(practice, user(OWNER)).await.unwrap();
    storage.care_changed_after(practice, 0).await.unwrap();
    storage.history(practice, 0, 10).await.unwrap();
    storage.replica(practice, owner.replica).await.unwrap();
    let reads = std::mem::take(&mut *asked.lock().unwrap());
    assert!(reads.len() >= 11, "{reads:?}");
    assert!(reads.iter().all(|asked| asked.level == "majority"), "{reads:?}");
    assert!(reads.iter().all(|asked| asked.at_least.is_some()), "{reads:?}");
    assert!(reads.is_sorted_by_key(|asked| asked.at_least), "{reads:?}");

    // A node that has seen nothing makes sure once, and from then on asks for what it learned.
    let (newcomer, asked) = listened(&server, "monotone").await;
    newcomer.catch_up(practice).await.unwrap();
    newcomer.head(practice).await.unwrap();
    let reads = std::mem::take(&mut *asked.lock().unwrap());
    let [sure, after] = reads.as_slice() else {
        panic!("{reads:?}")
    };
    assert_eq!((sure.level.as_str(), sure.at_least), ("linearizable", None));
    assert!(after.at_least.is_some(), "{reads:?}");
}
