//! Codes that people type: Crockford base32 in groups of four, with check symbols at the end.
//!
//! Reading is tolerant: case, `O` for zero, `I` and `L` for one, blanks, dashes of any kind and full-width forms all pass.

use ring::digest::{SHA256, digest};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const GROUP: usize = 4;

/// Why a typed code was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CodeError {
    /// The code has too few or too many symbols.
    #[error("the code has {found} symbols instead of {expected}")]
    Length {
        /// Symbols that the code must have.
        expected: usize,
        /// Symbols that were typed.
        found: usize,
    },
    /// A character is none that codes use.
    #[error("symbol {position} of the code is not one that codes use")]
    Symbol {
        /// Counted from one, without blanks and dashes.
        position: usize,
    },
    /// The check symbols do not fit: something was mistyped or swapped.
    #[error("the check symbols of the code do not fit")]
    Check,
}

/// Shape of one kind of code: `BYTES` bytes of content and as many check bits as fill the last group.
pub(crate) struct Code<const BYTES: usize> {
    /// Separates kinds of code: one kind's text fails the check of another.
    pub(crate) label: &'static str,
    /// Number of symbols, a multiple of four.
    pub(crate) symbols: usize,
}

impl<const BYTES: usize> Code<BYTES> {
    /// The groups of four symbols, in order.
    pub(crate) fn groups(&self, content: &[u8; BYTES]) -> Zeroizing<Vec<String>> {
        let symbols = self.encode(content);
        Zeroizing::new(
            symbols
                .as_bytes()
                .chunks(GROUP)
                .map(|group| group.iter().copied().map(char::from).collect())
                .collect(),
        )
    }

    /// The groups joined by dashes.
    pub(crate) fn text(&self, content: &[u8; BYTES]) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.symbols * (GROUP + 1) / GROUP));
        for (index, group) in self.groups(content).iter().enumerate() {
            if index > 0 {
                text.push('-');
            }
            text.push_str(group);
        }
        text
    }

    /// Reads what a person typed.
    pub(crate) fn parse(&self, typed: &str) -> Result<Zeroizing<[u8; BYTES]>, CodeError> {
        let symbols = symbols(typed)?;
        if symbols.len() != self.symbols {
            return Err(CodeError::Length {
                expected: self.symbols,
                found: symbols.len(),
            });
        }
        let mut content = Zeroizing::new([0; BYTES]);
        for bit in 0..BYTES * 8 {
            let value = symbols[bit / 5] >> (4 - bit % 5) & 1;
            content[bit / 8] |= value << (7 - bit % 8);
        }
        if symbols[..] == self.values(&content)[..] {
            Ok(content)
        } else {
            Err(CodeError::Check)
        }
    }

    fn encode(&self, content: &[u8; BYTES]) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.symbols));
        self.values(content)
            .iter()
            .for_each(|value| text.push(char::from(ALPHABET[usize::from(*value)])));
        text
    }

    /// The five-bit values of content and check.
    fn values(&self, content: &[u8; BYTES]) -> Zeroizing<Vec<u8>> {
        let labelled = Zeroizing::new([self.label.as_bytes(), b"\0", content].concat());
        let check = digest(&SHA256, &labelled);
        let bit = |index: usize| match content.get(index / 8) {
            Some(byte) => byte >> (7 - index % 8) & 1,
            None => check.as_ref()[index / 8 - BYTES] >> (7 - index % 8) & 1,
        };
        Zeroizing::new(
            (0..self.symbols)
                .map(|symbol| (0..5).fold(0, |value, n| value << 1 | bit(symbol * 5 + n)))
                .collect(),
        )
    }
}

/// Whether `typed` reads as the same symbols as `group`.
pub(crate) fn same_group(group: &str, typed: &str) -> bool {
    matches!((symbols(group), symbols(typed)), (Ok(a), Ok(b)) if *a == *b)
}

fn symbols(typed: &str) -> Result<Zeroizing<Vec<u8>>, CodeError> {
    let mut values = Zeroizing::new(Vec::with_capacity(typed.len()));
    for character in typed.nfkc().filter(|character| !is_separator(*character)) {
        let value = match character.to_ascii_uppercase() {
            'O' => 0,
            'I' | 'L' => 1,
            other => ALPHABET
                .iter()
                .position(|symbol| char::from(*symbol) == other)
                .and_then(|position| u8::try_from(position).ok())
                .ok_or(CodeError::Symbol {
                    position: values.len() + 1,
                })?,
        };
        values.push(value);
    }
    Ok(values)
}

fn is_separator(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ad}' | '\u{200b}' | '\u{feff}'
        )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHORT: Code<4> = Code {
        label: "test",
        symbols: 8,
    };

    #[test]
    fn one_mistyped_or_two_swapped_symbols_are_noticed() {
        const CODE: Code<20> = Code {
            label: "test",
            symbols: 36,
        };
        let text = CODE.encode(&[0x5a; 20]).to_string();
        for index in 0..text.len() {
            for symbol in ALPHABET {
                let mut typed = text.clone().into_bytes();
                if typed[index] != *symbol {
                    typed[index] = *symbol;
                    assert_eq!(CODE.parse(std::str::from_utf8(&typed).unwrap()), Err(CodeError::Check));
                }
            }
        }
    }

    #[test]
    fn the_position_of_an_unknown_symbol_is_told() {
        assert_eq!(SHORT.parse("0-1 U"), Err(CodeError::Symbol { position: 3 }));
        assert_eq!(SHORT.parse("한"), Err(CodeError::Symbol { position: 1 }));
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(SHORT.parse(""), Err(CodeError::Length { expected: 8, found: 0 }));
        assert_eq!(
            SHORT.parse("000000000"),
            Err(CodeError::Length { expected: 8, found: 9 })
        );
    }

    proptest! {
        #![proptest_config(crate::drawn(200))]

        #[test]
        fn a_code_reads_back_however_it_is_typed(content: [u8; 26], style in 0..4) {
            const CODE: Code<26> = Code { label: "test", symbols: 44 };
            let text = CODE.text(&content).to_string();
            let typed = match style {
                0 => text,
                1 => text.to_lowercase().replace('0', "o").replace('1', "l"),
                2 => text.replace('-', " \u{2013}\u{a0}").replace('1', "I"),
                _ => text.replace('-', "").chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).unwrap()).collect(),
            };
            prop_assert_eq!(*CODE.parse(&typed).unwrap(), content);
        }

        #[test]
        fn arbitrary_text_never_panics(typed: String) {
            prop_assert!(SHORT.parse(&typed).is_err() || typed.len() >= 8);
        }
    }
}
