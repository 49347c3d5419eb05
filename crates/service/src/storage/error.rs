//! What can go wrong in a storage. No text of these errors carries content of a practice.

use caseload_protocol::decide::BatchRefusal;
use thiserror::Error;

/// Why a storage could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// MongoDB does not answer within the selection time.
    #[error("MongoDB cannot be reached")]
    Unreachable(#[source] Box<mongodb::error::Error>),
    /// The connection string cannot be read.
    #[error("the MongoDB connection string is not valid")]
    Uri(#[source] Box<mongodb::error::Error>),
    /// Transactions need a replica set.
    #[error("the MongoDB server is no member of a replica set; start it with --replSet (one member is enough)")]
    NotReplicaSet,
    /// MongoDB is too old.
    #[error("the MongoDB server is older than 6.0")]
    TooOld,
    /// MongoDB knows the account or its password not, or its role lacks a right.
    #[error("MongoDB does not let this account do what the service needs; `caseload mongodb role` prints the role")]
    NotAllowed(#[source] Box<mongodb::error::Error>),
    /// MongoDB answered with an error.
    #[error("MongoDB refused to prepare the database")]
    Prepare(#[source] Box<mongodb::error::Error>),
    /// The file was written under another master key.
    #[error("the master key does not fit this database")]
    WrongKey,
    /// The file is damaged.
    #[error("the database file is damaged")]
    Damaged(#[source] Option<rusqlite::Error>),
    /// A newer program wrote the file.
    #[error("the database was written by a newer program (version {found}, known {known})")]
    Newer {
        /// The file's version.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// The file cannot be read or made.
    #[error("the database file cannot be opened")]
    File(#[source] rusqlite::Error),
    /// The thread that writes could not be started.
    #[error("the writing thread could not be started")]
    Thread(#[source] std::io::Error),
}

/// Why a storage could not do what it was asked.
#[derive(Debug, Error)]
pub enum StorageError {
    /// It cannot be reached, is full or too busy. Nothing was acknowledged; the same call may succeed later.
    #[error("the storage is not available")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// What is stored cannot be read back: damaged, or sealed under another key.
    #[error("stored content cannot be read: {0}")]
    Unreadable(&'static str),
    /// The storage refused for a reason that repeating does not cure.
    #[error("the storage failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The practice does not exist.
    #[error("the practice does not exist")]
    UnknownPractice,
}

impl StorageError {
    /// Whether the same call may succeed later without any change.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// Why a practice was not claimed.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// It exists already.
    #[error("the practice was claimed before")]
    AlreadyClaimed,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why an enrolment was not redeemed. Nothing was changed.
#[derive(Debug, Error)]
pub enum RedeemError {
    /// There is none of this id.
    #[error("the enrolment is unknown")]
    Unknown,
    /// It was redeemed before.
    #[error("the enrolment was used")]
    AlreadyUsed,
    /// It has expired.
    #[error("the enrolment has expired")]
    Expired,
    /// The account exists with another key.
    #[error("the person is known with another key")]
    AccountDiffers,
    /// The device exists with another key, or was revoked.
    #[error("the computer is known with another key or was revoked")]
    DeviceDiffers,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a replica was not registered.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// The id belongs to another computer, person or kind.
    #[error("the replica belongs to someone else")]
    OtherOwner,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why a push was refused as a whole. Nothing of it was written.
#[derive(Debug, Error)]
pub enum PushError {
    /// The replica is not registered.
    #[error("the replica is not registered")]
    UnknownReplica,
    /// The practice's history is another one than the device believes in.
    #[error("the practice has another history")]
    EpochChanged,
    /// A mutation number is missing.
    #[error("mutation numbers do not follow on each other")]
    MutationGap,
    /// A mutation number was used for another operation.
    #[error("a mutation number was used for another operation")]
    DeviceForked,
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<BatchRefusal> for PushError {
    fn from(refusal: BatchRefusal) -> Self {
        match refusal {
            BatchRefusal::MutationGap => Self::MutationGap,
            BatchRefusal::DeviceForked => Self::DeviceForked,
        }
    }
}
