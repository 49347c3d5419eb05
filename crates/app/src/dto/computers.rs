//! The computers of the practice.

use serde::Serialize;
use specta::Type;

/// A computer that belongs or belonged to the practice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Computer {
    pub id: String,
    pub name: String,
    /// Names of those who have signed in on it.
    pub people: Vec<String>,
    pub is_this_one: bool,
    /// Whether it was taken out of the practice.
    pub is_revoked: bool,
}
