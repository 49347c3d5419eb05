//! Whose turn it is to write. A file has one writer; a person who saves must not stand behind a week of changes that are being shared.
//!
//! Turns are handed over, never fought for: whoever ends names the next one. A person comes before sharing, so a save waits for the one
//! transaction that runs and no other; and two persons' turns are never given while sharing waits behind the first, so sharing goes on.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Who wants to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Somebody at the screen waits for it.
    Person,
    /// Sharing takes something in or hands something out.
    Sharing,
}

/// Something that one at a time may use, in the order described above.
pub(crate) struct Turns<T> {
    line: Line,
    thing: Mutex<T>,
}

#[derive(Default)]
struct Line {
    queue: Mutex<Queue>,
    moved: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Whose turn it is; none when nobody has the thing.
    now: Option<Who>,
    /// To whom it was handed over and who has not taken it yet.
    handed: Option<Who>,
    persons: usize,
    sharing: usize,
}

impl Queue {
    fn waiting(&mut self, who: Who) -> &mut usize {
        match who {
            Who::Person => &mut self.persons,
            Who::Sharing => &mut self.sharing,
        }
    }

    /// Who comes after the one who ends.
    fn following(&self) -> Option<Who> {
        let after_a_person = self.now == Some(Who::Person);
        match (self.persons > 0, self.sharing > 0) {
            (true, true) if after_a_person => Some(Who::Sharing),
            (true, _) => Some(Who::Person),
            (false, true) => Some(Who::Sharing),
            (false, false) => None,
        }
    }
}

/// The thing, until this is dropped.
pub(crate) struct Turn<'a, T> {
    // Before the end of the turn, because fields end in this order.
    thing: MutexGuard<'a, T>,
    _end: End<'a>,
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.thing
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.thing
    }
}

impl<T> Turns<T> {
    pub(crate) fn new(thing: T) -> Self {
        Self {
            line: Line::default(),
            thing: Mutex::new(thing),
        }
    }

    /// Whether a person waits for a turn.
    pub(crate) fn is_wanted(&self) -> bool {
        lock(&self.line.queue).persons > 0
    }

    /// Waits for a turn.
    pub(crate) fn take(&self, who: Who) -> Turn<'_, T> {
        let end = self.line.stand(who);
        Turn {
            thing: lock(&self.thing),
            _end: end,
        }
    }
}

impl Line {
    fn stand(&self, who: Who) -> End<'_> {
        let mut queue = lock(&self.queue);
        if queue.now.is_some() {
            *queue.waiting(who) += 1;
            queue = self
                .moved
                .wait_while(queue, |queue| queue.handed != Some(who))
                .unwrap_or_else(PoisonError::into_inner);
            queue.handed = None;
            *queue.waiting(who) -= 1;
        }
        queue.now = Some(who);
        End(self)
    }
}

/// Hands over when it is dropped, also when what was done in the turn panicked.
struct End<'a>(&'a Line);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        let following = queue.following();
        (queue.now, queue.handed) = (following, following);
        drop(queue);
        self.0.moved.notify_all();
    }
}

/// A panic in a turn leaves what the lock protects whole: SQLite undoes the transaction.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;
    use std::thread::{JoinHandle, yield_now};

    use super::*;

    type Written = Arc<Turns<Vec<&'static str>>>;

    fn written() -> Written {
        Arc::new(Turns::new(Vec::new()))
    }

    /// Someone who writes one word when it is their turn; they stand in line when this returns.
    fn stands(turns: &Written, who: Who, word: &'static str) -> JoinHandle<()> {
        let waiting = |turns: &Written| *lock(&turns.line.queue).waiting(who);
        let before = waiting(turns);
        let theirs = Arc::clone(turns);
        let standing = std::thread::spawn(move || theirs.take(who).push(word));
        while waiting(turns) == before {
            yield_now();
        }
        standing
    }

    #[test]
    fn a_save_comes_before_sharing_that_has_waited_longer() {
        let turns = written();
        let sharing = turns.take(Who::Sharing);
        let line = [
            stands(&turns, Who::Sharing, "sharing"),
            stands(&turns, Who::Person, "save"),
        ];
        drop(sharing);
        for one in line {
            one.join().unwrap();
        }
        assert_eq!(*turns.take(Who::Person), ["save", "sharing"]);
    }

    #[test]
    fn sharing_that_begins_again_and_again_waits_behind_each_save() {
        let turns = written();
        let mut held = turns.take(Who::Sharing);
        for _ in 0..100 {
            let save = stands(&turns, Who::Person, "save");
            held.push("page");
            drop(held);
            // Whoever ran just now cannot have the next turn, however quick: it was handed over before this line.
            held = turns.take(Who::Sharing);
            save.join().unwrap();
        }
        let expected: Vec<&str> = ["page", "save"].into_iter().cycle().take(200).collect();
        assert_eq!(*held, expected);
    }

    #[test]
    fn many_saves_do_not_keep_sharing_away() {
        let turns = written();
        let save = turns.take(Who::Person);
        let line = [
            stands(&turns, Who::Sharing, "page"),
            stands(&turns, Who::Person, "save"),
            stands(&turns, Who::Person, "save"),
        ];
        drop(save);
        for one in line {
            one.join().unwrap();
        }
        assert_eq!(*turns.take(Who::Person), ["page", "save", "save"]);
    }

    #[test]
    fn a_turn_that_panics_is_handed_over_as_well() {
        let turns = written();
        let theirs = Arc::clone(&turns);
        let failed = std::thread::spawn(move || {
            let _turn = theirs.take(Who::Sharing);
            panic!("a defect");
        });
        assert!(failed.join().is_err());
        turns.take(Who::Person).push("save");
        assert_eq!(*turns.take(Who::Sharing), ["save"]);
    }
}
