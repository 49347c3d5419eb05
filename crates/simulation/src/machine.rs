//! One computer: its real encrypted files, the engines that sync them, and what can happen to it.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use caseload_domain::ReplicaId;
use caseload_store::{Author, Entropy, FileKind, KeyProof, Opening, Store};
use caseload_sync::engine::Engine;
use caseload_sync::session::{Identity, Session};
use caseload_vault::SigningKey;
use caseload_vault::heads::HeadCheck;
use uuid::Uuid;

#[cfg(feature = "test-faults")]
use caseload_faults::crash::Fuse;

use crate::cast::Cast;
use crate::host::copy_folder;
use crate::network::{Line, Network};

thread_local! {
    static NEXT_REPLICA: Cell<u128> = const { Cell::new(0) };
}

/// From now on files of this thread get these ids when they have to register anew.
pub(crate) fn seed_replicas(seed: u64) {
    NEXT_REPLICA.set(u128::from(seed) << 32);
}

fn new_replica() -> ReplicaId {
    let number = NEXT_REPLICA.get();
    NEXT_REPLICA.set(number + 1);
    ReplicaId::new(Uuid::from_u128(0x0181_0000_0000_7000_8000_0000_0000_0000 | number))
}

/// The name of a file of this kind.
pub(crate) const fn file_name(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Office => "office.db",
        FileKind::Clinical(_) => "clinical.db",
    }
}

/// One open file.
pub(crate) struct LocalFile {
    pub(crate) store: Arc<Store>,
    pub(crate) engine: Arc<Engine>,
}

/// See the module.
pub(crate) struct Machine {
    /// Which computer of the cast it is; a clone is the same one.
    pub(crate) computer: usize,
    /// Its place among all machines; its files are `2 * place` and `2 * place + 1`.
    pub(crate) place: usize,
    pub(crate) office: Option<LocalFile>,
    pub(crate) clinical: Option<LocalFile>,
    /// How far its clock is off, in milliseconds.
    pub(crate) skew: i64,
    /// Whether its program is of the next version.
    pub(crate) is_newer: bool,
    folder: PathBuf,
    root: PathBuf,
    lives: u32,
    seed: u64,
    #[cfg(feature = "test-faults")]
    pub(crate) fuse: Fuse,
}

impl Machine {
    /// A machine with a copy of the files in `template`.
    pub(crate) fn start(
        cast: &Cast,
        network: &Arc<Network>,
        root: &Path,
        template: &Path,
        computer: usize,
        place: usize,
        seed: u64,
    ) -> Result<Self> {
        let folder = root.join(format!("machine-{place}-0"));
        copy_folder(template, &folder)?;
        let mut machine = Self {
            computer,
            place,
            office: None,
            clinical: None,
            skew: 0,
            is_newer: false,
            root: root.to_owned(),
            lives: 0,
            seed,
            #[cfg(feature = "test-faults")]
            fuse: Fuse::of(&folder),
            folder,
        };
        machine.open(cast, network)?;
        Ok(machine)
    }

    pub(crate) const fn files(&self) -> [usize; 2] {
        [2 * self.place, 2 * self.place + 1]
    }

    pub(crate) fn file(&self, file: usize) -> Option<&LocalFile> {
        if file.is_multiple_of(2) {
            self.office.as_ref()
        } else {
            self.clinical.as_ref()
        }
    }

    /// Whether nothing happens on it any more until it is started again.
    pub(crate) fn is_dead(&self) -> bool {
        #[cfg(feature = "test-faults")]
        return self.fuse.is_blown();
        #[cfg(not(feature = "test-faults"))]
        false
    }

    /// Leaves its files this many pages of room, or all that there is again.
    #[cfg(feature = "test-faults")]
    pub(crate) fn leave_room(&self, pages: Option<i64>) -> Result<()> {
        if !self.is_dead() {
            for file in [&self.office, &self.clinical].into_iter().flatten() {
                file.store.let_grow_by(pages)?;
            }
        }
        Ok(())
    }

    /// Opens the files and makes new engines, as a program does when it starts.
    pub(crate) fn open(&mut self, cast: &Cast, network: &Arc<Network>) -> Result<()> {
        let person = cast.person_of(self.computer);
        self.office = Some(self.open_file(cast, network, FileKind::Office)?);
        if person.role.is_clinical() {
            self.clinical = Some(self.open_file(cast, network, FileKind::Clinical(person.user))?);
        }
        Ok(())
    }

    fn open_file(&self, cast: &Cast, network: &Arc<Network>, kind: FileKind) -> Result<LocalFile> {
        let opening = Opening {
            kind,
            proof: KeyProof::Proven,
            head: &|_| HeadCheck::Unknown,
        };
        let number = u64::from(kind != FileKind::Office);
        let entropy = Entropy::seeded(self.seed ^ (self.place as u64 * 2 + number) << 40 ^ u64::from(self.lives) << 48);
        let computer = &cast.computers[self.computer];
        let path = self.folder.join(file_name(kind));
        #[cfg_attr(
            not(feature = "test-faults"),
            expect(unused_mut, reason = "every program is of this version")
        )]
        let mut store = Store::open(&path, &computer.key, &opening, entropy).context("a file opens")?;
        #[cfg(feature = "test-faults")]
        store.write_as_newer(self.is_newer);
        let store = Arc::new(store);
        let [office, clinical] = self.files();
        let file = if kind == FileKind::Office { office } else { clinical };
        let person = cast.person_of(self.computer);
        let identity = Identity {
            practice: cast.practice,
            device: computer.device,
            user: person.user,
            device_key: SigningKey::of_device(&computer.key),
            user_key: person.key.clone(),
        };
        let session = Arc::new(Session::new(Arc::new(Line::new(Arc::clone(network), file)), identity));
        let engine = Arc::new(Engine::new(session, Arc::clone(&store), "simulation", new_replica));
        Ok(LocalFile { store, engine })
    }

    /// Who works on it.
    pub(crate) fn author<'a>(&self, cast: &'a Cast) -> Author<'a> {
        let person = cast.person_of(self.computer);
        Author {
            user: person.user,
            role: person.role,
            signing: &person.key,
        }
    }

    /// Kills the program: what goes on is what the files hold at this moment. No round may be on its way.
    pub(crate) fn kill(&mut self, cast: &Cast, network: &Arc<Network>) -> Result<()> {
        let next = self.next_folder();
        copy_folder(&self.folder, &next)?;
        self.replace(next, cast, network)
    }

    /// Copies the files as a backup program does.
    pub(crate) fn copy(&self, name: &str) -> Result<PathBuf> {
        for file in [&self.office, &self.clinical].into_iter().flatten() {
            file.store.checkpoint().context("a checkpoint")?;
        }
        let copy = self.root.join(name);
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy_folder(&self.folder, &copy)?;
        Ok(copy)
    }

    /// Puts an older copy of the files in their place.
    pub(crate) fn put_back(&mut self, copy: &Path, cast: &Cast, network: &Arc<Network>) -> Result<()> {
        let next = self.next_folder();
        copy_folder(copy, &next)?;
        self.replace(next, cast, network)
    }

    fn next_folder(&mut self) -> PathBuf {
        self.lives += 1;
        self.root.join(format!("machine-{}-{}", self.place, self.lives))
    }

    fn replace(&mut self, next: PathBuf, cast: &Cast, network: &Arc<Network>) -> Result<()> {
        self.office = None;
        self.clinical = None;
        fs::remove_dir_all(&self.folder)?;
        self.folder = next;
        #[cfg(feature = "test-faults")]
        {
            self.fuse = Fuse::of(&self.folder);
        }
        self.open(cast, network)
    }
}
