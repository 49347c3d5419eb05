//! Randomness, passed in so that a test can make the same ids twice.

use std::sync::{Mutex, PoisonError};

use caseload_domain::time::Millis;
use caseload_protocol::checksum::sha256;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::{Builder, Uuid};

/// Where ids and salts come from.
#[derive(Debug)]
pub struct Entropy(Source);

#[derive(Debug)]
enum Source {
    System(SystemRandom),
    Seeded(Mutex<(u64, u64)>),
}

impl Entropy {
    /// The operating system's generator: for programs.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System(SystemRandom::new()))
    }

    /// Always the same sequence for the same `seed`: for tests and simulations alone, because anybody can repeat it.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Mutex::new((seed, 0))))
    }

    /// `N` random bytes.
    ///
    /// # Panics
    /// When the operating system gives no randomness; going on with a guessable salt would be worse.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        match &self.0 {
            Source::System(random) => random.fill(&mut out).expect("the operating system gives randomness"),
            Source::Seeded(state) => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                for chunk in out.chunks_mut(32) {
                    state.1 += 1;
                    let block = sha256(&[state.0.to_be_bytes(), state.1.to_be_bytes()].concat());
                    chunk.copy_from_slice(&block[..chunk.len()]);
                }
            }
        }
        out
    }

    /// A UUID v7 of the instant `at`.
    #[must_use]
    pub fn uuid_v7(&self, at: Millis) -> Uuid {
        Builder::from_unix_timestamp_millis(at.0.max(0).unsigned_abs(), &self.bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_ids_and_another_does_not() {
        let ids = |seed| {
            let entropy = Entropy::seeded(seed);
            (entropy.uuid_v7(Millis(5)), entropy.uuid_v7(Millis(5)))
        };
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
        assert_ne!(ids(1).0, ids(1).1);
    }

    #[test]
    fn ids_of_later_instants_sort_later() {
        let entropy = Entropy::system();
        assert!(entropy.uuid_v7(Millis(1_000)) < entropy.uuid_v7(Millis(2_000)));
    }
}
