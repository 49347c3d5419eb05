//! What two computers of one prescriber may do to one prescription.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use caseload_domain::EntityKey;
use caseload_protocol::messages::{Op, Outcome, Refusal};
use clinic::{Clinic, SALT, THERAPIST, create, id, key, patch};
use serde_json::{Value, json};

/// Client 1 in care, with draft 6.
fn with_draft() -> Clinic {
    let mut clinic = Clinic::with_note();
    let draft = json!({
        "salt": SALT, "subject": {"client": id(1), "author": id(THERAPIST)}, "order": order("1"), "state": {"state": "draft"},
    });
    clinic.push_from(1, vec![create("prescription", 6, draft)]);
    clinic
}

fn order(dose: &str) -> Value {
    json!({"lines": [{"drug": "Sertraline", "dose": dose, "frequency": "daily"}]})
}

fn issue(number: &str) -> Op {
    let signature = json!({"author": id(THERAPIST), "hash": number, "value": number});
    let units =
        json!({"number": {"value": number}, "signature": signature, "state": {"state": "issued", "number": number}});
    patch("prescription", 6, 1, units)
}

fn printed(copy: &str) -> Op {
    let mut print = patch("prescription", 6, 1, json!({}));
    print.add.insert(
        "prints".into(),
        json!({copy: {"copy": copy}}).as_object().unwrap().clone(),
    );
    print
}

#[test]
fn of_two_issues_of_one_draft_the_first_stands_and_the_other_is_kept_whole_with_what_was_printed_of_either() {
    let mut clinic = with_draft();
    let first = clinic.push_from(1, vec![issue("RX-1-1")]);
    let second = clinic.push_from(2, vec![issue("RX-2-1")]);
    assert_eq!((first[0].st, second[0].st), (Outcome::Applied, Outcome::Conflict));
    for (replica, copy) in [(1, "a"), (2, "b")] {
        let added = clinic.push_from(replica, vec![printed(copy)]);
        assert!(
            matches!(added[0].st, Outcome::Applied | Outcome::Merged),
            "{:?}",
            added[0]
        );
    }
    let issued = clinic.doc("prescription", 6);
    assert_eq!(
        (issued.text("state", "state"), issued.text("number", "value")),
        (Some("issued"), Some("RX-1-1"))
    );
    assert_eq!(
        issued.text("signature", "value"),
        Some("RX-1-1"),
        "no signature is lent"
    );
    assert_eq!(issued.unit("prints").unwrap().as_object().unwrap().len(), 2);
    let record = clinic.row(&EntityKey::new("clinical_conflict", second[0].opened[0]));
    assert_eq!(record.doc.text("state", "state"), Some("open"));
    let kept = &record.doc.unit("other").unwrap()["value"]["units"];
    assert_eq!(
        (&kept["number"]["value"], &kept["signature"]["value"]),
        (&json!("RX-2-1"), &json!("RX-2-1")),
        "what is on paper elsewhere is found"
    );
}

#[test]
fn an_issue_over_an_order_that_changed_elsewhere_issues_nothing() {
    let mut clinic = with_draft();
    clinic.push_from(1, vec![patch("prescription", 6, 1, json!({"order": order("2")}))]);
    let issued = clinic.push_from(2, vec![issue("RX-2-1")]);
    assert_eq!((issued[0].st, issued[0].why), (Outcome::Conflict, None::<Refusal>));
    let draft = clinic.row(&key("prescription", 6));
    assert_eq!(draft.doc.text("state", "state"), Some("draft"));
    assert_eq!(draft.doc.unit("number"), None);
    assert_eq!(draft.doc.unit("order"), Some(&order("2")));
}
