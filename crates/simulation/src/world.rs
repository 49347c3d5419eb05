//! One history: people act, rounds go on request by request, things go wrong; then everything comes to rest and is judged.
//!
//! Only one thing happens at a time. Rounds of several files are on their way at once, each stopped at a request or an answer; which goes on
//! next is the seed's choice, so that the same seed always makes the same history.

mod mishaps;
mod rest;
mod rounds;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Result;
use caseload_domain::time::Millis;
use caseload_domain::{ClientId, Scope};
use caseload_protocol::checksum::{hex, sha256};
use caseload_service::storage::PageLimit;
use caseload_store::StorageError;
use caseload_testkit::chance::Chance;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::actions;
use crate::desk::Desk;
use crate::host::Host;
use crate::invariants::Broken;
use crate::machine::{Machine, seed_replicas};
use crate::model::{Model, Name};
use crate::network::{Answer, Event, Network, Request};
use crate::tally::Tally;
use crate::template::{BEGINNING, Template};

/// Rows that are read in one go.
const EVERYTHING: PageLimit = PageLimit {
    rows: 1_000_000,
    bytes: u64::MAX,
};

/// How many things a person looks for that wait for her before she does nothing.
const MOST_LOOKS: usize = 5;

/// Where a round is stopped.
enum Stopped {
    Asking(oneshot::Sender<Request>),
    Answering {
        verdict: oneshot::Sender<Answer>,
        /// Whether its rows have an order.
        is_page: bool,
    },
}

/// A round on its way.
struct Running {
    task: JoinHandle<()>,
    stopped: Stopped,
}

/// A copy of a machine's files, and how far the model was then.
struct Backup {
    place: usize,
    folder: PathBuf,
    extent: BTreeMap<Name, usize>,
}

/// Why a history ended early.
pub(crate) enum Ended {
    /// An invariant does not hold.
    Broken(Broken),
    /// Something around the simulation failed.
    Failed(anyhow::Error),
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// See the module.
pub(crate) struct World<'t> {
    template: &'t Template,
    root: PathBuf,
    seed: u64,
    pub(crate) chance: Chance,
    pub(crate) tally: Tally,
    model: Model,
    clock: Arc<AtomicI64>,
    now: i64,
    marks: u64,
    host: Host,
    network: Arc<Network>,
    events: mpsc::UnboundedReceiver<Event>,
    machines: Vec<Machine>,
    running: BTreeMap<usize, Running>,
    backups: Vec<Backup>,
    service_copy: Option<PathBuf>,
    put_back: bool,
    /// Places of computers that the service takes for revoked, as the last rounds of the calm say.
    revoked: BTreeSet<usize>,
    /// Whether the network is a good one, so that most rounds come to their end.
    good_network: bool,
    /// What happened, for the digest and for reading.
    pub(crate) lines: Vec<String>,
}

impl<'t> World<'t> {
    pub(crate) async fn begin(template: &'t Template, root: &Path, seed: u64) -> Result<Self> {
        seed_replicas(seed);
        let mut chance = Chance::seeded(seed);
        let clock = Arc::new(AtomicI64::new(BEGINNING));
        let host = Host::start(root, Some(&template.service()), Arc::clone(&clock)).await?;
        let (sender, events) = mpsc::unbounded_channel();
        // Pages so small that most answers are cut into several, or so large that a file that compares everything comes to its end.
        let pull_rows = if chance.percent(50) {
            2 + chance.below(8)
        } else {
            10 + chance.below(40)
        };
        let push_ops = 1 + chance.below(8);
        let network = Network::new(sender, u32::try_from(pull_rows)?, u32::try_from(push_ops)?);
        network.lead_to(host.router());
        let mut computers: Vec<usize> = (1..template.cast.computers.len()).collect();
        while computers.len() > 1 && chance.percent(45) {
            computers.remove(chance.below(computers.len()));
        }
        computers.insert(0, 0);
        let good_network = chance.percent(40);
        let mut machines = Vec::new();
        for (place, computer) in computers.into_iter().enumerate() {
            let files = template.computer(computer);
            machines.push(Machine::start(
                &template.cast,
                &network,
                root,
                &files,
                computer,
                place,
                seed,
            )?);
        }
        let mut world = Self {
            template,
            root: root.to_owned(),
            seed,
            chance,
            tally: Tally::default(),
            model: template.model.clone(),
            clock,
            now: BEGINNING,
            marks: 0,
            host,
            network,
            events,
            machines,
            running: BTreeMap::new(),
            backups: Vec::new(),
            service_copy: None,
            put_back: false,
            revoked: BTreeSet::new(),
            good_network,
            lines: Vec::new(),
        };
        world.observe().await.map_err(|ended| match ended {
            Ended::Broken(broken) => anyhow::anyhow!("{broken}"),
            Ended::Failed(error) => error,
        })?;
        Ok(world)
    }

    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// A digest of everything that happened.
    pub(crate) fn digest(&self) -> String {
        hex(&sha256(self.lines.join("\n").as_bytes())[..16])
    }

    /// The whole history.
    pub(crate) async fn live(&mut self) -> Result<(), Ended> {
        let steps = 90 + self.chance.below(110);
        for _ in 0..steps {
            self.now += 500 + self.chance.below(4_000) as i64;
            self.clock.store(self.now, Ordering::SeqCst);
            match self.chance.weighted(&[32, 16, 46, 6]) {
                0 => self.act()?,
                1 => self.start_round().await?,
                2 => {
                    for _ in 0..=self.chance.below(4) {
                        self.go_on().await?;
                        self.bury_the_dead().await?;
                    }
                }
                _ => self.mishap().await?,
            }
            self.bury_the_dead().await?;
        }
        self.come_to_rest().await?;
        self.judge().await
    }

    fn instant(&self, machine: usize) -> Millis {
        Millis(self.now + self.machines[machine].skew)
    }

    fn act(&mut self) -> Result<(), Ended> {
        // Nobody stops typing because a round of the same computer is on its way.
        let syncing: Vec<usize> = self.running.keys().map(|file| file / 2).collect();
        let (place, types_on) = match self.chance.pick(&syncing) {
            Some(place) if self.chance.percent(40) => (*place, actions::can_go_on(&self.model, 2 * place)),
            _ => (self.chance.below(self.machines.len()), false),
        };
        if types_on {
            self.perform(place, &actions::GO_ON)?;
        } else if self.chance.percent(30) {
            for _ in 0..MOST_LOOKS {
                let action = actions::choose(&mut self.chance, actions::FOLLOW_UPS);
                if self.perform(place, action)? {
                    break;
                }
            }
        } else {
            let action = actions::choose(&mut self.chance, actions::BEGINNINGS);
            self.perform(place, action)?;
        }
        Ok(())
    }

    /// Says whether the action changed anything or was the last of this program's life.
    fn perform(&mut self, place: usize, action: &actions::Action) -> Result<bool, Ended> {
        #[cfg(feature = "test-faults")]
        if self.chance.percent(3) {
            let points = 1 + self.chance.below(400) as u32;
            self.machines[place].fuse.arm(points);
        } else if self.chance.percent(3) {
            let room = self.chance.below(4) as i64;
            self.machines[place].leave_room(Some(room))?;
        }
        let at = self.instant(place);
        let mut desk = Desk {
            cast: &self.template.cast,
            machine: &self.machines[place],
            model: &mut self.model,
            chance: &mut self.chance,
            tally: &mut self.tally,
            marks: &mut self.marks,
            at,
        };
        let done = (action.run)(&mut desk);
        #[cfg(feature = "test-faults")]
        {
            self.machines[place].fuse.disarm();
            self.machines[place].leave_room(None)?;
        }
        if let Some(broken) = self.model.later.take() {
            return Err(broken.into());
        }
        self.say(format!("{place}: {} {:?}", action.name, done.as_ref().ok()));
        if matches!(done, Ok(true)) {
            self.tally.did(action.name);
        }
        match done {
            Ok(done) => Ok(done || self.machines[place].is_dead()),
            Err(_) if self.machines[place].is_dead() => Ok(true),
            Err(StorageError::Full(_)) => {
                self.tally.count("fault: disk full");
                Ok(false)
            }
            Err(error) => Err(Broken::of("a file", format!("{}: {error}", action.name)).into()),
        }
    }

    /// Looks at what changed at the service.
    async fn observe(&mut self) -> Result<(), Ended> {
        let scopes = self.scopes();
        let storage = Arc::clone(self.host.storage());
        let practice = self.template.cast.practice;
        let page = storage
            .read_since(practice, self.model.head, &scopes, EVERYTHING)
            .await?;
        let history = storage.history(practice, self.model.head, u32::MAX >> 1).await?;
        self.model
            .chain
            .extend(history.iter().map(|entry| (entry.last_seq, entry.chain)));
        self.model.observe(&page.rows, page.head.seq)?;
        Ok(())
    }

    fn scopes(&self) -> Vec<Scope> {
        let clients = self.model.created.keys().filter(|key| key.kind.as_str() == "client");
        let clinical = clients.map(|key| Scope::Clinical(ClientId::new(key.id.uuid())));
        std::iter::once(Scope::Office).chain(clinical).collect()
    }
}
