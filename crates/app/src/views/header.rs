//! What heads every view of a client. The office part comes from the office file; the clinical part is added for a clinician who treats her, and
//! that reading is logged before it is shown.

use std::collections::HashSet;

use caseload_domain::time::{age_in_years, date};
use caseload_domain::{ClientId, Document, EntityKey};
use caseload_store::{Entity, ReadTx, Store};
use serde_json::Value;

use super::office::Office;
use crate::conflicts::is_open;
use crate::dto::{ClientHeader, ClinicalHeader, HeaderContact, Permission, RiskLevel};
use crate::fault::Fault;
use crate::login::Login;

/// Below this age somebody else decides with them.
const ADULT: u32 = 18;

/// What to call a client: the preferred name, else the given one with the family name.
pub(crate) fn display_name(doc: &Document) -> String {
    match doc.text("name", "preferred").map(str::trim) {
        Some(preferred) if !preferred.is_empty() => {
            let family = doc.text("name", "family").unwrap_or_default();
            if preferred.contains(family.trim()) {
                preferred.to_owned()
            } else {
                in_order(family, preferred)
            }
        }
        _ => legal_name(doc),
    }
}

/// Family and given name, in the order of their script: a Korean name begins with the family and has no space.
pub(crate) fn legal_name(doc: &Document) -> String {
    let name = |member| doc.text("name", member).unwrap_or_default();
    in_order(name("family"), name("given"))
}

fn in_order(family: &str, given: &str) -> String {
    let (family, given) = (family.trim(), given.trim());
    let is_hangul = |text: &str| text.chars().all(|letter| ('가'..='힣').contains(&letter));
    match (family, given) {
        ("", only) | (only, "") => only.to_owned(),
        _ if is_hangul(family) && is_hangul(given) => format!("{family}{given}"),
        _ => format!("{given} {family}"),
    }
}

/// The office part of the header.
pub(crate) fn header(
    read: &ReadTx<'_>,
    office: &Office,
    entity: &Entity,
    published: bool,
) -> Result<ClientHeader, Fault> {
    let doc = &entity.doc;
    let text = |unit: &str, member: &str| {
        doc.text(unit, member)
            .filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
    };
    let birth_date = text("birth", "date");
    let age = birth_date
        .as_deref()
        .and_then(|born| age_in_years(date(born).ok()?, office.today()));
    let minor = age.is_some_and(|age| age < ADULT);
    let mut unsettled = read.conflicts_about(&entity.key)?;
    unsettled.retain(is_open);
    let related = read.related_persons(ClientId::new(entity.key.id.uuid()))?;
    let contact = |kind: &str| {
        related
            .iter()
            .find(|person| person.doc.text("relation", "kind") == Some(kind))
            .map(|person| HeaderContact {
                name: person.doc.text("name", "display").unwrap_or_default().to_owned(),
                phone: person
                    .doc
                    .text("phone", "raw")
                    .filter(|phone| !phone.is_empty())
                    .map(str::to_owned),
            })
    };
    Ok(ClientHeader {
        client_id: entity.key.id.to_string(),
        number: text("number", "value"),
        number_provisional: number_is_provisional(doc, published),
        display_name: display_name(doc),
        legal_name: legal_name(doc),
        pronouns: text("pronouns", "value"),
        birth_date,
        age,
        minor,
        phone: text("phone", "raw"),
        emergency_contact: contact("emergency_contact").or_else(|| contact("partner")),
        guardian: if minor { contact("guardian") } else { None },
        voicemail: permission_now(doc, &unsettled, "voicemail"),
        sms: permission_now(doc, &unsettled, "sms"),
        missing_consents: missing_consents(doc, &unsettled),
        office_alert: text("alert", "text"),
        clinical: None,
    })
}

pub(crate) fn number_is_provisional(doc: &Document, published: bool) -> bool {
    let confirmed = doc
        .unit("number")
        .and_then(|number| number.get("confirmed")?.as_bool())
        .unwrap_or_default();
    published && !confirmed
}

/// Consents that were asked for and not given: elements of `consents` without a giver, or with one answer of two that wait to be settled.
fn missing_consents(doc: &Document, unsettled: &[Entity]) -> Vec<String> {
    let held = doc.unit("consents").and_then(Value::as_object);
    let held = held.into_iter().flat_map(|consents| consents.values());
    let of_consents = |conflict: &&Entity| {
        let unit = conflict.doc.text("about", "unit").unwrap_or_default();
        unit.starts_with("consents/")
    };
    let others = unsettled.iter().filter(of_consents).filter_map(other_answer);
    let mut missing: Vec<String> = Vec::new();
    for consent in held.chain(others).filter(|consent| !is_given(consent)) {
        let title = consent.get("title").and_then(Value::as_str);
        missing.extend(title.map(str::to_owned));
    }
    let mut named = HashSet::new();
    missing.retain(|title| named.insert(title.clone()));
    missing
}

fn is_given(consent: &Value) -> bool {
    consent.get("given_at").is_some_and(|at| !at.is_null()) && consent.get("withdrawn_at").is_none_or(Value::is_null)
}

/// The value of a conflict that is not in force.
fn other_answer(conflict: &Entity) -> Option<&Value> {
    conflict.doc.unit("other")?.get("value")
}

/// What the client was noted to allow.
pub(crate) fn permission(doc: &Document, member: &str) -> Permission {
    permission_of(doc.text("contact_permission", member))
}

/// What the client is taken to allow: while two answers wait for a person to choose, of each the more cautious one, because a message that was left
/// cannot be taken back. What is stored stays the first one, whole.
fn permission_now(doc: &Document, unsettled: &[Entity], member: &str) -> Permission {
    let others = unsettled
        .iter()
        .filter(|conflict| conflict.doc.text("about", "unit") == Some("contact_permission"))
        .filter_map(other_answer)
        .map(|answer| permission_of(answer.get(member).and_then(Value::as_str)));
    others.fold(permission(doc, member), more_cautious)
}

fn permission_of(name: Option<&str>) -> Permission {
    match name {
        Some("allowed") => Permission::Allowed,
        Some("refused") => Permission::Refused,
        _ => Permission::NotAsked,
    }
}

const fn more_cautious(one: Permission, other: Permission) -> Permission {
    match (one, other) {
        (Permission::Refused, _) | (_, Permission::Refused) => Permission::Refused,
        (Permission::NotAsked, _) | (_, Permission::NotAsked) => Permission::NotAsked,
        (Permission::Allowed, Permission::Allowed) => Permission::Allowed,
    }
}

pub(crate) const fn permission_name(permission: Permission) -> &'static str {
    match permission {
        Permission::Allowed => "allowed",
        Permission::Refused => "refused",
        Permission::NotAsked => "not_asked",
    }
}

/// Adds the clinical part to the headers of clients whom this clinician treats.
pub(crate) fn add_clinical(
    login: &Login,
    now: caseload_domain::time::Millis,
    headers: &mut [ClientHeader],
) -> Result<(), Fault> {
    let Ok(clinical) = login.clinical() else { return Ok(()) };
    let treated = login.treated()?;
    let mine: Vec<ClientId> = headers
        .iter()
        .filter_map(|header| header.client_id.parse().ok())
        .filter(|client| treated.contains(client))
        .collect();
    if mine.is_empty() {
        return Ok(());
    }
    let charts: Vec<EntityKey> = mine.iter().map(|client| chart_key(*client)).collect();
    login.note_reading(now, "chart.view", &charts)?;
    for header in headers {
        let client = header
            .client_id
            .parse::<ClientId>()
            .ok()
            .filter(|client| mine.contains(client));
        if let Some(client) = client {
            header.clinical = Some(clinical_header(clinical, client)?);
        }
    }
    Ok(())
}

pub(crate) fn chart_key(client: ClientId) -> EntityKey {
    EntityKey::new("client_chart", client.entity())
}

fn clinical_header(clinical: &Store, client: ClientId) -> Result<ClinicalHeader, Fault> {
    let chart = clinical.read(|read| read.get(&chart_key(client)))?;
    let doc = chart.map(|chart| chart.doc).unwrap_or_default();
    Ok(ClinicalHeader {
        allergies: allergies(&doc),
        risk: doc.text("risk", "level").and_then(risk),
        risk_on: doc.text("risk", "assessed_on").map(str::to_owned),
        safety_plan: doc
            .text("safety_plan", "text")
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
    })
}

/// The substances in a chart, by name.
pub(crate) fn allergies(chart: &Document) -> Vec<String> {
    let elements = chart.unit("allergies").and_then(Value::as_object);
    let mut names: Vec<String> = elements
        .into_iter()
        .flat_map(|elements| elements.values())
        .filter_map(|allergy| allergy.get("substance")?.as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

pub(crate) fn risk(level: &str) -> Option<RiskLevel> {
    Some(match level {
        "none" => RiskLevel::None,
        "low" => RiskLevel::Low,
        "moderate" => RiskLevel::Moderate,
        "high" => RiskLevel::High,
        _ => return None,
    })
}

pub(crate) const fn risk_name(level: RiskLevel) -> &'static str {
    match level {
        RiskLevel::None => "none",
        RiskLevel::Low => "low",
        RiskLevel::Moderate => "moderate",
        RiskLevel::High => "high",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_is_shown_in_the_order_of_its_script() {
        for (name, shown) in [
            (json!({"family": "김", "given": "서연"}), "김서연"),
            (json!({"family": "Ellis", "given": "Hana"}), "Hana Ellis"),
            (
                json!({"family": "Ellis", "given": "Hana", "preferred": "Han"}),
                "Han Ellis",
            ),
            (
                json!({"family": "Ellis", "given": "Hana", "preferred": "H. Ellis"}),
                "H. Ellis",
            ),
            (json!({"family": "", "given": "Hana"}), "Hana"),
        ] {
            let doc: Document = serde_json::from_value(json!({"name": name})).unwrap();
            assert_eq!(display_name(&doc), shown);
        }
    }
}
