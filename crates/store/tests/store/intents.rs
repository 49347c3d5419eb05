//! What one action does in both files.

use caseload_domain::{OpId, time::Millis};
use caseload_store::{Executed, FileKind, Intent, Step, run_intents};
use serde_json::json;

use crate::fixture::{Clinic, client_id, doc, get, key_of, units, uuid, waiting};

#[test]
fn signing_a_note_completes_its_session_in_the_other_file_exactly_once() {
    let clinic = Clinic::new();
    let (office, clinical) = (clinic.office(), clinic.clinical());
    let appointment = key_of("appointment", 1);
    let booked = doc(json!({
        "when": {"start": 0, "end": 3_000_000, "zone": "UTC", "therapist": clinic.user},
        "participants": {"p": {"client": client_id(1)}},
        "status": {"state": "in_session"},
    }));
    clinic.write(&office, |tx| tx.create(&appointment, booked)).unwrap();
    let _sent = office.next_groups(100, 1 << 20).unwrap();
    let note = clinic.draft(&clinical, 2, "text");
    let intent = Intent::new(
        OpId::new(uuid(0x17)),
        vec![
            Step {
                key: appointment.clone(),
                units: units(json!({"documented": {"at": 5}})),
            },
            Step {
                key: appointment.clone(),
                units: units(json!({"status": {"state": "completed"}})),
            },
            Step {
                key: key_of("appointment", 99),
                units: units(json!({"documented": {"at": 5}})),
            },
        ],
    );
    let signature = json!({"author": clinic.user, "hash": "h", "value": "v"});
    clinic
        .write(&clinical, |tx| {
            tx.patch(
                &note,
                units(json!({"state": {"state": "signed"}, "signature": signature})),
            )?;
            tx.intend(&intent)
        })
        .unwrap();
    assert_eq!(
        get(&office, &appointment).unwrap().doc.text("status", "state"),
        Some("in_session")
    );

    // The program ends between the two files; at the next unlock it is made up for.
    drop((office, clinical));
    let (office, clinical) = (clinic.open(FileKind::Office), clinic.open(clinic.clinical_kind()));
    assert_eq!(
        clinical.read(|reads| reads.open_intents()).unwrap(),
        std::slice::from_ref(&intent)
    );
    assert_eq!(run_intents(&clinical, &office, &clinic.author(), Millis(9)).unwrap(), 1);
    let shown = get(&office, &appointment).unwrap().doc;
    assert_eq!(
        (shown.text("status", "state"), shown.integer("documented", "at")),
        (Some("completed"), Some(5))
    );
    assert_eq!(
        waiting(&office),
        3,
        "one creation and two steps; the impossible step is left out"
    );
    assert!(clinical.read(|reads| reads.open_intents()).unwrap().is_empty());

    // It ended after the second file and before the first was told: doing it again changes nothing.
    let head = office.head().unwrap();
    let again = clinic.write(&office, |tx| tx.execute(&intent)).unwrap();
    assert_eq!((again.value, again.changed.len()), (Executed::Already, 0));
    assert_eq!((waiting(&office), office.head().unwrap()), (3, head));
    clinic
        .patch(&office, &appointment, json!({"documented": {"at": 6}}))
        .unwrap();
    assert_eq!(waiting(&office), 4, "fixed operations take nothing in");
}

#[test]
fn the_ids_of_the_steps_are_fixed_so_that_a_restored_file_arrives_at_the_same() {
    let run = || {
        let clinic = Clinic::new();
        let office = clinic.office();
        let client = clinic.client(&office, 1, "Archer", "Ann");
        let step = Step {
            key: client,
            units: units(json!({"alert": {"text": "x"}})),
        };
        clinic
            .write(&office, |tx| {
                tx.execute(&Intent::new(OpId::new(uuid(0x18)), vec![step]))
            })
            .unwrap();
        office.next_groups(100, 1 << 20).unwrap()[1].ops[0].op_id
    };
    assert_eq!(run(), run());
    assert_eq!(run().to_string(), "c698659e-ef96-5a10-bed2-c9554b60fa21");
}
