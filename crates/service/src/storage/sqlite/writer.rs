//! The one thread that writes. It gathers the calls that wait into one transaction and answers each after the commit.

use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::oneshot;

use super::failure;
use crate::storage::error::StorageError;

/// Calls in one transaction at most, so that the first of them does not wait for ever.
const GATHERED: usize = 32;

/// A change waiting for the writer.
trait Call: Send {
    /// Makes the change; `false` when it failed and is to be undone.
    fn run(&mut self, transaction: &Connection) -> bool;

    /// Tells the caller, after the commit or its failure.
    fn answer(self: Box<Self>, committed: Result<(), StorageError>);
}

struct Change<W, T, E> {
    work: Option<W>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<W, T, E> Call for Change<W, T, E>
where
    W: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: From<StorageError> + Send,
{
    fn run(&mut self, transaction: &Connection) -> bool {
        self.outcome = self.work.take().map(|work| work(transaction));
        matches!(self.outcome, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: Result<(), StorageError>) {
        let answer = match (self.outcome, committed) {
            (Some(outcome), Ok(())) => outcome,
            (Some(Err(error)), Err(_)) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StorageError::Unavailable(None).into()),
        };
        // A caller that went away learns what happened from the receipt when it asks again.
        let _gone = self.reply.send(answer);
    }
}

/// The door to the writing thread.
pub(super) struct Writer {
    calls: Mutex<Option<mpsc::Sender<Box<dyn Call>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (calls, waiting) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("storage-writer".into())
            .spawn(move || serve(connection, &waiting))?;
        Ok(Self {
            calls: Mutex::new(Some(calls)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Makes a change in a transaction and returns after its commit; a change that fails leaves nothing behind.
    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Box::new(Change {
            work: Some(work),
            outcome: None,
            reply,
        });
        let sent = {
            let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            calls.as_ref().is_some_and(|calls| calls.send(call).is_ok())
        };
        match answer.await {
            Ok(answer) if sent => answer,
            _ => Err(StorageError::Unavailable(None).into()),
        }
    }

    /// Lets the thread finish what waits, then ends it.
    pub(super) fn stop(&self) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(mut connection: Connection, waiting: &mpsc::Receiver<Box<dyn Call>>) {
    while let Ok(first) = waiting.recv() {
        let mut calls = vec![first];
        calls.extend(waiting.try_iter().take(GATHERED - 1));
        let committed = make(&mut connection, &mut calls);
        for call in calls {
            call.answer(match &committed {
                Ok(()) => Ok(()),
                Err(Undone::ByUs(error)) => Err(failure(error)),
                Err(Undone::BySqlite) => Err(StorageError::Unavailable(None)),
            });
        }
    }
}

/// Why nothing of a transaction was made.
enum Undone {
    /// A statement of the transaction itself failed.
    ByUs(rusqlite::Error),
    /// SQLite undid everything because of what happened in one call, which has the reason: the disk is full or failed.
    BySqlite,
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Self {
        Self::ByUs(error)
    }
}

/// All calls in one transaction, each of which may fail without the others.
fn make(connection: &mut Connection, calls: &mut [Box<dyn Call>]) -> Result<(), Undone> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for call in calls {
        transaction.execute_batch("SAVEPOINT call")?;
        if !call.run(&transaction) {
            if transaction.is_autocommit() {
                return Err(Undone::BySqlite);
            }
            transaction.execute_batch("ROLLBACK TO call")?;
        }
        transaction.execute_batch("RELEASE call")?;
    }
    Ok(transaction.commit()?)
}
