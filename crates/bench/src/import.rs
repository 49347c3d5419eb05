//! Stores notes of the input as session notes of the practice.

use std::collections::HashSet;

use anyhow::{Context, Result};
use caseload_domain::entities::care_relationship_id;
use caseload_domain::{ClientId, Document, EntityId, EntityKey, UserId};
use caseload_store::{Action, StorageError, WriteError, WriteTx};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::profile::Profile;
use crate::source::{self, SourceNote};

/// No group has more operations than this.
pub(crate) const GROUP: usize = 500;

/// Creates the clients of the notes that are not known yet, each with a care relationship of the importing clinician, and their authors.
///
/// # Errors
/// When something cannot be stored.
pub(crate) fn introduce(profile: &Profile, notes: &[SourceNote]) -> Result<()> {
    let (clients, authors): (HashSet<Uuid>, HashSet<Uuid>) =
        notes.iter().map(|note| (note.client_id, note.author_id)).unzip();
    let unknown = |kind: &str, ids: HashSet<Uuid>| -> Result<Vec<Uuid>> {
        profile
            .office
            .read(|read| {
                let mut unknown = Vec::new();
                for id in ids {
                    if read.get(&EntityKey::new(kind, EntityId::new(id)))?.is_none() {
                        unknown.push(id);
                    }
                }
                unknown.sort_unstable();
                Ok::<_, StorageError>(unknown)
            })
            .context("look for known clients and authors")
    };
    let (clients, authors) = (unknown("client", clients)?, unknown("staff_member", authors)?);
    let therapist = profile.author().user;
    for clients in clients.chunks(GROUP / 2) {
        write(
            profile,
            Action {
                name: "client.import",
                at: clock::now(),
            },
            |tx| {
                clients
                    .iter()
                    .try_for_each(|client| create_client(tx, *client, therapist))
            },
        )?;
    }
    for authors in authors.chunks(GROUP) {
        write(
            profile,
            Action {
                name: "staff_member.import",
                at: clock::now(),
            },
            |tx| authors.iter().try_for_each(|author| create_author(tx, *author)),
        )?;
    }
    Ok(())
}

fn write(
    profile: &Profile,
    action: Action,
    body: impl FnOnce(&mut WriteTx<'_>) -> Result<(), WriteError>,
) -> Result<()> {
    profile
        .office
        .write(&profile.author(), action, body)
        .map(drop)
        .context("store clients and authors")
}

/// Creates a client whom nobody treats yet, as a front desk does.
///
/// # Errors
/// When it cannot be stored.
pub(crate) fn create_plain_client(profile: &Profile) -> Result<()> {
    let action = Action {
        name: "client.create",
        at: clock::now(),
    };
    let id = clock::new_id();
    write(profile, action, |tx| {
        let person = json!({ "name": { "family": short(id), "given": "Client" }, "status": { "state": "active" } });
        tx.create(&EntityKey::new("client", EntityId::new(id)), document(person))
    })
}

fn create_client(tx: &mut WriteTx<'_>, id: Uuid, therapist: UserId) -> Result<(), WriteError> {
    let client = ClientId::new(id);
    let person = json!({ "name": { "family": short(id), "given": "Client" }, "status": { "state": "active" } });
    let care = json!({ "parties": { "client": client, "therapist": therapist }, "status": { "state": "active" } });
    tx.create(&EntityKey::new("client", client.entity()), document(person))?;
    tx.create(
        &EntityKey::new("care_relationship", care_relationship_id(client, therapist)),
        document(care),
    )
}

fn create_author(tx: &mut WriteTx<'_>, id: Uuid) -> Result<(), WriteError> {
    let person = json!({
        "name": { "display": format!("Author {}", short(id)) },
        "role": { "role": "therapist", "admin": false },
        "status": { "state": "left" },
    });
    tx.create(&EntityKey::new("staff_member", EntityId::new(id)), document(person))
}

fn short(id: Uuid) -> String {
    id.simple().to_string().split_off(20)
}

/// Stores notes as one change.
///
/// # Errors
/// When one of them cannot be stored; then none is.
pub(crate) fn store_group(profile: &Profile, notes: &[SourceNote]) -> Result<()> {
    let (author, action) = (
        profile.author(),
        Action {
            name: "note.import",
            at: clock::now(),
        },
    );
    let documents = notes
        .iter()
        .map(|note| Ok((key(note.id), session_note(note, author.user)?)))
        .collect::<Result<Vec<_>>>()?;
    profile
        .clinical
        .write(&author, action, |tx| {
            documents
                .into_iter()
                .try_for_each(|(key, document)| tx.create(&key, document))
        })
        .map(drop)
        .context("store notes")
}

/// The key of the session note that an input's note becomes.
pub(crate) fn key(id: Uuid) -> EntityKey {
    EntityKey::new("session_note", EntityId::new(id))
}

/// A note that names another author than the one who writes is refused, so the author by the source goes into `origin`, with everything
/// else that only the source knows.
pub(crate) fn session_note(note: &SourceNote, author: UserId) -> Result<Document> {
    let sections: serde_json::Map<String, Value> = note
        .sections()
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    let session = source::instant(&note.session_at)?;
    Ok(document(json!({
        "subject": { "client": note.client_id, "author": author },
        "template": { "kind": "soap" },
        "body": { "sections": sections },
        "occasion": { "start": session, "zone": "UTC" },
        "state": { "state": "draft" },
        "origin": {
            "author": note.author_id,
            "version": note.version,
            "created_at": source::instant(&note.created_at)?,
            "updated_at": source::instant(&note.updated_at)?,
            "summary": note.summary,
        },
    })))
}

fn document(units: Value) -> Document {
    match units {
        Value::Object(units) => Document::new(units),
        _ => Document::default(),
    }
}
