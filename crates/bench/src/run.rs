//! The measurement: three processes of the product, told what to do one after the other.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use caseload_domain::EntityId;

use crate::figures::{Report, disk, percentile};
use crate::generate::EXTRA;
use crate::mongodb::Database;
use crate::process::Process;
use crate::service::{Start, Started};
use crate::source::{self, SourceNote, Words, extra_of};
use crate::wire::{Answer, Command, Input, Preparation, Prepared, Unlocked};

/// How many notes are compared on the other device.
const SAMPLE: usize = 100;
const SEARCHES: usize = 50;
const OPENINGS: usize = 9;
const IDLE_ROUNDS: usize = 40;
const EDITS: usize = 40;

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
    bench.share()?;
    bench.search(&Words::of(&notes))?;
    bench.open()?;
    bench.save()?;
    bench.live(&notes[0])?;
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
    keys: [Unlocked; 2],
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
        let Started { address, setup_code } = service.hear()?;
        let create = Preparation::Create {
            folder: folder.join("a"),
            address: address.clone(),
            setup_code,
        };
        let first = prepare(&create)?;
        let code = first.code.context("the first computer gave no code")?;
        let second = prepare(&Preparation::Join {
            folder: folder.join("b"),
            address,
            code,
        })?;
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
            a: device(&first.unlocked)?,
            b: device(&second.unlocked)?,
            keys: [first.unlocked, second.unlocked],
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
        self.a = device(&self.keys[0])?;
        let took = seconds(&mut self.a, &Command::Push)?;
        self.add("c_push", took, "s");
        let peak = self.a.peak_memory()?;
        self.add("h_rss_client_push", peak, "MiB");
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
        seconds(&mut self.a, &Command::Pull)?;
        self.reread(self.input.clone())
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

    /// The other device has the very notes, finds them, and both devices and the service have equal sums.
    fn reread(&mut self, input: Input) -> Result<()> {
        done(&mut self.b, &Command::Reread { input, sample: SAMPLE })?;
        self.compare()
    }

    fn compare(&mut self) -> Result<()> {
        let sums = |answer| match answer {
            Answer::Sums(sums) => Ok(sums),
            _ => bail!("no sums were answered"),
        };
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

fn prepare(task: &Preparation) -> Result<Prepared> {
    let mut process = Process::start("prepare", task)?;
    let prepared = process.hear()?;
    process.finish()?;
    Ok(prepared)
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

fn moment(answer: Answer) -> Result<i64> {
    match answer {
        Answer::At { nanoseconds } => Ok(nanoseconds),
        _ => bail!("no moment was answered"),
    }
}
