//! What the use cases take from the machine: the time, randomness, the places of files. Everything else is given by the caller.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use caseload_domain::time::Millis;
use caseload_store::Entropy;
use caseload_vault::keyring_slot::Keyring;
use caseload_vault::passphrase::KdfParams;
use uuid::Uuid;

use crate::dto::Language;

/// When changes are exchanged with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// All the time, while somebody is unlocked: for the window.
    InBackground,
    /// When a command asks for it: for the command line.
    WhenAsked,
}

/// The machine as the use cases see it.
pub struct Env {
    clock: Arc<dyn Fn() -> i64 + Send + Sync>,
    seed: Option<AtomicU64>,
    own: Entropy,
    pub(crate) kdf: KdfParams,
    pub(crate) keyring: Keyring,
    pub(crate) documents: Option<PathBuf>,
    /// English or Korean: what the system's settings say.
    pub(crate) language: Language,
    pub(crate) sharing: Sharing,
}

impl Env {
    /// The real machine, for a program that shares all the time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is where the machine's clock is read")]
    pub fn system() -> Self {
        Self {
            clock: Arc::new(|| {
                let since_1970 = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap_or_default();
                i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
            }),
            seed: None,
            own: Entropy::system(),
            kdf: KdfParams::DEFAULT,
            keyring: Keyring::default(),
            documents: documents_folder(),
            language: system_language(),
            sharing: Sharing::InBackground,
        }
    }

    /// The same with another way of sharing.
    #[must_use]
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// The same with another folder for printed documents.
    #[must_use]
    pub fn documents(mut self, folder: &Path) -> Self {
        self.documents = Some(folder.to_owned());
        self
    }

    /// The same with a clock that the caller turns, in epoch milliseconds.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The same with ids that repeat for the same `seed`: for demonstrations and tests alone, because anybody can repeat them. Keys stay random.
    #[must_use]
    pub fn seeded(mut self, seed: u64) -> Self {
        self.own = Entropy::seeded(seed);
        self.seed = Some(AtomicU64::new(seed));
        self
    }

    /// The same with the cheapest key derivation that is accepted.
    #[must_use]
    pub const fn with_cheapest_derivation(mut self) -> Self {
        self.kdf = KdfParams::FLOOR;
        self
    }

    /// The present instant.
    #[must_use]
    pub fn now(&self) -> Millis {
        Millis((self.clock)())
    }

    /// A new id.
    pub(crate) fn uuid(&self) -> Uuid {
        self.own.uuid_v7(self.now())
    }

    /// Random bytes.
    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        self.own.bytes()
    }

    /// Randomness for one more store.
    pub(crate) fn entropy(&self) -> Entropy {
        match &self.seed {
            None => Entropy::system(),
            Some(seed) => Entropy::seeded(seed.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        }
    }
}

fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn documents_folder() -> Option<PathBuf> {
    folder("XDG_DOCUMENTS_DIR").or_else(|| {
        let home = folder("HOME").or_else(|| folder("USERPROFILE"))?;
        Some(home.join("Documents"))
    })
}

fn system_language() -> Language {
    let said = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    match said {
        Some(said) if said.starts_with("ko") => Language::Ko,
        _ => Language::En,
    }
}
