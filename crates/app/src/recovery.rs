//! The recovery code: shown once, printed, two of its groups typed back. Until then the first run is not over.

use caseload_documents::{Practice as Letterhead, RecoverySheet, recovery_pdf};
use caseload_domain::time::Millis;
use caseload_vault::recovery::RecoveryCode;

use crate::app::{App, Core, lock};
use crate::dto::{AppError, ConfirmRecovery, ErrorCode, Instant, RecoveryKit, SavedFile, Status};
use crate::fault::{Fault, answer};
use crate::login::{Login, setting};
use crate::prescriptions::print;
use crate::views::office::Office;

/// A code whose paper has not been shown to exist.
pub(crate) struct PendingRecovery {
    code: RecoveryCode,
    ask: [u32; 2],
    made_at: Millis,
}

impl PendingRecovery {
    /// A code of which two groups, chosen by chance, are asked.
    pub(crate) fn new(core: &Core, code: RecoveryCode) -> Self {
        let groups = u32::try_from(RecoveryCode::GROUPS).expect("nine groups");
        let [first, step] = core.env.bytes::<2>().map(u32::from);
        let first = first % groups;
        let second = (first + 1 + step % (groups - 1)) % groups;
        let mut ask = [first, second];
        ask.sort_unstable();
        Self {
            code,
            ask,
            made_at: core.now(),
        }
    }
}

impl App {
    /// The code that has still to be confirmed.
    ///
    /// # Errors
    /// `not_found` once it was confirmed; it is never shown again.
    pub fn recovery_kit(&self) -> Result<RecoveryKit, AppError> {
        answer(
            "recovery_kit",
            self.core.login().and_then(|login| kit(&self.core, &login)),
        )
    }

    /// Writes the code as a page to be printed.
    ///
    /// # Errors
    /// As [`App::recovery_kit`]; `disk_error`.
    pub fn recovery_pdf(&self) -> Result<SavedFile, AppError> {
        answer(
            "recovery_pdf",
            self.core.login().and_then(|login| page(&self.core, &login)),
        )
    }

    /// Shows that the paper exists: the groups asked for, typed back.
    ///
    /// # Errors
    /// `recovery_mismatch` when one of them is wrong or missing.
    pub fn confirm_recovery(&self, request: ConfirmRecovery) -> Result<Status, AppError> {
        answer(
            "confirm_recovery",
            self.core.login().and_then(|login| confirm(&login, &request)),
        )?;
        self.status()
    }
}

pub(crate) fn kit(core: &Core, login: &Login) -> Result<RecoveryKit, Fault> {
    let pending = lock(&login.recovery);
    let pending = pending.as_ref().ok_or(ErrorCode::NotFound)?;
    let (practice_name, user_name) = names(core, login)?;
    Ok(RecoveryKit {
        practice_name,
        user_name,
        groups: pending.code.groups().to_vec(),
        ask: pending.ask.to_vec(),
        made_at: Instant(pending.made_at.0),
    })
}

fn names(core: &Core, login: &Login) -> Result<(String, String), Fault> {
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        Ok((office.practice_name.clone(), office.staff_name(&login.user.to_string())))
    })
}

fn page(core: &Core, login: &Login) -> Result<SavedFile, Fault> {
    let kit = kit(core, login)?;
    let made_on = login
        .office
        .read(|read| Ok::<_, Fault>(Office::read(read, core.now())?.date_of(Millis(kit.made_at.0))))?;
    let sheet = RecoverySheet {
        language: print::language(core),
        practice: Letterhead {
            name: kit.practice_name,
            address: String::new(),
            phone: String::new(),
        },
        person: kit.user_name,
        groups: kit.groups,
        made_on,
    };
    print::save(core, "Recovery code", &recovery_pdf(&sheet)?, false)
}

fn confirm(login: &Login, request: &ConfirmRecovery) -> Result<(), Fault> {
    let mut pending = lock(&login.recovery);
    let Some(kept) = pending.as_ref() else {
        return Err(ErrorCode::NotFound.into());
    };
    let typed_back = |asked: &u32| {
        request
            .groups
            .iter()
            .any(|group| group.index == *asked && kept.code.confirms_group(group.index as usize, &group.text))
    };
    if !kept.ask.iter().all(typed_back) {
        return Err(ErrorCode::RecoveryMismatch.into());
    }
    login.office.set_setting(setting::RECOVERY_PENDING, None)?;
    *pending = None;
    Ok(())
}
