//! Challenges that wait for their signature: random, used once, valid for two minutes, kept in memory and bounded.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use caseload_domain::{DeviceId, PracticeId};

use super::tokens;

/// How long a challenge may be answered.
pub(crate) const LIFETIME_MS: i64 = 2 * 60 * 1_000;
/// More challenges than this are not open at the same time.
const MOST: usize = 10_000;

/// The open challenges.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<HashMap<String, Open>>);

#[derive(Debug)]
struct Open {
    practice: PracticeId,
    device: DeviceId,
    until_ms: i64,
}

impl Nonces {
    /// A new challenge for a device; `None` when too many are open.
    pub(crate) fn issue(&self, practice: PracticeId, device: DeviceId, now_ms: i64) -> Option<String> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= MOST {
            open.retain(|_, nonce| nonce.is_valid(now_ms));
        }
        if open.len() >= MOST {
            return None;
        }
        let nonce = tokens::make();
        open.insert(
            nonce.clone(),
            Open {
                practice,
                device,
                until_ms: now_ms + LIFETIME_MS,
            },
        );
        Some(nonce)
    }

    /// Uses a challenge up. Whether it was open for this device.
    pub(crate) fn take(&self, nonce: &str, practice: PracticeId, device: DeviceId, now_ms: i64) -> bool {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(nonce);
        taken.is_some_and(|open| open.practice == practice && open.device == device && open.is_valid(now_ms))
    }
}

impl Open {
    /// A clock that was set back by more than the lifetime ends a challenge as well.
    fn is_valid(&self, now_ms: i64) -> bool {
        (0..=LIFETIME_MS).contains(&(self.until_ms - now_ms)) && now_ms < self.until_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (PracticeId, DeviceId) {
        (
            PracticeId::new(uuid::Uuid::from_u128(1)),
            DeviceId::new(uuid::Uuid::from_u128(2)),
        )
    }

    #[test]
    fn a_challenge_is_used_once_within_two_minutes_by_its_device() {
        let nonces = Nonces::default();
        let (practice, device) = ids();
        let other = DeviceId::new(uuid::Uuid::from_u128(3));
        let nonce = nonces.issue(practice, device, 0).unwrap();
        assert!(nonces.take(&nonce, practice, device, LIFETIME_MS - 1));
        assert!(!nonces.take(&nonce, practice, device, 0), "used");
        let nonce = nonces.issue(practice, device, 0).unwrap();
        assert!(!nonces.take(&nonce, practice, device, LIFETIME_MS), "expired");
        let nonce = nonces.issue(practice, device, 0).unwrap();
        assert!(!nonces.take(&nonce, practice, other, 0), "of another device");
        assert!(!nonces.take(&nonce, practice, device, 0), "and used up by the attempt");
        assert!(!nonces.take("unknown", practice, device, 0));
    }

    #[test]
    fn open_challenges_are_bounded_and_expired_ones_make_room() {
        let nonces = Nonces::default();
        let (practice, device) = ids();
        for _ in 0..MOST {
            assert!(nonces.issue(practice, device, 0).is_some());
        }
        assert!(nonces.issue(practice, device, 0).is_none());
        assert!(nonces.issue(practice, device, LIFETIME_MS).is_some());
    }
}
