//! The practice, its places, people and computers; clients, the people around them, and who treats whom.

use caseload_domain::{ClientId, EntityKey, Role};
use caseload_store::Entity;
use serde_json::json;

use super::Action;
use crate::desk::{Desk, Done, Which::Office};
use crate::model::{Model, NEWER};
use crate::template::{care, document};

pub(super) const EDIT_AGAIN: Action = Action {
    name: "client.edit_again",
    kinds: &["client"],
    weight: 6,
    run: client_edit_again,
};

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "practice.edit",
        kinds: &["practice"],
        weight: 2,
        run: practice_edit,
    },
    Action {
        name: "location.edit",
        kinds: &["location"],
        weight: 1,
        run: location_edit,
    },
    Action {
        name: "staff.create",
        kinds: &["staff_member"],
        weight: 1,
        run: staff_create,
    },
    Action {
        name: "staff.status",
        kinds: &["staff_member"],
        weight: 1,
        run: staff_status,
    },
    Action {
        name: "location.rooms",
        kinds: &["location"],
        weight: 2,
        run: location_rooms,
    },
    Action {
        name: "location.create",
        kinds: &["location"],
        weight: 1,
        run: location_create,
    },
    Action {
        name: "staff.edit",
        kinds: &["staff_member"],
        weight: 2,
        run: staff_edit,
    },
    Action {
        name: "certificate.create",
        kinds: &["certificate"],
        weight: 1,
        run: certificate,
    },
    Action {
        name: "certificate.admin",
        kinds: &["certificate"],
        weight: 1,
        run: admin_certificate,
    },
    Action {
        name: "device.edit",
        kinds: &["device"],
        weight: 2,
        run: device_edit,
    },
    Action {
        name: "client.create",
        kinds: &["client", "care_relationship"],
        weight: 5,
        run: client_create,
    },
    Action {
        name: "client.edit",
        kinds: &["client"],
        weight: 14,
        run: client_edit,
    },
    EDIT_AGAIN,
    Action {
        name: "client.newer",
        kinds: &["client"],
        weight: 5,
        run: client_newer,
    },
    Action {
        name: "client.tags",
        kinds: &["client"],
        weight: 5,
        run: client_tags,
    },
    Action {
        name: "client.status",
        kinds: &["client"],
        weight: 2,
        run: client_status,
    },
    Action {
        name: "client.void",
        kinds: &["client"],
        weight: 3,
        run: client_void,
    },
    Action {
        name: "person.create",
        kinds: &["related_person"],
        weight: 2,
        run: person_create,
    },
    Action {
        name: "care.grant",
        kinds: &["care_relationship"],
        weight: 4,
        run: care_grant,
    },
    Action {
        name: "care.status",
        kinds: &["care_relationship"],
        weight: 4,
        run: care_status,
    },
];

pub(super) const FOLLOW_UPS: &[Action] = &[
    Action {
        name: "client.restore",
        kinds: &["client"],
        weight: 3,
        run: client_restore,
    },
    Action {
        name: "person.edit",
        kinds: &["related_person"],
        weight: 2,
        run: person_edit,
    },
    Action {
        name: "person.void",
        kinds: &["related_person"],
        weight: 2,
        run: person_void,
    },
];

fn practice_edit(desk: &mut Desk<'_>) -> Done {
    let Some(practice) = desk.any(Office, "practice", |_| true)? else {
        return Ok(false);
    };
    let mark = desk.mark();
    let (unit, value) = match desk.chance.below(4) {
        0 => ("name", json!({"display": mark})),
        1 => ("address", json!({"text": mark})),
        2 => ("policy", json!({"cancellation": mark})),
        _ => ("contact", json!({"text": mark})),
    };
    desk.set(Office, "practice.edit", &practice.key, unit, value)
}

fn location_edit(desk: &mut Desk<'_>) -> Done {
    let Some(location) = desk.any(Office, "location", |_| true)? else {
        return Ok(false);
    };
    let mark = desk.mark();
    let (unit, value) = match desk.chance.below(4) {
        0 => ("name", json!({"display": mark})),
        1 => ("address", json!({"text": mark})),
        2 => ("hours", json!({"text": mark})),
        _ => ("contact", json!({"text": mark})),
    };
    desk.set(Office, "location.edit", &location.key, unit, value)
}

/// An entry for somebody who is to come, as an administrator makes it; from anybody else the service refuses it.
fn staff_create(desk: &mut Desk<'_>) -> Done {
    let name = desk.mark();
    let person = json!({"name": {"display": name}, "role": {"role": Role::FrontDesk, "admin": false},
                        "status": {"state": "invited", "mark": name}});
    desk.create(Office, "staff.create", "staff_member", person)
}

/// Somebody came, left or came back. The service goes by its accounts: nobody is shut out by it here.
fn staff_status(desk: &mut Desk<'_>) -> Done {
    let (me, admin) = (desk.user(), desk.me().admin);
    let Some(staff) = desk.any(Office, "staff_member", |staff| admin || staff.key.id == me.entity())? else {
        return Ok(false);
    };
    let next = match staff.doc.text("status", "state") {
        Some("active") => "left",
        _ => "active",
    };
    let value = json!({"state": next, "mark": desk.mark()});
    desk.set(Office, "staff.status", &staff.key, "status", value)
}

fn location_create(desk: &mut Desk<'_>) -> Done {
    let name = desk.mark();
    let location = json!({"name": {"display": name}, "zone": {"tz": "Europe/Berlin"}, "rooms": {}});
    desk.create(Office, "location.create", "location", location)
}

fn location_rooms(desk: &mut Desk<'_>) -> Done {
    let Some(location) = desk.any(Office, "location", |_| true)? else {
        return Ok(false);
    };
    let (room, value) = (format!("room-{}", desk.chance.below(4)), desk.marked());
    let removes = desk.chance.percent(30);
    let key = location.key;
    desk.write(Office, "location.rooms", std::slice::from_ref(&key), |tx| {
        if removes {
            tx.remove_element(&key, "rooms", &room)?;
        } else {
            tx.add_element(&key, "rooms", &room, value)?;
        }
        Ok(Vec::new())
    })
}

fn staff_edit(desk: &mut Desk<'_>) -> Done {
    let (me, admin) = (desk.user(), desk.me().admin);
    let Some(staff) = desk.any(Office, "staff_member", |staff| admin || staff.key.id == me.entity())? else {
        return Ok(false);
    };
    let units = ["contact", "calendar", "professional", "name"];
    let unit = desk.chance.pick(&units).copied().unwrap_or("contact");
    let mark = desk.mark();
    desk.set(
        Office,
        "staff.edit",
        &staff.key,
        unit,
        json!({"display": mark, "text": mark}),
    )
}

fn certificate(desk: &mut Desk<'_>) -> Done {
    let chain = desk.cast.chain(0);
    let holder = json!({"user": desk.cast.people[0].user, "device": desk.cast.computers[0].device});
    let chain = serde_json::to_value(chain).unwrap_or_default();
    desk.create(
        Office,
        "certificate.create",
        "certificate",
        json!({"holder": holder, "chain": chain}),
    )
}

/// The owner's word that the administrator may bring people in.
fn admin_certificate(desk: &mut Desk<'_>) -> Done {
    if desk.machine.computer != 0 {
        return Ok(false);
    }
    let (computer, word) = desk.cast.admin_certificate();
    let holder = json!({"user": word.statement().user, "device": computer.device});
    let word = serde_json::to_value(word).unwrap_or_default();
    desk.create(
        Office,
        "certificate.admin",
        "certificate",
        json!({"holder": holder, "admin": word}),
    )
}

fn device_edit(desk: &mut Desk<'_>) -> Done {
    let Some(device) = desk.any(Office, "device", |_| true)? else {
        return Ok(false);
    };
    let (name, value) = (desk.mark(), desk.marked());
    let key = device.key;
    let renames = desk.chance.percent(50);
    desk.write(Office, "device.edit", std::slice::from_ref(&key), |tx| {
        if renames {
            tx.patch_unit(&key, "name", json!({"display": name}))?;
        } else {
            tx.add_element(&key, "replicas", &name, value)?;
        }
        Ok(Vec::new())
    })
}

fn client_create(desk: &mut Desk<'_>) -> Done {
    let (family, me) = (desk.mark(), desk.user());
    let clinical = desk.me().role.is_clinical();
    let number = desk.chance.below(40) + 1;
    let proposes = desk.chance.percent(40);
    desk.write(Office, "client.create", &[], |tx| {
        let mut client =
            json!({"name": {"family": family, "given": "B"}, "status": {"state": "active", "mark": family}});
        if proposes {
            client["number"] = json!({"value": format!("C-{number:04}")});
        }
        let client = tx.create_new("client", document(client))?;
        let mut made = vec![client.clone()];
        if clinical {
            let (key, relationship) = care(client.id, me);
            tx.create(&key, document(relationship))?;
            made.push(key);
        }
        Ok(made)
    })
}

const UNITS: &[&str] = &["phone", "phone", "phone", "address", "name"];

fn client_edit(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let unit = desk.chance.pick(UNITS).copied().unwrap_or("phone");
    let both = desk.chance.percent(30);
    edit(desk, client, unit, both)
}

/// A person goes on in the field that she wrote last, whatever has become of that since.
fn client_edit_again(desk: &mut Desk<'_>) -> Done {
    let [office, _] = desk.machine.files();
    let Some((key, unit)) = was_writing(desk.model, office) else {
        return Ok(false);
    };
    match desk.any(Office, "client", |client| client.key == key)? {
        Some(client) => {
            let both = desk.chance.percent(70);
            edit(desk, client, unit, both)
        }
        None => Ok(false),
    }
}

/// The field of a client that was written last in this file.
pub(super) fn was_writing(model: &Model, office: usize) -> Option<(EntityKey, &'static str)> {
    let (key, name) = model.latest.get(&office)?;
    let unit = UNITS.iter().copied().find(|unit| unit == name)?;
    (key.kind.as_str() == "client").then(|| (key.clone(), unit))
}

/// Writes a unit, alone or together with another one.
fn edit(desk: &mut Desk<'_>, client: Entity, unit: &'static str, both: bool) -> Done {
    let (family, given) = (desk.mark(), desk.mark());
    let key = client.key;
    let had = client.doc.unit(unit).cloned();
    let done = desk.write(Office, "client.edit", std::slice::from_ref(&key), |tx| {
        // Two members of one unit, so that a mixture of two people's values is seen.
        tx.overlay_unit(&key, unit, json!({"family": family, "given": given}))?;
        if both {
            tx.patch_unit(&key, "pronouns", json!({"value": family}))?;
        }
        Ok(Vec::new())
    })?;
    carries_along(desk, &key, unit, had.as_ref())?;
    Ok(done)
}

/// What a newer program wrote into the unit has to be there after this one's edit.
fn carries_along(
    desk: &mut Desk<'_>,
    key: &EntityKey,
    unit: &str,
    had: Option<&serde_json::Value>,
) -> Result<(), caseload_store::StorageError> {
    let Some(store) = desk.store(Office) else {
        return Ok(());
    };
    let now = store.read(|read| read.get(key))?;
    let now = now.as_ref().and_then(|entity| entity.doc.unit(unit));
    for (member, value) in had.and_then(|had| had.as_object()).into_iter().flatten() {
        if member.starts_with(NEWER) && now.and_then(|now| now.get(member)) != Some(value) {
            desk.model
                .break_later("I9", format!("{key:?}.{unit}: an edit dropped {member}"));
        }
    }
    Ok(())
}

/// A program of a later version writes a member and a unit that this one does not know.
fn client_newer(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let unit = desk.chance.pick(UNITS).copied().unwrap_or("phone");
    let (family, value) = (desk.mark(), desk.marked());
    desk.tally.count("fault: unknown fields from a newer program");
    let key = client.key;
    let whole = desk.chance.percent(40);
    desk.write(Office, "client.newer", std::slice::from_ref(&key), |tx| {
        if whole {
            tx.patch_unit(&key, "newer_unit", value)?;
        } else {
            let name = format!("{NEWER}member");
            tx.overlay_unit(&key, unit, json!({"family": family, "given": family, name: family}))?;
        }
        Ok(Vec::new())
    })
}

fn client_tags(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let set = if desk.chance.percent(70) { "tags" } else { "consents" };
    let (tag, value) = (format!("e{}", desk.chance.below(3)), desk.marked());
    let removes = desk.chance.percent(35);
    let key = client.key;
    desk.write(Office, "client.tags", std::slice::from_ref(&key), |tx| {
        if removes {
            tx.remove_element(&key, set, &tag)?;
        } else {
            tx.add_element(&key, set, &tag, value)?;
        }
        Ok(Vec::new())
    })
}

fn client_status(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let next = if client.doc.text("status", "state") == Some("active") {
        "closed"
    } else {
        "active"
    };
    let value = json!({"state": next, "mark": desk.mark()});
    desk.set(Office, "client.status", &client.key, "status", value)
}

fn client_void(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let key = client.key;
    desk.write(Office, "client.void", std::slice::from_ref(&key), |tx| {
        tx.void(&key, "entered twice")?;
        Ok(Vec::new())
    })
}

/// Takes back a void that is known here.
fn client_restore(desk: &mut Desk<'_>) -> Done {
    let Some(store) = desk.store(Office) else {
        return Ok(false);
    };
    let clients: Vec<_> = desk
        .model
        .created
        .keys()
        .filter(|key| key.kind.as_str() == "client")
        .cloned()
        .collect();
    let mut void = Vec::new();
    for key in clients {
        void.extend(store.read(|read| read.get(&key))?.filter(|entity| entity.deleted));
    }
    let Some(client) = desk.chance.pick(&void).cloned() else {
        return Ok(false);
    };
    let key = client.key;
    desk.write(Office, "client.restore", std::slice::from_ref(&key), |tx| {
        tx.restore(&key)?;
        Ok(Vec::new())
    })
}

fn person_create(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let name = desk.mark();
    let person = json!({"of": {"client": client.key.id}, "name": {"display": name}, "relation": {"kind": "guardian"}});
    desk.create(Office, "person.create", "related_person", person)
}

fn person_edit(desk: &mut Desk<'_>) -> Done {
    let Some(person) = desk.any(Office, "related_person", |_| true)? else {
        return Ok(false);
    };
    let value = desk.marked();
    let unit = if desk.chance.percent(50) { "phone" } else { "priority" };
    desk.set(Office, "person.edit", &person.key, unit, value)
}

fn person_void(desk: &mut Desk<'_>) -> Done {
    let Some(person) = desk.any(Office, "related_person", |_| true)? else {
        return Ok(false);
    };
    let key = person.key;
    desk.write(Office, "person.void", std::slice::from_ref(&key), |tx| {
        tx.void(&key, "somebody else")?;
        Ok(Vec::new())
    })
}

/// Grants care; the service refuses it to people who may not.
fn care_grant(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let therapists: Vec<_> = desk
        .cast
        .people
        .iter()
        .filter(|person| person.role == Role::Therapist)
        .map(|person| person.user)
        .collect();
    let Some(therapist) = desk.chance.pick(&therapists).copied() else {
        return Ok(false);
    };
    let (key, relationship) = care(client.key.id, therapist);
    let mark = desk.mark();
    desk.write(Office, "care.grant", std::slice::from_ref(&key), |tx| {
        if tx.get(&key)?.is_some() {
            tx.patch_unit(&key, "status", json!({"state": "active", "mark": mark}))?;
        } else {
            tx.create(&key, document(relationship))?;
        }
        Ok(vec![key.clone()])
    })
}

fn care_status(desk: &mut Desk<'_>) -> Done {
    let Some(relationship) = desk.any(Office, "care_relationship", |_| true)? else {
        return Ok(false);
    };
    let next = match relationship.doc.text("status", "state") {
        Some("active") if desk.chance.percent(60) => "ended",
        Some("active") => "paused",
        _ => "active",
    };
    let value = json!({"state": next, "mark": desk.mark()});
    desk.set(Office, "care.status", &relationship.key, "status", value)
}

/// The clients whom this person treats, as far as this computer knows.
fn in_care(desk: &Desk<'_>) -> Result<Vec<ClientId>, caseload_store::StorageError> {
    let me = desk.user().to_string();
    let mut clients = Vec::new();
    for relationship in desk.all(Office, "care_relationship")? {
        let doc = &relationship.doc;
        if doc.text("parties", "therapist") == Some(&me) && doc.text("status", "state") != Some("ended") {
            clients.extend(
                doc.text("parties", "client")
                    .and_then(|client| client.parse::<ClientId>().ok()),
            );
        }
    }
    clients.sort_unstable();
    Ok(clients)
}

/// One of them; most work is about the first, so that colleagues meet in one record.
pub(super) fn one_in_care(desk: &mut Desk<'_>) -> Result<Option<ClientId>, caseload_store::StorageError> {
    let clients = in_care(desk)?;
    let first = desk.chance.percent(50);
    let client = if first {
        clients.first()
    } else {
        desk.chance.pick(&clients)
    };
    Ok(client.copied())
}
