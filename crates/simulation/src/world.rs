//! One history: people act, rounds go on request by request, things go wrong; then everything comes to rest and is judged.
//!
//! Only one thing happens at a time. Rounds of several files are on their way at once, each stopped at a request or an answer; which goes on
//! next is the seed's choice, so that the same seed always makes the same history.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Result;
use caseload_domain::time::Millis;
use caseload_domain::{ClientId, EntityKey, Scope};
use caseload_protocol::checksum::{hex, sha256};
use caseload_protocol::messages::{
    HelloAction, HelloResponse, Outcome, PullResponse, PushRequest, PushResponse, WireErrorCode,
};
use caseload_service::storage::PageLimit;
use caseload_store::ApplyError;
use caseload_sync::engine::{Round, SyncError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::actions;
use crate::chance::Chance;
use crate::desk::Desk;
use crate::host::{Host, Sent, call};
use crate::invariants::{self, Broken, FileAtRest, Rest};
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
/// Rounds of every file within which a calm practice has to come to rest.
const MOST_CYCLES: usize = 12;

/// Where a round is stopped.
enum Stopped {
    Asking(oneshot::Sender<Request>),
    Answering(oneshot::Sender<Answer>),
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
    /// The history cannot go on without a decision that no action here makes.
    Asked,
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
    /// What happened, for the digest and for reading.
    pub(crate) lines: Vec<String>,
}

impl<'t> World<'t> {
    pub(crate) async fn begin(template: &'t Template, root: &Path, seed: u64) -> Result<Self> {
        seed_replicas(seed);
        let mut chance = Chance::new(seed);
        let clock = Arc::new(AtomicI64::new(BEGINNING));
        let host = Host::start(root, Some(&template.service()), Arc::clone(&clock)).await?;
        let (sender, events) = mpsc::unbounded_channel();
        let (pull_rows, push_ops) = (2 + chance.below(8), 1 + chance.below(8));
        let network = Network::new(sender, u32::try_from(pull_rows)?, u32::try_from(push_ops)?);
        network.lead_to(host.router());
        let mut computers: Vec<usize> = (1..template.cast.computers.len()).collect();
        while computers.len() > 1 && chance.percent(45) {
            computers.remove(chance.below(computers.len()));
        }
        computers.insert(0, 0);
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
            lines: Vec::new(),
        };
        world.observe().await.map_err(|ended| match ended {
            Ended::Broken(broken) => anyhow::anyhow!("{broken}"),
            Ended::Failed(error) => error,
            Ended::Asked => anyhow::anyhow!("nothing happened yet"),
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
        let place = self.chance.below(self.machines.len());
        let weights: Vec<usize> = actions::all().map(|action| action.weight).collect();
        let Some(action) = actions::all().nth(self.chance.weighted(&weights)) else {
            return Ok(());
        };
        #[cfg(feature = "test-faults")]
        if self.chance.percent(3) {
            let points = 1 + self.chance.below(400) as u32;
            self.machines[place].fuse.arm(points);
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
        self.machines[place].fuse.disarm();
        if let Some(broken) = self.model.later.take() {
            return Err(broken.into());
        }
        self.say(format!("{place}: {} {:?}", action.name, done.as_ref().ok()));
        match done {
            Err(error) if !self.machines[place].is_dead() => {
                Err(Broken::of("a file", format!("{}: {error}", action.name)).into())
            }
            _ => Ok(()),
        }
    }

    /// Lets a file that does nothing begin a round.
    async fn start_round(&mut self) -> Result<(), Ended> {
        let mut idle = Vec::new();
        for machine in &self.machines {
            for file in machine.files() {
                if machine.file(file).is_some() && !self.running.contains_key(&file) {
                    idle.push(file);
                }
            }
        }
        let Some(file) = self.chance.pick(&idle).copied() else {
            return Ok(());
        };
        let place = file / 2;
        let at = self.instant(place);
        let Some(local) = self.machines[place].file(file) else {
            return Ok(());
        };
        let (engine, network) = (Arc::clone(&local.engine), Arc::clone(&self.network));
        let task = tokio::spawn(async move {
            let result = engine.round(at).await;
            network.tell(Event::Ends { file, result });
        });
        self.say(format!("{place}: round of {file}"));
        if !self.running.is_empty() {
            self.tally.count("fault: rounds interleaved");
        }
        self.next_stop(file, task).await
    }

    /// Lets one of the rounds on their way go on.
    async fn go_on(&mut self) -> Result<(), Ended> {
        let files: Vec<usize> = self.running.keys().copied().collect();
        let Some(file) = self.chance.pick(&files).copied() else {
            return self.start_round().await;
        };
        let Some(Running { task, stopped }) = self.running.remove(&file) else {
            return Ok(());
        };
        match stopped {
            Stopped::Asking(verdict) => {
                let request = self.fate_of_request();
                let _round_was_ended = verdict.send(request);
            }
            Stopped::Answering(verdict) => {
                let answer = self.fate_of_answer(file);
                let _round_was_ended = verdict.send(answer);
            }
        }
        self.next_stop(file, task).await
    }

    fn fate_of_request(&mut self) -> Request {
        let fate = self.chance.weighted(&[88, 4, 2, 2, 4]);
        let (name, request) = match fate {
            1 => ("fault: request lost", Request::IsLost),
            2 => ("fault: refused with busy", Request::IsRefused(WireErrorCode::Busy)),
            3 => (
                "fault: refused with storage unavailable",
                Request::IsRefused(WireErrorCode::StorageUnavailable),
            ),
            4 => {
                #[cfg(feature = "test-faults")]
                {
                    let points = 1 + self.chance.below(600) as u32;
                    self.host.fuse.arm(points);
                }
                return Request::Arrives;
            }
            _ => return Request::Arrives,
        };
        self.tally.count(name);
        self.say(name.to_owned());
        request
    }

    fn fate_of_answer(&mut self, file: usize) -> Answer {
        let fate = self.chance.weighted(&[86, 5, 3, 6]);
        let (name, answer) = match fate {
            1 => ("fault: answer lost", Answer::IsLost),
            2 => ("fault: answer cut short", Answer::IsCutShort),
            3 => {
                #[cfg(feature = "test-faults")]
                {
                    let points = 1 + self.chance.below(600) as u32;
                    self.machines[file / 2].fuse.arm(points);
                }
                let _only_with_crash_points = file;
                return Answer::Arrives;
            }
            _ => return Answer::Arrives,
        };
        self.tally.count(name);
        self.say(name.to_owned());
        answer
    }

    /// Waits until the round of `file` stops again or ends.
    async fn next_stop(&mut self, file: usize, task: JoinHandle<()>) -> Result<(), Ended> {
        let event = self.events.recv().await;
        settle_blocking_work().await;
        #[cfg(feature = "test-faults")]
        {
            self.machines[file / 2].fuse.disarm();
            self.host.fuse.disarm();
        }
        match event {
            Some(Event::Asks {
                file: of,
                path,
                verdict,
            }) => {
                self.expect(of, file);
                self.say(format!("{file} asks {path}"));
                let stopped = Stopped::Asking(verdict);
                self.running.insert(file, Running { task, stopped });
            }
            Some(Event::Answers {
                file: of,
                sent,
                answer,
                verdict,
            }) => {
                self.expect(of, file);
                let stopped = Stopped::Answering(verdict);
                self.running.insert(file, Running { task, stopped });
                self.heard(&sent, &answer).await?;
            }
            Some(Event::Ends { file: of, result }) => {
                self.expect(of, file);
                task.await?;
                self.ended(file, result)?;
            }
            None => return Err(anyhow::anyhow!("the network is gone").into()),
        }
        Ok(())
    }

    fn expect(&self, found: usize, expected: usize) {
        assert_eq!(
            found, expected,
            "one thing at a time: only the round that was let go on does anything"
        );
    }

    /// Takes note of what the service answered.
    async fn heard(&mut self, sent: &Sent, answer: &Result<Vec<u8>, WireErrorCode>) -> Result<(), Ended> {
        let body = match answer {
            Ok(body) => body,
            Err(code) => {
                self.say(format!("{} refused: {code:?}", sent.path));
                return self.look_after_the_service().await;
            }
        };
        match sent.path.as_str() {
            "/v1/sync/push" => {
                let request: PushRequest = serde_json::from_slice(sent.body.as_deref().unwrap_or_default())?;
                let answer: PushResponse = serde_json::from_slice(body)?;
                let ops = request.groups.iter().flat_map(|group| &group.ops);
                let keys: BTreeMap<_, _> = ops.map(|op| (op.op_id, op.key.clone())).collect();
                self.say(format!(
                    "push of {} groups by {}",
                    request.groups.len(),
                    request.replica
                ));
                for result in &answer.results {
                    self.tally.count(outcome_name(result.st));
                    let of = keys.get(&result.op_id).map(|key| format!("{}/{}", key.kind, key.id));
                    let line = format!(
                        "{} {} {:?} {:?} rev {} seq {}",
                        result.op_id,
                        of.unwrap_or_default(),
                        result.st,
                        result.why,
                        result.rev,
                        result.seq
                    );
                    self.say(line);
                }
                self.observe().await?;
            }
            "/v1/sync/pull" => {
                let answer: PullResponse = serde_json::from_slice(body)?;
                self.tally.add("fault: scope gained", answer.enter.len() as u64);
                self.tally.add("fault: scope lost", answer.leave.len() as u64);
                let rows: Vec<String> = answer
                    .rows
                    .iter()
                    .map(|row| format!("{}/{} rev {} seq {}", row.key.kind, row.key.id, row.rev, row.seq))
                    .collect();
                self.say(format!(
                    "pull up to {}, more {}: {rows:?}",
                    answer.cursor.seq, answer.more
                ));
            }
            "/v1/sync/hello" => {
                let answer: HelloResponse = serde_json::from_slice(body)?;
                match answer.action {
                    HelloAction::Reregister => self.tally.count("outcome: registered anew"),
                    HelloAction::Resync => self.tally.count("outcome: resynced"),
                    HelloAction::Ok | HelloAction::Upgrade | HelloAction::Revoked => {}
                }
                self.say(format!("hello: {:?}", answer.action));
            }
            _ => {}
        }
        Ok(())
    }

    /// A service that died starts again with what its files hold.
    #[cfg_attr(
        not(feature = "test-faults"),
        expect(clippy::unused_async, reason = "without crash points no service dies")
    )]
    async fn look_after_the_service(&mut self) -> Result<(), Ended> {
        #[cfg(feature = "test-faults")]
        if self.host.fuse.is_blown() {
            self.tally.count("fault: service killed between statements");
            self.say("the service died".to_owned());
            self.host.kill().await?;
            self.network.lead_to(self.host.router());
            self.observe().await?;
        }
        Ok(())
    }

    fn ended(&mut self, file: usize, result: Result<Round, SyncError>) -> Result<(), Ended> {
        match result {
            Ok(round) => {
                self.tally.add("outcome: kept as refused", round.refused as u64);
                self.say(format!("{file} ends: {} pushed, {} pulled", round.pushed, round.pulled));
                Ok(())
            }
            Err(error) if self.machines[file / 2].is_dead() => {
                self.say(format!("{file} dies: {error}"));
                Ok(())
            }
            Err(SyncError::Storage(error)) => Err(Broken::of("a file", error.to_string()).into()),
            Err(error) => {
                self.say(format!("{file} fails: {error}"));
                Ok(())
            }
        }
    }

    /// Machines whose fuse has blown are started again.
    async fn bury_the_dead(&mut self) -> Result<(), Ended> {
        self.look_after_the_service().await?;
        for place in 0..self.machines.len() {
            if self.machines[place].is_dead() {
                self.tally.count("fault: device killed between statements");
                self.kill(place).await?;
            }
        }
        Ok(())
    }

    async fn kill(&mut self, place: usize) -> Result<(), Ended> {
        self.say(format!("{place} is killed"));
        self.end_rounds_of(place).await;
        self.machines[place].kill(&self.template.cast, &self.network)?;
        self.after_start(place)
    }

    /// What a program does when it starts: intents of the other file that were not done.
    fn after_start(&mut self, place: usize) -> Result<(), Ended> {
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
        desk.run_intents()?;
        Ok(())
    }

    async fn end_rounds_of(&mut self, place: usize) {
        for file in self.machines[place].files() {
            if let Some(running) = self.running.remove(&file) {
                running.task.abort();
                let _cancelled = running.task.await;
            }
        }
    }

    /// Something that happens to a whole computer or to the service.
    async fn mishap(&mut self) -> Result<(), Ended> {
        let place = self.chance.below(self.machines.len());
        match self.chance.weighted(&[18, 14, 16, 12, 10, 8, 8, 5, 6]) {
            0 => self.old_request_arrives().await,
            1 => self.clock_jumps(place),
            2 => {
                self.tally.count("fault: device killed between requests");
                self.kill(place).await
            }
            3 => self.back_up(place),
            4 => self.put_machine_back().await,
            5 => self.clone_machine(),
            6 => self.restart_service().await,
            7 => self.copy_service().await,
            _ => self.put_service_back().await,
        }
    }

    async fn old_request_arrives(&mut self) -> Result<(), Ended> {
        let remembered = self.network.remembered();
        let Some(sent) = self.chance.pick(&remembered).cloned() else {
            return Ok(());
        };
        self.tally.count("fault: old request arrives again");
        self.say(format!("an old {} arrives", sent.path));
        // Its answer reaches nobody.
        let answer = call(self.network.router(), &sent).await;
        let answer = answer.map_err(|error| error.code().unwrap_or(WireErrorCode::Internal));
        self.heard(&sent, &answer).await
    }

    fn clock_jumps(&mut self, place: usize) -> Result<(), Ended> {
        self.tally.count("fault: clock jumped");
        let days = [-365, -1, 1, 30, 365][self.chance.below(5)];
        if self.chance.percent(25) {
            self.now = (self.now + days * Millis::DAY).max(BEGINNING);
            self.clock.store(self.now, Ordering::SeqCst);
        } else {
            self.machines[place].skew = days * Millis::DAY;
        }
        self.say(format!("a clock jumps by {days} days"));
        Ok(())
    }

    fn back_up(&mut self, place: usize) -> Result<(), Ended> {
        let folder = self.machines[place].copy(&format!("backup-{}", self.backups.len()))?;
        self.say(format!("{place} is copied"));
        self.backups.push(Backup {
            place,
            folder,
            extent: self.model.extent(),
        });
        Ok(())
    }

    async fn put_machine_back(&mut self) -> Result<(), Ended> {
        if self.backups.is_empty() {
            return Ok(());
        }
        let at = self.chance.below(self.backups.len());
        let place = self.backups[at].place;
        self.tally.count("fault: device restored from a copy");
        self.say(format!("{place} is put back"));
        self.end_rounds_of(place).await;
        let files = self.machines[place].files();
        self.model.files_were_put_back(&files, &self.backups[at].extent);
        let folder = self.backups[at].folder.clone();
        self.machines[place].put_back(&folder, &self.template.cast, &self.network)?;
        self.after_start(place)
    }

    fn clone_machine(&mut self) -> Result<(), Ended> {
        if self.machines.len() >= 6 || self.backups.is_empty() {
            return Ok(());
        }
        let at = self.chance.below(self.backups.len());
        let (of, folder) = (self.backups[at].place, self.backups[at].folder.clone());
        self.tally.count("fault: device cloned");
        let (computer, place) = (self.machines[of].computer, self.machines.len());
        self.say(format!("{of} is cloned as {place}"));
        let cast = &self.template.cast;
        let machine = Machine::start(cast, &self.network, &self.root, &folder, computer, place, self.seed)?;
        self.machines.push(machine);
        self.after_start(place)
    }

    async fn restart_service(&mut self) -> Result<(), Ended> {
        self.tally.count("fault: service restarted");
        self.say("the service starts again".to_owned());
        self.host.restart().await?;
        self.network.lead_to(self.host.router());
        Ok(())
    }

    async fn copy_service(&mut self) -> Result<(), Ended> {
        self.say("the service is copied".to_owned());
        self.service_copy = Some(self.host.copy("service-copy").await?);
        self.network.lead_to(self.host.router());
        Ok(())
    }

    async fn put_service_back(&mut self) -> Result<(), Ended> {
        let Some(copy) = self.service_copy.clone() else {
            return Ok(());
        };
        self.tally.count("fault: service restored from an older copy");
        self.say("the service is put back".to_owned());
        // Its connections break; what was under way in them reaches nobody.
        for place in 0..self.machines.len() {
            self.end_rounds_of(place).await;
        }
        self.host.put_back(&copy).await?;
        if self.chance.percent(50) {
            // As the command does; otherwise somebody put the files back and said nothing.
            let epoch = format!("history-{}", self.lines.len());
            let practice = self.template.cast.practice;
            self.host.storage().begin_epoch(practice, &epoch).await?;
            self.tally.count("fault: a new history begun");
        }
        self.network.lead_to(self.host.router());
        let machines = &self.machines;
        self.model.service_was_put_back(|(key, name), write| {
            let Some(file) = machines
                .get(write.file / 2)
                .and_then(|machine| machine.file(write.file))
            else {
                return false;
            };
            // Whether it waits or was acknowledged: what the service lost is offered back.
            let shown = file.store.read(|read| read.get(key)).ok().flatten();
            shown.is_some_and(|shown| crate::model::values(key, &shown.doc).get(name) == write.value.as_ref())
        });
        self.put_back = true;
        self.observe().await
    }

    /// Looks at what changed at the service.
    async fn observe(&mut self) -> Result<(), Ended> {
        let scopes = self.scopes();
        let storage = Arc::clone(self.host.storage());
        let practice = self.template.cast.practice;
        let page = storage
            .read_since(practice, self.model.head, &scopes, EVERYTHING)
            .await?;
        self.model.observe(&page.rows, page.head.seq)?;
        Ok(())
    }

    fn scopes(&self) -> Vec<Scope> {
        let clients = self.model.created.keys().filter(|key| key.kind.as_str() == "client");
        let clinical = clients.map(|key| Scope::Clinical(ClientId::new(key.id.uuid())));
        std::iter::once(Scope::Office).chain(clinical).collect()
    }

    /// From here on nothing goes wrong any more.
    async fn come_to_rest(&mut self) -> Result<(), Ended> {
        for place in 0..self.machines.len() {
            self.end_rounds_of(place).await;
            self.machines[place].skew = 0;
        }
        self.network.calm(true);
        let mut before = String::new();
        for cycle in 0..MOST_CYCLES {
            for place in 0..self.machines.len() {
                for file in self.machines[place].files() {
                    self.calm_round(place, file, cycle).await?;
                }
            }
            self.observe().await?;
            let after = self.standing()?;
            if after == before {
                self.say(after);
                return Ok(());
            }
            before = after;
        }
        Err(Broken::of("I14", format!("no rest after {MOST_CYCLES} calm cycles")).into())
    }

    async fn calm_round(&mut self, place: usize, file: usize, cycle: usize) -> Result<(), Ended> {
        let Some(local) = self.machines[place].file(file) else {
            return Ok(());
        };
        let engine = Arc::clone(&local.engine);
        self.now += 1_000;
        self.clock.store(self.now, Ordering::SeqCst);
        let round = engine.round(Millis(self.now)).await;
        match round {
            Ok(round) => self.tally.add("outcome: kept as refused", round.refused as u64),
            // A service that lost its rows looks like one whose rows were removed: only a person can tell, and nobody is asked here.
            Err(SyncError::Apply(ApplyError::TooManyRemovals { .. })) if self.put_back => {
                self.tally.count("outcome: a person is asked");
                return Err(Ended::Asked);
            }
            // A file that registered after the copy was made is unknown to the service that was put back: the next greeting mends it.
            Err(SyncError::Transport(error)) if self.put_back && cycle == 0 => {
                self.say(format!("{file} fails: {error}"));
            }
            Err(error) => {
                return Err(Broken::of(
                    "I14",
                    format!("file {file} fails in calm cycle {cycle}: {error} ({error:?})"),
                )
                .into());
            }
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
        actions::reoffers::review(&mut desk)?;
        self.observe().await
    }

    /// Where everything stands, as a text that changes with anything.
    fn standing(&self) -> Result<String, Ended> {
        let mut standing = format!("head {}", self.model.head);
        for machine in &self.machines {
            for file in machine.files() {
                if let Some(local) = machine.file(file) {
                    let state = local.store.sync_state()?;
                    let waiting = local.store.read(|read| read.waiting())?.count;
                    let seq = state.cursor.map(|cursor| cursor.seq);
                    standing.push_str(&format!("; {file}: {seq:?} {waiting} {:?}", state.scopes.len()));
                }
            }
        }
        Ok(standing)
    }

    /// Every invariant.
    async fn judge(&mut self) -> Result<(), Ended> {
        let rest = self.rest().await?;
        self.say(hex(&rest.head.chain));
        invariants::i2_numbers_are_contiguous_and_the_chain_verifies(&rest)?;
        invariants::i3_each_operation_is_applied_at_most_once(&rest)?;
        invariants::i7_no_unintended_double_booking(&rest)?;
        invariants::i12_no_two_clients_have_one_number(&rest)?;
        let storage = Arc::clone(self.host.storage());
        let mut files = Vec::new();
        for machine in &self.machines {
            let person = self.template.cast.person_of(machine.computer);
            let care = storage.care_scopes(self.template.cast.practice, person.user).await?;
            for file in machine.files() {
                if let Some(local) = machine.file(file) {
                    let entitled = if file.is_multiple_of(2) {
                        std::iter::once(Scope::Office).collect()
                    } else {
                        care.iter().copied().map(Scope::Clinical).collect()
                    };
                    files.push(FileAtRest {
                        file,
                        store: &local.store,
                        entitled,
                    });
                }
            }
        }
        for file in &files {
            invariants::i1_a_reader_that_saw_a_number_has_every_lower_one(&rest, file)?;
            invariants::i4_every_operation_ended(file)?;
            invariants::i4_no_honest_signature_is_refused(file)?;
            invariants::i6_the_file_holds_what_the_service_holds(&rest, file)?;
            invariants::i11_a_file_holds_nothing_outside_its_scopes(&rest, file)?;
        }
        invariants::i5_no_unseen_value_is_lost(&self.model, &rest, &files)?;
        invariants::i8_whatever_was_created_exists(&self.model, &rest, &files)?;
        for machine in &self.machines {
            for file in machine.files() {
                if let Some(local) = machine.file(file) {
                    let report = local.engine.check().await?;
                    if !report.differing.is_empty() {
                        return Err(Broken::of(
                            "I6",
                            format!("file {file}: the sums of {:?} differ", report.differing),
                        )
                        .into());
                    }
                }
            }
        }
        Ok(())
    }

    async fn rest(&self) -> Result<Rest, Ended> {
        let storage = self.host.storage();
        let practice = self.template.cast.practice;
        let page = storage.read_since(practice, 0, &self.scopes(), EVERYTHING).await?;
        let history = storage.history(practice, 0, u32::MAX >> 1).await?;
        let rows: BTreeMap<EntityKey, _> = page.rows.into_iter().map(|row| (row.key.clone(), row)).collect();
        Ok(Rest {
            head: page.head,
            rows,
            history,
        })
    }

    /// Lets go of everything.
    pub(crate) async fn close(mut self) {
        for place in 0..self.machines.len() {
            self.end_rounds_of(place).await;
        }
        self.host.close().await;
    }
}

/// Waits for what the rounds do on the one thread for blocking work beside a request: afterwards nothing moves until something is let go on.
async fn settle_blocking_work() {
    // A round has at most two such steps in a row; after each it is polled once to begin the next.
    for _ in 0..4 {
        let _nothing_to_answer = tokio::task::spawn_blocking(|| ()).await;
        tokio::task::yield_now().await;
    }
}

const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Applied => "outcome: applied",
        Outcome::Merged => "outcome: merged",
        Outcome::Duplicate => "outcome: duplicate",
        Outcome::Conflict => "outcome: conflict",
        Outcome::Clash => "outcome: clash",
        Outcome::Rejected => "outcome: rejected",
        Outcome::Upgrade => "outcome: upgrade",
    }
}
