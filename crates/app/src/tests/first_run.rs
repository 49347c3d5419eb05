//! First run, locking and unlocking.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, mpsc};

use super::clinic::{Clinic, PASSPHRASE, env, refused, request};
use crate::App;
use crate::dto::*;

fn empty() -> (tempfile::TempDir, App) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
    let app = App::open_with(&folder.path().join("profile"), env(folder.path(), &clock)).unwrap();
    (folder, app)
}

fn fields(error: &AppError) -> Vec<(&str, FieldProblem)> {
    error
        .fields
        .iter()
        .map(|field| (field.path.as_str(), field.problem))
        .collect()
}

#[test]
fn what_is_wrong_with_a_first_run_is_said_at_once_and_leaves_nothing_behind() {
    let (folder, app) = empty();
    let wrong = CreatePractice {
        practice_name: " ".to_owned(),
        zone: "Mars/Olympus".to_owned(),
        currency: "XYZ".to_owned(),
        ..request()
    };
    let error = app.create_practice(wrong).err().unwrap();
    assert_eq!(
        fields(&error),
        [
            ("practiceName", FieldProblem::Required),
            ("zone", FieldProblem::UnknownZone),
            ("currency", FieldProblem::UnknownCurrency),
        ]
    );
    let error = app
        .create_practice(CreatePractice {
            passphrase: "short".to_owned(),
            ..request()
        })
        .err()
        .unwrap();
    assert_eq!(fields(&error), [("passphrase", FieldProblem::TooShort)]);
    assert_eq!(app.status().unwrap().phase, Phase::NoPractice);
    assert!(!folder.path().join("profile/office.db").exists());
}

#[test]
fn the_recovery_code_is_shown_until_two_groups_were_typed_back_and_never_again() {
    let (_folder, app) = empty();
    let kit = app.create_practice(request()).unwrap();
    assert_eq!(app.status().unwrap().phase, Phase::RecoveryPending);
    assert_eq!(app.recovery_kit().unwrap().groups, kit.groups);
    assert!(app.recovery_pdf().unwrap().path.ends_with(".pdf"));
    let wrong = kit
        .ask
        .iter()
        .map(|index| RecoveryGroup {
            index: *index,
            text: "0000".to_owned(),
        })
        .collect();
    assert_eq!(
        refused(app.confirm_recovery(ConfirmRecovery { groups: wrong })),
        ErrorCode::RecoveryMismatch
    );
    let right = kit
        .ask
        .iter()
        .map(|index| RecoveryGroup {
            index: *index,
            text: kit.groups[*index as usize].clone(),
        })
        .collect();
    let status = app.confirm_recovery(ConfirmRecovery { groups: right }).unwrap();
    assert_eq!(status.phase, Phase::Unlocked);
    assert_eq!(refused(app.recovery_kit()), ErrorCode::NotFound);
    assert_eq!(refused(app.create_practice(request())), ErrorCode::PracticeExists);
}

#[test]
fn an_unconfirmed_code_is_made_anew_at_the_next_sign_in() {
    let (_folder, app) = empty();
    let first = app.create_practice(request()).unwrap();
    let user = app.status().unwrap().session.unwrap().user_id;
    crate::unlock::close(&app.core).unwrap();
    let status = app
        .unlock(Unlock {
            user_id: user,
            passphrase: Some(PASSPHRASE.to_owned()),
        })
        .unwrap();
    assert_eq!(status.phase, Phase::RecoveryPending);
    assert_ne!(
        app.recovery_kit().unwrap().groups,
        first.groups,
        "the first paper may not exist"
    );
}

#[tokio::test]
async fn what_worked_in_the_background_has_ended_when_the_program_is_gone_even_inside_another_runtime() {
    let clinic = Clinic::new();
    let done = Arc::new(AtomicBool::new(false));
    let (begun, begins) = mpsc::channel();
    let finished = Arc::clone(&done);
    clinic.app.core.handle.spawn_blocking(move || {
        begun.send(()).unwrap();
        for _ in 0..10_000 {
            std::thread::yield_now();
        }
        finished.store(true, Ordering::Release);
    });
    begins.recv().unwrap();
    drop(clinic);
    assert!(done.load(Ordering::Acquire));
}

#[test]
fn locking_closes_everything_and_only_the_right_passphrase_opens_it() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let mut events = clinic.app.subscribe();
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(clinic.app.lock())
        .unwrap();
    assert!(matches!(events.try_recv().unwrap(), crate::Event::Locked));
    assert_eq!(clinic.app.status().unwrap().phase, Phase::Locked);
    let search = SearchClients {
        query: String::new(),
        limit: 5,
    };
    assert_eq!(refused(clinic.app.search_clients(search)), ErrorCode::Locked);
    let unlock = |passphrase: &str| {
        clinic.app.unlock(Unlock {
            user_id: clinic.owner.clone(),
            passphrase: Some(passphrase.to_owned()),
        })
    };
    assert_eq!(refused(unlock("heron lamp quincf")), ErrorCode::WrongPassphrase);
    assert_eq!(unlock(PASSPHRASE).unwrap().phase, Phase::Unlocked);
    assert_eq!(
        clinic
            .app
            .client(super::clinic::by_id(&client.id))
            .unwrap()
            .details
            .name
            .family,
        "Ellis"
    );
}

#[test]
fn each_damage_of_the_profile_has_a_code_of_its_own() {
    let clinic = Clinic::new();
    crate::unlock::close(&clinic.app.core).unwrap();
    let profile = clinic.folder.path().join("profile");
    let unlock = || {
        clinic.app.unlock(Unlock {
            user_id: clinic.owner.clone(),
            passphrase: Some(PASSPHRASE.to_owned()),
        })
    };
    let office = std::fs::read(profile.join("office.db")).unwrap();
    let mut changed = office.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(profile.join("office.db"), &changed[..changed.len() - 4096]).unwrap();
    assert_eq!(refused(unlock()), ErrorCode::StoreDamaged);
    std::fs::remove_file(profile.join("office.db")).unwrap();
    assert_eq!(clinic.app.status().unwrap().problem, Some(ErrorCode::StoreMissing));
    assert_eq!(refused(unlock()), ErrorCode::StoreMissing);
    std::fs::write(profile.join("office.db"), &office).unwrap();
    unlock().unwrap();
    clinic.client("Later", "One");
    crate::unlock::close(&clinic.app.core).unwrap();
    std::fs::write(profile.join("office.db"), &office).unwrap();
    assert_eq!(refused(unlock()), ErrorCode::StoreRolledBack);
    for copy in ["keys-a.clv", "keys-b.clv"] {
        std::fs::remove_file(profile.join(copy)).unwrap();
    }
    let status = clinic.app.status().unwrap();
    assert_eq!(
        (status.phase, status.problem),
        (Phase::Unavailable, Some(ErrorCode::KeysMissing))
    );
}

#[test]
fn one_profile_is_open_once() {
    let (folder, _app) = empty();
    let again = App::open(&folder.path().join("profile"));
    assert_eq!(refused(again.map(drop)), ErrorCode::ProfileInUse);
}

#[test]
fn an_idle_window_is_locked_by_its_heartbeat() {
    let clinic = Clinic::new();
    let beat = |idle_seconds| {
        clinic
            .app
            .heartbeat(Heartbeat { idle_seconds })
            .unwrap()
            .locks_in_seconds
    };
    assert_eq!(beat(0), Some(600));
    assert_eq!(beat(590), Some(10));
    assert_eq!(beat(600), None);
    assert_eq!(clinic.app.status().unwrap().phase, Phase::Locked);
}

fn locked_practice() -> (tempfile::TempDir, App, RecoveryKit, String) {
    let (folder, app) = empty();
    let kit = app.create_practice(request()).unwrap();
    let groups = kit
        .ask
        .iter()
        .map(|index| RecoveryGroup {
            index: *index,
            text: kit.groups[*index as usize].clone(),
        })
        .collect();
    let status = app.confirm_recovery(ConfirmRecovery { groups }).unwrap();
    crate::unlock::close(&app.core).unwrap();
    (folder, app, kit, status.session.unwrap().user_id)
}

fn with_passphrase(app: &App, user: &str, passphrase: &str) -> Result<Status, AppError> {
    app.unlock(Unlock {
        user_id: user.to_owned(),
        passphrase: Some(passphrase.to_owned()),
    })
}

#[test]
fn the_recovery_code_opens_the_practice_and_replaces_a_forgotten_passphrase() {
    let (_folder, app, kit, user) = locked_practice();
    let recover = |code: &str, passphrase: &str| {
        app.recover(Recover {
            user_id: user.clone(),
            code: code.to_owned(),
            passphrase: passphrase.to_owned(),
        })
    };
    let paper = kit.groups.join(" ").to_lowercase();
    let new = "willow stone harbour five";
    let weak = recover(&paper, "short").err().unwrap();
    assert_eq!(fields(&weak), [("passphrase", FieldProblem::TooShort)]);
    let mistyped = recover(&paper[1..], new).err().unwrap();
    assert_eq!(fields(&mistyped), [("code", FieldProblem::Malformed)]);
    assert_eq!(
        with_passphrase(&app, &user, PASSPHRASE).unwrap().phase,
        Phase::Unlocked,
        "nothing was changed yet"
    );
    crate::unlock::close(&app.core).unwrap();
    let status = recover(&paper, new).unwrap();
    assert_eq!(status.phase, Phase::Unlocked);
    assert!(status.session.unwrap().clinician, "the clinical file opens as well");
    crate::unlock::close(&app.core).unwrap();
    assert_eq!(
        refused(with_passphrase(&app, &user, PASSPHRASE)),
        ErrorCode::WrongPassphrase
    );
    assert_eq!(with_passphrase(&app, &user, new).unwrap().phase, Phase::Unlocked);
    crate::unlock::close(&app.core).unwrap();
    assert!(recover(&paper, PASSPHRASE).is_ok(), "the paper stays valid");
}

#[test]
fn a_renewed_recovery_code_is_shown_until_it_was_typed_back_and_voids_the_old_paper() {
    let (_folder, app, old, user) = locked_practice();
    with_passphrase(&app, &user, PASSPHRASE).unwrap();
    assert_eq!(app.renew_recovery_code().unwrap().phase, Phase::RecoveryPending);
    let kit = app.recovery_kit().unwrap();
    assert_ne!(kit.groups, old.groups);
    crate::unlock::close(&app.core).unwrap();
    let recover = |groups: &[String]| {
        app.recover(Recover {
            user_id: user.clone(),
            code: groups.join("-"),
            passphrase: PASSPHRASE.to_owned(),
        })
    };
    assert_eq!(refused(recover(&old.groups)), ErrorCode::RecoveryMismatch);
    assert_eq!(
        recover(&kit.groups).unwrap().phase,
        Phase::RecoveryPending,
        "it was not typed back"
    );
}

#[test]
fn wrong_passphrases_slow_down_over_a_restart_and_the_next_sign_in_logs_them() {
    let (folder, app, _, user) = locked_practice();
    for _ in 0..6 {
        assert_eq!(
            refused(with_passphrase(&app, &user, "not the one at all")),
            ErrorCode::WrongPassphrase
        );
    }
    drop(app);
    let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
    let app = App::open_with(&folder.path().join("profile"), env(folder.path(), &clock)).unwrap();
    assert_eq!(
        refused(with_passphrase(&app, &user, PASSPHRASE)),
        ErrorCode::TooManyAttempts
    );
    let entries = |app: &App| app.verify_audit().unwrap()[0].entries;
    clock.fetch_add(60_000, std::sync::atomic::Ordering::Relaxed);
    with_passphrase(&app, &user, PASSPHRASE).unwrap();
    let logged = entries(&app);
    crate::unlock::close(&app.core).unwrap();
    with_passphrase(&app, &user, PASSPHRASE).unwrap();
    assert_eq!(
        entries(&app),
        logged + 2,
        "one lock and one unlock: what was refused is logged once"
    );
    assert!(app.verify_audit().unwrap()[0].first_bad.is_none());
}
