//! Who looks the same: hints while a client is created, never a decision.

use caseload_domain::Document;
use caseload_domain::search::fold;

use crate::dto::{ClientPatch, DuplicateReason};
use crate::phones::{NumberingPlan, e164};

/// What is compared.
pub(crate) struct Likeness {
    names: Vec<String>,
    parts: Vec<String>,
    birth: String,
    phones: Vec<String>,
}

impl Likeness {
    /// Of the person about to be created.
    pub(crate) fn of_new(patch: &ClientPatch, plan: Option<NumberingPlan>) -> Self {
        let name = patch.name.as_ref();
        let (family, given, romanised) = name.map_or(("", "", ""), |name| {
            (name.family.as_str(), name.given.as_str(), name.romanised.as_str())
        });
        let typed = [patch.phone.as_deref(), patch.other_phone.as_deref()];
        Self {
            names: names(family, given, &[romanised]),
            parts: parts(family, given),
            birth: patch.birth_date.clone().unwrap_or_default(),
            phones: typed
                .into_iter()
                .flatten()
                .filter_map(|typed| e164(typed, plan))
                .collect(),
        }
    }

    fn of_known(doc: &Document) -> Self {
        let text = |unit, member| doc.text(unit, member).unwrap_or_default();
        let phones = ["phone", "other_phone"]
            .into_iter()
            .filter_map(|unit| doc.text(unit, "e164").map(str::to_owned));
        Self {
            names: names(
                text("name", "family"),
                text("name", "given"),
                &[text("name", "romanised")],
            ),
            parts: parts(text("name", "family"), text("name", "given")),
            birth: text("birth", "date").to_owned(),
            phones: phones.collect(),
        }
    }

    /// Why `doc` may be the same person; empty when it does not look so. The same birthday alone says little: it counts with a part of the name.
    pub(crate) fn reasons(&self, doc: &Document) -> Vec<DuplicateReason> {
        let other = Self::of_known(doc);
        let name = self.names.iter().any(|name| other.names.contains(name));
        let birth = !self.birth.is_empty() && self.birth == other.birth;
        let part = self.parts.iter().any(|part| other.parts.contains(part));
        let phone = self.phones.iter().any(|phone| other.phones.contains(phone));
        let alike = name || phone || (birth && part);
        if !alike {
            return Vec::new();
        }
        let found = [
            (name, DuplicateReason::Name),
            (birth, DuplicateReason::BirthDate),
            (phone, DuplicateReason::Phone),
        ];
        found
            .into_iter()
            .filter(|(holds, _)| *holds)
            .map(|(_, reason)| reason)
            .collect()
    }
}

/// The whole name in either order and in Latin letters, folded, without spaces and hyphens.
fn names(family: &str, given: &str, others: &[&str]) -> Vec<String> {
    let whole = [format!("{family}{given}"), format!("{given}{family}")];
    let all = whole.iter().map(String::as_str).chain(others.iter().copied());
    let tight = |text: &str| fold(text).replace([' ', '-', '\'', '.'], "");
    all.map(tight).filter(|name| !name.is_empty()).collect()
}

fn parts(family: &str, given: &str) -> Vec<String> {
    [family, given]
        .into_iter()
        .map(fold)
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::dto::ClientName;
    use serde_json::json;

    fn reasons(family: &str, given: &str, birth: &str, phone: &str) -> Vec<DuplicateReason> {
        let known: Document = serde_json::from_value(json!({
            "name": {"family": "김", "given": "서연", "romanised": "Kim Seo-yeon"},
            "birth": {"date": "1990-02-03"}, "phone": {"raw": "x", "e164": "+821012345678"},
        }))
        .unwrap();
        let name = ClientName {
            family: family.to_owned(),
            given: given.to_owned(),
            preferred: String::new(),
            romanised: String::new(),
        };
        let patch = ClientPatch {
            name: Some(name),
            birth_date: Some(birth.to_owned()),
            phone: Some(phone.to_owned()),
            ..ClientPatch::default()
        };
        Likeness::of_new(&patch, crate::phones::plan_of_zone("Asia/Seoul")).reasons(&known)
    }

    #[test]
    fn the_same_name_in_any_order_or_script_or_the_same_telephone_is_hinted() {
        use DuplicateReason::{BirthDate, Name, Phone};
        assert_eq!(reasons("김", "서연", "", ""), [Name]);
        assert_eq!(reasons("서연", "김", "1990-02-03", ""), [Name, BirthDate]);
        assert_eq!(reasons("Kim", "Seo Yeon", "", ""), [Name]);
        assert_eq!(reasons("이", "지우", "", "+82 10 1234 5678"), [Phone]);
        assert_eq!(reasons("김", "지우", "1990-02-03", ""), [BirthDate]);
    }

    #[test]
    fn a_birthday_or_a_family_name_alone_is_no_hint() {
        assert!(reasons("이", "지우", "1990-02-03", "").is_empty());
        assert!(reasons("김", "지우", "", "010-9999-0000").is_empty());
    }
}
