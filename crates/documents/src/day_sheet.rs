//! The day sheet: one day's appointments of a therapist or of the whole office.

use serde::Serialize;

use crate::error::DocumentError;
use crate::letterhead::{Language, Practice};
use crate::redacted::redacted_debug;
use crate::typeset::{Template, typeset};

/// Everything printed on a day list. Whether clients appear by name or by initials is the caller's decision.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct DaySheet {
    /// Language of the labels.
    pub language: Language,
    /// Practice at the head of the page.
    pub practice: Practice,
    /// The day, written for the reader.
    pub day: String,
    /// Whose day it is: a therapist's name, or words for the whole office.
    pub owner: String,
    /// Time zone of the times.
    pub zone: String,
    /// When the list was made, so that a stale print can be told. Empty: left out.
    pub printed_at: String,
    /// The appointments in the order to print them.
    pub rows: Vec<DaySheetRow>,
}

/// One appointment. Empty fields leave their cell empty.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct DaySheetRow {
    /// Start and end, such as "09:00–09:50".
    pub time: String,
    /// Client's name or initials.
    pub client: String,
    /// Therapist. The column is printed only if some row has one.
    pub therapist: String,
    /// Status in words.
    pub status: String,
    /// Room.
    pub room: String,
    /// In person, video, voice or chat, in words.
    pub modality: String,
    /// Printed in grey: the appointment will not take place.
    pub called_off: bool,
}

redacted_debug!(DaySheet, DaySheetRow);

/// Sets a day list as an A4 PDF and returns its bytes, the same ones for the same sheet.
///
/// # Errors
///
/// [`DocumentError`] only for a defect of the template; no sheet content is refused.
pub fn day_sheet_pdf(sheet: &DaySheet) -> Result<Vec<u8>, DocumentError> {
    typeset(Template::DaySheet, sheet)
}
