//! Passphrases: which are accepted, and how one becomes a key.
//!
//! A passphrase is compared after Unicode NFKC, because two keyboards may send the same letters as different code points; nothing else
//! is changed or trimmed. It is stretched by Argon2id, whose parameters are stored next to the salt and bounded when they are read: a
//! changed file can neither weaken the derivation nor make it eat the machine.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use crate::keys::{SymmetricKey, redacted};
use crate::{random, text};

/// Code points that a new passphrase must have at least.
pub const MIN_CODE_POINTS: usize = 15;
/// Code points that a passphrase may have at most.
pub const MAX_CODE_POINTS: usize = 1024;

/// What a person typed to unlock her keys.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

redacted!(Passphrase);

/// Why a new passphrase is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WeakPassphrase {
    /// Fewer code points than [`MIN_CODE_POINTS`].
    #[error("the passphrase has {found} characters; at least {MIN_CODE_POINTS} are needed")]
    TooShort {
        /// Code points that were typed.
        found: usize,
    },
    /// More code points than [`MAX_CODE_POINTS`].
    #[error("the passphrase has more than {MAX_CODE_POINTS} characters")]
    TooLong,
    /// It is one of the first that anybody would try.
    #[error("the passphrase is among the first that anybody would try")]
    Common,
    /// It repeats a few characters, or counts along the alphabet or the keyboard.
    #[error("the passphrase repeats a short pattern or runs along a row of keys")]
    Pattern,
    /// It consists of names that everybody in the practice knows.
    #[error("the passphrase consists of names that others know")]
    KnownNames,
}

impl Passphrase {
    /// What was typed to unlock. No rule is applied, so that an old passphrase always works.
    #[must_use]
    pub fn typed(text: &str) -> Self {
        let mut normalised = Zeroizing::new(String::with_capacity(text.len().saturating_mul(3)));
        normalised.extend(text.nfkc());
        Self(normalised)
    }

    /// A newly chosen passphrase. `known` are names it must not consist of: those of the person and of the practice.
    ///
    /// # Errors
    /// [`WeakPassphrase`] says which rule it breaks.
    pub fn chosen(text: &str, known: &[&str]) -> Result<Self, WeakPassphrase> {
        let passphrase = Self::typed(text);
        let found = passphrase.0.chars().count();
        if found < MIN_CODE_POINTS {
            return Err(WeakPassphrase::TooShort { found });
        }
        if found > MAX_CODE_POINTS {
            return Err(WeakPassphrase::TooLong);
        }
        let folded = folded(&passphrase.0);
        if is_pattern(&folded) {
            return Err(WeakPassphrase::Pattern);
        }
        if consists_of(&folded, COMMON) {
            return Err(WeakPassphrase::Common);
        }
        let names: Vec<_> = known
            .iter()
            .flat_map(|name| name.split_whitespace())
            .map(self::folded)
            .collect();
        let names: Vec<_> = names
            .iter()
            .map(|name| name.as_str())
            .chain(COMMON.iter().copied())
            .collect();
        if consists_of(&folded, &names) {
            return Err(WeakPassphrase::KnownNames);
        }
        Ok(passphrase)
    }

    /// Stretches the passphrase: the slow step, done once per unlock or sign-in.
    ///
    /// # Errors
    /// [`KdfError`] when the parameters are out of bounds or the memory cannot be had.
    pub fn stretch(&self, salt: &KdfSalt, params: KdfParams) -> Result<Stretched, KdfError> {
        let params = params.checked()?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let count = argon2.params().block_count();
        // Own memory, because the library does not wipe what it allocates itself.
        let mut memory = Zeroizing::new(Vec::<Block>::new());
        memory.try_reserve_exact(count).map_err(|_| KdfError::OutOfMemory)?;
        memory.resize(count, Block::new());
        let mut out = Zeroizing::new([0; 32]);
        argon2
            .hash_password_into_with_memory(self.0.as_bytes(), &salt.0, &mut out[..], memory.as_mut_slice())
            .map_err(|_| KdfError::OutOfBounds)?;
        Ok(Stretched(SymmetricKey::from_bytes(*out)))
    }
}

/// A stretched passphrase, from which the keys for its different uses derive.
#[derive(Clone)]
pub struct Stretched(SymmetricKey);

redacted!(Stretched);

impl Stretched {
    /// What a password sign-in sends to the service. It does not open a slot, and the passphrase cannot be had from it but by guessing.
    #[must_use]
    pub fn login_secret(&self) -> SymmetricKey {
        self.0.derive("auth", &[])
    }

    /// The key that wraps the user key.
    pub(crate) fn slot_key(&self) -> SymmetricKey {
        self.0.derive("passphrase-slot/v1", &[])
    }
}

/// What a password sign-in sends to the service: HKDF(Argon2id(passphrase), "auth").
///
/// # Errors
/// As [`Passphrase::stretch`]: parameters that a service asks for are bounded like those of a file.
pub fn login_secret(passphrase: &Passphrase, salt: &KdfSalt, params: KdfParams) -> Result<SymmetricKey, KdfError> {
    Ok(passphrase.stretch(salt, params)?.login_secret())
}

/// The random salt of a derivation; not secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KdfSalt(#[serde(with = "text::array")] pub [u8; 16]);

impl KdfSalt {
    /// A fresh random salt.
    #[must_use]
    pub fn random() -> Self {
        Self(random::bytes())
    }
}

/// Why a key could not be derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KdfError {
    /// The stored parameters are weaker than the floor or beyond the ceiling.
    #[error("the parameters of the key derivation are out of bounds")]
    OutOfBounds,
    /// The memory that the derivation needs is not there.
    #[error("there is not enough memory for the key derivation")]
    OutOfMemory,
}

/// Cost of Argon2id, version 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KdfParams {
    /// Memory in KiB.
    #[serde(rename = "m")]
    pub memory_kib: u32,
    /// Passes over the memory.
    #[serde(rename = "t")]
    pub passes: u32,
    /// Lanes.
    #[serde(rename = "p")]
    pub lanes: u32,
}

impl KdfParams {
    /// 128 MiB, 3 passes, 1 lane: about 0.8 s on a slow machine.
    pub const DEFAULT: Self = Self {
        memory_kib: 128 * 1024,
        passes: 3,
        lanes: 1,
    };
    /// The weakest that is accepted: 64 MiB, 3 passes.
    pub const FLOOR: Self = Self {
        memory_kib: 64 * 1024,
        passes: 3,
        lanes: 1,
    };
    /// The most that is accepted: 1 GiB, 16 passes, 16 lanes.
    pub const CEILING: Self = Self {
        memory_kib: 1024 * 1024,
        passes: 16,
        lanes: 16,
    };

    fn checked(self) -> Result<Params, KdfError> {
        let within = |value: u32, low: u32, high: u32| (low..=high).contains(&value);
        if !within(self.memory_kib, Self::FLOOR.memory_kib, Self::CEILING.memory_kib)
            || !within(self.passes, Self::FLOOR.passes, Self::CEILING.passes)
            || !within(self.lanes, Self::FLOOR.lanes, Self::CEILING.lanes)
        {
            return Err(KdfError::OutOfBounds);
        }
        Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| KdfError::OutOfBounds)
    }
}

/// Lower case, letters and digits only, the usual digits-for-letters undone, so that variants of one phrase are one phrase.
fn folded(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 2));
    for character in text.chars().flat_map(char::to_lowercase) {
        match character {
            '@' => out.push('a'),
            '$' => out.push('s'),
            character if character.is_alphanumeric() => out.push(character),
            _ => {}
        }
    }
    out
}

/// Whether all of `text` is a unit of at most four characters repeated, or runs along the alphabet, the digits or a row of keys.
fn is_pattern(text: &str) -> bool {
    let characters = Zeroizing::new(text.chars().collect::<Vec<_>>());
    let repeats = |unit: usize| characters.iter().skip(unit).zip(characters.iter()).all(|(a, b)| a == b);
    if (1..=4).any(repeats) {
        return true;
    }
    let steps = characters
        .iter()
        .zip(characters.iter().skip(1))
        .filter(|(a, b)| are_neighbours(**a, **b))
        .count();
    steps + 3 >= characters.len()
}

fn are_neighbours(a: char, b: char) -> bool {
    const ROWS: [&str; 6] = [
        "01234567890",
        "abcdefghijklmnopqrstuvwxyz",
        "qwertyuiop",
        "asdfghjkl",
        "zxcvbnm",
        "가나다라마바사아자차카타파하",
    ];
    ROWS.iter().any(|row| {
        row.chars()
            .zip(row.chars().skip(1))
            .any(|(first, second)| (a, b) == (first, second) || (b, a) == (first, second))
    })
}

/// Whether `text` is made of these words alone, with at most three digits left over.
fn consists_of(text: &str, words: &[&str]) -> bool {
    let mut words: Vec<&str> = words.iter().copied().filter(|word| word.chars().count() >= 2).collect();
    words.sort_unstable_by_key(|word| std::cmp::Reverse(word.len()));
    let mut rest = Zeroizing::new(text.to_owned());
    for word in words {
        rest = Zeroizing::new(rest.replace(word, "\0"));
    }
    let left: Zeroizing<String> = Zeroizing::new(rest.chars().filter(|character| *character != '\0').collect());
    left.len() <= 4 && left.chars().all(|character| character.is_ascii_digit())
}

/// Words of which the usual guesses are made, folded as [`folded`] does.
const COMMON: &[&str] = &[
    "password",
    "passwort",
    "passphrase",
    "passw0rd",
    "passcode",
    "secret",
    "letmein",
    "welcome",
    "admin",
    "administrator",
    "login",
    "qwerty",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "iloveyou",
    "monkey",
    "dragon",
    "football",
    "baseball",
    "princess",
    "sunshine",
    "master",
    "superman",
    "batman",
    "trustno1",
    "abc123",
    "123456",
    "1234567890",
    "123456789",
    "12345678",
    "12345",
    "1234",
    "123",
    "111111",
    "000000",
    "2024",
    "2025",
    "2026",
    "correct",
    "horse",
    "battery",
    "staple",
    "changeme",
    "default",
    "test",
    "guest",
    "user",
    "root",
    "hello",
    "world",
    "caseload",
    "therapy",
    "therapist",
    "practice",
    "clinic",
    "client",
    "patient",
    "computer",
    "internet",
    "my",
    "is",
    "the",
    "this",
    "very",
    "long",
    "new",
    "비밀번호",
    "암호",
    "사랑해",
    "상담",
    "상담소",
    "심리",
    "치료",
    "센터",
    "안녕하세요",
    "gksrmf",
    "tkfkdgo",
    "dkssud",
    "qlalfqjsgh",
];

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::text::base64url;

    #[test]
    fn new_passphrases_follow_the_rules() {
        let cases: &[(&str, Result<(), WeakPassphrase>)] = &[
            ("", Err(WeakPassphrase::TooShort { found: 0 })),
            ("fourteen chars", Err(WeakPassphrase::TooShort { found: 14 })),
            ("heron lamp quince", Ok(())),
            ("  spaces count  ", Ok(())),
            ("고양이가 창가에서 낮잠을 잔다", Ok(())),
            ("raincoat😀😀😀umbrella", Ok(())),
            ("aaaaaaaaaaaaaaaa", Err(WeakPassphrase::Pattern)),
            ("abcabcabcabcabcabc", Err(WeakPassphrase::Pattern)),
            ("1234567890123456", Err(WeakPassphrase::Pattern)),
            ("qwertyuiopasdfghjkl", Err(WeakPassphrase::Pattern)),
            ("zyxwvutsrqponmlkj", Err(WeakPassphrase::Pattern)),
            ("- - - - - - - - - -", Err(WeakPassphrase::Pattern)),
            ("PasswordPassword1!", Err(WeakPassphrase::Common)),
            ("correct horse battery staple", Err(WeakPassphrase::Common)),
            ("P@ssword-letmein-2026", Err(WeakPassphrase::Common)),
            ("Harbour Counselling 2026", Err(WeakPassphrase::KnownNames)),
            ("harbour lamp counselling", Ok(())),
        ];
        for (text, expected) in cases {
            let found = Passphrase::chosen(text, &["Harbour Counselling", "Mina Seo"]).map(drop);
            assert_eq!(found, *expected, "{text:?}");
        }
        assert!(
            Passphrase::chosen(&"heron lamp quince ".repeat(10), &[]).is_ok(),
            "long ones are welcome"
        );
        assert_eq!(
            Passphrase::chosen(&"heron lamp ".repeat(100), &[]).map(drop),
            Err(WeakPassphrase::TooLong)
        );
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same_passphrase() {
        assert_eq!(
            *Passphrase::typed("한글 é").0,
            *Passphrase::typed("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af} e\u{301}").0
        );
        assert_ne!(
            *Passphrase::typed("a").0,
            *Passphrase::typed("a ").0,
            "nothing is trimmed"
        );
    }

    #[test]
    fn derived_keys_are_frozen_because_every_passphrase_slot_depends_on_them() {
        let stretched = Passphrase::typed("heron lamp quince")
            .stretch(&KdfSalt([4; 16]), KdfParams::FLOOR)
            .unwrap();
        assert_eq!(
            base64url(stretched.slot_key().expose()),
            "ikOB-cw56EC6W4vT8URD5OJJb1LVLS5K5vkEy6tre9s"
        );
        assert_eq!(
            base64url(stretched.login_secret().expose()),
            "nXa6u0TgHte7ivikxDueXiZNoQuHC2JVO8JsB-J5mTA"
        );
    }

    #[test]
    fn parameters_below_the_floor_or_above_the_ceiling_are_refused_before_any_work() {
        let KdfParams {
            memory_kib,
            passes,
            lanes,
        } = KdfParams::FLOOR;
        for params in [
            KdfParams {
                memory_kib: memory_kib - 1,
                passes,
                lanes,
            },
            KdfParams {
                memory_kib: KdfParams::CEILING.memory_kib + 1,
                passes,
                lanes,
            },
            KdfParams {
                memory_kib: u32::MAX,
                passes,
                lanes,
            },
            KdfParams {
                memory_kib,
                passes: 2,
                lanes,
            },
            KdfParams {
                memory_kib,
                passes: 17,
                lanes,
            },
            KdfParams {
                memory_kib,
                passes,
                lanes: 0,
            },
            KdfParams {
                memory_kib,
                passes,
                lanes: 17,
            },
        ] {
            let stretched = Passphrase::typed("heron lamp quince").stretch(&KdfSalt([4; 16]), params);
            assert_eq!(stretched.map(drop), Err(KdfError::OutOfBounds), "{params:?}");
        }
        assert!(KdfParams::CEILING.checked().is_ok() && KdfParams::DEFAULT.checked().is_ok());
    }
}
