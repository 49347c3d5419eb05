//! Documents: files that belong to a client.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::Instant;

/// Who may read a document.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// Everyone in the practice.
    Office,
    /// Those who treat the client.
    Clinical,
}

/// Where a document's file is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum DocumentFile {
    /// On this computer, and not at the service yet.
    Waiting,
    /// On this computer; the service does not take it.
    Refused,
    /// On this computer and at the service.
    Here,
    /// At the service or on the computer that added it; it is fetched when it is saved.
    Elsewhere,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DocumentSummary {
    pub id: String,
    pub client_id: String,
    pub kind: DocumentKind,
    pub title: String,
    /// `consent`, `referral`, `report`, `questionnaire`, `correspondence`, `identification`, `other`, or what a newer program added.
    pub category: String,
    pub media_type: String,
    /// The name of the file that was added.
    pub file_name: String,
    /// Bytes of the file.
    pub size: u32,
    pub author_name: String,
    pub added_at: Instant,
    pub file: DocumentFile,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AddDocument {
    pub client_id: String,
    pub kind: DocumentKind,
    /// The file to add, on this computer. It is read and not changed.
    pub path: String,
    /// The file's name when absent.
    pub title: Option<String>,
    /// `other` when absent.
    pub category: Option<String>,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SaveDocument {
    pub id: String,
    /// Where to; a file that is there already is not replaced.
    pub path: String,
}
