#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::bundle::BundlePlace;
use crate::heads::Head;
use crate::keys::DatabaseKey;
use crate::passphrase::{KdfParams, KdfSalt};
use proptest::prelude::*;
use uuid::Uuid;

fn file(generation: u64) -> SlotFile {
    let place = BundlePlace {
        practice: PracticeId::new(Uuid::from_u128(1)),
        device: DeviceId::new(Uuid::from_u128(2)),
        user: UserId::new(Uuid::from_u128(3)),
    };
    let head = Head {
        database: Uuid::from_u128(4),
        sequence: 5,
        hash: [6; 32],
    };
    let head = RecordedHead::new(&DatabaseKey::from_bytes(&[7; 48]), &place, "office.db", &head);
    SlotFile {
        generation,
        practice: place.practice,
        device: place.device,
        users: vec![SlotUser {
            user: place.user,
            name: "Mina Seo".into(),
            role: Role::Therapist,
            slots: vec![
                Slot::Passphrase {
                    kdf: KdfParams::DEFAULT,
                    salt: KdfSalt([8; 16]),
                    sealed: b"one".to_vec(),
                },
                Slot::Recovery {
                    sealed: b"two".to_vec(),
                },
                Slot::Keyring {
                    sealed: b"three".to_vec(),
                },
            ],
            bundle: b"bundle".to_vec(),
        }],
        heads: BTreeMap::from([("office.db".to_owned(), head)]),
    }
}

fn folder() -> (tempfile::TempDir, SlotFolder) {
    let dir = tempfile::tempdir().unwrap();
    let folder = SlotFolder::new(dir.path());
    (dir, folder)
}

fn state(bytes: &[u8]) -> &'static str {
    match SlotFile::decode(bytes) {
        CopyState::Valid(_) => "valid",
        CopyState::Damaged => "damaged",
        CopyState::Newer(_) => "newer",
        CopyState::Absent | CopyState::Unreadable(_) => "other",
    }
}

/// A whole frame of any version around any body.
fn frame(version: u16, body: &[u8]) -> Vec<u8> {
    let mut out = [
        MAGIC.as_slice(),
        &version.to_be_bytes(),
        &u32::try_from(body.len()).unwrap().to_be_bytes(),
        body,
    ]
    .concat();
    let digest = digest(&SHA256, &out);
    out.extend_from_slice(digest.as_ref());
    out
}

#[test]
fn the_bytes_are_frozen_because_a_slot_file_that_cannot_be_read_locks_everybody_out() {
    let bytes = file(7).encode();
    assert_eq!(&bytes[..8], b"CLVSLOTS");
    assert_eq!(&bytes[8..10], [0, 1]);
    let body = std::str::from_utf8(&bytes[14..bytes.len() - 32]).unwrap();
    assert_eq!(bytes[10..14], u32::try_from(body.len()).unwrap().to_be_bytes());
    assert_eq!(
        body,
        r#"{"generation":7,"practice":"00000000-0000-0000-0000-000000000001","device":"00000000-0000-0000-0000-000000000002","users":[{"user":"00000000-0000-0000-0000-000000000003","name":"Mina Seo","role":"therapist","slots":[{"kind":"passphrase","kdf":{"m":131072,"t":3,"p":1},"salt":"CAgICAgICAgICAgICAgICA","sealed":"b25l"},{"kind":"recovery","sealed":"dHdv"},{"kind":"keyring","sealed":"dGhyZWU"}],"bundle":"YnVuZGxl"}],"heads":{"office.db":{"database":"00000000-0000-0000-0000-000000000004","sequence":5,"hash":"BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY","mac":"CpL3ofYpl4p7E5uySm_JHRUZlf5K3G0TQm0UxA95f5c"}}}"#
    );
    assert_eq!(
        text::base64url(&bytes[bytes.len() - 32..]),
        "wj_D2TUW0xvtgpNF5F7MZxqni-ixBXcbVnqEjb2RdWU"
    );
    assert_eq!(state(&bytes), "valid");
}

#[test]
fn every_changed_byte_and_every_cut_is_damage() {
    let bytes = file(7).encode();
    for index in 0..bytes.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[index] ^= change;
            assert_eq!(state(&changed), "damaged", "byte {index} changed by {change}");
        }
        assert_eq!(state(&bytes[..index]), "damaged", "cut at {index}");
    }
    assert_eq!(state(&[&bytes[..], b"\n"].concat()), "damaged");
}

#[test]
fn whole_frames_of_other_versions_and_contents_are_told_apart() {
    for (version, body, expected) in [
        (2, "anything at all", "newer"),
        (u16::MAX, "{}", "newer"),
        (0, "{}", "damaged"),
        (1, "{}", "damaged"),
        (1, r#"{"generation":-1}"#, "damaged"),
        (1, "\u{0}", "damaged"),
    ] {
        assert_eq!(state(&frame(version, body.as_bytes())), expected, "{version} {body}");
    }
}

#[test]
fn a_folder_without_a_file_is_missing_and_stays_empty() {
    let (dir, folder) = folder();
    assert!(matches!(folder.read(), Err(SlotFileError::Missing)));
    let gone = SlotFolder::new(&dir.path().join("nowhere"));
    assert!(matches!(gone.read(), Err(SlotFileError::Missing)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_second_file_is_never_created_over_a_first_one_be_it_whole_or_damaged() {
    let (dir, folder) = folder();
    folder.create(&file(1)).unwrap();
    assert!(matches!(folder.create(&file(1)), Err(SlotFileError::Exists)));
    for name in COPIES {
        fs::write(dir.path().join(name), b"rubbish").unwrap();
    }
    assert!(matches!(folder.create(&file(1)), Err(SlotFileError::Exists)));
    assert!(matches!(folder.read(), Err(SlotFileError::Damaged)));
    assert_eq!(
        fs::read(dir.path().join(COPIES[0])).unwrap(),
        b"rubbish",
        "nothing was touched"
    );
}

#[test]
fn a_newer_copy_wins_over_an_older_one_so_that_its_change_is_not_undone() {
    let (dir, folder) = folder();
    folder.create(&file(1)).unwrap();
    fs::write(dir.path().join(COPIES[0]), frame(9, b"future")).unwrap();
    assert!(matches!(folder.read(), Err(SlotFileError::Newer(9))));
    let update = folder.update(|_| Ok::<_, SlotFileError>(()));
    assert!(matches!(update, Err(SlotFileError::Newer(9))));
}

#[test]
fn a_single_damaged_or_lost_copy_is_healed_by_the_next_write() {
    for name in COPIES {
        for content in [None, Some(b"rubbish".as_slice()), Some(b"".as_slice())] {
            let (dir, folder) = folder();
            folder.create(&file(1)).unwrap();
            let path = dir.path().join(name);
            match content {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert_eq!(folder.read().unwrap(), file(1));
            folder.update(|_| Ok::<_, SlotFileError>(())).unwrap();
            for copy in COPIES {
                assert_eq!(fs::read(dir.path().join(copy)).unwrap(), file(2).encode());
            }
        }
    }
}

#[test]
fn a_crash_at_any_point_of_a_write_leaves_the_old_or_the_new_content() {
    let (old, new) = (file(1).encode(), file(2).encode());
    // What each of the two copies and of the two temporary files may be after the crash, in the order of the writes.
    let cuts: Vec<usize> = (0..=new.len()).step_by(37).chain([new.len()]).collect();
    let mut states: Vec<[Option<&[u8]>; 4]> = Vec::new();
    for cut in &cuts {
        states.push([Some(&old), Some(&old), Some(&new[..*cut]), None]);
        states.push([Some(&new), Some(&old), None, Some(&new[..*cut])]);
        // Worse than rename promises: the copy that was just written is torn.
        states.push([Some(&new[..*cut]), Some(&old), None, None]);
        states.push([Some(&new), Some(&new[..*cut]), None, None]);
    }
    states.push([Some(&new), Some(&new), None, None]);
    states.push([Some(&new), None, None, Some(&new)]);
    let names = [
        COPIES[0].to_owned(),
        COPIES[1].to_owned(),
        format!("{}.new", COPIES[0]),
        format!("{}.new", COPIES[1]),
    ];
    for contents in states {
        let (dir, folder) = folder();
        for (name, content) in names.iter().zip(contents) {
            if let Some(bytes) = content {
                fs::write(dir.path().join(name), bytes).unwrap();
            }
        }
        let expected = if contents[0] == Some(&new[..]) {
            file(2)
        } else {
            file(1)
        };
        assert_eq!(folder.read().unwrap(), expected);
        folder.update(|_| Ok::<_, SlotFileError>(())).unwrap();
        assert_eq!(
            folder.read().unwrap().generation,
            expected.generation + 1,
            "a left-over temporary file does not disturb"
        );
    }
}

#[test]
fn the_first_creation_interrupted_leaves_nothing_or_a_whole_file() {
    let new = file(1).encode();
    let (dir, folder) = folder();
    fs::write(dir.path().join("keys-b.clv.new"), &new[..40]).unwrap();
    assert!(matches!(folder.read(), Err(SlotFileError::Missing)));
    folder.create(&file(1)).unwrap();
    assert_eq!(folder.read().unwrap(), file(1));
}

#[test]
fn a_creation_that_fails_half_way_leaves_no_slot_file() {
    let (dir, folder) = folder();
    fs::create_dir(dir.path().join("keys-a.clv.new")).unwrap();
    assert!(matches!(folder.create(&file(1)), Err(SlotFileError::Write(_))));
    assert!(
        matches!(folder.read(), Err(SlotFileError::Missing)),
        "the second copy had been written already"
    );
    fs::remove_dir(dir.path().join("keys-a.clv.new")).unwrap();
    folder.create(&file(1)).unwrap();
}

#[test]
fn a_failing_write_is_an_error_and_keeps_the_old_content() {
    let (dir, folder) = folder();
    folder.create(&file(1)).unwrap();
    // A folder in the place of the temporary file fails for root as well, unlike missing permissions.
    fs::create_dir(dir.path().join("keys-b.clv.new")).unwrap();
    let update = folder.update(|file| {
        file.users.clear();
        Ok::<_, SlotFileError>(())
    });
    assert!(matches!(update, Err(SlotFileError::Write(_))));
    assert_eq!(folder.read().unwrap(), file(1));
}

#[test]
fn an_unreadable_copy_is_not_taken_for_a_missing_one() {
    let (dir, folder) = folder();
    for name in COPIES {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    assert!(matches!(folder.read(), Err(SlotFileError::Read(_))));
    assert!(matches!(folder.create(&file(1)), Err(SlotFileError::Read(_))));
}

#[cfg(unix)]
#[test]
fn only_the_own_account_may_read_the_copies() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, folder) = folder();
    folder.create(&file(1)).unwrap();
    for name in COPIES {
        assert_eq!(
            fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

proptest! {
    #![proptest_config(crate::drawn(300))]

    #[test]
    fn arbitrary_bytes_are_damage_and_never_panic(bytes: Vec<u8>, body: Vec<u8>, version in 0u16..2) {
        prop_assert_eq!(state(&bytes), "damaged");
        prop_assert_eq!(state(&frame(version, &body)), "damaged");
    }
}
