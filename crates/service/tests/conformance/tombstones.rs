//! Void rows are remembered until every device that still shares has passed them; then they go, and nothing else does.

use caseload_domain::{EntityKey, Scope};
use caseload_protocol::messages::{OpKind, Outcome, Refusal};
use caseload_service::storage::{Collected, Keeping};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use serde_json::json;

use crate::clinic::{Clinic, EVERYTHING, OWNER, booking, client_document, create, grant, key, note, op, patch, void};
use crate::ground::Ground;

on_both_storages!(
    void_rows_go_when_they_are_old_enough_and_history_numbers_and_chain_stay,
    a_row_that_went_is_missing_for_every_later_change_and_may_be_made_anew,
    a_client_of_two_nodes_that_collect_at_once_loses_nothing_but_void_rows,
);

const DAY: i64 = 86_400_000;

/// The `day`th day of the practice, with tombstones kept for 400 days.
const fn day(day: i64) -> Keeping {
    Keeping {
        // Far ahead, so that the server does not remove a mark in the middle of a test.
        now_ms: (40_000 + day) * DAY,
        keep_ms: 400 * DAY,
    }
}

/// Now, with nothing kept.
const AT_ONCE: Keeping = Keeping {
    now_ms: 1_000 * DAY,
    keep_ms: 0,
};

impl Clinic {
    async fn collect(&self, keeping: Keeping) -> Collected {
        loop {
            match self.storage.collect_tombstones(self.practice, keeping).await {
                Err(error) if error.is_retryable() => {}
                collected => return collected.unwrap(),
            }
        }
    }

    /// Whether any way of reading gives the row.
    async fn is_read_anywhere(&self, wanted: &EntityKey) -> bool {
        let office = Scope::Office;
        let feed = self.rows(&[office]).await;
        let snapshot = self
            .storage
            .snapshot_page(self.practice, &[office], None, EVERYTHING)
            .await
            .unwrap()
            .rows;
        let leaves = self.storage.leaves(self.practice, &[office]).await.unwrap().entries;
        let fetched = self
            .storage
            .fetch(self.practice, std::slice::from_ref(wanted))
            .await
            .unwrap();
        let ways = [
            feed.iter().any(|row| row.key == *wanted),
            snapshot.iter().any(|row| row.key == *wanted),
            leaves.iter().any(|leaf| leaf.key == *wanted),
            !fetched.is_empty(),
        ];
        assert!(ways.iter().all(|way| *way == ways[0]), "{ways:?}");
        ways[0]
    }
}

async fn void_rows_go_when_they_are_old_enough_and_history_numbers_and_chain_stay(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    for (number, minute) in [(2, 600), (3, 700)] {
        clinic
            .push(
                &mut owner,
                vec![create("appointment", number, &booking(minute, 1, OWNER))],
            )
            .await;
    }
    let early = clinic.push(&mut owner, vec![void("appointment", 2, 1)]).await.head_seq;
    let nothing = Collected { floor: 0, rows: 0 };
    assert_eq!(clinic.collect(day(0)).await, nothing, "the first mark is made");
    clinic.push(&mut owner, vec![void("appointment", 3, 1)]).await;
    let head = clinic.storage.head(clinic.practice).await.unwrap().unwrap();
    assert_eq!(clinic.collect(day(399)).await, nothing);
    assert!(clinic.is_read_anywhere(&key("appointment", 2)).await);

    assert_eq!(clinic.collect(day(400)).await, Collected { floor: early, rows: 1 });
    assert!(!clinic.is_read_anywhere(&key("appointment", 2)).await);
    assert!(
        clinic.is_read_anywhere(&key("appointment", 3)).await,
        "it was void later"
    );
    assert!(clinic.is_read_anywhere(&key("client", 1)).await, "as old, and not void");
    let after = clinic.storage.head(clinic.practice).await.unwrap().unwrap();
    assert_eq!((after.seq, after.chain, after.gc_floor), (head.seq, head.chain, early));
    assert_eq!(
        clinic.storage.leaves(clinic.practice, &[]).await.unwrap().gc_floor,
        early
    );
    let history = clinic.storage.history(clinic.practice, 0, 100).await.unwrap();
    assert_eq!(
        history.last().map(|entry| (entry.last_seq, entry.chain)),
        Some((head.seq, head.chain))
    );

    assert_eq!(clinic.collect(day(400)).await, Collected { floor: early, rows: 0 });
    // The mark of day 399 counts a year and more later, that of day 400 was not due.
    assert_eq!(
        clinic.collect(day(799)).await,
        Collected {
            floor: head.seq,
            rows: 1
        }
    );
    assert!(!clinic.is_read_anywhere(&key("appointment", 3)).await);
    let again = clinic.through(ground.restarted().await);
    assert_eq!(
        again.collect(day(799)).await,
        Collected {
            floor: head.seq,
            rows: 0
        }
    );
}

async fn a_row_that_went_is_missing_for_every_later_change_and_may_be_made_anew(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    clinic
        .push(&mut owner, vec![create("appointment", 2, &booking(600, 1, OWNER))])
        .await;
    clinic
        .push(&mut owner, vec![create("session_note", 4, &note(1, OWNER, "text"))])
        .await;
    clinic
        .push(&mut owner, vec![void("appointment", 2, 1), void("session_note", 4, 1)])
        .await;
    let floor = clinic.head_seq().await;
    assert_eq!(clinic.collect(AT_ONCE).await, Collected { floor, rows: 2 });

    let moved = json!({"status": {"state": "arrived"}});
    let changes = [
        patch("appointment", 2, 2, &moved),
        void("appointment", 2, 2),
        op(OpKind::Restore, key("appointment", 2), 2, &json!({})),
    ];
    for change in changes {
        let answer = clinic.push(&mut owner, vec![change]).await.results.remove(0);
        assert_eq!((answer.st, answer.why), (Outcome::Rejected, Some(Refusal::Missing)));
    }
    let anew = create("appointment", 2, &booking(600, 1, OWNER));
    let answer = clinic.push(&mut owner, vec![anew]).await.results.remove(0);
    assert_eq!((answer.st, answer.rev), (Outcome::Applied, 1));
    assert!(clinic.is_read_anywhere(&key("appointment", 2)).await);
    assert_eq!(clinic.placement(2).await, "placed");
    assert_eq!(clinic.collect(AT_ONCE).await.rows, 0, "it is no tombstone any more");
}

async fn a_client_of_two_nodes_that_collect_at_once_loses_nothing_but_void_rows(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let other = clinic.through(ground.another_node().await);
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    for number in 2..12 {
        clinic
            .push(
                &mut owner,
                vec![create(
                    "appointment",
                    number,
                    &booking(i64::from(number) * 60, 1, OWNER),
                )],
            )
            .await;
        if number % 2 == 0 {
            clinic.push(&mut owner, vec![void("appointment", number, 1)]).await;
        }
    }
    let floor = clinic.head_seq().await;
    let write = async {
        let later = create("appointment", 20, &booking(60 * 30, 1, OWNER));
        clinic.push(&mut owner, vec![later]).await
    };
    let (one, two, written) = tokio::join!(clinic.collect(AT_ONCE), other.collect(AT_ONCE), write);
    assert_eq!((one.rows + two.rows, written.results[0].st), (5, Outcome::Applied));
    assert!(one.floor >= floor && two.floor >= floor);
    for number in 2..12 {
        assert_eq!(
            clinic.is_read_anywhere(&key("appointment", number)).await,
            number % 2 == 1
        );
    }
    assert!(other.is_read_anywhere(&key("appointment", 20)).await);
}

/// The account of the service may remove nothing.
#[tokio::test(flavor = "multi_thread")]
async fn on_mongodb_the_server_itself_removes_what_went() {
    let ground = Ground::mongodb().await;
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    clinic
        .push(&mut owner, vec![create("appointment", 2, &booking(600, 1, OWNER))])
        .await;
    clinic.push(&mut owner, vec![void("appointment", 2, 1)]).await;
    assert_eq!(clinic.collect(AT_ONCE).await.rows, 1);
    let (uri, name) = ground.administration();
    let client = Client::with_uri_str(uri).await.unwrap();
    let entities = client.database(&name).collection::<Document>("entities");
    let void = doc! { "t": "appointment" };
    let gone = async {
        while entities.count_documents(void.clone()).await.unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(90), gone)
        .await
        .unwrap();
    assert_eq!(
        entities.count_documents(doc! {}).await.unwrap(),
        2,
        "the client and the care stay"
    );
    client.shutdown().immediate(true).await;
    ground.heard().conclude().await;
}
