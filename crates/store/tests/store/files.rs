//! Making, opening and refusing files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use caseload_store::{CreateError, FileKind, KeyProof, OpenError, Store};
use caseload_vault::DatabaseKey;
use caseload_vault::heads::{Head, HeadCheck};

use crate::fixture::{Clinic, get, key_of};

/// Every file of a folder with its bytes.
fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

fn unknown(_: &Head) -> HeadCheck {
    HeadCheck::Unknown
}

fn filled(clinic: &Clinic) -> Head {
    let store = clinic.office();
    clinic.client(&store, 1, "Archer", "Ann");
    store.close().unwrap()
}

#[test]
fn what_was_saved_is_there_after_closing_and_opening() {
    let clinic = Clinic::new();
    let head = filled(&clinic);
    let store = clinic.open(FileKind::Office);
    assert_eq!(store.read(|reads| reads.list("client")).unwrap().len(), 1);
    assert_eq!(store.head().unwrap(), head);
    assert_eq!(store.identity().unwrap(), clinic.identity(FileKind::Office));
}

#[test]
fn a_file_is_never_made_where_one_is() {
    let clinic = Clinic::new();
    filled(&clinic);
    let before = bytes(clinic.folder.path());
    let path = clinic.path(FileKind::Office);
    let again = Store::create(&path, &clinic.key, &clinic.identity(FileKind::Office), clinic.entropy());
    assert!(matches!(again, Err(CreateError::Exists)));
    assert_eq!(bytes(clinic.folder.path()), before);
}

#[test]
fn a_file_left_unfinished_by_a_crash_does_not_stand_in_the_way() {
    let clinic = Clinic::new();
    fs::write(clinic.folder.path().join("office.db.unfinished"), b"half").unwrap();
    drop(clinic.office());
    assert!(!clinic.folder.path().join("office.db.unfinished").exists());
}

/// Opens with the proof and gives the error; the folder must be as it was.
fn refused(
    clinic: &Clinic,
    kind: FileKind,
    key: &DatabaseKey,
    proof: KeyProof,
    head: &dyn Fn(&Head) -> HeadCheck,
) -> OpenError {
    let before = bytes(clinic.folder.path());
    let error = clinic.try_open(kind, key, proof, head).map(drop).unwrap_err();
    assert!(bytes(clinic.folder.path()) == before, "{error:?} changed a file");
    error
}

#[test]
fn missing_wrong_key_damaged_newer_and_rolled_back_are_five_errors_that_change_no_byte() {
    let clinic = Clinic::new();
    let office = FileKind::Office;
    assert!(matches!(
        refused(&clinic, office, &clinic.key, KeyProof::Proven, &unknown),
        OpenError::Missing
    ));

    let head = filled(&clinic);
    let other_key = DatabaseKey::from_bytes(&[8; 48]);
    assert!(matches!(
        refused(&clinic, office, &other_key, KeyProof::Unproven, &unknown),
        OpenError::WrongKey
    ));
    assert!(matches!(
        refused(&clinic, office, &other_key, KeyProof::Proven, &unknown),
        OpenError::Damaged(_)
    ));

    let back = |_: &Head| HeadCheck::RolledBack { recorded_sequence: 9 };
    assert!(matches!(
        refused(&clinic, office, &clinic.key, KeyProof::Proven, &back),
        OpenError::RolledBack
    ));
    let rewritten = |_: &Head| HeadCheck::Ahead {
        recorded_sequence: 1,
        recorded_hash: [1; 32],
    };
    assert!(matches!(
        refused(&clinic, office, &clinic.key, KeyProof::Proven, &rewritten),
        OpenError::RolledBack
    ));
    let ahead = move |_: &Head| HeadCheck::Ahead {
        recorded_sequence: head.sequence,
        recorded_hash: head.hash,
    };
    assert!(clinic.try_open(office, &clinic.key, KeyProof::Proven, &ahead).is_ok());
    let other = |_: &Head| HeadCheck::OtherDatabase;
    assert!(matches!(
        refused(&clinic, office, &clinic.key, KeyProof::Proven, &other),
        OpenError::ForeignFile
    ));
    fs::copy(clinic.path(office), clinic.path(clinic.clinical_kind())).unwrap();
    let foreign = refused(&clinic, clinic.clinical_kind(), &clinic.key, KeyProof::Proven, &unknown);
    assert!(matches!(foreign, OpenError::ForeignFile));

    let whole = fs::read(clinic.path(office)).unwrap();
    let mut flipped = whole.clone();
    flipped[2 * 4096 + 100] ^= 1;
    let appended = [whole.as_slice(), &[0; 4096]].concat();
    for (name, content) in [
        ("empty", Vec::new()),
        ("cut inside a page", whole[..whole.len() - 100].to_vec()),
        ("cut at a page", whole[..whole.len() - 4096].to_vec()),
        ("a page more", appended),
    ] {
        fs::write(clinic.path(office), content).unwrap();
        let error = refused(&clinic, office, &clinic.key, KeyProof::Proven, &unknown);
        assert!(matches!(error, OpenError::Damaged(_)), "{name}: {error:?}");
    }

    fs::write(clinic.path(office), &whole).unwrap();
    raw(&clinic, "PRAGMA user_version = 99");
    let error = refused(&clinic, office, &clinic.key, KeyProof::Proven, &unknown);
    assert!(matches!(error, OpenError::Newer { found: 99, known: 5 }), "{error:?}");
}

/// Changes the file behind the store's back.
fn raw(clinic: &Clinic, sql: &str) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = rusqlite::Connection::open_with_flags(clinic.path(FileKind::Office), flags).unwrap();
    connection
        .execute_batch(&format!("PRAGMA key = \"{}\"; {sql}", *clinic.key.sqlcipher_text()))
        .unwrap();
}

#[test]
fn a_flipped_bit_anywhere_gives_an_error_or_the_right_data() {
    let clinic = Clinic::new();
    filled(&clinic);
    let path = clinic.path(FileKind::Office);
    let whole = fs::read(&path).unwrap();
    for position in (40..whole.len()).step_by(1_777) {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x10;
        fs::write(&path, &flipped).unwrap();
        let opened = clinic.try_open(FileKind::Office, &clinic.key, KeyProof::Proven, &unknown);
        let names = opened.map_err(drop).and_then(|store| {
            let clients = store.read(|reads| reads.list("client")).map_err(drop)?;
            Ok(clients
                .iter()
                .map(|client| client.doc.text("name", "family").unwrap().to_owned())
                .collect::<Vec<_>>())
        });
        assert!(
            names.is_err() || names == Ok(vec!["Archer".to_owned()]),
            "bit at {position}"
        );
    }
}

#[test]
fn an_old_copy_put_back_is_noticed_by_its_head() {
    let clinic = Clinic::new();
    let old = filled(&clinic);
    let copy = fs::read(clinic.path(FileKind::Office)).unwrap();
    let store = clinic.open(FileKind::Office);
    clinic.client(&store, 2, "Bird", "Ben");
    let recorded = store.close().unwrap();
    fs::write(clinic.path(FileKind::Office), copy).unwrap();
    let check = |found: &Head| {
        assert_eq!(*found, old);
        if *found == recorded {
            HeadCheck::Same
        } else {
            HeadCheck::RolledBack {
                recorded_sequence: recorded.sequence,
            }
        }
    };
    let error = refused(&clinic, FileKind::Office, &clinic.key, KeyProof::Proven, &check);
    assert!(matches!(error, OpenError::RolledBack));
}

#[test]
fn a_file_that_was_not_closed_is_read_through_its_log_and_a_refusal_leaves_both() {
    let clinic = Clinic::new();
    let store = clinic.office();
    clinic.client(&store, 1, "Archer", "Ann");
    let crashed = Clinic::new();
    for name in ["office.db", "office.db-wal"] {
        fs::copy(clinic.folder.path().join(name), crashed.folder.path().join(name)).unwrap();
    }
    assert!(fs::metadata(crashed.folder.path().join("office.db-wal")).unwrap().len() > 0);
    let back = |_: &Head| HeadCheck::RolledBack { recorded_sequence: 9 };
    let error = refused(&crashed, FileKind::Office, &crashed.key, KeyProof::Proven, &back);
    assert!(matches!(error, OpenError::RolledBack));
    let other_key = DatabaseKey::from_bytes(&[8; 48]);
    let error = refused(&crashed, FileKind::Office, &other_key, KeyProof::Unproven, &unknown);
    assert!(matches!(error, OpenError::WrongKey));
    assert_eq!(
        crashed
            .open(FileKind::Office)
            .read(|reads| reads.list("client"))
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn no_file_shows_what_was_written_into_it() {
    let clinic = Clinic::new();
    let (office, clinical) = (clinic.office(), clinic.clinical());
    clinic.client(&office, 1, "Marlowe-Canary", "Ann");
    let note = clinic.draft(&clinical, 1, "Clinical-Canary sleeps badly");
    let hunt = || {
        for (name, content) in bytes(clinic.folder.path()) {
            for canary in ["Marlowe-Canary", "Clinical-Canary", "CREATE TABLE", "session_note"] {
                let found = content.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!found, "{canary} in {name}");
            }
        }
    };
    hunt();
    office.checkpoint().unwrap();
    clinical.checkpoint().unwrap();
    hunt();
    let text = get(&clinical, &note).unwrap().doc;
    assert!(
        format!("{}", serde_json::to_value(&text).unwrap()).contains("Clinical-Canary"),
        "the control"
    );
}

#[test]
fn readers_see_the_state_before_a_write_until_it_is_committed() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("client", 0xC001);
    clinic
        .write(&store, |tx| {
            tx.create(
                &key,
                crate::fixture::doc(serde_json::json!({"name": {"family": "A"}, "status": {"state": "active"}})),
            )?;
            assert!(tx.get(&key)?.is_some());
            assert!(get(&store, &key).is_none());
            Ok(())
        })
        .unwrap();
    assert!(get(&store, &key).is_some());
}
