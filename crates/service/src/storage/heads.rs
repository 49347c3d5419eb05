//! Who waits for the heads of practices to move.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use caseload_domain::PracticeId;
use tokio::sync::watch;

/// The newest known sequence number of each practice that anybody follows.
#[derive(Default)]
pub(super) struct Heads {
    senders: Mutex<HashMap<PracticeId, watch::Sender<i64>>>,
}

impl Heads {
    /// Follows a practice whose head is at least `seq`.
    pub(super) fn follow(&self, practice: PracticeId, seq: i64) -> watch::Receiver<i64> {
        let mut senders = self.lock();
        let sender = senders.entry(practice).or_insert_with(|| watch::Sender::new(seq));
        raise(sender, seq);
        sender.subscribe()
    }

    /// Tells the followers of a practice that its head is at least `seq`.
    pub(super) fn publish(&self, practice: PracticeId, seq: i64) {
        if let Some(sender) = self.lock().get(&practice) {
            raise(sender, seq);
        }
    }

    /// The practices that somebody follows right now.
    pub(super) fn followed(&self) -> Vec<PracticeId> {
        let mut senders = self.lock();
        senders.retain(|_, sender| sender.receiver_count() > 0);
        senders.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PracticeId, watch::Sender<i64>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn raise(sender: &watch::Sender<i64>, seq: i64) {
    sender.send_if_modified(|known| {
        let newer = seq > *known;
        *known = seq.max(*known);
        newer
    });
}
