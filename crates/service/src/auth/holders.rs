//! Whose an access token was when it was last seen, so that the session and the account can be read side by side. It opens nothing: a session
//! that ended is refused all the same, because it is read at every request.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use caseload_domain::{PracticeId, UserId};

use crate::storage::TokenHash;

/// Tokens that are remembered at most; then all are forgotten, which costs each of them one look-up.
const MOST_KNOWN: usize = 10_000;

/// The persons of access tokens.
#[derive(Default)]
pub(crate) struct Holders(Mutex<HashMap<(PracticeId, TokenHash), UserId>>);

impl Holders {
    /// Whose token this was.
    pub(crate) fn get(&self, practice: PracticeId, access: TokenHash) -> Option<UserId> {
        self.lock().get(&(practice, access)).copied()
    }

    /// Remembers whose token this is.
    pub(crate) fn put(&self, practice: PracticeId, access: TokenHash, user: UserId) {
        let mut known = self.lock();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert((practice, access), user);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(PracticeId, TokenHash), UserId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
