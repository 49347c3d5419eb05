//! Sealed messages: authenticated encryption that tells a wrong key from damage.
//!
//! A blob is `version | suite | salt (32) | commitment (32) | ciphertext | tag (16)`. For every message a random salt and the caller's
//! associated data give a fresh AES-256-GCM key, a nonce and a commitment by HKDF-SHA256, so there is no limit from nonce reuse, and a
//! blob opens under one key only, which plain GCM does not promise. The associated data (record id, kind, version, practice) is not
//! stored: who opens the blob states what it must be.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{SymmetricKey, hkdf_sha256};
use crate::random;

const VERSION: u8 = 1;
const SUITE_AES_256_GCM_HKDF_SHA256: u8 = 1;
const SALT: usize = 32;
const COMMITMENT: usize = 32;
const HEADER: usize = 2 + SALT + COMMITMENT;
const TAG: usize = 16;

/// How many bytes a sealed message is longer than its plaintext.
pub const OVERHEAD: usize = HEADER + TAG;

/// Why a sealed message did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The key, or the associated data, is not the one the message was sealed with.
    #[error("the key does not fit")]
    WrongKey,
    /// The key is right and the content was changed.
    #[error("the sealed message is damaged")]
    Damaged,
    /// A newer program wrote the message.
    #[error("the sealed message has the newer version {0}")]
    NewerVersion(u8),
    /// The message names algorithms that this program does not know.
    #[error("the sealed message uses the unknown suite {0}")]
    UnknownSuite(u8),
    /// The message is shorter than its header.
    #[error("the sealed message is too short")]
    TooShort,
}

/// Seals `plaintext` under `key`, bound to `aad`.
#[must_use]
pub fn seal(key: &SymmetricKey, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    seal_with_salt(key, aad, plaintext, &random::bytes())
}

/// [`seal`] with a given salt, for golden tests. The salt must never repeat for different plaintexts.
fn seal_with_salt(key: &SymmetricKey, aad: &[u8], plaintext: &[u8], salt: &[u8; SALT]) -> Vec<u8> {
    let keys = MessageKeys::derive(key, aad, salt);
    let mut blob = Vec::with_capacity(OVERHEAD + plaintext.len());
    blob.extend_from_slice(&[VERSION, SUITE_AES_256_GCM_HKDF_SHA256]);
    blob.extend_from_slice(salt);
    blob.extend_from_slice(&keys.commitment);
    blob.extend_from_slice(plaintext);
    let (header, text) = blob.split_at_mut(HEADER);
    let (cipher, nonce) = keys.cipher();
    let tag = cipher
        .seal_in_place_separate_tag(nonce, Aad::from(header), text)
        .expect("a message is far shorter than 64 GiB");
    blob.extend_from_slice(tag.as_ref());
    blob
}

/// Opens a sealed message.
///
/// # Errors
/// [`OpenError`] says whether key, content or format is at fault.
pub fn open(key: &SymmetricKey, aad: &[u8], blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    match blob {
        [] | [_] => return Err(OpenError::TooShort),
        [0, ..] => return Err(OpenError::Damaged),
        [version, ..] if *version > VERSION => return Err(OpenError::NewerVersion(*version)),
        [_, suite, ..] if *suite != SUITE_AES_256_GCM_HKDF_SHA256 => return Err(OpenError::UnknownSuite(*suite)),
        _ if blob.len() < OVERHEAD => return Err(OpenError::TooShort),
        _ => {}
    }
    let (header, sealed) = blob.split_at(HEADER);
    let (salt, commitment) = header[2..].split_at(SALT);
    let keys = MessageKeys::derive(key, aad, salt);
    if !equal_in_constant_time(&keys.commitment, commitment) {
        return Err(OpenError::WrongKey);
    }
    let mut text = Zeroizing::new(sealed.to_vec());
    let (cipher, nonce) = keys.cipher();
    let length = cipher
        .open_in_place(nonce, Aad::from(header), &mut text)
        .map_err(|_| OpenError::Damaged)?
        .len();
    text.truncate(length);
    Ok(text)
}

struct MessageKeys {
    key: Zeroizing<[u8; 32]>,
    nonce: [u8; NONCE_LEN],
    commitment: [u8; COMMITMENT],
}

impl MessageKeys {
    fn derive(key: &SymmetricKey, aad: &[u8], salt: &[u8]) -> Self {
        let mut out = Zeroizing::new([0; 32 + NONCE_LEN + COMMITMENT]);
        hkdf_sha256(
            salt,
            key.expose(),
            &[b"caseload/sealed/v1", digest(&SHA256, aad).as_ref()],
            &mut out[..],
        );
        let mut keys = Self {
            key: Zeroizing::new([0; 32]),
            nonce: [0; NONCE_LEN],
            commitment: [0; COMMITMENT],
        };
        keys.key.copy_from_slice(&out[..32]);
        keys.nonce.copy_from_slice(&out[32..32 + NONCE_LEN]);
        keys.commitment.copy_from_slice(&out[32 + NONCE_LEN..]);
        keys
    }

    fn cipher(&self) -> (LessSafeKey, Nonce) {
        let key = UnboundKey::new(&AES_256_GCM, &self.key[..]).expect("32 bytes are an AES-256 key");
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(self.nonce))
    }
}

/// Compares without telling by its duration where two strings differ.
pub(crate) fn equal_in_constant_time(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::text::base64url;
    use proptest::prelude::*;

    fn key() -> SymmetricKey {
        SymmetricKey::from_bytes([9; 32])
    }

    #[test]
    fn the_bytes_are_frozen_because_everything_at_rest_is_sealed_like_this() {
        let blob = seal_with_salt(&key(), b"practice|record", b"plaintext", &[5; 32]);
        assert_eq!(
            base64url(&blob),
            "AQEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBb7gM7fch6S2k_OjUH2beQ4sYkAWIgZnoucdss7l67-ovzf5eRilrNjRotPeWFoFU-vjUOOhTp2KHA"
        );
        assert_eq!(blob.len(), OVERHEAD + 9);
        assert_eq!(
            open(&key(), b"practice|record", &blob).unwrap().as_slice(),
            b"plaintext"
        );
    }

    #[test]
    fn another_key_or_other_associated_data_is_a_wrong_key() {
        let blob = seal(&key(), b"one", b"text");
        assert_eq!(open(&SymmetricKey::random(), b"one", &blob), Err(OpenError::WrongKey));
        assert_eq!(open(&key(), b"two", &blob), Err(OpenError::WrongKey));
    }

    #[test]
    fn every_changed_byte_and_every_cut_gives_a_typed_error() {
        let blob = seal(&key(), b"aad", b"some text");
        for index in 0..blob.len() {
            for change in [1, 0x80, 0xff] {
                let mut changed = blob.clone();
                changed[index] ^= change;
                let expected = match index {
                    0 if changed[0] == 0 => OpenError::Damaged,
                    0 => OpenError::NewerVersion(changed[0]),
                    1 => OpenError::UnknownSuite(changed[1]),
                    2..HEADER => OpenError::WrongKey,
                    _ => OpenError::Damaged,
                };
                assert_eq!(
                    open(&key(), b"aad", &changed),
                    Err(expected),
                    "byte {index} changed by {change}"
                );
            }
            let cut = open(&key(), b"aad", &blob[..index]);
            assert_eq!(
                cut,
                Err(if index < OVERHEAD {
                    OpenError::TooShort
                } else {
                    OpenError::Damaged
                }),
                "cut at {index}"
            );
        }
        let longer = [blob.as_slice(), b"\0"].concat();
        assert_eq!(open(&key(), b"aad", &longer), Err(OpenError::Damaged));
    }

    #[test]
    fn sealing_twice_gives_different_bytes() {
        assert_ne!(seal(&key(), b"", b"same"), seal(&key(), b"", b"same"));
    }

    proptest! {
        #![proptest_config(crate::drawn(200))]

        #[test]
        fn what_was_sealed_opens_to_the_same_bytes(text: Vec<u8>, aad: Vec<u8>, bytes: [u8; 32]) {
            let key = SymmetricKey::from_bytes(bytes);
            prop_assert_eq!(open(&key, &aad, &seal(&key, &aad, &text)).unwrap().to_vec(), text);
        }

        #[test]
        fn arbitrary_bytes_never_open_and_never_panic(blob: Vec<u8>) {
            prop_assert!(open(&key(), b"aad", &blob).is_err());
        }
    }
}
