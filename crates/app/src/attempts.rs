//! Sign-ins that were refused. They slow the next attempt down, over a restart of the program too, and the next person who gets
//! in writes them to the audit log.
//!
//! They lie in a small file beside the others, because nothing is open before somebody is in. The file names ids and times only.
//! Whoever may write in the folder may remove it: it is a record for honest people, and the derivation of the key is what keeps
//! others out.

use std::path::{Path, PathBuf};

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, UserId};
use caseload_store::Action;
use serde::{Deserialize, Serialize};

use crate::dto::ErrorCode;
use crate::fault::Fault;
use crate::files;
use crate::login::Login;

/// Wrong passphrases that are taken without a pause.
const FREE: u32 = 5;
/// The longest pause between two attempts, in milliseconds.
const LONGEST_PAUSE: i64 = 60_000;
/// How many are kept one by one; with a minute between them that is most of a day.
const KEPT: usize = 1_000;

/// Refused sign-ins since somebody got in.
#[derive(Debug)]
pub(crate) struct Attempts {
    file: PathBuf,
    kept: Kept,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    wrong: u32,
    not_before: Option<i64>,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Refused {
    user: UserId,
    at: i64,
}

impl Attempts {
    /// Those of a profile. A file that cannot be read counts as none.
    pub(crate) fn of(profile: &Path) -> Self {
        let file = profile.join("attempts.json");
        let kept = std::fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Self { file, kept }
    }

    /// # Errors
    /// `too_many_attempts` before the pause is over.
    pub(crate) fn check(&self, now: Millis) -> Result<(), Fault> {
        match self.kept.not_before {
            // A clock that was set back must not keep anybody out for longer than the longest pause.
            Some(instant) if now.0 < instant && instant - now.0 <= LONGEST_PAUSE => {
                Err(ErrorCode::TooManyAttempts.into())
            }
            _ => Ok(()),
        }
    }

    /// Counts a wrong passphrase or recovery code of this person.
    pub(crate) fn refuse(&mut self, user: UserId, now: Millis) {
        self.kept.wrong = self.kept.wrong.saturating_add(1);
        let beyond = self.kept.wrong.saturating_sub(FREE);
        if beyond > 0 {
            let pause = 1_000_i64.saturating_mul(1 << beyond.min(16)).min(LONGEST_PAUSE);
            self.kept.not_before = Some(now.0 + pause);
        }
        if self.kept.refused.len() == KEPT {
            self.kept.refused.remove(0);
        }
        self.kept.refused.push(Refused { user, at: now.0 });
        if let Err(fault) = self.write() {
            // It still counts until the program ends.
            fault.told("refuse");
        }
    }

    /// Writes what was refused to the audit log of the person who got in, and begins anew.
    ///
    /// # Errors
    /// `disk_error`; then nobody is in, and everything is still to be written.
    pub(crate) fn absorb(&mut self, login: &Login) -> Result<(), Fault> {
        if self.kept.wrong == 0 {
            return Ok(());
        }
        for refused in &self.kept.refused {
            let action = Action {
                name: "unlock.refuse",
                at: Millis(refused.at),
            };
            let whose = EntityKey::new("staff_member", refused.user.entity());
            login.office.record(login.user, login.role, action, &[whose])?;
        }
        self.kept = Kept::default();
        self.write()
    }

    fn write(&self) -> Result<(), Fault> {
        let text = serde_json::to_vec(&self.kept).map_err(std::io::Error::other)?;
        Ok(files::replace(&self.file, &text)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn user() -> UserId {
        UserId::new(uuid::Uuid::from_u128(7))
    }

    #[test]
    fn wrong_passphrases_slow_the_next_attempt_down_and_never_for_longer_than_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let mut attempts = Attempts::of(folder.path());
        for _ in 0..FREE {
            attempts.refuse(user(), Millis(0));
            assert!(attempts.check(Millis(0)).is_ok());
        }
        attempts.refuse(user(), Millis(0));
        assert!(attempts.check(Millis(1_999)).is_err());
        assert!(attempts.check(Millis(2_000)).is_ok());
        for _ in 0..40 {
            attempts.refuse(user(), Millis(0));
        }
        assert!(attempts.check(Millis(LONGEST_PAUSE - 1)).is_err());
        assert!(attempts.check(Millis(LONGEST_PAUSE)).is_ok());
        assert!(
            attempts.check(Millis(-LONGEST_PAUSE)).is_ok(),
            "a clock set back keeps nobody out"
        );
    }

    #[test]
    fn a_restart_of_the_program_forgets_no_wrong_passphrase() {
        let folder = tempfile::tempdir().unwrap();
        let mut attempts = Attempts::of(folder.path());
        for _ in 0..=FREE {
            attempts.refuse(user(), Millis(0));
        }
        let again = Attempts::of(folder.path());
        assert!(again.check(Millis(1_999)).is_err());
        assert_eq!(again.kept.refused.len(), 6);
    }

    #[test]
    fn a_damaged_file_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("attempts.json"), b"{").unwrap();
        assert!(Attempts::of(folder.path()).check(Millis(0)).is_ok());
    }
}
