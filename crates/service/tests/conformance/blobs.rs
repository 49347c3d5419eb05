//! Blobs: they grow at their end, repetition is harmless, the commit checks what is stored, and time takes what was never committed.

use caseload_domain::{BlobId, PracticeId};
use caseload_protocol::checksum::sha256;
use caseload_service::storage::{BlobError, BlobPart, BlobState, Keeping, UPLOAD_MS};
use serde_json::json;
use tokio::task::JoinSet;

use crate::clinic::{Clinic, DESK, OWNER, SALT, account, create, device, id, new_practice, user, uuid, void};
use crate::ground::Ground;

on_both_storages!(
    a_blob_grows_part_by_part_and_goes_on_after_a_cut_at_another_node,
    the_same_part_again_is_harmless_and_other_bytes_in_its_place_are_refused,
    a_commit_checks_length_and_hash_of_what_is_stored,
    what_hashes_wrong_is_thrown_away_and_sent_anew,
    ranges_are_read_across_parts_and_only_after_the_commit,
    a_blob_is_never_longer_than_allowed,
    a_blob_belongs_to_one_practice,
    what_is_not_committed_in_time_is_begun_anew_and_what_is_committed_stays,
    of_many_who_send_the_same_part_all_succeed_and_it_is_there_once,
    documents_that_name_a_blob_are_found_void_or_not_until_their_tombstones_go,
);

const NOW: i64 = 4_000_000_000_000;
const MOST: u64 = 1 << 30;

fn blob(number: u32) -> BlobId {
    BlobId::new(uuid(number))
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

fn part(number: u32, offset: usize, bytes: &[u8]) -> BlobPart {
    BlobPart {
        blob: blob(number),
        offset: offset as u64,
        bytes: bytes.to_vec(),
        by: user(OWNER),
        now_ms: NOW,
        most: MOST,
    }
}

fn open(received: usize) -> BlobState {
    BlobState {
        begun_by: user(OWNER),
        received: received as u64,
        sha256: None,
    }
}

impl Clinic {
    async fn put(&self, part: BlobPart) -> Result<BlobState, BlobError> {
        self.storage.put_blob(self.practice, part).await
    }

    async fn state(&self, number: u32) -> Option<BlobState> {
        self.storage.blob(self.practice, blob(number), NOW).await.unwrap()
    }

    async fn commit(&self, number: u32, all: &[u8]) -> Result<BlobState, BlobError> {
        self.storage
            .commit_blob(self.practice, blob(number), all.len() as u64, sha256(all), NOW)
            .await
    }

    async fn read(&self, number: u32, offset: u64, most: usize) -> Option<Vec<u8>> {
        self.storage
            .read_blob(self.practice, blob(number), offset, most)
            .await
            .unwrap()
    }
}

#[track_caller]
fn is_wrong_offset(result: Result<BlobState, BlobError>, expected: usize) {
    match result {
        Err(BlobError::WrongOffset { received }) => assert_eq!(received, expected as u64),
        other => panic!("{other:?}"),
    }
}

async fn a_blob_grows_part_by_part_and_goes_on_after_a_cut_at_another_node(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let all = bytes(1_000);
    assert_eq!(clinic.state(1).await, None);
    assert_eq!(clinic.put(part(1, 0, &all[..300])).await.unwrap(), open(300));
    is_wrong_offset(clinic.put(part(1, 400, &all[400..])).await, 300);
    is_wrong_offset(clinic.put(part(2, 1, &all)).await, 0);
    is_wrong_offset(clinic.commit(1, &all).await, 300);
    let other = clinic.through(ground.another_node().await);
    assert_eq!(other.state(1).await, Some(open(300)), "where to go on");
    assert_eq!(other.put(part(1, 300, &all[300..])).await.unwrap(), open(1_000));
    let committed = other.commit(1, &all).await.unwrap();
    assert_eq!(
        committed,
        BlobState {
            sha256: Some(sha256(&all)),
            ..open(1_000)
        }
    );
    assert_eq!(clinic.state(1).await, Some(committed));
    assert_eq!(clinic.read(1, 0, 2_000).await, Some(all));
}

async fn the_same_part_again_is_harmless_and_other_bytes_in_its_place_are_refused(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let all = bytes(900);
    for place in [0, 300, 600] {
        for _ in 0..2 {
            let grown = clinic.put(part(1, place, &all[place..place + 300])).await.unwrap();
            assert_eq!(grown, open(place + 300));
        }
    }
    assert_eq!(clinic.put(part(1, 0, &all[..300])).await.unwrap(), open(900));
    is_wrong_offset(clinic.put(part(1, 0, &all[300..600])).await, 900);
    is_wrong_offset(clinic.put(part(1, 300, &all[300..400])).await, 900);
    is_wrong_offset(clinic.put(part(1, 600, &bytes(400))).await, 900);
    let committed = clinic.commit(1, &all).await.unwrap();
    assert_eq!(
        clinic.put(part(1, 300, &all[300..600])).await.unwrap(),
        committed,
        "a repetition that was on its way while the blob was committed"
    );
    is_wrong_offset(clinic.put(part(1, 900, b"more")).await, 900);
    assert_eq!(clinic.read(1, 0, 2_000).await, Some(all));
}

async fn a_commit_checks_length_and_hash_of_what_is_stored(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let all = bytes(500);
    is_wrong_offset(clinic.commit(1, &all).await, 0);
    clinic.put(part(1, 0, &all)).await.unwrap();
    is_wrong_offset(clinic.commit(1, &all[..499]).await, 500);
    let first = clinic.commit(1, &all).await.unwrap();
    assert_eq!(clinic.commit(1, &all).await.unwrap(), first, "again gives the same");
    let other = clinic
        .storage
        .commit_blob(clinic.practice, blob(1), 500, [0; 32], NOW)
        .await;
    assert!(matches!(other, Err(BlobError::WrongHash)));
    assert_eq!(clinic.state(1).await, Some(first), "what is committed stays");
}

async fn what_hashes_wrong_is_thrown_away_and_sent_anew(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let all = bytes(500);
    clinic.put(part(1, 0, &[0; 200])).await.unwrap();
    clinic.put(part(1, 200, &all[200..])).await.unwrap();
    assert!(matches!(clinic.commit(1, &all).await, Err(BlobError::WrongHash)));
    assert_eq!(clinic.state(1).await.map_or(0, |state| state.received), 0);
    assert_eq!(clinic.read(1, 0, 10).await, None);
    clinic.put(part(1, 0, &all[..200])).await.unwrap();
    clinic.put(part(1, 200, &all[200..])).await.unwrap();
    clinic.commit(1, &all).await.unwrap();
    assert_eq!(clinic.read(1, 0, 500).await, Some(all));
}

async fn ranges_are_read_across_parts_and_only_after_the_commit(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let all = bytes(1_000);
    for place in (0..1_000).step_by(100) {
        clinic.put(part(1, place, &all[place..place + 100])).await.unwrap();
    }
    assert_eq!(clinic.read(1, 0, 10).await, None);
    assert_eq!(clinic.read(2, 0, 10).await, None);
    clinic.commit(1, &all).await.unwrap();
    for (offset, most) in [
        (0, 1),
        (0, 1_000),
        (99, 2),
        (100, 100),
        (150, 500),
        (999, 1),
        (950, 500),
        (0, 0),
    ] {
        let end = (offset + most).min(1_000);
        assert_eq!(
            clinic.read(1, offset as u64, most).await.as_deref(),
            Some(&all[offset..end]),
            "{most} from {offset}"
        );
    }
    assert_eq!(clinic.read(1, 1_000, 10).await, Some(Vec::new()));
    assert_eq!(clinic.read(1, 5_000, 10).await, Some(Vec::new()));
}

async fn a_blob_is_never_longer_than_allowed(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let limited = |offset, length| BlobPart {
        most: 100,
        ..part(1, offset, &bytes(length))
    };
    assert!(matches!(clinic.put(limited(0, 101)).await, Err(BlobError::TooLarge)));
    clinic.put(limited(0, 60)).await.unwrap();
    assert!(matches!(clinic.put(limited(60, 41)).await, Err(BlobError::TooLarge)));
    assert_eq!(clinic.put(limited(60, 40)).await.unwrap(), open(100));
}

async fn a_blob_belongs_to_one_practice(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let elsewhere = new_practice(2);
    ground
        .storage
        .claim(&elsewhere, &account(OWNER), &device(701, &[OWNER]))
        .await
        .unwrap();
    let all = bytes(100);
    clinic.put(part(1, 0, &all)).await.unwrap();
    clinic.commit(1, &all).await.unwrap();
    let foreign = Clinic {
        practice: elsewhere.practice,
        ..clinic.clone()
    };
    assert_eq!(foreign.state(1).await, None);
    assert_eq!(foreign.read(1, 0, 10).await, None);
    is_wrong_offset(foreign.commit(1, &all).await, 0);
    foreign.put(part(1, 0, b"their own under the same id")).await.unwrap();
    assert_eq!(clinic.read(1, 0, 100).await, Some(all));
    let nowhere = PracticeId::new(uuid(3));
    assert_eq!(ground.storage.blob(nowhere, blob(1), NOW).await.unwrap(), None);
}

async fn what_is_not_committed_in_time_is_begun_anew_and_what_is_committed_stays(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let all = bytes(300);
    clinic.put(part(1, 0, &all[..100])).await.unwrap();
    clinic.put(part(2, 0, &all)).await.unwrap();
    let committed = clinic.commit(2, &all).await.unwrap();
    let late = NOW + UPLOAD_MS;
    let state = async |number, now_ms| {
        clinic
            .storage
            .blob(clinic.practice, blob(number), now_ms)
            .await
            .unwrap()
    };
    assert_eq!(state(1, late - 1).await, Some(open(100)));
    assert_eq!(state(1, late).await, None);
    assert_eq!(state(2, i64::MAX).await, Some(committed));
    let lately = |offset, bytes: &[u8]| BlobPart {
        now_ms: late,
        by: user(DESK),
        ..part(1, offset, bytes)
    };
    is_wrong_offset(clinic.put(lately(100, &all[100..])).await, 0);
    let begun = clinic.put(lately(0, &all[..200])).await.unwrap();
    assert_eq!((begun.begun_by, begun.received), (user(DESK), 200));
    clinic.put(lately(200, &all[200..])).await.unwrap();
    clinic.commit(1, &all).await.unwrap();
    assert_eq!(clinic.read(1, 0, 300).await, Some(all));
}

async fn of_many_who_send_the_same_part_all_succeed_and_it_is_there_once(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let all = bytes(400);
    clinic.put(part(1, 0, &all[..100])).await.unwrap();
    let mut racing = JoinSet::new();
    for _ in 0..8 {
        let (clinic, all) = (clinic.clone(), all.clone());
        racing.spawn(async move { clinic.put(part(1, 100, &all[100..])).await.unwrap() });
    }
    for grown in racing.join_all().await {
        assert_eq!(grown, open(400));
    }
    clinic.commit(1, &all).await.unwrap();
    assert_eq!(clinic.read(1, 0, 1_000).await, Some(all));
}

async fn documents_that_name_a_blob_are_found_void_or_not_until_their_tombstones_go(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(801, OWNER).await;
    let document = |number: u32, named: u32| {
        let content = json!({
            "blob": id(named), "key": "A".repeat(43), "sha256": "0".repeat(64), "size": 1, "sealed_size": 83,
            "media_type": "application/pdf", "created": 1,
        });
        let document = json!({
            "salt": SALT, "subject": {"client": id(1), "author": id(OWNER)}, "content": content,
            "title": {"text": "Letter"}, "category": {"code": "report"},
        });
        create("document", number, &document)
    };
    let found = async || {
        let rows = clinic
            .storage
            .documents_of_blob(clinic.practice, blob(1))
            .await
            .unwrap();
        rows.into_iter().map(|row| (row.key, row.deleted)).collect::<Vec<_>>()
    };
    assert_eq!(found().await, []);
    let named = document(11, 1);
    let key = named.key.clone();
    clinic.push(&mut owner, vec![named, document(12, 2)]).await;
    assert_eq!(found().await, [(key.clone(), false)]);
    clinic.push(&mut owner, vec![void("document", 11, 1)]).await;
    assert_eq!(found().await, [(key, true)]);
    let at_once = Keeping {
        now_ms: NOW,
        keep_ms: 0,
    };
    let collected = clinic.storage.collect_tombstones(clinic.practice, at_once).await;
    assert_eq!(collected.unwrap().rows, 1);
    assert_eq!(found().await, []);
}
