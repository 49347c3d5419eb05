//! A service whose disk is full acknowledges nothing, says that the device may try again, and goes on once there is room.

use std::collections::BTreeMap;
use std::sync::Arc;

use caseload_domain::{ClientId, DeviceId, EntityKey, GroupId, OpId, PracticeId, ReplicaId, Role, UserId};
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::decide::DecideLimits;
use caseload_protocol::facts::{Actor, VerifiedGroup};
use caseload_protocol::messages::{Group, Op, OpKind, Outcome, WireErrorCode};
use caseload_vault::{PublicKey, SymmetricKey};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::error::ApiError;

const PRACTICE: PracticeId = PracticeId::new(Uuid::from_u128(1));
const OWNER: UserId = UserId::new(Uuid::from_u128(2));
const DEVICE: DeviceId = DeviceId::new(Uuid::from_u128(3));
const REPLICA: ReplicaId = ReplicaId::new(Uuid::from_u128(4));
const LIMITS: DecideLimits = DecideLimits { doc_bytes: 262_144 };

/// A claimed practice with one registered file.
async fn practice(folder: &tempfile::TempDir) -> SqliteStorage {
    let storage = SqliteStorage::open(&folder.path().join("service.db"), &SymmetricKey::random()).unwrap();
    let practice = NewPractice {
        practice: PRACTICE,
        name: "Practice".to_owned(),
        root_key: PublicKey([1; 32]),
        epoch: "history".to_owned(),
    };
    let account = Account {
        user: OWNER,
        role: Role::Therapist,
        admin: true,
        public_key: PublicKey([2; 32]),
    };
    let device = Device {
        device: DEVICE,
        public_key: PublicKey([3; 32]),
        name: "Desk".to_owned(),
        users: vec![OWNER],
        revoked: false,
    };
    storage.claim(&practice, &account, &device).await.unwrap();
    let replica = NewReplica {
        replica: REPLICA,
        kind: ReplicaKind::Office,
        device: DEVICE,
        user: OWNER,
        replaces: None,
    };
    storage.register_replica(PRACTICE, &replica).await.unwrap();
    storage
}

/// The change of this number: a new client who takes several pages.
fn change(number: u16) -> PushBatch {
    let op = Op {
        op_id: OpId::new(Uuid::from_u128(1_000 + u128::from(number))),
        key: EntityKey::new(
            "client",
            ClientId::new(Uuid::from_u128(2_000 + u128::from(number))).entity(),
        ),
        kind: OpKind::Create,
        base_rev: 0,
        sv: 1,
        units: json!({
            "salt": "0".repeat(32), "name": {"family": "Kim"}, "status": {"state": "active"},
            "preferences": {"text": "x".repeat(20_000)},
        })
        .as_object()
        .unwrap()
        .clone(),
        add: BTreeMap::new(),
        remove: BTreeMap::new(),
        reason: None,
        client_ts: 1,
    };
    let group = Group {
        grp: GroupId::new(Uuid::from_u128(3_000 + u128::from(number))),
        actor: OWNER,
        role: Role::Therapist,
        origin: REPLICA,
        origin_mut: i64::from(number),
        first_mut: i64::from(number),
        sig: String::new(),
        detached: false,
        ops: vec![op],
    };
    let actor = Actor {
        user: OWNER,
        role: Role::Therapist,
        admin: true,
    };
    PushBatch {
        replica: REPLICA,
        epoch: None,
        known: None,
        groups: Arc::from([VerifiedGroup {
            group,
            actor: Some(actor),
        }]),
    }
}

impl SqliteStorage {
    /// Lets the file have `room` pages more than it has now, as on a disk that is nearly full; `None` gives it all the room there is.
    async fn let_grow_by(&self, room: Option<i64>) {
        let set = self.writer.write(move |connection| {
            let figure = |pragma: &str| -> rusqlite::Result<i64> {
                connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get(0))
            };
            let pages = figure("page_count").map_err(|error| failure(&error))?;
            let most = room.map_or(i64::from(u32::MAX - 1), |room| pages + room);
            let set = figure(&format!("max_page_count = {most}")).map_err(|error| failure(&error))?;
            assert_eq!(set, most);
            Ok::<_, StorageError>(())
        });
        set.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_does_not_fit_is_not_acknowledged_may_be_sent_again_and_is_made_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let storage = practice(&folder).await;
    storage.push(PRACTICE, change(1), LIMITS).await.unwrap();
    let before = storage.head(PRACTICE).await.unwrap().unwrap();
    let mut refused = 0;
    let answer = loop {
        storage.let_grow_by(Some(refused)).await;
        match storage.push(PRACTICE, change(2), LIMITS).await {
            Ok(answer) => break answer,
            Err(error) => assert_eq!(ApiError::from(error).code(), WireErrorCode::StorageUnavailable),
        }
        assert_eq!(storage.head(PRACTICE).await.unwrap().unwrap(), before);
        let known = storage.replica(PRACTICE, REPLICA).await.unwrap().unwrap();
        assert_eq!(known.last_op.map(|op| op.number), Some(1));
        refused += 1;
    };
    assert!(refused > 2, "it never had too little room");
    assert_eq!(
        (answer.results[0].st, answer.head_seq),
        (Outcome::Applied, before.seq + 1)
    );
    storage.let_grow_by(None).await;
    let again = storage.push(PRACTICE, change(2), LIMITS).await.unwrap();
    assert_eq!(again.results, answer.results, "the receipt is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shares_a_transaction_with_a_push_that_does_not_fit_may_try_again_too() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(practice(&folder).await);
    storage.let_grow_by(Some(1)).await;
    let mut pushes = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (pushing, ending) = (Arc::clone(&storage), Arc::clone(&storage));
        pushes.spawn(async move { pushing.push(PRACTICE, change(1), LIMITS).await });
        pushes.spawn(async move {
            ending.end_session(PRACTICE, "nobody's").await?;
            Ok(PushAnswer {
                results: Vec::new(),
                epoch: String::new(),
                head_seq: 0,
            })
        });
    }
    for answer in pushes.join_all().await {
        if let Err(error) = answer {
            assert_eq!(ApiError::from(error).code(), WireErrorCode::StorageUnavailable);
        }
    }
    storage.let_grow_by(None).await;
    let made = storage.push(PRACTICE, change(1), LIMITS).await.unwrap();
    assert_eq!(made.results[0].st, Outcome::Applied);
}
