//! Ed25519 signing keys, public keys and signatures.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{DatabaseKey, SymmetricKey, redacted};
use crate::{random, text};

/// An Ed25519 private key, kept as its 32-byte seed.
#[derive(Clone)]
pub struct SigningKey {
    seed: Zeroizing<[u8; 32]>,
    public: PublicKey,
}

redacted!(SigningKey);

impl SigningKey {
    /// A fresh random key.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_seed(&Zeroizing::new(random::bytes()))
    }

    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut public = [0; 32];
        public.copy_from_slice(pair(seed).public_key().as_ref());
        Self {
            seed: Zeroizing::new(*seed),
            public: PublicKey(public),
        }
    }

    /// The key whose seed is a derived key.
    #[must_use]
    pub fn from_key(key: &SymmetricKey) -> Self {
        Self::from_seed(key.expose())
    }

    /// The key by which a device signs in to the service; derived from the device key, so whoever opens `office.db` has it.
    #[must_use]
    pub fn of_device(device_key: &DatabaseKey) -> Self {
        Self::from_key(&device_key.derive("device-signing/v1", &[]))
    }

    /// The seed, for storing the key sealed.
    #[must_use]
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs `message`. Signatures are deterministic.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(pair(&self.seed).sign(message).as_ref());
        Signature(bytes)
    }
}

/// The pair is rebuilt for each use because `ring` does not wipe it.
fn pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an Ed25519 seed")
}

/// An Ed25519 public key; base64url in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(#[serde(with = "text::array")] pub [u8; 32]);

/// A signature was not made by this key over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

impl PublicKey {
    /// Checks that `signature` is this key's over `message`.
    ///
    /// # Errors
    /// [`BadSignature`] when it is not.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, &signature.0)
            .map_err(|_| BadSignature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::base64url(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// An Ed25519 signature; base64url in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Signature(#[serde(with = "text::array")] pub [u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::base64url(&self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", text::base64url(&self.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let mut out = [0; N];
        for (index, byte) in out.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).unwrap();
        }
        out
    }

    #[test]
    fn signing_agrees_with_rfc_8032_test_2() {
        let key = SigningKey::from_seed(&hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
        assert_eq!(
            key.public().0,
            hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
        );
        let signature = key.sign(&[0x72]);
        assert_eq!(
            signature.0,
            hex(concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ))
        );
        assert_eq!(key.public().verify(&[0x72], &signature), Ok(()));
    }

    #[test]
    fn a_changed_message_signature_or_key_does_not_verify() {
        let key = SigningKey::generate();
        let signature = key.sign(b"message");
        assert_eq!(key.public().verify(b"messagE", &signature), Err(BadSignature));
        assert_eq!(
            SigningKey::generate().public().verify(b"message", &signature),
            Err(BadSignature)
        );
        for index in 0..64 {
            let mut changed = signature;
            changed.0[index] ^= 1;
            assert_eq!(key.public().verify(b"message", &changed), Err(BadSignature));
        }
    }

    #[test]
    fn keys_and_signatures_travel_as_base64url() {
        let key = SigningKey::from_seed(&[1; 32]);
        let json = serde_json::to_string(&(key.public(), key.sign(b"x"))).unwrap();
        assert_eq!(
            serde_json::from_str::<(PublicKey, Signature)>(&json).unwrap(),
            (key.public(), key.sign(b"x"))
        );
        assert!(!json.contains(['+', '/', '=']));
        assert!(
            serde_json::from_str::<PublicKey>("\"AAAA\"").is_err(),
            "the length is checked"
        );
    }

    #[test]
    fn the_device_key_gives_a_frozen_signing_key_because_the_service_knows_its_public_half() {
        assert_eq!(
            SigningKey::of_device(&DatabaseKey::from_bytes(&[3; 48]))
                .public()
                .to_string(),
            "26vEuIF02-J1WVd2HYJd3BEjA6aipDq4DM77ri28cN0"
        );
    }
}
