//! Transactions: snapshot reads, majority and journal at the commit, tried again until a deadline of our own.

use std::time::Duration;

use async_trait::async_trait;
use mongodb::error::{Error, TRANSIENT_TRANSACTION_ERROR, UNKNOWN_TRANSACTION_COMMIT_RESULT};
use mongodb::options::{Acknowledgment, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern};
use mongodb::{Client, ClientSession};
use tokio::time::{sleep, timeout};

use super::reading::Seen;
use crate::storage::error::StorageError;

/// After this the caller is told to try again. Transactions take milliseconds; an election takes seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(8);

/// The pause before the second attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What one attempt of a transaction came to, when it came to nothing.
pub(super) enum Undone<E> {
    /// The server refused or went away. It has to reach the one who tries again, so no attempt may swallow it.
    Server(Error),
    /// The work itself says no.
    Refused(E),
}

impl<E> From<Error> for Undone<E> {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

/// The statements of a transaction. They may run several times, so they change nothing but the database.
#[async_trait]
pub(super) trait Work: Sync {
    /// What it gives.
    type Done: Send;
    /// How it refuses.
    type Refusal: From<StorageError> + Send;

    /// Runs the statements once.
    async fn attempt(&self, session: &mut ClientSession) -> Result<Self::Done, Undone<Self::Refusal>>;
}

/// Runs `work` until it is committed, refused, or the deadline has passed. What was committed is noted in `seen`.
pub(super) async fn run<W: Work>(client: &Client, seen: &Seen, work: &W) -> Result<W::Done, W::Refusal> {
    match timeout(DEADLINE, attempts(client, seen, work)).await {
        Ok(outcome) => outcome,
        // Dropping the session has the server undo what was not committed. Whether a commit under way succeeded is learned from the
        // receipts when the device asks again.
        Err(_) => Err(StorageError::Unavailable(None).into()),
    }
}

async fn attempts<W: Work>(client: &Client, seen: &Seen, work: &W) -> Result<W::Done, W::Refusal> {
    let mut session = client.start_session().await.map_err(StorageError::from)?;
    let mut pause = FIRST_PAUSE;
    loop {
        begin(&mut session).await.map_err(StorageError::from)?;
        let error = match work.attempt(&mut session).await {
            Ok(done) => match commit(&mut session).await {
                Ok(()) => {
                    seen.note(&session);
                    return Ok(done);
                }
                Err(error) => error,
            },
            Err(Undone::Server(error)) => {
                abort(&mut session).await;
                error
            }
            Err(Undone::Refused(refusal)) => {
                abort(&mut session).await;
                return Err(refusal);
            }
        };
        if !error.contains_label(TRANSIENT_TRANSACTION_ERROR) {
            return Err(StorageError::from(error).into());
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn begin(session: &mut ClientSession) -> Result<(), Error> {
    session
        .start_transaction()
        .read_concern(ReadConcern::snapshot())
        .write_concern(
            WriteConcern::builder()
                .w(Acknowledgment::Majority)
                .journal(true)
                .build(),
        )
        .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
        .await
}

/// Commits, and asks again while nobody knows whether it was committed: a commit may be repeated.
async fn commit(session: &mut ClientSession) -> Result<(), Error> {
    let mut pause = FIRST_PAUSE;
    loop {
        match session.commit_transaction().await {
            Err(error) if error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {}
            outcome => return outcome,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn abort(session: &mut ClientSession) {
    // The server undoes it anyway; what matters to the caller is the error that led here.
    let _undone_later = session.abort_transaction().await;
}
