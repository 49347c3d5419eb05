//! What can go wrong with the file itself. Nothing here carries content: SQL texts are fixed and parameters are never printed.

use std::error::Error;

use rusqlite::ErrorCode;
use thiserror::Error;

/// Why the file could not be read or written. Whatever it was, nothing was acknowledged.
#[derive(Debug, Error)]
pub enum StorageError {
    /// There is no room left. Nothing was changed; the store goes on once there is room.
    #[error("the disk is full")]
    Full(#[source] rusqlite::Error),
    /// The disk refused to read or write. The store has to be reopened.
    #[error("the disk could not be read or written")]
    Io(#[source] rusqlite::Error),
    /// The file's content does not verify. The store has to be reopened.
    #[error("the file is damaged")]
    Corrupt(#[source] rusqlite::Error),
    /// Somebody else holds the file.
    #[error("the file is in use")]
    Busy(#[source] rusqlite::Error),
    /// An earlier failure ended this store; it has to be reopened, which verifies the file.
    #[error("the store has to be reopened")]
    Failed,
    /// A stored value has a form that this program never writes.
    #[error("a stored value cannot be read: {0}")]
    Unreadable(&'static str),
    /// A statement failed for another reason.
    #[error("a statement failed")]
    Sql(#[source] rusqlite::Error),
}

impl StorageError {
    /// Whether the connection may no longer be trusted.
    #[must_use]
    pub(crate) const fn ends_the_store(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Corrupt(_))
    }
}

/// Whether a full disk is among the causes of `error`.
pub(crate) fn is_full(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source()).any(|cause| {
        let of_sqlite = cause.downcast_ref::<rusqlite::Error>();
        of_sqlite.and_then(rusqlite::Error::sqlite_error_code) == Some(ErrorCode::DiskFull)
    })
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(error),
            Some(
                ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied,
            ) => Self::Io(error),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error),
            _ => Self::Sql(error),
        }
    }
}
