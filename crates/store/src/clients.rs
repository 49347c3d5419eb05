//! Clients: finding them while somebody types, and who belongs to them. Office file only.

use caseload_domain::search::{digits, fold, initial_consonants, person_key};
use caseload_domain::{ClientId, Document, UserId};
use caseload_protocol::decide::parse_client_number;
use rusqlite::{Connection, params};

use crate::error::StorageError;
use crate::read::ReadTx;
use crate::rows::Entity;

/// What a search for clients found.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct ClientHits {
    /// The first ones by name.
    pub rows: Vec<Entity>,
    /// How many there are in all.
    pub total: usize,
}

/// Follows a change of a client in the table that is searched.
pub(crate) fn index(
    connection: &Connection,
    row: i64,
    before: Option<&Document>,
    after: Option<&Document>,
) -> Result<(), StorageError> {
    let Some(document) = after else {
        if before.is_some() {
            connection
                .prepare_cached("DELETE FROM client_search WHERE row = ?1")?
                .execute([row])?;
        }
        return Ok(());
    };
    let same = |unit| before.is_some_and(|before| before.unit(unit) == document.unit(unit));
    if ["name", "phone", "other_phone", "number"].into_iter().all(same) {
        return Ok(());
    }
    let key = SearchKey::of(document);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO client_search (row, key, digits, sort, number) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![row, key.names, key.digits, key.sort, key.number])?;
    Ok(())
}

struct SearchKey {
    names: String,
    digits: String,
    sort: String,
    number: Option<i64>,
}

impl SearchKey {
    fn of(document: &Document) -> Self {
        let name = |member| document.text("name", member).unwrap_or_default();
        let number = document.text("number", "value").unwrap_or_default();
        let mut others = vec![name("preferred"), name("romanised"), name("legal"), number];
        let former = document
            .unit("number")
            .and_then(|unit| unit.get("former"))
            .and_then(|former| former.as_array());
        others.extend(former.into_iter().flatten().filter_map(|number| number.as_str()));
        let phones = ["phone", "other_phone"]
            .into_iter()
            .filter_map(|unit| document.unit(unit)?.as_object())
            .flat_map(|members| members.values())
            .filter_map(|text| text.as_str());
        Self {
            names: person_key(name("family"), name("given"), &others),
            digits: phones
                .map(digits)
                .filter(|digits| !digits.is_empty())
                .collect::<Vec<_>>()
                .join("\n"),
            sort: fold(&format!("{} {}", name("family"), name("given"))),
            number: parse_client_number(number),
        }
    }
}

/// What was typed, in the forms that are compared.
struct Query {
    /// Folded; all have to be found.
    words: Vec<Word>,
    /// Set when a telephone number may have been typed.
    digits: Option<String>,
}

enum Word {
    Text(String),
    /// Initial consonants, alone or after whole syllables; the second form tells which syllables were whole.
    Initials(String, String),
}

impl Query {
    fn of(typed: &str) -> Self {
        let folded = fold(typed);
        let looks_like_a_number = folded
            .chars()
            .all(|letter| letter.is_ascii_digit() || " +-()./".contains(letter));
        let digits = digits(&folded);
        let words = folded.split(' ').filter(|word| !word.is_empty()).map(|word| {
            let initials = initial_consonants(word);
            let has_letters = word.chars().any(|letter| ('ㄱ'..='ㅎ').contains(&letter));
            if has_letters && initials.chars().count() == word.chars().count() {
                Word::Initials(initials, word.to_owned())
            } else {
                Word::Text(word.to_owned())
            }
        });
        Self {
            words: words.collect(),
            digits: (looks_like_a_number && digits.len() >= 3).then_some(digits),
        }
    }

    fn matches(&self, key: &str, digits: &str) -> bool {
        let by_number = self
            .digits
            .as_ref()
            .is_some_and(|typed| digits.contains(typed.as_str()));
        by_number
            || self.words.iter().all(|word| match word {
                Word::Text(text) => key.contains(text.as_str()),
                Word::Initials(initials, typed) => key.contains(initials.as_str()) && half_typed(key, typed),
            })
    }
}

/// Whether `key` contains `typed`, of which single consonants stand for any syllable that begins with them.
fn half_typed(key: &str, typed: &str) -> bool {
    let typed: Vec<char> = typed.chars().collect();
    let key: Vec<char> = key.chars().collect();
    key.windows(typed.len()).any(|window| {
        window
            .iter()
            .zip(&typed)
            .all(|(letter, typed)| letter == typed || initial_consonants(&letter.to_string()).starts_with(*typed))
    })
}

impl ReadTx<'_> {
    /// Clients by what is typed: parts of names in either order and any script, initial consonants, a client number (former ones as well), or
    /// at least three digits of a telephone number. Nothing typed lists everyone. By name.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn search_clients(&self, typed: &str, limit: usize) -> Result<ClientHits, StorageError> {
        let query = Query::of(typed);
        let mut statement = self
            .connection()
            .prepare_cached("SELECT row, key, digits FROM client_search ORDER BY sort, row")?;
        let mut rows = statement.query([])?;
        let mut hits = ClientHits::default();
        let mut found: Vec<i64> = Vec::new();
        while let Some(row) = rows.next()? {
            let key = row.get_ref(1)?.as_str().unwrap_or_default();
            if query.matches(key, row.get_ref(2)?.as_str().unwrap_or_default()) {
                hits.total += 1;
                if found.len() < limit {
                    found.push(row.get(0)?);
                }
            }
        }
        for row in found {
            hits.rows.extend(self.entities("WHERE doc.row = ?1", &[&row])?);
        }
        Ok(hits)
    }

    /// The number after the highest client number known here: a proposal, which the service confirms or changes.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn next_client_number(&self) -> Result<i64, StorageError> {
        let mut statement = self
            .connection()
            .prepare_cached("SELECT coalesce(max(number), 0) + 1 FROM client_search")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// The people around a client.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn related_persons(&self, client: ClientId) -> Result<Vec<Entity>, StorageError> {
        self.of_client("related_person", client)
    }

    /// Who treats or treated a client.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn care_of_client(&self, client: ClientId) -> Result<Vec<Entity>, StorageError> {
        self.of_client("care_relationship", client)
    }

    /// Whom a therapist treats or treated.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn care_of_therapist(&self, therapist: UserId) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.therapist = ?1 AND doc.type = 'care_relationship' AND NOT doc.deleted ORDER BY doc.row",
            &[&therapist.to_string()],
        )
    }

    /// Active clients whom nobody treats, by name.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn clients_without_care(&self) -> Result<Vec<Entity>, StorageError> {
        let mut cared: std::collections::HashSet<String> = std::collections::HashSet::new();
        let mut statement = self.connection().prepare_cached(
            "SELECT client FROM doc
             WHERE type = 'care_relationship' AND client IS NOT NULL AND status <> 'ended' AND NOT deleted",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            cared.insert(row.get(0)?);
        }
        let clients = self.entities(
            "JOIN client_search ON client_search.row = doc.row WHERE doc.status = 'active' ORDER BY client_search.sort, doc.row",
            &[],
        )?;
        Ok(clients
            .into_iter()
            .filter(|client| !cared.contains(&client.key.id.to_string()))
            .collect())
    }

    pub(crate) fn of_client(&self, kind: &str, client: ClientId) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.client = ?1 AND doc.type = ?2 AND NOT doc.deleted ORDER BY doc.row",
            &[&client.to_string(), &kind],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn finds(typed: &str, document: &serde_json::Value) -> bool {
        let document: Document = serde_json::from_value(document.clone()).expect("object");
        let key = SearchKey::of(&document);
        Query::of(typed).matches(&key.names, &key.digits)
    }

    #[test]
    fn a_client_is_found_by_name_in_any_form_by_telephone_and_by_number() {
        let korean = json!({
            "name": {"family": "김", "given": "서연", "romanised": "Kim Seo-yeon"},
            "phone": {"raw": "010-1234-5678", "e164": "+821012345678"},
            "other_phone": {"raw": "02-765-4321"},
            "number": {"value": "C-0042", "former": ["C-0007"]},
        });
        let english = json!({"name": {"family": "Müller", "given": "Élodie"}, "phone": {"raw": "(555) 010 9999"}});
        for (typed, who, expected) in [
            ("김서연", &korean, true),
            ("서연", &korean, true),
            ("ㄱㅅㅇ", &korean, true),
            ("김서ㅇ", &korean, true),
            ("김ㅅㅇ", &korean, true),
            ("김지ㅇ", &korean, false),
            ("박ㅅㅇ", &korean, false),
            ("seo-yeon kim", &korean, true),
            ("5678", &korean, true),
            ("010 1234", &korean, true),
            ("4321", &korean, true),
            ("c-0042", &korean, true),
            ("C-0007", &korean, true),
            ("0008", &korean, false),
            ("muller", &english, true),
            ("Elodie MUL", &english, true),
            ("9999", &english, true),
            ("99", &english, false),
            ("kim", &english, false),
            ("", &english, true),
        ] {
            assert_eq!(finds(typed, who), expected, "{typed}");
        }
    }
}
