//! Notes: drafting, signing, correcting beside the text, verifying here and after export.

use super::clinic::{Clinic, by_id, refused};
use crate::dto::*;
use crate::verify_exported;

fn draft(clinic: &Clinic, client: &str, appointment: Option<&str>) -> Note {
    let request = CreateNote {
        client_id: client.to_owned(),
        appointment_id: appointment.map(str::to_owned),
        template: NoteTemplate::Soap,
    };
    clinic.app.create_note(request).unwrap()
}

fn write(clinic: &Clinic, id: &str, text: &str) -> Result<NoteSaved, AppError> {
    let section = |key: &str| NoteSection {
        key: key.to_owned(),
        text: format!("{text} {key}"),
    };
    let sections = ["subjective", "objective", "assessment", "plan"].map(section).to_vec();
    clinic.app.autosave_note(AutosaveNote {
        id: id.to_owned(),
        template: NoteTemplate::Soap,
        sections,
    })
}

fn signed(clinic: &Clinic) -> (ClientRecord, AppointmentDetail, Note) {
    let client = clinic.client("Ellis", "Hana");
    let appointment = clinic.booked(&client.id, "2026-11-21", "10:00");
    clinic.turn_to("2026-11-21", "10:50");
    let note = draft(clinic, &client.id, Some(&appointment.item.id));
    write(clinic, &note.summary.id, "Calmer").unwrap();
    let note = clinic.app.sign_note(by_id(&note.summary.id)).unwrap();
    (client, appointment, note)
}

#[test]
fn signing_freezes_the_note_completes_the_session_and_documents_the_appointment() {
    let clinic = Clinic::new();
    let (_, appointment, note) = signed(&clinic);
    assert_eq!(note.summary.state, NoteState::Signed);
    assert_eq!(note.signature.as_ref().unwrap().licence.as_deref(), Some("PSY-1"));
    assert!(!note.editable);
    let after = clinic.app.appointment(by_id(&appointment.item.id)).unwrap();
    assert!(after.item.documented);
    assert_eq!(after.item.status, AppointmentStatus::Completed);
    assert_eq!(after.notes.len(), 1);
    assert_eq!(
        refused(write(&clinic, &note.summary.id, "Changed")),
        ErrorCode::Immutable
    );
    assert_eq!(
        refused(clinic.app.sign_note(by_id(&note.summary.id))),
        ErrorCode::Immutable
    );
    assert!(clinic.app.verify_note(by_id(&note.summary.id)).unwrap().valid);
}

#[test]
fn a_draft_survives_locking_and_an_empty_one_cannot_be_signed() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let note = draft(&clinic, &client.id, None);
    assert_eq!(
        refused(clinic.app.sign_note(by_id(&note.summary.id))),
        ErrorCode::Incomplete
    );
    assert_eq!(
        refused(clinic.app.verify_note(by_id(&note.summary.id))),
        ErrorCode::Incomplete
    );
    write(&clinic, &note.summary.id, "Half a sentence").unwrap();
    crate::unlock::close(&clinic.app.core).unwrap();
    clinic.sign_in(&clinic.owner, super::clinic::PASSPHRASE);
    let again = clinic.app.note(by_id(&note.summary.id)).unwrap();
    assert_eq!(again.sections[0].text, "Half a sentence subjective");
    let mine = clinic.app.notes(NotesRequest { client_id: None }).unwrap();
    assert_eq!(mine[0].state, NoteState::Draft);
}

#[test]
fn changing_the_template_keeps_the_text() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let note = draft(&clinic, &client.id, None);
    write(&clinic, &note.summary.id, "Kept").unwrap();
    let sections = clinic.app.note(by_id(&note.summary.id)).unwrap().sections;
    let change = AutosaveNote {
        id: note.summary.id.clone(),
        template: NoteTemplate::Dap,
        sections,
    };
    clinic.app.autosave_note(change).unwrap();
    let keys: Vec<String> = clinic
        .app
        .note(by_id(&note.summary.id))
        .unwrap()
        .sections
        .into_iter()
        .map(|s| s.key)
        .collect();
    assert_eq!(keys, ["data", "assessment", "plan", "objective", "subjective"]);
}

#[test]
fn a_correction_is_an_addendum_or_a_mark_that_leaves_the_text_readable() {
    let clinic = Clinic::new();
    let (_, _, note) = signed(&clinic);
    let id = note.summary.id;
    let with = clinic
        .app
        .add_addendum(AddAddendum {
            note_id: id.clone(),
            text: " The date was the 20th. ".to_owned(),
        })
        .unwrap();
    assert_eq!(with.addenda[0].text, "The date was the 20th.");
    let mark = |reason: &str| {
        clinic.app.mark_entered_in_error(ByIdWithReason {
            id: id.clone(),
            reason: reason.to_owned(),
        })
    };
    assert_eq!(refused(mark("")), ErrorCode::ReasonRequired);
    let marked = mark("Wrong client").unwrap();
    assert_eq!(marked.summary.state, NoteState::EnteredInError);
    assert_eq!(marked.sections[0].text, "Calmer subjective");
    assert!(
        clinic.app.verify_note(by_id(&id)).unwrap().valid,
        "the mark is beside the text, not in it"
    );
}

#[test]
fn an_exported_note_verifies_anywhere_and_no_altered_one_does() {
    let clinic = Clinic::new();
    let (_, _, note) = signed(&clinic);
    clinic
        .app
        .add_addendum(AddAddendum {
            note_id: note.summary.id.clone(),
            text: "Later".to_owned(),
        })
        .unwrap();
    let export = clinic.app.export_note(by_id(&note.summary.id)).unwrap();
    let text = serde_json::to_string(&export).unwrap();
    let verified = verify_exported(text.as_bytes(), Some(&export.root.to_string())).unwrap();
    assert!(verified.valid && verified.addenda.len() == 1);
    assert_eq!(verified.note.signed_by.as_deref(), Some("Mina Seo"));
    let altered = verify_exported(text.replace("Calmer plan", "Worse plan").as_bytes(), None).unwrap();
    assert!(
        !altered.valid && !altered.note.text_matches && !altered.note.signature_matches && altered.note.chain_matches
    );
    let other = Clinic::new().app.practice().unwrap().id;
    assert_eq!(
        refused(verify_exported(text.as_bytes(), Some(&other))),
        ErrorCode::ForeignPractice
    );
    assert_eq!(
        refused(verify_exported(b"\xff\xfe", None)),
        ErrorCode::InvalidRequest,
        "not even text"
    );
    let newer = text.replace("note-export/v1", "note-export/v9");
    assert_eq!(
        refused(verify_exported(newer.as_bytes(), None)),
        ErrorCode::UpgradeRequired
    );
}

#[test]
fn every_reading_is_in_the_audit_chain_which_verifies() {
    let clinic = Clinic::new();
    let (_, _, note) = signed(&clinic);
    let entries = |clinic: &Clinic| clinic.app.verify_audit().unwrap()[1].entries;
    let before = entries(&clinic);
    clinic.app.note(by_id(&note.summary.id)).unwrap();
    assert!(entries(&clinic) > before, "opening a note leaves a trace");
    assert!(
        clinic
            .app
            .verify_audit()
            .unwrap()
            .iter()
            .all(|chain| chain.first_bad.is_none())
    );
}
