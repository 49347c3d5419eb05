//! The recovery sheet: the code that brings a person's keys back, on paper and nowhere else.

use serde::Serialize;

use crate::error::DocumentError;
use crate::letterhead::{Language, Practice};
use crate::redacted::redacted_debug;
use crate::typeset::{Template, typeset};

/// Everything printed on the recovery sheet.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct RecoverySheet {
    /// Language of the labels.
    pub language: Language,
    /// Practice at the head of the page.
    pub practice: Practice,
    /// Whose keys the code brings back.
    pub person: String,
    /// The code's groups, in order.
    pub groups: Vec<String>,
    /// The day it was made, written for the reader.
    pub made_on: String,
}

redacted_debug!(RecoverySheet);

/// Sets a recovery sheet as an A4 PDF and returns its bytes, the same ones for the same sheet.
///
/// # Errors
///
/// [`DocumentError`] only for a defect of the template; no sheet content is refused.
pub fn recovery_pdf(sheet: &RecoverySheet) -> Result<Vec<u8>, DocumentError> {
    typeset(Template::Recovery, sheet)
}
