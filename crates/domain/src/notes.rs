//! Session notes and prescriptions that are signed: the bytes that a signature covers.
//!
//! Signing freezes the canonical form of a fixed selection of units. The selection is stated here and nowhere else, so that the device that
//! signs, the service and `caseload verify` hash the same bytes for ever.

use serde_json::{Map, Value};

use crate::canonical::{self, CanonicalError};
use crate::document::Document;
use crate::ids::EntityKey;

/// The form of the signed bytes. Raised when the selection of units changes; old signatures keep their number.
pub const SIGNED_FORM: i64 = 1;

/// The units of each signed type that the signature covers. The signature unit itself contributes everything but the signature value.
#[must_use]
pub fn signed_units(kind: &str) -> &'static [&'static str] {
    match kind {
        "session_note" => &["body", "salt", "subject", "template"],
        "addendum" => &["body", "salt", "subject"],
        "prescription" => &["diagnosis", "instructions", "number", "order", "salt", "subject"],
        _ => &[],
    }
}

/// The bytes that are signed: `{"content":{unit:value},"form":1,"id":..,"statement":{..},"type":..}` in canonical form, where `statement` is
/// the signature unit (author, licence, session time and zone, signed-at, device) without its members `value` and `hash`.
///
/// # Errors
/// As [`canonical::to_bytes`].
pub fn signing_bytes(key: &EntityKey, document: &Document, signature_unit: &Value) -> Result<Vec<u8>, CanonicalError> {
    let content: Map<String, Value> = signed_units(key.kind.as_str())
        .iter()
        .filter_map(|unit| document.unit(unit).map(|value| ((*unit).to_owned(), value.clone())))
        .collect();
    let mut statement = signature_unit.as_object().cloned().unwrap_or_default();
    statement.remove("value");
    statement.remove("hash");
    let mut whole = Map::new();
    whole.insert("content".to_owned(), Value::Object(content));
    whole.insert("form".to_owned(), Value::from(SIGNED_FORM));
    whole.insert("id".to_owned(), Value::from(key.id.to_string()));
    whole.insert("statement".to_owned(), Value::Object(statement));
    whole.insert("type".to_owned(), Value::from(key.kind.as_str()));
    canonical::object_to_bytes(&whole)
}

/// The section names of each note template, in the order in which they are written.
#[must_use]
pub fn template_sections(template: &str) -> Option<&'static [&'static str]> {
    Some(match template {
        "soap" => &["subjective", "objective", "assessment", "plan"],
        "dap" => &["data", "assessment", "plan"],
        "birp" => &["behaviour", "intervention", "response", "plan"],
        "girp" => &["goal", "intervention", "response", "plan"],
        "intake" => &["presenting", "history", "mental_status", "risk", "formulation", "plan"],
        "free" => &["text"],
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::ids::EntityId;
    use serde_json::json;

    #[test]
    fn the_signed_bytes_are_frozen_because_every_signed_note_depends_on_them() {
        let key = EntityKey::new("session_note", EntityId::new(uuid::Uuid::nil()));
        let document: Document = serde_json::from_value(json!({
            "salt": "00", "subject": {"client": "c"}, "template": {"kind": "soap"},
            "body": {"sections": {"plan": "rest"}}, "state": {"state": "draft"}, "unknown": 1,
        }))
        .unwrap();
        let unit = json!({"author": "a", "signed_at": 5, "value": "sig", "hash": "h"});
        let bytes = String::from_utf8(signing_bytes(&key, &document, &unit).unwrap()).unwrap();
        assert_eq!(
            bytes,
            "{\"content\":{\"body\":{\"sections\":{\"plan\":\"rest\"}},\"salt\":\"00\",\"subject\":{\"client\":\"c\"},\
             \"template\":{\"kind\":\"soap\"}},\"form\":1,\"id\":\"00000000-0000-0000-0000-000000000000\",\
             \"statement\":{\"author\":\"a\",\"signed_at\":5},\"type\":\"session_note\"}"
        );
    }
}
