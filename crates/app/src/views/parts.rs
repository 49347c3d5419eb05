//! What a row says to a person, part by part, so that two versions of it can be laid side by side. Ids, hashes and signatures are left out;
//! a member of a closed list is given by its code, for which the window has the words.

use caseload_domain::time::{self, Millis};
use caseload_domain::{ClientId, Document};
use caseload_store::ReadTx;
use serde_json::Value;

use super::header::{display_name, legal_name};
use super::office::{Office, client, wall_in};
use crate::conflicts::schedule;
use crate::fault::Fault;
use crate::notes::section_names;

/// One part of a row: the name by which the window knows it, and its text; several lines for several members.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Where the text of a part is in the document.
enum Source {
    Member(&'static str, &'static str),
    /// One member of every element of a set.
    Elements(&'static str, &'static str),
    Person(&'static str, &'static str),
    ClientName,
    Address,
    When,
    Occasion,
    Participants,
    /// As many parts as the note has sections.
    Sections,
    Order,
}

use Source::{Elements, Member, Person};

/// The parts of each kind of record, in the order in which they are read.
fn sources(kind: &str) -> &'static [(&'static str, Source)] {
    match kind {
        "client" => &[
            ("name", Source::ClientName),
            ("number", Member("number", "value")),
            ("birthDate", Member("birth", "date")),
            ("pronouns", Member("pronouns", "value")),
            ("phone", Member("phone", "raw")),
            ("otherPhone", Member("other_phone", "raw")),
            ("email", Member("email", "value")),
            ("address", Source::Address),
            ("voicemail", Member("contact_permission", "voicemail")),
            ("sms", Member("contact_permission", "sms")),
            ("officeAlert", Member("alert", "text")),
        ],
        "related_person" => &[
            ("name", Member("name", "display")),
            ("relation", Member("relation", "kind")),
            ("phone", Member("phone", "raw")),
            ("mayBeTold", Member("relation", "may_be_told")),
        ],
        "care_relationship" => &[
            ("therapist", Person("parties", "therapist")),
            ("care", Member("status", "state")),
        ],
        "appointment" => &[
            ("schedule", Source::When),
            ("clients", Source::Participants),
            ("status", Member("status", "state")),
            ("modality", Member("service", "modality")),
        ],
        "client_chart" => &[
            ("allergies", Elements("allergies", "substance")),
            ("risk", Member("risk", "level")),
            ("safetyPlan", Member("safety_plan", "text")),
            ("history", Member("history", "text")),
        ],
        "session_note" => &[
            ("schedule", Source::Occasion),
            ("author", Person("subject", "author")),
            ("noteState", Member("state", "state")),
            ("template", Member("template", "kind")),
            ("", Source::Sections),
        ],
        "addendum" => &[
            ("author", Person("subject", "author")),
            ("text", Member("body", "text")),
        ],
        "prescription" => &[
            ("number", Member("number", "value")),
            ("author", Person("subject", "author")),
            ("prescriptionState", Member("state", "state")),
            ("lines", Source::Order),
            ("diagnosis", Member("diagnosis", "text")),
            ("instructions", Member("instructions", "text")),
        ],
        "document" | "clinical_document" => &[("title", Member("title", "text"))],
        "practice" => &[("name", Member("name", "display")), ("zone", Member("zone", "tz"))],
        "location" => &[
            ("name", Member("name", "display")),
            ("rooms", Elements("rooms", "name")),
            ("zone", Member("zone", "tz")),
        ],
        "staff_member" => &[
            ("name", Member("name", "display")),
            ("role", Member("role", "role")),
            ("licence", Member("professional", "licence")),
        ],
        "device" => &[("name", Member("name", "display"))],
        "certificate" => &[("name", Person("holder", "user"))],
        _ => &[],
    }
}

/// The parts of a row that say something.
pub(crate) fn parts(read: &ReadTx<'_>, office: &Office, kind: &str, doc: &Document) -> Result<Vec<Part>, Fault> {
    let mut all = Vec::new();
    for (name, source) in sources(kind) {
        if matches!(source, Source::Sections) {
            all.extend(sections(doc));
            continue;
        }
        all.push(Part {
            name: (*name).to_owned(),
            text: text(read, office, doc, source)?,
        });
    }
    all.retain(|part| !part.text.trim().is_empty());
    Ok(all)
}

fn text(read: &ReadTx<'_>, office: &Office, doc: &Document, source: &Source) -> Result<String, Fault> {
    let member = |unit: &str, member: &str| doc.text(unit, member).unwrap_or_default().to_owned();
    Ok(match *source {
        Member(unit, name) => member(unit, name),
        Elements(unit, name) => elements(doc, unit, name),
        Person(unit, name) => office.staff_name(&member(unit, name)),
        Source::ClientName => client_name(doc),
        Source::Address => address(doc),
        Source::When => match doc.unit("when") {
            Some(Value::Object(when)) => schedule(office, when),
            _ => String::new(),
        },
        Source::Occasion => occasion(office, doc),
        Source::Participants => participants(read, doc)?,
        Source::Sections => String::new(),
        Source::Order => order(doc),
    })
}

fn elements(doc: &Document, unit: &str, member: &str) -> String {
    let all = doc.unit(unit).and_then(Value::as_object);
    let mut texts: Vec<&str> = all
        .into_iter()
        .flat_map(|all| all.values())
        .filter_map(|element| element.get(member)?.as_str())
        .collect();
    texts.sort_unstable();
    texts.join("\n")
}

/// What a client is called and, where that differs, the name in law.
fn client_name(doc: &Document) -> String {
    let (called, legal) = (display_name(doc), legal_name(doc));
    if called == legal {
        called
    } else {
        format!("{called}\n{legal}")
    }
}

fn address(doc: &Document) -> String {
    let lines = doc
        .unit("address")
        .and_then(|address| address.get("lines"))
        .and_then(Value::as_array);
    let others = ["city", "region", "postcode", "country"].map(|member| doc.text("address", member));
    lines
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .chain(others.into_iter().flatten())
        .filter(|line| !line.trim().is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn occasion(office: &Office, doc: &Document) -> String {
    let zone = doc.text("occasion", "zone").and_then(|zone| time::zone(zone).ok());
    let start = doc.integer("occasion", "start").map(Millis);
    start.map_or_else(String::new, |start| {
        wall_in(start, zone.unwrap_or(office.zone))
            .format("%Y-%m-%d %H:%M")
            .to_string()
    })
}

fn participants(read: &ReadTx<'_>, doc: &Document) -> Result<String, Fault> {
    let mut names = Vec::new();
    for id in super::item::client_ids(doc) {
        names.extend(name_of(read, id)?);
    }
    names.sort_unstable();
    Ok(names.join("\n"))
}

fn name_of(read: &ReadTx<'_>, id: ClientId) -> Result<Option<String>, Fault> {
    Ok(client(read, id)?.map(|found| display_name(&found.doc)))
}

/// The sections in the order of the template; those of a newer program come last.
fn sections(doc: &Document) -> Vec<Part> {
    let Some(Value::Object(written)) = doc.unit("body").and_then(|body| body.get("sections")) else {
        return Vec::new();
    };
    let order = section_names(doc.text("template", "kind").unwrap_or_default());
    let mut parts: Vec<Part> = written
        .iter()
        .map(|(name, text)| Part {
            name: name.clone(),
            text: text.as_str().unwrap_or_default().to_owned(),
        })
        .collect();
    let place = |part: &Part| order.iter().position(|name| *name == part.name).unwrap_or(order.len());
    parts.sort_by_key(place);
    parts
}

/// One line for each medicine, as it is read aloud.
fn order(doc: &Document) -> String {
    let members = [
        "drug",
        "strength",
        "form",
        "dose",
        "route",
        "frequency",
        "duration",
        "quantity",
    ];
    let lines = doc
        .unit("order")
        .and_then(|order| order.get("lines"))
        .and_then(Value::as_array);
    let line = |line: &Value| {
        let said = members.map(|member| line.get(member).and_then(Value::as_str).unwrap_or_default().trim());
        said.into_iter()
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    };
    lines.into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use caseload_domain::registry;
    use serde_json::json;

    fn document(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_part_names_a_unit_that_its_record_has() {
        for entity in registry::all() {
            for (name, source) in sources(entity.kind) {
                let unit = match *source {
                    Member(unit, _) | Elements(unit, _) | Person(unit, _) => unit,
                    Source::ClientName => "name",
                    Source::Address => "address",
                    Source::When => "when",
                    Source::Occasion => "occasion",
                    Source::Participants => "participants",
                    Source::Sections => "body",
                    Source::Order => "order",
                };
                assert!(
                    entity.units.iter().any(|known| known.name == unit),
                    "{} of {} reads {unit}",
                    name,
                    entity.kind
                );
            }
        }
    }

    #[test]
    fn the_sections_of_a_note_come_in_the_order_of_its_template() {
        let note = document(json!({
            "template": {"kind": "soap"},
            "body": {"sections": {"plan": "p", "future": "f", "assessment": "a", "subjective": "s"}},
        }));
        let names: Vec<String> = sections(&note).into_iter().map(|part| part.name).collect();
        assert_eq!(names, ["subjective", "assessment", "plan", "future"]);
    }

    #[test]
    fn an_order_is_one_line_for_each_medicine_and_an_address_one_for_each_of_its_lines() {
        let row = document(json!({
            "order": {"lines": [{"drug": "Sertraline", "strength": "50 mg", "dose": "1", "route": " "}]},
            "address": {"lines": ["Mill Road 3", ""], "postcode": "LS1", "city": "Leeds", "country": ""},
        }));
        assert_eq!(order(&row), "Sertraline, 50 mg, 1");
        assert_eq!(address(&row), "Mill Road 3\nLeeds\nLS1");
    }
}
