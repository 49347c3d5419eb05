//! Clients: finding, the record and its header, editing by unit, people around them, who treats them.

use serde::{Deserialize, Serialize};
use specta::Type;

use super::CalendarItem;

/// Yes, no, or never asked.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    Allowed,
    Refused,
    NotAsked,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    None,
    Low,
    Moderate,
    High,
}

/// What heads every view of a client.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ClientHeader {
    pub client_id: String,
    pub number: Option<String>,
    /// The service has not confirmed the number yet.
    pub number_provisional: bool,
    /// What to call them: the preferred name, else the given one with the family name.
    pub display_name: String,
    pub legal_name: String,
    pub pronouns: Option<String>,
    pub birth_date: Option<String>,
    pub age: Option<u32>,
    pub minor: bool,
    pub phone: Option<String>,
    pub emergency_contact: Option<HeaderContact>,
    pub guardian: Option<HeaderContact>,
    pub voicemail: Permission,
    pub sms: Permission,
    /// Titles of consents that are asked for and not given.
    pub missing_consents: Vec<String>,
    /// Written for the desk; never text from the chart.
    pub office_alert: Option<String>,
    /// Only for a clinician who treats this client.
    pub clinical: Option<ClinicalHeader>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct HeaderContact {
    pub name: String,
    pub phone: Option<String>,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ClinicalHeader {
    pub allergies: Vec<String>,
    pub risk: Option<RiskLevel>,
    /// Local date the risk was judged on.
    pub risk_on: Option<String>,
    pub safety_plan: Option<String>,
}

/// An empty query lists by name.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SearchClients {
    pub query: String,
    /// 1 to 200.
    pub limit: u32,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ClientList {
    pub rows: Vec<ClientRow>,
    /// How many match in all.
    pub total: u32,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ClientRow {
    pub id: String,
    pub number: Option<String>,
    pub number_provisional: bool,
    pub display_name: String,
    pub legal_name: String,
    pub birth_date: Option<String>,
    pub age: Option<u32>,
    pub phone: Option<String>,
    pub therapist_names: Vec<String>,
    /// Local date and time, `YYYY-MM-DD HH:MM`.
    pub next_session: Option<String>,
    pub shared: bool,
}

/// The office details as they are edited; one member is one merge unit.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ClientDetails {
    pub name: ClientName,
    pub birth_date: Option<String>,
    pub pronouns: String,
    /// As typed.
    pub phone: String,
    pub other_phone: String,
    pub email: String,
    pub address: Address,
    pub voicemail: Permission,
    pub sms: Permission,
    pub office_alert: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ClientName {
    pub family: String,
    pub given: String,
    pub preferred: String,
    pub romanised: String,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct Address {
    pub line1: String,
    pub line2: String,
    pub city: String,
    pub region: String,
    pub postcode: String,
    pub country: String,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ClientRecord {
    pub id: String,
    pub header: ClientHeader,
    pub details: ClientDetails,
    pub related: Vec<RelatedPerson>,
    pub care: Vec<CareRelationship>,
    /// Newest first, future ones included.
    pub appointments: Vec<CalendarItem>,
    /// Members of `details` with an open conflict.
    pub conflicting: Vec<String>,
    /// The person signed in may open notes and prescriptions.
    pub may_read_clinical: bool,
    /// The person signed in may say who treats this client.
    pub may_grant_care: bool,
    pub shared: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    Guardian,
    Partner,
    EmergencyContact,
    Payer,
    Other,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct RelatedPerson {
    pub id: String,
    pub name: String,
    pub relation: Relation,
    pub phone: String,
    /// What they may be told, in the practice's words.
    pub may_be_told: String,
}

/// Without an id it is a new person.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SaveRelatedPerson {
    pub client_id: String,
    pub id: Option<String>,
    pub name: String,
    pub relation: Relation,
    pub phone: String,
    pub may_be_told: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum CareStatus {
    Active,
    Paused,
    Ended,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CareRelationship {
    pub id: String,
    pub therapist_id: String,
    pub therapist_name: String,
    pub status: CareStatus,
    /// Local date.
    pub since: Option<String>,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct GrantCare {
    pub client_id: String,
    pub therapist_id: String,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct EndCare {
    pub client_id: String,
    pub therapist_id: String,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct CreateClient {
    pub details: ClientDetails,
    /// Create although someone alike is already here.
    pub force: bool,
}

/// Created, or stopped to show who looks the same.
#[derive(Clone, Serialize, Type)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum CreateClientOutcome {
    Created {
        client: Box<ClientRecord>,
    },
    /// Nothing was created.
    LooksLike {
        duplicates: Vec<DuplicateHint>,
    },
}

/// What matched.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateReason {
    Name,
    BirthDate,
    Phone,
}

#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct DuplicateHint {
    pub client: ClientRow,
    pub reasons: Vec<DuplicateReason>,
}

/// Only the units that were changed; each is replaced whole.
#[derive(Clone, Default, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ClientPatch {
    pub name: Option<ClientName>,
    /// Empty text clears.
    pub birth_date: Option<String>,
    pub pronouns: Option<String>,
    pub phone: Option<String>,
    pub other_phone: Option<String>,
    pub email: Option<String>,
    pub address: Option<Address>,
    pub voicemail: Option<Permission>,
    pub sms: Option<Permission>,
    pub office_alert: Option<String>,
}

#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct UpdateClient {
    pub id: String,
    pub patch: ClientPatch,
}

/// Clinical header details, for a clinician who treats the client; what is absent stays.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SaveChart {
    pub client_id: String,
    pub allergies: Option<Vec<String>>,
    pub risk: Option<RiskLevel>,
    pub safety_plan: Option<String>,
}
