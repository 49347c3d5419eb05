//! The public error: a code, the fields it is about, and whether trying again can help. No text, no client data.

use serde::{Deserialize, Serialize};
use specta::Type;

/// What every command answers when it does not do what was asked. Nothing was lost or half done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct AppError {
    pub code: ErrorCode,
    /// Filled for `invalid_fields`, with paths in the request's own spelling (`address.city`, `lines.0.drug`).
    pub fields: Vec<FieldError>,
    /// The same request may succeed later without being changed.
    pub retry: bool,
}

/// One field that cannot be taken as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    pub path: String,
    pub problem: FieldProblem,
}

/// What is wrong with one field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum FieldProblem {
    Required,
    TooShort,
    TooLong,
    Malformed,
    NotADate,
    NotATime,
    /// The local time is skipped by a clock change.
    NoSuchTime,
    UnknownZone,
    UnknownCurrency,
    /// The id names nothing that this login can see.
    UnknownReference,
    OutOfRange,
    InThePast,
    InTheFuture,
    Mismatch,
}

/// Every public error code. The window has words and a suggested action for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    // What was asked
    InvalidRequest,
    InvalidFields,
    NotFound,
    Forbidden,
    /// Nobody is signed in on this computer.
    Locked,
    // First run and unlocking
    PracticeExists,
    NoPractice,
    RecoveryMismatch,
    WrongPassphrase,
    TooManyAttempts,
    ProfileInUse,
    KeyringUnavailable,
    // The files
    KeysDamaged,
    KeysMissing,
    StoreDamaged,
    StoreNewer,
    StoreRolledBack,
    StoreMissing,
    DiskFull,
    DiskError,
    // The practice's rules
    TransitionRefused,
    /// Signed or issued: it never changes again.
    Immutable,
    /// Something is missing before it can be signed or issued.
    Incomplete,
    ReasonRequired,
    SignatureInvalid,
    AlreadySettled,
    // Two versions of it wait for a person to choose; until then it is neither signed nor issued.
    ConflictOpen,
    SlotTaken,
    DocumentFailed,
    // Sharing
    NotPublished,
    AlreadyPublished,
    Offline,
    ServiceBusy,
    ServiceStorage,
    ServiceFailed,
    InsecureAddress,
    PinMismatch,
    SetupCodeRefused,
    CodeMalformed,
    CodeExpired,
    CodeUsed,
    CodeRefused,
    /// An administrator for whom no computer of the owner has vouched yet.
    NotVouchedFor,
    ForeignPractice,
    DeviceRevoked,
    SignInRefused,
    ClockSkewed,
    UpgradeRequired,
    TooLarge,
    /// A fault of the program; the log has the chain of causes.
    Internal,
}
