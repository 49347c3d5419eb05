//! What a service put back from a copy had lost: offered back from whichever file still holds it, and reviewed by those who may.

use caseload_domain::{Document, EntityKey};
use caseload_protocol::reoffer;
use caseload_store::{Entity, StorageError, WriteError};

use super::Action;
use crate::desk::{Desk, Done, Which, Which::Clinical, Which::Office};
use crate::model::values;

pub(crate) const OFFER: Action = Action {
    name: "reoffer.offer",
    kinds: &["reoffer", "clinical_reoffer"],
    weight: 5,
    run: |desk| Ok(offer(desk, Office)? | offer(desk, Clinical)?),
};

pub(super) const FOLLOW_UPS: &[Action] = &[
    OFFER,
    Action {
        name: "reoffer.settle",
        kinds: &["reoffer"],
        weight: 12,
        run: |desk| settle_one(desk, Office),
    },
    Action {
        name: "clinical_reoffer.settle",
        kinds: &["clinical_reoffer"],
        weight: 14,
        run: |desk| settle_one(desk, Clinical),
    },
];

/// Offers what is missing and settles everything that this person may settle.
pub(crate) fn review(desk: &mut Desk<'_>) -> Result<(), StorageError> {
    for which in [Office, Clinical] {
        offer(desk, which)?;
        for record in reviewable(desk, which)? {
            if settle(desk, which, &record)? {
                desk.tally.did(match which {
                    Office => "reoffer.settle",
                    Clinical => "clinical_reoffer.settle",
                });
            }
        }
    }
    Ok(())
}

/// What a program does after each round.
fn offer(desk: &mut Desk<'_>, which: Which) -> Done {
    let Some(store) = desk.store(which) else {
        return Ok(false);
    };
    match store.offer_lost(&desk.machine.author(desk.cast), desk.at) {
        Ok(offered) => {
            desk.tally.add("outcome: offered back", offered as u64);
            Ok(offered > 0)
        }
        Err(WriteError::Storage(error)) => Err(error),
        Err(_refusal) => Ok(false),
    }
}

/// Office records are settled by administrators, clinical ones by whoever treats the client, who alone sees them.
fn reviewable(desk: &Desk<'_>, which: Which) -> Result<Vec<Entity>, StorageError> {
    match desk.store(which) {
        Some(store) if which == Clinical || desk.me().admin => store.read(|read| read.open_reoffers()),
        _ => Ok(Vec::new()),
    }
}

fn settle_one(desk: &mut Desk<'_>, which: Which) -> Done {
    offer(desk, which)?;
    let open = reviewable(desk, which)?;
    match desk.chance.pick(&open).cloned() {
        Some(record) => settle(desk, which, &record),
        None => Ok(false),
    }
}

fn settle(desk: &mut Desk<'_>, which: Which, record: &Entity) -> Done {
    let (Some(store), Some(lost)) = (desk.store(which), reoffer::row_of(record.doc.units())) else {
        return Ok(false);
    };
    let (present, was_refused) = store.read(|read| {
        let refused = read.refused()?;
        let was_refused = refused
            .iter()
            .flat_map(|group| &group.ops)
            .any(|op| op.key == record.key);
        Ok::<_, StorageError>((read.base(&lost.key)?, was_refused))
    })?;
    let accept = desk.chance.percent(75) && !was_refused;
    if accept {
        accepted(
            desk,
            which,
            &lost.key,
            present.as_ref().map(|base| &base.doc),
            &lost.doc,
        );
    }
    let key = record.key.clone();
    let done = desk.write(which, "reoffer.settle", &[], |tx| {
        tx.settle_reoffer(&key, accept)?;
        Ok(Vec::new())
    })?;
    if done {
        desk.tally.count(if accept {
            "outcome: lost row accepted"
        } else {
            "outcome: lost row refused"
        });
    }
    Ok(done)
}

/// Whoever accepts a row writes its values in the place of those before her eyes. Told before it is done: a crash in between leaves it done and
/// not reported.
fn accepted(desk: &mut Desk<'_>, which: Which, key: &EntityKey, present: Option<&Document>, lost: &Document) {
    let [office, clinical] = desk.machine.files();
    let file = if which == Office { office } else { clinical };
    let present = present.map(|doc| values(key, doc)).unwrap_or_default();
    for (name, value) in values(key, lost) {
        let seen = present.get(&name).cloned();
        if seen.as_ref() != Some(&value) {
            desk.model.remember((key.clone(), name), file, seen, Some(value), false);
        }
    }
}
