//! What a service does after its storage was restored, and how a copy is noticed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use caseload_domain::DeviceId;
use caseload_protocol::messages::{OpKind, Outcome};
use caseload_protocol::reoffer;
use caseload_service::MasterKeySource;
use caseload_service::restore::{Restoration, RestoreError, Source, backup, restore};
use caseload_service::storage::sqlite::SqliteStorage;
use caseload_service::storage::{PushError, Session, Storage, TokenHash, Tokens};

use serde_json::json;

use crate::clinic::{Clinic, OWNER, client_document, create, grant, key, op, patch, user, uuid};
use crate::ground::{Ground, master};

on_both_storages!(
    a_restore_changes_the_epoch_and_ends_sessions_and_keeps_rows_and_chain,
    an_offered_row_is_kept_for_review_unless_this_history_has_held_that_very_version,
);

const NOW: i64 = 4_000_000_000_000;

async fn a_restore_changes_the_epoch_and_ends_sessions_and_keeps_rows_and_chain(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(&mut owner, vec![create("client", 1, &client_document("Kim"))])
        .await;
    let session = Session {
        family: "one".into(),
        practice: clinic.practice,
        user: user(OWNER),
        device: DeviceId::new(uuid(700)),
    };
    let tokens = Tokens {
        access: TokenHash([1; 32]),
        access_expires_ms: NOW + 900_000,
        refresh: TokenHash([2; 32]),
        refresh_expires_ms: NOW + 900_000,
    };
    clinic.storage.put_session(&session, &tokens).await.unwrap();
    let before = clinic.storage.head(clinic.practice).await.unwrap().unwrap();
    assert_eq!(clinic.storage.practices().await.unwrap(), [clinic.practice]);
    for _ in 0..2 {
        let head = clinic.storage.begin_epoch(clinic.practice, "history-2").await.unwrap();
        assert_eq!(head.epoch, "history-2");
        assert_eq!((head.seq, head.chain), (before.seq, before.chain));
    }
    let found = clinic
        .storage
        .session_by_access(clinic.practice, &tokens.access, NOW)
        .await;
    assert_eq!(found.unwrap(), None);

    let group = owner.group(vec![create("client", 2, &client_document("Lee"))]);
    let mut batch = owner.batch(vec![group]);
    batch.epoch = Some(before.epoch);
    let limits = crate::clinic::LIMITS;
    let refused = clinic.storage.push(clinic.practice, batch.clone(), limits).await;
    assert!(matches!(refused, Err(PushError::EpochChanged)), "{refused:?}");
    batch.epoch = Some("history-2".into());
    let accepted = clinic.storage.push(clinic.practice, batch, limits).await.unwrap();
    assert_eq!(
        (accepted.epoch.as_str(), accepted.head_seq),
        ("history-2", before.seq + 1)
    );
}

async fn an_offered_row_is_kept_for_review_unless_this_history_has_held_that_very_version(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let client = key("client", 1);
    // Two rows by one operation, so that the leaf is looked for within it.
    let both = vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)];
    clinic.push(&mut owner, both).await;
    let keys = std::slice::from_ref(&client);
    let held = clinic.storage.fetch(clinic.practice, keys).await.unwrap()[0].to_wire();
    let change = patch("client", 1, 1, &json!({"phone": {"raw": "010"}}));
    clinic.push(&mut owner, vec![change]).await;
    let mut lost = held.clone();
    lost.doc.set("phone", json!({"raw": "020"}));
    for (row, rev) in [(&held, 0), (&lost, 1), (&lost, 1)] {
        let record = reoffer::record_key(row).unwrap();
        let offer = op(OpKind::Reoffer, record.clone(), 0, &reoffer::units(row).into());
        let answer = clinic.push(&mut owner, vec![offer]).await;
        assert_eq!((answer.results[0].st, answer.results[0].rev), (Outcome::Applied, rev));
        let kept = clinic.storage.fetch(clinic.practice, &[record]).await.unwrap();
        assert_eq!(i64::try_from(kept.len()).unwrap(), rev);
    }
    let choice = json!({"choice": reoffer::ACCEPT, "about": reoffer::about(&lost), "seen": 2});
    let settle = op(OpKind::Settle, reoffer::record_key(&lost).unwrap(), 1, &choice);
    let answer = clinic.push(&mut owner, vec![settle]).await;
    assert_eq!(answer.results[0].st, Outcome::Merged);
    let now = clinic.storage.fetch(clinic.practice, keys).await.unwrap().remove(0);
    assert_eq!(now.doc.text("phone", "raw"), Some("020"));
}

/// A file service in a folder of its own, with its master key beside it.
struct Embedded {
    folder: tempfile::TempDir,
}

impl Embedded {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        let key = folder.path().join("key");
        fs::write(&key, "2a".repeat(32)).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn key(&self) -> MasterKeySource {
        MasterKeySource::File(self.folder.path().join("key"))
    }

    fn open(&self) -> std::sync::Arc<dyn Storage> {
        std::sync::Arc::new(SqliteStorage::open(&self.data().join("service.db"), &master()).unwrap())
    }

    fn restoration(&self, copy: &Path, replace: bool) -> Restoration {
        Restoration {
            data: self.data(),
            mongodb: None,
            master_key: self.key(),
            source: Source::Copy(copy.to_owned()),
            replace,
        }
    }
}

#[tokio::test]
async fn a_copy_made_while_the_service_works_is_put_back_under_a_new_epoch_and_nothing_is_overwritten() {
    let service = Embedded::new();
    let clinic = Clinic::on(&service.open()).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(&mut owner, vec![create("client", 1, &client_document("Kim"))])
        .await;
    let copy = service.folder.path().join("copy");
    backup(&service.data(), &service.key(), &copy).await.unwrap();
    let again = backup(&service.data(), &service.key(), &copy).await;
    assert!(matches!(again, Err(RestoreError::CopyExists)), "{again:?}");
    clinic
        .push(&mut owner, vec![create("client", 2, &client_document("Lee"))])
        .await;
    let before = clinic.storage.head(clinic.practice).await.unwrap().unwrap();
    clinic.storage.close().await;

    let refused = restore(&service.restoration(&copy, false)).await;
    assert!(matches!(refused, Err(RestoreError::TargetInUse)), "{refused:?}");
    let kept = service.open();
    assert_eq!(kept.head(clinic.practice).await.unwrap(), Some(before.clone()));
    kept.close().await;

    let restored = restore(&service.restoration(&copy, true)).await.unwrap();
    assert_eq!((restored.len(), restored[0].head_seq, restored[0].verified), (1, 1, 1));
    assert_ne!(restored[0].epoch, before.epoch);
    let now = service.open();
    let head = now.head(clinic.practice).await.unwrap().unwrap();
    assert_eq!((&head.epoch, head.seq), (&restored[0].epoch, 1));
    let aside = service.data().join(format!("service.db.before-{}", restored[0].epoch));
    let aside = SqliteStorage::open(&aside, &master()).unwrap();
    assert_eq!(aside.head(clinic.practice).await.unwrap(), Some(before));
}

#[tokio::test]
async fn a_damaged_or_empty_or_missing_copy_is_refused_and_the_service_stays_as_it_was() {
    let service = Embedded::new();
    let clinic = Clinic::on(&service.open()).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(&mut owner, vec![create("client", 1, &client_document("Kim"))])
        .await;
    let before = clinic.storage.head(clinic.practice).await.unwrap();
    let copy = service.folder.path().join("copy");
    backup(&service.data(), &service.key(), &copy).await.unwrap();
    clinic.storage.close().await;
    let file = copy.join("service.db");
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for bytes in [damaged, whole[..whole.len() / 2].to_vec()] {
        fs::write(&file, bytes).unwrap();
        let refused = restore(&service.restoration(&copy, true)).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    let empty = service.folder.path().join("empty.db");
    SqliteStorage::open(&empty, &master()).unwrap().close().await;
    let refused = restore(&service.restoration(&empty, true)).await;
    assert!(matches!(refused, Err(RestoreError::Empty)), "{refused:?}");
    let missing = service.folder.path().join("nowhere");
    let refused = restore(&service.restoration(&missing, true)).await;
    assert!(matches!(refused, Err(RestoreError::NoCopy)), "{refused:?}");
    let files: Vec<_> = fs::read_dir(service.data())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !files.iter().any(|name| name.to_string_lossy().contains("incoming")),
        "{files:?}"
    );
    assert_eq!(service.open().head(clinic.practice).await.unwrap(), before);
}

#[tokio::test]
async fn the_chain_tells_a_copied_file_from_the_history_that_went_on_without_it() {
    let service = Embedded::new();
    let clinic = Clinic::on(&service.open()).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(&mut owner, vec![create("client", 1, &client_document("Kim"))])
        .await;
    clinic.storage.close().await;
    let (file, copy) = (service.data().join("service.db"), service.folder.path().join("copy.db"));
    fs::copy(&file, &copy).unwrap();
    let mut of_history = Vec::new();
    for family in ["Lee", "Park"] {
        fs::copy(&copy, &file).unwrap();
        let clinic = clinic.through(service.open());
        let mut owner = owner.clone();
        clinic
            .push(&mut owner, vec![create("client", 2, &client_document(family))])
            .await;
        let head = clinic.storage.head(clinic.practice).await.unwrap().unwrap();
        of_history.push((head.epoch, head.seq, head.chain));
        clinic.storage.close().await;
    }
    let [one, other] = of_history.as_slice() else { panic!() };
    assert_eq!(
        (&one.0, one.1),
        (&other.0, other.1),
        "epoch and number alone do not tell"
    );
    assert_ne!(one.2, other.2);
}
