//! Files that documents name: sealed here, queued with their document, fetched part by part, swept after a crash.

use std::io::Read as _;

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, Scope};
use caseload_protocol::blobs::{BlobReference, reference};
use caseload_protocol::checksum::sha256;
use caseload_protocol::messages::{OpResult, Outcome, Refusal};
use caseload_store::{FileError, FileKind, FileState, NewFile, Store, WriteError};
use serde_json::{Value, json};

use crate::fixture::{Clinic, client_id, cursor, doc, get, key_of, results, wire};

const MOST: u64 = 100 << 20;

fn document(clinic: &Clinic, content: Value) -> Value {
    json!({
        "subject": {"client": client_id(1), "author": clinic.user}, "content": content,
        "title": {"text": "Letter"}, "category": {"code": "report"},
    })
}

fn attach(clinic: &Clinic, store: &Store, key: &EntityKey, sealed: &NewFile) -> Result<(), WriteError> {
    let content = sealed.content("text/plain", "letter.txt", clinic.at());
    let document = doc(document(clinic, content));
    clinic
        .write(store, |tx| {
            tx.create(key, document)?;
            tx.attach_file(key, sealed)
        })
        .map(drop)
}

fn added(clinic: &Clinic, store: &Store, key: &EntityKey, text: &[u8]) -> BlobReference {
    let sealed = store.seal_file(&mut &*text, MOST).unwrap();
    attach(clinic, store, key, &sealed).unwrap();
    reference(&get(store, key).unwrap().doc).unwrap()
}

fn opened(store: &Store, key: &EntityKey) -> Result<Vec<u8>, FileError> {
    let mut out = Vec::new();
    store.open_file(key, &mut out).map(|_| out)
}

fn names(clinic: &Clinic) -> Vec<String> {
    let folder = clinic.folder.path().join("blobs/office");
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_added_file_lies_there_as_it_will_be_sent_and_opens_to_the_same_bytes() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let text = b"what the client brought along ".repeat(30_000);
    let key = key_of("document", 1);
    let file = added(&clinic, &store, &key, &text);
    assert_eq!(opened(&store, &key).unwrap(), text);
    assert_eq!(store.file_state(&key).unwrap(), FileState::Waiting);
    assert_eq!(store.files_to_share().unwrap(), std::slice::from_ref(&file));
    assert!(store.verify_file(&file).unwrap());

    let mut ciphertext = Vec::new();
    let path = clinic.folder.path().join("blobs/office").join(file.blob.to_string());
    std::fs::File::open(path).unwrap().read_to_end(&mut ciphertext).unwrap();
    assert_eq!(
        (ciphertext.len() as u64, sha256(&ciphertext)),
        (file.sealed_size, file.sha256)
    );
    assert!(!ciphertext.windows(16).any(|bytes| bytes == &text[..16]));
    assert_eq!(store.file_part(file.blob, 5, 10).unwrap(), ciphertext[5..15]);

    store.file_shared(file.blob).unwrap();
    assert_eq!(store.file_state(&key).unwrap(), FileState::Shared);
    assert_eq!(store.files_to_share().unwrap(), []);
    let listed = store.read(|reads| reads.documents_of_client(client_id(1))).unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        store
            .read(|reads| reads.documents_of_client(client_id(2)))
            .unwrap()
            .len(),
        0
    );
}

#[test]
fn a_file_that_is_too_large_or_belongs_to_another_document_is_not_added() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let too_large = store.seal_file(&mut [0; 1_000].as_slice(), 1_000);
    assert!(matches!(too_large, Err(FileError::TooLarge)));
    assert_eq!(names(&clinic), [""; 0], "nothing of it stays");
    let sealed = store.seal_file(&mut b"one".as_slice(), MOST).unwrap();
    attach(&clinic, &store, &key_of("document", 1), &sealed).unwrap();
    let other = store.seal_file(&mut b"other".as_slice(), MOST).unwrap();
    let wrong = clinic.write(&store, |tx| tx.attach_file(&key_of("document", 1), &other));
    assert!(matches!(wrong, Err(WriteError::Missing)));
}

#[test]
fn a_file_comes_part_by_part_and_only_with_the_right_hash() {
    let (here, there) = (Clinic::new(), Clinic::new());
    let (sender, receiver) = (here.office(), there.office());
    let key = key_of("document", 1);
    let text = b"from another computer".repeat(20_000);
    let file = added(&here, &sender, &key, &text);
    let row = wire(&key, 1, 1, get(&sender, &key).unwrap().doc);
    receiver.apply_page(&[row], &cursor(1)).unwrap();
    assert_eq!(receiver.file_state(&key).unwrap(), FileState::Elsewhere);
    assert!(matches!(opened(&receiver, &key), Err(FileError::NotHere)));

    receiver.want_file(&key, Millis(1)).unwrap();
    assert_eq!(receiver.files_to_fetch().unwrap(), std::slice::from_ref(&file));
    let part = |at, most| sender.file_part(file.blob, at, most).unwrap();
    receiver.append_fetched(file.blob, &part(0, 300_000)).unwrap();
    drop(receiver);
    let receiver = there.open(FileKind::Office);
    receiver.sweep_files().unwrap();
    assert_eq!(
        receiver.fetched(file.blob).unwrap(),
        300_000,
        "it goes on after a crash"
    );
    receiver.append_fetched(file.blob, b"damaged on the way").unwrap();
    assert!(!receiver.finish_fetched(&file).unwrap());
    assert_eq!(
        (receiver.fetched(file.blob).unwrap(), receiver.file_state(&key).unwrap()),
        (0, FileState::Wanted),
        "what was damaged is thrown away and fetched anew"
    );
    receiver.append_fetched(file.blob, &part(0, 1 << 24)).unwrap();
    assert!(receiver.finish_fetched(&file).unwrap());
    assert_eq!(receiver.file_state(&key).unwrap(), FileState::Fetched);
    assert_eq!(opened(&receiver, &key).unwrap(), text);
    assert!(
        receiver.finish_fetched(&file).unwrap(),
        "once more after a crash between file and database"
    );
}

#[test]
fn files_of_recent_documents_are_wanted_and_those_of_old_and_void_ones_are_not() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let content = |n: u128, created: i64| {
        json!({
            "blob": uuid::Uuid::from_u128(n), "key": "A".repeat(43), "sha256": "0".repeat(64), "size": 1,
            "sealed_size": 83, "media_type": "text/plain", "created": created,
        })
    };
    let rows: Vec<_> = [(1, 50, false), (2, 150, false), (3, 150, true)]
        .into_iter()
        .map(|(n, created, void)| {
            let mut document = document(&clinic, content(n, created));
            document["salt"] = "0".repeat(32).into();
            let mut row = wire(&key_of("document", n), 1, n as i64, doc(document));
            row.del = void;
            row
        })
        .collect();
    let changed = store.apply_page(&rows, &cursor(3)).unwrap();
    store.want_recent_files(&changed, Millis(100), Millis(200)).unwrap();
    let wanted: Vec<u128> = store
        .files_to_fetch()
        .unwrap()
        .iter()
        .map(|file| file.blob.uuid().as_u128())
        .collect();
    assert_eq!(wanted, [2]);
}

#[test]
fn what_a_crash_left_is_swept_and_what_waits_stays() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("document", 1);
    let file = added(&clinic, &store, &key, b"kept");
    let lost = store
        .seal_file(&mut b"sealed and never attached".as_slice(), MOST)
        .unwrap();
    drop(lost);
    let folder = clinic.folder.path().join("blobs/office");
    std::fs::write(folder.join(format!("{}.new", file.blob)), b"cut while it was sealed").unwrap();
    std::fs::write(folder.join("something else"), b"?").unwrap();
    assert_eq!(names(&clinic).len(), 4);
    drop(store);
    let store = clinic.open(FileKind::Office);
    store.sweep_files().unwrap();
    assert_eq!(names(&clinic), [file.blob.to_string()]);
    assert_eq!(opened(&store, &key).unwrap(), b"kept");
}

#[test]
fn files_of_a_scope_that_was_left_go_with_it_and_unsent_ones_stay() {
    let clinic = Clinic::new();
    let store = clinic.clinical();
    let (sent, unsent) = (key_of("clinical_document", 1), key_of("clinical_document", 2));
    let shared = added(&clinic, &store, &sent, b"shared");
    let waiting = added(&clinic, &store, &unsent, b"waiting");
    store.file_shared(shared.blob).unwrap();
    store.leave_scope(Scope::Clinical(client_id(1)), clinic.at()).unwrap();
    store.forget_files().unwrap();
    assert!(matches!(store.file_part(shared.blob, 0, 1), Err(FileError::NotHere)));
    assert_eq!(store.files_to_share().unwrap(), std::slice::from_ref(&waiting));
    assert!(store.verify_file(&waiting).unwrap());
}

#[test]
fn after_a_resync_every_file_that_is_here_is_offered_again() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("document", 1);
    let file = added(&clinic, &store, &key, b"the only copy now");
    store.file_shared(file.blob).unwrap();
    store.begin_comparison().unwrap();
    assert_eq!(
        store.files_to_share().unwrap(),
        [file],
        "a service that was restored may have lost it"
    );
}

#[test]
fn the_file_of_a_refused_document_waits_with_it_and_goes_when_the_change_is_thrown_away() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let file = added(&clinic, &store, &key_of("document", 1), b"nobody wants it");
    let sent = store.next_groups(100, 1 << 20).unwrap();
    let refuse = |result: OpResult| OpResult {
        st: Outcome::Rejected,
        why: Some(Refusal::Forbidden),
        ..result
    };
    let answers: Vec<OpResult> = results(&sent, 1).into_iter().map(refuse).collect();
    store.acknowledge(&answers, "e1", Millis(1)).unwrap();
    assert_eq!(store.files_to_share().unwrap(), [file], "the change can be made again");
    clinic.write(&store, |tx| tx.discard(sent[0].grp)).unwrap();
    assert!(store.files_to_share().unwrap().is_empty());
    store.sweep_files().unwrap();
    assert!(names(&clinic).is_empty(), "{:?}", names(&clinic));
}

#[test]
fn throwing_away_that_a_document_was_voided_keeps_the_file_that_its_refused_creation_would_share() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("document", 1);
    let file = added(&clinic, &store, &key, b"wanted after all");
    clinic.write(&store, |tx| tx.void(&key, "a slip")).unwrap();
    let sent = store.next_groups(100, 1 << 20).unwrap();
    assert_eq!(sent.len(), 2, "a creation and a void are two changes");
    let refuse = |result: OpResult| OpResult {
        st: Outcome::Rejected,
        why: Some(Refusal::Forbidden),
        ..result
    };
    let answers: Vec<OpResult> = results(&sent, 1).into_iter().map(refuse).collect();
    store.acknowledge(&answers, "e1", Millis(1)).unwrap();
    clinic.write(&store, |tx| tx.discard(sent[1].grp)).unwrap();
    clinic.write(&store, |tx| tx.retry(sent[0].grp)).unwrap();
    store.sweep_files().unwrap();
    assert_eq!(store.files_to_share().unwrap(), [file]);
    assert_eq!(opened(&store, &key).unwrap(), b"wanted after all");
}

#[test]
fn a_ciphertext_that_was_damaged_here_is_neither_opened_nor_sent() {
    let clinic = Clinic::new();
    let store = clinic.office();
    let key = key_of("document", 1);
    let file = added(&clinic, &store, &key, b"text");
    let path = clinic.folder.path().join("blobs/office").join(file.blob.to_string());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(opened(&store, &key), Err(FileError::Damaged(_))));
    assert!(!store.verify_file(&file).unwrap());
}
