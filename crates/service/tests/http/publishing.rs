//! Publishing a practice to a service that has none.

use caseload_protocol::messages::WireErrorCode;
use caseload_vault::SigningKey;

use crate::clinic::{Clinic, Folders, Owner};

const CLAIM: &str = "/v1/auth/claim";

#[tokio::test]
async fn a_practice_is_claimed_with_the_setup_code_which_is_gone_afterwards() {
    let clinic = Clinic::start().await;
    let file = clinic.folders.data().join("setup-code");
    let code = clinic.service.setup_code().unwrap().to_owned();
    assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), code);
    clinic.http.post(CLAIM, &Owner::new().claim(&code)).await.ok();
    assert!(!file.exists());
    let Clinic { folders, service, .. } = clinic;
    service.shutdown().await;
    let again = Clinic::start_in(folders).await;
    assert_eq!(again.service.setup_code(), None, "a claimed service prints no code");
    assert!(!file.exists());
}

#[tokio::test]
async fn a_second_practice_comes_too_late_and_the_same_claim_sent_again_is_answered_again() {
    let clinic = Clinic::start().await;
    let code = clinic.service.setup_code().unwrap().to_owned();
    let first = Owner::new();
    clinic.http.post(CLAIM, &first.claim(&code)).await.ok();
    assert_eq!(
        clinic.http.post(CLAIM, &Owner::new().claim(&code)).await.code(),
        WireErrorCode::AlreadyClaimed
    );
    clinic.http.post(CLAIM, &first.claim(&code)).await.ok();
    let mut forged = Owner::new();
    forged.member.practice = first.member.practice;
    forged.member.chain = caseload_vault::certificates::Chain::of_owner(
        caseload_vault::certificates::UserCertificate {
            practice: first.member.practice,
            ..forged.member.chain.user.statement().clone()
        },
        &forged.root,
    );
    assert_eq!(
        clinic.http.post(CLAIM, &forged.claim(&code)).await.code(),
        WireErrorCode::AlreadyClaimed
    );
}

#[tokio::test]
async fn two_claims_at_once_publish_one_practice() {
    let clinic = Clinic::start().await;
    let code = clinic.service.setup_code().unwrap().to_owned();
    let (one, two) = (Owner::new(), Owner::new());
    let (one, two) = (one.claim(&code), two.claim(&code));
    let (one, two) = tokio::join!(clinic.http.post(CLAIM, &one), clinic.http.post(CLAIM, &two));
    let mut answers = [one.status, two.status];
    answers.sort_unstable();
    assert_eq!(answers, [200, 409]);
}

#[tokio::test]
async fn a_wrong_setup_code_is_refused_and_five_of_them_close_the_door_for_a_while() {
    let clinic = Clinic::start().await;
    let owner = Owner::new();
    for _ in 0..5 {
        assert_eq!(
            clinic
                .http
                .post(CLAIM, &owner.claim("0000-0000-0000-0000"))
                .await
                .code(),
            WireErrorCode::CodeUnknown
        );
    }
    let code = clinic.service.setup_code().unwrap();
    let answer = clinic.http.post(CLAIM, &owner.claim(code)).await;
    assert_eq!(
        (answer.status, answer.code()),
        (429, WireErrorCode::Busy),
        "even the right code waits now"
    );
    assert_eq!(answer.headers["retry-after"], "900");
    clinic.folders.advance(15 * 60 * 1_000);
    clinic.http.post(CLAIM, &owner.claim(code)).await.ok();
}

#[tokio::test]
async fn a_chain_that_the_root_did_not_sign_or_of_another_practice_publishes_nothing() {
    let clinic = Clinic::start_in(Folders::new()).await;
    let code = clinic.service.setup_code().unwrap().to_owned();
    let owner = Owner::new();
    let mut other_root = owner.claim(&code);
    other_root.root_key = SigningKey::generate().public().to_string();
    let mut other_practice = owner.claim(&code);
    other_practice.practice = Owner::new().member.practice;
    let mut no_chain = owner.claim(&code);
    no_chain.chain = serde_json::json!({"user": "somebody"});
    for (name, request) in [
        ("root", other_root),
        ("practice", other_practice),
        ("no chain", no_chain),
    ] {
        assert_eq!(
            clinic.http.post(CLAIM, &request).await.code(),
            WireErrorCode::ChainInvalid,
            "{name}"
        );
    }
    clinic.http.post(CLAIM, &owner.claim(&code)).await.ok();
}
