//! The clocks of this program. The only place where they are read.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use caseload_domain::time::Millis;
use caseload_store::Entropy;
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// The present instant.
#[expect(clippy::disallowed_methods, reason = "this is where the program reads the clock")]
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A new id, later ones greater.
pub(crate) fn new_id() -> Uuid {
    Entropy::system().uuid_v7(now())
}

/// A moment of the clock that all processes of this computer share, in nanoseconds since some start.
pub(crate) fn shared_nanoseconds() -> i64 {
    let moment = clock_gettime(ClockId::Monotonic);
    moment.tv_sec * 1_000_000_000 + moment.tv_nsec
}

/// Runs `work` and says how many seconds it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let began = Instant::now();
    let value = work();
    (began.elapsed().as_secs_f64(), value)
}

/// As [`timed`], in milliseconds.
pub(crate) fn timed_ms<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let (seconds, value) = timed(work);
    (seconds * 1e3, value)
}
