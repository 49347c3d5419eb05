//! The vault of one profile: locked, or unlocked for one person.
//!
//! A locked vault knows who works on the device and nothing secret. Unlocking gives the keys of one person; everything that changes the
//! slot file needs an unlocked vault, applies its change to what is on disk at that moment and writes both copies. When a write fails half
//! way, either the old or the new content counts from then on, never neither.

use std::path::Path;

use caseload_domain::{DeviceId, PracticeId, Role, UserId};

mod errors;

pub use crate::slots::SlotKind;
pub use errors::{ChangeError, UnlockError};

use crate::bundle::{Bundle, BundlePlace, Identity, PortableKeys};
use crate::heads::{DatabaseFile, Head, HeadCheck, RecordedHead};
use crate::keys::{DatabaseKey, SymmetricKey, redacted};
use crate::passphrase::{KdfError, KdfParams, Passphrase};
use crate::recovery::{RecoveryCode, RecoveryKey};
use crate::seal::OpenError;
use crate::signing::{PublicKey, SigningKey};
use crate::slot_file::{SlotFile, SlotFileError, SlotFolder, SlotUser};
use crate::slots::{self, Slot, SlotError};

/// Nobody is unlocked.
#[derive(Debug)]
pub struct Locked(());

/// One person is unlocked; her keys are in memory.
pub struct Unlocked {
    user: UserId,
    user_key: SymmetricKey,
    bundle: Bundle,
}

redacted!(Unlocked);

/// The keys of a profile.
#[derive(Debug)]
pub struct Vault<S> {
    folder: SlotFolder,
    file: SlotFile,
    state: S,
}

/// A person as the unlock screen shows her.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultUser {
    /// Her id.
    pub user: UserId,
    /// Her name as she is greeted.
    pub name: String,
    /// Her role when she was added; a display only, certificates decide.
    pub role: Role,
    /// What her keys can be opened with.
    pub slots: Vec<SlotKind>,
}

/// Where a vault is made and for whom.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The practice.
    pub practice: PracticeId,
    /// This computer.
    pub device: DeviceId,
    /// The person.
    pub user: UserId,
    /// Her name as she is greeted.
    pub name: String,
    /// Her role; a clinical role gets the key of a clinical file.
    pub role: Role,
}

/// Whose keys a person brings to a device.
#[derive(Debug)]
pub enum Joining {
    /// She is new: her keys are made here, and with them a recovery code.
    New {
        /// The root that the enrolment code carried.
        practice_root: PublicKey,
    },
    /// She works on another device already and brings her keys; her recovery code stays valid.
    Carried(Box<PortableKeys>),
}

impl<S> Vault<S> {
    /// The practice that the profile belongs to.
    #[must_use]
    pub fn practice(&self) -> PracticeId {
        self.file.practice
    }

    /// This computer.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.file.device
    }

    /// Who works on this device, in the order in which they were added.
    #[must_use]
    pub fn users(&self) -> Vec<VaultUser> {
        let shown = |user: &SlotUser| VaultUser {
            user: user.user,
            name: user.name.clone(),
            role: user.role,
            slots: user.slots.iter().map(Slot::kind).collect(),
        };
        self.file.users.iter().map(shown).collect()
    }

    fn place(&self, user: UserId) -> BundlePlace {
        BundlePlace {
            practice: self.file.practice,
            device: self.file.device,
            user,
        }
    }
}

impl Vault<Locked> {
    /// Opens the vault of a profile folder.
    ///
    /// # Errors
    /// [`SlotFileError`] tells missing, damaged, newer and unreadable apart.
    pub fn open(folder: &Path) -> Result<Self, SlotFileError> {
        let folder = SlotFolder::new(folder);
        let file = folder.read()?;
        Ok(Self {
            folder,
            file,
            state: Locked(()),
        })
    }

    /// Unlocks with the passphrase. Takes as long as its derivation, half a second and more.
    ///
    /// # Errors
    /// [`UnlockError`]; nothing is written.
    pub fn unlock_with_passphrase(
        &self,
        user: UserId,
        passphrase: &Passphrase,
    ) -> Result<Vault<Unlocked>, UnlockError> {
        let place = self.place(user);
        self.unlock(user, SlotKind::Passphrase, |slot| match slot {
            Slot::Passphrase { kdf, salt, sealed } => slots::open_passphrase(passphrase, *kdf, salt, sealed, &place)
                .map_err(|error| match error {
                    SlotError::Kdf(error) => UnlockError::Kdf(error),
                    SlotError::Open(error) => wrong_secret(error, UnlockError::WrongPassphrase),
                }),
            _ => Err(UnlockError::NoSuchSlot),
        })
    }

    /// Unlocks with the recovery code. The caller then asks for a new passphrase.
    ///
    /// # Errors
    /// [`UnlockError`]; nothing is written.
    pub fn unlock_with_recovery(&self, user: UserId, code: &RecoveryCode) -> Result<Vault<Unlocked>, UnlockError> {
        let place = self.place(user);
        self.unlock(user, SlotKind::Recovery, |slot| match slot {
            Slot::Recovery { sealed } => slots::open_recovery(&code.key(), sealed, &place)
                .map_err(|error| wrong_secret(error, UnlockError::WrongRecoveryCode)),
            _ => Err(UnlockError::NoSuchSlot),
        })
    }

    /// Unlocks with the secret that the operating system kept; see [`crate::keyring_slot`].
    ///
    /// # Errors
    /// [`UnlockError`]; nothing is written.
    pub fn unlock_with_keyring(&self, user: UserId, secret: &SymmetricKey) -> Result<Vault<Unlocked>, UnlockError> {
        let place = self.place(user);
        self.unlock(user, SlotKind::Keyring, |slot| match slot {
            Slot::Keyring { sealed } => slots::open_keyring(secret, sealed, &place)
                .map_err(|error| wrong_secret(error, UnlockError::WrongKeyringSecret)),
            _ => Err(UnlockError::NoSuchSlot),
        })
    }

    fn unlock(
        &self,
        user: UserId,
        kind: SlotKind,
        open: impl FnOnce(&Slot) -> Result<SymmetricKey, UnlockError>,
    ) -> Result<Vault<Unlocked>, UnlockError> {
        // What is on disk counts: the passphrase may have been changed since this vault was opened.
        let file = self.folder.read()?;
        let entry = file.user(user).ok_or(UnlockError::UserUnknown)?;
        let slot = entry
            .slots
            .iter()
            .find(|slot| slot.kind() == kind)
            .ok_or(UnlockError::NoSuchSlot)?;
        let user_key = open(slot)?;
        let bundle = Bundle::open(&user_key, &self.place(user), &entry.bundle).map_err(UnlockError::Bundle)?;
        Ok(Vault {
            folder: self.folder.clone(),
            file,
            state: Unlocked { user, user_key, bundle },
        })
    }
}

fn wrong_secret(error: OpenError, wrong: UnlockError) -> UnlockError {
    match error {
        OpenError::WrongKey => wrong,
        other => UnlockError::DamagedSlot(other),
    }
}

impl Vault<Unlocked> {
    /// First run: makes practice root, owner and device key, and the slot file in an existing `folder` that has none.
    ///
    /// # Errors
    /// [`ChangeError::File`] with [`SlotFileError::Exists`] when the folder has one.
    pub fn create_practice_owner(
        folder: &Path,
        owner: NewUser,
        passphrase: &Passphrase,
        kdf: KdfParams,
    ) -> Result<(Self, RecoveryCode), ChangeError> {
        let code = RecoveryCode::random();
        let keys = PortableKeys {
            user_key: SymmetricKey::random(),
            identity: Identity::fresh_owner(code.key()),
        };
        Ok((Self::create(folder, owner, keys, passphrase, kdf)?, code))
    }

    /// Makes the vault of a computer that joins a practice, with its first person. Gives a recovery code when her keys are new.
    ///
    /// # Errors
    /// As [`Self::create_practice_owner`].
    pub fn join_device(
        folder: &Path,
        user: NewUser,
        joining: Joining,
        passphrase: &Passphrase,
        kdf: KdfParams,
    ) -> Result<(Self, Option<RecoveryCode>), ChangeError> {
        let (keys, code) = joining.keys();
        Ok((Self::create(folder, user, keys, passphrase, kdf)?, code))
    }

    fn create(
        folder: &Path,
        user: NewUser,
        keys: PortableKeys,
        passphrase: &Passphrase,
        kdf: KdfParams,
    ) -> Result<Self, ChangeError> {
        let folder = SlotFolder::new(folder);
        let place = BundlePlace {
            practice: user.practice,
            device: user.device,
            user: user.user,
        };
        let (entry, bundle) = new_entry(&user, &place, &keys, DatabaseKey::random(), passphrase, kdf)?;
        let file = SlotFile {
            generation: 1,
            practice: user.practice,
            device: user.device,
            users: vec![entry],
            heads: Default::default(),
        };
        folder.create(&file)?;
        Ok(Self {
            folder,
            file,
            state: Unlocked {
                user: user.user,
                user_key: keys.user_key,
                bundle,
            },
        })
    }

    /// Adds another person to this computer while somebody who holds the device key is unlocked. Gives a recovery code when her keys are new.
    ///
    /// # Errors
    /// [`ChangeError::UserExists`], [`ChangeError::OtherPractice`] for keys or ids of another practice or device, or a file error.
    pub fn add_user_to_device(
        &mut self,
        user: NewUser,
        joining: Joining,
        passphrase: &Passphrase,
        kdf: KdfParams,
    ) -> Result<Option<RecoveryCode>, ChangeError> {
        let (keys, code) = joining.keys();
        if (user.practice, user.device) != (self.file.practice, self.file.device)
            || keys.identity.practice_root != self.state.bundle.identity.practice_root
        {
            return Err(ChangeError::OtherPractice);
        }
        let place = self.place(user.user);
        let (entry, _) = new_entry(&user, &place, &keys, self.state.bundle.device.clone(), passphrase, kdf)?;
        self.update(|file| {
            if file.user(entry.user).is_some() {
                return Err(ChangeError::UserExists);
            }
            file.users.push(entry);
            Ok(())
        })?;
        Ok(code)
    }

    /// Forgets the keys.
    #[must_use]
    pub fn lock(self) -> Vault<Locked> {
        Vault {
            folder: self.folder,
            file: self.file,
            state: Locked(()),
        }
    }

    /// Who is unlocked.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.state.user
    }

    /// Who she is: her signing key, private-note key and, for the owner, the practice root.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.state.bundle.identity
    }

    /// The raw key of one of her database files; none when her role has no such file.
    #[must_use]
    pub fn database_key(&self, file: DatabaseFile) -> Option<&DatabaseKey> {
        match file {
            DatabaseFile::Office => Some(&self.state.bundle.device),
            DatabaseFile::Clinical => self.state.bundle.clinical.as_ref(),
        }
    }

    /// The key by which this device signs in to the service.
    #[must_use]
    pub fn device_signing(&self) -> SigningKey {
        SigningKey::of_device(&self.state.bundle.device)
    }

    /// What she takes to another device of hers, or leaves at the service under her recovery code.
    #[must_use]
    pub fn portable_keys(&self) -> PortableKeys {
        PortableKeys {
            user_key: self.state.user_key.clone(),
            identity: self.state.bundle.identity.clone(),
        }
    }

    /// Replaces the passphrase on this device. No database is touched.
    ///
    /// # Errors
    /// [`ChangeError`]; the old passphrase still works then, or, when writing stopped half way, the new one.
    pub fn change_passphrase(&mut self, new: &Passphrase, kdf: KdfParams) -> Result<(), ChangeError> {
        let slot = Slot::for_passphrase(new, kdf, &self.state.user_key, &self.place(self.state.user))?;
        self.put_slot(slot)
    }

    /// Makes a new recovery code; on this device the old paper is void from now on. The package at the service and her other
    /// devices must be given the new keys, or they go on accepting the old one.
    ///
    /// # Errors
    /// [`ChangeError`]; the old code still works then, or, when writing stopped half way, the new one.
    pub fn new_recovery_code(&mut self) -> Result<RecoveryCode, ChangeError> {
        let code = RecoveryCode::random();
        self.put_recovery_key(code.key())?;
        Ok(code)
    }

    /// Takes over a recovery code that was made on another device of the same person.
    ///
    /// # Errors
    /// [`ChangeError`]; the old code still works then, or, when writing stopped half way, the new one.
    pub fn put_recovery_key(&mut self, recovery: RecoveryKey) -> Result<(), ChangeError> {
        let place = self.place(self.state.user);
        let mut bundle = self.state.bundle.clone();
        bundle.identity.recovery = recovery;
        let slot = Slot::for_recovery(&bundle.identity.recovery, &self.state.user_key, &place);
        let sealed = bundle.seal(&self.state.user_key, &place);
        self.update_own(|user| {
            replace_slot(user, slot);
            user.bundle = sealed;
        })?;
        self.state.bundle = bundle;
        Ok(())
    }

    /// Lets the person unlock with `secret`, which the caller has stored in the system's secret store and read back before.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn enable_keyring(&mut self, secret: &SymmetricKey) -> Result<(), ChangeError> {
        let slot = Slot::for_keyring(secret, &self.state.user_key, &self.place(self.state.user));
        self.put_slot(slot)
    }

    /// Removes the keyring slot; the caller then deletes the secret from the system's store.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub fn disable_keyring(&mut self) -> Result<(), ChangeError> {
        self.update_own(|user| user.slots.retain(|slot| slot.kind() != SlotKind::Keyring))
    }

    /// Records how far a database file has come. Called at lock, at exit and now and then between.
    ///
    /// # Errors
    /// [`ChangeError::HeadRefused`] when this would hide that the file went back.
    pub fn record_head(&mut self, file: DatabaseFile, head: &Head) -> Result<(), ChangeError> {
        let key = self.database_key(file).ok_or(ChangeError::NoSuchFile)?.clone();
        let (place, name) = (self.place(self.state.user), file.name(self.state.user));
        if self.checked(file, head) == Some(HeadCheck::Same) {
            return Ok(());
        }
        self.update(|slots| {
            match slots
                .heads
                .get(&name)
                .map_or(HeadCheck::Unknown, |recorded| recorded.check(&key, &place, &name, head))
            {
                HeadCheck::Unknown | HeadCheck::Same | HeadCheck::Ahead { .. } => {}
                refused => return Err(ChangeError::HeadRefused(refused)),
            }
            slots
                .heads
                .insert(name.clone(), RecordedHead::new(&key, &place, &name, head));
            Ok(())
        })
    }

    /// Records a head that may be older than the recorded one: after a person chose to put back a backup, and on nothing else.
    ///
    /// # Errors
    /// [`ChangeError::NoSuchFile`] when her role has no such file, or a file error.
    pub fn record_restored_head(&mut self, file: DatabaseFile, head: &Head) -> Result<(), ChangeError> {
        let key = self.database_key(file).ok_or(ChangeError::NoSuchFile)?;
        let name = file.name(self.state.user);
        let recorded = RecordedHead::new(key, &self.place(self.state.user), &name, head);
        self.update(|slots| {
            slots.heads.insert(name, recorded);
            Ok(())
        })
    }

    /// Compares a database file with its recorded head.
    ///
    /// # Errors
    /// [`ChangeError::NoSuchFile`] when her role has no such file.
    pub fn check_head(&self, file: DatabaseFile, found: &Head) -> Result<HeadCheck, ChangeError> {
        self.checked(file, found).ok_or(ChangeError::NoSuchFile)
    }

    fn checked(&self, file: DatabaseFile, found: &Head) -> Option<HeadCheck> {
        let (key, name) = (self.database_key(file)?, file.name(self.state.user));
        let recorded = self.file.heads.get(&name);
        Some(recorded.map_or(HeadCheck::Unknown, |recorded| {
            recorded.check(key, &self.place(self.state.user), &name, found)
        }))
    }

    fn put_slot(&mut self, slot: Slot) -> Result<(), ChangeError> {
        self.update_own(|user| replace_slot(user, slot))
    }

    fn update_own(&mut self, change: impl FnOnce(&mut SlotUser)) -> Result<(), ChangeError> {
        let user = self.state.user;
        self.update(|file| {
            change(file.user_mut(user).ok_or(ChangeError::Foreign)?);
            Ok(())
        })
    }

    fn update(&mut self, change: impl FnOnce(&mut SlotFile) -> Result<(), ChangeError>) -> Result<(), ChangeError> {
        let own = (self.file.practice, self.file.device);
        self.file = self.folder.update(|file| {
            if (file.practice, file.device) != own {
                return Err(ChangeError::Foreign);
            }
            change(file)
        })?;
        Ok(())
    }
}

impl Joining {
    fn keys(self) -> (PortableKeys, Option<RecoveryCode>) {
        match self {
            Self::Carried(keys) => (*keys, None),
            Self::New { practice_root } => {
                let code = RecoveryCode::random();
                let identity = Identity::fresh(practice_root, code.key());
                (
                    PortableKeys {
                        user_key: SymmetricKey::random(),
                        identity,
                    },
                    Some(code),
                )
            }
        }
    }
}

fn new_entry(
    user: &NewUser,
    place: &BundlePlace,
    keys: &PortableKeys,
    device: DatabaseKey,
    passphrase: &Passphrase,
    kdf: KdfParams,
) -> Result<(SlotUser, Bundle), KdfError> {
    let clinical = user.role.is_clinical().then(DatabaseKey::random);
    let bundle = Bundle {
        identity: keys.identity.clone(),
        device,
        clinical,
    };
    let slots = vec![
        Slot::for_passphrase(passphrase, kdf, &keys.user_key, place)?,
        Slot::for_recovery(&keys.identity.recovery, &keys.user_key, place),
    ];
    let sealed = bundle.seal(&keys.user_key, place);
    Ok((
        SlotUser {
            user: user.user,
            name: user.name.clone(),
            role: user.role,
            slots,
            bundle: sealed,
        },
        bundle,
    ))
}

fn replace_slot(user: &mut SlotUser, slot: Slot) {
    user.slots.retain(|old| old.kind() != slot.kind());
    user.slots.push(slot);
}

#[cfg(test)]
#[path = "vault_tests.rs"]
mod tests;
