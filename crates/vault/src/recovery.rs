//! The recovery code: 160 random bits on paper, eight groups of four symbols and a ninth group that checks them.
//!
//! The code opens a slot on each of the person's devices, and a package of her keys that the service keeps: paper and service together
//! bring everything back after the last computer is lost. The code has full entropy, so no slow derivation is needed.

use caseload_domain::{PracticeId, UserId};
use zeroize::Zeroizing;

pub use crate::crockford::CodeError;

use crate::bundle::{BundleError, PortableKeys};
use crate::crockford::{self, Code};
use crate::keys::{SymmetricKey, derive_from, redacted};
use crate::{random, seal};

const LENGTH: usize = 20;
const CODE: Code<LENGTH> = Code {
    label: "recovery",
    symbols: 36,
};

/// A recovery code as it is printed.
#[derive(Clone)]
pub struct RecoveryCode(Zeroizing<[u8; LENGTH]>);

redacted!(RecoveryCode, RecoveryKey);

impl RecoveryCode {
    /// Number of groups that [`Self::groups`] gives: eight of content and one of check symbols.
    pub const GROUPS: usize = 9;

    /// A fresh random code.
    #[must_use]
    pub fn random() -> Self {
        Self::from_bytes(random::bytes())
    }

    /// The code of 20 given bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; LENGTH]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads what a person typed from the paper; case, blanks, dashes and look-alike symbols do not matter.
    ///
    /// # Errors
    /// [`CodeError`] says whether symbols are missing, unknown or mistyped.
    pub fn parse(typed: &str) -> Result<Self, CodeError> {
        CODE.parse(typed).map(Self)
    }

    /// The nine groups of four symbols.
    #[must_use]
    pub fn groups(&self) -> Zeroizing<Vec<String>> {
        CODE.groups(&self.0)
    }

    /// The groups joined by dashes.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        CODE.text(&self.0)
    }

    /// Whether a person typed back the group with this index (from zero); how it is shown that the paper exists.
    #[must_use]
    pub fn confirms_group(&self, index: usize, typed: &str) -> bool {
        self.groups()
            .get(index)
            .is_some_and(|group| crockford::same_group(group, typed))
    }

    /// The key that stands for this code.
    #[must_use]
    pub fn key(&self) -> RecoveryKey {
        RecoveryKey(derive_from(&self.0[..], "recovery/v1", &[]))
    }
}

/// What a recovery code is used as. It travels with the person's keys, so that one paper fits all her devices.
#[derive(Clone)]
pub struct RecoveryKey(SymmetricKey);

impl RecoveryKey {
    /// The secret that shows the service that somebody holds the paper, so that it hands out the package.
    #[must_use]
    pub fn login_secret(&self) -> SymmetricKey {
        self.0.derive("recovery-auth/v1", &[])
    }

    /// Seals a person's keys for the service to keep.
    #[must_use]
    pub fn seal_package(&self, practice: PracticeId, user: UserId, keys: &PortableKeys) -> Vec<u8> {
        seal::seal(&self.package_key(), &package_aad(practice, user), &keys.to_bytes())
    }

    /// Opens what [`Self::seal_package`] sealed.
    ///
    /// # Errors
    /// [`BundleError`] says whether the code is wrong, or the package is damaged or newer.
    pub fn open_package(&self, practice: PracticeId, user: UserId, blob: &[u8]) -> Result<PortableKeys, BundleError> {
        PortableKeys::from_bytes(&seal::open(&self.package_key(), &package_aad(practice, user), blob)?)
    }

    pub(crate) fn slot_key(&self) -> SymmetricKey {
        self.0.derive("recovery-slot/v1", &[])
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(SymmetricKey::from_bytes(bytes))
    }

    fn package_key(&self) -> SymmetricKey {
        self.0.derive("recovery-package/v1", &[])
    }
}

/// Frozen: the order of the fields is part of every package at the service.
fn package_aad(practice: PracticeId, user: UserId) -> Vec<u8> {
    [
        b"caseload/recovery-package/v1\0",
        practice.uuid().as_bytes().as_slice(),
        user.uuid().as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::seal::OpenError;
    use crate::text::base64url;
    use uuid::Uuid;

    fn code() -> RecoveryCode {
        let mut bytes = [0; LENGTH];
        bytes.iter_mut().zip(100..).for_each(|(byte, n)| *byte = n);
        RecoveryCode::from_bytes(bytes)
    }

    #[test]
    fn the_printed_form_is_frozen_because_it_lies_on_paper_in_a_safe() {
        assert_eq!(code().text().as_str(), "CHJP-CSV8-D5N6-PV3D-DSQQ-0WBJ-EDT7-AXKQ-SZS1");
        assert_eq!(code().groups().len(), RecoveryCode::GROUPS);
        assert_eq!(
            base64url(code().key().slot_key().expose()),
            "tmOW_E7hPynFR3IsccKGQVUjhNaOCGURvJ8Sh19ocuM"
        );
    }

    #[test]
    fn a_code_reads_back_however_it_is_typed() {
        let text = code().text().to_lowercase().replace('-', "  ");
        assert_eq!(*RecoveryCode::parse(&text).unwrap().0, *code().0);
        assert_eq!(
            RecoveryCode::parse("0000").map(drop),
            Err(CodeError::Length { expected: 36, found: 4 })
        );
    }

    #[test]
    fn groups_typed_back_are_compared_tolerantly() {
        let groups = code().groups();
        assert!(code().confirms_group(2, &format!(" {} ", groups[2].to_lowercase())));
        assert!(!code().confirms_group(2, &groups[3]));
        assert!(!code().confirms_group(9, &groups[3]), "there is no tenth group");
        assert!(!code().confirms_group(2, ""));
    }

    #[test]
    fn a_package_opens_for_this_code_this_practice_and_this_person_only() {
        let (practice, user) = (PracticeId::new(Uuid::from_u128(1)), UserId::new(Uuid::from_u128(2)));
        let keys = crate::bundle::tests::portable();
        let blob = code().key().seal_package(practice, user, &keys);
        assert_eq!(
            *code().key().open_package(practice, user, &blob).unwrap().to_bytes(),
            *keys.to_bytes()
        );
        let wrong = Some(BundleError::Sealed(OpenError::WrongKey));
        assert_eq!(
            code()
                .key()
                .open_package(practice, UserId::new(Uuid::from_u128(3)), &blob)
                .err(),
            wrong
        );
        assert_eq!(
            code()
                .key()
                .open_package(PracticeId::new(Uuid::from_u128(3)), user, &blob)
                .err(),
            wrong
        );
        assert_eq!(
            RecoveryCode::random().key().open_package(practice, user, &blob).err(),
            wrong
        );
    }
}
