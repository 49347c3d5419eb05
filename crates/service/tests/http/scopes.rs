//! Scopes that end and positions that are too old, over each of the two storages.

use std::collections::BTreeMap;

use caseload_domain::entities::care_relationship_id;
use caseload_domain::{ClientId, EntityId, EntityKey, OpId, Role, Scope, UserId};
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::{
    HelloAction, HelloResponse, Op, OpKind, Outcome, PullResponse, PushResponse, Refusal, WireErrorCode,
};
use serde_json::{Map, Value, json};

use crate::clinic::{Clinic, Folders, Owner, START_MS, uuid};
use crate::member::{Member, create, new_care};

const PULL: &str = "/v1/sync/pull";
const PUSH: &str = "/v1/sync/push";

over_both_storages!(
    scope_exit_emits_leave_once,
    gc_floor_blocks_old_cursor,
    a_change_made_after_care_ended_was_known_is_refused_and_one_made_before_is_taken,
);

fn patch(key: EntityKey, base_rev: i64, units: Value) -> Op {
    let units: Map<String, Value> = units.as_object().unwrap().clone();
    Op {
        op_id: OpId::new(uuid()),
        key,
        kind: OpKind::Patch,
        base_rev,
        sv: 1,
        units,
        add: BTreeMap::new(),
        remove: BTreeMap::new(),
        reason: None,
        client_ts: START_MS,
    }
}

/// Moves a care relationship to `state`, as operation `first_mut` of the member's office file.
pub(crate) async fn set_care(
    clinic: &Clinic,
    member: &Member,
    (client, therapist): (ClientId, UserId),
    first_mut: i64,
    state: &str,
) {
    let key = EntityKey::new("care_relationship", care_relationship_id(client, therapist));
    // By somebody who has seen whatever it is.
    let op = patch(key, 1_000, json!({"status": {"state": state}}));
    let request = member.push(member.office, vec![member.group(member.office, first_mut, vec![op])]);
    let answer: PushResponse = clinic.http.post_as(member, PUSH, &request).await.json();
    assert_eq!(answer.results[0].why, None);
}

async fn pull(clinic: &Clinic, member: &Member, cursor: &Cursor, have: &[Scope]) -> PullResponse {
    let mut request = member.pull(member.clinical, have);
    request.cursor = Some(cursor.clone());
    clinic.http.post_as(member, PULL, &request).await.json()
}

async fn scope_exit_emits_leave_once(folders: Folders) {
    let clinic = Clinic::start_in(folders).await;
    let owner = Owner::publish(&clinic).await;
    let me = &owner.member;
    let (left, kept) = (me.create_client(&clinic, 1).await, me.create_client(&clinic, 3).await);
    me.create_chart(&clinic, left, 1).await;
    me.create_chart(&clinic, kept, 2).await;
    let (left, kept) = ((left, Scope::Clinical(left)), Scope::Clinical(kept));
    let have = [left.1, kept];
    let before = me.pull_all(&clinic.http, me.clinical, &have).await;
    assert_eq!((before.rows.len(), before.leave.len()), (2, 0));

    set_care(&clinic, me, (left.0, me.user), 5, "ended").await;
    let told = pull(&clinic, me, &before.cursor, &have).await;
    assert_eq!((told.enter.as_slice(), told.leave.as_slice()), (&[][..], &[left.1][..]));
    assert!(
        told.rows.is_empty(),
        "the rows that leave are announced without content"
    );
    let again = pull(&clinic, me, &before.cursor, &have).await;
    assert_eq!(again, told, "until it was taken, the same is said again");
    let next = pull(&clinic, me, &told.cursor, &[kept]).await;
    assert_eq!(
        (next.enter.len(), next.leave.len(), next.rows.len()),
        (0, 0, 0),
        "then nothing is said of it any more"
    );

    set_care(&clinic, me, (left.0, me.user), 6, "active").await;
    let back = pull(&clinic, me, &next.cursor, &[kept]).await;
    assert_eq!((back.enter.as_slice(), back.leave.len()), (&[left.1][..], 0));
}

/// Where the tombstones behind a position are gone, reading on would leave void rows in place.
async fn gc_floor_blocks_old_cursor(folders: Folders) {
    let clinic = Clinic::start_in(folders).await;
    let mut owner = Owner::publish(&clinic).await;
    let client = owner.member.create_client(&clinic, 1).await;
    let office = owner.member.office;
    let old = owner
        .member
        .pull_all(&clinic.http, office, &[Scope::Office])
        .await
        .cursor;
    let me = &owner.member;
    let mut void = patch(EntityKey::new("client", client.entity()), 1, json!({}));
    void.kind = OpKind::Void;
    void.reason = Some("entered twice".to_owned());
    let request = me.push(office, vec![me.group(office, 3, vec![void])]);
    clinic.http.post_as(me, PUSH, &request).await.ok();
    let newest = me.pull_all(&clinic.http, office, &[Scope::Office]).await.cursor;

    // A mark at this end, the collection a good year later.
    let Clinic { folders, service, .. } = clinic;
    service.shutdown().await;
    Clinic::start_in_place(&folders).await.shutdown().await;
    folders.advance(401 * 86_400_000);
    Clinic::start_in_place(&folders).await.shutdown().await;
    let clinic = Clinic::start_in(folders).await;
    owner.member.sign_in(&clinic.http).await;
    let me = &owner.member;
    let mut request = me.pull(office, &[Scope::Office]);
    request.cursor = Some(old.clone());
    let refused = clinic.http.post_as(me, PULL, &request).await;
    assert_eq!(refused.code(), WireErrorCode::CursorTooOld);
    let mut greeting = me.hello(office);
    greeting.cursor = Some(old);
    let answer: HelloResponse = clinic.http.post_as(me, "/v1/sync/hello", &greeting).await.json();
    assert_eq!((answer.action, answer.gc_floor), (HelloAction::Resync, newest.seq));
    request.cursor = Some(newest);
    let page: PullResponse = clinic.http.post_as(me, PULL, &request).await.json();
    assert_eq!(
        (page.rows.len(), page.gc_floor),
        (0, 3),
        "whoever has passed them reads on"
    );
}

async fn a_change_made_after_care_ended_was_known_is_refused_and_one_made_before_is_taken(folders: Folders) {
    let clinic = Clinic::start_in(folders).await;
    let owner = Owner::publish(&clinic).await;
    let me = &owner.member;
    let colleague = owner.enrol(&clinic, Role::Therapist).await;
    let client = me.create_client(&clinic, 1).await;
    let care = me.group(me.office, 3, vec![new_care(client, colleague.user)]);
    clinic
        .http
        .post_as(me, PUSH, &me.push(me.office, vec![care]))
        .await
        .ok();
    let scope = Scope::Clinical(client);
    let knows = colleague
        .pull_all(&clinic.http, colleague.clinical, &[scope])
        .await
        .cursor;
    set_care(&clinic, me, (client, colleague.user), 4, "ended").await;

    let units = json!({"subject": {"client": client, "author": colleague.user}, "template": {"kind": "soap"},
                       "body": {"sections": {"plan": "rest"}}, "state": {"state": "draft"}});
    let write = async |first_mut: i64, knows: &Cursor| -> PushResponse {
        let note = create(EntityKey::new("session_note", EntityId::new(uuid())), units.clone());
        let group = colleague.group(colleague.clinical, first_mut, vec![note]);
        let mut request = colleague.push(colleague.clinical, vec![group]);
        request.known = Some(knows.newest());
        clinic.http.post_as(&colleague, PUSH, &request).await.json()
    };
    let made = write(1, &knows).await;
    assert_eq!((made.results[0].st, made.results[0].why), (Outcome::Applied, None));
    let knows = pull(&clinic, &colleague, &knows, &[scope]).await;
    assert_eq!(knows.leave, [scope]);
    let refused = write(2, &knows.cursor).await;
    assert_eq!(
        (refused.results[0].st, refused.results[0].why),
        (Outcome::Rejected, Some(Refusal::Forbidden))
    );
    assert_eq!(refused.head_seq, made.head_seq);
}
