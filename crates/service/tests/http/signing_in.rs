//! Challenges, sessions and tokens.

use caseload_protocol::auth::{RefreshRequest, SessionResponse};
use caseload_protocol::messages::WireErrorCode;
use caseload_vault::SigningKey;

use crate::clinic::{Clinic, uuid};
use crate::member::Member;

const SESSION: &str = "/v1/auth/session";
const REFRESH: &str = "/v1/auth/refresh";
const MINUTE_MS: i64 = 60_000;

async fn hello(clinic: &Clinic, member: &Member, token: &str) -> u16 {
    clinic
        .http
        .post_with(token, "/v1/sync/hello", &member.hello(member.office))
        .await
        .status
}

async fn refresh(clinic: &Clinic, token: &str) -> Result<SessionResponse, WireErrorCode> {
    let answer = clinic
        .http
        .post(
            REFRESH,
            &RefreshRequest {
                refresh: token.to_owned(),
            },
        )
        .await;
    if answer.status == 200 {
        Ok(answer.json())
    } else {
        Err(answer.code())
    }
}

#[tokio::test]
async fn computer_and_person_must_both_have_signed_a_fresh_challenge() {
    let (clinic, owner) = Clinic::with_owner().await;
    let member = &owner.member;
    let mut other_user_key = member.clone();
    other_user_key.user_key = SigningKey::generate();
    let mut other_device_key = member.clone();
    other_device_key.device_key = SigningKey::generate();
    let mut other_user = member.clone();
    other_user.user = caseload_domain::UserId::new(uuid());
    let mut other_device = member.clone();
    other_device.device = caseload_domain::DeviceId::new(uuid());
    let mut other_practice = member.clone();
    other_practice.practice = caseload_domain::PracticeId::new(uuid());
    for (name, forged) in [
        ("user key", other_user_key),
        ("device key", other_device_key),
        ("user", other_user),
        ("device", other_device),
        ("practice", other_practice),
    ] {
        let nonce = forged.challenge(&clinic.http).await;
        let answer = clinic.http.post(SESSION, &forged.session_request(nonce)).await;
        assert_eq!(answer.code(), WireErrorCode::AuthFailed, "{name}");
    }
    let request = member.session_request("never issued".to_owned());
    assert_eq!(
        clinic.http.post(SESSION, &request).await.code(),
        WireErrorCode::AuthFailed
    );
    let nonce = member.challenge(&clinic.http).await;
    clinic
        .http
        .post(SESSION, &member.session_request(nonce.clone()))
        .await
        .ok();
    let again = clinic.http.post(SESSION, &member.session_request(nonce)).await;
    assert_eq!(again.code(), WireErrorCode::AuthFailed, "a challenge is used once");
    let nonce = member.challenge(&clinic.http).await;
    clinic.folders.advance(2 * MINUTE_MS);
    let late = clinic.http.post(SESSION, &member.session_request(nonce)).await;
    assert_eq!(late.code(), WireErrorCode::AuthFailed, "and within two minutes");
}

#[tokio::test]
async fn an_access_token_ends_after_fifteen_minutes_and_a_refresh_token_gives_a_new_pair() {
    let (clinic, owner) = Clinic::with_owner().await;
    let member = &owner.member;
    clinic.folders.advance(15 * MINUTE_MS - 1);
    assert_eq!(hello(&clinic, member, &member.access).await, 200);
    clinic.folders.advance(1);
    assert_eq!(hello(&clinic, member, &member.access).await, 401);
    let next = refresh(&clinic, &member.refresh).await.unwrap();
    assert_eq!(next.expires_ms, next.server_time_ms + 15 * MINUTE_MS);
    assert_eq!(hello(&clinic, member, &next.access).await, 200);
}

#[tokio::test]
async fn using_a_refresh_token_twice_ends_the_session_of_both_users() {
    let (clinic, owner) = Clinic::with_owner().await;
    let member = &owner.member;
    let next = refresh(&clinic, &member.refresh).await.unwrap();
    assert_eq!(
        refresh(&clinic, &member.refresh).await.err(),
        Some(WireErrorCode::AuthFailed),
        "the thief, or the robbed"
    );
    assert_eq!(
        hello(&clinic, member, &next.access).await,
        401,
        "the newer token has ended too"
    );
    assert_eq!(
        refresh(&clinic, &next.refresh).await.err(),
        Some(WireErrorCode::AuthFailed)
    );
    let mut again = member.clone();
    again.sign_in(&clinic.http).await;
    assert_eq!(
        hello(&clinic, member, &again.access).await,
        200,
        "signing in with the keys is always possible"
    );
}

#[tokio::test]
async fn a_refresh_token_ends_after_thirty_days_and_garbage_is_no_token() {
    let (clinic, owner) = Clinic::with_owner().await;
    for garbage in ["", "x", &owner.member.access, &"A".repeat(64), &"A".repeat(100_000)] {
        assert!(refresh(&clinic, garbage).await.is_err());
    }
    clinic.folders.advance(30 * 24 * 60 * MINUTE_MS);
    assert_eq!(
        refresh(&clinic, &owner.member.refresh).await.err(),
        Some(WireErrorCode::AuthFailed)
    );
}

#[tokio::test]
async fn one_address_may_ask_the_sign_in_endpoints_only_so_often() {
    let clinic = Clinic::start().await;
    let mut answers = Vec::new();
    for _ in 0..130 {
        answers.push(
            clinic
                .http
                .post(REFRESH, &RefreshRequest { refresh: String::new() })
                .await,
        );
    }
    let refused = answers
        .iter()
        .filter(|answer| answer.code() == WireErrorCode::Busy)
        .count();
    assert_eq!(refused, 10, "120 a minute");
    clinic.folders.advance(MINUTE_MS);
    assert_eq!(refresh(&clinic, "").await.err(), Some(WireErrorCode::AuthFailed));
}
