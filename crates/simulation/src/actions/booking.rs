//! Appointments: few hours and few rooms, so that they meet.

use caseload_domain::EntityKey;
use caseload_domain::appointments::{self, AppointmentStatus};
use caseload_domain::time::Millis;
use serde_json::{Value, json};

use super::Action;
use crate::desk::{Desk, Done, Which::Office};
use crate::template::{BEGINNING, document};

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "appointment.book",
        kinds: &["appointment"],
        weight: 12,
        run: book,
    },
    Action {
        name: "appointment.move",
        kinds: &["appointment"],
        weight: 7,
        run: move_it,
    },
    Action {
        name: "appointment.status",
        kinds: &["appointment"],
        weight: 7,
        run: status,
    },
    Action {
        name: "appointment.people",
        kinds: &["appointment"],
        weight: 3,
        run: people,
    },
    Action {
        name: "appointment.note",
        kinds: &["appointment"],
        weight: 3,
        run: note,
    },
    Action {
        name: "appointment.void",
        kinds: &["appointment"],
        weight: 2,
        run: void,
    },
];

pub(super) const FOLLOW_UPS: &[Action] = &[
    Action {
        name: "appointment.override",
        kinds: &["appointment", "clash"],
        weight: 3,
        run: allow,
    },
    Action {
        name: "appointment.place",
        kinds: &["appointment", "clash"],
        weight: 3,
        run: place,
    },
];

/// A time in the next days, half an hour long or an hour, with one of two rooms or none.
fn when(desk: &mut Desk<'_>) -> Value {
    let therapist = desk.cast.people[desk.chance.below(2)].user;
    let start = BEGINNING + 30 * Millis::DAY + desk.chance.below(8) as i64 * 30 * Millis::MINUTE;
    let length = if desk.chance.percent(50) { 30 } else { 60 };
    let mut when = json!({"start": start, "end": start + length * Millis::MINUTE, "zone": "Europe/Berlin", "therapist": therapist,
                          "mark": desk.mark()});
    if desk.chance.percent(40) {
        when["room"] = json!(format!("room-{}", 1 + desk.chance.below(2)));
    }
    when
}

fn book(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let when = when(desk);
    let client = client.key.id;
    let appointment = json!({"when": when, "participants": {client.to_string(): {"client": client}}, "status": {"state": "scheduled"},
                             "booked": {"by": desk.user(), "at": desk.at}});
    let overridden = desk.chance.percent(8);
    desk.write(Office, "appointment.book", &[], |tx| {
        let key = tx.create_new("appointment", document(appointment))?;
        if overridden {
            tx.override_booking(&key, "both agreed")?;
        }
        Ok(vec![key])
    })
}

fn move_it(desk: &mut Desk<'_>) -> Done {
    let Some(appointment) = desk.any(Office, "appointment", |_| true)? else {
        return Ok(false);
    };
    let when = when(desk);
    desk.set(Office, "appointment.move", &appointment.key, "when", when)
}

fn status(desk: &mut Desk<'_>) -> Done {
    let Some(appointment) = desk.any(Office, "appointment", |_| true)? else {
        return Ok(false);
    };
    let next = appointments::status(&appointment.doc).next();
    let next = desk
        .chance
        .pick(next)
        .copied()
        .unwrap_or(AppointmentStatus::Completed.as_str());
    let value = json!({"state": next, "by": desk.user(), "mark": desk.mark()});
    desk.set(Office, "appointment.status", &appointment.key, "status", value)
}

fn people(desk: &mut Desk<'_>) -> Done {
    let (Some(appointment), Some(client)) = (
        desk.any(Office, "appointment", |_| true)?,
        desk.any(Office, "client", |_| true)?,
    ) else {
        return Ok(false);
    };
    let (key, client) = (appointment.key, client.key.id);
    let removes = desk.chance.percent(30);
    let value = json!({"client": client, "mark": desk.mark()});
    desk.write(Office, "appointment.people", std::slice::from_ref(&key), |tx| {
        if removes {
            tx.remove_element(&key, "participants", &client.to_string())?;
        } else {
            tx.add_element(&key, "participants", &client.to_string(), value)?;
        }
        Ok(Vec::new())
    })
}

fn note(desk: &mut Desk<'_>) -> Done {
    let Some(appointment) = desk.any(Office, "appointment", |_| true)? else {
        return Ok(false);
    };
    let value = desk.marked();
    desk.set(Office, "appointment.note", &appointment.key, "note", value)
}

fn void(desk: &mut Desk<'_>) -> Done {
    let Some(appointment) = desk.any(Office, "appointment", |_| true)? else {
        return Ok(false);
    };
    act(desk, "appointment.void", &appointment.key, |tx, key| {
        tx.void(key, "entered twice")
    })
}

fn allow(desk: &mut Desk<'_>) -> Done {
    let Some(appointment) = contested(desk)? else {
        return Ok(false);
    };
    act(desk, "appointment.override", &appointment, |tx, key| {
        tx.override_booking(key, "both agreed")
    })
}

fn place(desk: &mut Desk<'_>) -> Done {
    let Some(appointment) = contested(desk)? else {
        return Ok(false);
    };
    act(desk, "appointment.place", &appointment, |tx, key| tx.place(key))
}

fn contested(desk: &mut Desk<'_>) -> Result<Option<EntityKey>, caseload_store::StorageError> {
    let is_contested =
        |entity: &caseload_store::Entity| appointments::placement(&entity.doc) == appointments::Placement::Contested;
    Ok(desk.any(Office, "appointment", is_contested)?.map(|entity| entity.key))
}

fn act(
    desk: &mut Desk<'_>,
    name: &'static str,
    key: &EntityKey,
    body: impl FnOnce(&mut caseload_store::WriteTx<'_>, &EntityKey) -> Result<(), caseload_store::WriteError>,
) -> Done {
    desk.write(Office, name, std::slice::from_ref(key), |tx| {
        body(tx, key)?;
        Ok(Vec::new())
    })
}
