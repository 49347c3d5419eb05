//! What lies on the disks, as literal text: rows, history and receipts of one small history, people and computers, sessions, files. They stay
//! for as long as a practice keeps records; a test that fails here means that an installed service no longer finds what an earlier one wrote.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use caseload_domain::{BlobId, DeviceId};
use caseload_protocol::checksum::{hex, sha256};
use caseload_service::storage::{BlobPart, Enrolment, Keeping, Rotation, Session, TokenHash, Tokens};
use caseload_vault::DatabaseKey;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::accounts::{NOW, enrolment};
use crate::clinic::{
    Clinic, DESK, OWNER, account, booking, client_document, create, device, grant, note, patch, user, uuid, void,
};
use crate::ground::{Ground, master};

on_both_storages!(everything_is_stored_in_the_form_of_every_earlier_program);

async fn everything_is_stored_in_the_form_of_every_earlier_program(ground: Ground) {
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    let mut desk = clinic.sender(801, DESK).await;
    let birth = vec![create("client", 1, &client_document("김")), grant(1, OWNER)];
    clinic.push(&mut owner, birth).await;
    let first = vec![create("appointment", 2, &booking(600, 1, OWNER))];
    clinic.push(&mut owner, first).await;
    let contested = vec![create("appointment", 3, &booking(610, 1, OWNER))];
    clinic.push(&mut desk, contested).await;
    let numbers = [json!({"phone": {"raw": "010 1"}}), json!({"phone": {"raw": "010 2"}})];
    clinic.push(&mut desk, vec![patch("client", 1, 1, &numbers[0])]).await;
    clinic.push(&mut owner, vec![patch("client", 1, 1, &numbers[1])]).await;
    let written = vec![create("session_note", 4, &note(1, OWNER, "text"))];
    clinic.push(&mut owner, written).await;
    clinic.push(&mut desk, vec![void("appointment", 3, 1)]).await;
    people_and_computers(&clinic).await;
    sessions(&clinic).await;
    files(&clinic).await;
    let keeping = Keeping {
        now_ms: NOW,
        keep_ms: 400 * 86_400_000,
    };
    clinic
        .storage
        .collect_tombstones(clinic.practice, keeping)
        .await
        .unwrap();

    let (name, stored) = match ground.folder() {
        Some(folder) => {
            clinic.storage.close().await;
            ("sqlite.txt", of_file(&folder.join("service.db")))
        }
        None => ("mongodb.txt", of_database(&ground).await),
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/conformance/stored")
        .join(name);
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == stored, "{} is to be\n{stored}", path.display());
}

/// Somebody joined by an enrolment on a computer that was revoked later; another enrolment waits.
async fn people_and_computers(clinic: &Clinic) {
    let (storage, practice) = (&clinic.storage, clinic.practice);
    let waits = Enrolment {
        sealed_bundle: Some("sealed for the one who joins".into()),
        admin_certificate: json!({"statement": {"admin": 1}}),
        ..enrolment("waits", OWNER)
    };
    for left in [enrolment("used", DESK), waits] {
        storage.put_enrolment(practice, &left).await.unwrap();
    }
    let reception = device(710, &[DESK]);
    storage
        .redeem_enrolment(practice, "used", &account(DESK), &reception, NOW)
        .await
        .unwrap();
    assert!(storage.revoke_device(practice, reception.device).await.unwrap());
}

/// One session that was refreshed once, and one that was ended.
async fn sessions(clinic: &Clinic) {
    let tokens = |number: u8| Tokens {
        access: TokenHash([number; 32]),
        access_expires_ms: NOW + 900_000,
        refresh: TokenHash([number + 100; 32]),
        refresh_expires_ms: NOW + 2_592_000_000,
    };
    let (storage, practice) = (&clinic.storage, clinic.practice);
    for (family, number) in [("goes on", 1), ("over", 2)] {
        let session = Session {
            family: family.into(),
            practice,
            user: user(OWNER),
            device: DeviceId::new(uuid(700)),
        };
        storage.put_session(&session, &tokens(number)).await.unwrap();
    }
    let rotated = storage
        .rotate_session(practice, &tokens(1).refresh, &tokens(3), NOW)
        .await
        .unwrap();
    assert!(matches!(rotated, Rotation::Rotated(_)));
    storage.end_session(practice, "over").await.unwrap();
}

/// One file that is complete, in two parts, and one that was begun.
async fn files(clinic: &Clinic) {
    let (storage, practice) = (&clinic.storage, clinic.practice);
    for (number, offset, bytes) in [(1, 0, "whole"), (1, 5, " file"), (2, 0, "begun")] {
        let part = BlobPart {
            blob: BlobId::new(uuid(number)),
            offset,
            bytes: bytes.into(),
            by: user(OWNER),
            now_ms: NOW,
            most: 1 << 20,
        };
        storage.put_blob(practice, part).await.unwrap();
    }
    let whole = b"whole file";
    storage
        .commit_blob(practice, BlobId::new(uuid(1)), 10, sha256(whole), NOW)
        .await
        .unwrap();
}

/// No table or collection may be without a row in the literal text.
#[track_caller]
fn has_rows_of_all(text: &str, names: BTreeSet<String>) {
    let lines = text.lines().filter(|line| !line.starts_with(' '));
    assert_eq!(lines.map(str::to_owned).collect::<BTreeSet<_>>(), names);
}

/// The tables of a service's file, opened with nothing but the master key.
fn of_file(path: &Path) -> String {
    let mut bytes = [0; DatabaseKey::LEN];
    bytes[..32].copy_from_slice(master().derive("service-database/v1", b"").expose());
    bytes[32..].copy_from_slice(&master().derive("service-database-salt/v1", b"").expose()[..16]);
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let keying = DatabaseKey::from_bytes(&bytes).sqlcipher_text();
    connection
        .execute_batch(&format!("PRAGMA key = \"{}\";", *keying))
        .unwrap();
    let mut text = String::new();
    for (table, order) in [
        ("practice", "practice"),
        ("account", "user"),
        ("device", "device"),
        ("device_user", "device, user"),
        ("enrolment", "id"),
        ("session", "family"),
        ("spent_refresh", "refresh"),
        ("replica", "number"),
        ("entity", "seq"),
        ("entity_slot", "slot, row"),
        ("op", "replica, mut"),
        ("head_mark", "at_ms"),
        ("blob", "blob"),
        ("blob_chunk", "blob, off"),
    ] {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table} ORDER BY {order}"))
            .unwrap();
        let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            writeln!(text, "{table}").unwrap();
            for (place, name) in names.iter().enumerate() {
                writeln!(text, "  {name} = {}", of_value(name, row.get_ref(place).unwrap())).unwrap();
            }
        }
    }
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .unwrap();
    let tables = tables.query_map([], |row| row.get(0)).unwrap();
    has_rows_of_all(&text, tables.map(Result::unwrap).collect());
    text
}

fn of_value(name: &str, value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Blob(_) if name.starts_with("sealed") => "sealed".into(),
        ValueRef::Blob(bytes) => format!("x{}", hex(bytes)),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        ValueRef::Real(_) => panic!("{name} is a float"),
    }
}

/// The collections of a service's database.
async fn of_database(ground: &Ground) -> String {
    let (uri, name) = ground.administration();
    let client = Client::with_uri_str(uri).await.unwrap();
    let database = client.database(&name);
    let mut text = String::new();
    for (collection, order) in [
        ("practices", doc! { "p": 1 }),
        ("accounts", doc! { "user": 1 }),
        ("devices", doc! { "device": 1 }),
        ("enrolments", doc! { "id": 1 }),
        ("sessions", doc! { "family": 1 }),
        ("replicas", doc! { "number": 1 }),
        ("entities", doc! { "seq": 1 }),
        ("ops", doc! { "replica": 1, "mut": 1 }),
        ("head_marks", doc! { "at": 1 }),
        ("blobs", doc! { "blob": 1 }),
        ("blob_chunks", doc! { "blob": 1, "off": 1 }),
    ] {
        let mut found = database
            .collection::<Document>(collection)
            .find(doc! {})
            .sort(order)
            .projection(doc! { "_id": 0 })
            .await
            .unwrap();
        while found.advance().await.unwrap() {
            let mut document: Document = found.deserialize_current().unwrap();
            for sealed in ["sealed", "sealed_key"] {
                if document.contains_key(sealed) {
                    document.insert(sealed, "sealed");
                }
            }
            // Retries under load count it further.
            document.remove("lock_gen");
            writeln!(text, "{collection}").unwrap();
            for (name, value) in document {
                writeln!(text, "  {name} = {}", of_bson(value)).unwrap();
            }
        }
    }
    let collections = database.list_collection_names().await.unwrap();
    let own = collections.into_iter().filter(|name| !name.starts_with("system."));
    has_rows_of_all(&text, own.collect());
    client.shutdown().immediate(true).await;
    text
}

/// The type of each number and the subtype of each binary are part of the form: other programs read them.
fn of_bson(value: Bson) -> String {
    match value {
        Bson::Null => "null".into(),
        Bson::Boolean(value) => value.to_string(),
        Bson::Int64(number) => format!("{number}L"),
        Bson::DateTime(at) => format!("{}ms", at.timestamp_millis()),
        Bson::String(text) => format!("{text:?}"),
        Bson::Binary(binary) => format!("x{:02x}:{}", u8::from(binary.subtype), hex(&binary.bytes)),
        Bson::Array(items) => format!("[{}]", items.into_iter().map(of_bson).collect::<Vec<_>>().join(", ")),
        Bson::Document(members) => {
            let members = members
                .into_iter()
                .map(|(name, value)| format!("{name}: {}", of_bson(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
        other => panic!("{:?} is not a type of this storage", other.element_type()),
    }
}
