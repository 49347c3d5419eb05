//! The background task: shares at the start, after changes here, and when the service has something new. It lives as long as somebody is signed in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{connection, on_own_threads, share};
use crate::app::Core;
use crate::dto::ErrorCode;
use crate::env::Sharing;
use crate::fault::Fault;
use crate::login::Login;

/// The first change after a pause goes at once; those behind it are gathered for this long.
const GATHERING: Duration = Duration::from_millis(30);
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after failures that may end by themselves.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long locking waits for what is unsent.
const DRAINING: Duration = Duration::from_secs(3);

/// Starts the task of a login whose practice is published. Called once for a login: when it begins, or when it publishes.
pub(crate) fn start(core: &Arc<Core>, login: &Arc<Login>) {
    let (task_core, task_login) = (Arc::downgrade(core), Arc::clone(login));
    core.handle.spawn(async move {
        let mut stopped = task_login.link.stop.subscribe();
        tokio::select! {
            () = work(task_core, Arc::clone(&task_login)) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

/// Ends the task. A round that is cut begins again at the next sign-in.
pub(crate) fn stop(login: &Login) {
    login.link.stop.send_replace(true);
}

async fn work(core: std::sync::Weak<Core>, login: Arc<Login>) {
    let mut failures = 0_u32;
    loop {
        let Some(present) = core.upgrade() else { return };
        let done = share(Arc::clone(&present), Arc::clone(&login)).await;
        let ended = Instant::now();
        match done {
            Ok(head) => {
                failures = 0;
                super::files::start(&present, &login);
                wait_for_news(&present, &login, head).await;
                sleep_until(ended + GATHERING).await;
            }
            Err(fault) => {
                failures += 1;
                let pause = pause(&fault, failures);
                drop(fault);
                tokio::select! {
                    () = sleep(pause) => {}
                    () = present.announcer.waiting.notified() => sleep_until(ended + FIRST_PAUSE).await,
                }
            }
        }
    }
}

/// Returns when something waits here or is new at the service; a broken connection is found out by the next round.
async fn wait_for_news(core: &Core, login: &Login, head: i64) {
    let news = async {
        let Ok(connection) = connection(login).await else {
            return;
        };
        if connection.office.wait(head).await.is_err() {
            sleep(FIRST_PAUSE).await;
        }
    };
    tokio::select! {
        () = news => {}
        () = core.announcer.waiting.notified() => {}
    }
}

fn pause(fault: &Fault, failures: u32) -> Duration {
    let (code, retry) = fault.code();
    if !retry && code != ErrorCode::Offline {
        // Only a person can help; the service is asked again now and then, because she may have helped elsewhere.
        return 2 * LONGEST_PAUSE;
    }
    FIRST_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(10))
        .min(LONGEST_PAUSE)
}

/// Before locking: shares what waits, for a few seconds at most. Nothing is lost when that is not enough.
pub(crate) async fn drain(core: &Arc<Core>) {
    let Some(login) = core.current() else { return };
    let waits = login
        .office
        .read(|read| read.waiting())
        .is_ok_and(|waiting| waiting.count > 0)
        || login.clinical.as_ref().is_some_and(|clinical| {
            clinical
                .read(|read| read.waiting())
                .is_ok_and(|waiting| waiting.count > 0)
        });
    let published = login.published().unwrap_or_default();
    if core.env.sharing == Sharing::InBackground && waits && published {
        let shared = timeout(DRAINING, on_own_threads(core, &login, share)).await;
        if !matches!(shared, Ok(Ok(_))) {
            tracing::info!("signed out with changes that wait to be shared");
        }
    }
}
