//! The input: session notes of another program, one JSON object per line, and which words they hold.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use caseload_domain::time::Millis;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One note as it lies in the input.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct SourceNote {
    pub(crate) id: Uuid,
    pub(crate) client_id: Uuid,
    pub(crate) author_id: Uuid,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) session_at: String,
    pub(crate) version: i64,
    pub(crate) subjective: String,
    pub(crate) objective: String,
    pub(crate) assessment: String,
    pub(crate) plan: String,
    pub(crate) summary: String,
}

impl SourceNote {
    /// The four texts, by section, in their order.
    pub(crate) fn sections(&self) -> [(&'static str, &str); 4] {
        [
            ("subjective", &self.subjective),
            ("objective", &self.objective),
            ("assessment", &self.assessment),
            ("plan", &self.plan),
        ]
    }

    /// The different words of the four texts, lower case.
    fn words(&self) -> HashSet<String> {
        self.sections()
            .into_iter()
            .flat_map(|(_, text)| text.split(|letter: char| !letter.is_alphanumeric()))
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    }
}

/// The instant that an ISO 8601 text names.
pub(crate) fn instant(text: &str) -> Result<Millis> {
    let moment = chrono::DateTime::parse_from_rfc3339(text).context("read an instant of the input")?;
    Ok(Millis(moment.timestamp_millis()))
}

/// The file that lies beside `file` with more notes of the same shape.
pub(crate) fn extra_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".extra");
    PathBuf::from(name)
}

/// Reads the first `count` notes.
///
/// # Errors
/// When a line is no note, or there are fewer.
pub(crate) fn read(file: &Path, count: usize) -> Result<Vec<SourceNote>> {
    let reader = BufReader::new(File::open(file).with_context(|| format!("open {}", file.display()))?);
    let mut notes = Vec::with_capacity(count);
    for (number, line) in reader.lines().take(count).enumerate() {
        let line = line.with_context(|| format!("read {}", file.display()))?;
        let note = serde_json::from_str(&line).with_context(|| format!("line {} of {}", number + 1, file.display()))?;
        notes.push(note);
    }
    ensure!(
        notes.len() == count,
        "{} holds {} notes, not {count}",
        file.display(),
        notes.len()
    );
    Ok(notes)
}

/// In how many notes each word occurs, and which to search for.
#[derive(Debug)]
pub(crate) struct Words {
    documents: HashMap<String, usize>,
}

impl Words {
    pub(crate) fn of(notes: &[SourceNote]) -> Self {
        let mut documents = HashMap::new();
        for word in notes.iter().flat_map(SourceNote::words) {
            *documents.entry(word).or_insert(0) += 1;
        }
        Self { documents }
    }

    /// The word of at least four letters that is in the most notes; the first by alphabet among equals.
    pub(crate) fn common(&self) -> Option<(&str, usize)> {
        let letters = |word: &str| word.chars().count() >= 4 && word.chars().all(char::is_alphabetic);
        let counted = self.documents.iter().filter(|(word, _)| letters(word));
        counted
            .max_by(|(one, many), (other, more)| many.cmp(more).then_with(|| other.cmp(one)))
            .map(|(word, count)| (word.as_str(), *count))
    }

    /// A word that is in exactly one note, else in the fewest. No other word begins with it, where possible, so that searching by the
    /// beginnings of words finds the same notes.
    pub(crate) fn rare(&self) -> Option<(&str, usize)> {
        let sorted: BTreeMap<&str, usize> = self
            .documents
            .iter()
            .map(|(word, count)| (word.as_str(), *count))
            .collect();
        let begins_another = |word: &str| {
            let next = sorted
                .range::<str, _>((std::ops::Bound::Excluded(word), std::ops::Bound::Unbounded))
                .next();
            next.is_some_and(|(next, _)| next.starts_with(word))
        };
        let long_enough = sorted.iter().filter(|(word, _)| word.chars().count() >= 4);
        long_enough
            .min_by_key(|(word, count)| (**count, begins_another(word)))
            .map(|(word, count)| (*word, *count))
    }

    /// The word of `note` that is in the fewest notes, and in how many.
    pub(crate) fn rarest_of(&self, note: &SourceNote) -> Option<(String, usize)> {
        let counted = note.words().into_iter().filter(|word| word.chars().count() >= 2);
        counted
            .map(|word| {
                let count = self.documents.get(&word).copied().unwrap_or(0);
                (word, count)
            })
            .min_by(|(one, few), (other, fewer)| few.cmp(fewer).then_with(|| one.cmp(other)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn note(plan: &str) -> SourceNote {
        SourceNote {
            id: Uuid::nil(),
            client_id: Uuid::nil(),
            author_id: Uuid::nil(),
            created_at: "2024-01-01T00:00:00Z".to_owned(),
            updated_at: "2024-01-01T00:00:00Z".to_owned(),
            session_at: "2024-01-01T00:00:00Z".to_owned(),
            version: 1,
            subjective: String::new(),
            objective: String::new(),
            assessment: String::new(),
            plan: plan.to_owned(),
            summary: "only a summary".to_owned(),
        }
    }

    #[test]
    fn words_are_counted_once_per_note() {
        let notes = [
            note("Sleep, sleep and REST"),
            note("sleep and worry"),
            note("worry worryline and"),
        ];
        let words = Words::of(&notes);
        assert_eq!(
            words.common(),
            Some(("sleep", 2)),
            "words of three letters do not count, and of equals the first is taken"
        );
        assert_eq!(words.rare(), Some(("rest", 1)));
        assert_eq!(words.rarest_of(&notes[2]), Some(("worryline".to_owned(), 1)));
        assert_eq!(words.documents.get("summary"), None);
    }

    #[test]
    fn of_rare_words_one_that_begins_no_other_is_taken() {
        let words = Words::of(&[note("bent bentwood"), note("bentwood zeal")]);
        assert_eq!(words.rare(), Some(("zeal", 1)), "bent begins bentwood");
    }

    #[test]
    fn instants_are_read_with_their_offset() {
        assert_eq!(instant("1970-01-01T01:00:00+01:00").unwrap(), Millis(0));
        assert!(instant("2024-02-30T00:00:00Z").is_err());
    }
}
