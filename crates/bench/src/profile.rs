//! An opened profile: both files, and the engines that share them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Context, Result};
use caseload_domain::{ReplicaId, Role};
use caseload_protocol::checksum::parse_hex;
use caseload_store::{Author, Entropy, FileKind, KeyProof, Opening, Store};
use caseload_sync::engine::{CheckReport, Engine, Round};
use caseload_sync::transport::{BoxFuture, Exchange, Transport};
use caseload_sync::{HttpTransport, Identity, Session, SharedTransport, TransportError};
use caseload_vault::heads::{DatabaseFile, HeadCheck};
use caseload_vault::{DatabaseKey, SigningKey};

use crate::clock;
use crate::wire::Unlocked;

/// Both files of one person on one computer.
pub(crate) struct Profile {
    pub(crate) office: Arc<Store>,
    pub(crate) clinical: Arc<Store>,
    signing: SigningKey,
    unlocked: Unlocked,
}

impl Profile {
    /// Opens both files with the checks of the product.
    ///
    /// # Errors
    /// When a file does not open.
    pub(crate) fn open(unlocked: &Unlocked) -> Result<Self> {
        let open = |file: DatabaseFile, key: &str, kind| {
            let opening = Opening {
                kind,
                proof: KeyProof::Proven,
                head: &|_| HeadCheck::Unknown,
            };
            let path = unlocked.folder.join(file.name(unlocked.user));
            Store::open(&path, &database_key(key)?, &opening, Entropy::system()).context("open a file of the profile")
        };
        Ok(Self {
            office: Arc::new(open(DatabaseFile::Office, &unlocked.office_key, FileKind::Office)?),
            clinical: Arc::new(open(
                DatabaseFile::Clinical,
                &unlocked.clinical_key,
                FileKind::Clinical(unlocked.user),
            )?),
            signing: SigningKey::from_seed(&parse_hex(&unlocked.signing_seed).context("read a key")?),
            unlocked: unlocked.clone(),
        })
    }

    /// Closes both files with a checkpoint.
    ///
    /// # Errors
    /// When something still holds a file, or it cannot be written.
    pub(crate) fn close(self) -> Result<()> {
        for store in [self.office, self.clinical] {
            let store = Arc::into_inner(store).context("a file is still in use")?;
            store.close().context("close a file of the profile")?;
        }
        Ok(())
    }

    /// The person who works here.
    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            user: self.unlocked.user,
            role: Role::Therapist,
            signing: &self.signing,
        }
    }

    /// Connects both files with the service.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub(crate) fn connect(&self) -> Result<Link> {
        let transport = Arc::new(Observed {
            inner: HttpTransport::new(&self.unlocked.address, None).context("use the address of the service")?,
            pull_began: AtomicI64::new(0),
        });
        let identity = Identity {
            practice: self.unlocked.practice,
            device: self.unlocked.device,
            user: self.unlocked.user,
            device_key: SigningKey::of_device(&database_key(&self.unlocked.office_key)?),
            user_key: self.signing.clone(),
        };
        let shared: SharedTransport = transport.clone();
        let session = Arc::new(Session::new(shared, identity));
        let engine =
            |store: &Arc<Store>| Engine::new(session.clone(), store.clone(), env!("CARGO_PKG_VERSION"), new_replica);
        Ok(Link {
            office: engine(&self.office),
            clinical: engine(&self.clinical),
            transport,
        })
    }
}

/// The id of a file that has to begin anew.
fn new_replica() -> ReplicaId {
    ReplicaId::new(Entropy::system().uuid_v7(clock::now()))
}

fn database_key(text: &str) -> Result<DatabaseKey> {
    let wrong = "read a key of a file";
    let digits = text.as_bytes().chunks(2).map(|pair| {
        std::str::from_utf8(pair)
            .ok()
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    let bytes: Vec<u8> = digits.collect::<Option<_>>().context(wrong)?;
    Ok(DatabaseKey::from_bytes(bytes.as_slice().try_into().context(wrong)?))
}

/// The engines of both files over one connection.
pub(crate) struct Link {
    pub(crate) office: Engine,
    pub(crate) clinical: Engine,
    transport: Arc<Observed>,
}

impl Link {
    /// One round for each file, as after every change: the office first, because care relationships open clinical scopes.
    ///
    /// # Errors
    /// When a file could not be brought together with the service.
    pub(crate) async fn rounds(&self) -> Result<[Round; 2]> {
        let office = self.office.round(clock::now()).await.context("sync the office file")?;
        let clinical = self
            .clinical
            .round(clock::now())
            .await
            .context("sync the clinical file")?;
        Ok([office, clinical])
    }

    /// Checks both files against the service.
    ///
    /// # Errors
    /// When the service does not answer.
    pub(crate) async fn check(&self) -> Result<[CheckReport; 2]> {
        Ok([
            self.office.check(clock::now()).await.context("check the office file")?,
            self.clinical
                .check(clock::now())
                .await
                .context("check the clinical file")?,
        ])
    }

    /// The moment at which the last pull began, when everything before it was acknowledged and noted.
    pub(crate) fn last_pull_began(&self) -> i64 {
        self.transport.pull_began.load(Ordering::SeqCst)
    }
}

/// The production transport, which also notes when a round turns from pushing to pulling.
struct Observed {
    inner: HttpTransport,
    pull_began: AtomicI64,
}

impl Transport for Observed {
    fn exchange<'a>(&'a self, request: Exchange<'a>) -> BoxFuture<'a, Result<Vec<u8>, TransportError>> {
        if request.path == "/v1/sync/push" {
            self.pull_began.store(0, Ordering::SeqCst);
        } else if request.path == "/v1/sync/pull" {
            // Only the first of a row of pulls: the following ones bring what others and this device wrote.
            let _already =
                self.pull_began
                    .compare_exchange(0, clock::shared_nanoseconds(), Ordering::SeqCst, Ordering::SeqCst);
        }
        self.inner.exchange(request)
    }
}
