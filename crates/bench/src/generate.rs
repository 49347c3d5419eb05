//! Writes an input: seeded session notes with the statistics of real ones.
//!
//! Words follow Zipf's law over a vocabulary of some thousand, so that a few are in nearly every note and most are rare. Every
//! twentieth note carries a reference that no other holds.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;

use crate::source::extra_of;
use caseload_testkit::chance::Chance;

/// How many notes lie in the file beside.
pub(crate) const EXTRA: usize = 1_000;
/// Notes per client, about: half a year of weekly sessions.
const NOTES_PER_CLIENT: usize = 25;
const AUTHORS: usize = 3;
/// 2024-01-01T09:00:00Z.
const FIRST_SESSION_MS: i64 = 1_704_099_600_000;
const HOUR_MS: i64 = 3_600_000;

/// The most frequent words first.
const FREQUENT: &str = "the and to of client with reports a in that for was session anxiety this has sleep mood feels about her his \
    therapist work discussed since week more less family reported practice partner able exercise continues stress low homework breathing \
    thoughts improved still from after when goals before during first days often some affect oriented speech thought appropriate eye \
    contact calm tearful engaged insight judgement intact denies suicidal ideation plan review next support coping strategies avoidance \
    exposure panic worry rumination values acceptance behavioural activation schedule energy appetite concentration memory school \
    friends conflict boundaries grief loss anger relief progress relapse prevention safety relaxation mindful grounding record \
    journal cognitive restructuring belief evidence alternative response rating moderate mild severe symptom frequency duration \
    intensity trigger nightmares flashbacks hypervigilance startle irritability guilt shame hopelessness motivation interest isolation \
    withdrawal alcohol caffeine medication sertraline escitalopram dosage adherence physician referral consent crisis contract ally \
    sibling mother father daughter son marriage separation divorce custody workload deadline manager promotion redundancy commute exam \
    lecture thesis bullying migration language culture faith ritual bereavement anniversary hospital surgery pain fatigue headache \
    tension posture trembling sweating palpitations breathlessness dizziness nausea bingeing purging restriction weight body image \
    perfectionism procrastination compulsions obsessions checking washing counting hoarding intrusive imagery rescripting attachment \
    transference alliance rupture repair silence metaphor narrative schema mode chair dialogue roleplay feedback questionnaire score \
    baseline change reliable clinically significant stable declined remission discharge followup summary hypothesis formulation";

const STEMS: [&str; 24] = [
    "neuro", "psycho", "socio", "cardio", "somato", "thermo", "photo", "auto", "hyper", "hypo", "meta", "para", "peri",
    "post", "pre", "sub", "trans", "inter", "intra", "endo", "ecto", "poly", "mono", "dys",
];
const MIDDLES: [&str; 26] = [
    "genic",
    "metric",
    "phobic",
    "tropic",
    "lytic",
    "morphic",
    "pathic",
    "static",
    "kinetic",
    "phasic",
    "centric",
    "ceptive",
    "ductive",
    "gressive",
    "plastic",
    "somatic",
    "sensitive",
    "reactive",
    "adaptive",
    "cognitive",
    "affective",
    "dynamic",
    "regulated",
    "attached",
    "thymic",
    "focal",
];
const ENDINGS: [&str; 4] = ["", "ally", "ness", "ism"];

/// Writes `count` notes to `file` and [`EXTRA`] more beside it.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(count: usize, file: &Path) -> Result<()> {
    let vocabulary = Vocabulary::new();
    let clients = (count / NOTES_PER_CLIENT).max(8);
    write_notes(file, &vocabulary, clients, 0..count)?;
    write_notes(&extra_of(file), &vocabulary, clients, count..count + EXTRA)
}

fn write_notes(file: &Path, vocabulary: &Vocabulary, clients: usize, numbers: std::ops::Range<usize>) -> Result<()> {
    let wrong = || format!("write {}", file.display());
    let mut out = BufWriter::new(File::create(file).with_context(wrong)?);
    for number in numbers {
        writeln!(out, "{}", note(vocabulary, clients, number)).with_context(wrong)?;
    }
    out.flush().with_context(wrong)
}

/// The note of this number: the same at every call.
fn note(vocabulary: &Vocabulary, clients: usize, number: usize) -> serde_json::Value {
    let mut chance = Chance::seeded(number as u64);
    let client = chance.below(clients);
    let session = FIRST_SESSION_MS + i64::try_from(number).unwrap_or(0) * 2 * HOUR_MS;
    let reference = if number.is_multiple_of(20) {
        format!(" ref{number:06}")
    } else {
        String::new()
    };
    json!({
        "id": id(1, number),
        "client_id": id(2, client),
        "author_id": id(3, client % AUTHORS),
        "created_at": moment(session + HOUR_MS),
        "updated_at": moment(session + HOUR_MS + 600_000),
        "session_at": moment(session),
        "version": 1,
        "subjective": vocabulary.text(&mut chance, 25, 40),
        "objective": vocabulary.text(&mut chance, 25, 40),
        "assessment": vocabulary.text(&mut chance, 25, 40),
        "plan": vocabulary.text(&mut chance, 25, 39) + &reference,
        "summary": vocabulary.text(&mut chance, 6, 10),
    })
}

fn moment(at_ms: i64) -> String {
    DateTime::from_timestamp_millis(at_ms)
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A UUID of version 4, drawn from the number.
fn id(kind: u64, number: usize) -> Uuid {
    let mut chance = Chance::seeded(kind << 56 | number as u64);
    let bits = u128::from(chance.next()) << 64 | u128::from(chance.next());
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}

/// Words by rank, with sums of their weights: about 1/rank, and a little less for rare ones, which are long.
struct Vocabulary {
    words: Vec<String>,
    sums: Vec<usize>,
}

impl Vocabulary {
    fn new() -> Self {
        let mut words: Vec<String> = FREQUENT.split_whitespace().map(str::to_owned).collect();
        for ending in ENDINGS {
            for middle in MIDDLES {
                words.extend(STEMS.iter().map(|stem| format!("{stem}{middle}{ending}")));
            }
        }
        let weights = (1..=words.len()).map(|rank| 100_000_000 / rank / (2 + rank.ilog2() as usize));
        let sums = weights.scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self {
            sums: sums.collect(),
            words,
        }
    }

    fn word(&self, chance: &mut Chance) -> &str {
        let drawn = chance.below(self.sums.last().copied().unwrap_or(1));
        &self.words[self.sums.partition_point(|sum| *sum <= drawn)]
    }

    fn text(&self, chance: &mut Chance, least: usize, most: usize) -> String {
        let count = least + chance.below(most - least + 1);
        (0..count).map(|_| self.word(chance)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::source::{self, Words};

    #[test]
    fn notes_are_reproducible_and_have_the_size_and_words_of_real_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        write(200, &one).unwrap();
        write(200, &other).unwrap();
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&other).unwrap());
        let mean = std::fs::metadata(&one).unwrap().len() / 200;
        assert!((1_000..1_300).contains(&mean), "{mean} bytes");

        let notes = source::read(&one, 200).unwrap();
        for (section, text) in notes[7].sections() {
            let words = text.split(' ').count();
            assert!((25..=40).contains(&words), "{section}: {words} words");
        }
        let words = Words::of(&notes);
        let (common, count) = words.common().unwrap();
        assert!(common.len() >= 4 && count > 150, "{common} is in {count} of 200");
        assert_eq!(words.rare().unwrap().1, 1);
        assert_eq!(source::read(&extra_of(&one), EXTRA).unwrap().len(), EXTRA);
        assert!(source::read(&one, 201).is_err());
    }
}
