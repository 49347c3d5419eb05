//! The session note sheet: the signed text, who signed it and how that can be checked, and what was added later.

use serde::Serialize;

use crate::error::DocumentError;
use crate::letterhead::{ClientIdentity, Language, Practice, Professional};
use crate::redacted::redacted_debug;
use crate::typeset::{Template, typeset};

/// Everything printed of one session note.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct NoteSheet {
    /// Language of the labels.
    pub language: Language,
    /// Practice at the head of the page.
    pub practice: Practice,
    /// About whom.
    pub client: ClientIdentity,
    /// Which session.
    pub session: SessionFacts,
    /// Who wrote the note.
    pub author: Professional,
    /// Format of the note, such as "SOAP". Empty: left out.
    pub format: String,
    /// The note's parts in their order.
    pub sections: Vec<NoteSection>,
    /// The author's signature. Without one, DRAFT is printed across every page.
    pub signature: Option<NoteSignature>,
    /// Later additions in their order.
    pub addenda: Vec<NoteAddendum>,
    /// Set when the note was marked as entered in error: the mark is printed across every page, the text stays.
    pub entered_in_error: Option<EnteredInError>,
}

/// When and how the session took place.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct SessionFacts {
    /// Date and time, written for the reader in the zone below.
    pub time: String,
    /// Time zone, such as "Asia/Seoul (UTC+9)".
    pub zone: String,
    /// Service or kind of session. Empty: left out.
    pub service: String,
    /// In person, video, voice or chat, in words. Empty: left out.
    pub modality: String,
}

/// One part of a note.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct NoteSection {
    /// Heading. Empty: the text stands alone.
    pub heading: String,
    /// The text; line breaks are kept.
    pub text: String,
}

/// A signature as it is shown on paper. Checking it is done by the caller beforehand.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct NoteSignature {
    /// When it was signed, with zone.
    pub signed_at: String,
    /// Name of the device it was signed on.
    pub device: String,
    /// First characters of the signed content's hash.
    pub short_hash: String,
    /// The signature's kind and key, and the result of checking it, in words.
    pub proof: String,
}

/// Text added after signing.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct NoteAddendum {
    /// Who added it.
    pub author: Professional,
    /// The text; line breaks are kept.
    pub text: String,
    /// The signature on the addendum.
    pub signature: NoteSignature,
}

/// The mark on a note that should not have been written.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct EnteredInError {
    /// When it was marked.
    pub marked_at: String,
    /// Who marked it.
    pub marked_by: String,
    /// Why.
    pub reason: String,
}

redacted_debug!(
    NoteSheet,
    SessionFacts,
    NoteSection,
    NoteSignature,
    NoteAddendum,
    EnteredInError
);

/// Sets a session note as an A4 PDF and returns its bytes, the same ones for the same sheet.
///
/// # Errors
///
/// [`DocumentError`] only for a defect of the template; no sheet content is refused.
pub fn note_pdf(sheet: &NoteSheet) -> Result<Vec<u8>, DocumentError> {
    typeset(Template::Note, sheet)
}
