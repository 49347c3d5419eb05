//! Somebody signed in: her keys, the files that they open, and the doors through which her reads and changes go.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use caseload_domain::time::Millis;
use caseload_domain::{ClientId, DeviceId, EntityId, EntityKey, OpId, PracticeId, Role, UserId};
use caseload_store::{Action, Author, ReadTx, Store, WriteTx, run_intents};
use caseload_vault::certificates::{Chain, verify_chain};
use caseload_vault::heads::DatabaseFile;
use caseload_vault::{PublicKey, SigningKey, Unlocked, Vault};

use crate::app::{Core, lock};
use crate::dto::ErrorCode;
use crate::env::Env;
use crate::fault::Fault;
use crate::recovery::PendingRecovery;
use crate::sharing::Link;

/// Settings of this computer, kept in a database file. They never leave it.
pub(crate) mod setting {
    /// The service's address; there while the practice is published.
    pub(crate) const ADDRESS: &str = "service.address";
    /// The pin of the service's own authority.
    pub(crate) const PIN: &str = "service.pin";
    /// Set once the service knows the file as a replica.
    pub(crate) const REGISTERED: &str = "service.registered";
    /// When the file last shared everything, epoch milliseconds.
    pub(crate) const LAST_SUCCESS: &str = "service.last_success";
    /// Set until the recovery code was typed back.
    pub(crate) const RECOVERY_PENDING: &str = "recovery.pending";
    /// The highest prescription number given out by the file.
    pub(crate) const PRESCRIPTIONS: &str = "prescriptions.last";
}

/// Somebody signed in.
pub(crate) struct Login {
    pub(crate) vault: Mutex<Vault<Unlocked>>,
    pub(crate) practice: PracticeId,
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) role: Role,
    /// From her certificate chain; an administrator reads no clinical content unless she is a clinician as well.
    pub(crate) admin: bool,
    pub(crate) root: PublicKey,
    pub(crate) signing: SigningKey,
    pub(crate) office: Arc<Store>,
    pub(crate) clinical: Option<Arc<Store>>,
    pub(crate) recovery: Mutex<Option<PendingRecovery>>,
    pub(crate) link: Link,
}

impl Login {
    /// The login of an unlocked vault and its open files. The certificate chain says what the person may do.
    pub(crate) fn new(vault: Vault<Unlocked>, office: Store, clinical: Option<Store>) -> Result<Self, Fault> {
        let (user, device, root) = (vault.user(), vault.device(), vault.identity().practice_root);
        let certificates = office.read(|read| read.certificates_of(user))?;
        let own = certificates
            .iter()
            .filter_map(|entity| chain_of(entity.doc.unit("chain")?))
            .filter_map(|chain| verify_chain(&root, &chain, None).ok())
            .find(|verified| verified.user == user && verified.device == device);
        let shown = vault.users().into_iter().find(|shown| shown.user == user);
        let role = own
            .as_ref()
            .map(|own| own.role)
            .or(shown.map(|shown| shown.role))
            .ok_or(ErrorCode::KeysDamaged)?;
        Ok(Self {
            practice: vault.practice(),
            device,
            user,
            role,
            admin: own.is_some_and(|own| own.admin),
            root,
            signing: vault.identity().signing.clone(),
            vault: Mutex::new(vault),
            office: Arc::new(office),
            clinical: clinical.map(Arc::new),
            recovery: Mutex::new(None),
            link: Link::default(),
        })
    }

    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            user: self.user,
            role: self.role,
            signing: &self.signing,
        }
    }

    /// The clinical file, for clinicians. A front-desk login holds no key to one.
    pub(crate) fn clinical(&self) -> Result<&Arc<Store>, Fault> {
        self.clinical
            .as_ref()
            .filter(|_| self.role.is_clinical())
            .ok_or(Fault::Rule(ErrorCode::Forbidden))
    }

    pub(crate) fn require_admin(&self) -> Result<(), Fault> {
        if self.admin {
            Ok(())
        } else {
            Err(ErrorCode::Forbidden.into())
        }
    }

    /// Whether the practice has a service.
    pub(crate) fn published(&self) -> Result<bool, Fault> {
        Ok(self.office.setting(setting::ADDRESS)?.is_some())
    }

    /// The clients whose clinical record this person may read: those whom she treats now.
    pub(crate) fn treated(&self) -> Result<BTreeSet<ClientId>, Fault> {
        if self.clinical.is_none() {
            return Ok(BTreeSet::new());
        }
        self.office.read(|read| treated_by(read, self.user))
    }

    /// Stops unless this person may read the client's clinical record.
    pub(crate) fn require_care(&self, client: ClientId) -> Result<&Arc<Store>, Fault> {
        let clinical = self.clinical()?;
        if self.treated()?.contains(&client) {
            Ok(clinical)
        } else {
            Err(ErrorCode::Forbidden.into())
        }
    }

    /// Logs that clinical content is about to be shown, printed or exported. Content is answered only after this returned.
    pub(crate) fn note_reading(&self, at: Millis, name: &'static str, objects: &[EntityKey]) -> Result<(), Fault> {
        self.clinical()?
            .record(self.user, self.role, Action { name, at }, objects)?;
        Ok(())
    }

    /// Does in each file what the other one intends.
    pub(crate) fn run_intents(&self, at: Millis) -> Result<(), Fault> {
        if let Some(clinical) = &self.clinical {
            run_intents(clinical, &self.office, &self.author(), at)?;
            run_intents(&self.office, clinical, &self.author(), at)?;
        }
        Ok(())
    }

    /// Remembers in the vault how far the files have come, so that an old copy put back is noticed.
    pub(crate) fn record_heads(&self) -> Result<(), Fault> {
        let mut vault = lock(&self.vault);
        vault.record_head(DatabaseFile::Office, &self.office.head()?)?;
        if let Some(clinical) = &self.clinical {
            vault.record_head(DatabaseFile::Clinical, &clinical.head()?)?;
        }
        Ok(())
    }
}

/// The clients with an active or paused care relationship to `therapist`.
pub(crate) fn treated_by(read: &ReadTx<'_>, therapist: UserId) -> Result<BTreeSet<ClientId>, Fault> {
    let care = read.care_of_therapist(therapist)?;
    Ok(care
        .iter()
        .filter(|entity| matches!(entity.doc.text("status", "state"), Some("active" | "paused")))
        .filter_map(|entity| entity.doc.text("parties", "client")?.parse().ok())
        .collect())
}

/// Reads a certificate chain as it lies in a document.
pub(crate) fn chain_of(value: &serde_json::Value) -> Option<Chain> {
    serde_json::from_value(value.clone()).ok()
}

impl Core {
    pub(crate) fn now(&self) -> Millis {
        self.env.now()
    }

    /// One change of the office file, announced once it is on the disk.
    pub(crate) fn write_office<T>(
        &self,
        login: &Login,
        name: &'static str,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.write(&login.office, login, name, body)
    }

    /// One change of the clinical file, announced once it is on the disk.
    pub(crate) fn write_clinical<T>(
        &self,
        login: &Login,
        name: &'static str,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.write(login.clinical()?, login, name, body)
    }

    pub(crate) fn write<T>(
        &self,
        store: &Store,
        login: &Login,
        name: &'static str,
        body: impl FnOnce(&mut WriteTx<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let committed = store.write(&login.author(), Action { name, at: self.now() }, body)?;
        if !committed.changed.is_empty() {
            self.announcer.changed(&committed.changed);
            self.announcer.waiting.notify_one();
        }
        Ok(committed.value)
    }
}

/// New ids outside a transaction.
pub(crate) fn new_entity(env: &Env) -> EntityId {
    EntityId::new(env.uuid())
}

/// A new id of an intent.
pub(crate) fn new_op(env: &Env) -> OpId {
    OpId::new(env.uuid())
}

/// A new id for a file that syncs. Random as a whole, because it is made where no clock is passed in.
pub(crate) fn new_replica() -> caseload_domain::ReplicaId {
    let random = caseload_store::Entropy::system().bytes();
    caseload_domain::ReplicaId::new(uuid::Builder::from_random_bytes(random).into_uuid())
}
