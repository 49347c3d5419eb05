//! One clinician at two computers, and two answers of one client: what may not happen while nobody has chosen between two versions.

use caseload_app::App;
use caseload_app::Sharing::WhenAsked;
use caseload_app::dto::*;

use crate::computers::*;

async fn together(apps: [&App; 2]) {
    for app in [apps[0], apps[1], apps[0]] {
        app.share_now().await.unwrap();
    }
}

fn prescribe(app: &App, id: Option<&str>, client: &str, dose: &str) -> Result<Prescription, AppError> {
    let line = PrescriptionLine {
        drug: "Sertraline".to_owned(),
        form: String::new(),
        strength: String::new(),
        dose: dose.to_owned(),
        route: String::new(),
        frequency: "daily".to_owned(),
        duration: String::new(),
        quantity: String::new(),
        refills: 0,
    };
    app.save_prescription(SavePrescription {
        id: id.map(str::to_owned),
        client_id: client.to_owned(),
        lines: vec![line],
        diagnosis: String::new(),
        instructions: String::new(),
    })
}

fn write(app: &App, note: &str, text: &str) {
    let section = NoteSection {
        key: "text".to_owned(),
        text: text.to_owned(),
    };
    app.autosave_note(AutosaveNote {
        id: note.to_owned(),
        template: NoteTemplate::Free,
        sections: vec![section],
    })
    .unwrap();
}

fn settle(app: &App, choice: ConflictChoice) {
    let open = app.conflicts().unwrap();
    let [conflict] = open.as_slice() else {
        panic!("one conflict")
    };
    let id = conflict.id.clone();
    assert!(app.settle_conflict(SettleConflict { id, choice }).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prescription_in_two_versions_is_not_issued_before_somebody_chose() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    let client = client(owner, "Ellis");
    let draft = prescribe(owner, None, &client, "1").unwrap().summary.id;
    owner.share_now().await.unwrap();
    let second = practice.second().await;
    prescribe(owner, Some(&draft), &client, "2").unwrap();
    prescribe(&second, Some(&draft), &client, "3").unwrap();
    together([owner, &second]).await;
    for app in [owner, &second] {
        assert_eq!(refused(app.issue_prescription(by_id(&draft))), ErrorCode::ConflictOpen);
        let still = app.prescription(by_id(&draft)).unwrap();
        assert_eq!(
            (still.summary.state, still.summary.number),
            (PrescriptionState::Draft, None)
        );
    }
    settle(&second, ConflictChoice::KeepB);
    let issued = second.issue_prescription(by_id(&draft)).unwrap();
    assert_eq!(issued.lines[0].dose, "3");
    together([&second, owner]).await;
    let seen = owner.prescription(by_id(&draft)).unwrap();
    assert_eq!(
        (seen.summary.state, seen.summary.number),
        (PrescriptionState::Issued, issued.summary.number)
    );
    all_equal(&[owner, &second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_in_two_versions_is_not_signed_before_somebody_chose() {
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    let note = CreateNote {
        client_id: client(owner, "Ellis"),
        appointment_id: None,
        template: NoteTemplate::Free,
    };
    let note = owner.create_note(note).unwrap().summary.id;
    write(owner, &note, "Begun");
    owner.share_now().await.unwrap();
    let second = practice.second().await;
    write(owner, &note, "At the desk");
    write(&second, &note, "On the way");
    together([owner, &second]).await;
    for app in [owner, &second] {
        assert_eq!(refused(app.sign_note(by_id(&note))), ErrorCode::ConflictOpen);
        assert!(app.note(by_id(&note)).unwrap().editable);
    }
    settle(owner, ConflictChoice::KeepA);
    let signed = owner.sign_note(by_id(&note)).unwrap();
    assert_eq!(signed.sections[0].text, "At the desk");
    together([owner, &second]).await;
    assert!(second.verify_note(by_id(&note)).unwrap().valid);
    all_equal(&[owner, &second]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_answers_about_messages_the_more_cautious_one_holds_until_somebody_chose() {
    use Permission::{Allowed, Refused};
    let practice = Clinic::published(WhenAsked).await;
    let owner = &practice.owner;
    let who = client(owner, "Ellis");
    let desk = practice.desk(WhenAsked).await;
    all_equal(&[owner, &desk]).await;
    let answer = |app: &App, voicemail, sms| {
        let patch = ClientPatch {
            voicemail: Some(voicemail),
            sms: Some(sms),
            ..ClientPatch::default()
        };
        let id = who.clone();
        app.update_client(UpdateClient { id, patch }).unwrap();
    };
    answer(owner, Allowed, Refused);
    answer(&desk, Refused, Allowed);
    together([owner, &desk]).await;
    for app in [owner, &desk] {
        let seen = app.client(by_id(&who)).unwrap();
        assert_eq!((seen.header.voicemail, seen.header.sms), (Refused, Refused));
        assert_eq!(
            (seen.details.voicemail, seen.details.sms),
            (Allowed, Refused),
            "what is stored is the first answer, whole"
        );
    }
    settle(&desk, ConflictChoice::KeepA);
    together([&desk, owner]).await;
    for app in [owner, &desk] {
        let header = app.client(by_id(&who)).unwrap().header;
        assert_eq!((header.voicemail, header.sms), (Allowed, Refused));
    }
}
