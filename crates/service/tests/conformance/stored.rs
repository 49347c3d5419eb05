//! What lies on the disks, as literal text: rows, history and receipts of one small history. They stay for as long as a practice keeps
//! records; a test that fails here means that an installed service no longer finds what an earlier one wrote.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use caseload_protocol::checksum::hex;
use caseload_vault::DatabaseKey;
use mongodb::Client;
use mongodb::bson::{Bson, Document, doc};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::clinic::{Clinic, DESK, OWNER, booking, client_document, create, grant, note, patch, void};
use crate::ground::{Ground, master};

on_both_storages!(rows_history_and_receipts_are_stored_in_the_form_of_every_earlier_program);

async fn rows_history_and_receipts_are_stored_in_the_form_of_every_earlier_program(ground: Ground) {
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
        ("replica", "number"),
        ("entity", "seq"),
        ("entity_slot", "slot, row"),
        ("op", "replica, mut"),
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
        ("replicas", doc! { "number": 1 }),
        ("entities", doc! { "seq": 1 }),
        ("ops", doc! { "replica": 1, "mut": 1 }),
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
    client.shutdown().immediate(true).await;
    text
}

/// The type of each number and the subtype of each binary are part of the form: other programs read them.
fn of_bson(value: Bson) -> String {
    match value {
        Bson::Null => "null".into(),
        Bson::Boolean(value) => value.to_string(),
        Bson::Int64(number) => format!("{number}L"),
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
