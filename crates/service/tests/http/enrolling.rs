//! Joining a practice with an enrolment code.

use caseload_domain::{Role, UserId};
use caseload_protocol::auth::{OpenEnrolmentRequest, OpenEnrolmentResponse};
use caseload_protocol::messages::WireErrorCode;
use caseload_vault::SigningKey;
use caseload_vault::certificates::{AdminCertificate, Signed};

use crate::clinic::{Clinic, Owner, START_MS, uuid};
use crate::member::{Invitation, Member};

const MINT: &str = "/v1/auth/enrolments";
const OPEN: &str = "/v1/auth/enrolments/open";
const REDEEM: &str = "/v1/auth/enrolments/redeem";
const MINUTE_MS: i64 = 60_000;

async fn invite(clinic: &Clinic, owner: &Owner, role: Role) -> Invitation {
    let (invitation, request) = owner.invitation(role, clinic.now_ms());
    clinic.http.post_as(&owner.member, MINT, &request).await.ok();
    invitation
}

fn open(invitation: &Invitation) -> OpenEnrolmentRequest {
    OpenEnrolmentRequest {
        practice: invitation.authorisation.statement().practice,
        id: invitation.code.id().to_string(),
    }
}

#[tokio::test]
async fn a_front_desk_joins_and_signs_in_with_keys_of_its_own() {
    let (clinic, owner) = Clinic::with_owner().await;
    let invitation = invite(&clinic, &owner, Role::FrontDesk).await;
    for _ in 0..2 {
        let shown: OpenEnrolmentResponse = clinic.http.post(OPEN, &open(&invitation)).await.json();
        assert_eq!((shown.role, shown.admin), (Role::FrontDesk, false));
        assert_eq!(shown.user_name, "Robin");
        assert_eq!(shown.root_key, owner.root.public().to_string());
        assert_eq!(
            shown.authorisation,
            serde_json::to_value(&invitation.authorisation).unwrap()
        );
    }
    let mut desk = Member::joining(&invitation);
    clinic.http.post(REDEEM, &desk.redeem(&invitation)).await.ok();
    desk.sign_in(&clinic.http).await;
    desk.register_files(&clinic.http).await;
    clinic
        .http
        .post_as(&desk, "/v1/sync/hello", &desk.hello(desk.office))
        .await
        .ok();
}

#[tokio::test]
async fn a_code_is_used_exactly_once() {
    let (clinic, owner) = Clinic::with_owner().await;
    let invitation = invite(&clinic, &owner, Role::FrontDesk).await;
    let joiners: Vec<Member> = (0..4).map(|_| Member::joining(&invitation)).collect();
    let requests: Vec<_> = joiners.iter().map(|joiner| joiner.redeem(&invitation)).collect();
    let answers = tokio::join!(
        clinic.http.post(REDEEM, &requests[0]),
        clinic.http.post(REDEEM, &requests[1]),
        clinic.http.post(REDEEM, &requests[2]),
        clinic.http.post(REDEEM, &requests[3]),
    );
    let answers = [answers.0, answers.1, answers.2, answers.3];
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status != 200)
            .all(|answer| answer.code() == WireErrorCode::CodeUnknown)
    );
    assert_eq!(
        clinic.http.post(OPEN, &open(&invitation)).await.code(),
        WireErrorCode::CodeUnknown,
        "nor does it open again"
    );
}

#[tokio::test]
async fn a_code_ends_ten_minutes_after_it_was_left_by_the_services_clock() {
    let (clinic, owner) = Clinic::with_owner().await;
    let (invitation, mut request) = Invitation::new(
        owner.member.practice,
        UserId::new(uuid()),
        Role::FrontDesk,
        START_MS + 600 * MINUTE_MS,
        &owner.root,
    );
    request.expires_ms = START_MS + 600 * MINUTE_MS;
    clinic.http.post_as(&owner.member, MINT, &request).await.ok();
    clinic.folders.advance(10 * MINUTE_MS - 1);
    clinic.http.post(OPEN, &open(&invitation)).await.ok();
    clinic.folders.advance(1);
    let joiner = Member::joining(&invitation);
    assert_eq!(
        clinic.http.post(OPEN, &open(&invitation)).await.code(),
        WireErrorCode::CodeExpired
    );
    assert_eq!(
        clinic.http.post(REDEEM, &joiner.redeem(&invitation)).await.code(),
        WireErrorCode::CodeExpired
    );
}

#[tokio::test]
async fn a_chain_counts_only_with_the_authorisation_that_was_left() {
    let (clinic, owner) = Clinic::with_owner().await;
    let invitation = invite(&clinic, &owner, Role::FrontDesk).await;
    let (stronger, _) = owner.invitation(Role::Therapist, clinic.now_ms());
    let (foreign, _) = Invitation::new(
        owner.member.practice,
        UserId::new(uuid()),
        Role::FrontDesk,
        START_MS + MINUTE_MS,
        &SigningKey::generate(),
    );
    let honest = Member::joining(&invitation).redeem(&invitation);
    let cases = [
        (
            "another code's authorisation",
            Member::joining(&stronger).redeem(&stronger).chain,
        ),
        (
            "an authorisation that the root did not sign",
            Member::joining(&foreign).redeem(&foreign).chain,
        ),
        ("a certificate signed with another key half", {
            let mut chain = Member::joining(&invitation).chain;
            chain.user = Signed::new(chain.user.statement().clone(), &SigningKey::generate());
            serde_json::to_value(chain).unwrap()
        }),
        (
            "the owner's own chain",
            serde_json::to_value(&owner.member.chain).unwrap(),
        ),
        ("no chain", serde_json::json!(7)),
    ];
    for (name, chain) in cases {
        let mut request = honest.clone();
        request.chain = chain;
        assert_eq!(
            clinic.http.post(REDEEM, &request).await.code(),
            WireErrorCode::ChainInvalid,
            "{name}"
        );
    }
    clinic.http.post(REDEEM, &honest).await.ok();
}

#[tokio::test]
async fn five_wrong_codes_close_the_door_for_a_while() {
    let (clinic, owner) = Clinic::with_owner().await;
    let invitation = invite(&clinic, &owner, Role::FrontDesk).await;
    let wrong = OpenEnrolmentRequest {
        practice: owner.member.practice,
        id: "AAAAAAAAAAAAAA".to_owned(),
    };
    for _ in 0..5 {
        assert_eq!(clinic.http.post(OPEN, &wrong).await.code(), WireErrorCode::CodeUnknown);
    }
    assert_eq!(
        clinic.http.post(OPEN, &open(&invitation)).await.code(),
        WireErrorCode::Busy
    );
    let joiner = Member::joining(&invitation);
    assert_eq!(
        clinic.http.post(REDEEM, &joiner.redeem(&invitation)).await.code(),
        WireErrorCode::Busy
    );
    clinic.folders.advance(15 * MINUTE_MS);
    assert_eq!(
        clinic.http.post(OPEN, &open(&invitation)).await.code(),
        WireErrorCode::CodeExpired,
        "it is read again"
    );
}

#[tokio::test]
async fn an_unknown_practice_answers_as_an_unknown_code_does() {
    let clinic = Clinic::start().await;
    let request = OpenEnrolmentRequest {
        practice: caseload_domain::PracticeId::new(uuid()),
        id: String::new(),
    };
    assert_eq!(
        clinic.http.post(OPEN, &request).await.code(),
        WireErrorCode::CodeUnknown
    );
}

#[tokio::test]
async fn only_who_may_enrol_leaves_enrolments() {
    let (clinic, owner) = Clinic::with_owner().await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let practice = owner.member.practice;
    let later = START_MS + MINUTE_MS;
    let other = UserId::new(uuid());
    let mint = |signer: &SigningKey, user, role| Invitation::new(practice, user, role, later, signer).1;

    let stolen = mint(&owner.root, other, Role::Therapist);
    assert_eq!(
        clinic.http.post_as(&desk, MINT, &stolen).await.code(),
        WireErrorCode::Forbidden,
        "an authorisation of the root is left by administrators only"
    );
    let for_another = mint(&desk.user_key, other, Role::FrontDesk);
    assert_eq!(
        clinic.http.post_as(&desk, MINT, &for_another).await.code(),
        WireErrorCode::Forbidden
    );
    let promotion = mint(&desk.user_key, desk.user, Role::Therapist);
    assert_eq!(
        clinic.http.post_as(&desk, MINT, &promotion).await.code(),
        WireErrorCode::Forbidden
    );
    let nobodys = mint(&SigningKey::generate(), other, Role::FrontDesk);
    assert_eq!(
        clinic.http.post_as(&owner.member, MINT, &nobodys).await.code(),
        WireErrorCode::ChainInvalid
    );
    let own = mint(&desk.user_key, desk.user, Role::FrontDesk);
    clinic.http.post_as(&desk, MINT, &own).await.ok();

    let mut expired = mint(&owner.root, other, Role::FrontDesk);
    expired.expires_ms = START_MS;
    assert_eq!(
        clinic.http.post_as(&owner.member, MINT, &expired).await.code(),
        WireErrorCode::CodeExpired
    );
    let mut other_id = mint(&owner.root, other, Role::FrontDesk);
    other_id.id = "AAAAAAAAAAAAAA".to_owned();
    assert_eq!(
        clinic.http.post_as(&owner.member, MINT, &other_id).await.code(),
        WireErrorCode::Malformed
    );
    let (_, foreign) = Invitation::new(
        caseload_domain::PracticeId::new(uuid()),
        other,
        Role::FrontDesk,
        later,
        &owner.root,
    );
    assert_eq!(
        clinic.http.post_as(&owner.member, MINT, &foreign).await.code(),
        WireErrorCode::ForeignPractice
    );
}

#[tokio::test]
async fn an_administrators_certificate_counts_for_that_person_and_with_the_right_to_enrol() {
    let (clinic, owner) = Clinic::with_owner().await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let certificate = |user, key: &SigningKey, may_enrol| {
        let statement = AdminCertificate {
            practice: owner.member.practice,
            user,
            public_key: key.public(),
            may_enrol,
        };
        serde_json::to_value(Signed::new(statement, &owner.root)).unwrap()
    };
    let admin = &owner.member;
    let mut request = Invitation::new(
        admin.practice,
        UserId::new(uuid()),
        Role::FrontDesk,
        START_MS + MINUTE_MS,
        &admin.user_key,
    )
    .1;
    request.admin_certificate = certificate(admin.user, &admin.user_key, false);
    assert_eq!(
        clinic.http.post_as(admin, MINT, &request).await.code(),
        WireErrorCode::Forbidden,
        "no right to enrol"
    );
    request.admin_certificate = certificate(desk.user, &admin.user_key, true);
    assert_eq!(
        clinic.http.post_as(admin, MINT, &request).await.code(),
        WireErrorCode::Forbidden,
        "of another person"
    );
    request.admin_certificate = certificate(admin.user, &desk.user_key, true);
    assert_eq!(
        clinic.http.post_as(admin, MINT, &request).await.code(),
        WireErrorCode::ChainInvalid,
        "of another key"
    );
    request.admin_certificate = certificate(admin.user, &admin.user_key, true);
    clinic.http.post_as(admin, MINT, &request).await.ok();
}

#[tokio::test]
async fn a_person_adds_her_own_next_computer_and_stays_who_she_is() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let (invitation, request) = Invitation::new(
        me.practice,
        me.user,
        Role::Therapist,
        START_MS + MINUTE_MS,
        &me.user_key,
    );
    clinic.http.post_as(me, MINT, &request).await.ok();
    let mut laptop = Member::joining(&invitation);
    let other_key = laptop.redeem(&invitation);
    assert_eq!(
        clinic.http.post(REDEEM, &other_key).await.code(),
        WireErrorCode::ChainInvalid,
        "what she signed herself needs the chain of her first computer, and her own key"
    );
    laptop.chain.sponsor = Some(me.chain.as_sponsor());
    laptop.user_key = me.user_key.clone();
    let certificate = laptop.chain.user.statement().clone();
    let certificate = caseload_vault::certificates::UserCertificate {
        user_key: me.user_key.public(),
        ..certificate
    };
    laptop.chain.user = Signed::new(certificate, &invitation.code.signing_key());
    clinic.http.post(REDEEM, &laptop.redeem(&invitation)).await.ok();
    laptop.sign_in(&clinic.http).await;
    laptop.register_files(&clinic.http).await;
    let (_, for_a_colleague) = owner.invitation(Role::FrontDesk, clinic.now_ms());
    clinic.http.post_as(&laptop, MINT, &for_a_colleague).await.ok();
    clinic
        .http
        .post_as(me, MINT, &owner.invitation(Role::FrontDesk, clinic.now_ms()).1)
        .await
        .ok();
}
