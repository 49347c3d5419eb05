//! Notes, addenda, sessions and prescriptions, and the full-text search over notes. Clinical file only.
//!
//! The index holds no copy of the text: an entry is taken out by giving it the very text that was put in. The form of that text is therefore
//! numbered, and another number makes the index anew.

use caseload_domain::search::{fold, hangul_bigrams};
use caseload_domain::{ClientId, Document, EntityId, EntityKey, EntityKind, UserId};
use rusqlite::{Connection, params};
use serde_json::Value;

use crate::error::StorageError;
use crate::identity::FileKind;
use crate::read::ReadTx;
use crate::rows::{self, Entity};
use crate::state::{self, Name};

/// The form of the indexed text. Raised whenever [`searched_text`] gives another text for the same document.
pub(crate) const SEARCH_FORM: i64 = 1;

/// Words of a query beyond these are ignored.
const MOST_WORDS: usize = 8;
/// Words shown before and after the one that was found.
const SNIPPET_WORDS: usize = 8;

/// A note that contains what was searched for.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteHit {
    /// The note, or the note that the addendum belongs to.
    pub note: EntityKey,
    /// The client.
    pub client: ClientId,
    /// The words around the first place. Clinical: for the screen alone.
    pub snippet: String,
}

impl std::fmt::Debug for NoteHit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NoteHit")
            .field("note", &self.note)
            .finish_non_exhaustive()
    }
}

/// Whether documents of this type are found by their text.
pub(crate) fn is_searched(kind: &EntityKind) -> bool {
    matches!(kind.as_str(), "session_note" | "addendum")
}

/// Follows a change of a note in the index.
pub(crate) fn index(
    connection: &Connection,
    row: i64,
    kind: &EntityKind,
    before: Option<&Document>,
    after: Option<&Document>,
) -> Result<(), StorageError> {
    let text = |document: Option<&Document>| {
        document
            .map(|document| searched_text(kind, document))
            .filter(|text| !text.is_empty())
    };
    let (before, after) = (text(before), text(after));
    if before == after {
        return Ok(());
    }
    if let Some(text) = before {
        connection
            .prepare_cached("INSERT INTO note_search (note_search, rowid, body, grams) VALUES ('delete', ?1, ?2, ?3)")?
            .execute(params![row, text, grams(&text)])?;
    }
    if let Some(text) = after {
        connection
            .prepare_cached("INSERT INTO note_search (rowid, body, grams) VALUES (?1, ?2, ?3)")?
            .execute(params![row, text, grams(&text)])?;
    }
    Ok(())
}

/// Makes the index anew when its form is another one. Says whether it did.
pub(crate) fn bring_search_up_to_date(connection: &mut Connection, file: FileKind) -> Result<bool, StorageError> {
    if file == FileKind::Office || state::get::<i64>(connection, Name::SearchForm)? == Some(SEARCH_FORM) {
        return Ok(false);
    }
    let transaction = connection.transaction()?;
    transaction.execute("INSERT INTO note_search (note_search) VALUES ('delete-all')", [])?;
    {
        let mut statement = transaction.prepare("SELECT row, type, doc FROM doc WHERE NOT deleted")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let kind = EntityKind::new(row.get::<_, String>(1)?);
            if is_searched(&kind) {
                let document = rows::parse(row.get_ref(2)?.as_bytes().unwrap_or_default())?;
                index(&transaction, row.get(0)?, &kind, None, Some(&document))?;
            }
        }
    }
    state::put(&transaction, Name::SearchForm, &SEARCH_FORM)?;
    transaction.commit()?;
    Ok(true)
}

fn grams(text: &str) -> String {
    if text.is_ascii() {
        String::new()
    } else {
        hangul_bigrams(text)
    }
}

fn folded(word: &str) -> String {
    if word.is_ascii() {
        word.to_ascii_lowercase()
    } else {
        fold(word)
    }
}

/// The text of a note or addendum as it is indexed, a line per section.
fn searched_text(kind: &EntityKind, document: &Document) -> String {
    let text = written_text(kind, document);
    if text.is_ascii() { text } else { fold(&text) }
}

fn written_text(kind: &EntityKind, document: &Document) -> String {
    if kind.as_str() == "addendum" {
        return document.text("body", "text").unwrap_or_default().to_owned();
    }
    let sections = document
        .unit("body")
        .and_then(|body| body.get("sections"))
        .and_then(Value::as_object);
    let mut texts: Vec<(&String, &str)> = sections
        .into_iter()
        .flatten()
        .filter_map(|(name, text)| Some((name, text.as_str()?)))
        .collect();
    texts.sort_unstable();
    texts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join("\n")
}

/// Whether the last word may go on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastWord {
    Whole,
    HalfTyped,
}

/// What was typed as an expression of the index; `None` when it has no letter or digit.
fn expression(typed: &str, last_word: LastWord) -> Option<String> {
    let folded = fold(typed);
    let words: Vec<&str> = folded
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MOST_WORDS)
        .collect();
    let last = words.len().checked_sub(1)?;
    let terms = words.iter().enumerate().map(|(position, word)| {
        let grams = hangul_bigrams(word);
        let syllables = word.chars().count();
        let is_hangul = !grams.is_empty() && grams.split(' ').count() + 1 == syllables;
        if is_hangul {
            let pairs: Vec<String> = grams.split(' ').map(|pair| format!("\"{pair}\"")).collect();
            format!("grams : ({})", pairs.join(" AND "))
        } else if !word.is_ascii() && syllables == 1 {
            format!("(body : \"{word}\" * OR grams : \"{word}\" *)")
        } else if position == last && last_word == LastWord::HalfTyped {
            format!("body : \"{word}\" *")
        } else {
            format!("body : \"{word}\"")
        }
    });
    Some(terms.collect::<Vec<_>>().join(" AND "))
}

/// The words around the first one that contains one of the typed words.
fn snippet(typed: &str, text: &str) -> String {
    let wanted: Vec<String> = fold(typed)
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let words: Vec<&str> = text.split_whitespace().collect();
    let found = words.iter().position(|word| {
        let word = folded(word);
        wanted.iter().any(|wanted| word.contains(wanted.as_str()))
    });
    let middle = found.unwrap_or(0);
    let (from, to) = (
        middle.saturating_sub(SNIPPET_WORDS),
        (middle + SNIPPET_WORDS + 1).min(words.len()),
    );
    let mut out = words[from..to].join(" ");
    if from > 0 {
        out.insert(0, '…');
    }
    if to < words.len() {
        out.push('…');
    }
    out
}

impl ReadTx<'_> {
    /// Notes that contain every word typed, Korean words also inside compounds; then those in which the last word goes on. Each kind begins
    /// with the ones that came into this file last. An audit entry is due before anything is shown.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn search_notes(&self, typed: &str, limit: usize) -> Result<Vec<NoteHit>, StorageError> {
        let mut rows = self.matching(typed, LastWord::Whole, limit)?;
        if rows.len() < limit {
            for row in self.matching(typed, LastWord::HalfTyped, limit)? {
                if rows.len() < limit && !rows.contains(&row) {
                    rows.push(row);
                }
            }
        }
        let mut hits = Vec::with_capacity(rows.len());
        for row in rows {
            hits.extend(
                self.entities("WHERE doc.row = ?1", &[&row])?
                    .iter()
                    .filter_map(|entity| hit(typed, entity)),
            );
        }
        Ok(hits)
    }

    fn matching(&self, typed: &str, last_word: LastWord, limit: usize) -> Result<Vec<i64>, StorageError> {
        let Some(expression) = expression(typed, last_word) else {
            return Ok(Vec::new());
        };
        let mut statement = self
            .connection()
            .prepare_cached("SELECT rowid FROM note_search WHERE note_search MATCH ?1 ORDER BY rowid DESC LIMIT ?2")?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(statement
            .query_map(params![expression, limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?)
    }

    /// A client's notes, in the order in which they came into this file.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn notes_of_client(&self, client: ClientId) -> Result<Vec<Entity>, StorageError> {
        self.of_client("session_note", client)
    }

    /// A client's prescriptions.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn prescriptions_of_client(&self, client: ClientId) -> Result<Vec<Entity>, StorageError> {
        self.of_client("prescription", client)
    }

    /// The clinical side of a client's appointments.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn sessions_of_client(&self, client: ClientId) -> Result<Vec<Entity>, StorageError> {
        self.of_client("session", client)
    }

    /// The notes about an appointment.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn notes_of_appointment(&self, appointment: EntityId) -> Result<Vec<Entity>, StorageError> {
        self.of_appointment("session_note", appointment)
    }

    /// The clinical side of an appointment.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn session_of_appointment(&self, appointment: EntityId) -> Result<Option<Entity>, StorageError> {
        Ok(self.of_appointment("session", appointment)?.into_iter().next())
    }

    /// Everything that a person wrote as notes.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn notes_by_author(&self, author: UserId) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.author = ?1 AND doc.type = 'session_note' AND NOT doc.deleted ORDER BY doc.row",
            &[&author.to_string()],
        )
    }

    /// A person's drafts.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn unsigned_notes(&self, author: UserId) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.author = ?1 AND doc.status = 'draft' AND doc.type = 'session_note' AND NOT doc.deleted ORDER BY doc.row",
            &[&author.to_string()],
        )
    }

    /// The addenda of a note.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn addenda_of(&self, note: EntityId) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.note = ?1 AND NOT doc.deleted ORDER BY doc.row",
            &[&note.to_string()],
        )
    }

    fn of_appointment(&self, kind: &str, appointment: EntityId) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.appointment = ?1 AND doc.type = ?2 AND NOT doc.deleted ORDER BY doc.row",
            &[&appointment.to_string(), &kind],
        )
    }
}

fn hit(typed: &str, entity: &Entity) -> Option<NoteHit> {
    let id = match entity.key.kind.as_str() {
        "addendum" => entity.doc.text("subject", "note")?.parse().ok()?,
        _ => entity.key.id,
    };
    Some(NoteHit {
        note: EntityKey::new("session_note", id),
        client: entity.doc.text("subject", "client")?.parse().ok()?,
        snippet: snippet(typed, &written_text(&entity.key.kind, &entity.doc)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_never_becomes_syntax_of_the_index() {
        for (typed, expected) in [
            ("", None),
            ("\"*():", None),
            ("sleep", Some("body : \"sleep\" *")),
            ("Panic attack", Some("body : \"panic\" AND body : \"attack\" *")),
            (
                "a\" OR body:x",
                Some("body : \"a\" AND body : \"or\" AND body : \"body\" AND body : \"x\" *"),
            ),
            ("불안장애", Some("grams : (\"불안\" AND \"안장\" AND \"장애\")")),
            ("약", Some("(body : \"약\" * OR grams : \"약\" *)")),
        ] {
            assert_eq!(expression(typed, LastWord::HalfTyped).as_deref(), expected, "{typed}");
        }
        assert_eq!(
            expression("sleep", LastWord::Whole).as_deref(),
            Some("body : \"sleep\"")
        );
    }

    #[test]
    fn a_snippet_shows_the_words_around_the_first_place() {
        assert_eq!(snippet("FOUR", "one two three four five"), "one two three four five");
        let long = (0..40).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(snippet("w20", &long).split(' ').count(), 17);
        assert!(snippet("w20", &long).starts_with('…') && snippet("w20", &long).ends_with('…'));
    }

    #[test]
    fn printing_a_hit_shows_no_text() {
        let key = EntityKey::new("session_note", EntityId::new(uuid::Uuid::nil()));
        let hit = NoteHit {
            note: key,
            client: ClientId::new(uuid::Uuid::nil()),
            snippet: "secret".to_owned(),
        };
        assert!(!format!("{hit:?}").contains("secret"));
    }
}
