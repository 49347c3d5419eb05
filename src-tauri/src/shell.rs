//! The `App` behind the window: opened when it is first needed, heard when it has something to say, locked when nobody is there.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use caseload_app::dto::{AppError, Heartbeat};
use caseload_app::{App, Event};
use tauri::{AppHandle, Emitter, Manager};
use tokio::sync::broadcast::error::RecvError;

use crate::window;

/// A draft is durable this long after the last key, and half as long again on a busy machine.
const LAST_WORDS: Duration = Duration::from_millis(750);

/// How often it is looked whether the window still says that somebody is there.
const WATCH: Duration = Duration::from_secs(60);

/// What the commands find behind the window.
pub(crate) struct Shell {
    profile: PathBuf,
    app: Mutex<Option<Arc<App>>>,
    heard: Mutex<Instant>,
}

impl Shell {
    pub(crate) fn new(profile: PathBuf) -> Self {
        Self {
            profile,
            app: Mutex::new(None),
            heard: Mutex::new(Instant::now()),
        }
    }

    /// The `App`, which is opened by the first call that succeeds: a profile that another window has is asked for again when
    /// the person tries again.
    ///
    /// # Errors
    /// `profile_in_use` and what else keeps a profile from being opened.
    pub(crate) fn app(&self, handle: &AppHandle) -> Result<Arc<App>, AppError> {
        let mut slot = lock(&self.app);
        if let Some(app) = &*slot {
            return Ok(Arc::clone(app));
        }
        let app = Arc::new(App::open(&self.profile)?);
        forward(&app, handle.clone());
        *slot = Some(Arc::clone(&app));
        Ok(app)
    }

    /// The window has said how long nothing was typed or moved.
    pub(crate) fn hear(&self) {
        *lock(&self.heard) = Instant::now();
    }

    fn opened(&self) -> Option<Arc<App>> {
        lock(&self.app).clone()
    }
}

/// Sends what the `App` announces to the window.
fn forward(app: &App, handle: AppHandle) {
    let mut events = app.subscribe();
    tauri::async_runtime::spawn(async move {
        loop {
            let sent = match events.recv().await {
                Ok(Event::Changed(changed)) => handle.emit_to(window::LABEL, "changed", changed),
                Ok(Event::Sync(overview)) => handle.emit_to(window::LABEL, "sync", overview),
                Ok(Event::Locked) => handle.emit_to(window::LABEL, "locked", ()),
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "events came faster than the window took them");
                    Ok(())
                }
                Err(RecvError::Closed) => return,
            };
            if let Err(error) = sent {
                tracing::warn!(%error, "an event did not reach the window");
            }
        }
    });
}

/// Locks when the window has not been heard for the time that a person may be away: it may hang, or its page may be gone.
/// How long that is, is the `App`'s to decide.
pub(crate) fn watch(handle: &AppHandle) {
    let handle = handle.clone();
    tauri::async_runtime::spawn(async move {
        let mut ticks = tokio::time::interval(WATCH);
        loop {
            ticks.tick().await;
            let shell = handle.state::<Arc<Shell>>();
            let silent = lock(&shell.heard).elapsed();
            if silent < WATCH {
                continue;
            }
            let Some(app) = shell.opened() else { continue };
            let idle_seconds = u32::try_from(silent.as_secs()).unwrap_or(u32::MAX);
            let asked = tauri::async_runtime::spawn_blocking(move || app.heartbeat(Heartbeat { idle_seconds })).await;
            if !matches!(asked, Ok(Ok(_))) {
                tracing::warn!("the silent window could not be locked");
            }
        }
    });
}

/// Closes the window: it goes out of sight at once, a draft gets the time that it needs to be saved, then the `App` is locked,
/// which shares what it can.
pub(crate) fn leave(handle: &AppHandle) {
    let handle = handle.clone();
    if let Some(window) = handle.get_webview_window(window::LABEL)
        && let Err(error) = window.hide()
    {
        tracing::warn!(%error, "the window stays in sight while it closes");
    }
    tauri::async_runtime::spawn(async move {
        if let Some(app) = handle.state::<Arc<Shell>>().opened() {
            tokio::time::sleep(LAST_WORDS).await;
            if app.lock().await.is_err() {
                tracing::warn!("the files were not closed in order");
            }
        }
        handle.exit(0);
    });
}

/// What a panicking thread left is whole: everything behind these locks is replaced in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
