//! Who is refused where: every route of the service has at least one case here, or is named as open with the reason.

use caseload_domain::{DeviceId, PracticeId, ReplicaId, Role, Scope, UserId};
use caseload_protocol::messages::WireErrorCode;
use caseload_service::routes;
use serde_json::{Value, json};

use crate::clinic::{Answer, Clinic, Owner, uuid};
use crate::member::{Invitation, Member};

/// Open to everybody, for these reasons. This list only shrinks.
const OPEN: [(&str, &str); 2] = [
    ("/healthz", "says whether the service works and nothing else"),
    (
        "/v1/auth/challenge",
        "gives random bytes to sign; what is known shows only with both signatures",
    ),
];

/// Refused beyond this machine; a test beside the handler shows it, because a test cannot come from elsewhere.
const OF_THIS_MACHINE: [&str; 1] = ["/metrics"];

/// No JSON goes in and out here; `blobs` shows who is refused, and walks these paths.
const BLOBS: [&str; 2] = ["/v1/blobs/{id}", "/v1/blobs/{id}/commit"];

/// Whoever is let in here sends somebody out: `revoking` shows who is refused.
const REVOKING: [&str; 1] = ["/v1/devices/revoke"];

/// Routes that work without a session, with a request of a stranger and its refusal.
fn strangers(clinic: &Clinic, owner: &Owner) -> Vec<(&'static str, Value, WireErrorCode)> {
    let stranger = Member::owner(owner.member.practice, &owner.root);
    let mut intruder = Owner::new();
    intruder.member.practice = owner.member.practice;
    let (unknown, _) = owner.invitation(Role::FrontDesk, clinic.now_ms());
    let joiner = Member::joining(&unknown);
    vec![
        (
            "/v1/auth/claim",
            to_value(&Owner::new().claim("")),
            WireErrorCode::AlreadyClaimed,
        ),
        (
            "/v1/auth/session",
            to_value(&stranger.session_request("guessed".to_owned())),
            WireErrorCode::AuthFailed,
        ),
        (
            "/v1/auth/refresh",
            json!({"refresh": "guessed"}),
            WireErrorCode::AuthFailed,
        ),
        (
            "/v1/auth/enrolments/open",
            json!({"practice": owner.member.practice, "id": "guessed"}),
            WireErrorCode::CodeUnknown,
        ),
        (
            "/v1/auth/enrolments/redeem",
            to_value(&joiner.redeem(&unknown)),
            WireErrorCode::CodeUnknown,
        ),
    ]
}

/// A request to every route that needs a session. `member` sends it as practice `practice` about `replica` and `scope`.
fn requests(
    clinic: &Clinic,
    owner: &Owner,
    member: &Member,
    replica: ReplicaId,
    scope: Scope,
) -> Vec<(&'static str, Value)> {
    let practice = member.practice;
    let user = UserId::new(uuid());
    let (_, mint) = Invitation::new(practice, user, Role::FrontDesk, clinic.now_ms() + 60_000, &owner.root);
    let kind = if replica == owner.member.clinical {
        "clinical"
    } else {
        "office"
    };
    vec![
        ("/v1/auth/enrolments", to_value(&mint)),
        (
            "/v1/devices/replicas",
            json!({"replica": replica, "kind": kind, "replaces": null}),
        ),
        ("/v1/sync/hello", to_value(&member.hello(replica))),
        ("/v1/sync/push", to_value(&member.push(replica, Vec::new()))),
        ("/v1/sync/pull", to_value(&member.pull(replica, &[scope]))),
        (
            "/v1/sync/snapshot",
            json!({"practice": practice, "replica": replica, "scope": scope, "after": null, "max_rows": 10}),
        ),
        (
            "/v1/sync/check",
            json!({"practice": practice, "replica": replica, "scopes": [scope]}),
        ),
        (
            "/v1/sync/fetch",
            json!({"practice": practice, "replica": replica, "keys": []}),
        ),
        ("/v1/sync/wait", Value::Null),
    ]
}

fn to_value(message: &impl serde::Serialize) -> Value {
    serde_json::to_value(message).unwrap()
}

async fn ask(clinic: &Clinic, token: &str, path: &str, body: &Value) -> Answer {
    if path == "/v1/sync/wait" {
        let mut asker = Member::owner(PracticeId::new(uuid()), &caseload_vault::SigningKey::generate());
        asker.access = token.to_owned();
        return clinic.http.get_as(&asker, "/v1/sync/wait?seq=-1").await;
    }
    clinic.http.post_with(token, path, body).await
}

#[tokio::test]
async fn every_route_has_a_refused_access() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let mut covered: Vec<&str> = OPEN
        .iter()
        .map(|(path, _)| *path)
        .chain(OF_THIS_MACHINE)
        .chain(BLOBS)
        .chain(REVOKING)
        .collect();
    for (path, request, code) in strangers(&clinic, &owner) {
        assert_eq!(clinic.http.post(path, &request).await.code(), code, "{path}");
        covered.push(path);
    }
    for (path, request) in requests(&clinic, &owner, me, me.office, Scope::Office) {
        covered.push(path);
        let none = if path == "/v1/sync/wait" {
            clinic.http.get("/v1/sync/wait?seq=-1").await
        } else {
            clinic.http.post(path, &request).await
        };
        assert_eq!(
            (none.status, none.code()),
            (401, WireErrorCode::AuthExpired),
            "{path} without a token"
        );
        for token in ["guessed", &me.refresh, &"A".repeat(64)] {
            let answer = ask(&clinic, token, path, &request).await;
            assert_eq!(
                (answer.status, answer.code()),
                (401, WireErrorCode::AuthExpired),
                "{path} with {token}"
            );
        }
        assert_eq!(
            ask(&clinic, &me.access, path, &request).await.status,
            200,
            "{path} is open to whom it is for"
        );
    }
    for (method, path) in routes::names() {
        assert!(covered.contains(&path), "{method} {path} has no case of refused access");
    }
    clinic.folders.advance(15 * 60_000);
    for (path, request) in requests(&clinic, &owner, me, me.office, Scope::Office) {
        assert_eq!(
            ask(&clinic, &me.access, path, &request).await.code(),
            WireErrorCode::AuthExpired,
            "{path}, expired"
        );
    }
}

#[tokio::test]
async fn the_practice_is_the_tokens_and_never_the_bodys() {
    let (clinic, owner) = Clinic::with_owner().await;
    let mut foreign = owner.member.clone();
    foreign.practice = PracticeId::new(uuid());
    for (path, request) in requests(&clinic, &owner, &foreign, owner.member.office, Scope::Office) {
        let answer = ask(&clinic, &owner.member.access, path, &request).await;
        match path {
            // These two name no practice.
            "/v1/devices/replicas" | "/v1/sync/wait" => answer.ok(),
            _ => assert_eq!(
                (answer.status, answer.code()),
                (403, WireErrorCode::ForeignPractice),
                "{path}"
            ),
        }
    }
}

#[tokio::test]
async fn the_front_desk_is_refused_the_clinical_file_everywhere() {
    let (clinic, owner) = Clinic::with_owner().await;
    let client = owner.member.create_client(&clinic, 1).await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    for (path, request) in requests(&clinic, &owner, &desk, owner.member.clinical, Scope::Clinical(client)) {
        let answer = ask(&clinic, &desk.access, path, &request).await;
        match path {
            // The wake-up is a number without content.
            "/v1/sync/wait" => answer.ok(),
            _ => assert_eq!(
                (answer.status, answer.code()),
                (403, WireErrorCode::Forbidden),
                "{path}"
            ),
        }
    }
}

#[tokio::test]
async fn another_computers_name_in_hello_is_refused() {
    let (clinic, owner) = Clinic::with_owner().await;
    let mut hello = owner.member.hello(owner.member.office);
    hello.device = DeviceId::new(uuid());
    let answer = clinic.http.post_as(&owner.member, "/v1/sync/hello", &hello).await;
    assert_eq!(answer.code(), WireErrorCode::Forbidden);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_not_found() {
    let (clinic, owner) = Clinic::with_owner().await;
    for path in [
        "/",
        "/v1/sync/pull",
        "/v1/sync",
        "/v1/sync/pull/../push",
        "/v1/auth/claim?x=1",
    ] {
        let answer = clinic.http.get(path).await;
        assert_eq!((answer.status, answer.code()), (404, WireErrorCode::NotFound), "{path}");
    }
    let answer = clinic.http.post_as(&owner.member, "/healthz", &json!({})).await;
    assert_eq!(answer.code(), WireErrorCode::NotFound);
}
