//! The entities of a practice, one file per concept.

mod booking;
mod care;
mod checks;
mod client;
mod documents;
mod note;
mod people;
mod prescription;
mod review;

pub use documents::CATEGORIES as DOCUMENT_CATEGORIES;

use checks::Checks;

use crate::registry::EntityType;

/// Every entity, parents before children.
pub(crate) const ALL: &[&EntityType] = &[
    &people::PRACTICE,
    &people::LOCATION,
    &people::STAFF_MEMBER,
    &people::CERTIFICATE,
    &people::DEVICE,
    &client::CLIENT,
    &client::RELATED_PERSON,
    &care::CARE_RELATIONSHIP,
    &booking::APPOINTMENT,
    &review::CLASH,
    &review::CONFLICT,
    &review::CLINICAL_CONFLICT,
    &review::REOFFER,
    &review::CLINICAL_REOFFER,
    &client::CLIENT_CHART,
    &care::SESSION,
    &note::SESSION_NOTE,
    &note::ADDENDUM,
    &prescription::PRESCRIPTION,
    &documents::DOCUMENT,
    &documents::CLINICAL_DOCUMENT,
];

/// The id of the care relationship of a therapist and a client: the same on every device, so that two grants are one.
#[must_use]
pub fn care_relationship_id(client: crate::ClientId, therapist: crate::UserId) -> crate::EntityId {
    crate::EntityId::derived(&["care_relationship", &client.to_string(), &therapist.to_string()])
}

/// The state of a document's `state` (or, for an appointment, `status`) unit.
#[must_use]
pub fn state<'a>(document: &'a crate::Document, unit: &str) -> &'a str {
    document.text(unit, "state").unwrap_or_default()
}
