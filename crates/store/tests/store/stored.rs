//! What lies on a computer's disk, as literal text: documents, the outbox, what was refused, the position, the audit trail of a short history.
//! Updates open the files of every earlier version; a test that fails here means that they would not read them alike.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, OpId, ReplicaId, Scope};
use caseload_protocol::messages::{OpResult, Outcome, Refusal, WireRow};
use caseload_store::{FileKind, Intent, Step, Store};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::fixture::{
    Clinic, client_id, cursor, doc, get, key_of, result, results, shared, snapshot_of, units, uuid, wire,
};

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

#[test]
fn an_office_file_in_the_middle_of_things_is_stored_in_the_form_of_every_earlier_program() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let client = json!({"name": {"family": "Archer"}, "status": {"state": "active"}});
    let booking = json!({
        "when": {"start": 1_800_000_000_000_i64, "end": 1_800_003_000_000_i64, "zone": "Asia/Seoul", "therapist": clinic.user, "room": "2"},
        "participants": {"p": {"client": client_id(1)}}, "status": {"state": "scheduled"},
    });
    let rows = [
        row("client", 1, client),
        row("appointment", 2, booking),
        row("document", 3, attached(&clinic)),
    ];
    in_the_middle(&clinic, &store, rows, json!({"phone": {"raw": "010"}}));
    drop(store);
    assert_stored("office-in-the-middle.txt", &clinic, FileKind::Office);
}

#[test]
fn a_clinical_file_in_the_middle_of_things_is_stored_in_the_form_of_every_earlier_program() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let subject = json!({"client": client_id(1), "author": clinic.user});
    let note = json!({
        "subject": subject, "template": {"kind": "soap"}, "body": {"sections": {"plan": "text"}},
        "state": {"state": "draft"},
    });
    let session = json!({"subject": subject, "state": {"state": "open"}});
    let rows = [
        row("session_note", 1, note),
        row("session", 2, session),
        row("clinical_document", 3, attached(&clinic)),
    ];
    in_the_middle(&clinic, &store, rows, json!({"body": {"sections": {"plan": "more"}}}));
    drop(store);
    assert_stored("clinical-in-the-middle.txt", &clinic, clinic.clinical_kind());
}

/// What a person would never find again if an update forgot it: no table may be without a row in the literal texts.
#[test]
fn every_table_of_both_files_has_rows_whose_form_is_kept() {
    let clinic = Clinic::new();
    for (kind, name) in [(FileKind::Office, "office"), (clinic.clinical_kind(), "clinical")] {
        drop(clinic.create(kind));
        let connection = opened(&clinic.path(kind), &clinic.key.sqlcipher_text());
        let tables: BTreeSet<String> = column(&connection, TABLES).into_iter().collect();
        let texts = [format!("{name}.txt"), format!("{name}-in-the-middle.txt")].map(|name| kept(&name));
        let lines = texts.iter().flat_map(|text| text.lines());
        // Whatever else begins a line belongs to a text of several lines.
        let is_name = |line: &&str| line.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
        let with_rows: BTreeSet<String> = lines.filter(is_name).map(str::to_owned).collect();
        assert_eq!(with_rows, tables, "in the {name} file");
    }
}

/// A row as the service has it, of the third revision.
fn row(kind: &str, n: u128, mut document: Value) -> WireRow {
    document["salt"] = json!("0".repeat(32));
    wire(&key_of(kind, n), 3, i64::try_from(n).unwrap(), doc(document))
}

fn attached(clinic: &Clinic) -> Value {
    json!({
        "subject": {"client": client_id(1), "author": clinic.user},
        "content": {
            "blob": uuid(0xB10B).to_string(), "key": "k", "media_type": "text/plain", "name": "letter.txt", "created": 1,
            "size": 5, "sealed_size": 69, "sha256": "ab".repeat(32),
        },
        "title": {"text": "Letter"}, "category": {"code": "report"},
    })
}

/// Rows have come; a change of the first was refused and another waits; the service turns out to be an older copy that has another version of
/// it; the file of the third is wanted; and there is something to do for the other file, and something of the other file was done.
fn in_the_middle(clinic: &Clinic, store: &Store, rows: [WireRow; 3], change: Value) {
    let [first, second, third] = rows.each_ref().map(|row| row.key.clone());
    let scope = rows[0].scope;
    store.apply_page(&rows, &cursor(3)).unwrap();
    clinic.patch(store, &first, change.clone()).unwrap();
    let sent = store.next_groups(1_000, 1 << 24).unwrap();
    let refused = |result: OpResult| OpResult {
        st: Outcome::Rejected,
        why: Some(Refusal::Forbidden),
        ..result
    };
    let answers: Vec<OpResult> = results(&sent, 0).into_iter().map(refused).collect();
    store.acknowledge(&answers, "e1", Millis(1)).unwrap();
    clinic.patch(store, &first, change).unwrap();
    store.want_file(&third, Millis(2)).unwrap();
    take_older_copy(store, scope, rows);
    let intent = |n, key: &EntityKey| {
        let documented = Step {
            key: key.clone(),
            units: units(json!({"documented": {"at": 5}})),
        };
        Intent::new(OpId::new(uuid(n)), vec![documented])
    };
    clinic.write(store, |tx| tx.intend(&intent(0x17, &second))).unwrap();
    clinic.write(store, |tx| tx.execute(&intent(0x18, &second))).unwrap();
}

fn take_older_copy(store: &Store, scope: Scope, rows: [WireRow; 3]) {
    store.begin_comparison().unwrap();
    store.reregister(ReplicaId::new(uuid(0xA2)), 2).unwrap();
    let page = rows.map(|row| WireRow { rev: 2, ..row });
    snapshot_of(store, scope, &page, &cursor(2), true).unwrap();
    store.set_cursor(&cursor(2)).unwrap();
}

fn assert_stored(name: &str, clinic: &Clinic, kind: FileKind) {
    let stored = tables(&clinic.path(kind), &clinic.key.sqlcipher_text());
    assert!(kept(name) == stored, "{name} is to be\n{stored}");
}

/// The literal text of this name.
fn kept(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/store/stored");
    std::fs::read_to_string(folder.join(name)).unwrap_or_default()
}

/// All tables but the index of the full-text search, which is made again from the documents.
const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND sql NOT LIKE '%VIRTUAL TABLE%'
     AND name NOT GLOB '*_search_*' ORDER BY name";

fn opened(path: &Path, key: &str) -> Connection {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    connection.execute_batch(&format!("PRAGMA key = \"{key}\";")).unwrap();
    connection
}

/// Everything in the file but its structure, which `migrations/FROZEN.txt` keeps.
fn tables(path: &Path, key: &str) -> String {
    let connection = opened(path, key);
    let mut text = String::new();
    for table in column(&connection, TABLES) {
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
