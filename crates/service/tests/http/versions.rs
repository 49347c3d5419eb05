//! Programs of other versions: each request may name its protocol, and one that this service does not speak is refused with a code of its
//! own before anything else is looked at.

use caseload_domain::ClientId;
use caseload_protocol::PROTOCOL_HEADER;
use caseload_protocol::messages::{HelloResponse, PushResponse, WireErrorCode};
use caseload_service::routes;
use serde_json::json;

use crate::clinic::{Answer, Clinic, uuid};
use crate::member::new_client;

/// Asks without a body and without a session.
async fn ask(clinic: &Clinic, method: &str, path: &str, version: &str) -> Answer {
    let path = path.replace("{id}", &uuid().to_string()).replace("wait", "wait?seq=-1");
    let request = clinic.http.method(method, &path).header(PROTOCOL_HEADER, version);
    clinic.http.send(request).await
}

#[tokio::test]
async fn every_route_refuses_a_protocol_that_is_too_old_or_too_new_before_it_looks_at_anything_else() {
    let (clinic, _owner) = Clinic::with_owner().await;
    for (method, path) in routes::names() {
        for version in ["0", "2", "4294967295"] {
            let answer = ask(&clinic, method, path, version).await;
            assert_eq!(answer.status, 426, "{method} {path} as {version}");
            if method != "HEAD" {
                assert_eq!(answer.code(), WireErrorCode::UpgradeRequired);
            }
        }
        for unreadable in ["", "one", "-1", "1.0"] {
            assert_eq!(
                ask(&clinic, method, path, unreadable).await.status,
                400,
                "{method} {path}"
            );
        }
        assert_ne!(ask(&clinic, method, path, "1").await.status, 426, "{method} {path}");
    }
}

#[tokio::test]
async fn a_change_of_another_protocol_is_not_made_and_one_that_names_none_speaks_the_first() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let group = me.group(me.office, 1, vec![new_client(ClientId::new(uuid()))]);
    let push = me.push(me.office, vec![group]);
    let head = async || {
        let answer: HelloResponse = clinic
            .http
            .post_as(me, "/v1/sync/hello", &me.hello(me.office))
            .await
            .json();
        answer.head_seq
    };
    let newer = clinic
        .http
        .request("/v1/sync/push")
        .header(PROTOCOL_HEADER, "2")
        .bearer_auth(&me.access)
        .body(serde_json::to_vec(&push).unwrap());
    assert_eq!(clinic.http.send(newer).await.code(), WireErrorCode::UpgradeRequired);
    assert_eq!(head().await, 0);
    let answer: PushResponse = clinic.http.post_as(me, "/v1/sync/push", &push).await.json();
    assert_eq!((answer.results.len(), head().await), (1, 1));
    let mut later = serde_json::to_value(me.pull(me.office, &[])).unwrap();
    later["of_a_later_year"] = json!({"asked": true});
    clinic.http.post_as(me, "/v1/sync/pull", &later).await.ok();
}
