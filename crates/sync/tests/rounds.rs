//! Rounds between real files and the real service: what merges, what becomes a conflict, and that no way of failing loses anything.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use caseload_domain::EntityKey;
use caseload_protocol::auth::ReplicaKind::{Clinical, Office};
use clinic::Clinic;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn two_desks_merge_different_units_and_keep_both_values_of_the_same_one() {
    let clinic = Clinic::open().await;
    let (one, other) = (
        clinic.file("one.db", Office).await,
        clinic.file("other.db", Office).await,
    );
    let client = one.add_client("Minji");
    one.round().await.unwrap();
    other.round().await.unwrap();
    one.set(&client, "phone", json!({"raw": "1"}));
    other.set(&client, "phone", json!({"raw": "2"}));
    other.set(&client, "address", json!({"city": "Busan"}));
    one.round().await.unwrap();
    other.round().await.unwrap();
    assert!(one.is_equal_to_the_service().await && other.is_equal_to_the_service().await);
    for desk in [&one, &other] {
        let seen = desk.document(&client).unwrap();
        assert_eq!(
            (seen.text("phone", "raw"), seen.text("address", "city")),
            (Some("1"), Some("Busan"))
        );
        let open = desk.store.read(|read| read.open_conflicts()).unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].doc.unit("other").unwrap()["value"], json!({"raw": "2"}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_bookings_made_offline_one_is_placed_the_other_contested_and_a_person_settles_it() {
    let clinic = Clinic::open().await;
    let (one, other) = (
        clinic.file("one.db", Office).await,
        clinic.file("other.db", Office).await,
    );
    let (first, second) = (one.add_client("Minji"), one.add_client("Theo"));
    one.round().await.unwrap();
    other.round().await.unwrap();
    let placed = one.book(&first, 0);
    let contested = other.book(&second, 10);
    one.round().await.unwrap();
    other.round().await.unwrap();
    let placement = |key| one.document(key).unwrap().text("placement", "state").map(str::to_owned);
    assert!(one.is_equal_to_the_service().await);
    assert_eq!(
        (placement(&placed).as_deref(), placement(&contested).as_deref()),
        (Some("placed"), Some("contested"))
    );
    one.write(|tx| {
        tx.patch_unit(&placed, "status", json!({"state": "cancelled_by_client"}))?;
        tx.place(&contested)
    });
    assert!(one.is_equal_to_the_service().await && other.is_equal_to_the_service().await);
    assert_eq!(placement(&contested).as_deref(), Some("placed"));
    assert!(other.store.read(|read| read.open_clashes()).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_asked_for_again_and_nothing_is_made_twice() {
    let clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    desk.add_client("Minji");
    desk.flaky.lose_answers_to(Some("/v1/sync/push"));
    assert!(desk.round().await.is_err());
    assert_eq!(desk.flaky.lost.load(Ordering::SeqCst), 1);
    assert!(desk.waiting() > 0, "the outbox keeps what was not acknowledged");
    desk.flaky.lose_answers_to(None);
    assert!(desk.is_equal_to_the_service().await);
    assert_eq!(desk.waiting(), 0);
    let clients = desk.store.read(|read| read.list("client")).unwrap();
    assert_eq!(clients.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_while_the_service_is_away_and_is_shared_when_it_is_back() {
    let mut clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let client = desk.add_client("Minji");
    desk.round().await.unwrap();
    clinic.stop_service().await;
    desk.set(&client, "phone", json!({"raw": "5"}));
    assert!(desk.round().await.is_err());
    assert_eq!(desk.document(&client).unwrap().text("phone", "raw"), Some("5"));
    clinic.start_service().await;
    assert!(desk.is_equal_to_the_service().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_restored_from_a_copy_loses_nothing_and_makes_nothing_twice() {
    let clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let client = desk.add_client("Minji");
    desk.round().await.unwrap();
    desk.set(&client, "address", json!({"city": "Seoul"}));
    desk.copy_to("copy.db");
    desk.round().await.unwrap();
    desk.set(&client, "phone", json!({"raw": "after the copy"}));
    desk.round().await.unwrap();
    drop(desk);

    let restored = clinic.reopen("copy.db", Office);
    assert!(restored.waiting() > 0, "the copy still believes that its change waits");
    restored.set(&client, "email", json!({"value": "new@example.org"}));
    assert!(restored.is_equal_to_the_service().await);
    let seen = restored.document(&client).unwrap();
    assert_eq!(
        (
            seen.text("address", "city"),
            seen.text("phone", "raw"),
            seen.text("email", "value")
        ),
        (Some("Seoul"), Some("after the copy"), Some("new@example.org"))
    );
    assert!(restored.store.read(|read| read.open_conflicts()).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloned_desk_is_noticed_and_both_clones_keep_their_work() {
    let clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let client = desk.add_client("Minji");
    desk.round().await.unwrap();
    desk.copy_to("clone.db");
    let clone = clinic.reopen("clone.db", Office);
    desk.set(&client, "phone", json!({"raw": "original"}));
    clone.set(&client, "address", json!({"city": "clone"}));
    desk.round().await.unwrap();
    assert!(clone.is_equal_to_the_service().await && desk.is_equal_to_the_service().await);
    let seen = desk.document(&client).unwrap();
    assert_eq!(
        (seen.text("phone", "raw"), seen.text("address", "city")),
        (Some("original"), Some("clone"))
    );
    assert_ne!(
        desk.store.identity().unwrap().replica,
        clone.store.identity().unwrap().replica
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_restored_from_an_older_copy_is_noticed_and_waiting_work_is_kept() {
    let mut clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let client = desk.add_client("Minji");
    desk.round().await.unwrap();
    clinic.stop_service().await;
    let (data, copy) = (
        clinic.folder.path().join("service"),
        clinic.folder.path().join("service-copy"),
    );
    copy_folder(&data, &copy);
    clinic.start_service().await;
    desk.set(
        &client,
        "phone",
        json!({"raw": "acknowledged, then lost by the restore"}),
    );
    desk.round().await.unwrap();
    clinic.stop_service().await;
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    clinic.start_service().await;
    desk.set(&client, "address", json!({"city": "made after"}));
    assert!(
        desk.is_equal_to_the_service().await,
        "the history is another one, and both ends come together again"
    );
    assert_eq!(
        desk.document(&client).unwrap().text("address", "city"),
        Some("made after")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_and_not_pulled_survives_a_service_that_is_put_back() {
    let mut clinic = Clinic::open().await;
    let (desk, other) = (
        clinic.file("one.db", Office).await,
        clinic.file("other.db", Office).await,
    );
    let client = desk.add_client("Minji");
    desk.round().await.unwrap();
    clinic.stop_service().await;
    let (data, copy) = (
        clinic.folder.path().join("service"),
        clinic.folder.path().join("service-copy"),
    );
    copy_folder(&data, &copy);
    clinic.start_service().await;
    desk.set(&client, "phone", json!({"raw": "acknowledged"}));
    desk.flaky.lose_answers_to(Some("/v1/sync/pull"));
    assert!(desk.round().await.is_err());
    assert_eq!(desk.waiting(), 0, "it was acknowledged");
    clinic.stop_service().await;
    std::fs::remove_dir_all(&data).unwrap();
    copy_folder(&copy, &data);
    clinic.start_service().await;
    desk.flaky.lose_answers_to(None);
    assert!(desk.is_equal_to_the_service().await && other.is_equal_to_the_service().await);
    assert_eq!(
        other.document(&client).unwrap().text("phone", "raw"),
        Some("acknowledged")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_clinical_file_receives_the_record_of_the_clients_in_care() {
    let clinic = Clinic::open().await;
    let (office, clinical) = (
        clinic.file("one.db", Office).await,
        clinic.file("clinical.db", Clinical).await,
    );
    let client = office.add_client("Minji");
    office.round().await.unwrap();
    let notes: Vec<_> = (0..25)
        .map(|number| clinical.note(&client, &format!("plan {number}")))
        .collect();
    assert!(clinical.is_equal_to_the_service().await);
    let fresh = clinic.file("fresh.db", Clinical).await;
    assert!(fresh.is_equal_to_the_service().await);
    for note in &notes {
        assert_eq!(fresh.document(note), clinical.document(note));
    }
    let requests = fresh.flaky.requests_to("/v1/sync/snapshot");
    assert_eq!(requests, 0, "a new file reads the feed, however many clients there are");
    let office_rows = office.store.read(|read| read.list("session_note")).unwrap();
    assert!(office_rows.is_empty(), "an office file holds no clinical row");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_service_is_not_felt() {
    let mut clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    desk.add_client("Minji");
    desk.round().await.unwrap();
    clinic.restart_service().await;
    desk.add_client("Theo");
    assert!(desk.is_equal_to_the_service().await);
}

/// More than two pushes take.
const PILED_UP: usize = 1_100;

fn pile_up(desk: &clinic::Desk, client: &EntityKey) {
    for number in 0..PILED_UP {
        let person = json!({"of": {"client": client.id}, "name": {"display": number.to_string()}, "relation": {"kind": "parent"}});
        desk.write(|tx| tx.create_new("related_person", clinic::document(person)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_and_writing_succeed_in_the_middle_of_sharing_what_piled_up() {
    let clinic = Clinic::open().await;
    let desk = Arc::new(clinic.file("one.db", Office).await);
    let client = desk.add_client("Minji");
    pile_up(&desk, &client);
    let (worker, known) = (Arc::downgrade(&desk), client.clone());
    let done = Arc::new(AtomicUsize::new(0));
    let counted = done.clone();
    desk.flaky.meanwhile(move |path, earlier| {
        if let (Some(desk), "/v1/sync/push", 0..3) = (worker.upgrade(), path, earlier) {
            assert!(desk.document(&known).is_some());
            desk.set(&known, "phone", json!({"raw": earlier.to_string()}));
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let round = desk.round().await.unwrap();
    assert_eq!(done.load(Ordering::SeqCst), 3, "more than two pushes went");
    assert_eq!(round.refused, 0);
    assert!(round.pushed > PILED_UP);
    desk.flaky.meanwhile(|_, _| {});
    assert!(desk.is_equal_to_the_service().await);
    assert_eq!(desk.waiting(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_an_answer_was_lost_stays_acknowledged() {
    let clinic = Clinic::open().await;
    let desk = Arc::new(clinic.file("one.db", Office).await);
    let client = desk.add_client("Minji");
    pile_up(&desk, &client);
    let flaky = Arc::downgrade(&desk.flaky);
    desk.flaky.meanwhile(move |path, earlier| {
        if let (Some(flaky), "/v1/sync/push", 0) = (flaky.upgrade(), path, earlier) {
            flaky.lose_answers_to(Some("/v1/sync/push"));
        }
    });
    assert!(desk.round().await.is_err());
    let waiting = usize::try_from(desk.waiting()).unwrap();
    assert!(
        (1..=PILED_UP - 490).contains(&waiting),
        "the first push was noted, {waiting} still wait"
    );
    desk.flaky.meanwhile(|_, _| {});
    desk.flaky.lose_answers_to(None);
    assert!(desk.is_equal_to_the_service().await);
    assert_eq!(desk.waiting(), 0);
    assert_eq!(
        desk.store.read(|read| read.list("related_person")).unwrap().len(),
        PILED_UP
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_feed_comes_complete_although_pages_are_asked_for_ahead() {
    let clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let clients: Vec<_> = (0..1_050).map(|number| desk.add_client(&number.to_string())).collect();
    desk.round().await.unwrap();
    let fresh = clinic.file("fresh.db", Office).await;
    assert!(fresh.is_equal_to_the_service().await);
    for client in [&clients[0], &clients[524], &clients[1_049]] {
        assert_eq!(fresh.document(client), desk.document(client));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_cut_goes_on_with_the_next_page_and_misses_nothing_that_changed_meanwhile() {
    const SNAPSHOT: &str = "/v1/sync/snapshot";
    let clinic = Clinic::open().await;
    let (desk, other) = (
        clinic.file("one.db", Office).await,
        Arc::new(clinic.file("two.db", Office).await),
    );
    let mut clients: Vec<_> = (0..1_050).map(|number| desk.add_client(&number.to_string())).collect();
    clients.sort();
    desk.round().await.unwrap();
    assert!(other.is_equal_to_the_service().await);

    other.store.begin_comparison().unwrap();
    let flaky = Arc::downgrade(&other.flaky);
    other.flaky.meanwhile(move |path, earlier| {
        if let (Some(flaky), SNAPSHOT, 0) = (flaky.upgrade(), path, earlier) {
            flaky.lose_answers_to(Some(SNAPSHOT));
        }
    });
    assert!(other.round().await.is_err());
    assert_eq!(other.flaky.requests_to(SNAPSHOT), 2);
    // Behind the page that has come, and before the one that was lost.
    desk.set(&clients[0], "phone", json!({"raw": "010 1"}));
    desk.set(&clients[1_049], "phone", json!({"raw": "010 2"}));
    desk.round().await.unwrap();

    drop(other);
    let other = clinic.reopen("two.db", Office);
    assert!(other.is_equal_to_the_service().await);
    assert_eq!(
        other.flaky.requests_to(SNAPSHOT),
        2,
        "the first of three pages did not come again"
    );
    for client in [&clients[0], &clients[1_049]] {
        assert_eq!(other.document(client), desk.document(client));
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
