//! Bodies that are not what they should be, and compression both ways.

use caseload_domain::{ClientId, Scope};
use caseload_protocol::messages::{PullResponse, WireErrorCode};
use caseload_vault::SymmetricKey;
use serde_json::{Value, json};

use crate::clinic::{Answer, Clinic, uuid};
use crate::member::{Member, new_client};

const PUSH: &str = "/v1/sync/push";
const HELLO: &str = "/v1/sync/hello";

async fn send(clinic: &Clinic, member: &Member, path: &str, encoding: Option<&str>, body: Vec<u8>) -> Answer {
    let mut request = clinic.http.request(path).bearer_auth(&member.access).body(body);
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    clinic.http.send(request).await
}

#[tokio::test]
async fn what_is_no_message_is_malformed() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let deep = format!("{{\"practice\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for (name, body) in [
        ("empty", Vec::new()),
        ("no JSON", b"practice=1".to_vec()),
        ("cut", b"{\"practice\":\"".to_vec()),
        ("another message", b"{}".to_vec()),
        ("a wrong type", b"{\"practice\":7}".to_vec()),
        (
            "an id that is none",
            serde_json::to_vec(&json!({"practice": "x"})).unwrap(),
        ),
        ("not UTF-8", b"{\"practice\":\"\xff\xfe\"}".to_vec()),
        ("nested without end", deep.into_bytes()),
    ] {
        for path in [PUSH, HELLO, "/v1/auth/enrolments"] {
            let answer = send(&clinic, me, path, None, body.clone()).await;
            assert_eq!(
                (answer.status, answer.code()),
                (400, WireErrorCode::Malformed),
                "{name} to {path}"
            );
        }
    }
    assert_eq!(
        clinic.http.get_as(me, "/v1/sync/wait?seq=soon").await.code(),
        WireErrorCode::Malformed
    );
    assert_eq!(
        clinic.http.get_as(me, "/v1/sync/wait").await.code(),
        WireErrorCode::Malformed
    );
}

#[tokio::test]
async fn members_that_the_service_does_not_know_are_ignored_in_envelopes() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let mut hello = serde_json::to_value(me.hello(me.office)).unwrap();
    hello["of_a_later_version"] = json!({"nested": [1, "two", null]});
    clinic.http.post_as(me, HELLO, &hello).await.ok();
    let group = me.group(me.office, 1, vec![new_client(ClientId::new(uuid()))]);
    let mut push = serde_json::to_value(me.push(me.office, vec![group])).unwrap();
    push["of_a_later_version"] = Value::Bool(true);
    clinic.http.post_as(me, PUSH, &push).await.ok();
}

#[tokio::test]
async fn sizes_are_bounded_as_sent_and_after_decompression() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 3).unwrap();
    assert!(bomb.len() < 1 << 20, "a small body");
    let noise: Vec<u8> = (0..(4 << 20) / 32 + 1)
        .flat_map(|_| *SymmetricKey::random().expose())
        .collect();
    for (name, path, encoding, body) in [
        ("a bomb", PUSH, Some("zstd"), bomb.clone()),
        ("a bomb to a small endpoint", "/v1/auth/enrolments", Some("zstd"), bomb),
        ("a large body", PUSH, None, vec![b' '; (4 << 20) + 1]),
        ("a large compressed body", PUSH, Some("zstd"), noise),
        ("a body too large for hello", HELLO, None, vec![b' '; (1 << 20) + 1]),
        (
            "a body too large for signing in",
            "/v1/auth/challenge",
            None,
            vec![b' '; (64 << 10) + 1],
        ),
    ] {
        let answer = send(&clinic, me, path, encoding, body).await;
        assert_eq!((answer.status, answer.code()), (413, WireErrorCode::TooLarge), "{name}");
    }
}

#[tokio::test]
async fn zstd_is_read_and_written_and_other_encodings_are_refused() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let ops = (0..50).map(|_| new_client(ClientId::new(uuid()))).collect();
    let push = serde_json::to_vec(&me.push(me.office, vec![me.group(me.office, 1, ops)])).unwrap();
    let packed = zstd::bulk::compress(&push, 3).unwrap();
    send(&clinic, me, PUSH, Some("zstd"), packed.clone()).await.ok();
    let damaged = packed[..packed.len() / 2].to_vec();
    assert_eq!(
        send(&clinic, me, PUSH, Some("zstd"), damaged).await.code(),
        WireErrorCode::Malformed
    );
    assert_eq!(
        send(&clinic, me, PUSH, Some("zstd"), push.clone()).await.code(),
        WireErrorCode::Malformed
    );
    let gzip = send(&clinic, me, PUSH, Some("gzip"), push).await;
    assert_eq!((gzip.status, gzip.code()), (415, WireErrorCode::UnsupportedEncoding));

    let pull = serde_json::to_vec(&me.pull(me.office, &[Scope::Office])).unwrap();
    let ask = |accept: &'static str| {
        let request = clinic
            .http
            .request("/v1/sync/pull")
            .bearer_auth(&me.access)
            .header("accept-encoding", accept);
        clinic.http.send(request.body(pull.clone()))
    };
    let plain = ask("identity").await;
    assert!(plain.headers.get("content-encoding").is_none());
    let packed = ask("zstd").await;
    assert_eq!(packed.headers["content-encoding"], "zstd");
    assert!(packed.body.len() * 3 < plain.body.len());
    let unpacked = zstd::bulk::decompress(&packed.body, 1 << 20).unwrap();
    let (one, two): (PullResponse, PullResponse) = (plain.json(), serde_json::from_slice(&unpacked).unwrap());
    assert_eq!(one, two);
}
