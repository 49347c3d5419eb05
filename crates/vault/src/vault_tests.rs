#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::bundle::BundleError;
use crate::passphrase::KdfSalt;
use crate::slot_file::COPIES;
use proptest::prelude::*;
use std::fs;
use uuid::Uuid;

const FLOOR: KdfParams = KdfParams::FLOOR;

fn new_user(n: u128, role: Role) -> NewUser {
    NewUser {
        practice: PracticeId::new(Uuid::from_u128(1)),
        device: DeviceId::new(Uuid::from_u128(2)),
        user: UserId::new(Uuid::from_u128(n)),
        name: "Mina Seo".into(),
        role,
    }
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::typed(text)
}

fn owner(folder: &Path) -> (Vault<Unlocked>, RecoveryCode) {
    let owner = new_user(3, Role::Therapist);
    Vault::create_practice_owner(folder, owner, &passphrase("first"), FLOOR).unwrap()
}

fn copies(folder: &Path) -> Vec<Vec<u8>> {
    COPIES.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect()
}

fn same_keys(a: &Vault<Unlocked>, b: &Vault<Unlocked>) -> bool {
    let key = |vault: &Vault<Unlocked>, file| vault.database_key(file).map(|key| *key.to_bytes());
    [DatabaseFile::Office, DatabaseFile::Clinical]
        .into_iter()
        .all(|file| key(a, file) == key(b, file))
        && *a.portable_keys().to_bytes() == *b.portable_keys().to_bytes()
}

fn head(sequence: u64) -> Head {
    Head {
        database: Uuid::from_u128(9),
        sequence,
        hash: [u8::try_from(sequence).unwrap(); 32],
    }
}

#[test]
fn passphrase_paper_and_keyring_open_the_same_keys_and_wrong_ones_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut created, code) = owner(dir.path());
    let secret = SymmetricKey::random();
    created.enable_keyring(&secret).unwrap();
    let user = created.user();
    let before = copies(dir.path());

    let vault = Vault::open(dir.path()).unwrap();
    assert_eq!(
        vault.users()[0].slots,
        [SlotKind::Passphrase, SlotKind::Recovery, SlotKind::Keyring]
    );
    for unlocked in [
        vault.unlock_with_passphrase(user, &passphrase("first")),
        vault.unlock_with_recovery(user, &code),
        vault.unlock_with_keyring(user, &secret),
    ] {
        assert!(same_keys(&unlocked.unwrap(), &created));
    }

    let wrong = vault.unlock_with_passphrase(user, &passphrase("First"));
    assert!(matches!(wrong, Err(UnlockError::WrongPassphrase)));
    let wrong = vault.unlock_with_recovery(user, &RecoveryCode::random());
    assert!(matches!(wrong, Err(UnlockError::WrongRecoveryCode)));
    let wrong = vault.unlock_with_keyring(user, &SymmetricKey::random());
    assert!(matches!(wrong, Err(UnlockError::WrongKeyringSecret)));
    let nobody = vault.unlock_with_recovery(UserId::new(Uuid::from_u128(8)), &code);
    assert!(matches!(nobody, Err(UnlockError::UserUnknown)));
    assert_eq!(copies(dir.path()), before, "not a byte was written");

    created.disable_keyring().unwrap();
    assert!(
        matches!(vault.unlock_with_keyring(user, &secret), Err(UnlockError::NoSuchSlot)),
        "an open vault sees the change"
    );
    let again = Vault::create_practice_owner(dir.path(), new_user(3, Role::Therapist), &passphrase("x"), FLOOR);
    assert!(matches!(again, Err(ChangeError::File(SlotFileError::Exists))));
}

#[test]
fn a_new_passphrase_replaces_the_old_one_and_a_crash_between_the_copies_leaves_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vault, _) = owner(dir.path());
    let (user, old) = (vault.user(), copies(dir.path()));
    vault.change_passphrase(&passphrase("second"), FLOOR).unwrap();
    let new = copies(dir.path());
    let opens = |text: &str| {
        Vault::open(dir.path())
            .unwrap()
            .unlock_with_passphrase(user, &passphrase(text))
    };
    let put = |b: &[u8], a: &[u8]| {
        COPIES
            .iter()
            .zip([b, a])
            .for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap())
    };

    assert!(matches!(opens("first"), Err(UnlockError::WrongPassphrase)));
    assert!(same_keys(&opens("second").unwrap(), &vault));
    put(&new[0], &old[1]);
    assert!(same_keys(&opens("second").unwrap(), &vault), "B was written, A not yet");
    put(&new[0][..100], &old[1]);
    assert!(same_keys(&opens("first").unwrap(), &vault), "B is torn");
    put(&new[0], &new[1][..100]);
    assert!(same_keys(&opens("second").unwrap(), &vault), "A is torn");
    put(b"", b"");
    assert!(matches!(Vault::open(dir.path()), Err(SlotFileError::Damaged)));
}

#[test]
fn a_changed_slot_or_bundle_behind_a_valid_digest_is_a_typed_error() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, code) = owner(dir.path());
    let user = vault.user();
    let folder = SlotFolder::new(dir.path());
    let whole = folder.read().unwrap();
    let tampered = |change: &dyn Fn(&mut SlotUser)| {
        folder
            .update(|file| {
                *file = whole.clone();
                change(file.user_mut(user).unwrap());
                Ok::<_, SlotFileError>(())
            })
            .unwrap();
        Vault::open(dir.path()).unwrap()
    };
    let recovery = |user: &mut SlotUser, change: &dyn Fn(&mut Vec<u8>)| match &mut user.slots[1] {
        Slot::Recovery { sealed } => change(sealed),
        _ => panic!("the second slot is the paper's"),
    };

    let vault = tampered(&|user| recovery(user, &|sealed| *sealed.last_mut().unwrap() ^= 1));
    assert!(matches!(
        vault.unlock_with_recovery(user, &code),
        Err(UnlockError::DamagedSlot(OpenError::Damaged))
    ));
    let vault = tampered(&|user| recovery(user, &|sealed| sealed[0] = 2));
    assert!(matches!(
        vault.unlock_with_recovery(user, &code),
        Err(UnlockError::DamagedSlot(OpenError::NewerVersion(2)))
    ));
    let vault = tampered(&|user| user.bundle[80] ^= 1);
    let damaged = vault.unlock_with_recovery(user, &code);
    assert!(
        matches!(
            damaged,
            Err(UnlockError::Bundle(BundleError::Sealed(OpenError::Damaged)))
        ),
        "the code was right"
    );
    let vault = tampered(&|user| user.slots.truncate(1));
    assert!(matches!(
        vault.unlock_with_recovery(user, &code),
        Err(UnlockError::NoSuchSlot)
    ));
    let weak = |params: KdfParams| {
        tampered(&move |user| match &mut user.slots[0] {
            Slot::Passphrase { kdf, .. } => *kdf = params,
            _ => panic!("the first slot is the passphrase's"),
        })
        .unlock_with_passphrase(user, &passphrase("first"))
    };
    for params in [
        KdfParams { memory_kib: 8, ..FLOOR },
        KdfParams {
            memory_kib: u32::MAX,
            ..FLOOR
        },
        KdfParams { passes: 0, ..FLOOR },
    ] {
        assert!(matches!(weak(params), Err(UnlockError::Kdf(KdfError::OutOfBounds))));
    }
    let changed = weak(KdfParams { passes: 4, ..FLOOR });
    assert!(
        matches!(changed, Err(UnlockError::WrongPassphrase)),
        "parameters are bound to the slot"
    );
}

#[test]
fn a_slot_moved_to_another_device_practice_or_person_does_not_open() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, code) = owner(dir.path());
    let (user, other) = (vault.user(), UserId::new(Uuid::from_u128(77)));
    let folder = SlotFolder::new(dir.path());
    let whole = folder.read().unwrap();
    type Move = (&'static str, fn(&mut SlotFile), UserId);
    let moves: [Move; 3] = [
        ("device", |file| file.device = DeviceId::new(Uuid::from_u128(77)), user),
        (
            "practice",
            |file| file.practice = PracticeId::new(Uuid::from_u128(77)),
            user,
        ),
        (
            "person",
            |file| file.users[0].user = UserId::new(Uuid::from_u128(77)),
            other,
        ),
    ];
    for (name, change, user) in moves {
        folder
            .update(|file| {
                *file = whole.clone();
                change(file);
                Ok::<_, SlotFileError>(())
            })
            .unwrap();
        let unlocked = Vault::open(dir.path()).unwrap().unlock_with_recovery(user, &code);
        assert!(matches!(unlocked, Err(UnlockError::WrongRecoveryCode)), "{name}");
    }
}

#[test]
fn a_colleague_on_the_same_computer_shares_the_office_key_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vault, _) = owner(dir.path());
    let root = vault.identity().practice_root;
    let desk = new_user(4, Role::FrontDesk);
    let code = vault
        .add_user_to_device(
            desk.clone(),
            Joining::New { practice_root: root },
            &passphrase("desk"),
            FLOOR,
        )
        .unwrap()
        .expect("new keys come with a recovery code");

    let opened = vault.lock();
    let names: Vec<_> = opened.users().into_iter().map(|user| (user.user, user.role)).collect();
    assert_eq!(
        names,
        [
            (UserId::new(Uuid::from_u128(3)), Role::Therapist),
            (desk.user, Role::FrontDesk)
        ]
    );
    let mut desk_vault = opened.unlock_with_recovery(desk.user, &code).unwrap();
    let owner_vault = opened
        .unlock_with_passphrase(UserId::new(Uuid::from_u128(3)), &passphrase("first"))
        .unwrap();
    let office = |vault: &Vault<Unlocked>| *vault.database_key(DatabaseFile::Office).unwrap().to_bytes();
    assert_eq!(office(&desk_vault), office(&owner_vault));
    assert_eq!(
        desk_vault.device_signing().public(),
        owner_vault.device_signing().public()
    );
    assert!(desk_vault.database_key(DatabaseFile::Clinical).is_none());
    assert!(desk_vault.identity().root_signing.is_none() && owner_vault.identity().root_signing.is_some());
    assert_ne!(
        desk_vault.identity().signing.public(),
        owner_vault.identity().signing.public()
    );
    assert_ne!(
        desk_vault.identity().private_notes.expose(),
        owner_vault.identity().private_notes.expose()
    );
    assert!(matches!(
        desk_vault.record_head(DatabaseFile::Clinical, &head(1)),
        Err(ChangeError::NoSuchFile)
    ));

    let other_root = SigningKey::generate().public();
    let foreign = desk_vault.add_user_to_device(
        new_user(5, Role::FrontDesk),
        Joining::New {
            practice_root: other_root,
        },
        &passphrase("x"),
        FLOOR,
    );
    assert!(matches!(foreign, Err(ChangeError::OtherPractice)));
    let twice = desk_vault.add_user_to_device(desk, Joining::New { practice_root: root }, &passphrase("x"), FLOOR);
    assert!(matches!(twice, Err(ChangeError::UserExists)));
}

#[test]
fn her_own_next_computer_gets_her_keys_and_the_same_paper_fits_it() {
    let (first_dir, second_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, code) = owner(first_dir.path());
    let next = NewUser {
        device: DeviceId::new(Uuid::from_u128(22)),
        ..new_user(3, Role::Therapist)
    };
    let carried = Joining::Carried(Box::new(first.portable_keys()));
    let (second, new_code) =
        Vault::join_device(second_dir.path(), next, carried, &passphrase("elsewhere"), FLOOR).unwrap();
    assert!(new_code.is_none());
    assert_eq!(*second.portable_keys().to_bytes(), *first.portable_keys().to_bytes());
    for file in [DatabaseFile::Office, DatabaseFile::Clinical] {
        let keys = [&first, &second].map(|vault| *vault.database_key(file).unwrap().to_bytes());
        assert_ne!(keys[0], keys[1], "every computer has database keys of its own");
    }
    let mut recovered = Vault::open(second_dir.path())
        .unwrap()
        .unlock_with_recovery(second.user(), &code)
        .unwrap();
    let new_code = recovered.new_recovery_code().unwrap();
    let open = |code: &RecoveryCode| {
        Vault::open(second_dir.path())
            .unwrap()
            .unlock_with_recovery(second.user(), code)
    };
    assert!(
        matches!(open(&code), Err(UnlockError::WrongRecoveryCode)),
        "the old paper is void"
    );
    assert!(same_keys(&open(&new_code).unwrap(), &recovered));

    let (practice, user) = (recovered.practice(), recovered.user());
    let package = recovered
        .identity()
        .recovery
        .seal_package(practice, user, &recovered.portable_keys());
    let restored = new_code.key().open_package(practice, user, &package).unwrap();
    assert_eq!(
        *restored.to_bytes(),
        *recovered.portable_keys().to_bytes(),
        "paper and service bring everything back"
    );
}

#[test]
fn heads_survive_restarts_show_a_rollback_and_never_go_back_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let (mut vault, code) = owner(dir.path());
    let user = vault.user();
    let office = DatabaseFile::Office;
    assert_eq!(vault.check_head(office, &head(5)).unwrap(), HeadCheck::Unknown);
    vault.record_head(office, &head(5)).unwrap();
    let written = copies(dir.path());
    vault.record_head(office, &head(5)).unwrap();
    assert_eq!(copies(dir.path()), written, "an unchanged head costs no write");
    let mut vault = vault.lock().unlock_with_recovery(user, &code).unwrap();
    assert_eq!(vault.check_head(office, &head(5)).unwrap(), HeadCheck::Same);
    assert_eq!(
        vault.check_head(DatabaseFile::Clinical, &head(5)).unwrap(),
        HeadCheck::Unknown
    );
    let rolled_back = HeadCheck::RolledBack { recorded_sequence: 5 };
    assert_eq!(vault.check_head(office, &head(4)).unwrap(), rolled_back);
    let refused = vault.record_head(office, &head(4));
    assert!(matches!(refused, Err(ChangeError::HeadRefused(check)) if check == rolled_back));
    vault.record_head(office, &head(6)).unwrap();
    assert_eq!(vault.check_head(office, &head(6)).unwrap(), HeadCheck::Same);
    vault.record_restored_head(office, &head(2)).unwrap();
    assert_eq!(
        vault.check_head(office, &head(2)).unwrap(),
        HeadCheck::Same,
        "a person put a backup back"
    );
}

#[test]
fn a_slot_file_of_another_practice_is_not_written_over() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut vault, _) = owner(dir.path());
    let stranger = NewUser {
        practice: PracticeId::new(Uuid::from_u128(99)),
        ..new_user(3, Role::Therapist)
    };
    Vault::create_practice_owner(other.path(), stranger, &passphrase("x"), FLOOR).unwrap();
    for name in COPIES {
        fs::copy(other.path().join(name), dir.path().join(name)).unwrap();
    }
    let before = copies(dir.path());
    assert!(matches!(vault.disable_keyring(), Err(ChangeError::Foreign)));
    assert_eq!(copies(dir.path()), before);
}

#[test]
fn nothing_secret_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, code) = owner(dir.path());
    let passphrase = passphrase("heron lamp quince");
    let keys = vault.portable_keys();
    let enrolment = crate::enrolment::EnrolmentCode::random();
    let invitation = crate::enrolment::Invitation {
        address: "https://clinic.example".into(),
        practice: vault.practice(),
        pin: None,
        user: vault.user(),
        practice_root: keys.identity.practice_root,
        code: enrolment.clone(),
    };
    let parcel = crate::enrolment::Parcel {
        user: vault.user(),
        practice_root: keys.identity.practice_root,
        keys: Some(keys.clone()),
    };
    let stretched = passphrase.stretch(&KdfSalt([1; 16]), FLOOR).unwrap();
    for (name, printed) in [
        ("SymmetricKey", format!("{:?}", keys.user_key)),
        (
            "DatabaseKey",
            format!("{:?}", vault.database_key(DatabaseFile::Office).unwrap()),
        ),
        ("SigningKey", format!("{:?}", keys.identity.signing)),
        ("Passphrase", format!("{passphrase:?}")),
        ("Stretched", format!("{stretched:?}")),
        ("RecoveryCode", format!("{code:?}")),
        ("RecoveryKey", format!("{:?}", code.key())),
        ("Identity", format!("{:?}", keys.identity)),
        ("PortableKeys", format!("{keys:?}")),
        ("Bundle", format!("{:?}", vault.state.bundle)),
        ("Unlocked", format!("{:?}", vault.state)),
        ("EnrolmentCode", format!("{enrolment:?}")),
        ("Invitation", format!("{invitation:?}")),
        ("Parcel", format!("{parcel:?}")),
    ] {
        assert_eq!(printed, format!("{name}(redacted)"));
    }
    let printed = format!("{vault:?} {:?}", Joining::Carried(Box::new(keys)));
    assert!(printed.contains("Unlocked(redacted)") && printed.contains("PortableKeys(redacted)"));
}

/// What the slot file should be able to do.
#[derive(Clone)]
struct Expected {
    code: RecoveryCode,
    keyring: Option<SymmetricKey>,
    head: Option<u64>,
}

#[derive(Clone, Debug)]
enum Step {
    NewCode,
    EnableKeyring,
    DisableKeyring,
    RecordHead,
}

#[derive(Clone, Debug)]
enum Crash {
    None,
    BeforeSecondCopy,
    FirstCopyTorn(usize),
    SecondCopyTorn(usize),
    FirstCopyLost,
}

fn steps() -> impl Strategy<Value = Vec<(Step, Crash)>> {
    let step = prop_oneof![
        Just(Step::NewCode),
        Just(Step::EnableKeyring),
        Just(Step::DisableKeyring),
        Just(Step::RecordHead)
    ];
    let crash = prop_oneof![
        3 => Just(Crash::None),
        1 => Just(Crash::BeforeSecondCopy),
        1 => (0usize..2000).prop_map(Crash::FirstCopyTorn),
        1 => (0usize..2000).prop_map(Crash::SecondCopyTorn),
        1 => Just(Crash::FirstCopyLost),
    ];
    proptest::collection::vec((step, crash), 1..12)
}

fn apply(step: &Step, vault: &mut Vault<Unlocked>, mut expected: Expected) -> Expected {
    match step {
        Step::NewCode => expected.code = vault.new_recovery_code().unwrap(),
        Step::EnableKeyring => {
            let secret = SymmetricKey::random();
            vault.enable_keyring(&secret).unwrap();
            expected.keyring = Some(secret);
        }
        Step::DisableKeyring => {
            vault.disable_keyring().unwrap();
            expected.keyring = None;
        }
        Step::RecordHead => {
            let next = expected.head.map_or(1, |sequence| sequence + 1);
            vault.record_head(DatabaseFile::Office, &head(next)).unwrap();
            expected.head = Some(next);
        }
    }
    expected
}

/// Puts the folder into the state after a crash; says whether the new content survives it.
fn crash(crash: &Crash, folder: &Path, old: &[Vec<u8>]) -> bool {
    let [b, a] = COPIES.map(|name| folder.join(name));
    let cut = |path: &Path, length: usize| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..length.min(bytes.len() - 1)]).unwrap();
    };
    match crash {
        Crash::None => {}
        Crash::BeforeSecondCopy => fs::write(a, &old[1]).unwrap(),
        Crash::SecondCopyTorn(length) => cut(&a, *length),
        Crash::FirstCopyTorn(length) => {
            fs::write(a, &old[1]).unwrap();
            cut(&b, *length);
            return false;
        }
        Crash::FirstCopyLost => {
            fs::write(a, &old[1]).unwrap();
            fs::remove_file(b).unwrap();
            return false;
        }
    }
    true
}

proptest! {
    #![proptest_config(crate::drawn(48))]

    #[test]
    fn no_series_of_changes_and_crashes_locks_anybody_out(steps in steps()) {
        // The slow derivation is done once; every case starts from its result.
        static CREATED: std::sync::LazyLock<(Vec<Vec<u8>>, RecoveryCode)> = std::sync::LazyLock::new(|| {
            let dir = tempfile::tempdir().unwrap();
            let (_, code) = owner(dir.path());
            (copies(dir.path()), code)
        });
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in COPIES.iter().zip(&CREATED.0) {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let user = UserId::new(Uuid::from_u128(3));
        let mut expected = Expected { code: CREATED.1.clone(), keyring: None, head: None };
        let mut vault = Vault::open(dir.path()).unwrap().unlock_with_recovery(user, &expected.code).unwrap();
        let keys = vault.database_key(DatabaseFile::Office).unwrap().to_bytes();
        for (step, kind) in &steps {
            let old = copies(dir.path());
            let changed = apply(step, &mut vault, expected.clone());
            // Both copies are whole before each step, so that a torn one always has a partner, as after a crash of the real thing.
            if crash(kind, dir.path(), &old) {
                expected = changed;
            }
            let locked = Vault::open(dir.path()).unwrap();
            vault = locked.unlock_with_recovery(user, &expected.code).unwrap();
            prop_assert_eq!(&vault.database_key(DatabaseFile::Office).unwrap().to_bytes()[..], &keys[..]);
            match &expected.keyring {
                Some(secret) => prop_assert!(locked.unlock_with_keyring(user, secret).is_ok()),
                None => prop_assert!(matches!(locked.unlock_with_keyring(user, &SymmetricKey::random()), Err(UnlockError::NoSuchSlot))),
            }
            let found = vault.check_head(DatabaseFile::Office, &head(expected.head.unwrap_or(1))).unwrap();
            prop_assert_eq!(found, if expected.head.is_some() { HeadCheck::Same } else { HeadCheck::Unknown });
            vault.enable_keyring(&SymmetricKey::random()).unwrap();
            match &expected.keyring {
                Some(secret) => vault.enable_keyring(secret).unwrap(),
                None => vault.disable_keyring().unwrap(),
            }
        }
    }
}
