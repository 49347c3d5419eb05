//! `caseload-bench swarm`: many simulated devices against one service of its own, for a bounded time.
//!
//! Each device asks at its own regular moments, whether or not its last answer has come, and waits are counted from the moment at which it
//! meant to ask. Nine of ten requests are pulls of one of its two files, which bring nothing or the few notes that the same person wrote
//! elsewhere; every tenth pushes one change of a note. Then two devices change the same units from the same state, so that every change of
//! the second is a conflict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caseload_domain::entities::care_relationship_id;
use caseload_domain::{ClientId, EntityId, EntityKey, OpId, ReplicaId, Scope};
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::{Op, OpKind, Outcome, PullRequest, PullResponse, PushRequest, PushResponse};
use caseload_vault::SigningKey;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep_until};

use crate::clock::{self, new_id};
use crate::figures::{Report, percentile};
use crate::member::{Http, Member, Person};
use crate::mongodb::Database;
use crate::process::Process;
use crate::run::Storage;
use crate::service::{Start, Started};
use caseload_testkit::chance::Chance;

/// Computers of one person.
const COMPUTERS: usize = 10;
/// Clients that one person treats.
const CLIENTS: usize = 5;
/// Devices that are simulated at most: each has an address of its own.
const MOST_DEVICES: usize = 250;
/// Changes that conflict, and the changes that they conflict with.
const CONFLICTS: usize = 1_000;
/// Changes of one push among them.
const BATCH: usize = 100;
const WORDS: &str =
    "mood improved since last session; sleep still short; homework was done on most days and is continued";

/// What is simulated.
pub(crate) struct Plan {
    pub(crate) devices: usize,
    pub(crate) rate: u32,
    pub(crate) seconds: u32,
    pub(crate) folder: PathBuf,
    pub(crate) storage: Storage,
}

/// Simulates and prints the figures.
///
/// # Errors
/// When a request is refused, or not every second change becomes a conflict.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    ensure!(
        (2..=MOST_DEVICES).contains(&plan.devices) && plan.rate > 0,
        "2 to {MOST_DEVICES} devices can be simulated"
    );
    std::fs::create_dir_all(&plan.folder).context("make the working folder")?;
    let database = match plan.storage {
        Storage::Sqlite => None,
        Storage::Mongodb => Some(Database::start()?),
    };
    let start = Start {
        data: plan.folder.join("service"),
        master_key: plan.folder.join("master-key"),
        mongodb: database.as_ref().map(|database| database.uri().to_owned()),
    };
    let mut service = Process::start("service", &start)?;
    let started: Started = service.hear()?;
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let report = Report { count: plan.devices };
    runtime.block_on(async {
        let devices = enrol(plan, started).await?;
        let asked = load(plan, devices).await?;
        report.line("s_requests_per_second", asked.rate, "1/s")?;
        report.line("s_pull_p50", percentile(&asked.pulls, 50), "ms")?;
        report.line("s_pull_p99", percentile(&asked.pulls, 99), "ms")?;
        report.line("s_push_p50", percentile(&asked.pushes, 50), "ms")?;
        report.line("s_push_p99", percentile(&asked.pushes, 99), "ms")?;
        let all = [asked.pulls, asked.pushes].concat();
        report.line("s_all_p50", percentile(&all, 50), "ms")?;
        report.line("s_all_p99", percentile(&all, 99), "ms")?;
        report.line("s_rss_server", service.peak_memory()?, "MiB")?;
        let (plain, conflicting) = conflicts(&asked.devices).await?;
        let report = Report { count: CONFLICTS };
        report.line("k_plain_push", plain, "s")?;
        report.line("k_conflict_push", conflicting, "s")
    })?;
    service.finish()
}

/// One file of a device, as far as it has been pulled.
struct File {
    replica: ReplicaId,
    have: Vec<Scope>,
    cursor: Option<Cursor>,
    next_mut: i64,
}

impl File {
    fn new(replica: ReplicaId, have: Vec<Scope>) -> Self {
        Self {
            replica,
            have,
            cursor: None,
            next_mut: 1,
        }
    }

    /// One pull; whether there is more.
    async fn pull(&mut self, member: &Member) -> Result<bool> {
        let request = PullRequest {
            practice: member.practice,
            replica: self.replica,
            cursor: self.cursor.clone(),
            have: self.have.clone(),
            max_rows: 1_000,
        };
        let answer: PullResponse = member.post("/v1/sync/pull", &request).await?;
        ensure!(
            answer.enter.is_empty() && answer.leave.is_empty(),
            "the scopes are known"
        );
        self.cursor = Some(answer.cursor);
        Ok(answer.more)
    }

    /// One push of `groups`, each a change of its own.
    async fn push(&mut self, member: &Member, groups: Vec<Vec<Op>>) -> Result<PushResponse> {
        let mut signed = Vec::with_capacity(groups.len());
        for ops in groups {
            let group = member.group(self.replica, self.next_mut, ops)?;
            self.next_mut = group.next_mut();
            signed.push(group);
        }
        let request = PushRequest {
            practice: member.practice,
            replica: self.replica,
            epoch: None,
            known: None,
            groups: signed,
        };
        member.post("/v1/sync/push", &request).await
    }
}

/// A simulated device: one person's computer with both files, and a note that is written on it.
struct Device {
    member: Member,
    office: File,
    clinical: File,
    note: EntityKey,
    note_rev: i64,
    edits: u64,
}

impl Device {
    async fn new(member: Member, clients: &[ClientId]) -> Result<Self> {
        let scopes = clients.iter().map(|client| Scope::Clinical(*client)).collect();
        let mut device = Self {
            office: File::new(member.office, vec![Scope::Office]),
            clinical: File::new(member.clinical, scopes),
            note: EntityKey::new("session_note", EntityId::new(new_id())),
            note_rev: 1,
            edits: 0,
            member,
        };
        let client = clients.first().context("everybody treats somebody")?;
        let note = json!({
            "subject": { "client": client, "author": device.member.person.user }, "template": { "kind": "soap" },
            "body": { "sections": { "plan": WORDS } }, "occasion": { "start": clock::now(), "zone": "UTC" },
            "state": { "state": "draft" },
        });
        let answer = device
            .clinical
            .push(&device.member, vec![vec![create(&device.note, note)]])
            .await?;
        all_are(&answer, Outcome::Applied)?;
        Ok(device)
    }

    async fn catch_up(&mut self) -> Result<()> {
        while self.office.pull(&self.member).await? {}
        while self.clinical.pull(&self.member).await? {}
        Ok(())
    }

    async fn write(&mut self) -> Result<()> {
        self.edits += 1;
        let body = json!({ "sections": { "plan": format!("{WORDS} {}", self.edits) } });
        let op = patch(&self.note, self.note_rev, "body", body);
        let answer = self.clinical.push(&self.member, vec![vec![op]]).await?;
        all_are(&answer, Outcome::Applied)?;
        self.note_rev = answer.results.first().map_or(self.note_rev, |result| result.rev);
        Ok(())
    }
}

async fn enrol(plan: &Plan, started: Started) -> Result<Vec<Device>> {
    let root = SigningKey::generate();
    let people: Vec<Person> = (0..plan.devices.div_ceil(COMPUTERS)).map(|_| Person::new()).collect();
    let machine = |number: usize| Http::from_machine(&started.address, u8::try_from(number + 1)?);
    let first = people.first().context("somebody works here")?;
    let owner = Arc::new(Member::publish(first, &root, machine(0)?, started.setup_code).await?);
    let mut treated: BTreeMap<usize, Vec<ClientId>> = BTreeMap::new();
    let mut members = Vec::with_capacity(plan.devices);
    for number in 1..=plan.devices {
        let person = &people[number % people.len()];
        members.push((
            number % people.len(),
            Member::join(&owner, person, &root, machine(number)?).await?,
        ));
    }
    for (person, member) in &members {
        if treated.contains_key(person) {
            continue;
        }
        let clients: Vec<ClientId> = (0..CLIENTS).map(|_| ClientId::new(new_id())).collect();
        let ops = clients.iter().flat_map(|client| new_client(*client, member)).collect();
        let mut office = File::new(member.office, vec![Scope::Office]);
        all_are(&office.push(member, vec![ops]).await?, Outcome::Applied)?;
        treated.insert(*person, clients);
    }
    let mut devices = Vec::with_capacity(members.len());
    for (person, member) in members {
        devices.push(Device::new(member, &treated[&person]).await?);
    }
    for device in &mut devices {
        device.catch_up().await?;
    }
    Ok(devices)
}

/// What the devices saw.
struct Asked {
    rate: f64,
    pulls: Vec<f64>,
    pushes: Vec<f64>,
    devices: Vec<Device>,
}

/// Lets every device ask `rate` times a second.
async fn load(plan: &Plan, devices: Vec<Device>) -> Result<Asked> {
    let interval = Duration::from_secs(1) / plan.rate;
    let rounds = plan.rate * plan.seconds;
    let count = u32::try_from(devices.len()).context("a few devices")?;
    let begin = Instant::now() + interval;
    let mut tasks = Vec::new();
    for (number, mut device) in (0..count).zip(devices) {
        // Spread evenly over the interval.
        let first = begin + interval * number / count;
        tasks.push(tokio::spawn(async move {
            let mut chance = Chance::seeded(u64::from(number));
            let (mut pulls, mut pushes) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                let due = first + interval * round;
                sleep_until(due).await;
                let times = if chance.below(10) == 0 {
                    device.write().await?;
                    &mut pushes
                } else {
                    let Device {
                        member,
                        office,
                        clinical,
                        ..
                    } = &mut device;
                    let file = if round % 2 == 0 { office } else { clinical };
                    file.pull(member).await?;
                    &mut pulls
                };
                times.push((Instant::now() - due).as_secs_f64() * 1e3);
            }
            Ok::<_, anyhow::Error>((device, pulls, pushes))
        }));
    }
    let mut asked = Asked {
        rate: 0.0,
        pulls: Vec::new(),
        pushes: Vec::new(),
        devices: Vec::new(),
    };
    for task in tasks {
        let (device, pulls, pushes) = task.await.context("a device failed")??;
        asked.pulls.extend(pulls);
        asked.pushes.extend(pushes);
        asked.devices.push(device);
    }
    let took = (Instant::now() - begin).as_secs_f64();
    asked.rate = f64::from(count * rounds) / took;
    Ok(asked)
}

/// Seconds for changes that nobody contradicts, and for as many that all do.
async fn conflicts(devices: &[Device]) -> Result<(f64, f64)> {
    let [first, second, ..] = devices else {
        return Err(anyhow::anyhow!("two devices are needed"));
    };
    let clients: Vec<ClientId> = (0..CONFLICTS).map(|_| ClientId::new(new_id())).collect();
    let mut one = File::new(register(&first.member).await?, Vec::new());
    let mut other = File::new(register(&second.member).await?, Vec::new());
    for batch in clients.chunks(BATCH) {
        let groups = batch
            .iter()
            .map(|client| new_client(*client, &first.member).to_vec())
            .collect();
        all_are(&one.push(&first.member, groups).await?, Outcome::Applied)?;
    }
    let mut took = [0.0; 2];
    let turns = [
        (&mut one, &first.member, Outcome::Applied),
        (&mut other, &second.member, Outcome::Conflict),
    ];
    for ((file, member, outcome), took) in turns.into_iter().zip(&mut took) {
        let began = Instant::now();
        for batch in clients.chunks(BATCH) {
            let groups = batch.iter().map(|client| {
                let name = json!({ "family": format!("{}", new_id()), "given": "Changed" });
                vec![patch(&EntityKey::new("client", client.entity()), 1, "name", name)]
            });
            all_are(&file.push(member, groups.collect()).await?, outcome)?;
        }
        *took = (Instant::now() - began).as_secs_f64();
    }
    Ok((took[0], took[1]))
}

/// A further file, whose operations are numbered from 1.
async fn register(member: &Member) -> Result<ReplicaId> {
    let replica = ReplicaId::new(new_id());
    member.register(replica, ReplicaKind::Office).await?;
    Ok(replica)
}

fn all_are(answer: &PushResponse, outcome: Outcome) -> Result<()> {
    for result in &answer.results {
        ensure!(
            result.st == outcome,
            "a change ended as {:?} ({:?})",
            result.st,
            result.why
        );
    }
    Ok(())
}

fn new_client(client: ClientId, member: &Member) -> [Op; 2] {
    let therapist = member.person.user;
    let person = json!({ "name": { "family": client.entity().to_string(), "given": "Client" }, "status": { "state": "active" } });
    let care = json!({ "parties": { "client": client, "therapist": therapist }, "status": { "state": "active" } });
    [
        create(&EntityKey::new("client", client.entity()), person),
        create(
            &EntityKey::new("care_relationship", care_relationship_id(client, therapist)),
            care,
        ),
    ]
}

fn create(key: &EntityKey, units: Value) -> Op {
    let mut units = match units {
        Value::Object(units) => units,
        _ => Map::new(),
    };
    units.insert("salt".to_owned(), new_id().simple().to_string().into());
    op(key, OpKind::Create, 0, units)
}

fn patch(key: &EntityKey, base_rev: i64, unit: &str, value: Value) -> Op {
    op(key, OpKind::Patch, base_rev, Map::from_iter([(unit.to_owned(), value)]))
}

fn op(key: &EntityKey, kind: OpKind, base_rev: i64, units: Map<String, Value>) -> Op {
    Op {
        op_id: OpId::new(new_id()),
        key: key.clone(),
        kind,
        base_rev,
        sv: 1,
        units,
        add: BTreeMap::new(),
        remove: BTreeMap::new(),
        reason: None,
        client_ts: clock::now().0,
    }
}
