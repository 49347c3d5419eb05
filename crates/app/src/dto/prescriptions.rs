//! Prescriptions: drafting, issuing, printing, stopping, voiding, issuing anew.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::{ClientHeader, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum PrescriptionState {
    Draft,
    Issued,
    Printed,
    Stopped,
    Voided,
    Replaced,
    Expired,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PrescriptionSummary {
    pub id: String,
    pub client_id: String,
    /// Given when issued.
    pub number: Option<String>,
    pub state: PrescriptionState,
    /// First line's drug and strength, for lists.
    pub title: String,
    pub prescriber_name: String,
    pub updated_at: Instant,
    pub issued_at: Option<Instant>,
    pub shared: bool,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Prescription {
    pub summary: PrescriptionSummary,
    pub header: ClientHeader,
    pub lines: Vec<PrescriptionLine>,
    pub diagnosis: String,
    pub instructions: String,
    pub copies_printed: u32,
    pub stop_reason: Option<String>,
    pub void_reason: Option<String>,
    pub replaces: Option<PrescriptionLink>,
    pub replaced_by: Option<PrescriptionLink>,
    /// What can be done now.
    pub actions: Vec<PrescriptionAction>,
    /// Allergies of the chart whose name is in a line's drug.
    pub allergy_matches: Vec<String>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PrescriptionLink {
    pub id: String,
    pub number: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum PrescriptionAction {
    Edit,
    Issue,
    Print,
    Stop,
    Void,
    Reissue,
}

/// One medicine, every member as written.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PrescriptionLine {
    pub drug: String,
    pub form: String,
    pub strength: String,
    pub dose: String,
    pub route: String,
    pub frequency: String,
    pub duration: String,
    pub quantity: String,
    pub refills: u32,
}

/// Without an id it is a new draft.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SavePrescription {
    pub id: Option<String>,
    pub client_id: String,
    pub lines: Vec<PrescriptionLine>,
    pub diagnosis: String,
    pub instructions: String,
}

/// Writes the PDF to the person's documents folder.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct PrintRequest {
    pub id: String,
    /// Start the system's viewer on it.
    pub open: bool,
}
