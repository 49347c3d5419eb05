//! Pushes: who stands behind a group, numbers without gaps, limits.

use caseload_domain::{ClientId, EntityId, EntityKey, PracticeId, Role, Scope, UserId};
use caseload_protocol::cursor::Moment;
use caseload_protocol::messages::{Outcome, PushRequest, PushResponse, Refusal, WireErrorCode};
use caseload_vault::SigningKey;
use caseload_vault::certificates::{AdminCertificate, Signed};
use serde_json::json;

use crate::clinic::{Clinic, uuid};
use crate::member::{Member, create, new_care, new_chart, new_client};

const PUSH: &str = "/v1/sync/push";

async fn push(clinic: &Clinic, member: &Member, request: &PushRequest) -> PushResponse {
    clinic.http.post_as(member, PUSH, request).await.json()
}

fn a_client() -> caseload_protocol::messages::Op {
    new_client(ClientId::new(uuid()))
}

#[tokio::test]
async fn a_signed_group_is_made_and_the_same_bytes_again_give_the_same_answer() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let request = me.push(me.office, vec![me.group(me.office, 1, vec![a_client()])]);
    let first = push(&clinic, me, &request).await;
    assert_eq!(first.results[0].st, Outcome::Applied);
    assert_eq!(first.head_seq, 1);
    assert_eq!(push(&clinic, me, &request).await, first);
}

#[tokio::test]
async fn a_group_that_its_actor_did_not_sign_is_refused_and_the_others_are_made() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let mut changed = me.group(me.office, 1, vec![a_client()]);
    changed.ops[0]
        .units
        .insert("alert".to_owned(), json!({"text": "changed on the way"}));
    let mut other_key = me.clone();
    other_key.user_key = SigningKey::generate();
    let mut unknown = me.clone();
    unknown.user = UserId::new(uuid());
    let mut promoted = me.clone();
    promoted.role = Role::Admin;
    let mut garbage = me.group(me.office, 5, vec![a_client()]);
    garbage.sig = "no signature".to_owned();
    let groups = vec![
        changed,
        other_key.group(me.office, 2, vec![a_client()]),
        unknown.group(me.office, 3, vec![a_client()]),
        promoted.group(me.office, 4, vec![a_client()]),
        garbage,
        me.group(me.office, 6, vec![a_client()]),
    ];
    let answer = push(&clinic, me, &me.push(me.office, groups)).await;
    for result in &answer.results[..5] {
        assert_eq!(
            (result.st, result.why),
            (Outcome::Rejected, Some(Refusal::Signature)),
            "operation {}",
            result.number
        );
    }
    assert_eq!(
        answer.results[5].st,
        Outcome::Applied,
        "one bad group never delays the others"
    );
}

#[tokio::test]
async fn whoever_is_signed_in_only_transports() {
    let (clinic, owner) = Clinic::with_owner().await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let by_owner = owner.member.group(desk.office, 1, vec![a_client()]);
    let answer = push(&clinic, &desk, &desk.push(desk.office, vec![by_owner])).await;
    assert_eq!(
        answer.results[0].st,
        Outcome::Applied,
        "the group is its actor's, whoever sends it"
    );
}

#[tokio::test]
async fn the_front_desk_can_write_nothing_clinical_and_grant_no_care() {
    let (clinic, owner) = Clinic::with_owner().await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let client = owner.member.create_client(&clinic, 1).await;
    let groups = vec![
        desk.group(desk.office, 1, vec![new_chart(client)]),
        desk.group(desk.office, 2, vec![new_care(client, desk.user)]),
    ];
    let answer = push(&clinic, &desk, &desk.push(desk.office, groups)).await;
    for result in answer.results {
        assert_eq!((result.st, result.why), (Outcome::Rejected, Some(Refusal::Forbidden)));
    }
}

/// Its operations name revisions of rows that are others here.
#[tokio::test]
async fn a_push_from_a_state_that_this_history_was_never_in_is_refused_and_nothing_is_made() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    me.create_client(&clinic, 1).await;
    let now = me
        .pull_all(&clinic.http, me.office, &[Scope::Office])
        .await
        .cursor
        .newest();
    let mut request = me.push(me.office, vec![me.group(me.office, 3, vec![a_client()])]);
    let (later, other) = (
        Moment {
            seq: now.seq + 1,
            ..now.clone()
        },
        Moment {
            chain: "0".repeat(16),
            ..now.clone()
        },
    );
    for known in [later, other] {
        request.known = Some(known);
        let refused = clinic.http.post_as(me, PUSH, &request).await;
        assert_eq!(refused.code(), WireErrorCode::HistoryDiverged);
    }
    request.known = Some(now.clone());
    let made = push(&clinic, me, &request).await;
    assert_eq!((made.results[0].st, made.head_seq), (Outcome::Applied, now.seq + 1));
}

#[tokio::test]
async fn numbers_must_follow_on_each_other() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let gap = me.push(me.office, vec![me.group(me.office, 2, vec![a_client()])]);
    assert_eq!(
        clinic.http.post_as(me, PUSH, &gap).await.code(),
        WireErrorCode::MutationGap
    );
    push(
        &clinic,
        me,
        &me.push(me.office, vec![me.group(me.office, 1, vec![a_client()])]),
    )
    .await;
    let forked = me.push(me.office, vec![me.group(me.office, 1, vec![a_client()])]);
    assert_eq!(
        clinic.http.post_as(me, PUSH, &forked).await.code(),
        WireErrorCode::DeviceForked
    );
    let mut restored = me.push(me.office, vec![me.group(me.office, 2, vec![a_client()])]);
    restored.epoch = Some("the history before".to_owned());
    assert_eq!(
        clinic.http.post_as(me, PUSH, &restored).await.code(),
        WireErrorCode::EpochChanged
    );
}

#[tokio::test]
async fn numbers_at_the_edge_of_integers_are_malformed_and_crash_nothing() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    for number in [i64::MAX, i64::MAX - 1, 1 << 53, 0, -1, i64::MIN] {
        let request = me.push(me.office, vec![me.group(me.office, number, vec![a_client()])]);
        assert_eq!(
            clinic.http.post_as(me, PUSH, &request).await.code(),
            WireErrorCode::Malformed,
            "{number}"
        );
    }
    let mut op = a_client();
    op.base_rev = i64::MAX;
    let request = me.push(me.office, vec![me.group(me.office, 1, vec![a_client()])]);
    let mut far = request.clone();
    far.groups[0].ops[0] = op;
    assert_eq!(
        clinic.http.post_as(me, PUSH, &far).await.code(),
        WireErrorCode::Malformed
    );
    let mut empty = request;
    empty.groups[0].ops.clear();
    assert_eq!(
        clinic.http.post_as(me, PUSH, &empty).await.code(),
        WireErrorCode::Malformed
    );
}

#[tokio::test]
async fn a_push_has_at_most_the_advertised_number_of_operations() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let ops = |count: usize| (0..count).map(|_| a_client()).collect::<Vec<_>>();
    let too_many = me.push(me.office, vec![me.group(me.office, 1, ops(501))]);
    assert_eq!(
        clinic.http.post_as(me, PUSH, &too_many).await.code(),
        WireErrorCode::TooLarge
    );
    let most = me.push(me.office, vec![me.group(me.office, 1, ops(500))]);
    assert_eq!(push(&clinic, me, &most).await.results.len(), 500);
}

#[tokio::test]
async fn a_document_beyond_the_limit_is_refused_alone() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let mut large = a_client();
    large
        .units
        .insert("later".to_owned(), json!({"text": "x".repeat(256 << 10)}));
    let groups = vec![
        me.group(me.office, 1, vec![large]),
        me.group(me.office, 2, vec![a_client()]),
    ];
    let answer = push(&clinic, me, &me.push(me.office, groups)).await;
    assert_eq!(
        (answer.results[0].st, answer.results[0].why),
        (Outcome::Rejected, Some(Refusal::TooLarge))
    );
    assert_eq!(answer.results[1].st, Outcome::Applied);
}

#[tokio::test]
async fn dates_that_do_not_exist_unknown_zones_and_floats_are_refused_with_their_reason() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let mut no_such_date = a_client();
    no_such_date
        .units
        .insert("birth".to_owned(), json!({"date": "2025-02-30"}));
    let key = |kind: &str| EntityKey::new(kind, EntityId::new(uuid()));
    let no_such_zone = create(
        key("location"),
        json!({"name": {"display": "Upstairs"}, "zone": {"tz": "Europe/Atlantis"}}),
    );
    let unknown_kind = create(key("invoice_of_a_later_version"), json!({}));
    let groups = vec![
        me.group(me.office, 1, vec![no_such_date]),
        me.group(me.office, 2, vec![no_such_zone]),
        me.group(me.office, 3, vec![unknown_kind]),
    ];
    let results = push(&clinic, me, &me.push(me.office, groups)).await.results;
    assert_eq!(
        (results[0].why, results[0].fields[0].path.as_str()),
        (Some(Refusal::Invalid), "birth.date")
    );
    assert_eq!(
        (results[1].why, results[1].fields[0].path.as_str()),
        (Some(Refusal::Invalid), "zone.tz")
    );
    assert_eq!(
        (results[2].st, results[2].why),
        (Outcome::Upgrade, Some(Refusal::UnknownKind))
    );
    let mut float = me.push(me.office, vec![me.group(me.office, 4, vec![a_client()])]);
    float.groups[0].ops[0]
        .units
        .insert("later".to_owned(), json!({"amount": 1.5}));
    let answer = push(&clinic, me, &float).await;
    assert_eq!(
        answer.results[0].why,
        Some(Refusal::Signature),
        "what has no canonical form, nobody can have signed"
    );
}

#[tokio::test]
async fn a_certificate_must_lead_to_the_practices_root_and_name_its_holder() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let certificate = |member: &Member, holder: &Member| {
        create(
            EntityKey::new("certificate", EntityId::new(uuid())),
            json!({"holder": {"user": holder.user, "device": holder.device}, "chain": member.chain}),
        )
    };
    let stranger = Member::owner(me.practice, &SigningKey::generate());
    let groups = vec![
        me.group(me.office, 1, vec![certificate(&stranger, &stranger)]),
        me.group(me.office, 2, vec![certificate(me, &stranger)]),
        me.group(me.office, 3, vec![certificate(me, me)]),
    ];
    let results = push(&clinic, me, &me.push(me.office, groups)).await.results;
    assert_eq!(results[0].why, Some(Refusal::Signature));
    assert_eq!(results[1].why, Some(Refusal::Signature));
    assert_eq!(results[2].st, Outcome::Applied);
}

#[tokio::test]
async fn who_may_enrol_is_said_by_the_practices_root_alone() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let vouched = |practice, signer: &SigningKey, holder: UserId| {
        let statement = AdminCertificate {
            practice,
            user: desk.user,
            public_key: desk.user_key.public(),
            may_enrol: true,
        };
        create(
            EntityKey::new("certificate", EntityId::new(uuid())),
            json!({"holder": {"user": holder, "device": desk.device}, "admin": Signed::new(statement, signer)}),
        )
    };
    let cases = [
        ("her own word", vouched(me.practice, &desk.user_key, desk.user)),
        (
            "the owner's own key is not the root",
            vouched(me.practice, &me.user_key, desk.user),
        ),
        (
            "another practice",
            vouched(PracticeId::new(uuid()), &owner.root, desk.user),
        ),
        ("another holder", vouched(me.practice, &owner.root, me.user)),
        ("nothing", {
            let holder = json!({"holder": {"user": desk.user, "device": desk.device}});
            create(EntityKey::new("certificate", EntityId::new(uuid())), holder)
        }),
    ];
    for (first_mut, (name, op)) in (1..).zip(cases) {
        let request = desk.push(desk.office, vec![desk.group(desk.office, first_mut, vec![op])]);
        let answer = push(&clinic, &desk, &request).await;
        assert_eq!(answer.results[0].why, Some(Refusal::Signature), "{name}");
    }
    let good = vouched(me.practice, &owner.root, desk.user);
    let answer = push(
        &clinic,
        me,
        &me.push(me.office, vec![me.group(me.office, 1, vec![good])]),
    )
    .await;
    assert_eq!(answer.results[0].st, Outcome::Applied);
}
