//! The background task: shares at the start, after changes here, and when the service has something new. It lives as long as somebody is signed in.

use std::future::{Future, ready};
use std::sync::{Arc, Weak};
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

/// What the task makes its rounds with.
trait Rounds: Sync {
    /// One round: gives the newest number of the service, or nothing when the program has ended.
    fn share(&self) -> impl Future<Output = Option<Result<i64, Fault>>> + Send;

    /// Returns when the service has something newer than `head`; a broken connection is found out by the next round.
    fn news(&self, head: i64) -> impl Future<Output = ()> + Send;

    /// Returns when something waits here.
    fn change(&self) -> impl Future<Output = ()> + Send;
}

/// The rounds of a login.
struct Background {
    core: Weak<Core>,
    login: Arc<Login>,
}

impl Rounds for Background {
    async fn share(&self) -> Option<Result<i64, Fault>> {
        let core = self.core.upgrade()?;
        let done = share(Arc::clone(&core), Arc::clone(&self.login)).await;
        if done.is_ok() {
            super::files::start(&core, &self.login);
        }
        Some(done)
    }

    async fn news(&self, head: i64) {
        let Ok(connection) = connection(&self.login).await else {
            return;
        };
        if connection.office.wait(head).await.is_err() {
            sleep(FIRST_PAUSE).await;
        }
    }

    async fn change(&self) {
        if let Some(core) = self.core.upgrade() {
            core.announcer.waiting.notified().await;
        }
    }
}

/// Starts the task of a login whose practice is published. Called once for a login: when it begins, or when it publishes.
pub(crate) fn start(core: &Arc<Core>, login: &Arc<Login>) {
    let rounds = Background {
        core: Arc::downgrade(core),
        login: Arc::clone(login),
    };
    core.handle.spawn(async move {
        let mut stopped = rounds.login.link.stop.subscribe();
        tokio::select! {
            () = work(&rounds) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

/// Ends the task. A round that is cut begins again at the next sign-in.
pub(crate) fn stop(login: &Login) {
    login.link.stop.send_replace(true);
}

async fn work(rounds: &impl Rounds) {
    let mut failures = 0_u32;
    while let Some(done) = rounds.share().await {
        let ended = Instant::now();
        match done {
            Ok(head) => {
                failures = 0;
                tokio::select! {
                    () = rounds.news(head) => {}
                    () = rounds.change() => {}
                }
                sleep_until(ended + GATHERING).await;
                // What was changed until now goes with this round and needs no other one.
                tokio::select! {
                    biased;
                    () = rounds.change() => {}
                    () = ready(()) => {}
                }
            }
            Err(fault) => {
                failures += 1;
                let pause = pause(&fault, failures);
                drop(fault);
                tokio::select! {
                    () = sleep(pause) => {}
                    () = rounds.change() => sleep_until(ended + FIRST_PAUSE).await,
                }
            }
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::app::lock;

    /// How long a round takes here.
    const ROUND: Duration = Duration::from_millis(5);

    /// Rounds that note when they began and how many changes went with them.
    struct Noted {
        since: Instant,
        changes: AtomicUsize,
        changed: Notify,
        service_is_there: bool,
        rounds: Mutex<Vec<(Duration, usize)>>,
    }

    impl Noted {
        fn begin(service_is_there: bool) -> Arc<Self> {
            let noted = Arc::new(Self {
                since: Instant::now(),
                changes: AtomicUsize::new(0),
                changed: Notify::new(),
                service_is_there,
                rounds: Mutex::default(),
            });
            let rounds = Arc::clone(&noted);
            tokio::spawn(async move { work(rounds.as_ref()).await });
            noted
        }

        fn change(&self) {
            self.changes.fetch_add(1, Ordering::SeqCst);
            self.changed.notify_one();
        }

        /// Waits until so many milliseconds after the begin.
        async fn until(&self, milliseconds: u64) {
            sleep_until(self.since + Duration::from_millis(milliseconds)).await;
        }

        /// In milliseconds, with the changes that went.
        fn rounds(&self) -> Vec<(u128, usize)> {
            let rounds = lock(&self.rounds);
            rounds.iter().map(|(at, changes)| (at.as_millis(), *changes)).collect()
        }
    }

    impl Rounds for Noted {
        async fn share(&self) -> Option<Result<i64, Fault>> {
            let changes = self.changes.swap(0, Ordering::SeqCst);
            lock(&self.rounds).push((self.since.elapsed(), changes));
            sleep(ROUND).await;
            Some(if self.service_is_there {
                Ok(0)
            } else {
                Err(ErrorCode::Offline.into())
            })
        }

        async fn news(&self, _head: i64) {
            std::future::pending().await
        }

        async fn change(&self) {
            self.changed.notified().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_change_after_a_pause_goes_at_once_and_those_behind_it_are_gathered() {
        let noted = Noted::begin(true);
        for at in [1_000, 1_002, 1_010, 1_029, 1_034] {
            noted.until(at).await;
            noted.change();
        }
        noted.until(2_000).await;
        noted.change();
        noted.until(3_000).await;
        let gathered = 1_000 + (ROUND + GATHERING).as_millis();
        assert_eq!(noted.rounds(), [(0, 0), (1_000, 1), (gathered, 4), (2_000, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_pause_a_round_is_made_every_so_often_and_no_change_is_left_behind() {
        let noted = Noted::begin(true);
        noted.until(1_000).await;
        let began = noted.rounds().len();
        for number in 0..100 {
            noted.until(1_000 + 7 * number).await;
            noted.change();
        }
        noted.until(3_000).await;
        let rounds = &noted.rounds()[began..];
        assert_eq!(rounds.iter().map(|(_, changes)| changes).sum::<usize>(), 100);
        for pair in rounds.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= (ROUND + GATHERING).as_millis(), "{rounds:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_happens_no_round_is_made() {
        let noted = Noted::begin(true);
        noted.until(24 * 3_600_000).await;
        assert_eq!(noted.rounds(), [(0, 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_service_it_is_tried_after_pauses_that_grow_to_half_a_minute() {
        let noted = Noted::begin(false);
        noted.until(600_000).await;
        let began: Vec<u128> = noted.rounds().iter().map(|(at, _)| *at).collect();
        let pauses: Vec<u128> = began
            .windows(2)
            .map(|pair| pair[1] - pair[0] - ROUND.as_millis())
            .collect();
        assert_eq!(pauses[..6], [1_000, 2_000, 4_000, 8_000, 16_000, 30_000]);
        assert!(pauses[5..].iter().all(|pause| *pause == 30_000), "{pauses:?}");
    }
}
