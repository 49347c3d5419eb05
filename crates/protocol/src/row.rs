//! One entity as the service holds it.

use std::collections::BTreeMap;

use caseload_domain::{BlobId, Document, EntityKey, ReplicaId, Scope, appointments};
use serde::{Deserialize, Serialize};

use crate::blobs;
use crate::checksum::{self, Leaf};
use crate::messages::WireRow;

/// When and by which replica a unit was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitMark {
    /// The entity's revision at that writing.
    pub r: i64,
    /// The replica.
    pub by: ReplicaId,
}

/// One entity as the service holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Type and id.
    pub key: EntityKey,
    /// Counts the changes of this entity, from 1.
    pub rev: i64,
    /// The practice's sequence number of the last change.
    pub seq: i64,
    /// Whether it is void.
    pub deleted: bool,
    /// The version of the document.
    pub schema: u32,
    /// The lowest version of the document that a program must know to change it.
    pub min_writer: u32,
    /// Its readers.
    pub scope: Scope,
    /// The content.
    pub doc: Document,
    /// Who wrote which unit when.
    pub marks: BTreeMap<String, UnitMark>,
}

impl Row {
    /// The row's leaf of the checksum, computed from its content.
    ///
    /// # Errors
    /// When the content has no canonical form, which no row written by [`crate::decide`] has.
    pub fn leaf(&self) -> Result<Leaf, caseload_domain::canonical::CanonicalError> {
        checksum::leaf(&self.key, self.rev, self.deleted, &self.doc)
    }

    /// The keys under which a storage finds this row again besides its id: an occupying appointment under each resource and day, an
    /// unsettled clash under both of its appointments ([`clash_slot`]), a document, void or not, under its blob ([`blob_slot`]); empty for
    /// everything else.
    #[must_use]
    pub fn slots(&self) -> Vec<String> {
        match self.key.kind.as_str() {
            // A void document keeps its file.
            "document" | "clinical_document" => blobs::reference(&self.doc)
                .map(|reference| blob_slot(reference.blob))
                .into_iter()
                .collect(),
            _ if self.deleted => Vec::new(),
            "appointment" => appointments::occupation(&self.doc).map_or_else(Vec::new, |occupation| occupation.slots()),
            "clash" if self.doc.text("state", "state") != Some("settled") => ["placed", "contested"]
                .iter()
                .filter_map(|side| self.doc.text("pair", side))
                .map(clash_slot)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// As it is sent to a reader.
    #[must_use]
    pub fn to_wire(&self) -> WireRow {
        WireRow {
            key: self.key.clone(),
            rev: self.rev,
            seq: self.seq,
            del: self.deleted,
            sv: self.schema,
            min_writer: self.min_writer,
            scope: self.scope,
            u: self.marks.iter().map(|(unit, mark)| (unit.clone(), mark.r)).collect(),
            doc: self.doc.clone(),
        }
    }
}

/// The slot under which the documents that name a blob are found.
#[must_use]
pub fn blob_slot(blob: BlobId) -> String {
    format!("b:{blob}")
}

/// The slot under which the unsettled clashes of an appointment are found.
pub(crate) fn clash_slot(appointment: &str) -> String {
    format!("a:{appointment}")
}
