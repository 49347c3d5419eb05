//! What an error of MongoDB means for the caller.

use mongodb::error::{
    Error, ErrorKind, RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT,
    WriteFailure,
};

use crate::storage::error::StorageError;

/// Codes that pass by themselves: elections, shutdowns, time limits, a full disk that somebody empties.
const PASSING: [i32; 24] = [
    6, 7, 50, 64, 89, 91, 112, 134, 189, 202, 239, 246, 251, 262, 317, 358, 9001, 10107, 11600, 11602, 13388, 13435,
    13436, 14031,
];

/// Whether something with the same unique key exists.
pub(super) fn is_duplicate(error: &Error) -> bool {
    const DUPLICATE_KEY: i32 = 11000;
    match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
        ErrorKind::InsertMany(error) => error
            .write_errors
            .as_ref()
            .is_some_and(|errors| errors.iter().any(|error| error.code == DUPLICATE_KEY)),
        _ => false,
    }
}

/// Whether a read of one state failed because that state is not there (any more).
pub(super) fn is_snapshot_gone(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(error) if matches!(error.code, 239 | 246))
}

fn is_passing(error: &Error) -> bool {
    let labelled = [
        RETRYABLE_WRITE_ERROR,
        TRANSIENT_TRANSACTION_ERROR,
        UNKNOWN_TRANSACTION_COMMIT_RESULT,
    ]
    .iter()
    .any(|label| error.contains_label(label));
    labelled
        || match error.kind.as_ref() {
            ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Shutdown => true,
            ErrorKind::Command(error) => PASSING.contains(&error.code),
            ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
            _ => false,
        }
}

impl From<Error> for StorageError {
    fn from(error: Error) -> Self {
        if is_passing(&error) {
            Self::Unavailable(Some(Box::new(error)))
        } else {
            Self::Failed(Box::new(error))
        }
    }
}
