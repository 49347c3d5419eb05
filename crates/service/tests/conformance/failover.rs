//! Three members of which the primary steps down and dies while changes come in, and a server that is slow and fails at random.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use caseload_domain::Scope;
use caseload_protocol::checksum::extend_chain;
use caseload_protocol::facts::VerifiedGroup;
use caseload_protocol::messages::{OpResult, Outcome};
use caseload_service::storage::{PushError, StorageError};
use caseload_testkit::mongod::Mongod;
use caseload_testkit::replica_set::ReplicaSet;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clinic::{Clinic, OWNER, Sender, client_document, create};
use crate::feed::{tail, whole_history};
use crate::ground::Ground;

/// What one sender was told.
struct Told {
    sender: Sender,
    groups: Vec<VerifiedGroup>,
    results: Vec<OpResult>,
}

fn count(told: &[Told]) -> usize {
    told.iter().map(|told| told.results.len()).sum()
}

/// Creates clients until it is told to stop, `least` at the least.
async fn write_on(
    clinic: Clinic,
    number: u32,
    least: u32,
    over: Arc<AtomicBool>,
    acknowledged: Arc<watch::Sender<u32>>,
) -> Told {
    let mut sender = Sender::new(2_000 + number, OWNER);
    let (mut groups, mut results) = (Vec::new(), Vec::new());
    for client in 0.. {
        if over.load(Ordering::Acquire) && client >= least {
            break;
        }
        let group = sender.group(vec![create(
            "client",
            100_000 * number + client,
            &client_document("Kim"),
        )]);
        results.extend(clinic.send_until_answered(&sender, &group).await.results);
        groups.push(group);
        acknowledged.send_modify(|count| *count += 1);
    }
    Told {
        sender,
        groups,
        results,
    }
}

/// Waits until this many more changes were acknowledged, so that a fault comes in the middle of work.
async fn more(acknowledged: &watch::Sender<u32>, count: u32) {
    let aim = *acknowledged.borrow() + count;
    acknowledged.subscribe().wait_for(|count| *count >= aim).await.unwrap();
}

/// Everything that was acknowledged is there once, under the number that was told, in a chain without a gap; and the same bytes have the
/// same answer.
async fn assert_nothing_is_lost(clinic: &Clinic, told: Vec<Told>) {
    let mut seqs: Vec<i64> = told
        .iter()
        .flat_map(|told| &told.results)
        .map(|result| result.seq)
        .collect();
    seqs.sort_unstable();
    let head = clinic.storage.head(clinic.practice).await.unwrap().unwrap();
    assert_eq!(seqs, (1..=head.seq).collect::<Vec<_>>());
    let rows = clinic.rows(&[Scope::Office]).await;
    assert_eq!(rows.len(), seqs.len());
    let (mut chain, mut next) = ([0; 32], 1);
    for entry in whole_history(clinic.storage.as_ref(), clinic).await {
        assert_eq!(entry.first_seq, next);
        chain = extend_chain(&chain, entry.op_id, entry.first_seq, &entry.leaves);
        next = entry.last_seq + 1;
    }
    assert_eq!((next - 1, chain), (head.seq, head.chain));
    for Told {
        sender,
        groups,
        results,
    } in told
    {
        for (groups, results) in groups.chunks(40).zip(results.chunks(40)) {
            let again = clinic.send(&sender, groups.to_vec()).await.unwrap();
            assert_eq!(again.results, results);
            assert!(results.iter().all(|result| result.st == Outcome::Applied));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_primary_steps_down_and_dies_every_push_is_answered_in_the_end_and_nothing_acknowledged_is_lost() {
    let mut set = ReplicaSet::of_three().await.unwrap_or_else(|error| panic!("{error:#}"));
    let ground = Ground::mongodb_on_three(&set).await;
    let here = Clinic::on(&ground.storage).await;
    let there = here.through(ground.another_node().await);
    let (over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(watch::Sender::new(0)));
    let mut writers = JoinSet::new();
    for number in 1..=4 {
        here.sender(2_000 + number, OWNER).await;
        let clinic = if number % 2 == 0 { here.clone() } else { there.clone() };
        writers.spawn(write_on(
            clinic,
            number,
            1,
            Arc::clone(&over),
            Arc::clone(&acknowledged),
        ));
    }
    let written = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(tail(here.clone(), Arc::clone(&written)));
    more(&acknowledged, 10).await;
    set.step_down().await.unwrap();
    more(&acknowledged, 10).await;
    let killed = set.kill_primary().await.unwrap();
    // Two members are a majority: work goes on.
    more(&acknowledged, 10).await;
    set.restart(killed).await.unwrap();
    set.step_down().await.unwrap();
    more(&acknowledged, 10).await;
    let killed = set.kill_primary().await.unwrap();
    more(&acknowledged, 10).await;
    set.restart(killed).await.unwrap();
    over.store(true, Ordering::Release);
    let told = writers.join_all().await;
    written.store(true, Ordering::Release);
    let mirror = reader.await.unwrap();
    assert_eq!(mirror.len(), count(&told), "the tailing reader missed nothing");
    assert_nothing_is_lost(&here, told).await;
    ground.heard().conclude().await;
}

async fn fail(server: &Client, failure: &Document) {
    let mut command = doc! { "configureFailPoint": "failCommand" };
    command.extend(failure.clone());
    server.database("admin").run_command(command).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_has_no_gap_while_64_writers_meet_slow_and_failing_statements() {
    const STATEMENTS: [&str; 4] = ["find", "findAndModify", "insert", "update"];
    let server = Mongod::replica_set().await.unwrap_or_else(|error| panic!("{error:#}"));
    let ground = Ground::mongodb_on(&server).await;
    let here = Clinic::on(&ground.storage).await;
    let there = here.through(ground.another_node().await);
    let (over, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(watch::Sender::new(0)));
    for number in 1..=64 {
        here.sender(2_000 + number, OWNER).await;
    }
    let written = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(tail(there.clone(), Arc::clone(&written)));
    let mut writers = JoinSet::new();
    for number in 1..=64 {
        let clinic = if number % 2 == 0 { here.clone() } else { there.clone() };
        writers.spawn(write_on(
            clinic,
            number,
            3,
            Arc::clone(&over),
            Arc::clone(&acknowledged),
        ));
    }
    let unknown = ["UnknownTransactionCommitResult"];
    let transient = ["TransientTransactionError"];
    let failures = [
        doc! {
            "mode": { "activationProbability": 0.3 },
            "data": { "failCommands": STATEMENTS.as_slice(), "blockConnection": true, "blockTimeMS": 10, "appName": "caseload" },
        },
        doc! {
            "mode": { "activationProbability": 0.1 },
            "data": { "failCommands": STATEMENTS.as_slice(), "errorCode": 112, "errorLabels": transient.as_slice(), "appName": "caseload" },
        },
        doc! {
            "mode": { "activationProbability": 0.3 },
            "data": { "failCommands": ["commitTransaction"], "errorCode": 50, "errorLabels": unknown.as_slice(), "appName": "caseload" },
        },
        doc! {
            "mode": { "activationProbability": 0.05 },
            "data": {
                "failCommands": ["find", "findAndModify", "insert", "update", "commitTransaction"], "closeConnection": true, "appName": "caseload",
            },
        },
        doc! { "mode": "off" },
    ];
    let beside = Client::with_uri_str(server.uri("admin")).await.unwrap();
    for failure in &failures {
        fail(&beside, failure).await;
        more(&acknowledged, 30).await;
    }
    over.store(true, Ordering::Release);
    let told = writers.join_all().await;
    written.store(true, Ordering::Release);
    let mirror = reader.await.unwrap();
    assert_eq!(mirror.len(), count(&told), "the tailing reader missed nothing");
    assert_nothing_is_lost(&here, told).await;
    ground.heard().conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_key_inside_a_push_ends_it_at_once_and_writes_nothing() {
    let server = Mongod::replica_set().await.unwrap_or_else(|error| panic!("{error:#}"));
    let ground = Ground::mongodb_on(&server).await;
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let beside = Client::with_uri_str(server.uri("admin")).await.unwrap();
    let duplicate = doc! { "mode": "alwaysOn", "data": { "failCommands": ["insert"], "errorCode": 11000 } };
    fail(&beside, &duplicate).await;
    let group = owner.group(vec![create("client", 1, &client_document("Kim"))]);
    let before = ground.heard().times("insert");
    let refused = clinic.send(&owner, vec![group.clone()]).await;
    assert!(
        matches!(refused, Err(PushError::Storage(StorageError::Failed(_)))),
        "{refused:?}"
    );
    assert_eq!(ground.heard().times("insert") - before, 1, "it is not tried again");
    assert_eq!(clinic.head_seq().await, 0);
    fail(&beside, &doc! { "mode": "off" }).await;
    assert_eq!(clinic.send(&owner, vec![group]).await.unwrap().results[0].seq, 1);
    ground.heard().conclude().await;
}
