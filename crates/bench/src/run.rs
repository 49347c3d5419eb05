//! The measurement: three processes of the product, told what to do one after the other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use caseload_domain::EntityId;

use crate::figures::{Report, disk, percentile};
use crate::floor::{Place, Task};
use crate::generate::EXTRA;
use crate::mongodb::Database;
use crate::prepare;
use crate::process::Process;
use crate::service::{Start, Started};
use crate::source::{self, SourceNote, Words, extra_of};
use crate::wire::{Answer, Command, Input, Unlocked};

/// How many notes are compared on the other device.
const SAMPLE: usize = 100;
const SEARCHES: usize = 50;
const OPENINGS: usize = 9;
const IDLE_ROUNDS: usize = 40;
const EDITS: usize = 40;
/// Changes of a week without the service.
const PILED_UP: usize = 5_000;

/// What the service keeps its data in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Storage {
    /// A file of its own.
    Sqlite,
    /// A MongoDB replica set of one member, started for the measurement.
    Mongodb,
}

/// What is measured.
pub(crate) struct Plan {
    pub(crate) count: usize,
    pub(crate) file: PathBuf,
    pub(crate) folder: PathBuf,
    pub(crate) storage: Storage,
    /// Whether the raw floors are measured as well, snapshots, and sharing what piled up.
    pub(crate) all: bool,
}

/// Measures and prints the figures, after what was shared was compared.
///
/// # Errors
/// When a step fails or what was shared is not what was stored; then nothing is printed.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let notes = source::read(&plan.file, plan.count)?;
    source::read(&extra_of(&plan.file), EXTRA)?;
    ensure!(!notes.is_empty(), "there is nothing to measure with no notes");
    make_empty(&plan.folder)?;
    let mut bench = Bench::start(plan)?;
    bench.store()?;
    if plan.all {
        bench.share_beside_floors()?;
    } else {
        bench.share()?;
    }
    bench.search(&Words::of(&notes))?;
    bench.open()?;
    bench.save()?;
    bench.live(&notes[0])?;
    if plan.all {
        bench.drain()?;
    }
    bench.compare()?;
    bench.end()
}

fn make_empty(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let mut entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    ensure!(entries.next().is_none(), "{} is not empty", folder.display());
    Ok(())
}

type Figure = (&'static str, f64, &'static str);

struct Bench {
    count: usize,
    input: Input,
    extra: Input,
    folder: PathBuf,
    /// Of the device that stores, of the one that pulls, and of the one that takes snapshots.
    keys: [Unlocked; 3],
    a: Process,
    b: Process,
    service: Process,
    database: Option<Database>,
    figures: Vec<Figure>,
}

impl Bench {
    fn start(plan: &Plan) -> Result<Self> {
        let folder = fs::canonicalize(&plan.folder).context("find the working folder")?;
        let database = match plan.storage {
            Storage::Sqlite => None,
            Storage::Mongodb => Some(Database::start()?),
        };
        let start = Start {
            data: folder.join("service"),
            master_key: folder.join("master-key"),
            mongodb: database.as_ref().map(|database| database.uri().to_owned()),
        };
        let mut service = Process::start("service", &start)?;
        let started: Started = service.hear()?;
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.join(name));
        let keys = prepare::computers(started, [&a, &b, &c])?;
        let file = fs::canonicalize(&plan.file).context("find the input")?;
        Ok(Self {
            count: plan.count,
            extra: Input {
                file: extra_of(&file),
                count: EXTRA,
            },
            input: Input {
                file,
                count: plan.count,
            },
            a: device(&keys[0])?,
            b: device(&keys[1])?,
            keys,
            folder,
            service,
            database,
            figures: Vec::new(),
        })
    }

    fn add(&mut self, measure: &'static str, value: f64, unit: &'static str) {
        self.figures.push((measure, value, unit));
    }

    /// On one device, offline but for the clients and authors.
    fn store(&mut self) -> Result<()> {
        done(&mut self.a, &Command::Introduce(self.input.clone()))?;
        done(&mut self.a, &Command::Introduce(self.extra.clone()))?;
        let took = seconds(&mut self.a, &Command::Import(self.input.clone()))?;
        self.add("a_bulk_create", took, "s");
        done(&mut self.a, &Command::Close)
    }

    /// To the service, and to the device that has nothing yet. Each device begins anew, so that its peak of memory is that of sync.
    fn share(&mut self) -> Result<()> {
        self.push()?;
        self.pull()?;
        seconds(&mut self.a, &Command::Pull)?;
        self.reread(self.input.clone())
    }

    /// As [`Self::share`], with snapshots for a third device and with the raw floors before, between and after.
    fn share_beside_floors(&mut self) -> Result<()> {
        let mut floors = Floors::default();
        floors.measure(self)?;
        let push = self.push()?;
        floors.measure(self)?;
        let pull = self.pull()?;
        let snapshot = self.snapshot()?;
        floors.measure(self)?;
        seconds(&mut self.a, &Command::Pull)?;
        self.reread(self.input.clone())?;
        let device = percentile(&floors.device, 50);
        let service = if self.database.is_some() {
            percentile(&floors.service, 50)
        } else {
            device
        };
        self.add("c_push_floor", service, "s");
        self.add("c_push_ratio", push / service, "x");
        self.add("d_pull_floor", device, "s");
        self.add("d_pull_ratio", pull / device, "x");
        self.add("d_snapshot", snapshot, "s");
        self.add("d_snapshot_ratio", snapshot / device, "x");
        Ok(())
    }

    fn push(&mut self) -> Result<f64> {
        self.a = device(&self.keys[0])?;
        let took = seconds(&mut self.a, &Command::Push)?;
        self.add("c_push", took, "s");
        let peak = self.a.peak_memory()?;
        self.add("h_rss_client_push", peak, "MiB");
        Ok(took)
    }

    fn pull(&mut self) -> Result<f64> {
        self.b = device(&self.keys[1])?;
        let took = seconds(&mut self.b, &Command::Pull)?;
        self.add("d_pull", took, "s");
        let peaks = [self.b.peak_memory()?, self.service.peak_memory()?];
        self.add("h_rss_client_pull", peaks[0], "MiB");
        self.add("h_rss_server", peaks[1], "MiB");
        let taken = match &self.database {
            None => disk(&self.folder.join("service"))?,
            Some(database) => database.disk()?,
        };
        self.add("i_disk_server", taken, "MiB");
        Ok(took)
    }

    /// On a third device, which ends equal as well.
    fn snapshot(&mut self) -> Result<f64> {
        let Answer::Position(position) = self.b.ask(&Command::Position)? else {
            bail!("no position was answered")
        };
        let mut c = device(&self.keys[2])?;
        let took = seconds(&mut c, &Command::Snapshot(position))?;
        let peak = c.peak_memory()?;
        self.add("h_rss_client_snapshot", peak, "MiB");
        let input = self.input.clone();
        done(&mut c, &Command::Reread { input, sample: SAMPLE })?;
        ensure!(
            sums(c.ask(&Command::Check)?)? == sums(self.b.ask(&Command::Check)?)?,
            "the third device holds something else"
        );
        done(&mut c, &Command::Close)?;
        Ok(took)
    }

    fn search(&mut self, words: &Words) -> Result<()> {
        let (common, many) = words.common().context("no note has a word of four letters")?;
        let (rare, few) = words.rare().context("no note has a word of four letters")?;
        for (measure, word, notes) in [("q_common", common, many), ("q_rare", rare, few)] {
            let search = Command::Search {
                word: word.to_owned(),
                times: SEARCHES,
            };
            let Answer::Found {
                milliseconds,
                notes: found,
            } = self.b.ask(&search)?
            else {
                bail!("no search was answered")
            };
            ensure!(
                found >= notes.min(20),
                "{found} of {notes} notes were found for {measure}"
            );
            self.add(measure, percentile(&milliseconds, 50), "ms");
        }
        Ok(())
    }

    fn open(&mut self) -> Result<()> {
        let took = milliseconds(&mut self.b, &Command::Open { times: OPENINGS })?;
        self.add("q_open", percentile(&took, 50), "ms");
        let client = disk(&self.folder.join("b"))?;
        self.add("i_disk_client", client, "MiB");
        Ok(())
    }

    fn save(&mut self) -> Result<()> {
        let took = milliseconds(&mut self.a, &Command::Save(self.extra.clone()))?;
        self.add("b_save_p50", percentile(&took, 50), "ms");
        self.add("b_save_p99", percentile(&took, 99), "ms");
        seconds(&mut self.a, &Command::Push)?;
        seconds(&mut self.b, &Command::Pull)?;
        self.reread(self.extra.clone())
    }

    fn live(&mut self, note: &SourceNote) -> Result<()> {
        let took = milliseconds(&mut self.a, &Command::Idle { times: IDLE_ROUNDS })?;
        self.add("e_nochange_sync", percentile(&took, 50), "ms");
        let note = EntityId::new(note.id);
        let mut took = Vec::with_capacity(EDITS);
        for number in 0..EDITS {
            let text = format!("Edit number {number}.");
            let Answer::Waiting = self.b.ask(&Command::Watch {
                note,
                text: text.clone(),
            })?
            else {
                bail!("nobody waits")
            };
            let committed = moment(self.a.ask(&Command::Edit { note, text })?)?;
            let seen = moment(self.b.hear()?)?;
            #[expect(clippy::cast_precision_loss, reason = "exact for months")]
            took.push((seen - committed) as f64 / 1e6);
        }
        self.add("f_edit_visible_live", percentile(&took, 50), "ms");
        Ok(())
    }

    /// A week of changes is shared while somebody works on the same computer; then the other device gets them.
    fn drain(&mut self) -> Result<()> {
        let Answer::Drained { seconds, reads, saves } = self.a.ask(&Command::Drain { changes: PILED_UP })? else {
            bail!("nothing was shared")
        };
        self.add("w_drain", seconds, "s");
        self.add("w_drain_read_p99", percentile(&reads, 99), "ms");
        self.add("w_drain_save_p99", percentile(&saves, 99), "ms");
        for process in [&mut self.a, &mut self.b] {
            process.ask::<Answer>(&Command::Pull)?;
        }
        Ok(())
    }

    /// The other device has the very notes, finds them, and both devices and the service have equal sums.
    fn reread(&mut self, input: Input) -> Result<()> {
        done(&mut self.b, &Command::Reread { input, sample: SAMPLE })?;
        self.compare()
    }

    fn compare(&mut self) -> Result<()> {
        let (a, b) = (sums(self.a.ask(&Command::Check)?)?, sums(self.b.ask(&Command::Check)?)?);
        ensure!(a == b, "the devices hold something else");
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        done(&mut self.a, &Command::Close)?;
        done(&mut self.b, &Command::Close)?;
        self.service.finish()?;
        let report = Report { count: self.count };
        self.figures.sort_by_key(|(measure, ..)| *measure);
        self.figures
            .iter()
            .try_for_each(|(measure, value, unit)| report.line(measure, *value, unit))
    }
}

/// How long the raw floors took, each time.
#[derive(Default)]
struct Floors {
    device: Vec<f64>,
    service: Vec<f64>,
}

impl Floors {
    fn measure(&mut self, bench: &Bench) -> Result<()> {
        let file = bench.folder.join("floor");
        self.device.push(floor(bench, Place::File(file.join("floor.db")))?);
        fs::remove_dir_all(&file).context("remove a floor's file")?;
        if let Some(database) = &bench.database {
            self.service
                .push(floor(bench, Place::Mongodb(database.uri().to_owned()))?);
        }
        Ok(())
    }
}

fn floor(bench: &Bench, place: Place) -> Result<f64> {
    if let Place::File(path) = &place {
        let folder = path.parent().context("a file lies in a folder")?;
        fs::create_dir(folder).context("make a floor's folder")?;
    }
    let input = bench.input.clone();
    let mut process = Process::start("floor", &Task { input, place })?;
    let Answer::Seconds(seconds) = process.hear()? else {
        bail!("no time was answered")
    };
    process.finish()?;
    Ok(seconds)
}

fn device(keys: &Unlocked) -> Result<Process> {
    let mut process = Process::start("device", keys)?;
    match process.hear()? {
        Answer::Done => Ok(process),
        _ => bail!("the device did not start"),
    }
}

fn done(process: &mut Process, command: &Command) -> Result<()> {
    match process.ask(command)? {
        Answer::Done => Ok(()),
        _ => bail!("something else was answered"),
    }
}

fn seconds(process: &mut Process, command: &Command) -> Result<f64> {
    match process.ask(command)? {
        Answer::Seconds(seconds) => Ok(seconds),
        _ => bail!("no time was answered"),
    }
}

fn milliseconds(process: &mut Process, command: &Command) -> Result<Vec<f64>> {
    match process.ask(command)? {
        Answer::Milliseconds(milliseconds) => Ok(milliseconds),
        _ => bail!("no times were answered"),
    }
}

fn sums(answer: Answer) -> Result<Vec<String>> {
    match answer {
        Answer::Sums(sums) => Ok(sums),
        _ => bail!("no sums were answered"),
    }
}

fn moment(answer: Answer) -> Result<i64> {
    match answer {
        Answer::At { nanoseconds } => Ok(nanoseconds),
        _ => bail!("no moment was answered"),
    }
}
