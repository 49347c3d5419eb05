//! A client's office details: between the units of the document and what is edited.

use caseload_domain::Document;
use serde_json::{Map, Value, json};

use crate::checks::Checks;
use crate::dto::{Address, ClientDetails, ClientName, ClientPatch, Permission};
use crate::phones::{NumberingPlan, e164};
use crate::views::header::{permission, permission_name};

/// The details as they are edited.
pub(crate) fn read(doc: &Document) -> ClientDetails {
    let text = |unit: &str, member: &str| doc.text(unit, member).unwrap_or_default().to_owned();
    let lines = doc
        .unit("address")
        .and_then(|address| address.get("lines"))
        .and_then(Value::as_array);
    let line = |position: usize| {
        lines
            .and_then(|lines| lines.get(position)?.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    ClientDetails {
        name: ClientName {
            family: text("name", "family"),
            given: text("name", "given"),
            preferred: text("name", "preferred"),
            romanised: text("name", "romanised"),
        },
        birth_date: doc
            .text("birth", "date")
            .filter(|date| !date.is_empty())
            .map(str::to_owned),
        pronouns: text("pronouns", "value"),
        phone: text("phone", "raw"),
        other_phone: text("other_phone", "raw"),
        email: text("email", "value"),
        address: Address {
            line1: line(0),
            line2: line(1),
            city: text("address", "city"),
            region: text("address", "region"),
            postcode: text("address", "postcode"),
            country: text("address", "country"),
        },
        voicemail: permission(doc, "voicemail"),
        sms: permission(doc, "sms"),
        office_alert: text("alert", "text"),
    }
}

/// Every detail as a change.
pub(crate) fn as_patch(details: &ClientDetails) -> ClientPatch {
    ClientPatch {
        name: Some(details.name.clone()),
        birth_date: Some(details.birth_date.clone().unwrap_or_default()),
        pronouns: Some(details.pronouns.clone()),
        phone: Some(details.phone.clone()),
        other_phone: Some(details.other_phone.clone()),
        email: Some(details.email.clone()),
        address: Some(details.address.clone()),
        voicemail: Some(details.voicemail),
        sms: Some(details.sms),
        office_alert: Some(details.office_alert.clone()),
    }
}

/// Checks the members that are given; `prefix` is where they are in the request.
pub(crate) fn check(patch: &ClientPatch, prefix: &str, today: chrono::NaiveDate) -> Checks {
    let mut check = Checks::default();
    let at = |member: &str| format!("{prefix}.{member}");
    if let Some(name) = &patch.name {
        if name.family.trim().is_empty() && name.given.trim().is_empty() {
            check.problem(&at("name.family"), crate::dto::FieldProblem::Required);
        }
        for (member, text) in [
            ("family", &name.family),
            ("given", &name.given),
            ("preferred", &name.preferred),
            ("romanised", &name.romanised),
        ] {
            check.short(&at(&format!("name.{member}")), text);
        }
    }
    if let Some(birth) = patch.birth_date.as_deref().filter(|birth| !birth.is_empty()) {
        let date = check.date(&at("birthDate"), birth);
        if date.is_some_and(|date| date > today) {
            check.problem(&at("birthDate"), crate::dto::FieldProblem::InTheFuture);
        }
    }
    let lines = [
        ("pronouns", &patch.pronouns),
        ("phone", &patch.phone),
        ("otherPhone", &patch.other_phone),
        ("email", &patch.email),
    ];
    for (member, text) in lines {
        check.short(&at(member), text.as_deref().unwrap_or_default());
    }
    if let Some(email) = patch.email.as_deref().map(str::trim).filter(|email| !email.is_empty()) {
        let (name, host) = email.split_once('@').unwrap_or_default();
        if name.is_empty() || host.is_empty() || email.contains(char::is_whitespace) {
            check.problem(&at("email"), crate::dto::FieldProblem::Malformed);
        }
    }
    if let Some(address) = &patch.address {
        let members = [
            ("line1", &address.line1),
            ("line2", &address.line2),
            ("city", &address.city),
            ("region", &address.region),
            ("postcode", &address.postcode),
            ("country", &address.country),
        ];
        for (member, text) in members {
            check.short(&at(&format!("address.{member}")), text);
        }
    }
    check
}

/// The units that a change replaces, laid over what is there, so that members which this program does not know survive.
pub(crate) fn units(patch: &ClientPatch, present: &Document, plan: Option<NumberingPlan>) -> Map<String, Value> {
    let mut units = Map::new();
    let mut put = |unit: &str, value: Value| {
        let merged = caseload_domain::document::overlay(present.unit(unit), value);
        units.insert(unit.to_owned(), merged);
    };
    if let Some(name) = &patch.name {
        put("name", name_unit(name));
    }
    if let Some(birth) = &patch.birth_date {
        put("birth", json!({"date": birth}));
    }
    for (unit, text) in [("pronouns", &patch.pronouns), ("email", &patch.email)] {
        if let Some(text) = text {
            put(unit, json!({"value": text.trim()}));
        }
    }
    for (unit, typed) in [("phone", &patch.phone), ("other_phone", &patch.other_phone)] {
        if let Some(typed) = typed {
            put(unit, phone_unit(typed, plan));
        }
    }
    if let Some(address) = &patch.address {
        put("address", address_unit(address));
    }
    if patch.voicemail.is_some() || patch.sms.is_some() {
        let value =
            |given: Option<Permission>, member| permission_name(given.unwrap_or_else(|| permission(present, member)));
        put(
            "contact_permission",
            json!({"voicemail": value(patch.voicemail, "voicemail"), "sms": value(patch.sms, "sms")}),
        );
    }
    if let Some(alert) = &patch.office_alert {
        put("alert", json!({"text": alert.trim()}));
    }
    units
}

fn name_unit(name: &ClientName) -> Value {
    json!({
        "family": name.family.trim(), "given": name.given.trim(),
        "preferred": name.preferred.trim(), "romanised": name.romanised.trim(),
    })
}

/// A number as typed, with its E.164 form where that can be told.
pub(crate) fn phone_unit(typed: &str, plan: Option<NumberingPlan>) -> Value {
    json!({"raw": typed.trim(), "e164": e164(typed, plan)})
}

fn address_unit(address: &Address) -> Value {
    let lines: Vec<&str> = [address.line1.trim(), address.line2.trim()].to_vec();
    json!({
        "lines": lines, "city": address.city.trim(), "region": address.region.trim(),
        "postcode": address.postcode.trim(), "country": address.country.trim(),
    })
}

/// Units without anything in them are not written at creation: nobody has said anything about them.
pub(crate) fn without_blanks(units: Map<String, Value>) -> Map<String, Value> {
    units.into_iter().filter(|(_, value)| !is_blank(value)).collect()
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty() || text == "not_asked",
        Value::Array(items) => items.iter().all(is_blank),
        Value::Object(members) => members.values().all(is_blank),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The member of the details that shows a unit, as the window names it.
pub(crate) fn member_of(unit: &str) -> &str {
    match unit {
        "birth" => "birthDate",
        "other_phone" => "otherPhone",
        "contact_permission" => "voicemail",
        "alert" => "officeAlert",
        other => other,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::phones::plan_of_zone;

    #[test]
    fn details_that_are_written_and_read_again_are_the_same() {
        let mut details = read(&Document::default());
        details.name.family = "김".to_owned();
        details.phone = "010-1234-5678".to_owned();
        details.address.line2 = "3층".to_owned();
        details.voicemail = Permission::Allowed;
        let units = units(&as_patch(&details), &Document::default(), plan_of_zone("Asia/Seoul"));
        assert_eq!(units["phone"]["e164"], "+821012345678");
        let again = read(&Document::new(without_blanks(units)));
        assert!(again == details);
    }

    #[test]
    fn a_change_names_only_its_units_and_keeps_members_of_a_newer_program() {
        let present: Document = serde_json::from_value(json!({
            "phone": {"raw": "1", "future": [1]}, "contact_permission": {"sms": "refused"},
        }))
        .unwrap();
        let patch = ClientPatch {
            phone: Some("2".to_owned()),
            voicemail: Some(Permission::Allowed),
            ..ClientPatch::default()
        };
        let units = units(&patch, &present, None);
        assert_eq!(units.keys().collect::<Vec<_>>(), ["contact_permission", "phone"]);
        assert_eq!(units["phone"]["future"], json!([1]));
        assert_eq!(
            units["contact_permission"],
            json!({"voicemail": "allowed", "sms": "refused"})
        );
    }
}
