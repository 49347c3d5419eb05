//! The content of rows and operations as both storages keep it: readable for the office, sealed for everything clinical.

use std::collections::BTreeMap;

use caseload_domain::{ClientId, Document, EntityKey, ReplicaId, Role, Scope, UserId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::decide::OpRecord;
use caseload_protocol::row::{Row, UnitMark};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use super::error::StorageError;
use super::sealing::PracticeKey;

/// The marks of the units that one replica wrote at one revision. Most rows have a single one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Writing(pub(super) i64, pub(super) ReplicaId, pub(super) Vec<String>);

/// Marks, gathered by revision and replica.
pub(super) fn gather(marks: &BTreeMap<String, UnitMark>) -> Vec<Writing> {
    let mut gathered: BTreeMap<(i64, ReplicaId), Vec<String>> = BTreeMap::new();
    for (unit, mark) in marks {
        gathered.entry((mark.r, mark.by)).or_default().push(unit.clone());
    }
    gathered
        .into_iter()
        .map(|((r, by), units)| Writing(r, by, units))
        .collect()
}

/// Undoes [`gather`].
pub(super) fn spread(writings: Vec<Writing>) -> BTreeMap<String, UnitMark> {
    writings
        .into_iter()
        .flat_map(|Writing(r, by, units)| units.into_iter().map(move |unit| (unit, UnitMark { r, by })))
        .collect()
}

/// What is sealed of a row.
#[derive(Deserialize)]
struct Sealed {
    doc: Document,
    marks: Vec<Writing>,
}

/// Content and marks of a clinical row, sealed.
pub(super) fn seal(key: &PracticeKey, row: &Row) -> Result<Vec<u8>, StorageError> {
    let doc = canonical(&row.doc)?;
    let marks = serde_json::to_vec(&gather(&row.marks)).map_err(|error| StorageError::Failed(error.into()))?;
    let plain = Zeroizing::new([b"{\"doc\":".as_slice(), &doc, b",\"marks\":", &marks, b"}"].concat());
    Ok(key.seal_row(&row.key, &plain))
}

/// Undoes [`seal`].
pub(super) fn open(
    key: &PracticeKey,
    row: &EntityKey,
    sealed: &[u8],
) -> Result<(Document, BTreeMap<String, UnitMark>), StorageError> {
    let plain = key.open_row(row, sealed)?;
    let Sealed { doc, marks } = serde_json::from_slice(&plain).map_err(|_| StorageError::Unreadable("a sealed row"))?;
    Ok((doc, spread(marks)))
}

/// The canonical bytes of a document that was decided.
pub(super) fn canonical(document: &Document) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    document
        .canonical()
        .map(Zeroizing::new)
        .map_err(|error| StorageError::Failed(error.into()))
}

/// An operation as it is kept in the history.
pub(super) enum KeptOp {
    /// JSON text.
    Open(String),
    /// Its JSON text, sealed.
    Sealed(Vec<u8>),
}

/// The operation of `record`, sealed when what it changed is clinical or unknown.
pub(super) fn keep_op(key: &PracticeKey, record: &OpRecord) -> Result<KeptOp, StorageError> {
    let json = serde_json::to_string(&record.op).map_err(|error| StorageError::Failed(error.into()))?;
    if !record.scope.is_clinical() {
        return Ok(KeptOp::Open(json));
    }
    let json = Zeroizing::new(json);
    Ok(KeptOp::Sealed(key.seal_op(
        record.replica,
        record.result.number,
        record.result.op_id,
        json.as_bytes(),
    )))
}

/// The leaf that an operation wrote under `seq`, out of its leaves from `first` on.
pub(super) fn leaf_in(first: i64, leaves: &[u8], seq: i64) -> Option<Leaf> {
    let place = usize::try_from(seq.checked_sub(first)?).ok()?;
    leaves.as_chunks().0.get(place).copied()
}

/// The therapist under whom a row is found as a care relationship that gives access.
pub(super) fn carer(row: &Row) -> Option<UserId> {
    let gives_access = row.key.kind.as_str() == "care_relationship"
        && !row.deleted
        && matches!(row.doc.text("status", "state"), Some("active" | "paused"));
    if gives_access {
        row.doc.text("parties", "therapist")?.parse().ok()
    } else {
        None
    }
}

/// The client of a care relationship.
pub(super) fn cared_for(document: &Document) -> Option<ClientId> {
    document.text("parties", "client")?.parse().ok()
}

pub(super) fn parse_scope(text: &str) -> Result<Scope, StorageError> {
    Scope::parse(text).ok_or(StorageError::Unreadable("a scope"))
}

pub(super) fn parse_role(text: &str) -> Result<Role, StorageError> {
    serde_json::from_value(Value::from(text)).map_err(|_| StorageError::Unreadable("a role"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use caseload_domain::{EntityId, GroupId, OpId, PracticeId};
    use caseload_protocol::messages::{Op, OpKind, OpResult, Outcome};
    use caseload_vault::SymmetricKey;
    use serde_json::json;
    use uuid::Uuid;

    use crate::storage::sealing::Keyring;

    fn record(scope: Scope) -> OpRecord {
        let units = json!({"body": {"text": "marker"}}).as_object().unwrap().clone();
        let op = Op {
            op_id: OpId::new(Uuid::nil()),
            key: EntityKey::new("session_note", EntityId::new(Uuid::nil())),
            kind: OpKind::Create,
            base_rev: 0,
            sv: 1,
            units,
            add: BTreeMap::new(),
            remove: BTreeMap::new(),
            reason: None,
            client_ts: 0,
        };
        let result = OpResult {
            number: 1,
            op_id: op.op_id,
            st: Outcome::Applied,
            rev: 1,
            seq: 1,
            opened: Vec::new(),
            why: None,
            fields: Vec::new(),
        };
        OpRecord {
            replica: ReplicaId::new(Uuid::nil()),
            result,
            grp: GroupId::new(Uuid::nil()),
            actor: UserId::new(Uuid::nil()),
            op,
            scope,
            first: true,
            seqs: None,
            leaves: Vec::new(),
            chain: [0; 32],
        }
    }

    #[test]
    fn an_operation_is_kept_readable_only_when_it_is_of_the_office() {
        let practice = PracticeId::new(Uuid::nil());
        let ring = Keyring::new(&SymmetricKey::from_bytes([7; 32]));
        let key = ring.open(practice, &ring.make(practice)).unwrap();
        let holds_marker = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"marker");
        for scope in [
            Scope::Clinical(ClientId::new(Uuid::nil())),
            Scope::Private(UserId::new(Uuid::nil())),
        ] {
            let KeptOp::Sealed(sealed) = keep_op(&key, &record(scope)).unwrap() else {
                panic!("{scope} is not sealed")
            };
            assert!(!holds_marker(&sealed));
        }
        let KeptOp::Open(text) = keep_op(&key, &record(Scope::Office)).unwrap() else {
            panic!("the office can read it")
        };
        assert!(holds_marker(text.as_bytes()));
    }

    /// The bytes of a hexadecimal literal.
    fn unhex(text: &str) -> Vec<u8> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            panic!("an odd literal")
        };
        let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        pairs.iter().map(byte).collect()
    }

    #[test]
    fn a_row_that_an_earlier_program_sealed_opens_with_its_content_and_marks() {
        const PRACTICE_KEY: &str = "01011000ca155d77e0bd7da209d97bd96b9c8406683cdd01759bb708b5bbb9a6c2c136295191c4c2234f3673b0fd4a21a696\
             c36332a4d41af5465ee2a136e2aae731531443201188eee09643f605353e2de583fad5b878f13a8cbdd298038d3dcb9b6f56\
             2e7fe9770173bf9115dde3d754b0";
        const ROW: &str = "0101beed8954c36285c4ced7b1d82a2eafd243f7d1c1fb94b823eee4fa7651ffefd32b84de26a8895c0cec017d4ba632064d\
             59531740447881291d7bbf76e31caaf5a94914aff22edb33120349e05adb3dacb24f5e5a87a76b5229ddcc409d51a9239b58\
             3e478e681f998051629ef13a9d1153cc29bd054602d32945cdf118e1a4574d7a38dcfaa148a8ffe37ff952e1bf4dca30478f\
             bf5faf179de6ff56a68c442fa01c469057c5332b361665260f07a2d4a36eef15adac7cce6dd8c8dec031bbc377c129f7a907\
             7a1edb5deedd0857c4135ba269282f8b0e71da584369d99cd5ce9b002d49";
        let practice = PracticeId::new(Uuid::from_u128(1));
        let ring = Keyring::new(&SymmetricKey::from_bytes([7; 32]));
        let key = ring.open(practice, &unhex(PRACTICE_KEY)).unwrap();
        let note = EntityKey::new("session_note", EntityId::new(Uuid::from_u128(3)));
        let (content, marks) = open(&key, &note, &unhex(ROW)).unwrap();
        let expected = json!({"body": {"sections": {"plan": "\u{7e4a}"}}, "salt": "00112233445566778899aabbccddeeff"});
        assert_eq!(serde_json::to_value(&content).unwrap(), expected);
        let by = ReplicaId::new(Uuid::from_u128(4));
        assert_eq!(marks, BTreeMap::from([("body".to_owned(), UnitMark { r: 1, by })]));
    }

    #[test]
    fn marks_come_back_as_they_were() {
        let (here, there) = (ReplicaId::new(Uuid::from_u128(1)), ReplicaId::new(Uuid::from_u128(2)));
        let marks = [("a", 1, here), ("b", 1, there), ("c/d", 2, here), ("*", 1, here)];
        let marks: BTreeMap<String, UnitMark> = marks
            .into_iter()
            .map(|(unit, r, by)| (unit.to_owned(), UnitMark { r, by }))
            .collect();
        let gathered = gather(&marks);
        assert_eq!(gathered.len(), 3);
        assert_eq!(spread(gathered), marks);
    }
}
