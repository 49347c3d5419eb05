//! Why a command did not do what was asked: the inner faults, and the one place where they become the public error and are logged.

use std::io::ErrorKind;

use caseload_documents::DocumentError;
use caseload_domain::canonical::CanonicalError;
use caseload_domain::document::{FieldProblem as DomainProblem, Problem};
use caseload_protocol::messages::{Refusal, WireErrorCode};
use caseload_store::{ApplyError, CreateError, FileError, LockError, OpenError, StorageError, WriteError};
use caseload_sync::TransportError;
use caseload_sync::engine::SyncError;
use caseload_vault::bundle::BundleError;
use caseload_vault::certificates::ChainError;
use caseload_vault::enrolment::InvitationError;
use caseload_vault::keyring_slot::KeyringError;
use caseload_vault::passphrase::WeakPassphrase;
use caseload_vault::slot_file::SlotFileError;
use caseload_vault::vault::{ChangeError, UnlockError};
use thiserror::Error;

use crate::dto::{AppError, ErrorCode, FieldError, FieldProblem};

/// Why a command stopped. Nothing was changed.
#[derive(Debug, Error)]
pub(crate) enum Fault {
    /// What was asked has fields that cannot be taken as they are.
    #[error("{} fields cannot be taken as they are", .0.len())]
    Fields(Vec<FieldError>),
    /// A rule of the practice or the present state of the program forbids it.
    #[error("refused: {0:?}")]
    Rule(ErrorCode),
    #[error("the file failed")]
    Storage(#[from] StorageError),
    #[error("the change was not made")]
    Write(#[from] WriteError),
    #[error("the file was not opened")]
    Open(#[from] OpenError),
    #[error("the file was not made")]
    Create(#[from] CreateError),
    #[error("the profile was not taken")]
    Profile(#[from] LockError),
    #[error("the keys were not unlocked")]
    Unlock(#[from] UnlockError),
    #[error("the keys were not changed")]
    Keys(#[from] ChangeError),
    #[error("the slot file was not read")]
    SlotFile(#[from] SlotFileError),
    #[error("the system's keyring did not serve")]
    Keyring(#[from] KeyringError),
    #[error("the passphrase is too weak")]
    WeakPassphrase(#[from] WeakPassphrase),
    #[error("the enrolment line cannot be used")]
    Invitation(#[from] InvitationError),
    #[error("the parcel of the enrolment cannot be opened")]
    Parcel(#[from] BundleError),
    #[error("the certificates do not hold")]
    Chain(#[from] ChainError),
    #[error("the service was not reached or refused")]
    Transport(#[from] TransportError),
    #[error("sharing did not finish")]
    Sync(#[from] SyncError),
    #[error("the document was not printed")]
    Document(#[from] DocumentError),
    #[error("the content has no canonical form")]
    Canonical(#[from] CanonicalError),
    #[error("a file of the profile cannot be used")]
    Files(#[from] std::io::Error),
    /// A background task ended abnormally.
    #[error("a task ended abnormally")]
    Task(#[from] tokio::task::JoinError),
}

impl Fault {
    /// One field with one problem.
    pub(crate) fn field(path: impl Into<String>, problem: FieldProblem) -> Self {
        Self::Fields(vec![FieldError {
            path: path.into(),
            problem,
        }])
    }

    /// The public code, and whether the same request may succeed later without being changed.
    pub(crate) fn code(&self) -> (ErrorCode, bool) {
        match self {
            Self::Fields(_) | Self::WeakPassphrase(_) => (ErrorCode::InvalidFields, false),
            Self::Rule(code) => (*code, false),
            Self::Storage(error) => storage(error),
            Self::Write(error) => write(error),
            Self::Open(error) => open(error),
            Self::Create(CreateError::Exists) => (ErrorCode::PracticeExists, false),
            Self::Create(CreateError::Io(error)) => disk(error),
            Self::Create(CreateError::Storage(error)) => storage(error),
            Self::Profile(LockError::InUse) => (ErrorCode::ProfileInUse, true),
            Self::Profile(LockError::Io(error)) | Self::Files(error) => disk(error),
            Self::Unlock(error) => unlock(error),
            Self::Keys(error) => keys(error),
            Self::SlotFile(error) => slot_file(error),
            Self::Keyring(_) => (ErrorCode::KeyringUnavailable, true),
            Self::Invitation(error) => invitation(*error),
            Self::Parcel(_) | Self::Chain(_) => (ErrorCode::CodeRefused, false),
            Self::Transport(error) => transport(error),
            Self::Sync(error) => sync(error),
            Self::Document(_) => (ErrorCode::DocumentFailed, false),
            Self::Canonical(_) => (ErrorCode::InvalidRequest, false),
            Self::Task(_) => (ErrorCode::Internal, false),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Fields(fields) => fields.clone(),
            Self::WeakPassphrase(weak) => {
                let problem = match weak {
                    WeakPassphrase::TooShort { .. } => FieldProblem::TooShort,
                    WeakPassphrase::TooLong => FieldProblem::TooLong,
                    WeakPassphrase::Common | WeakPassphrase::Pattern | WeakPassphrase::KnownNames => {
                        FieldProblem::Malformed
                    }
                };
                vec![FieldError {
                    path: "passphrase".to_owned(),
                    problem,
                }]
            }
            Self::Write(WriteError::Invalid(problems)) => problems.iter().map(field_error).collect(),
            _ => Vec::new(),
        }
    }

    /// The public error of the command `name`; logs the whole chain of causes once.
    pub(crate) fn told(&self, name: &'static str) -> AppError {
        let (code, retry) = self.code();
        let causes = causes(self);
        match code {
            ErrorCode::Internal
            | ErrorCode::StoreDamaged
            | ErrorCode::KeysDamaged
            | ErrorCode::DiskError
            | ErrorCode::DiskFull => {
                tracing::error!(command = name, ?code, causes, "a command failed");
            }
            _ => tracing::debug!(command = name, ?code, causes, "a command was refused"),
        }
        AppError {
            code,
            fields: self.fields(),
            retry,
        }
    }
}

impl From<ErrorCode> for Fault {
    fn from(code: ErrorCode) -> Self {
        Self::Rule(code)
    }
}

/// What a command answers to the outside.
pub(crate) fn answer<T>(name: &'static str, done: Result<T, Fault>) -> Result<T, AppError> {
    done.map_err(|fault| fault.told(name))
}

/// The errors below carry no client data in their texts, and neither does the chain.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn disk(error: &std::io::Error) -> (ErrorCode, bool) {
    match error.kind() {
        ErrorKind::StorageFull => (ErrorCode::DiskFull, true),
        _ => (ErrorCode::DiskError, true),
    }
}

const fn storage(error: &StorageError) -> (ErrorCode, bool) {
    match error {
        StorageError::Full(_) => (ErrorCode::DiskFull, true),
        StorageError::Io(_) | StorageError::Failed | StorageError::Busy(_) => (ErrorCode::DiskError, true),
        StorageError::Corrupt(_) | StorageError::Unreadable(_) => (ErrorCode::StoreDamaged, false),
        StorageError::Sql(_) => (ErrorCode::Internal, false),
    }
}

const fn write(error: &WriteError) -> (ErrorCode, bool) {
    match error {
        WriteError::Invalid(_) => (ErrorCode::InvalidFields, false),
        WriteError::Missing | WriteError::Voided => (ErrorCode::NotFound, false),
        WriteError::Exists | WriteError::NotASet { .. } => (ErrorCode::InvalidRequest, false),
        WriteError::Frozen { .. } | WriteError::Immutable { .. } => (ErrorCode::Immutable, false),
        WriteError::ServiceUnit { .. } | WriteError::WrongFile => (ErrorCode::Forbidden, false),
        WriteError::NotAllowedNow { .. } => (ErrorCode::TransitionRefused, false),
        WriteError::ReasonRequired => (ErrorCode::ReasonRequired, false),
        WriteError::TooLarge => (ErrorCode::TooLarge, false),
        WriteError::NeedsNewerProgram | WriteError::UnknownKind => (ErrorCode::UpgradeRequired, false),
        WriteError::Storage(error) => storage(error),
    }
}

fn open(error: &OpenError) -> (ErrorCode, bool) {
    match error {
        OpenError::Missing => (ErrorCode::StoreMissing, false),
        OpenError::WrongKey => (ErrorCode::KeysDamaged, false),
        OpenError::Damaged(_) | OpenError::ForeignFile => (ErrorCode::StoreDamaged, false),
        OpenError::Newer { .. } => (ErrorCode::StoreNewer, false),
        OpenError::RolledBack => (ErrorCode::StoreRolledBack, false),
        OpenError::Locked => (ErrorCode::ProfileInUse, true),
        OpenError::Io(error) => disk(error),
        OpenError::Storage(error) => storage(error),
    }
}

const fn slot_file(error: &SlotFileError) -> (ErrorCode, bool) {
    match error {
        SlotFileError::Missing => (ErrorCode::KeysMissing, false),
        SlotFileError::Damaged => (ErrorCode::KeysDamaged, false),
        SlotFileError::Newer(_) => (ErrorCode::StoreNewer, false),
        SlotFileError::Exists => (ErrorCode::PracticeExists, false),
        SlotFileError::Read(_) | SlotFileError::Write(_) => (ErrorCode::DiskError, true),
    }
}

const fn unlock(error: &UnlockError) -> (ErrorCode, bool) {
    match error {
        UnlockError::File(error) => slot_file(error),
        UnlockError::UserUnknown => (ErrorCode::NotFound, false),
        UnlockError::NoSuchSlot | UnlockError::WrongKeyringSecret => (ErrorCode::KeyringUnavailable, false),
        UnlockError::WrongPassphrase => (ErrorCode::WrongPassphrase, false),
        UnlockError::WrongRecoveryCode => (ErrorCode::RecoveryMismatch, false),
        UnlockError::Kdf(_) => (ErrorCode::Internal, true),
        UnlockError::DamagedSlot(_) | UnlockError::Bundle(_) => (ErrorCode::KeysDamaged, false),
    }
}

const fn keys(error: &ChangeError) -> (ErrorCode, bool) {
    match error {
        ChangeError::File(error) => slot_file(error),
        ChangeError::Kdf(_) => (ErrorCode::Internal, true),
        ChangeError::UserExists => (ErrorCode::InvalidRequest, false),
        ChangeError::Foreign => (ErrorCode::KeysDamaged, false),
        ChangeError::OtherPractice => (ErrorCode::ForeignPractice, false),
        ChangeError::NoSuchFile => (ErrorCode::Forbidden, false),
        ChangeError::HeadRefused(_) => (ErrorCode::StoreRolledBack, false),
    }
}

const fn invitation(error: InvitationError) -> (ErrorCode, bool) {
    match error {
        InvitationError::NotAnInvitation | InvitationError::Damaged => (ErrorCode::CodeMalformed, false),
        InvitationError::Newer => (ErrorCode::UpgradeRequired, false),
        InvitationError::Address => (ErrorCode::InvalidFields, false),
        InvitationError::PlainHttp => (ErrorCode::InsecureAddress, false),
    }
}

const fn transport(error: &TransportError) -> (ErrorCode, bool) {
    match error {
        TransportError::Unreachable(_) => (ErrorCode::Offline, true),
        TransportError::WrongPin => (ErrorCode::PinMismatch, false),
        TransportError::Unreadable => (ErrorCode::ServiceFailed, false),
        TransportError::Address => (ErrorCode::InsecureAddress, false),
        TransportError::Refused { code, .. } => (wire(*code), code.is_retryable()),
    }
}

const fn wire(code: WireErrorCode) -> ErrorCode {
    match code {
        WireErrorCode::Malformed => ErrorCode::InvalidRequest,
        WireErrorCode::TooLarge => ErrorCode::TooLarge,
        WireErrorCode::UpgradeRequired => ErrorCode::UpgradeRequired,
        WireErrorCode::AuthExpired | WireErrorCode::AuthFailed => ErrorCode::SignInRefused,
        WireErrorCode::Forbidden => ErrorCode::Forbidden,
        WireErrorCode::DeviceRevoked => ErrorCode::DeviceRevoked,
        WireErrorCode::ForeignPractice => ErrorCode::ForeignPractice,
        WireErrorCode::AlreadyClaimed => ErrorCode::AlreadyPublished,
        WireErrorCode::CodeUnknown | WireErrorCode::ChainInvalid => ErrorCode::CodeRefused,
        WireErrorCode::CodeExpired => ErrorCode::CodeExpired,
        WireErrorCode::NotFound => ErrorCode::NotFound,
        WireErrorCode::Busy => ErrorCode::ServiceBusy,
        WireErrorCode::StorageUnavailable => ErrorCode::ServiceStorage,
        WireErrorCode::UnsupportedEncoding
        | WireErrorCode::MutationGap
        | WireErrorCode::DeviceForked
        | WireErrorCode::CursorTooOld
        | WireErrorCode::EpochChanged
        | WireErrorCode::HistoryDiverged
        | WireErrorCode::WrongOffset
        | WireErrorCode::WrongHash
        | WireErrorCode::Internal => ErrorCode::ServiceFailed,
    }
}

fn sync(error: &SyncError) -> (ErrorCode, bool) {
    match error {
        SyncError::Transport(error) => transport(error),
        SyncError::Storage(error) => storage(error),
        SyncError::Apply(ApplyError::Storage(error)) => storage(error),
        SyncError::File(FileError::Io(error)) if error.kind() == ErrorKind::StorageFull => disk(error),
        SyncError::File(_) => (ErrorCode::DiskError, false),
        SyncError::Apply(_) | SyncError::CannotRecover => (ErrorCode::ServiceFailed, false),
        SyncError::UpgradeRequired => (ErrorCode::UpgradeRequired, false),
        SyncError::Revoked => (ErrorCode::DeviceRevoked, false),
        SyncError::Interrupted => (ErrorCode::Internal, true),
    }
}

/// The public code of a change that the service refused.
pub(crate) const fn refusal(why: Refusal) -> ErrorCode {
    match why {
        Refusal::Invalid => ErrorCode::InvalidFields,
        Refusal::Forbidden | Refusal::ServiceUnit => ErrorCode::Forbidden,
        Refusal::Exists | Refusal::Group => ErrorCode::InvalidRequest,
        Refusal::Missing => ErrorCode::NotFound,
        Refusal::Immutable => ErrorCode::Immutable,
        Refusal::Integrity | Refusal::Signature => ErrorCode::SignatureInvalid,
        Refusal::NotAllowedNow => ErrorCode::TransitionRefused,
        Refusal::ReasonRequired => ErrorCode::ReasonRequired,
        Refusal::NotFree => ErrorCode::SlotTaken,
        Refusal::TooLarge => ErrorCode::TooLarge,
        Refusal::UnknownKind => ErrorCode::UpgradeRequired,
    }
}

fn field_error(problem: &DomainProblem) -> FieldError {
    let kind = match problem.problem {
        Problem::Required => FieldProblem::Required,
        Problem::Malformed | Problem::NotAllowedNow | Problem::NotStorable => FieldProblem::Malformed,
        Problem::TooLong => FieldProblem::TooLong,
        Problem::OutOfRange | Problem::EndNotAfterStart => FieldProblem::OutOfRange,
        Problem::NoSuchDate => FieldProblem::NotADate,
        Problem::UnknownZone => FieldProblem::UnknownZone,
    };
    FieldError {
        path: problem.path.clone(),
        problem: kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_as_one_that_goes_on_wherever_it_shows() {
        let full = || {
            StorageError::Full(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
                None,
            ))
        };
        let no_room = || std::io::Error::from(ErrorKind::StorageFull);
        for fault in [
            Fault::Storage(full()),
            Fault::Write(WriteError::Storage(full())),
            Fault::Create(CreateError::Storage(full())),
            Fault::Sync(SyncError::Storage(full())),
            Fault::Sync(SyncError::Apply(ApplyError::Storage(full()))),
            Fault::Sync(SyncError::File(FileError::Io(no_room()))),
            Fault::Sync(SyncError::from(FileError::Storage(full()))),
            Fault::Files(no_room()),
        ] {
            assert_eq!(fault.code(), (ErrorCode::DiskFull, true), "{fault:?}");
        }
        let broken = std::io::Error::from(ErrorKind::PermissionDenied);
        assert_eq!(Fault::Files(broken).code(), (ErrorCode::DiskError, true));
    }

    #[test]
    fn a_program_that_is_too_old_is_told_so_wherever_it_shows_and_does_not_try_again_by_itself() {
        let refused = || TransportError::Refused {
            code: WireErrorCode::UpgradeRequired,
            retry_after_ms: None,
        };
        for fault in [
            Fault::Sync(SyncError::UpgradeRequired),
            Fault::Sync(SyncError::Transport(refused())),
            Fault::Transport(refused()),
            Fault::Write(WriteError::NeedsNewerProgram),
        ] {
            assert_eq!(fault.code(), (ErrorCode::UpgradeRequired, false), "{fault:?}");
        }
    }
}
