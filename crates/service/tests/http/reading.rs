//! What each reader sees: scopes, pages, cursors, sums, and the wake-up.

use caseload_domain::{ClientId, EntityKey, OpId, Role, Scope};
use caseload_protocol::checksum::Sums;
use caseload_protocol::cursor::Moment;
use caseload_protocol::messages::{
    BucketName, CheckRequest, CheckResponse, FetchRequest, FetchResponse, HelloAction, HelloResponse, LastOp,
    PullResponse, SnapshotRequest, SnapshotResponse, WaitResponse, WireErrorCode, WireRow,
};
use serde_json::json;

use crate::clinic::{Clinic, START_MS, uuid};
use crate::member::{MARKER, Member, at, new_client, some_entity};
use crate::scopes::set_care;

const PULL: &str = "/v1/sync/pull";
const SNAPSHOT: &str = "/v1/sync/snapshot";
const CHECK: &str = "/v1/sync/check";

fn snapshot_request(member: &Member, replica: caseload_domain::ReplicaId, scope: Scope) -> SnapshotRequest {
    SnapshotRequest {
        practice: member.practice,
        replica,
        scope,
        then: Vec::new(),
        after: None,
        known: None,
        max_rows: 1_000,
    }
}

fn kinds(rows: &[WireRow]) -> Vec<&str> {
    rows.iter().map(|row| row.key.kind.as_str()).collect()
}

#[tokio::test]
async fn a_new_file_takes_a_snapshot_and_then_follows_the_feed() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    me.create_client(&clinic, 1).await;
    let first: PullResponse = clinic.http.post_as(me, PULL, &me.pull(me.office, &[])).await.json();
    assert_eq!((first.enter.as_slice(), first.rows.len()), (&[Scope::Office][..], 0));
    let request = snapshot_request(me, me.office, Scope::Office);
    let snapshot: SnapshotResponse = clinic.http.post_as(me, SNAPSHOT, &request).await.json();
    assert_eq!(kinds(&snapshot.rows), ["care_relationship", "client"]);
    assert_eq!(snapshot.after, None);
    me.create_client(&clinic, 3).await;
    let mut request = me.pull(me.office, &[Scope::Office]);
    request.cursor = Some(snapshot.cursor);
    let next: PullResponse = clinic.http.post_as(me, PULL, &request).await.json();
    assert_eq!(
        kinds(&next.rows),
        ["client", "care_relationship"],
        "in the order in which they were made"
    );
    assert_eq!(
        (next.more, next.head_seq, next.enter.len(), next.leave.len()),
        (false, 4, 0, 0)
    );
    assert_eq!(next.acked.map(|last| last.number), Some(4));
}

#[tokio::test]
async fn unknown_members_of_documents_come_back_as_they_were() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let client = me.create_client(&clinic, 1).await;
    let pulled = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await;
    let row = pulled.rows.iter().find(|row| row.key.id == client.entity()).unwrap();
    assert_eq!(row.doc.unit("later"), Some(&json!({"unknown": [1]})));
}

#[tokio::test]
async fn pages_are_bounded_and_lose_nothing() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    for first_mut in [1, 3, 5] {
        me.create_client(&clinic, first_mut).await;
    }
    let mut request = me.pull(me.office, &[Scope::Office]);
    request.max_rows = 0;
    let mut seqs = Vec::new();
    loop {
        let page: PullResponse = clinic.http.post_as(me, PULL, &request).await.json();
        assert!(page.rows.len() <= 1, "at least and at most one row");
        seqs.extend(page.rows.iter().map(|row| row.seq));
        request.cursor = Some(page.cursor);
        if !page.more {
            break;
        }
    }
    assert_eq!(seqs, [1, 2, 3, 4, 5, 6]);
    let mut request = snapshot_request(me, me.office, Scope::Office);
    request.max_rows = 4;
    let one: SnapshotResponse = clinic.http.post_as(me, SNAPSHOT, &request).await.json();
    request.after = one.after;
    assert!(request.after.is_some());
    let two: SnapshotResponse = clinic.http.post_as(me, SNAPSHOT, &request).await.json();
    assert_eq!((one.rows.len(), two.rows.len(), two.after), (4, 2, None));
}

#[tokio::test]
async fn one_request_for_snapshots_reads_scope_after_scope_and_nothing_that_the_caller_may_not_read() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let mut scopes = Vec::new();
    for first_mut in [1, 3, 5] {
        let client = me.create_client(&clinic, first_mut).await;
        me.create_chart(&clinic, client, (first_mut + 1) / 2).await;
        scopes.push(Scope::Clinical(client));
    }
    scopes.sort_unstable();
    let mut request = snapshot_request(me, me.clinical, scopes[0]);
    request.then = scopes[1..].to_vec();
    request.max_rows = 2;
    let one: SnapshotResponse = clinic.http.post_as(me, SNAPSHOT, &request).await.json();
    let of = |page: &SnapshotResponse| page.rows.iter().map(|row| row.scope).collect::<Vec<_>>();
    assert_eq!(
        (of(&one), one.then_through, one.after),
        (scopes[..2].to_vec(), Some(1), None)
    );
    request.scope = scopes[2];
    request.then.clear();
    let two: SnapshotResponse = clinic.http.post_as(me, SNAPSHOT, &request).await.json();
    assert_eq!(
        (of(&two), two.then_through, two.after),
        (scopes[2..].to_vec(), None, None)
    );

    let refused = async |then: Vec<Scope>| {
        let request = SnapshotRequest {
            then,
            ..snapshot_request(me, me.clinical, scopes[1])
        };
        clinic.http.post_as(me, SNAPSHOT, &request).await.code()
    };
    assert_eq!(refused(vec![scopes[0]]).await, WireErrorCode::Malformed, "in order");
    assert_eq!(refused(vec![scopes[1]]).await, WireErrorCode::Malformed, "each once");
    let nobodys = Scope::Clinical(ClientId::new(uuid()));
    assert_eq!(refused(vec![nobodys]).await, WireErrorCode::Forbidden);

    let mut elsewhere = snapshot_request(me, me.clinical, scopes[0]);
    let read = two.cursor.newest();
    for (chain, expected) in [
        (read.chain.clone(), None),
        ("0".repeat(16), Some(WireErrorCode::HistoryDiverged)),
    ] {
        elsewhere.known = Some(Moment { chain, ..read.clone() });
        let answer = clinic.http.post_as(me, SNAPSHOT, &elsewhere).await;
        assert_eq!(
            expected.map(|_| answer.code()),
            expected,
            "pages before this one were of this history"
        );
    }
}

/// A row that was changed behind the page is not in it. Put back to a state in which it lay before the page, the service would pass it over.
#[tokio::test]
async fn a_page_names_the_state_that_was_read_and_a_history_without_that_state_refuses_its_position() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    me.create_client(&clinic, 1).await;
    let earlier = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await.cursor;
    assert_eq!(earlier.read_at, None, "the position is the state itself");
    me.create_client(&clinic, 3).await;
    let mut request = me.pull(me.office, &[Scope::Office]);
    request.max_rows = 1;
    let page: PullResponse = clinic.http.post_as(me, PULL, &request).await.json();
    let all = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await.cursor;
    assert!(page.more && page.cursor.seq < earlier.seq);
    assert_eq!(page.cursor.newest(), all.newest());

    request.cursor = at(&page.cursor, |cursor| {
        // As if this service were one that was put back and has written something else since.
        cursor.read_at = Some(Moment {
            chain: "0".repeat(16),
            ..all.newest()
        });
    });
    let refused = clinic.http.post_as(me, PULL, &request).await;
    assert_eq!(refused.code(), WireErrorCode::HistoryDiverged);
}

#[tokio::test]
async fn a_cursor_of_another_history_is_refused() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    me.create_client(&clinic, 1).await;
    let cursor = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await.cursor;
    for (name, cursor, code) in [
        (
            "epoch",
            at(&cursor, |cursor| cursor.epoch = "other".to_owned()),
            WireErrorCode::EpochChanged,
        ),
        (
            "beyond the head",
            at(&cursor, |cursor| cursor.seq += 1),
            WireErrorCode::HistoryDiverged,
        ),
        (
            "before the beginning",
            at(&cursor, |cursor| cursor.seq = -1),
            WireErrorCode::HistoryDiverged,
        ),
        (
            "chain",
            at(&cursor, |cursor| cursor.chain = "0".repeat(16)),
            WireErrorCode::HistoryDiverged,
        ),
        (
            "read from a state beyond the head",
            at(&cursor, |cursor| {
                cursor.read_at = Some(Moment {
                    seq: cursor.seq + 1,
                    chain: cursor.chain.clone(),
                });
            }),
            WireErrorCode::HistoryDiverged,
        ),
    ] {
        let mut request = me.pull(me.office, &[Scope::Office]);
        request.cursor.clone_from(&cursor);
        assert_eq!(clinic.http.post_as(me, PULL, &request).await.code(), code, "{name}");
        let mut hello = me.hello(me.office);
        hello.cursor = cursor;
        let answer: HelloResponse = clinic.http.post_as(me, "/v1/sync/hello", &hello).await.json();
        assert_eq!(answer.action, HelloAction::Resync, "{name}");
    }
}

#[tokio::test]
async fn the_front_desk_never_gets_a_clinical_row_from_any_endpoint() {
    let (clinic, owner) = Clinic::with_owner().await;
    let therapist = &owner.member;
    let client = therapist.create_client(&clinic, 1).await;
    let chart = therapist.create_chart(&clinic, client, 1).await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let scope = Scope::Clinical(client);

    let pulled = clinic
        .http
        .post_as(&desk, PULL, &desk.pull(desk.office, &[Scope::Office, scope]))
        .await;
    assert_eq!(
        pulled.json::<PullResponse>().leave,
        [scope],
        "it is told to let go of what it may not hold"
    );
    let fetch = FetchRequest {
        practice: desk.practice,
        replica: desk.office,
        keys: vec![chart.clone()],
        known: None,
    };
    let fetched = clinic.http.post_as(&desk, "/v1/sync/fetch", &fetch).await;
    assert_eq!(fetched.json::<FetchResponse>().rows.len(), 0);
    let wait = clinic.http.get_as(&desk, "/v1/sync/wait?seq=0").await;
    for answer in [&pulled, &fetched, &wait] {
        assert!(!String::from_utf8_lossy(&answer.body).contains(MARKER));
    }
    let snapshot = clinic
        .http
        .post_as(&desk, SNAPSHOT, &snapshot_request(&desk, desk.office, scope))
        .await;
    assert_eq!(snapshot.code(), WireErrorCode::Forbidden);
    let check = CheckRequest {
        practice: desk.practice,
        replica: desk.office,
        scopes: vec![scope],
        bucket: None,
        known: None,
    };
    assert_eq!(
        clinic.http.post_as(&desk, CHECK, &check).await.code(),
        WireErrorCode::Forbidden
    );

    let office_file_of_the_therapist = snapshot_request(therapist, therapist.office, scope);
    let answer = clinic
        .http
        .post_as(therapist, SNAPSHOT, &office_file_of_the_therapist)
        .await;
    assert_eq!(
        answer.code(),
        WireErrorCode::Forbidden,
        "nor does the office file of a clinician hold clinical rows"
    );
    let own = snapshot_request(therapist, therapist.clinical, scope);
    let found = clinic.http.post_as(therapist, SNAPSHOT, &own).await;
    assert!(
        String::from_utf8_lossy(&found.body).contains(MARKER),
        "the same hunt finds it where it should be"
    );
}

#[tokio::test]
async fn care_gives_a_clinician_the_record_and_its_end_takes_it() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let colleague = owner.enrol(&clinic, Role::Therapist).await;
    let client = me.create_client(&clinic, 1).await;
    let chart = me.create_chart(&clinic, client, 1).await;
    let scope = Scope::Clinical(client);
    let mine: PullResponse = clinic.http.post_as(me, PULL, &me.pull(me.clinical, &[])).await.json();
    assert_eq!(mine.enter, [scope]);
    assert_eq!(
        kinds(&me.pull_all(&clinic.http, me.clinical, &[scope]).await.rows),
        ["client_chart"]
    );

    let theirs = clinic
        .http
        .post_as(&colleague, PULL, &colleague.pull(colleague.clinical, &[scope]))
        .await;
    let theirs: PullResponse = theirs.json();
    assert_eq!(
        (theirs.rows.len(), theirs.enter.len(), theirs.leave.as_slice()),
        (0, 0, &[scope][..])
    );
    let fetch = FetchRequest {
        practice: colleague.practice,
        replica: colleague.clinical,
        keys: vec![chart],
        known: None,
    };
    let fetched: FetchResponse = clinic.http.post_as(&colleague, "/v1/sync/fetch", &fetch).await.json();
    assert_eq!(fetched.rows.len(), 0);

    set_care(&clinic, me, (client, me.user), 3, "ended").await;
    let after: PullResponse = clinic
        .http
        .post_as(me, PULL, &me.pull(me.clinical, &[scope]))
        .await
        .json();
    assert_eq!((after.rows.len(), after.leave.as_slice()), (0, &[scope][..]));
}

#[tokio::test]
async fn a_file_is_synced_only_from_its_own_computer_and_a_clinical_one_only_by_its_owner() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let colleague = owner.enrol(&clinic, Role::Therapist).await;
    for (reader, replica) in [
        (&colleague, me.office),
        (&colleague, me.clinical),
        (me, colleague.clinical),
    ] {
        let answer = clinic.http.post_as(reader, PULL, &reader.pull(replica, &[])).await;
        assert_eq!(answer.code(), WireErrorCode::Forbidden);
    }
    let unknown = me.pull(caseload_domain::ReplicaId::new(uuid()), &[]);
    assert_eq!(
        clinic.http.post_as(me, PULL, &unknown).await.code(),
        WireErrorCode::NotFound
    );
}

#[tokio::test]
async fn sums_and_manifests_are_those_of_the_rows_that_the_reader_holds() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let client = me.create_client(&clinic, 1).await;
    me.create_chart(&clinic, client, 1).await;
    let rows = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await.rows;
    let mut ours = Sums::default();
    for row in &rows {
        ours.add(
            &row.key,
            &caseload_protocol::checksum::leaf(&row.key, row.rev, row.del, &row.doc).unwrap(),
        );
    }
    let request = |bucket| CheckRequest {
        practice: me.practice,
        replica: me.office,
        scopes: vec![Scope::Office],
        bucket,
        known: None,
    };
    let answer: CheckResponse = clinic.http.post_as(me, CHECK, &request(None)).await.json();
    assert_eq!(answer.sums, ours.to_wire());
    assert_eq!(
        answer.seq, 3,
        "the chart moved the practice on, though the office does not see it"
    );
    let bucket = BucketName {
        t: "client".into(),
        bucket: caseload_protocol::checksum::bucket(client.entity()),
    };
    let answer: CheckResponse = clinic.http.post_as(me, CHECK, &request(Some(bucket))).await.json();
    assert_eq!(
        answer.manifest.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        [client.entity()]
    );
}

#[tokio::test]
async fn at_most_two_hundred_rows_are_fetched_and_unknown_ones_are_left_out() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let client = EntityKey::new("client", me.create_client(&clinic, 1).await.entity());
    let fetch = |keys| FetchRequest {
        practice: me.practice,
        replica: me.office,
        keys,
        known: None,
    };
    let few = fetch(vec![client.clone(), some_entity("client"), some_entity("unknown")]);
    let answer: FetchResponse = clinic.http.post_as(me, "/v1/sync/fetch", &few).await.json();
    assert_eq!(answer.rows.iter().map(|row| &row.key).collect::<Vec<_>>(), [&client]);
    let many = fetch(vec![client; 201]);
    assert_eq!(
        clinic.http.post_as(me, "/v1/sync/fetch", &many).await.code(),
        WireErrorCode::TooLarge
    );
}

#[tokio::test]
async fn a_waiting_device_wakes_when_another_one_pushes() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    me.create_client(&clinic, 1).await;
    let at_once: WaitResponse = clinic.http.get_as(me, "/v1/sync/wait?seq=0").await.json();
    assert_eq!(at_once.head_seq, 2);
    let wait = async {
        clinic
            .http
            .get_as(me, "/v1/sync/wait?seq=2")
            .await
            .json::<WaitResponse>()
            .head_seq
    };
    let (woken, _) = tokio::join!(wait, me.create_client(&clinic, 3));
    assert!(woken > 2);
}

#[tokio::test]
async fn a_waiting_device_is_answered_when_the_service_ends() {
    let (clinic, owner) = Clinic::with_owner().await;
    let Clinic {
        http,
        service,
        folders: _folders,
    } = clinic;
    let (asking, me) = (http.clone(), owner.member.clone());
    let waiting = tokio::spawn(async move { asking.get_as(&me, "/v1/sync/wait?seq=9").await });
    while !String::from_utf8(http.get("/metrics").await.body)
        .unwrap()
        .contains("caseload_waiting 1\n")
    {
        tokio::task::yield_now().await;
    }
    service.shutdown().await;
    assert_eq!(waiting.await.unwrap().json::<WaitResponse>().head_seq, 0);
}

#[tokio::test]
async fn hello_shows_the_services_clock_and_limits_and_what_to_do() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let mut hello = me.hello(me.office);
    hello.time_ms = START_MS - 3_600_000;
    let answer: HelloResponse = clinic.http.post_as(me, "/v1/sync/hello", &hello).await.json();
    assert_eq!(
        answer.server_time_ms - hello.time_ms,
        3_600_000,
        "a skewed clock shows and refuses nothing"
    );
    assert_eq!(
        (answer.action, answer.last_op.as_ref(), answer.head_seq),
        (HelloAction::Ok, None, 0)
    );
    assert_eq!(
        (answer.min_writer, answer.limits.push_ops, answer.limits.wait_ms),
        (1, 500, 75_000)
    );

    hello.last_op = Some(LastOp {
        number: 4,
        op_id: OpId::new(uuid()),
    });
    hello.next_mut = 5;
    let answer: HelloResponse = clinic.http.post_as(me, "/v1/sync/hello", &hello).await.json();
    assert_eq!(
        answer.action,
        HelloAction::Reregister,
        "the service knows nothing of this device's changes"
    );
    hello.proto = 0;
    let answer: HelloResponse = clinic.http.post_as(me, "/v1/sync/hello", &hello).await.json();
    assert_eq!(answer.action, HelloAction::Upgrade);
    hello.proto = 2;
    let newer = clinic.http.post_as(me, "/v1/sync/hello", &hello).await;
    assert_eq!((newer.status, newer.code()), (426, WireErrorCode::UpgradeRequired));
    let unknown = me.hello(caseload_domain::ReplicaId::new(uuid()));
    let answer: HelloResponse = clinic.http.post_as(me, "/v1/sync/hello", &unknown).await.json();
    assert_eq!(
        answer.action,
        HelloAction::Reregister,
        "a file that a restored service does not know registers anew"
    );
}

#[tokio::test]
async fn a_device_that_asks_more_often_than_advertised_is_told_to_wait() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let mut busy = None;
    for _ in 0..=600 {
        let answer = clinic.http.post_as(me, PULL, &me.pull(me.office, &[])).await;
        if answer.status == 429 {
            busy = Some(answer);
        }
    }
    assert_eq!(
        busy.expect("the 601st request in a minute is refused").code(),
        WireErrorCode::Busy
    );
    let request = me.push(
        me.office,
        vec![me.group(me.office, 1, vec![new_client(ClientId::new(uuid()))])],
    );
    clinic.http.post_as(me, "/v1/sync/push", &request).await.ok();
    clinic.folders.advance(100);
    clinic.http.post_as(me, PULL, &me.pull(me.office, &[])).await.ok();
}
