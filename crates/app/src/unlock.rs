//! Signing in and out on this computer, and what can be said before anybody has.

use std::sync::Arc;

use caseload_domain::UserId;
use caseload_store::Action;
use caseload_vault::heads::DatabaseFile;
use caseload_vault::keyring_slot::KeyringAccount;
use caseload_vault::passphrase::Passphrase;
use caseload_vault::recovery::RecoveryCode;
use caseload_vault::slot_file::SlotFileError;
use caseload_vault::vault::{SlotKind, UnlockError, VaultUser};
use caseload_vault::{Locked, SymmetricKey, Unlocked, Vault};

use crate::app::{App, Core, Event, lock};
use crate::dto::{
    AppError, ErrorCode, FieldProblem, Heartbeat, HeartbeatAnswer, KeyringState, Phase, Recover, Session, SetKeyring,
    Status, Unlock, UnlockUser,
};
use crate::env::Sharing;
use crate::fault::{Fault, answer};
use crate::files;
use crate::login::{Login, setting};
use crate::recovery::PendingRecovery;
use crate::sharing;
use crate::views::office::{Office, role};

/// Idle time after which the window locks itself, in seconds.
const AUTO_LOCK_SECONDS: u32 = 600;

impl App {
    /// What the window has to show first.
    ///
    /// # Errors
    /// None for files that cannot be opened: that is the phase `unavailable`.
    pub fn status(&self) -> Result<Status, AppError> {
        answer("status", status(&self.core))
    }

    /// Signs a person in: by passphrase, or without one by the system's keyring.
    ///
    /// # Errors
    /// `wrong_passphrase`, `too_many_attempts`, `keyring_unavailable`, and one code for each way in which the files can be unusable.
    pub fn unlock(&self, request: Unlock) -> Result<Status, AppError> {
        answer("unlock", unlock(&self.core, &request))?;
        self.status()
    }

    /// Signs a person in by her recovery code and gives her a new passphrase on this computer. The code stays valid.
    ///
    /// # Errors
    /// `invalid_fields` for a code that is mistyped and a passphrase that is too weak, `recovery_mismatch` for the code of somebody
    /// else, `too_many_attempts`, and one code for each way in which the files can be unusable.
    pub fn recover(&self, request: Recover) -> Result<Status, AppError> {
        answer("recover", recover(&self.core, &request))?;
        self.status()
    }

    /// Makes a new recovery code for the person signed in; the old paper is void on this computer from now on. The new code is
    /// shown until two of its groups were typed back.
    ///
    /// # Errors
    /// `disk_error`; then the old code is still the valid one.
    pub fn renew_recovery_code(&self) -> Result<Status, AppError> {
        let done = self.core.login().and_then(|login| renew_code(&self.core, &login));
        answer("renew_recovery_code", done)?;
        self.status()
    }

    /// Shares what it can within a few seconds, closes the files and forgets the keys.
    ///
    /// # Errors
    /// `disk_error` when the files could not be closed in order; everybody is signed out all the same.
    pub async fn lock(&self) -> Result<Status, AppError> {
        sharing::drain(&self.core).await;
        let core = Arc::clone(&self.core);
        let closed = self.core.handle.spawn_blocking(move || close(&core)).await;
        answer("lock", closed.map_err(Fault::from).and_then(|closed| closed))?;
        self.status()
    }

    /// Takes how long nothing was typed or moved, and locks when that is too long.
    ///
    /// # Errors
    /// As [`App::lock`].
    pub fn heartbeat(&self, request: Heartbeat) -> Result<HeartbeatAnswer, AppError> {
        if self.core.current().is_none() {
            return Ok(HeartbeatAnswer { locks_in_seconds: None });
        }
        let left = AUTO_LOCK_SECONDS.saturating_sub(request.idle_seconds);
        if left == 0 {
            answer("heartbeat", close(&self.core))?;
            return Ok(HeartbeatAnswer { locks_in_seconds: None });
        }
        Ok(HeartbeatAnswer {
            locks_in_seconds: Some(left),
        })
    }

    /// Whether the system's keyring answers and holds a slot for the person signed in.
    ///
    /// # Errors
    /// `locked`. A keyring that does not answer is no error.
    pub fn keyring(&self) -> Result<KeyringState, AppError> {
        answer(
            "keyring",
            self.core.login().map(|login| keyring_state(&self.core, &login)),
        )
    }

    /// Adds or removes the keyring slot of the person signed in. The passphrase keeps working.
    ///
    /// # Errors
    /// `keyring_unavailable`.
    pub fn set_keyring(&self, request: SetKeyring) -> Result<KeyringState, AppError> {
        let login = answer("set_keyring", self.core.login())?;
        let done = if request.enabled {
            enable_keyring(&self.core, &login)
        } else {
            disable_keyring(&self.core, &login)
        };
        answer("set_keyring", done)?;
        Ok(keyring_state(&self.core, &login))
    }
}

fn status(core: &Core) -> Result<Status, Fault> {
    let login = core.current();
    let mut status = Status {
        phase: Phase::NoPractice,
        problem: None,
        practice_name: None,
        device_name: None,
        users: Vec::new(),
        last_user_id: core.last_user(),
        session: None,
        published: false,
        auto_lock_seconds: AUTO_LOCK_SECONDS,
        preferences: core.preferences(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    if let Some(login) = login {
        describe_session(core, &login, &mut status)?;
        return Ok(status);
    }
    match open_vault(core) {
        Ok(vault) => {
            status.users = vault.users().iter().map(unlock_user).collect();
            let missing = !files::has_database(&core.profile);
            status.phase = if missing { Phase::Unavailable } else { Phase::Locked };
            status.problem = missing.then_some(ErrorCode::StoreMissing);
        }
        Err(Fault::Rule(ErrorCode::NoPractice)) => {}
        Err(fault) => {
            status.phase = Phase::Unavailable;
            status.problem = Some(fault.told("status").code);
        }
    }
    Ok(status)
}

fn describe_session(core: &Core, login: &Login, status: &mut Status) -> Result<(), Fault> {
    let office = login.office.read(|read| Office::read(read, core.now()))?;
    status.phase = if lock(&login.recovery).is_some() {
        Phase::RecoveryPending
    } else {
        Phase::Unlocked
    };
    status.users = lock(&login.vault).users().iter().map(unlock_user).collect();
    status.practice_name = Some(office.practice_name.clone());
    status.device_name = office.device_name(&login.device.to_string());
    status.published = login.published()?;
    status.session = Some(Session {
        user_id: login.user.to_string(),
        name: office.staff_name(&login.user.to_string()),
        role: role(login.role.as_str()),
        admin: login.admin,
        clinician: login.clinical().is_ok(),
    });
    Ok(())
}

fn unlock_user(user: &VaultUser) -> UnlockUser {
    UnlockUser {
        id: user.user.to_string(),
        name: user.name.clone(),
        role: role(user.role.as_str()),
        keyring: user.slots.contains(&SlotKind::Keyring),
    }
}

/// The locked vault of the profile.
fn open_vault(core: &Core) -> Result<Vault<Locked>, Fault> {
    match Vault::open(&core.profile) {
        Err(SlotFileError::Missing) if !files::has_database(&core.profile) => Err(ErrorCode::NoPractice.into()),
        opened => Ok(opened?),
    }
}

fn unlock(core: &Arc<Core>, request: &Unlock) -> Result<(), Fault> {
    let user: UserId = crate::checks::id(&request.user_id)?;
    lock(&core.attempts).check(core.now())?;
    let locked = open_vault(core)?;
    let opened = match &request.passphrase {
        Some(passphrase) => locked.unlock_with_passphrase(user, &Passphrase::typed(passphrase)),
        None => {
            let account = KeyringAccount {
                practice: locked.practice(),
                device: locked.device(),
                user,
            };
            locked.unlock_with_keyring(user, &core.env.keyring.read(account)?)
        }
    };
    let vault = judged(core, user, opened)?;
    close(core)?;
    enter(core, vault, "unlock")
}

/// Signs in with the recovery code, which replaces the passphrase by a new one. The code stays valid.
fn recover(core: &Arc<Core>, request: &Recover) -> Result<(), Fault> {
    let user: UserId = crate::checks::id(&request.user_id)?;
    lock(&core.attempts).check(core.now())?;
    let locked = open_vault(core)?;
    let known: Vec<String> = locked.users().into_iter().map(|user| user.name).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let passphrase = Passphrase::chosen(&request.passphrase, &known)?;
    let code = RecoveryCode::parse(&request.code).map_err(|_| Fault::field("code", FieldProblem::Malformed))?;
    let mut vault = judged(core, user, locked.unlock_with_recovery(user, &code))?;
    close(core)?;
    vault.change_passphrase(&passphrase, core.env.kdf)?;
    enter(core, vault, "recover")
}

/// Counts what the vault found wrong.
fn judged(core: &Core, user: UserId, opened: Result<Vault<Unlocked>, UnlockError>) -> Result<Vault<Unlocked>, Fault> {
    if let Err(UnlockError::WrongPassphrase | UnlockError::WrongRecoveryCode) = opened {
        lock(&core.attempts).refuse(user, core.now());
    }
    Ok(opened?)
}

/// Opens the files of an unlocked vault and signs its person in; `how` is what the audit log calls it.
fn enter(core: &Arc<Core>, vault: Vault<Unlocked>, how: &'static str) -> Result<(), Fault> {
    let office = files::open(&core.profile, &vault, DatabaseFile::Office, &core.env)?.ok_or(ErrorCode::StoreMissing)?;
    let clinical = files::open(&core.profile, &vault, DatabaseFile::Clinical, &core.env)?;
    let login = Login::new(vault, office, clinical)?;
    lock(&core.attempts).absorb(&login)?;
    login.office.record(
        login.user,
        login.role,
        Action {
            name: how,
            at: core.now(),
        },
        &[],
    )?;
    login.run_intents(core.now())?;
    for store in [Some(&login.office), login.clinical.as_ref()].into_iter().flatten() {
        // What a crash left beside the files takes room and nothing else.
        if let Err(error) = store.sweep_files() {
            Fault::from(error).told("sweep_files");
        }
    }
    if login
        .office
        .setting(setting::RECOVERY_PENDING)?
        .is_some_and(|user| user == login.user.to_string())
    {
        // The old code was never shown to exist on paper, so that a new one takes its place.
        let code = lock(&login.vault).new_recovery_code()?;
        *lock(&login.recovery) = Some(PendingRecovery::new(core, code));
    }
    begin(core, login)
}

fn renew_code(core: &Core, login: &Login) -> Result<(), Fault> {
    login
        .office
        .set_setting(setting::RECOVERY_PENDING, Some(&login.user.to_string()))?;
    let code = lock(&login.vault).new_recovery_code()?;
    *lock(&login.recovery) = Some(PendingRecovery::new(core, code));
    login.office.record(
        login.user,
        login.role,
        Action {
            name: "recovery_code.renew",
            at: core.now(),
        },
        &[],
    )?;
    Ok(())
}

/// Makes a complete login the present one.
pub(crate) fn begin(core: &Arc<Core>, login: Login) -> Result<(), Fault> {
    login.record_heads()?;
    let login = Arc::new(login);
    core.remember_user(&login.user.to_string());
    core.replace_login(Some(Arc::clone(&login)));
    if core.env.sharing == Sharing::InBackground && login.published()? {
        sharing::start(core, &login);
    }
    Ok(())
}

/// Signs out: stops sharing, remembers how far the files have come, closes them, forgets the keys.
pub(crate) fn close(core: &Core) -> Result<(), Fault> {
    let Some(login) = core.replace_login(None) else {
        return Ok(());
    };
    core.announcer.send(Event::Locked);
    sharing::stop(&login);
    sharing::leave_count(&login)?;
    login.office.record(
        login.user,
        login.role,
        Action {
            name: "lock",
            at: core.now(),
        },
        &[],
    )?;
    login.office.checkpoint()?;
    if let Some(clinical) = &login.clinical {
        clinical.checkpoint()?;
    }
    login.record_heads()
}

fn account(login: &Login) -> KeyringAccount {
    KeyringAccount {
        practice: login.practice,
        device: login.device,
        user: login.user,
    }
}

fn keyring_state(core: &Core, login: &Login) -> KeyringState {
    use caseload_vault::keyring_slot::KeyringError;
    let enabled = lock(&login.vault)
        .users()
        .iter()
        .any(|user| user.user == login.user && user.slots.contains(&SlotKind::Keyring));
    let available = !matches!(
        core.env.keyring.read(account(login)),
        Err(KeyringError::Unavailable(_) | KeyringError::TimedOut | KeyringError::Busy)
    );
    KeyringState { available, enabled }
}

fn enable_keyring(core: &Core, login: &Login) -> Result<(), Fault> {
    let secret = SymmetricKey::random();
    core.env.keyring.store(account(login), &secret, || {})?;
    Ok(lock(&login.vault).enable_keyring(&secret)?)
}

fn disable_keyring(core: &Core, login: &Login) -> Result<(), Fault> {
    lock(&login.vault).disable_keyring()?;
    // The slot is gone, so the secret opens nothing, whether the store answers or not.
    if let Err(error) = core.env.keyring.delete(account(login)) {
        tracing::warn!(%error, "a secret that opens nothing stays in the system's keyring");
    }
    Ok(())
}
