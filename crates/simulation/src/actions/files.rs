//! Documents of a client, in both scopes. Only their rows: the files behind them move beside the rounds and are tried on real processes.

use caseload_domain::{EntityId, EntityKey};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Action;
use super::office::one_in_care;
use crate::desk::{Desk, Done, Which, Which::Clinical, Which::Office};

pub(super) const ACTIONS: &[Action] = &[
    Action {
        name: "document.add",
        kinds: &["document"],
        weight: 2,
        run: add_to_office,
    },
    Action {
        name: "clinical_document.add",
        kinds: &["clinical_document"],
        weight: 2,
        run: add_to_record,
    },
];

pub(super) const FOLLOW_UPS: &[Action] = &[
    Action {
        name: "document.edit",
        kinds: &["document"],
        weight: 3,
        run: |desk| edit(desk, Office, "document"),
    },
    Action {
        name: "document.void",
        kinds: &["document"],
        weight: 3,
        run: |desk| void(desk, Office, "document"),
    },
    Action {
        name: "clinical_document.edit",
        kinds: &["clinical_document"],
        weight: 4,
        run: |desk| edit(desk, Clinical, "clinical_document"),
    },
    Action {
        name: "clinical_document.void",
        kinds: &["clinical_document"],
        weight: 4,
        run: |desk| void(desk, Clinical, "clinical_document"),
    },
];

fn add_to_office(desk: &mut Desk<'_>) -> Done {
    let Some(client) = desk.any(Office, "client", |_| true)? else {
        return Ok(false);
    };
    let document = document(desk, client.key.id);
    desk.create(Office, "document.add", "document", document)
}

fn add_to_record(desk: &mut Desk<'_>) -> Done {
    let Some(client) = one_in_care(desk)? else {
        return Ok(false);
    };
    let document = document(desk, client.entity());
    desk.create(Clinical, "clinical_document.add", "clinical_document", document)
}

fn document(desk: &mut Desk<'_>, client: EntityId) -> Value {
    let title = desk.mark();
    let blob = Uuid::from_u64_pair(desk.chance.next(), desk.chance.next());
    json!({
        "subject": {"client": client, "author": desk.user()},
        "content": {
            "blob": blob, "key": "A".repeat(43), "sha256": "0".repeat(64), "size": 0, "sealed_size": 82,
            "media_type": "application/pdf", "name": title, "created": desk.at.0,
        },
        "title": {"text": title}, "category": {"code": "other", "mark": title},
    })
}

fn edit(desk: &mut Desk<'_>, which: Which, kind: &'static str) -> Done {
    let Some(document) = desk.any(which, kind, |_| true)? else {
        return Ok(false);
    };
    let mark = desk.mark();
    let (unit, value) = if desk.chance.percent(60) {
        ("title", json!({"text": mark}))
    } else {
        ("category", json!({"code": "report", "mark": mark}))
    };
    desk.set(which, "document.edit", &document.key, unit, value)
}

fn void(desk: &mut Desk<'_>, which: Which, kind: &'static str) -> Done {
    let Some(document) = desk.any(which, kind, |_| true)? else {
        return Ok(false);
    };
    let key: EntityKey = document.key;
    desk.write(which, "document.void", std::slice::from_ref(&key), |tx| {
        tx.void(&key, "the wrong file")?;
        Ok(Vec::new())
    })
}
