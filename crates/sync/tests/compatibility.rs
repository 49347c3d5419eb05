//! Programs of different versions: a service that does not speak with this program any more, rows that only a newer one may change, content
//! that this one does not know. What waits is kept in every case, and goes out once both ends understand each other.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_protocol::auth::ReplicaKind::Office;
use caseload_protocol::messages::WireErrorCode;
use caseload_store::{RefusedWhy, WriteError};
use caseload_sync::SyncError;
use clinic::{Clinic, Desk, Way};
use serde_json::{Value, json};

/// Nothing is lost while the two do not speak, and everything goes once they do.
async fn keeps_what_waits_until_they_speak_again(desk: &Desk, waiting: u64) {
    for _ in 0..2 {
        assert!(matches!(desk.round().await, Err(SyncError::UpgradeRequired)));
        assert_eq!(desk.waiting(), waiting);
        assert!(desk.store.read(|read| read.refused()).unwrap().is_empty());
    }
    desk.flaky.as_of_this_version();
    assert!(desk.is_equal_to_the_service().await);
    assert_eq!(desk.waiting(), 0);
}

fn hello_says(desk: &Desk, member: &'static str, number: u32) {
    desk.flaky.as_of_another_version(move |path, way, body| {
        let there = member == "proto";
        if path == "/v1/sync/hello" && there == (way == Way::There) {
            body[member] = number.into();
        }
        Ok(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_too_old_or_too_new_for_the_service_stops_at_its_greeting_and_keeps_what_waits() {
    let clinic = Clinic::open().await;
    for (name, member, number) in [
        ("old.db", "proto", 0),
        ("new.db", "proto", 2),
        ("writer.db", "min_writer", 2),
    ] {
        let desk = clinic.file(name, Office).await;
        desk.add_client("Minji");
        hello_says(&desk, member, number);
        keeps_what_waits_until_they_speak_again(&desk, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ceases_to_speak_with_this_program_in_the_middle_stops_it_and_what_waits_is_kept() {
    let clinic = Clinic::open().await;
    for (name, refusing) in [("push.db", "/v1/sync/push"), ("pull.db", "/v1/sync/pull")] {
        let desk = clinic.file(name, Office).await;
        let client = desk.add_client("Minji");
        assert!(desk.is_equal_to_the_service().await);
        desk.flaky.as_of_another_version(move |path, way, _| {
            let refuses = path == refusing && way == Way::There;
            if refuses {
                Err(WireErrorCode::UpgradeRequired)
            } else {
                Ok(())
            }
        });
        desk.set(&client, "phone", json!({"raw": "made meanwhile"}));
        // A push that went through waits for nothing more; the pull that would show it is what is refused then.
        let waiting = u64::from(refusing == "/v1/sync/push");
        keeps_what_waits_until_they_speak_again(&desk, waiting).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_only_a_newer_program_may_change_is_shown_and_locked_and_all_others_go_on() {
    let clinic = Clinic::open().await;
    let (desk, newer) = (
        clinic.file("one.db", Office).await,
        clinic.file("newer.db", Office).await,
    );
    let (locked, free) = (newer.add_client("Minji"), newer.add_client("Theo"));
    newer.round().await.unwrap();
    let id = json!(locked.id);
    desk.flaky.as_of_another_version(move |_, way, body| {
        let rows = body.get_mut("rows").and_then(Value::as_array_mut);
        for row in rows
            .into_iter()
            .flatten()
            .filter(|row| way == Way::Back && row["id"] == id)
        {
            row["min_writer"] = 9.into();
        }
        Ok(())
    });
    desk.round().await.unwrap();
    assert_eq!(desk.document(&locked).unwrap().text("name", "given"), Some("Minji"));
    let refused = desk.try_write(|tx| tx.patch_unit(&locked, "phone", json!({"raw": "1"})));
    assert!(matches!(refused, Err(WriteError::NeedsNewerProgram)));
    assert_eq!(desk.waiting(), 0, "nothing of it waits");
    desk.set(&free, "phone", json!({"raw": "2"}));
    assert!(desk.is_equal_to_the_service().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_row_that_a_newer_program_wrote_meanwhile_is_held_and_shown_and_goes_out_after_the_update() {
    let clinic = Clinic::open().await;
    let desk = clinic.file("one.db", Office).await;
    let (held, free) = (desk.add_client("Minji"), desk.add_client("Theo"));
    desk.round().await.unwrap();
    desk.set(&held, "phone", json!({"raw": "held"}));
    desk.set(&free, "phone", json!({"raw": "taken"}));
    // The service of a newer version decides so about the first of the two.
    desk.flaky.as_of_another_version(|path, way, body| {
        if path == "/v1/sync/push" && way == Way::Back {
            body["results"][0]["st"] = "upgrade".into();
        }
        Ok(())
    });
    desk.round().await.unwrap();
    let shown = |desk: &Desk| desk.document(&held).unwrap().text("phone", "raw").map(str::to_owned);
    assert_eq!(shown(&desk).as_deref(), Some("held"), "still shown as it was made");
    let kept = desk.store.read(|read| read.refused()).unwrap();
    assert_eq!(
        (kept.len(), kept[0].why, &kept[0].ops[0].key),
        (1, RefusedWhy::Held, &held)
    );
    assert_eq!(desk.waiting(), 0, "it is not sent again and holds nothing up");

    desk.flaky.as_of_this_version();
    desk.set(&free, "email", json!({"value": "a@b.example"}));
    assert!(desk.round().await.is_ok());
    desk.write(|tx| tx.retry(kept[0].grp));
    assert!(desk.is_equal_to_the_service().await);
    assert_eq!(shown(&desk).as_deref(), Some("held"));
    assert!(desk.store.read(|read| read.refused()).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_newer_program_added_to_a_record_survives_a_change_by_this_one_byte_for_byte() {
    let clinic = Clinic::open().await;
    let (newer, older) = (
        clinic.file("newer.db", Office).await,
        clinic.file("older.db", Office).await,
    );
    let client = newer.add_client("Minji");
    let later = json!({"z": [1, {"한글": null}, ""], "a": {"deep": [true, -9_007_199_254_740_991_i64]}});
    newer.set(&client, "of_a_later_year", later.clone());
    newer.round().await.unwrap();
    older.round().await.unwrap();
    older.set(&client, "phone", json!({"raw": "by the older one"}));
    older.round().await.unwrap();
    assert!(newer.is_equal_to_the_service().await && older.is_equal_to_the_service().await);
    for desk in [&newer, &older] {
        let seen = desk.document(&client).unwrap();
        assert_eq!(seen.unit("of_a_later_year"), Some(&later));
        assert_eq!(seen.text("phone", "raw"), Some("by the older one"));
    }
}
