//! Who a document comes from and whom it is about: the parts every sheet shares.

use serde::Serialize;

use crate::redacted::redacted_debug;

/// Language of the labels a document prints around the sheet's own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// Korean.
    Ko,
}

/// The practice named at the head of a document.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Practice {
    /// Name as the public knows it.
    pub name: String,
    /// Postal address; line breaks are kept. Empty: left out.
    pub address: String,
    /// Telephone number. Empty: left out.
    pub phone: String,
}

/// A licensed member of staff who signs.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Professional {
    /// Full name.
    pub name: String,
    /// Profession, such as "Psychiatrist". Empty: left out.
    pub profession: String,
    /// Licence number, with its kind or issuer where that matters. Empty: left out.
    pub licence: String,
}

/// The client a document is about.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct ClientIdentity {
    /// Full name.
    pub name: String,
    /// Date of birth, written for the reader. Empty: left out.
    pub birth_date: String,
    /// The practice's number for this client. Empty: left out.
    pub number: String,
}

redacted_debug!(Practice, Professional, ClientIdentity);
