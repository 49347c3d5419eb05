//! Publishing and joining, and everything that can be wrong with it.

use caseload_app::Sharing::{InBackground, WhenAsked};
use caseload_app::dto::*;
use caseload_app::{Event, Sharing};

use crate::computers::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_or_address_publishes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let owner = app(&folder.path().join("owner"), WhenAsked);
    create(&owner);
    let good = publication(&service);
    let with = |address: &str, code: &str| Publish {
        address: address.to_owned(),
        setup_code: code.to_owned(),
        pin: None,
    };
    for (request, code) in [
        (with(&good.address, "0000-0000-0000-0000"), ErrorCode::SetupCodeRefused),
        (
            with("http://10.0.0.5:7878", &good.setup_code),
            ErrorCode::InsecureAddress,
        ),
        (with("http://127.0.0.1:1", &good.setup_code), ErrorCode::Offline),
        (with("not an address", &good.setup_code), ErrorCode::InvalidFields),
        (with("", ""), ErrorCode::InvalidFields),
    ] {
        assert_eq!(refused(owner.publish(request).await), code);
        assert!(!owner.status().unwrap().published);
    }
    assert_eq!(refused(owner.share_now().await), ErrorCode::NotPublished);
    assert_eq!(owner.publish(good.clone()).await.unwrap().state, SyncState::UpToDate);
    assert_eq!(refused(owner.publish(good).await), ErrorCode::AlreadyPublished);
    let other = app(&folder.path().join("other"), WhenAsked);
    create(&other);
    assert_eq!(
        refused(other.publish(with(&service.url(), "0")).await),
        ErrorCode::AlreadyPublished,
        "one service, one practice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_line_is_used_once_and_a_refused_newcomer_leaves_nothing_behind() {
    let practice = Clinic::published(WhenAsked).await;
    let line = person(&practice.owner, Role::FrontDesk, "Yuna Baek").await;
    let desk = app(&practice.folder.path().join("desk"), WhenAsked);
    assert_eq!(
        refused(desk.join(joining("caseload1:nonsense", DESK)).await),
        ErrorCode::CodeMalformed
    );
    assert_eq!(
        refused(desk.join(joining("hello", DESK)).await),
        ErrorCode::CodeMalformed
    );
    assert_eq!(
        refused(desk.join(joining(&line, "short")).await),
        ErrorCode::InvalidFields
    );
    assert_eq!(desk.status().unwrap().phase, Phase::NoPractice);
    let status = desk.join(joining(&line, DESK)).await.unwrap();
    assert_eq!(status.session.unwrap().role, Role::FrontDesk);
    let late = app(&practice.folder.path().join("late"), WhenAsked);
    assert_eq!(refused(late.join(joining(&line, DESK)).await), ErrorCode::CodeRefused);
    assert_eq!(
        late.status().unwrap().phase,
        Phase::NoPractice,
        "its folder is as empty as before"
    );
    assert_eq!(
        refused(desk.join(joining(&line, DESK)).await),
        ErrorCode::PracticeExists
    );
    let staff = desk.staff().unwrap();
    let own = staff.iter().find(|person| person.name == "Yuna Baek").unwrap();
    assert!(own.active && own.role == Role::FrontDesk);
    all_equal(&[&practice.owner, &desk]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_desk_adds_computers_of_its_own_and_no_people() {
    let practice = Clinic::published(WhenAsked).await;
    let desk = practice.desk(WhenAsked).await;
    let mint = |kind| MintEnrolment {
        kind,
        role: Some(Role::FrontDesk),
        full_name: Some("Somebody".to_owned()),
    };
    assert_eq!(
        refused(desk.mint_enrolment(mint(EnrolmentKind::Person)).await),
        ErrorCode::Forbidden
    );
    let nameless = MintEnrolment {
        kind: EnrolmentKind::Person,
        role: None,
        full_name: None,
    };
    let error = practice.owner.mint_enrolment(nameless).await.err().unwrap();
    assert_eq!(error.fields.len(), 2);
    desk.mint_enrolment(mint(EnrolmentKind::OwnComputer)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_computer_of_the_same_person_has_her_notes_and_numbers_of_its_own() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    let client = client(owner, "Ellis");
    let note = owner
        .create_note(CreateNote {
            client_id: client.clone(),
            appointment_id: None,
            template: NoteTemplate::Free,
        })
        .unwrap();
    let sections = vec![NoteSection {
        key: "text".to_owned(),
        text: "Calmer".to_owned(),
    }];
    let save = AutosaveNote {
        id: note.summary.id.clone(),
        template: NoteTemplate::Free,
        sections,
    };
    owner.autosave_note(save).unwrap();
    owner.sign_note(by_id(&note.summary.id)).unwrap();
    owner.share_now().await.unwrap();
    let second = practice.second().await;
    assert_eq!(second.note(by_id(&note.summary.id)).unwrap().sections[0].text, "Calmer");
    assert!(second.verify_note(by_id(&note.summary.id)).unwrap().valid);
    let line = PrescriptionLine {
        drug: "Sertraline".to_owned(),
        form: String::new(),
        strength: String::new(),
        dose: "1".to_owned(),
        route: String::new(),
        frequency: "daily".to_owned(),
        duration: String::new(),
        quantity: String::new(),
        refills: 0,
    };
    let draft = SavePrescription {
        id: None,
        client_id: client,
        lines: vec![line],
        diagnosis: String::new(),
        instructions: String::new(),
    };
    let draft = second.save_prescription(draft).unwrap();
    let issued = second.issue_prescription(by_id(&draft.summary.id)).unwrap();
    assert_eq!(
        issued.summary.number.as_deref(),
        Some("RX-4-1"),
        "the fourth file of the practice"
    );
    all_equal(&[&second, owner]).await;
    assert_eq!(
        owner
            .prescription(by_id(&draft.summary.id))
            .unwrap()
            .summary
            .number
            .as_deref(),
        Some("RX-4-1")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_shared_a_computer_before_there_was_a_service_are_known_to_it_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let shared = app(&folder.path().join("shared"), WhenAsked);
    create(&shared);
    let owner = shared.status().unwrap().session.unwrap().user_id;
    let second = shared
        .add_person_here(
            "Jun Park",
            caseload_domain::Role::Therapist,
            "L-2",
            "paper lantern hill",
        )
        .unwrap();
    let sign_in = |user: &str, passphrase: &str| {
        shared
            .unlock(Unlock {
                user_id: user.to_owned(),
                passphrase: Some(passphrase.to_owned()),
            })
            .unwrap()
    };
    sign_in(&second, "paper lantern hill");
    let hers = client(&shared, "Novak");
    shared
        .create_note(CreateNote {
            client_id: hers,
            appointment_id: None,
            template: NoteTemplate::Free,
        })
        .unwrap();
    sign_in(&owner, OWNER);
    let left = shared.sync_overview().unwrap();
    assert!(
        left.replicas
            .iter()
            .any(|replica| replica.owner_name.as_deref() == Some("Jun Park") && replica.waiting > 0)
    );
    let overview = shared.publish(publication(&service)).await.unwrap();
    assert_eq!(
        overview.refused.len(),
        0,
        "what somebody else wrote on this computer is hers, and vouched for"
    );
    sign_in(&second, "paper lantern hill");
    all_equal(&[&shared]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_on_one_computer_appears_on_the_other_by_itself() {
    let practice = Clinic::published(InBackground).await;
    let desk = practice.desk(InBackground).await;
    let mut changes = desk.subscribe();
    client(&practice.owner, "Ellis");
    loop {
        let event = tokio::time::timeout(std::time::Duration::from_secs(20), changes.recv())
            .await
            .unwrap()
            .unwrap();
        let is_client = matches!(&event, Event::Changed(changed) if changed.types.contains(&EntityType::Client));
        if is_client && !names(&desk).is_empty() {
            break;
        }
    }
    assert_eq!(names(&desk), ["A Ellis"]);
    let overview = practice.owner.lock().await.unwrap();
    assert_eq!(overview.phase, Phase::Locked);
    desk.lock().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_service_work_goes_on_and_the_count_is_shown() {
    let practice = Clinic::published(Sharing::WhenAsked).await;
    let Clinic {
        service,
        owner,
        folder: _folder,
    } = practice;
    service.shutdown().await;
    client(&owner, "Ellis");
    assert_eq!(refused(owner.share_now().await), ErrorCode::Offline);
    let overview = owner.sync_overview().unwrap();
    assert_eq!(overview.state, SyncState::Offline);
    assert!(overview.waiting > 0 && overview.oldest_waiting_at.is_some());
    assert_eq!(names(&owner), ["A Ellis"]);
    let checksum = owner.checksum().await.unwrap();
    assert!(checksum.scopes.iter().all(|scope| scope.service.is_none()));
}

fn mint_person(role: Role, name: &str) -> MintEnrolment {
    MintEnrolment {
        kind: EnrolmentKind::Person,
        role: Some(role),
        full_name: Some(name.to_owned()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_enrols_people_once_the_owners_computer_has_vouched_for_her() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    let line = person(owner, Role::Admin, "Ada Moon").await;
    let admin = app(&practice.folder.path().join("admin"), WhenAsked);
    let session = admin.join(joining(&line, DESK)).await.unwrap().session.unwrap();
    assert_eq!(
        (session.role, session.admin, session.clinician),
        (Role::Admin, true, false)
    );
    let too_early = admin.mint_enrolment(mint_person(Role::Therapist, "Jun Park")).await;
    assert_eq!(refused(too_early), ErrorCode::NotVouchedFor);
    owner.share_now().await.unwrap();
    let line = person(&admin, Role::Therapist, "Jun Park").await;
    let joined = app(&practice.folder.path().join("therapist"), WhenAsked);
    let session = joined
        .join(joining(&line, "paper lantern hill"))
        .await
        .unwrap()
        .session
        .unwrap();
    assert_eq!(
        (session.role, session.admin, session.clinician),
        (Role::Therapist, false, true)
    );
    let hers = client(&joined, "Novak");
    joined.share_now().await.unwrap();
    let note = joined
        .create_note(CreateNote {
            client_id: hers,
            appointment_id: None,
            template: NoteTemplate::Free,
        })
        .unwrap();
    assert!(note.summary.id.len() == 36);
    all_equal(&[owner, &admin, &joined, owner]).await;
    let own = MintEnrolment {
        kind: EnrolmentKind::OwnComputer,
        role: None,
        full_name: None,
    };
    let line = joined.mint_enrolment(own).await.unwrap().code;
    let laptop = app(&practice.folder.path().join("laptop"), WhenAsked);
    let status = laptop.join(joining(&line, "paper lantern hill")).await.unwrap();
    assert_eq!(
        status.session.unwrap().user_id,
        session.user_id,
        "the chain of her next computer leads over the administrator to the root"
    );
    assert_eq!(names(&laptop), names(owner));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_enrols_another_one_who_enrols_when_the_owner_has_seen_her() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    let join = async |line: String, folder: &str| {
        let computer = app(&practice.folder.path().join(folder), WhenAsked);
        computer.join(joining(&line, DESK)).await.unwrap();
        computer
    };
    let first = join(person(owner, Role::Admin, "Ada Moon").await, "first").await;
    owner.share_now().await.unwrap();
    let second = join(person(&first, Role::Admin, "Bea Moon").await, "second-admin").await;
    let early = second.mint_enrolment(mint_person(Role::FrontDesk, "Yuna Baek")).await;
    assert_eq!(refused(early), ErrorCode::NotVouchedFor);
    owner.share_now().await.unwrap();
    let desk = join(person(&second, Role::FrontDesk, "Yuna Baek").await, "desk").await;
    assert_eq!(
        refused(desk.mint_enrolment(mint_person(Role::FrontDesk, "Another")).await),
        ErrorCode::Forbidden
    );
    all_equal(&[owner, &first, &second, &desk]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_keeps_a_recovery_code_of_her_own_and_it_opens_her_files() {
    let practice = Clinic::published(WhenAsked).await;
    let line = person(&practice.owner, Role::FrontDesk, "Yuna Baek").await;
    let folder = practice.folder.path().join("desk");
    let desk = app(&folder, WhenAsked);
    let status = desk.join(joining(&line, DESK)).await.unwrap();
    assert_eq!(status.phase, Phase::RecoveryPending);
    let user_id = status.session.unwrap().user_id;
    let shown = desk.recovery_kit().unwrap();
    assert_eq!(
        (shown.practice_name.as_str(), shown.user_name.as_str()),
        ("Hill House", "Yuna Baek")
    );
    assert!(desk.recovery_pdf().unwrap().path.ends_with(".pdf"));
    // The program ends before she has written it down: a start shows a new one, and the first opens nothing.
    drop(desk);
    let desk = app(&folder, WhenAsked);
    let unlocked = desk.unlock(Unlock {
        user_id: user_id.clone(),
        passphrase: Some(DESK.to_owned()),
    });
    assert_eq!(unlocked.unwrap().phase, Phase::RecoveryPending);
    let kept = desk.recovery_kit().unwrap();
    assert_ne!(kept.groups, shown.groups);
    let group = |index: &u32| RecoveryGroup {
        index: *index,
        text: kept.groups[*index as usize].clone(),
    };
    let status = desk
        .confirm_recovery(ConfirmRecovery {
            groups: kept.ask.iter().map(group).collect(),
        })
        .unwrap();
    assert_eq!(status.phase, Phase::Unlocked);
    desk.lock().await.unwrap();
    let recover = |groups: &[String]| Recover {
        user_id: user_id.clone(),
        code: groups.join("-"),
        passphrase: "a bell by the window".to_owned(),
    };
    assert_eq!(
        refused(desk.recover(recover(&shown.groups))),
        ErrorCode::RecoveryMismatch
    );
    assert_eq!(desk.recover(recover(&kept.groups)).unwrap().phase, Phase::Unlocked);
    let second = practice.second().await;
    assert_eq!(
        second.status().unwrap().phase,
        Phase::Unlocked,
        "on her next computer the code of the first stays valid"
    );
}
