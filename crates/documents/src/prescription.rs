//! The prescription sheet: one A5 page for most prescriptions, more when the lines need them.

use serde::Serialize;

use crate::error::DocumentError;
use crate::letterhead::{ClientIdentity, Language, Practice, Professional};
use crate::redacted::redacted_debug;
use crate::typeset::{Template, typeset};

/// Everything printed on a prescription.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct PrescriptionSheet {
    /// Language of the labels.
    pub language: Language,
    /// Practice at the head of the page.
    pub practice: Practice,
    /// Who prescribes.
    pub prescriber: Professional,
    /// For whom.
    pub client: ClientIdentity,
    /// Prescription number, such as `RX-2-17`. A draft has none: empty.
    pub number: String,
    /// Number of the prescription this one replaces. Empty: it replaces none.
    pub replaces: String,
    /// Date of issue. Empty while it is a draft.
    pub issued_on: String,
    /// Which print this is: 1 is the first and carries no mark; from 2 on the page says "Copy 2" and so on.
    pub copy: u32,
    /// Where the prescription stands. Anything but issued is printed across the page.
    pub state: PrescriptionState,
    /// What is known about allergies. Always printed.
    pub allergies: Allergies,
    /// Diagnosis. Empty: the page has no diagnosis part.
    pub diagnosis: String,
    /// The prescribed items, printed numbered and closed by their count.
    pub lines: Vec<PrescriptionLine>,
    /// Instructions to client or pharmacist; line breaks are kept. Empty: left out.
    pub instructions: String,
}

/// One prescribed item. Empty fields are left out.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct PrescriptionLine {
    /// Name of the drug.
    pub drug: String,
    /// Form, such as "tablet".
    pub form: String,
    /// Strength with its unit, such as "50 mg".
    pub strength: String,
    /// Amount taken at a time.
    pub dose: String,
    /// Route, such as "by mouth".
    pub route: String,
    /// How often.
    pub frequency: String,
    /// For how long.
    pub duration: String,
    /// Quantity to dispense.
    pub quantity: String,
    /// Number of refills, in words or digits; "0" is printed.
    pub refills: String,
}

/// What is known about the client's allergies. Not knowing and knowing of none are different things on paper too.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "known", content = "names", rename_all = "snake_case")]
pub enum Allergies {
    /// Nobody has asked or recorded.
    NotRecorded,
    /// Asked, and there are none.
    NoneKnown,
    /// These.
    Listed(Vec<String>),
}

/// Where a prescription stands when it is printed. Dates are written for the reader.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum PrescriptionState {
    /// Not issued: DRAFT across the page, no signature line.
    Draft,
    /// Issued and in force: no mark, a signature line.
    Issued,
    /// Stopped from a date on: STOPPED across the page.
    Stopped {
        /// Date it was stopped.
        on: String,
        /// Why. Empty: left out.
        reason: String,
    },
    /// Voided: VOID across the page, with the reason.
    Void {
        /// Date it was voided.
        on: String,
        /// Why.
        reason: String,
    },
    /// Replaced by a later prescription: REPLACED across the page.
    Replaced {
        /// Number of the prescription that took its place.
        by: String,
    },
    /// Past its validity: EXPIRED across the page.
    Expired {
        /// Last day of validity.
        on: String,
    },
}

redacted_debug!(PrescriptionSheet, PrescriptionLine, Allergies, PrescriptionState);

/// Sets a prescription as an A5 PDF and returns its bytes, the same ones for the same sheet.
///
/// # Errors
///
/// [`DocumentError`] only for a defect of the template; no sheet content is refused.
pub fn prescription_pdf(sheet: &PrescriptionSheet) -> Result<Vec<u8>, DocumentError> {
    typeset(Template::Prescription, sheet)
}
