//! Rows and operations as MongoDB documents. Office content is BSON that other programs can read; integers are always 64-bit.

use std::collections::BTreeMap;

use caseload_domain::{Document as Content, EntityId, EntityKey, EntityKind, PracticeId, ReplicaId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::decide::OpRecord;
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::row::{Row, UnitMark};
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, RawDocument, doc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::storage::content::{self, KeptOp, Writing};
use crate::storage::error::StorageError;
use crate::storage::sealing::PracticeKey;

/// A UUID as binary of the standard subtype.
pub(super) fn id(uuid: Uuid) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Uuid,
        bytes: uuid.as_bytes().to_vec(),
    })
}

pub(super) fn bytes(bytes: impl Into<Vec<u8>>) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes: bytes.into(),
    })
}

/// Reads members of a document that the service wrote; anything unexpected is damage.
pub(super) trait Members {
    fn uuid(&self, name: &'static str) -> Result<Uuid, StorageError>;
    fn blob(&self, name: &'static str) -> Result<&[u8], StorageError>;
    fn text(&self, name: &'static str) -> Result<&str, StorageError>;
    fn integer(&self, name: &'static str) -> Result<i64, StorageError>;
    fn flag(&self, name: &'static str) -> Result<bool, StorageError>;

    fn fixed<const N: usize>(&self, name: &'static str) -> Result<[u8; N], StorageError> {
        self.blob(name)?.try_into().map_err(|_| StorageError::Unreadable(name))
    }

    fn number(&self, name: &'static str) -> Result<u32, StorageError> {
        self.integer(name)?
            .try_into()
            .map_err(|_| StorageError::Unreadable(name))
    }
}

impl Members for Document {
    fn uuid(&self, name: &'static str) -> Result<Uuid, StorageError> {
        Uuid::from_slice(self.blob(name)?).map_err(|_| StorageError::Unreadable(name))
    }

    fn blob(&self, name: &'static str) -> Result<&[u8], StorageError> {
        match self.get(name) {
            Some(Bson::Binary(binary)) => Ok(&binary.bytes),
            _ => Err(StorageError::Unreadable(name)),
        }
    }

    fn text(&self, name: &'static str) -> Result<&str, StorageError> {
        self.get_str(name).map_err(|_| StorageError::Unreadable(name))
    }

    fn integer(&self, name: &'static str) -> Result<i64, StorageError> {
        self.get_i64(name).map_err(|_| StorageError::Unreadable(name))
    }

    fn flag(&self, name: &'static str) -> Result<bool, StorageError> {
        self.get_bool(name).map_err(|_| StorageError::Unreadable(name))
    }
}

/// A JSON value with a canonical form as BSON.
fn to_bson(value: &Value) -> Result<Bson, StorageError> {
    Ok(match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::Number(number) => Bson::Int64(number.as_i64().ok_or(StorageError::Unreadable("a number"))?),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(to_bson).collect::<Result<_, _>>()?),
        Value::Object(members) => Bson::Document(to_document(members)?),
    })
}

fn to_document(members: &Map<String, Value>) -> Result<Document, StorageError> {
    members
        .iter()
        .map(|(name, value)| Ok((name.clone(), to_bson(value)?)))
        .collect()
}

fn to_json(value: Bson) -> Result<Value, StorageError> {
    Ok(match value {
        Bson::Null => Value::Null,
        Bson::Boolean(value) => Value::Bool(value),
        Bson::Int64(number) => Value::from(number),
        Bson::String(text) => Value::String(text),
        Bson::Array(items) => Value::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?),
        Bson::Document(members) => Value::Object(to_members(members)?),
        _ => return Err(StorageError::Unreadable("a document")),
    })
}

fn to_members(document: Document) -> Result<Map<String, Value>, StorageError> {
    document
        .into_iter()
        .map(|(name, value)| Ok((name, to_json(value)?)))
        .collect()
}

/// Office content as BSON, after checking that it comes back as the same bytes.
fn open_content(content: &Content) -> Result<Document, StorageError> {
    let document = to_document(content.units())?;
    let back = Content::new(to_members(document.clone())?);
    if content::canonical(&back)? != content::canonical(content)? {
        return Err(StorageError::Unreadable("a document in another form"));
    }
    Ok(document)
}

/// A row as it is stored.
pub(super) fn of_row(key: &PracticeKey, practice: PracticeId, row: &Row) -> Result<Document, StorageError> {
    let mut document = doc! {
        "p": id(practice.uuid()), "t": row.key.kind.as_str(), "id": id(row.key.id.uuid()), "rev": row.rev, "seq": row.seq,
        "del": row.deleted, "sv": i64::from(row.schema), "mw": i64::from(row.min_writer), "scope": row.scope.to_string(),
    };
    if row.scope.is_clinical() {
        document.insert("sealed", bytes(content::seal(key, row)?));
    } else {
        document.insert("doc", open_content(&row.doc)?);
        document.insert("marks", of_marks(&row.marks));
    }
    let slots = row.slots();
    if !slots.is_empty() {
        document.insert("slots", slots);
    }
    if let Some(therapist) = content::carer(row) {
        document.insert("care", id(therapist.uuid()));
    }
    Ok(document)
}

fn of_marks(marks: &BTreeMap<String, UnitMark>) -> Vec<Document> {
    let gathered = content::gather(marks).into_iter();
    gathered
        .map(|Writing(rev, by, units)| doc! { "r": rev, "by": id(by.uuid()), "u": units })
        .collect()
}

fn to_marks(document: &Document) -> Result<BTreeMap<String, UnitMark>, StorageError> {
    let damaged = || StorageError::Unreadable("the marks of a row");
    let mut writings = Vec::new();
    for mark in document.get_array("marks").map_err(|_| damaged())? {
        let mark = mark.as_document().ok_or_else(damaged)?;
        let units = mark.get_array("u").map_err(|_| damaged())?;
        let units: Option<Vec<String>> = units.iter().map(|unit| unit.as_str().map(str::to_owned)).collect();
        writings.push(Writing(
            mark.integer("r")?,
            ReplicaId::new(mark.uuid("by")?),
            units.ok_or_else(damaged)?,
        ));
    }
    Ok(content::spread(writings))
}

/// Reads the office content of a record whose other members were left out.
pub(super) fn content_of(mut document: Document) -> Result<Content, StorageError> {
    match document.remove("doc") {
        Some(Bson::Document(content)) => to_members(content).map(Content::new),
        _ => Err(StorageError::Unreadable("a document")),
    }
}

/// Reads a row.
pub(super) fn to_row(key: &PracticeKey, document: &RawDocument) -> Result<Row, StorageError> {
    let mut document = Document::try_from(document).map_err(|_| StorageError::Unreadable("a row"))?;
    let entity = EntityKey {
        kind: EntityKind::new(document.text("t")?),
        id: EntityId::new(document.uuid("id")?),
    };
    let (content, marks) = match document.remove("doc") {
        Some(Bson::Document(content)) => (Content::new(to_members(content)?), to_marks(&document)?),
        _ => content::open(key, &entity, document.blob("sealed")?)?,
    };
    Ok(Row {
        key: entity,
        rev: document.integer("rev")?,
        seq: document.integer("seq")?,
        deleted: document.flag("del")?,
        schema: document.number("sv")?,
        min_writer: document.number("mw")?,
        scope: content::parse_scope(document.text("scope")?)?,
        doc: content,
        marks,
    })
}

/// An operation with its receipt.
pub(super) fn of_op(key: &PracticeKey, practice: PracticeId, record: &OpRecord) -> Result<Document, StorageError> {
    let result = serde_json::to_string(&record.result).map_err(|error| StorageError::Failed(error.into()))?;
    let mut document = doc! {
        "p": id(practice.uuid()), "replica": id(record.replica.uuid()), "mut": record.result.number,
        "op_id": id(record.result.op_id.uuid()), "first": record.first, "grp": id(record.grp.uuid()),
        "actor": id(record.actor.uuid()), "result": result, "chain": bytes(record.chain),
    };
    match content::keep_op(key, record)? {
        KeptOp::Open(json) => document.insert("op", json),
        KeptOp::Sealed(sealed) => document.insert("sealed", bytes(sealed)),
    };
    if let Some((first, last)) = record.seqs {
        document.extend(doc! { "first_seq": first, "last_seq": last, "leaves": bytes(record.leaves.concat()) });
    }
    Ok(document)
}

/// Reads the head out of a practice's record.
pub(super) fn to_head(document: &Document) -> Result<PracticeHead, StorageError> {
    Ok(PracticeHead {
        epoch: document.text("epoch")?.to_owned(),
        seq: document.integer("seq")?,
        chain: document.fixed::<{ size_of::<Leaf>() }>("chain")?,
        client_number: document.integer("client_number")?,
        gc_floor: document.integer("gc_floor")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn office_content_comes_back_byte_equal_with_members_that_nobody_knows() {
        let content: Content = serde_json::from_value(json!({
            "salt": "00", "future": {"list": [1, -2, null, true, {"deep": {"한": "글"}}], "empty": {}, "none": []},
            "big": 1_i64 << 53, "_id": "a member like any other", "text": "NUL \u{0} and \" and \u{10000}",
        }))
        .unwrap();
        let stored = open_content(&content).unwrap();
        assert!(
            matches!(stored.get("big"), Some(Bson::Int64(_))),
            "other programs read one integer type"
        );
        let bytes = mongodb::bson::serialize_to_vec(&stored).unwrap();
        let back: Document = mongodb::bson::deserialize_from_slice(&bytes).unwrap();
        assert_eq!(Content::new(to_members(back).unwrap()).canonical(), content.canonical());
    }
}
