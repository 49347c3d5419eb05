//! What lies on a computer's disk, as literal text: documents, the outbox, what was refused, the position, the audit trail of a short history.
//! Updates open the files of every earlier version; a test that fails here means that they would not read them alike.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use caseload_domain::EntityKey;
use caseload_domain::time::Millis;
use caseload_protocol::messages::{Outcome, Refusal};
use caseload_store::FileKind;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::fixture::{Clinic, cursor, doc, get, result, shared, wire};

#[test]
fn an_office_file_is_stored_in_the_form_of_every_earlier_program() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let client = clinic.client(&store, 1, "김", "서연");
    shared(&store, &client, 1, 1);
    clinic
        .patch(&store, &client, json!({"phone": {"raw": "010 1"}}))
        .unwrap();
    let refused = clinic.client(&store, 2, "Archer", "Ann");
    let sent = store.next_groups(1000, 1 << 24).unwrap();
    let mut answer = result(sent[1].first_mut, sent[1].ops[0].op_id, 0);
    (answer.st, answer.why) = (Outcome::Rejected, Some(Refusal::Forbidden));
    let first = result(sent[0].first_mut, sent[0].ops[0].op_id, 2);
    store.acknowledge(&[first, answer], "e1", Millis(1)).unwrap();
    let stranger = EntityKey::new("hologram", refused.id);
    let unknown = wire(&stranger, 1, 3, doc(json!({"salt": "0".repeat(32), "한": [1, null]})));
    let changed = get(&store, &client).unwrap().doc;
    store
        .apply_page(&[wire(&client, 2, 2, changed), unknown], &cursor(3))
        .unwrap();
    let waiting = json!({"email": {"value": "a@b.example"}});
    clinic.patch(&store, &client, waiting).unwrap();
    store
        .set_setting("service.address", Some("https://clinic.example"))
        .unwrap();
    drop(store);
    assert_stored("office.txt", &clinic, FileKind::Office);
}

#[test]
fn a_clinical_file_is_stored_in_the_form_of_every_earlier_program() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let note = clinic.draft(&store, 1, "start");
    shared(&store, &note, 1, 1);
    for text in ["more", "more text"] {
        let body = json!({"body": {"sections": {"subjective": text}}});
        clinic.patch(&store, &note, body).unwrap();
    }
    drop(store);
    assert_stored("clinical.txt", &clinic, clinic.clinical_kind());
}

fn assert_stored(name: &str, clinic: &Clinic, kind: FileKind) {
    let stored = tables(&clinic.path(kind), &clinic.key.sqlcipher_text());
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/store/stored")
        .join(name);
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == stored, "{} is to be\n{stored}", path.display());
}

/// Everything in the file but its structure, which `migrations/FROZEN.txt` keeps.
fn tables(path: &Path, key: &str) -> String {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.execute_batch(&format!("PRAGMA key = \"{key}\";")).unwrap();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%VIRTUAL TABLE%'
                 AND name NOT GLOB '*_search_*' ORDER BY name";
    let mut text = String::new();
    for table in column(&connection, names) {
        // Generated columns are left out: they follow from the others.
        let columns = column(
            &connection,
            &format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"),
        );
        let list = columns
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let mut statement = connection
            .prepare(&format!("SELECT {list} FROM \"{table}\" ORDER BY {list}"))
            .unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            writeln!(text, "{table}").unwrap();
            for (place, name) in columns.iter().enumerate() {
                writeln!(text, "  {name} = {}", of_value(row.get_ref(place).unwrap())).unwrap();
            }
        }
    }
    text
}

fn column(connection: &Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

fn of_value(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        ValueRef::Blob(bytes) => format!("x{}", caseload_protocol::checksum::hex(bytes)),
        ValueRef::Real(_) => panic!("a float"),
    }
}
