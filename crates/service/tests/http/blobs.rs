//! The ciphertext of files over HTTP: parts, commit, ranges, and who is refused.

use caseload_domain::{BlobId, ClientId, EntityKey, Role};
use caseload_protocol::blobs::{BlobStatus, COMMITTED, CommitBlob, RECEIVED};
use caseload_protocol::checksum::{hex, sha256};
use caseload_protocol::messages::{HelloResponse, Limits, Op, OpKind, PushResponse, WireErrorCode};
use serde_json::json;

use crate::clinic::{Answer, Clinic, Owner, uuid};
use crate::member::{Member, create};

fn new_blob() -> BlobId {
    BlobId::new(uuid())
}

fn document(kind: &str, client: ClientId, author: &Member, blob: BlobId, ciphertext: &[u8]) -> Op {
    let content = json!({
        "blob": blob, "key": "A".repeat(43), "sha256": hex(&sha256(ciphertext)), "size": 1, "media_type": "application/pdf",
        "sealed_size": ciphertext.len(), "created": 1,
    });
    let units = json!({
        "subject": {"client": client, "author": author.user}, "content": content, "title": {"text": "Letter"},
        "category": {"code": "report"},
    });
    create(EntityKey::new(kind, caseload_domain::EntityId::new(uuid())), units)
}

impl Member {
    async fn part(&self, clinic: &Clinic, blob: BlobId, offset: usize, bytes: &[u8]) -> Answer {
        let request = clinic.http.method("PUT", &format!("/v1/blobs/{blob}?off={offset}"));
        clinic
            .http
            .send(request.bearer_auth(&self.access).body(bytes.to_vec()))
            .await
    }

    async fn commit(&self, clinic: &Clinic, blob: BlobId, ciphertext: &[u8]) -> Answer {
        let request = CommitBlob {
            size: ciphertext.len() as u64,
            sha256: hex(&sha256(ciphertext)),
        };
        clinic
            .http
            .post_as(self, &format!("/v1/blobs/{blob}/commit"), &request)
            .await
    }

    async fn send_all(&self, clinic: &Clinic, blob: BlobId, ciphertext: &[u8]) {
        self.part(clinic, blob, 0, ciphertext).await.ok();
        self.commit(clinic, blob, ciphertext).await.ok();
    }

    async fn range(&self, clinic: &Clinic, blob: BlobId, range: &str) -> Answer {
        let request = clinic.http.method("GET", &format!("/v1/blobs/{blob}"));
        clinic
            .http
            .send(request.bearer_auth(&self.access).header("range", range))
            .await
    }

    async fn status(&self, clinic: &Clinic, blob: BlobId) -> (u16, Option<BlobStatus>) {
        let request = clinic.http.method("HEAD", &format!("/v1/blobs/{blob}"));
        let answer = clinic.http.send(request.bearer_auth(&self.access)).await;
        let header = |name: &str| answer.headers.get(name)?.to_str().ok()?.parse::<String>().ok();
        let status = header(RECEIVED)
            .zip(header(COMMITTED))
            .map(|(received, committed)| BlobStatus {
                received: received.parse().unwrap(),
                committed: committed.parse().unwrap(),
            });
        (answer.status, status)
    }

    async fn push_one(&self, clinic: &Clinic, clinical: bool, first_mut: i64, op: Op) {
        let file = if clinical { self.clinical } else { self.office };
        let request = self.push(file, vec![self.group(file, first_mut, vec![op])]);
        let answer: PushResponse = clinic.http.post_as(self, "/v1/sync/push", &request).await.json();
        assert_eq!(answer.results[0].why, None);
    }
}

#[tokio::test]
async fn a_file_goes_up_in_parts_and_comes_down_in_ranges_after_its_document_and_its_commit() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let client = me.create_client(&clinic, 1).await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let (blob, ciphertext) = (new_blob(), (0..=255).cycle().take(70_000).collect::<Vec<u8>>());
    let (first, second) = ciphertext.split_at(40_000);

    assert_eq!(me.status(&clinic, blob).await, (404, None));
    let received = |received, committed| BlobStatus { received, committed };
    assert_eq!(
        me.part(&clinic, blob, 0, first).await.json::<BlobStatus>(),
        received(40_000, false)
    );
    assert_eq!(
        me.status(&clinic, blob).await,
        (200, Some(received(40_000, false))),
        "where to go on after a cut"
    );
    assert_eq!(
        me.part(&clinic, blob, 70_000, second).await.code(),
        WireErrorCode::WrongOffset
    );
    assert_eq!(
        me.commit(&clinic, blob, &ciphertext).await.code(),
        WireErrorCode::WrongOffset,
        "not everything is there"
    );
    assert_eq!(
        me.part(&clinic, blob, 40_000, second).await.json::<BlobStatus>(),
        received(70_000, false)
    );
    assert_eq!(
        me.range(&clinic, blob, "bytes=0-").await.code(),
        WireErrorCode::Forbidden,
        "no document names it yet"
    );
    me.push_one(&clinic, false, 3, document("document", client, me, blob, &ciphertext))
        .await;
    assert_eq!(
        desk.range(&clinic, blob, "bytes=0-").await.code(),
        WireErrorCode::NotFound,
        "not before its commit"
    );
    for _ in 0..2 {
        assert_eq!(
            me.commit(&clinic, blob, &ciphertext).await.json::<BlobStatus>(),
            received(70_000, true)
        );
    }
    me.part(&clinic, blob, 40_000, second).await.ok();

    let some = desk.range(&clinic, blob, "bytes=39990-40009").await;
    assert_eq!((some.status, some.body.as_slice()), (206, &ciphertext[39_990..40_010]));
    assert_eq!(some.headers["content-range"], "bytes 39990-40009/70000");
    assert!(!some.headers.contains_key("content-encoding"));
    let all = desk.range(&clinic, blob, "bytes=0-").await;
    assert!(all.body == ciphertext);
    let beyond = desk.range(&clinic, blob, "bytes=70000-").await;
    assert_eq!((beyond.status, beyond.code()), (416, WireErrorCode::Malformed));
    let whole = clinic.http.get_as(&desk, &format!("/v1/blobs/{blob}")).await;
    assert_eq!(whole.code(), WireErrorCode::Malformed, "a blob is read in ranges");

    let files: Vec<u8> = std::fs::read_dir(clinic.folders.data())
        .unwrap()
        .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap_or_default())
        .collect();
    assert!(
        !files.windows(256).any(|bytes| bytes == &ciphertext[..256]),
        "not even the ciphertext lies there as it came"
    );
}

#[tokio::test]
async fn a_clinical_file_is_refused_to_the_front_desk_to_other_clinicians_and_to_other_practices() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let client = me.create_client(&clinic, 1).await;
    let desk = owner.enrol(&clinic, Role::FrontDesk).await;
    let colleague = owner.enrol(&clinic, Role::Therapist).await;
    let (blob, ciphertext) = (new_blob(), vec![7; 1_000]);
    me.push_one(
        &clinic,
        true,
        1,
        document("clinical_document", client, me, blob, &ciphertext),
    )
    .await;
    assert_eq!(
        desk.part(&clinic, blob, 0, &ciphertext).await.code(),
        WireErrorCode::NotFound,
        "a file of a document that the desk does not see is not the desk's to send"
    );
    me.send_all(&clinic, blob, &ciphertext).await;
    assert_eq!(me.range(&clinic, blob, "bytes=0-").await.body, ciphertext);
    for other in [&desk, &colleague] {
        assert_eq!(
            other.range(&clinic, blob, "bytes=0-").await.code(),
            WireErrorCode::Forbidden
        );
        assert_eq!(other.status(&clinic, blob).await.0, 403);
        let part = other.part(&clinic, blob, 0, &ciphertext).await;
        assert_eq!((part.status, part.code()), (403, WireErrorCode::Forbidden));
        assert_eq!(
            other.commit(&clinic, blob, &ciphertext).await.code(),
            WireErrorCode::Forbidden
        );
    }
}

#[tokio::test]
async fn without_a_session_no_blob_route_answers() {
    let (clinic, owner) = Clinic::with_owner().await;
    let blob = new_blob();
    owner.member.send_all(&clinic, blob, b"ciphertext").await;
    let mut stranger = Member::owner(owner.member.practice, &owner.root);
    for token in [String::new(), "guessed".to_owned(), owner.member.refresh.clone()] {
        stranger.access = token;
        assert_eq!(stranger.status(&clinic, blob).await.0, 401);
        for answer in [
            stranger.part(&clinic, blob, 0, b"ciphertext").await,
            stranger.commit(&clinic, blob, b"ciphertext").await,
            stranger.range(&clinic, blob, "bytes=0-").await,
        ] {
            assert_eq!((answer.status, answer.code()), (401, WireErrorCode::AuthExpired));
        }
    }
    for method in ["POST", "DELETE", "PATCH"] {
        let request = clinic.http.method(method, &format!("/v1/blobs/{blob}"));
        let answer = clinic.http.send(request.bearer_auth(&owner.member.access)).await;
        assert_eq!(answer.code(), WireErrorCode::NotFound, "{method}");
    }
}

#[tokio::test]
async fn a_void_document_keeps_its_file() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let client = me.create_client(&clinic, 1).await;
    let (blob, ciphertext) = (new_blob(), vec![7; 1_000]);
    let document = document("document", client, me, blob, &ciphertext);
    let key = document.key.clone();
    me.push_one(&clinic, false, 3, document).await;
    me.send_all(&clinic, blob, &ciphertext).await;
    let mut void = create(key, json!({}));
    (void.kind, void.base_rev, void.reason) = (OpKind::Void, 1, Some("added twice".to_owned()));
    void.units.clear();
    me.push_one(&clinic, false, 4, void).await;
    assert_eq!(me.range(&clinic, blob, "bytes=0-").await.body, ciphertext);
}

#[tokio::test]
async fn the_limits_of_blobs_are_advertised_and_enforced() {
    let (clinic, owner) = Clinic::with_owner().await;
    let me = &owner.member;
    let hello: HelloResponse = clinic
        .http
        .post_as(me, "/v1/sync/hello", &me.hello(me.office))
        .await
        .json();
    let limits = Limits::default();
    assert_eq!((limits.blob_chunk, limits.blob_max), (4 << 20, 100 << 20));
    assert_eq!(
        (hello.limits.blob_chunk, hello.limits.blob_max),
        (limits.blob_chunk, limits.blob_max)
    );
    let chunk = usize::try_from(limits.blob_chunk).unwrap();
    let blob = new_blob();
    let too_long = me.part(&clinic, blob, 0, &vec![1; chunk + 1]).await;
    assert_eq!((too_long.status, too_long.code()), (413, WireErrorCode::TooLarge));
    me.part(&clinic, blob, 0, &vec![1; chunk]).await.ok();
    let beyond = usize::try_from(limits.blob_max).unwrap();
    assert_eq!(
        me.part(&clinic, blob, beyond, b"x").await.code(),
        WireErrorCode::TooLarge
    );
    assert_eq!(
        me.part(&clinic, blob, chunk, b"").await.code(),
        WireErrorCode::Malformed
    );
    let compressed = clinic
        .http
        .method("PUT", &format!("/v1/blobs/{blob}?off={chunk}"))
        .bearer_auth(&me.access);
    let compressed = compressed.header("content-encoding", "zstd").body("x");
    assert_eq!(
        clinic.http.send(compressed).await.code(),
        WireErrorCode::UnsupportedEncoding
    );
    for path in [
        "/v1/blobs/no-id?off=0",
        &format!("/v1/blobs/{blob}?off=-1"),
        &format!("/v1/blobs/{blob}"),
    ] {
        let request = clinic.http.method("PUT", path).bearer_auth(&me.access).body("x");
        assert_eq!(
            clinic.http.send(request).await.code(),
            WireErrorCode::Malformed,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_owner_of_another_practice_does_not_find_the_blob() {
    let (clinic, owner) = Clinic::with_owner().await;
    let blob = new_blob();
    owner.member.send_all(&clinic, blob, b"ciphertext").await;
    let (elsewhere, stranger) = Clinic::with_owner().await;
    assert_eq!(stranger.member.status(&elsewhere, blob).await.0, 404);
    assert_eq!(
        stranger.member.status(&clinic, blob).await.0,
        401,
        "a session of another practice is none here"
    );
    let _: &Owner = &stranger;
}
