//! Why a vault did not open or change.

use thiserror::Error;

use crate::bundle::BundleError;
use crate::heads::HeadCheck;
use crate::passphrase::KdfError;
use crate::seal::OpenError;
use crate::slot_file::SlotFileError;

/// Why a vault did not unlock. Nothing was written.
#[derive(Debug, Error)]
pub enum UnlockError {
    /// The slot file could not be read.
    #[error(transparent)]
    File(#[from] SlotFileError),
    /// Nobody with this id works on the device.
    #[error("this person does not work on this device")]
    UserUnknown,
    /// The person has no slot of this kind.
    #[error("this way of unlocking is not set up")]
    NoSuchSlot,
    /// The passphrase is another one.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The recovery code is another one.
    #[error("the recovery code is wrong")]
    WrongRecoveryCode,
    /// The system's secret store holds another secret than this slot was made with.
    #[error("the secret of the keyring is wrong")]
    WrongKeyringSecret,
    /// The passphrase could not be stretched.
    #[error("the passphrase could not be checked")]
    Kdf(#[source] KdfError),
    /// The slot is damaged although the file's digest fits.
    #[error("the slot is damaged")]
    DamagedSlot(#[source] OpenError),
    /// The slot opened and the keys behind it did not.
    #[error("the keys could not be read")]
    Bundle(#[source] BundleError),
}

/// Why a vault was not changed.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The slot file could not be read or written.
    #[error(transparent)]
    File(#[from] SlotFileError),
    /// The passphrase could not be stretched.
    #[error("the passphrase could not be prepared")]
    Kdf(#[from] KdfError),
    /// The person works on this device already.
    #[error("this person works on this device already")]
    UserExists,
    /// The slot file on disk no longer has this person, or belongs to another practice or device.
    #[error("the slot file belongs to somebody else")]
    Foreign,
    /// A person's keys belong to another practice.
    #[error("these keys belong to another practice")]
    OtherPractice,
    /// The person has no file of this kind.
    #[error("this person has no such database file")]
    NoSuchFile,
    /// The head is older than the recorded one, or the recorded one is forged or of another database.
    #[error("the recorded head does not allow this")]
    HeadRefused(HeadCheck),
}
