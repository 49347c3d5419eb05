//! Clients, who treats them, and what a desk may see.

use super::clinic::{Clinic, by_id, details, refused};
use crate::dto::*;

#[test]
fn a_clinician_who_creates_a_client_treats_her_and_the_number_counts_up() {
    let clinic = Clinic::new();
    let first = clinic.client("김", "서연");
    let second = clinic.client("Ellis", "Hana");
    assert_eq!(first.header.number.as_deref(), Some("C-0001"));
    assert_eq!(second.header.number.as_deref(), Some("C-0002"));
    assert!(first.may_read_clinical && first.may_grant_care && first.header.clinical.is_some());
    assert_eq!(first.care[0].therapist_id, clinic.owner);
    assert_eq!(first.header.display_name, "김서연");
}

#[test]
fn somebody_alike_is_hinted_before_a_second_one_is_made() {
    let clinic = Clinic::new();
    let known = CreateClient {
        details: details("Ellis", "Hana", "010-1234-5678"),
        force: false,
    };
    assert!(matches!(
        clinic.app.create_client(known).unwrap(),
        CreateClientOutcome::Created { .. }
    ));
    let alike = CreateClient {
        details: details("Other", "Name", "+82 10 1234 5678"),
        force: false,
    };
    let CreateClientOutcome::LooksLike { duplicates } = clinic.app.create_client(alike.clone()).unwrap() else {
        panic!("the telephone is the same");
    };
    assert_eq!(duplicates[0].reasons, [DuplicateReason::Phone]);
    let forced = CreateClient { force: true, ..alike };
    assert!(matches!(
        clinic.app.create_client(forced).unwrap(),
        CreateClientOutcome::Created { .. }
    ));
}

#[test]
fn an_edit_replaces_the_units_it_names_and_tells_what_is_wrong_in_its_own_spelling() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let patch = ClientPatch {
        phone: Some("010 2222 3333".to_owned()),
        ..ClientPatch::default()
    };
    let updated = clinic
        .app
        .update_client(UpdateClient {
            id: client.id.clone(),
            patch,
        })
        .unwrap();
    assert_eq!(updated.details.phone, "010 2222 3333");
    assert!(updated.details.name == client.details.name);
    let patch = ClientPatch {
        birth_date: Some("2026-02-30".to_owned()),
        email: Some("not an address".to_owned()),
        ..ClientPatch::default()
    };
    let error = clinic
        .app
        .update_client(UpdateClient { id: client.id, patch })
        .err()
        .unwrap();
    let paths: Vec<&str> = error.fields.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(paths, ["patch.birthDate", "patch.email"]);
    let nobody = UpdateClient {
        id: "no id".to_owned(),
        patch: ClientPatch::default(),
    };
    assert_eq!(refused(clinic.app.update_client(nobody)), ErrorCode::NotFound);
}

#[test]
fn search_finds_by_name_number_and_telephone() {
    let clinic = Clinic::new();
    let korean = clinic.client("김", "서연");
    clinic.client("Ellis", "Hana");
    let find = |query: &str| {
        let found = clinic
            .app
            .search_clients(SearchClients {
                query: query.to_owned(),
                limit: 10,
            })
            .unwrap();
        found.rows.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(find("ㄱㅅㅇ"), std::slice::from_ref(&korean.id));
    assert_eq!(find("C-0001"), [korean.id]);
    assert_eq!(find("").len(), 2);
}

#[test]
fn a_desk_sees_the_office_and_no_clinical_command_serves_it() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let note = clinic
        .app
        .create_note(CreateNote {
            client_id: client.id.clone(),
            appointment_id: None,
            template: NoteTemplate::Free,
        })
        .unwrap();
    clinic.sign_in_desk();
    let seen = clinic.app.client(by_id(&client.id)).unwrap();
    assert!(!seen.may_read_clinical && !seen.may_grant_care && seen.header.clinical.is_none());
    let app = &clinic.app;
    let of_client = || Some(client.id.clone());
    let codes = [
        refused(app.notes(NotesRequest { client_id: of_client() })),
        refused(app.notes(NotesRequest { client_id: None })),
        refused(app.note(by_id(&note.summary.id))),
        refused(app.prescriptions(ByClient {
            client_id: client.id.clone(),
        })),
        refused(app.create_note(CreateNote {
            client_id: client.id.clone(),
            appointment_id: None,
            template: NoteTemplate::Soap,
        })),
        refused(app.sign_note(by_id(&note.summary.id))),
        refused(app.save_chart(SaveChart {
            client_id: client.id.clone(),
            allergies: None,
            risk: None,
            safety_plan: None,
        })),
        refused(app.grant_care(GrantCare {
            client_id: client.id.clone(),
            therapist_id: clinic.owner.clone(),
        })),
    ];
    assert_eq!(codes, [ErrorCode::Forbidden; 8]);
}

#[test]
fn whoever_ends_her_own_care_reads_nothing_any_more_until_it_is_given_again() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let request = || NotesRequest {
        client_id: Some(client.id.clone()),
    };
    assert!(clinic.app.notes(request()).unwrap().is_empty());
    let end = || EndCare {
        client_id: client.id.clone(),
        therapist_id: clinic.owner.clone(),
    };
    let ended = clinic.app.end_care(end()).unwrap();
    assert_eq!(ended.care[0].status, CareStatus::Ended);
    assert!(!ended.may_read_clinical && ended.header.clinical.is_none());
    assert_eq!(refused(clinic.app.notes(request())), ErrorCode::Forbidden);
    assert_eq!(clinic.app.end_care(end()).unwrap().care.len(), 1, "twice is once");
    clinic.sign_in_desk();
    assert_eq!(refused(clinic.app.end_care(end())), ErrorCode::Forbidden);
    clinic.sign_in(&clinic.owner, super::clinic::PASSPHRASE);
    let again = clinic
        .app
        .grant_care(GrantCare {
            client_id: client.id.clone(),
            therapist_id: clinic.owner.clone(),
        })
        .unwrap();
    assert!(again.may_read_clinical && again.care[0].status == CareStatus::Active);
}

#[test]
fn a_client_of_the_desk_needs_a_therapist_until_an_administrator_names_one() {
    let clinic = Clinic::new();
    clinic.sign_in_desk();
    let client = clinic.client("Novak", "Peter");
    assert!(client.care.is_empty());
    let waits = |clinic: &Clinic| {
        let today = clinic.app.today(TodayRequest { date: None }).unwrap();
        today
            .attention
            .iter()
            .any(|entry| entry.kind == AttentionKind::NeedsTherapist && entry.id == client.id)
    };
    assert!(waits(&clinic));
    clinic.sign_in(&clinic.owner, super::clinic::PASSPHRASE);
    assert!(waits(&clinic));
    let before = refused(clinic.app.notes(NotesRequest {
        client_id: Some(client.id.clone()),
    }));
    assert_eq!(
        before,
        ErrorCode::Forbidden,
        "an administrator without care reads nothing"
    );
    let granted = clinic
        .app
        .grant_care(GrantCare {
            client_id: client.id.clone(),
            therapist_id: clinic.owner.clone(),
        })
        .unwrap();
    assert!(granted.may_read_clinical);
    assert!(!waits(&clinic));
}

#[test]
fn allergies_and_risk_head_the_record_for_clinicians() {
    let clinic = Clinic::new();
    let client = clinic.client("Ellis", "Hana");
    let save = |allergies: &[&str]| {
        let request = SaveChart {
            client_id: client.id.clone(),
            allergies: Some(allergies.iter().map(|name| (*name).to_owned()).collect()),
            risk: Some(RiskLevel::Moderate),
            safety_plan: Some("Call her sister".to_owned()),
        };
        clinic.app.save_chart(request).unwrap().header.clinical.unwrap()
    };
    let header = save(&["Penicillin", "Latex"]);
    assert_eq!(header.allergies, ["Latex", "Penicillin"]);
    assert_eq!(
        (header.risk, header.risk_on.as_deref()),
        (Some(RiskLevel::Moderate), Some("2026-11-21"))
    );
    assert_eq!(save(&["Latex"]).allergies, ["Latex"]);
}
