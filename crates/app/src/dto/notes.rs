//! Session notes: drafting, signing, correcting beside the signed text, verifying.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{ClientHeader, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum NoteTemplate {
    Soap,
    Dap,
    Birp,
    Girp,
    Intake,
    Free,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum NoteState {
    Draft,
    Signed,
    EnteredInError,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct NoteSummary {
    pub id: String,
    pub client_id: String,
    pub client_name: String,
    pub appointment_id: Option<String>,
    pub template: NoteTemplate,
    pub state: NoteState,
    pub author_name: String,
    /// Local day and start of the session, else of the writing.
    pub session_date: String,
    pub session_time: Option<String>,
    pub updated_at: Instant,
    pub signed_at: Option<Instant>,
    pub addenda: u32,
    pub shared: bool,
}

/// Without a client: the signed-in clinician's own, drafts first.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct NotesRequest {
    pub client_id: Option<String>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    pub summary: NoteSummary,
    pub header: ClientHeader,
    /// In the template's order; sections that the template does not name but hold text follow.
    pub sections: Vec<NoteSection>,
    /// This login may change the text: a draft of its own.
    pub editable: bool,
    pub signature: Option<NoteSignature>,
    pub addenda: Vec<Addendum>,
    pub entered_in_error: Option<EnteredInError>,
    /// Other drafts of the same session, made on another computer.
    pub sibling_drafts: Vec<NoteSummary>,
}

/// Keys: subjective, objective, assessment, plan, data, behaviour, intervention, response, goal, presenting, history,
/// risk, formulation, text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct NoteSection {
    pub key: String,
    pub text: String,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct NoteSignature {
    pub signed_by: String,
    pub licence: Option<String>,
    pub signed_at: Instant,
    pub device_name: Option<String>,
    /// SHA-256 of the canonical bytes, hex.
    pub hash: String,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Addendum {
    pub id: String,
    pub text: String,
    pub author_name: String,
    pub signed_at: Instant,
    pub shared: bool,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct EnteredInError {
    pub reason: String,
    pub by: String,
    pub at: Instant,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CreateNote {
    pub client_id: String,
    pub appointment_id: Option<String>,
    pub template: NoteTemplate,
}

/// The whole draft as it stands; durable when answered.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AutosaveNote {
    pub id: String,
    pub template: NoteTemplate,
    pub sections: Vec<NoteSection>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct NoteSaved {
    pub saved_at: Instant,
    pub shared: bool,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AddAddendum {
    pub note_id: String,
    pub text: String,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct NoteVerification {
    /// Text, signature and the chain from the practice root all agree.
    pub valid: bool,
    pub text_matches: bool,
    pub signature_matches: bool,
    pub chain_matches: bool,
    pub hash: String,
    pub signed_by: Option<String>,
}
