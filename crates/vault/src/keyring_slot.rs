//! The secret store of the operating system: Secret Service, Keychain or Credential Manager.
//!
//! It holds one random 32-byte secret per person, practice and device, which opens her keyring slot; never a key itself. The store is a
//! convenience that may be absent, locked or hanging at any time, so each call runs on a thread of its own and is given up after a time
//! limit. There is no fall-back that would write the secret anywhere else.
//!
//! A new connection is made for every call: a store that was not ready at the first call is found at the next one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use caseload_domain::{DeviceId, PracticeId, UserId};
use keyring_core::{CredentialStore, Entry, Error};
use thiserror::Error as ThisError;
use zeroize::{Zeroize as _, Zeroizing};

use crate::keys::SymmetricKey;
use crate::text;

/// Under this name people find the secret in their system's settings.
const SERVICE: &str = "Caseload";

/// Calls that may hang at the same time before new ones are refused.
const MOST_HANGING: usize = 4;

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Whose secret it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyringAccount {
    /// The practice.
    pub practice: PracticeId,
    /// The computer; two profiles of one OS account do not share a secret.
    pub device: DeviceId,
    /// The person.
    pub user: UserId,
}

impl KeyringAccount {
    /// Frozen: a secret under another name would not be found again.
    fn name(&self) -> String {
        format!("{}/{}/{}", self.practice, self.device, self.user)
    }
}

/// Why the system's store did not serve. The passphrase always does.
#[derive(Debug, ThisError)]
pub enum KeyringError {
    /// There is no store, or it failed.
    #[error("the system has no secret store that answers")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The store is locked and was not unlocked.
    #[error("the system's secret store is locked")]
    Locked(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store did not answer in time.
    #[error("the system's secret store did not answer in time")]
    TimedOut,
    /// Earlier calls are still hanging.
    #[error("earlier calls of the system's secret store are still waiting")]
    Busy,
    /// The store has no secret for this account.
    #[error("the system's secret store has no entry for this person")]
    NoEntry,
    /// The store has several secrets for this account.
    #[error("the system's secret store has several entries for this person")]
    Ambiguous,
    /// What the store has is no secret of ours.
    #[error("the entry in the system's secret store is malformed")]
    Malformed,
    /// The store gave back something else than was stored.
    #[error("the system's secret store did not keep what was stored")]
    NotKept,
}

/// How long calls may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Reading and deleting are given up after this; storing calls its `on_slow` then.
    pub soft: Duration,
    /// Storing is given up after this; it is longer because the system may ask the person to unlock the store.
    pub hard: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            soft: Duration::from_secs(3),
            hard: Duration::from_secs(30),
        }
    }
}

/// Access to the system's secret store. Making one does nothing yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keyring {
    timeouts: Timeouts,
}

impl Keyring {
    /// Access with other time limits than the usual ones.
    #[must_use]
    pub fn with_timeouts(timeouts: Timeouts) -> Self {
        Self { timeouts }
    }

    /// Stores a secret and reads it back. `on_slow` is called once if that takes longer than the soft limit, so that a person can
    /// be told to look for a question of the system.
    ///
    /// # Errors
    /// [`KeyringError`]. After [`KeyringError::TimedOut`] the secret may still be stored later; no slot was made for it, so it opens nothing.
    pub fn store(
        &self,
        account: KeyringAccount,
        secret: &SymmetricKey,
        on_slow: impl FnOnce(),
    ) -> Result<(), KeyringError> {
        let secret = secret.clone();
        let call = Call::start(move || {
            let wanted = Zeroizing::new(text::base64url(secret.expose()));
            entry(account)?.set_password(&wanted).map_err(failure)?;
            // A second connection, so that nothing this one remembers is mistaken for what is stored.
            let kept = Zeroizing::new(entry(account)?.get_password().map_err(failure)?);
            if *kept == *wanted {
                Ok(())
            } else {
                Err(KeyringError::NotKept)
            }
        })?;
        call.wait(self.timeouts.soft).unwrap_or_else(|call| {
            on_slow();
            call.wait(self.timeouts.hard.saturating_sub(self.timeouts.soft))
                .unwrap_or(Err(KeyringError::TimedOut))
        })
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// [`KeyringError`]; at the latest after the soft limit.
    pub fn read(&self, account: KeyringAccount) -> Result<SymmetricKey, KeyringError> {
        self.within_soft_limit(move || {
            let text = Zeroizing::new(entry(account)?.get_password().map_err(failure)?);
            let bytes = Zeroizing::new(text::from_base64url(&text).ok_or(KeyringError::Malformed)?);
            let bytes = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| KeyringError::Malformed)?);
            Ok(SymmetricKey::from_bytes(*bytes))
        })
    }

    /// Deletes a secret. That there is none is no error.
    ///
    /// # Errors
    /// [`KeyringError`]; at the latest after the soft limit.
    pub fn delete(&self, account: KeyringAccount) -> Result<(), KeyringError> {
        self.within_soft_limit(move || match entry(account)?.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(()),
            Err(error) => Err(failure(error)),
        })
    }

    fn within_soft_limit<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, KeyringError> + Send + 'static,
    ) -> Result<T, KeyringError> {
        Call::start(job)?
            .wait(self.timeouts.soft)
            .unwrap_or(Err(KeyringError::TimedOut))
    }
}

/// A call on its own thread. A thread cannot be stopped, so one that hangs is left behind, and their number is limited.
#[derive(Debug)]
struct Call<T>(mpsc::Receiver<Result<T, KeyringError>>);

impl<T: Send + 'static> Call<T> {
    fn start(job: impl FnOnce() -> Result<T, KeyringError> + Send + 'static) -> Result<Self, KeyringError> {
        let place = Place::take()?;
        let (sender, receiver) = mpsc::sync_channel(1);
        let run = move || {
            let _place = place;
            // Nobody waits any more when the call was given up; the result is dropped and wiped.
            let _ = sender.send(job());
        };
        let started = thread::Builder::new().name("keyring".to_owned()).spawn(run);
        started
            .map(|_| Self(receiver))
            .map_err(|error| KeyringError::Unavailable(Some(Box::new(error))))
    }

    /// The result, or the call itself when it is not there in time.
    fn wait(self, limit: Duration) -> Result<Result<T, KeyringError>, Self> {
        match self.0.recv_timeout(limit) {
            Ok(result) => Ok(result),
            Err(RecvTimeoutError::Timeout) => Err(self),
            // The library panicked.
            Err(RecvTimeoutError::Disconnected) => Ok(Err(KeyringError::Unavailable(None))),
        }
    }
}

/// One of the places for calls that may hang.
struct Place(());

impl Place {
    fn take() -> Result<Self, KeyringError> {
        let taken = RUNNING.try_update(Ordering::AcqRel, Ordering::Acquire, |running| {
            (running < MOST_HANGING).then_some(running + 1)
        });
        taken.map(|_| Self(())).map_err(|_| KeyringError::Busy)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
    }
}

fn entry(account: KeyringAccount) -> Result<Entry, KeyringError> {
    system_store()
        .and_then(|store| store.build(SERVICE, &account.name(), None))
        .map_err(failure)
}

#[cfg(target_os = "macos")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

#[cfg(target_os = "windows")]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(windows_native_keyring_store::Store::new()?)
}

#[cfg(all(unix, not(target_os = "macos")))]
fn system_store() -> keyring_core::Result<Arc<CredentialStore>> {
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

fn failure(error: Error) -> KeyringError {
    match error {
        Error::NoEntry => KeyringError::NoEntry,
        Error::Ambiguous(_) => KeyringError::Ambiguous,
        Error::NoStorageAccess(cause) => KeyringError::Locked(cause),
        Error::PlatformFailure(cause) => KeyringError::Unavailable(Some(cause)),
        Error::BadEncoding(mut content) | Error::BadDataFormat(mut content, _) => {
            content.zeroize();
            KeyringError::Malformed
        }
        Error::BadStoreFormat(_) => KeyringError::Malformed,
        other => KeyringError::Unavailable(Some(Box::new(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_account_name_is_frozen_because_the_store_is_searched_by_it() {
        let account = KeyringAccount {
            practice: PracticeId::new(Uuid::from_u128(1)),
            device: DeviceId::new(Uuid::from_u128(2)),
            user: UserId::new(Uuid::from_u128(3)),
        };
        assert_eq!(
            account.name(),
            "00000000-0000-0000-0000-000000000001/00000000-0000-0000-0000-000000000002/00000000-0000-0000-0000-000000000003"
        );
    }

    /// Held by a test that makes calls: the places are the process's.
    static CALLING: std::sync::Mutex<()> = std::sync::Mutex::new(());

    #[test]
    fn hanging_calls_are_given_up_and_their_number_is_limited() {
        let _alone = CALLING.lock();
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let hang = || {
            let held = Arc::clone(&held);
            // The lock is held while waiting; the others wait for the lock. Either way they hang until the sender is gone.
            Call::start(move || {
                held.lock()
                    .map_or(Err(KeyringError::Busy), |held| Ok(held.recv().is_err()))
            })
        };
        let calls: Vec<_> = (0..MOST_HANGING).map(|_| hang().expect("a free place")).collect();
        assert!(matches!(hang().map(drop), Err(KeyringError::Busy)));
        let keyring = Keyring::with_timeouts(Timeouts {
            soft: Duration::ZERO,
            hard: Duration::ZERO,
        });
        assert!(
            matches!(keyring.within_soft_limit(|| Ok(())), Err(KeyringError::Busy)),
            "at once, without a thread"
        );
        let calls: Vec<_> = calls
            .into_iter()
            .map(|call| call.wait(Duration::from_millis(1)).expect_err("still hanging"))
            .collect();
        drop(release);
        for call in calls {
            assert!(matches!(call.wait(Duration::from_secs(30)), Ok(Ok(true))));
        }
    }

    #[test]
    fn a_panic_of_the_library_is_an_unavailable_store() {
        let _alone = CALLING.lock();
        let call = Call::<()>::start(|| std::panic::resume_unwind(Box::new(())));
        let waited = call.map(|call| call.wait(Duration::from_secs(30)));
        assert!(matches!(
            waited,
            Ok(Ok(Err(KeyringError::Unavailable(None)))) | Err(KeyringError::Busy)
        ));
    }
}
