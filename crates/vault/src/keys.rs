//! Symmetric keys and the raw keys of database files.
//!
//! Every type here wipes its bytes when dropped and prints as redacted.

use std::fmt;

use ring::hkdf;
use zeroize::{Zeroize as _, Zeroizing};

use crate::random;

/// Prints the type's name and nothing of its content.
macro_rules! redacted {
    ($($name:ty),+) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(redacted)"))
            }
        }
    )+};
}
pub(crate) use redacted;

/// A 256-bit key with full entropy.
#[derive(Clone)]
pub struct SymmetricKey(Zeroizing<[u8; 32]>);

redacted!(SymmetricKey);

impl SymmetricKey {
    /// A fresh random key.
    #[must_use]
    pub fn random() -> Self {
        Self::from_bytes(random::bytes())
    }

    /// Takes the bytes of a key. The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes of the key.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key for one purpose (`label`, no NUL in it) and one `context`: HKDF-SHA256, so that knowing one derived key tells nothing
    /// about this key or about another derived one.
    #[must_use]
    pub fn derive(&self, label: &str, context: &[u8]) -> Self {
        derive_from(&self.0[..], label, context)
    }
}

/// A key derived from secret bytes of any length; see [`SymmetricKey::derive`].
pub(crate) fn derive_from(secret: &[u8], label: &str, context: &[u8]) -> SymmetricKey {
    let mut out = Zeroizing::new([0; 32]);
    hkdf_sha256(
        &[],
        secret,
        &[b"caseload/", label.as_bytes(), b"\0", context],
        &mut out[..],
    );
    SymmetricKey(out)
}

/// HKDF-SHA256: extract with `salt`, expand with the concatenated `info` to fill `out` (at most 8160 bytes).
pub(crate) fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .expect("the output is far shorter than 255 blocks");
}

/// The raw key of one SQLCipher file: 32 bytes of key and the 16-byte salt of the file's header.
#[derive(Clone)]
pub struct DatabaseKey {
    raw: SymmetricKey,
    salt: [u8; 16],
}

impl fmt::Debug for DatabaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseKey(redacted)")
    }
}

impl DatabaseKey {
    /// Length of [`Self::to_bytes`].
    pub const LEN: usize = 48;

    /// A fresh random key and salt.
    #[must_use]
    pub fn random() -> Self {
        Self {
            raw: SymmetricKey::random(),
            salt: random::bytes(),
        }
    }

    /// Reads the 32 bytes of key followed by the 16 of salt.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let (mut raw, mut salt) = ([0; 32], [0; 16]);
        raw.copy_from_slice(&bytes[..32]);
        salt.copy_from_slice(&bytes[32..]);
        let key = Self {
            raw: SymmetricKey::from_bytes(raw),
            salt,
        };
        raw.zeroize();
        key
    }

    /// Key, then salt.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; Self::LEN]> {
        let mut out = Zeroizing::new([0; Self::LEN]);
        out[..32].copy_from_slice(self.raw.expose());
        out[32..].copy_from_slice(&self.salt);
        out
    }

    /// The text of SQLCipher's raw key form, `x'<64 hex digits of key><32 of salt>'`: 99 characters, ready for `PRAGMA key`.
    #[must_use]
    pub fn sqlcipher_text(&self) -> Zeroizing<String> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        // The capacity is exact, so that the buffer never moves and leaves no unwiped copy behind.
        let mut text = Zeroizing::new(String::with_capacity(2 * Self::LEN + 3));
        text.push_str("x'");
        for byte in self.to_bytes().iter() {
            text.push(char::from(HEX[usize::from(byte >> 4)]));
            text.push(char::from(HEX[usize::from(byte & 15)]));
        }
        text.push('\'');
        text
    }

    /// A key for another purpose, derived from this file's key; see [`SymmetricKey::derive`].
    #[must_use]
    pub fn derive(&self, label: &str, context: &[u8]) -> SymmetricKey {
        self.raw.derive(label, context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::text::base64url;

    #[test]
    fn the_key_text_is_frozen_because_sqlcipher_and_every_existing_file_expect_it() {
        let mut bytes = [0; 48];
        bytes.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
        let text = DatabaseKey::from_bytes(&bytes).sqlcipher_text();
        assert_eq!(
            text.as_str(),
            "x'000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f'"
        );
        assert_eq!(text.len(), text.capacity(), "the buffer was never reallocated");
    }

    #[test]
    fn a_database_key_survives_its_bytes() {
        let key = DatabaseKey::random();
        assert_eq!(*DatabaseKey::from_bytes(&key.to_bytes()).to_bytes(), *key.to_bytes());
    }

    #[test]
    fn derived_keys_are_frozen_because_everything_sealed_under_them_must_open() {
        let key = SymmetricKey::from_bytes([7; 32]);
        assert_eq!(
            base64url(key.derive("golden", b"context").expose()),
            "TrAmtlpuscYciZ1kx2p5LXZyfR1I6yy40baJ8c09nCs"
        );
    }

    #[test]
    fn label_and_context_both_separate_keys() {
        let key = SymmetricKey::from_bytes([7; 32]);
        let base = key.derive("a", b"b");
        for other in [
            key.derive("a", b"c"),
            key.derive("b", b"b"),
            key.derive("ab", b""),
            key.derive("", b"ab"),
        ] {
            assert_ne!(base.expose(), other.expose());
        }
        assert_eq!(base.expose(), key.derive("a", b"b").expose());
    }

    #[test]
    fn random_keys_differ() {
        assert_ne!(SymmetricKey::random().expose(), SymmetricKey::random().expose());
    }

    #[test]
    fn hkdf_agrees_with_rfc_5869_test_case_1() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let mut out = [0; 42];
        hkdf_sha256(&salt, &[0x0b; 22], &[&info], &mut out);
        let hex: String = out.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        );
    }
}
