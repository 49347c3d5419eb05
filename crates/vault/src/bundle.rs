//! The keys of one person: those that go with her to every device, and those of one device.
//!
//! The binary forms are `version | flags | fields in the order of the struct`; optional fields are present when their flag bit is
//! set. They exist only sealed.

use caseload_domain::{DeviceId, PracticeId, UserId};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{DatabaseKey, SymmetricKey, redacted};
use crate::recovery::RecoveryKey;
use crate::seal::{self, OpenError};
use crate::signing::{PublicKey, SigningKey};

const VERSION: u8 = 1;
const HAS_ROOT: u8 = 1;
const HAS_CLINICAL: u8 = 2;

/// Why sealed keys were not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BundleError {
    /// The seal did not open.
    #[error("the sealed keys did not open")]
    Sealed(#[from] OpenError),
    /// The seal opened and the content has the newer version given here.
    #[error("the keys were written by a newer program (version {0})")]
    NewerVersion(u8),
    /// The seal opened and the content is not what a program writes.
    #[error("the keys are malformed")]
    Malformed,
}

/// Who a person is: the same on all her devices.
#[derive(Clone)]
pub struct Identity {
    /// Signs her changes and her notes.
    pub signing: SigningKey,
    /// Seals her private notes; nobody else ever has it.
    pub private_notes: SymmetricKey,
    /// Stands for her recovery code, so that each device can have a slot for the one paper.
    pub recovery: RecoveryKey,
    /// What every certificate of the practice is checked against.
    pub practice_root: PublicKey,
    /// The practice root itself; with the owner only.
    pub root_signing: Option<SigningKey>,
}

/// What a person takes to another device of hers.
#[derive(Clone)]
pub struct PortableKeys {
    /// Seals her bundle on each device.
    pub user_key: SymmetricKey,
    /// Who she is.
    pub identity: Identity,
}

/// All keys of one person on one device.
#[derive(Clone)]
pub struct Bundle {
    /// Who she is.
    pub identity: Identity,
    /// Opens `office.db` of this device; the same for everybody who works on it.
    pub device: DatabaseKey,
    /// Opens her clinical file on this device, when her role has one.
    pub clinical: Option<DatabaseKey>,
}

redacted!(Identity, PortableKeys, Bundle);

impl Identity {
    /// The keys of a person new to the practice whose root is `practice_root`.
    #[must_use]
    pub fn fresh(practice_root: PublicKey, recovery: RecoveryKey) -> Self {
        Self {
            signing: SigningKey::generate(),
            private_notes: SymmetricKey::random(),
            recovery,
            practice_root,
            root_signing: None,
        }
    }

    /// The keys of the owner of a new practice: root included.
    #[must_use]
    pub fn fresh_owner(recovery: RecoveryKey) -> Self {
        let root = SigningKey::generate();
        Self {
            root_signing: Some(root.clone()),
            ..Self::fresh(root.public(), recovery)
        }
    }

    fn write(&self, out: &mut Zeroizing<Vec<u8>>) {
        out.extend_from_slice(self.signing.seed());
        out.extend_from_slice(self.private_notes.expose());
        out.extend_from_slice(self.recovery.expose());
        out.extend_from_slice(&self.practice_root.0);
        if let Some(root) = &self.root_signing {
            out.extend_from_slice(root.seed());
        }
    }

    fn read(reader: &mut Reader<'_>, flags: u8) -> Result<Self, BundleError> {
        let identity = Self {
            signing: SigningKey::from_seed(&*reader.take()?),
            private_notes: SymmetricKey::from_bytes(*reader.take()?),
            recovery: RecoveryKey::from_bytes(*reader.take()?),
            practice_root: PublicKey(*reader.take()?),
            root_signing: if flags & HAS_ROOT == 0 {
                None
            } else {
                Some(SigningKey::from_seed(&*reader.take()?))
            },
        };
        match &identity.root_signing {
            Some(root) if root.public() != identity.practice_root => Err(BundleError::Malformed),
            _ => Ok(identity),
        }
    }

    fn flags(&self) -> u8 {
        if self.root_signing.is_some() { HAS_ROOT } else { 0 }
    }
}

impl PortableKeys {
    /// The unsealed form.
    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(256));
        out.extend_from_slice(&[VERSION, self.identity.flags()]);
        out.extend_from_slice(self.user_key.expose());
        self.identity.write(&mut out);
        out
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let (mut reader, flags) = Reader::start(bytes, HAS_ROOT)?;
        let user_key = SymmetricKey::from_bytes(*reader.take()?);
        let identity = Identity::read(&mut reader, flags)?;
        reader.finish()?;
        Ok(Self { user_key, identity })
    }
}

/// Whose bundle it is and where: bound to the seal, so that bundles cannot be swapped. The order of the fields is frozen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BundlePlace {
    pub(crate) practice: PracticeId,
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
}

impl BundlePlace {
    pub(crate) fn aad(&self, purpose: &str) -> Vec<u8> {
        let mut aad = Vec::with_capacity(96);
        aad.extend_from_slice(b"caseload/");
        aad.extend_from_slice(purpose.as_bytes());
        aad.push(0);
        aad.extend_from_slice(self.practice.uuid().as_bytes());
        aad.extend_from_slice(self.device.uuid().as_bytes());
        aad.extend_from_slice(self.user.uuid().as_bytes());
        aad
    }
}

impl Bundle {
    pub(crate) fn seal(&self, user_key: &SymmetricKey, place: &BundlePlace) -> Vec<u8> {
        seal::seal(user_key, &place.aad("bundle/v1"), &self.to_bytes())
    }

    pub(crate) fn open(user_key: &SymmetricKey, place: &BundlePlace, blob: &[u8]) -> Result<Self, BundleError> {
        Self::from_bytes(&seal::open(user_key, &place.aad("bundle/v1"), blob)?)
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(384));
        let clinical = if self.clinical.is_some() { HAS_CLINICAL } else { 0 };
        out.extend_from_slice(&[VERSION, self.identity.flags() | clinical]);
        self.identity.write(&mut out);
        out.extend_from_slice(&self.device.to_bytes()[..]);
        if let Some(key) = &self.clinical {
            out.extend_from_slice(&key.to_bytes()[..]);
        }
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let (mut reader, flags) = Reader::start(bytes, HAS_ROOT | HAS_CLINICAL)?;
        let identity = Identity::read(&mut reader, flags)?;
        let device = DatabaseKey::from_bytes(&*reader.take()?);
        let clinical = if flags & HAS_CLINICAL == 0 {
            None
        } else {
            Some(DatabaseKey::from_bytes(&*reader.take()?))
        };
        reader.finish()?;
        Ok(Self {
            identity,
            device,
            clinical,
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn start(bytes: &'a [u8], known_flags: u8) -> Result<(Self, u8), BundleError> {
        match bytes {
            [version, ..] if *version > VERSION => Err(BundleError::NewerVersion(*version)),
            [VERSION, flags, rest @ ..] if flags & !known_flags == 0 => Ok((Self(rest), *flags)),
            _ => Err(BundleError::Malformed),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<Zeroizing<[u8; N]>, BundleError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(BundleError::Malformed)?;
        self.0 = rest;
        Ok(Zeroizing::new(*head))
    }

    fn finish(self) -> Result<(), BundleError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(BundleError::Malformed)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::*;
    use crate::text::base64url;

    /// The same keys on every run.
    pub(crate) fn portable() -> PortableKeys {
        let root = SigningKey::from_seed(&[0x55; 32]);
        PortableKeys {
            user_key: SymmetricKey::from_bytes([0x11; 32]),
            identity: Identity {
                signing: SigningKey::from_seed(&[0x22; 32]),
                private_notes: SymmetricKey::from_bytes([0x33; 32]),
                recovery: RecoveryKey::from_bytes([0x44; 32]),
                practice_root: root.public(),
                root_signing: Some(root),
            },
        }
    }

    fn bundle() -> Bundle {
        Bundle {
            identity: portable().identity,
            device: DatabaseKey::from_bytes(&[0x66; 48]),
            clinical: Some(DatabaseKey::from_bytes(&[0x77; 48])),
        }
    }

    #[test]
    fn the_bytes_are_frozen_because_keys_that_cannot_be_read_are_lost() {
        assert_eq!(
            base64url(&portable().to_bytes()),
            "AQERERERERERERERERERERERERERERERERERERERERERESIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzNERERERERERERERERERERERERERERERERERERERERERMaCJjfH0xDsV2J74AuiWdJTdJ9Kr2REcM_75To19zJCVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVU"
        );
        assert_eq!(
            base64url(&bundle().to_bytes()),
            "AQMiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIjMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzRERERERERERERERERERERERERERERERERERERERERETGgiY3x9MQ7Fdie-ALolnSU3SfSq9kRHDP--U6NfcyQlVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmd3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3"
        );
    }

    #[test]
    fn every_combination_of_optional_keys_survives() {
        for (root, clinical) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut bundle = bundle();
            bundle.identity.root_signing = bundle.identity.root_signing.filter(|_| root);
            bundle.clinical = bundle.clinical.filter(|_| clinical);
            let bytes = bundle.to_bytes();
            let read = Bundle::from_bytes(&bytes).unwrap();
            assert_eq!(*read.to_bytes(), *bytes);
            assert_eq!(
                (read.identity.root_signing.is_some(), read.clinical.is_some()),
                (root, clinical)
            );
        }
    }

    #[test]
    fn cut_longer_and_unknown_forms_are_typed_errors() {
        let bytes = bundle().to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Bundle::from_bytes(&bytes[..length]).err(), Some(BundleError::Malformed));
        }
        assert_eq!(
            Bundle::from_bytes(&[&bytes[..], b"x"].concat()).err(),
            Some(BundleError::Malformed)
        );
        for (version, flags, error) in [
            (2, 3, BundleError::NewerVersion(2)),
            (0, 3, BundleError::Malformed),
            (1, 7, BundleError::Malformed),
            (1, 1, BundleError::Malformed),
        ] {
            let mut changed = bytes.clone();
            (changed[0], changed[1]) = (version, flags);
            assert_eq!(Bundle::from_bytes(&changed).err(), Some(error));
        }
    }

    #[test]
    fn a_root_seed_that_is_not_the_practice_roots_is_refused() {
        let mut keys = portable();
        keys.identity.practice_root = SigningKey::generate().public();
        assert_eq!(
            PortableKeys::from_bytes(&keys.to_bytes()).err(),
            Some(BundleError::Malformed)
        );
    }
}
