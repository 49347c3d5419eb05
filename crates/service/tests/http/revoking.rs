//! A computer that is taken out of the practice, over each of the two storages.

use caseload_domain::{ClientId, DeviceId, PracticeId, Role, Scope};
use caseload_protocol::auth::RevokeDeviceRequest;
use caseload_protocol::messages::{Outcome, PushResponse, WireErrorCode};

use crate::clinic::{Answer, Clinic, Folders, Owner, uuid};
use crate::member::{Member, new_client};

over_both_storages!(
    a_revoked_computer_is_signed_out_at_once_and_never_in_again_and_what_it_sent_stays,
    only_an_administrator_revokes_and_never_the_computer_at_hand,
);

async fn revoke(clinic: &Clinic, by: &Member, device: DeviceId) -> Answer {
    let request = RevokeDeviceRequest {
        practice: by.practice,
        device,
    };
    clinic.http.post_as(by, "/v1/devices/revoke", &request).await
}

async fn push_client(clinic: &Clinic, member: &Member, first_mut: i64) -> Answer {
    let group = member.group(member.office, first_mut, vec![new_client(ClientId::new(uuid()))]);
    let request = member.push(member.office, vec![group]);
    clinic.http.post_as(member, "/v1/sync/push", &request).await
}

async fn a_revoked_computer_is_signed_out_at_once_and_never_in_again_and_what_it_sent_stays(folders: Folders) {
    let clinic = Clinic::start_in(folders).await;
    let owner = Owner::publish(&clinic).await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let made: PushResponse = push_client(&clinic, &desk, 1).await.json();
    assert_eq!(made.results[0].st, Outcome::Applied);

    revoke(&clinic, &owner.member, desk.device).await.ok();
    assert_eq!(
        push_client(&clinic, &desk, 2).await.code(),
        WireErrorCode::AuthExpired,
        "its session has ended"
    );
    let refresh = serde_json::json!({"refresh": desk.refresh});
    let refreshed = clinic.http.post("/v1/auth/refresh", &refresh).await;
    assert_eq!(refreshed.code(), WireErrorCode::AuthFailed);
    let nonce = desk.challenge(&clinic.http).await;
    let again = clinic.http.post("/v1/auth/session", &desk.session_request(nonce)).await;
    assert_eq!(
        again.code(),
        WireErrorCode::DeviceRevoked,
        "and whoever holds its keys is told why"
    );

    let me = &owner.member;
    revoke(&clinic, me, desk.device).await.ok();
    let rows = me.pull_all(&clinic.http, me.office, &[Scope::Office]).await.rows;
    assert_eq!(rows.len(), 1, "what was acknowledged is the practice's");
    push_client(&clinic, me, 1).await.ok();
}

async fn only_an_administrator_revokes_and_never_the_computer_at_hand(folders: Folders) {
    let clinic = Clinic::start_in(folders).await;
    let owner = Owner::publish(&clinic).await;
    let me = &owner.member;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let therapist = owner.enrol(&clinic, Role::Therapist).await;
    for (by, device, code) in [
        (&desk, me.device, WireErrorCode::Forbidden),
        (&desk, desk.device, WireErrorCode::Forbidden),
        (&therapist, desk.device, WireErrorCode::Forbidden),
        (me, me.device, WireErrorCode::Forbidden),
        (me, DeviceId::new(uuid()), WireErrorCode::NotFound),
    ] {
        assert_eq!(revoke(&clinic, by, device).await.code(), code);
    }
    let foreign = RevokeDeviceRequest {
        practice: PracticeId::new(uuid()),
        device: desk.device,
    };
    let answer = clinic.http.post_as(me, "/v1/devices/revoke", &foreign).await;
    assert_eq!(answer.code(), WireErrorCode::ForeignPractice);
    let stranger = clinic
        .http
        .post(
            "/v1/devices/revoke",
            &RevokeDeviceRequest {
                practice: me.practice,
                ..foreign
            },
        )
        .await;
    assert_eq!((stranger.status, stranger.code()), (401, WireErrorCode::AuthExpired));
    push_client(&clinic, &desk, 1).await.ok();
}
