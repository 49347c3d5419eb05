//! Random histories of a practice, held against the invariants of the protocol. Proptest prints the seed of a failure and keeps it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod clinic;

use std::collections::{BTreeMap, BTreeSet};

use caseload_domain::appointments;
use caseload_protocol::checksum::{self, Sums};
use caseload_protocol::messages::{Op, Outcome};
use clinic::{Clinic, appointment, client, create, override_booking, patch, place};
use proptest::prelude::*;
use serde_json::json;

/// One step: a replica does something to one of a few clients or appointments, having seen a certain revision.
#[derive(Clone, Debug)]
enum Step {
    CreateClient(u32),
    Phone(u32, i64, u8),
    Address(u32, i64, u8),
    Tag(u32, i64, u8),
    Untag(u32, i64, u8),
    Book(u32, i64, u32),
    Move(u32, i64, i64),
    Cancel(u32, i64),
    Reopen(u32, i64),
    Place(u32, i64),
    Override(u32, i64),
    Void(u32, i64),
}

fn step() -> impl Strategy<Value = (u32, Step)> {
    let entity = 1..4_u32;
    let rev = 0..6_i64;
    let step = prop_oneof![
        entity.clone().prop_map(Step::CreateClient),
        (entity.clone(), rev.clone(), any::<u8>()).prop_map(|(n, r, v)| Step::Phone(n, r, v % 4)),
        (entity.clone(), rev.clone(), any::<u8>()).prop_map(|(n, r, v)| Step::Address(n, r, v % 4)),
        (entity.clone(), rev.clone(), any::<u8>()).prop_map(|(n, r, v)| Step::Tag(n, r, v % 3)),
        (entity.clone(), rev.clone(), any::<u8>()).prop_map(|(n, r, v)| Step::Untag(n, r, v % 3)),
        (entity.clone(), 0..6_i64, 1..3_u32).prop_map(|(n, t, c)| Step::Book(n, t, c)),
        (entity.clone(), rev.clone(), 0..6_i64).prop_map(|(n, r, t)| Step::Move(n, r, t)),
        (entity.clone(), rev.clone()).prop_map(|(n, r)| Step::Cancel(n, r)),
        (entity.clone(), rev.clone()).prop_map(|(n, r)| Step::Reopen(n, r)),
        (entity.clone(), rev.clone()).prop_map(|(n, r)| Step::Place(n, r)),
        (entity.clone(), rev.clone()).prop_map(|(n, r)| Step::Override(n, r)),
        (entity, rev).prop_map(|(n, r)| Step::Void(n, r)),
    ];
    (1..4_u32, step)
}

fn op(step: &Step) -> Op {
    let set = |number: u32, rev: i64, tag: u8, add: bool| {
        let mut op = patch("client", number, rev, json!({}));
        if add {
            op.add.insert(
                "tags".into(),
                json!({tag.to_string(): {"label": format!("{number}{rev}")}})
                    .as_object()
                    .unwrap()
                    .clone(),
            );
        } else {
            op.remove.insert("tags".into(), vec![tag.to_string()]);
        }
        op
    };
    match *step {
        Step::CreateClient(number) => create("client", number, client()),
        Step::Phone(number, rev, value) => patch(
            "client",
            number,
            rev,
            json!({"phone": {"raw": value.to_string(), "e164": value.to_string()}}),
        ),
        Step::Address(number, rev, value) => patch(
            "client",
            number,
            rev,
            json!({"address": {"city": value.to_string(), "postcode": value.to_string()}}),
        ),
        Step::Tag(number, rev, tag) => set(number, rev, tag, true),
        Step::Untag(number, rev, tag) => set(number, rev, tag, false),
        Step::Book(number, time, who) => create("appointment", number, appointment(time * 30, time * 30 + 50, who)),
        Step::Move(number, rev, time) => patch(
            "appointment",
            number,
            rev,
            json!({"when": appointment(time * 30, time * 30 + 50, 1)["when"]}),
        ),
        Step::Cancel(number, rev) => patch(
            "appointment",
            number,
            rev,
            json!({"status": {"state": "cancelled_by_client"}}),
        ),
        Step::Reopen(number, rev) => patch("appointment", number, rev, json!({"status": {"state": "scheduled"}})),
        Step::Place(number, rev) => place(number, rev),
        Step::Override(number, rev) => override_booking(number, rev, Some("reason")),
        Step::Void(number, rev) => {
            let mut op = patch("appointment", number, rev, json!({}));
            op.kind = caseload_protocol::messages::OpKind::Void;
            op.reason = Some("r".into());
            op
        }
    }
}

fn play(steps: &[(u32, Step)]) -> Clinic {
    let mut clinic = Clinic::new();
    for (replica, step) in steps {
        clinic.push_from(*replica, vec![op(step)]);
    }
    clinic
}

fn no_two_overlapping_placed_without_override(clinic: &Clinic) -> Result<(), TestCaseError> {
    let placed: Vec<_> = clinic
        .rows
        .values()
        .filter(|row| {
            row.key.kind.as_str() == "appointment"
                && !row.deleted
                && row.doc.text("placement", "state") == Some("placed")
        })
        .filter_map(|row| appointments::occupation(&row.doc).map(|occupation| (row, occupation)))
        .collect();
    for (index, (one, first)) in placed.iter().enumerate() {
        for (other, second) in &placed[index + 1..] {
            let overridden = [one, other].iter().any(|row| row.doc.unit("override").is_some());
            prop_assert!(
                overridden || first.clash_with(second).is_none(),
                "{} and {}",
                one.key.id,
                other.key.id
            );
        }
    }
    Ok(())
}

fn every_contested_booking_is_seen_in_an_unsettled_clash(clinic: &Clinic) -> Result<(), TestCaseError> {
    for row in clinic
        .rows
        .values()
        .filter(|row| row.key.kind.as_str() == "appointment" && !row.deleted)
    {
        if row.doc.text("placement", "state") != Some("contested") || appointments::occupation(&row.doc).is_none() {
            continue;
        }
        let id = row.key.id.to_string();
        let seen = clinic.rows.values().any(|clash| {
            clash.key.kind.as_str() == "clash"
                && clash.doc.text("pair", "contested") == Some(&id)
                && clash.doc.text("state", "state") != Some("settled")
        });
        prop_assert!(seen, "{id}");
    }
    Ok(())
}

fn sequence_is_contiguous_and_the_chain_verifies(clinic: &Clinic) -> Result<(), TestCaseError> {
    let mut next = 1;
    for record in &clinic.records {
        if let Some((first, last)) = record.seqs {
            prop_assert_eq!(first, next);
            next = last + 1;
        }
    }
    prop_assert_eq!(clinic.head().seq, next - 1);
    prop_assert_eq!(
        clinic.records.last().map(|record| record.chain).unwrap_or_default(),
        clinic.head().chain
    );
    let seqs: BTreeSet<_> = clinic.rows.values().map(|row| row.seq).collect();
    prop_assert_eq!(seqs.len(), clinic.rows.len(), "no two rows share a sequence number");
    Ok(())
}

fn unit_values_are_whole(clinic: &Clinic) -> Result<(), TestCaseError> {
    for row in clinic.rows.values().filter(|row| row.key.kind.as_str() == "client") {
        prop_assert_eq!(row.doc.text("phone", "raw"), row.doc.text("phone", "e164"));
        prop_assert_eq!(row.doc.text("address", "city"), row.doc.text("address", "postcode"));
    }
    Ok(())
}

fn every_other_value_is_kept(clinic: &Clinic) -> Result<(), TestCaseError> {
    for record in clinic
        .records
        .iter()
        .filter(|record| record.result.st == Outcome::Conflict)
    {
        prop_assert!(!record.result.opened.is_empty());
        for id in &record.result.opened {
            prop_assert!(clinic.rows.keys().any(|key| key.id == *id));
        }
    }
    Ok(())
}

/// `PROPTEST_CASES` looks further.
fn config() -> ProptestConfig {
    let from_environment = ProptestConfig::default();
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    ProptestConfig {
        cases: if is_set { from_environment.cases } else { 400 },
        ..from_environment
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_history_keeps_the_invariants(steps in proptest::collection::vec(step(), 1..60)) {
        let clinic = play(&steps);
        prop_assert_eq!(clinic.records.len(), steps.len(), "every operation has one record");
        no_two_overlapping_placed_without_override(&clinic)?;
        every_contested_booking_is_seen_in_an_unsettled_clash(&clinic)?;
        sequence_is_contiguous_and_the_chain_verifies(&clinic)?;
        unit_values_are_whole(&clinic)?;
        every_other_value_is_kept(&clinic)?;
    }

    #[test]
    fn the_same_history_gives_the_same_bytes(steps in proptest::collection::vec(step(), 1..30)) {
        let (one, other) = (play(&steps), play(&steps));
        prop_assert_eq!(one.head(), other.head());
        prop_assert_eq!(one.rows.into_iter().collect::<BTreeMap<_, _>>(), other.rows.into_iter().collect::<BTreeMap<_, _>>());
    }

    #[test]
    fn changes_of_different_units_give_the_same_document_in_either_order(phone in 0..4_u8, address in 0..4_u8) {
        let play = |first: Step, second: Step| {
            play(&[(1, Step::CreateClient(1)), (2, first), (3, second)]).doc("client", 1)
        };
        let (phone, address) = (Step::Phone(1, 1, phone), Step::Address(1, 1, address));
        prop_assert_eq!(play(phone.clone(), address.clone()), play(address, phone));
    }

    #[test]
    fn a_sum_shows_any_single_change(rows in 1..20_u32, changed in 0..20_u32, bit in 0..256_usize) {
        let leaf = |number: u32| checksum::sha256(&number.to_be_bytes());
        let sums = |flip: Option<u32>| {
            let mut sums = Sums::default();
            for number in 0..rows {
                let mut leaf = leaf(number);
                if flip == Some(number) {
                    leaf[bit / 8] ^= 1 << (bit % 8);
                }
                sums.add(&clinic::key("client", number), &leaf);
            }
            sums
        };
        let changed = changed % rows;
        prop_assert_ne!(sums(None).total(), sums(Some(changed)).total());
        prop_assert_eq!(sums(None).differing(&sums(Some(changed))).len(), 1);
        prop_assert_eq!(Sums::from_wire(&sums(None).to_wire()), Some(sums(None)));
    }
}
