//! How often a caller may ask: token buckets for steady use, and counters of failures for everything that can be guessed.
//!
//! Both live in memory and are bounded. Their time is the service's [`Clock`](crate::clock::Clock); a clock that is set back refills nothing
//! and locks nobody out for longer than one window.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// More callers than this are forgotten, those first who have not asked for the longest time.
const MOST_CALLERS: usize = 10_000;
const MINUTE_MS: i64 = 60_000;

/// A number of requests per minute for each caller, with a burst of the same number.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    per_minute: i64,
    callers: Mutex<HashMap<K, Bucket>>,
}

/// Filling is counted in 1/60,000 of a request, so that one millisecond at one request per minute is still a whole number.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    fill: i64,
    at_ms: i64,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    pub(crate) fn per_minute(requests: u32) -> Self {
        Self {
            per_minute: i64::from(requests).max(1),
            callers: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one request of `caller`.
    ///
    /// # Errors
    /// The milliseconds after which the next one is allowed.
    pub(crate) fn take(&self, caller: K, now_ms: i64) -> Result<(), u64> {
        let full = self.per_minute * MINUTE_MS;
        let mut callers = lock(&self.callers);
        make_room(&mut callers, |bucket| bucket.at_ms);
        let bucket = callers.entry(caller).or_insert(Bucket {
            fill: full,
            at_ms: now_ms,
        });
        let elapsed = now_ms.saturating_sub(bucket.at_ms).clamp(0, MINUTE_MS);
        bucket.fill = (bucket.fill + elapsed * self.per_minute).min(full);
        bucket.at_ms = now_ms;
        if bucket.fill < MINUTE_MS {
            let wait_ms = (MINUTE_MS - bucket.fill + self.per_minute - 1) / self.per_minute;
            return Err(u64::try_from(wait_ms).unwrap_or(1));
        }
        bucket.fill -= MINUTE_MS;
        Ok(())
    }
}

/// A number of failures for each caller within a window of time; after it the caller waits for the window's end.
#[derive(Debug)]
pub(crate) struct Failures<K> {
    most: u32,
    window_ms: i64,
    callers: Mutex<HashMap<K, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    failures: u32,
    since_ms: i64,
}

impl<K: Eq + Hash + Clone> Failures<K> {
    pub(crate) fn at_most(most: u32, window_ms: i64) -> Self {
        Self {
            most,
            window_ms,
            callers: Mutex::new(HashMap::new()),
        }
    }

    /// Whether `caller` may try once more.
    ///
    /// # Errors
    /// The milliseconds after which trying makes sense again.
    pub(crate) fn check(&self, caller: &K, now_ms: i64) -> Result<(), u64> {
        match lock(&self.callers).get(caller) {
            Some(window) if window.failures >= self.most && self.is_open(window, now_ms) => {
                Err(u64::try_from(self.window_ms - (now_ms - window.since_ms))
                    .unwrap_or(1)
                    .max(1))
            }
            _ => Ok(()),
        }
    }

    /// Counts one failure.
    pub(crate) fn count(&self, caller: K, now_ms: i64) {
        let mut callers = lock(&self.callers);
        make_room(&mut callers, |window| window.since_ms);
        let window = callers.entry(caller).or_insert(Window {
            failures: 0,
            since_ms: now_ms,
        });
        if !self.is_open(window, now_ms) {
            *window = Window {
                failures: 0,
                since_ms: now_ms,
            };
        }
        window.failures = window.failures.saturating_add(1);
    }

    fn is_open(&self, window: &Window, now_ms: i64) -> bool {
        (0..self.window_ms).contains(&now_ms.saturating_sub(window.since_ms))
    }
}

fn make_room<K: Eq + Hash + Clone, V>(callers: &mut HashMap<K, V>, age: impl Fn(&V) -> i64) {
    if callers.len() < MOST_CALLERS {
        return;
    }
    let mut ages: Vec<i64> = callers.values().map(&age).collect();
    let middle = ages.len() / 2;
    let (_, median, _) = ages.select_nth_unstable(middle);
    let median = *median;
    callers.retain(|_, value| age(value) > median);
}

/// A panic elsewhere leaves counters that are still counters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_one_per_interval() {
        let buckets = Buckets::per_minute(600);
        for _ in 0..600 {
            assert_eq!(buckets.take("a", 0), Ok(()));
        }
        assert_eq!(buckets.take("a", 0), Err(100), "600 a minute are one every 100 ms");
        assert_eq!(buckets.take("b", 0), Ok(()), "another caller is not concerned");
        assert_eq!(buckets.take("a", 100), Ok(()));
        assert_eq!(buckets.take("a", 100), Err(100));
    }

    #[test]
    fn a_clock_set_back_neither_refills_nor_locks_out() {
        let buckets = Buckets::per_minute(1);
        assert_eq!(buckets.take("a", 1_000_000), Ok(()));
        assert_eq!(buckets.take("a", 0), Err(60_000));
        assert_eq!(
            buckets.take("a", 60_000),
            Ok(()),
            "counted from the time that the clock shows now"
        );
    }

    #[test]
    fn failures_close_the_door_until_the_window_ends() {
        let failures = Failures::at_most(2, 1_000);
        failures.count("a", 0);
        assert_eq!(failures.check(&"a", 0), Ok(()));
        failures.count("a", 100);
        assert_eq!(failures.check(&"a", 400), Err(600));
        assert_eq!(failures.check(&"b", 400), Ok(()));
        assert_eq!(failures.check(&"a", 1_000), Ok(()), "a new window");
        failures.count("a", 1_000);
        assert_eq!(failures.check(&"a", 1_000), Ok(()), "counting starts again");
    }

    #[test]
    fn the_number_of_remembered_callers_is_bounded() {
        let buckets = Buckets::per_minute(1);
        for caller in 0..3 * MOST_CALLERS {
            assert_eq!(buckets.take(caller, caller as i64), Ok(()));
        }
        assert!(lock(&buckets.callers).len() <= MOST_CALLERS);
    }
}
