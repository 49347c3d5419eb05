//! One running program on one profile: who is signed in, what is announced, what works in the background.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use caseload_store::ProfileLock;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::broadcast;

use crate::attempts::Attempts;
use crate::changes::Announcer;
use crate::dto::{AppError, Changed, ErrorCode, SyncOverview};
use crate::env::Env;
use crate::fault::{Fault, answer};
use crate::files;
use crate::login::Login;

/// How long what works in the background may take to end.
const ENDING: Duration = Duration::from_secs(5);

/// What is announced to whoever listens.
#[derive(Clone)]
pub enum Event {
    /// Records are different now.
    Changed(Changed),
    /// Sharing stands otherwise now.
    Sync(Box<SyncOverview>),
    /// Nobody is signed in any more.
    Locked,
}

/// The use cases on one profile folder. Methods block unless they are async; they may be called from any thread.
pub struct App {
    pub(crate) core: Arc<Core>,
    runtime: Option<Runtime>,
    /// Given back after everything else, and whatever still ends in the background.
    _lock: ProfileLock,
}

/// What the use cases share.
pub(crate) struct Core {
    pub(crate) profile: PathBuf,
    pub(crate) env: Env,
    pub(crate) announcer: Announcer,
    pub(crate) attempts: Mutex<Attempts>,
    pub(crate) handle: Handle,
    login: RwLock<Option<Arc<Login>>>,
}

impl App {
    /// Takes a profile folder, which is made when it is missing, on the real machine. Reads no key and opens no database.
    ///
    /// # Errors
    /// `profile_in_use` when another process has it; `disk_error`.
    pub fn open(profile: &Path) -> Result<Self, AppError> {
        Self::open_with(profile, Env::system())
    }

    /// The same with the given time, randomness and places.
    ///
    /// # Errors
    /// As [`App::open`].
    pub fn open_with(profile: &Path, env: Env) -> Result<Self, AppError> {
        answer("open", Self::take(profile, env))
    }

    fn take(profile: &Path, env: Env) -> Result<Self, Fault> {
        files::make_folder(profile)?;
        let lock = ProfileLock::acquire(profile)?;
        // Background work has threads of its own, so that it does not depend on where the program waits.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("caseload")
            .enable_all()
            .build()?;
        let core = Core {
            profile: profile.to_owned(),
            env,
            announcer: Announcer::new(),
            attempts: Mutex::new(Attempts::of(profile)),
            handle: runtime.handle().clone(),
            login: RwLock::new(None),
        };
        Ok(Self {
            core: Arc::new(core),
            runtime: Some(runtime),
            _lock: lock,
        })
    }

    /// Everything that is announced from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.core.announcer.subscribe()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Err(fault) = crate::unlock::close(&self.core) {
            fault.told("close");
        }
        // Waited for in any case: the process may end next, which takes SQLCipher's memory away under whatever still reads or writes.
        if let Some(runtime) = self.runtime.take() {
            let end = move || runtime.shutdown_timeout(ENDING);
            if Handle::try_current().is_err() {
                end();
            } else if std::thread::spawn(end).join().is_err() {
                // Inside another runtime only a thread of its own may wait.
                tracing::error!("what works in the background did not end");
            }
        }
    }
}

impl Core {
    /// Who is signed in.
    pub(crate) fn login(&self) -> Result<Arc<Login>, Fault> {
        match self.current() {
            Some(login) => Ok(login),
            None if files::has_keys(&self.profile) => Err(ErrorCode::Locked.into()),
            None => Err(ErrorCode::NoPractice.into()),
        }
    }

    pub(crate) fn current(&self) -> Option<Arc<Login>> {
        self.login.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signs somebody in or, with `None`, out; gives who was signed in before.
    pub(crate) fn replace_login(&self, login: Option<Arc<Login>>) -> Option<Arc<Login>> {
        std::mem::replace(&mut *self.login.write().unwrap_or_else(PoisonError::into_inner), login)
    }
}

/// What a panicking thread left is whole: everything behind these locks is replaced in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
