//! Prescriptions: numbers, copies, and that nothing issued is edited.

use super::clinic::{Clinic, by_id, refused};
use crate::dto::*;

fn line(drug: &str, dose: &str) -> PrescriptionLine {
    let text = |text: &str| text.to_owned();
    PrescriptionLine {
        drug: text(drug),
        form: text("tablet"),
        strength: text("50 mg"),
        dose: text(dose),
        route: text("by mouth"),
        frequency: text("once a day"),
        duration: text("28 days"),
        quantity: text("28"),
        refills: 0,
    }
}

fn draft(clinic: &Clinic, client: &str, line: PrescriptionLine) -> Prescription {
    let request = SavePrescription {
        id: None,
        client_id: client.to_owned(),
        lines: vec![line],
        diagnosis: String::new(),
        instructions: "With food".to_owned(),
    };
    clinic.app.save_prescription(request).unwrap()
}

fn issued(clinic: &Clinic, client: &str) -> Prescription {
    let draft = draft(clinic, client, line("Sertraline", "1"));
    clinic.app.issue_prescription(by_id(&draft.summary.id)).unwrap()
}

#[test]
fn numbers_carry_the_replica_and_count_up() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let numbers: Vec<_> = (0..3)
        .map(|_| issued(&clinic, &client.id).summary.number.unwrap())
        .collect();
    assert_eq!(numbers, ["RX-2-1", "RX-2-2", "RX-2-3"]);
}

#[test]
fn a_line_without_a_dose_is_not_issued_and_an_issued_one_is_not_edited() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let incomplete = draft(&clinic, &client.id, line("Sertraline", ""));
    let error = clinic
        .app
        .issue_prescription(by_id(&incomplete.summary.id))
        .err()
        .unwrap();
    assert_eq!(error.fields[0].path, "lines.0.dose");
    let issued = issued(&clinic, &client.id);
    let edit = SavePrescription {
        id: Some(issued.summary.id),
        client_id: client.id.clone(),
        lines: vec![line("Other", "2")],
        diagnosis: String::new(),
        instructions: String::new(),
    };
    assert_eq!(refused(clinic.app.save_prescription(edit)), ErrorCode::Immutable);
}

#[test]
fn every_print_is_counted_and_never_replaces_an_earlier_file() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let issued = issued(&clinic, &client.id);
    let print = || {
        clinic
            .app
            .prescription_pdf(PrintRequest {
                id: issued.summary.id.clone(),
                open: false,
            })
            .unwrap()
            .path
    };
    let (first, second) = (print(), print());
    assert_ne!(first, second);
    for path in [&first, &second] {
        assert!(std::fs::read(path).unwrap().starts_with(b"%PDF"));
    }
    let after = clinic.app.prescription(by_id(&issued.summary.id)).unwrap();
    assert_eq!(
        (after.copies_printed, after.summary.state),
        (2, PrescriptionState::Printed)
    );
}

#[test]
fn a_reissue_is_a_new_number_linked_both_ways() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let old = issued(&clinic, &client.id);
    let again = clinic.app.reissue_prescription(by_id(&old.summary.id)).unwrap();
    assert_eq!(again.summary.state, PrescriptionState::Draft);
    let new = clinic.app.issue_prescription(by_id(&again.summary.id)).unwrap();
    assert_eq!(new.replaces.unwrap().number.as_deref(), Some("RX-2-1"));
    let old = clinic.app.prescription(by_id(&old.summary.id)).unwrap();
    assert_eq!(old.summary.state, PrescriptionState::Replaced);
    assert_eq!(old.replaced_by.unwrap().number.as_deref(), Some("RX-2-2"));
}

#[test]
fn stopping_and_voiding_need_a_reason_and_are_not_the_same() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let (stopped, voided) = (issued(&clinic, &client.id), issued(&clinic, &client.id));
    let of = |id: &str, reason: &str| ByIdWithReason {
        id: id.to_owned(),
        reason: reason.to_owned(),
    };
    assert_eq!(
        refused(clinic.app.void_prescription(of(&voided.summary.id, " "))),
        ErrorCode::ReasonRequired
    );
    let stopped = clinic
        .app
        .stop_prescription(of(&stopped.summary.id, "Side effects"))
        .unwrap();
    assert_eq!(stopped.stop_reason.as_deref(), Some("Side effects"));
    let voided = clinic
        .app
        .void_prescription(of(&voided.summary.id, "Wrong dose"))
        .unwrap();
    assert_eq!(
        (voided.void_reason.as_deref(), voided.stop_reason),
        (Some("Wrong dose"), None)
    );
    let again = clinic.app.stop_prescription(of(&voided.summary.id, "x"));
    assert_eq!(refused(again), ErrorCode::TransitionRefused);
}

#[test]
fn an_allergy_by_name_is_shown_beside_the_lines() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let chart = SaveChart {
        client_id: client.id.clone(),
        allergies: Some(vec!["Penicillin".to_owned()]),
        risk: None,
        safety_plan: None,
    };
    clinic.app.save_chart(chart).unwrap();
    let draft = draft(&clinic, &client.id, line("Penicillin V", "1"));
    assert_eq!(draft.allergy_matches, ["Penicillin"]);
}
