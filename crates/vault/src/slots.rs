//! Slots: the user key wrapped under what a person types, keeps on paper or has in the system's secret store.
//!
//! The seal of a slot carries its own salt and commitment, so a wrong secret is told from damage. Its associated data binds the slot to
//! practice, device, user, kind and parameters: a slot that was moved or weakened does not open.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::bundle::BundlePlace;
use crate::keys::SymmetricKey;
use crate::passphrase::{KdfError, KdfParams, KdfSalt, Passphrase};
use crate::recovery::RecoveryKey;
use crate::seal::{self, OpenError};
use crate::text;

/// What opens a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// The passphrase. Every person has this slot.
    Passphrase,
    /// The recovery code on paper. Every person has this slot.
    Recovery,
    /// A secret kept by the operating system; a convenience, never the only slot.
    Keyring,
}

/// One wrapped user key, as it lies in the slot file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Slot {
    Passphrase {
        kdf: KdfParams,
        salt: KdfSalt,
        #[serde(with = "text::bytes")]
        sealed: Vec<u8>,
    },
    Recovery {
        #[serde(with = "text::bytes")]
        sealed: Vec<u8>,
    },
    Keyring {
        #[serde(with = "text::bytes")]
        sealed: Vec<u8>,
    },
}

/// Why a passphrase slot did not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotError {
    Open(OpenError),
    Kdf(KdfError),
}

impl From<OpenError> for SlotError {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<KdfError> for SlotError {
    fn from(error: KdfError) -> Self {
        Self::Kdf(error)
    }
}

impl Slot {
    pub(crate) fn kind(&self) -> SlotKind {
        match self {
            Self::Passphrase { .. } => SlotKind::Passphrase,
            Self::Recovery { .. } => SlotKind::Recovery,
            Self::Keyring { .. } => SlotKind::Keyring,
        }
    }

    pub(crate) fn for_passphrase(
        passphrase: &Passphrase,
        kdf: KdfParams,
        user_key: &SymmetricKey,
        place: &BundlePlace,
    ) -> Result<Self, KdfError> {
        let salt = KdfSalt::random();
        let key = passphrase.stretch(&salt, kdf)?.slot_key();
        Ok(Self::Passphrase {
            kdf,
            salt,
            sealed: seal::seal(&key, &passphrase_aad(place, kdf, &salt), user_key.expose()),
        })
    }

    pub(crate) fn for_recovery(recovery: &RecoveryKey, user_key: &SymmetricKey, place: &BundlePlace) -> Self {
        Self::Recovery {
            sealed: seal::seal(&recovery.slot_key(), &place.aad("slot/recovery/v1"), user_key.expose()),
        }
    }

    pub(crate) fn for_keyring(secret: &SymmetricKey, user_key: &SymmetricKey, place: &BundlePlace) -> Self {
        Self::Keyring {
            sealed: seal::seal(&keyring_key(secret), &place.aad("slot/keyring/v1"), user_key.expose()),
        }
    }
}

pub(crate) fn open_passphrase(
    passphrase: &Passphrase,
    kdf: KdfParams,
    salt: &KdfSalt,
    sealed: &[u8],
    place: &BundlePlace,
) -> Result<SymmetricKey, SlotError> {
    let key = passphrase.stretch(salt, kdf)?.slot_key();
    Ok(user_key(seal::open(&key, &passphrase_aad(place, kdf, salt), sealed)?)?)
}

pub(crate) fn open_recovery(
    recovery: &RecoveryKey,
    sealed: &[u8],
    place: &BundlePlace,
) -> Result<SymmetricKey, OpenError> {
    user_key(seal::open(
        &recovery.slot_key(),
        &place.aad("slot/recovery/v1"),
        sealed,
    )?)
}

pub(crate) fn open_keyring(
    secret: &SymmetricKey,
    sealed: &[u8],
    place: &BundlePlace,
) -> Result<SymmetricKey, OpenError> {
    user_key(seal::open(&keyring_key(secret), &place.aad("slot/keyring/v1"), sealed)?)
}

fn keyring_key(secret: &SymmetricKey) -> SymmetricKey {
    secret.derive("keyring-slot/v1", &[])
}

/// Frozen: place, parameters in the order m, t, p, salt.
fn passphrase_aad(place: &BundlePlace, kdf: KdfParams, salt: &KdfSalt) -> Vec<u8> {
    let mut aad = place.aad("slot/passphrase/v1");
    for number in [kdf.memory_kib, kdf.passes, kdf.lanes] {
        aad.extend_from_slice(&number.to_be_bytes());
    }
    aad.extend_from_slice(&salt.0);
    aad
}

fn user_key(bytes: Zeroizing<Vec<u8>>) -> Result<SymmetricKey, OpenError> {
    let bytes = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| OpenError::Damaged)?);
    Ok(SymmetricKey::from_bytes(*bytes))
}
