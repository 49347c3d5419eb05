//! What devices read: nothing is skipped, whoever writes meanwhile.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use caseload_domain::{EntityKey, Scope};
use caseload_protocol::checksum::{extend_chain, leaf};
use caseload_service::storage::{HistoryEntry, PageLimit, Storage, StorageError};
use serde_json::json;
use tokio::task::JoinSet;

use crate::clinic::{
    Clinic, DESK, EVERYTHING, OWNER, client_document, clinical, create, grant, key, note, patch, void,
};
use crate::ground::Ground;

on_both_storages!(
    the_feed_has_no_gap_under_64_writers_and_a_tailing_reader,
    a_page_without_visible_rows_gets_on_and_no_cursor_passes_what_was_examined,
    a_page_ends_at_its_bytes,
    snapshot_pages_are_complete_while_writers_run,
    a_snapshot_goes_on_where_it_was_after_a_restart_while_writers_run,
    a_snapshot_reads_scope_after_scope_whatever_the_size_of_its_pages,
    leaves_are_those_of_the_rows,
    the_chain_verifies_from_the_first_change_to_the_head,
    who_follows_a_head_is_woken_by_every_push,
);

const WRITERS: u32 = 64;
const ROUNDS: u32 = 3;

/// Each writer creates a client, changes it, and voids it, with a group of two in between.
async fn write(clinic: Clinic, number: u32) -> Vec<i64> {
    let mut sender = clinic
        .sender(2_000 + number, if number.is_multiple_of(2) { OWNER } else { DESK })
        .await;
    let mut seqs = Vec::new();
    for round in 0..ROUNDS {
        let client = 10_000 + number * 10 + round;
        let first = clinic
            .push(&mut sender, vec![create("client", client, &client_document("Kim"))])
            .await;
        let both = vec![
            patch("client", client, 1, &json!({"phone": {"raw": "010"}})),
            patch("client", client, 1, &json!({"address": {"city": "Seoul"}})),
        ];
        let second = clinic.push(&mut sender, both).await;
        seqs.extend(first.results.iter().chain(&second.results).map(|result| result.seq));
    }
    seqs
}

async fn the_feed_has_no_gap_under_64_writers_and_a_tailing_reader(ground: Ground) {
    let here = Clinic::on(&ground.storage).await;
    // Two nodes, so that on MongoDB transactions meet and are tried again.
    let there = here.through(ground.another_node().await);
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(tail(there.clone(), Arc::clone(&done)));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let clinic = if number.is_multiple_of(3) {
            there.clone()
        } else {
            here.clone()
        };
        writers.spawn(write(clinic, number));
    }
    let mut seqs: Vec<i64> = writers.join_all().await.into_iter().flatten().collect();
    done.store(true, Ordering::Release);
    let mirror = reader.await.unwrap();

    seqs.sort_unstable();
    let head = here.head_seq().await;
    assert_eq!(
        seqs,
        (1..=head).collect::<Vec<_>>(),
        "numbers are contiguous and each was given once"
    );
    let truth: BTreeMap<EntityKey, (i64, i64)> = here
        .rows(&[Scope::Office])
        .await
        .into_iter()
        .map(|row| (row.key, (row.rev, row.seq)))
        .collect();
    assert_eq!(truth.len(), usize::try_from(WRITERS * ROUNDS).unwrap());
    assert_eq!(mirror, truth, "the tailing reader missed nothing");
}

/// Follows the feed in small pages until the writers are done and the end is reached.
pub(crate) async fn tail(clinic: Clinic, done: Arc<AtomicBool>) -> BTreeMap<EntityKey, (i64, i64)> {
    let mut mirror = BTreeMap::new();
    let mut cursor = 0;
    loop {
        let finished = done.load(Ordering::Acquire);
        let limit = PageLimit {
            rows: 7,
            bytes: u64::MAX,
        };
        let page = clinic
            .storage
            .read_since(clinic.practice, cursor, &[Scope::Office], limit)
            .await;
        if page.as_ref().is_err_and(StorageError::is_retryable) {
            continue;
        }
        let page = page.unwrap();
        let mut last = cursor;
        for row in page.rows {
            assert!(
                row.seq > last && row.seq <= page.examined,
                "{} after {last}, up to {}",
                row.seq,
                page.examined
            );
            last = row.seq;
            mirror.insert(row.key, (row.rev, row.seq));
        }
        assert!(page.examined >= cursor && page.examined <= page.head.seq);
        assert_eq!(page.more, page.examined < page.head.seq);
        cursor = page.examined;
        if finished && !page.more {
            return mirror;
        }
    }
}

async fn a_page_without_visible_rows_gets_on_and_no_cursor_passes_what_was_examined(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    for number in 0..20 {
        clinic
            .push(
                &mut owner,
                vec![create("session_note", 100 + number, &note(1, OWNER, "text"))],
            )
            .await;
    }
    clinic
        .push(&mut owner, vec![create("client", 2, &client_document("Lee"))])
        .await;

    let limit = PageLimit {
        rows: 5,
        bytes: u64::MAX,
    };
    let (mut cursor, mut seen, mut empty) = (0, Vec::new(), 0);
    loop {
        let page = clinic
            .storage
            .read_since(clinic.practice, cursor, &[Scope::Office], limit)
            .await
            .unwrap();
        assert!(page.examined > cursor || !page.more, "a page always gets on");
        assert!(page.examined - cursor <= 5, "a limited page does not skip to the head");
        empty += usize::from(page.rows.is_empty());
        seen.extend(page.rows.into_iter().map(|row| row.key));
        cursor = page.examined;
        if !page.more {
            break;
        }
    }
    assert_eq!(cursor, clinic.head_seq().await);
    assert_eq!(
        seen,
        [key("client", 1), crate::clinic::care_key(1, OWNER), key("client", 2)]
    );
    assert!(empty >= 3, "the notes between them filled whole pages");
    let beyond = clinic
        .storage
        .read_since(clinic.practice, cursor, &[Scope::Office], limit)
        .await
        .unwrap();
    assert_eq!((beyond.rows.len(), beyond.examined, beyond.more), (0, cursor, false));
    let unknown = clinic
        .storage
        .read_since(clinic.practice, cursor + 1, &[Scope::Office], limit)
        .await;
    assert!(
        unknown.is_err_and(|error| error.is_retryable()),
        "a position that is not known yet is not passed over"
    );
}

async fn a_page_ends_at_its_bytes(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    for number in 0..5 {
        clinic
            .push(
                &mut owner,
                vec![create("client", number, &client_document(&"long ".repeat(30)))],
            )
            .await;
    }
    let limit = PageLimit { rows: 100, bytes: 1 };
    let page = clinic
        .storage
        .read_since(clinic.practice, 0, &[Scope::Office], limit)
        .await
        .unwrap();
    assert_eq!(
        (page.rows.len(), page.examined, page.more),
        (1, 1, true),
        "the first row is given whatever its size"
    );
    let page = clinic
        .storage
        .snapshot_page(clinic.practice, &[Scope::Office], None, limit)
        .await
        .unwrap();
    assert_eq!((page.rows.len(), page.through), (1, 0));
}

async fn snapshot_pages_are_complete_while_writers_run(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    for number in 0..40 {
        clinic
            .push(
                &mut owner,
                vec![create("client", 1_000 + number, &client_document("Kim"))],
            )
            .await;
    }
    let writing = tokio::spawn(write(clinic.clone(), 1));
    let limit = PageLimit {
        rows: 7,
        bytes: u64::MAX,
    };
    let (mut after, mut keys, mut start) = (None, Vec::new(), None);
    loop {
        let page = clinic
            .storage
            .snapshot_page(clinic.practice, &[Scope::Office], after.as_ref(), limit)
            .await
            .unwrap();
        start.get_or_insert(page.head.seq);
        keys.extend(page.rows.into_iter().map(|row| row.key));
        after = keys.last().cloned();
        if page.through == 1 {
            break;
        }
    }
    writing.await.unwrap();
    assert!(keys.is_sorted(), "pages are ordered by type and id");
    for number in 0..40 {
        assert!(
            keys.contains(&key("client", 1_000 + number)),
            "what was there at the start is in a page"
        );
    }
    // What came meanwhile follows from the head that the first page named.
    let rest = clinic
        .storage
        .read_since(clinic.practice, start.unwrap(), &[Scope::Office], EVERYTHING)
        .await
        .unwrap();
    keys.extend(rest.rows.into_iter().map(|row| row.key));
    for row in clinic.rows(&[Scope::Office]).await {
        assert!(keys.contains(&row.key));
    }
}

async fn a_snapshot_reads_scope_after_scope_whatever_the_size_of_its_pages(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    for client in 1..=5 {
        clinic
            .push(
                &mut owner,
                vec![create("client", client, &client_document("Kim")), grant(client, OWNER)],
            )
            .await;
        // The third client has no clinical rows.
        for number in 0..if client == 3 { 0 } else { client } {
            let written = note(client, OWNER, "a marker");
            clinic
                .push(
                    &mut owner,
                    vec![create("session_note", 100 * client + number, &written)],
                )
                .await;
        }
    }
    let scopes: Vec<Scope> = (1..=6).map(clinical).collect();
    let mut expected: Vec<_> = clinic.rows(&scopes).await;
    expected.sort_by_key(|row| (row.scope.to_string(), row.key.clone()));
    assert_eq!(expected.len(), 12);
    for (rows, bytes) in [
        (1, u64::MAX),
        (2, u64::MAX),
        (3, u64::MAX),
        (5, u64::MAX),
        (100, u64::MAX),
        (100, 1),
    ] {
        let limit = PageLimit { rows, bytes };
        let (mut read, mut left, mut after) = (Vec::new(), scopes.as_slice(), None);
        while !left.is_empty() {
            let page = clinic
                .storage
                .snapshot_page(clinic.practice, left, after.as_ref(), limit)
                .await
                .unwrap();
            assert!(page.rows.len() <= rows as usize && (page.through > 0 || !page.rows.is_empty()));
            left = &left[page.through..];
            let ends_in = page.rows.last().filter(|row| Some(&row.scope) == left.first());
            after = ends_in.map(|row| row.key.clone());
            read.extend(page.rows);
        }
        assert_eq!(read, expected, "in pages of {rows} rows and {bytes} bytes");
    }
}

async fn a_snapshot_goes_on_where_it_was_after_a_restart_while_writers_run(ground: Ground) {
    let before = Clinic::on(&ground.storage).await;
    let mut owner = before.sender(800, OWNER).await;
    let groups = (0..60).map(|number| owner.group(vec![create("client", 1_000 + number, &client_document("Kim"))]));
    let groups = groups.collect();
    before.send(&owner, groups).await.unwrap();
    let limit = PageLimit {
        rows: 7,
        bytes: u64::MAX,
    };
    let first = before
        .storage
        .snapshot_page(before.practice, &[Scope::Office], None, limit)
        .await
        .unwrap();
    assert_eq!(first.through, 0);
    let start = first.head.seq;
    let mut keys: Vec<EntityKey> = first.rows.into_iter().map(|row| row.key).collect();

    let clinic = before.through(ground.restarted().await);
    let writing = tokio::spawn(write(clinic.clone(), 1));
    loop {
        let page = clinic
            .storage
            .snapshot_page(clinic.practice, &[Scope::Office], keys.last(), limit)
            .await
            .unwrap();
        keys.extend(page.rows.into_iter().map(|row| row.key));
        if page.through == 1 {
            break;
        }
    }
    writing.await.unwrap();
    assert!(keys.is_sorted());
    let later = clinic
        .storage
        .read_since(clinic.practice, start, &[Scope::Office], EVERYTHING)
        .await
        .unwrap();
    let mut seen: std::collections::BTreeSet<EntityKey> = keys.into_iter().collect();
    seen.extend(later.rows.into_iter().map(|row| row.key));
    let all = clinic
        .rows(&[Scope::Office])
        .await
        .into_iter()
        .map(|row| row.key)
        .collect();
    assert_eq!(
        seen, all,
        "the pages and the feed after their first head are everything"
    );
}

async fn leaves_are_those_of_the_rows(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
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
        .push(&mut owner, vec![create("client", 2, &client_document("Lee"))])
        .await;
    clinic.push(&mut owner, vec![void("client", 2, 1)]).await;
    for scopes in [
        vec![],
        vec![Scope::Office],
        vec![clinical(1)],
        vec![Scope::Office, clinical(1), clinical(2)],
    ] {
        let leaves = clinic.storage.leaves(clinic.practice, &scopes).await.unwrap();
        assert_eq!(leaves.seq, clinic.head_seq().await);
        let mut expected: Vec<_> = clinic
            .rows(&scopes)
            .await
            .into_iter()
            .map(|row| {
                (
                    row.key.clone(),
                    row.rev,
                    leaf(&row.key, row.rev, row.deleted, &row.doc).unwrap(),
                )
            })
            .collect();
        expected.sort();
        let found: Vec<_> = leaves
            .entries
            .into_iter()
            .map(|entry| (entry.key, entry.rev, entry.leaf))
            .collect();
        assert_eq!(found, expected);
    }
}

async fn the_chain_verifies_from_the_first_change_to_the_head(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    for number in 0..30 {
        let ops = vec![create("client", number, &client_document("Kim")), grant(number, OWNER)];
        clinic.push(&mut owner, ops).await;
        clinic
            .push(
                &mut owner,
                vec![create(
                    "appointment",
                    number,
                    &crate::clinic::booking(600, number, OWNER),
                )],
            )
            .await;
    }
    let history = whole_history(clinic.storage.as_ref(), &clinic).await;
    let (mut chain, mut next) = ([0; 32], 1);
    assert_eq!(clinic.storage.chain_at(clinic.practice, 0).await.unwrap(), Some(chain));
    for entry in history {
        assert_eq!(entry.first_seq, next, "no number is missing");
        assert_eq!(
            entry.last_seq - entry.first_seq + 1,
            i64::try_from(entry.leaves.len()).unwrap()
        );
        for inside in entry.first_seq..entry.last_seq {
            assert_eq!(
                clinic.storage.chain_at(clinic.practice, inside).await.unwrap(),
                Some(chain),
                "an operation is one link"
            );
        }
        chain = extend_chain(&chain, entry.op_id, entry.first_seq, &entry.leaves);
        assert_eq!(entry.chain, chain);
        assert_eq!(
            clinic.storage.chain_at(clinic.practice, entry.last_seq).await.unwrap(),
            Some(chain)
        );
        next = entry.last_seq + 1;
    }
    let head = clinic.storage.head(clinic.practice).await.unwrap().unwrap();
    assert_eq!((head.seq, head.chain), (next - 1, chain));
    assert_eq!(
        clinic.storage.chain_at(clinic.practice, head.seq + 1).await.unwrap(),
        None
    );
    assert_eq!(clinic.storage.chain_at(clinic.practice, -1).await.unwrap(), None);
}

pub(crate) async fn whole_history(storage: &dyn Storage, clinic: &Clinic) -> Vec<HistoryEntry> {
    let mut history: Vec<HistoryEntry> = Vec::new();
    loop {
        let after = history.last().map_or(0, |entry| entry.last_seq);
        let page = storage.history(clinic.practice, after, 7).await.unwrap();
        if page.is_empty() {
            return history;
        }
        history.extend(page);
    }
}

async fn who_follows_a_head_is_woken_by_every_push(ground: Ground) {
    let here = Clinic::on(&ground.storage).await;
    let there = here.through(ground.another_node().await);
    let mut owner = here.sender(800, OWNER).await;
    let mut near = here.storage.watch(here.practice).await.unwrap();
    let mut far = there.storage.watch(there.practice).await.unwrap();
    assert_eq!((*near.borrow_and_update(), *far.borrow_and_update()), (0, 0));
    for seq in 1..=3 {
        let number = u32::try_from(seq).unwrap();
        here.push(&mut owner, vec![create("client", number, &client_document("Kim"))])
            .await;
        assert_eq!(*near.wait_for(|head| *head >= seq).await.unwrap(), seq);
        assert_eq!(*far.wait_for(|head| *head >= seq).await.unwrap(), seq);
    }
}
