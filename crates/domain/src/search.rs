//! The normal form in which names, numbers and notes are searched.
//!
//! Case and accents are folded; Hangul syllables are split into their letters, so that initial consonants (초성) and half-typed syllables match.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

const SYLLABLE_FIRST: u32 = 0xAC00;
const SYLLABLE_LAST: u32 = 0xD7A3;
/// Compatibility letters of the nineteen initial consonants, in the order of the Unicode syllable table.
const INITIALS: [char; 19] = [
    'ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ', 'ㅌ', 'ㅍ', 'ㅎ',
];

/// `text` folded for comparison: lower case, no accents, single spaces. Hangul stays composed.
#[must_use]
pub fn fold(text: &str) -> String {
    let folded: String = text
        .nfd()
        .filter(|letter| !is_combining_mark(*letter))
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .nfc()
        .collect();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The initial consonants of the Hangul syllables in `text`, other characters left out: `김서연` gives `ㄱㅅㅇ`.
#[must_use]
pub fn initial_consonants(text: &str) -> String {
    text.nfc().filter_map(initial_of).collect()
}

/// What is stored to find a person by: every part folded, in both name orders without a space, with initial consonants, joined by line feeds.
#[must_use]
pub fn person_key(family: &str, given: &str, others: &[&str]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        let folded = fold(text);
        if !folded.is_empty() && !parts.contains(&folded) {
            parts.push(folded);
        }
    };
    add(&format!("{family} {given}"));
    add(&format!("{given} {family}"));
    add(&format!("{family}{given}"));
    add(&initial_consonants(&format!("{family}{given}")));
    for other in others {
        add(other);
    }
    parts.join("\n")
}

/// The digits of a telephone number; what is stored to find it in any format.
#[must_use]
pub fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Pairs of neighbouring Hangul syllables, separated by spaces, so that a full-text index finds words inside Korean compounds.
#[must_use]
pub fn hangul_bigrams(text: &str) -> String {
    let mut out = String::new();
    let mut previous: Option<char> = None;
    for letter in text.nfc() {
        let syllable = is_syllable(letter).then_some(letter);
        if let (Some(first), Some(second)) = (previous, syllable) {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push(first);
            out.push(second);
        }
        previous = syllable;
    }
    out
}

fn is_syllable(letter: char) -> bool {
    (SYLLABLE_FIRST..=SYLLABLE_LAST).contains(&u32::from(letter))
}

fn initial_of(letter: char) -> Option<char> {
    if INITIALS.contains(&letter) {
        return Some(letter);
    }
    is_syllable(letter).then(|| INITIALS[((u32::from(letter) - SYLLABLE_FIRST) / 588) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_korean_name_is_found_by_its_initial_consonants_and_in_either_order() {
        let key = person_key("김", "서연", &["Kim Seo-yeon"]);
        for query in ["김서연", "ㄱㅅㅇ", "서연", "SEO-YEON", "kim"] {
            assert!(key.contains(&fold(query)), "{query} in {key}");
        }
    }

    #[test]
    fn accents_and_case_do_not_matter() {
        assert_eq!(fold("  Élodie   MÜLLER "), "elodie muller");
    }

    #[test]
    fn hangul_words_are_cut_into_pairs() {
        assert_eq!(hangul_bigrams("불안장애 a 약"), "불안 안장 장애");
    }
}
