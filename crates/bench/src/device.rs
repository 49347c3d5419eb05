//! The process of one device: does what it is told on standard input and says on standard output how long it took.

use std::io::{BufRead as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};
use caseload_domain::{EntityId, EntityKey, Role};
use caseload_protocol::cursor::Cursor;
use caseload_store::{Action, WriteError};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::clock::{self, timed, timed_ms};
use crate::import::{self, GROUP};
use crate::profile::{Link, Profile};
use crate::source::{self, SourceNote, Words};
use crate::wire::{Answer, Command, Input, Unlocked};
use caseload_testkit::chance::Chance;

/// How many notes a search shows.
const SHOWN: usize = 20;
/// Searches for every save while changes are shared.
const READS_PER_SAVE: usize = 10;

/// Runs until it is told to close, or nobody is left to tell it.
///
/// # Errors
/// When something it was told fails.
pub(crate) fn run() -> Result<()> {
    let runtime = Runtime::new().context("start the runtime")?;
    let mut lines = std::io::stdin().lock().lines();
    let mut next = || lines.next().transpose().context("read a command");
    let Some(first) = next()? else { return Ok(()) };
    let unlocked: Unlocked = serde_json::from_str(&first).context("read the keys")?;
    let mut device = Device::open(runtime, unlocked)?;
    say(&Answer::Done)?;
    while let Some(line) = next()? {
        let command = serde_json::from_str(&line).context("read a command")?;
        if matches!(command, Command::Close) {
            device.close()?;
            return say(&Answer::Done);
        }
        if let Command::Open { times } = command {
            let (reopened, milliseconds) = device.reopen(times)?;
            device = reopened;
            say(&Answer::Milliseconds(milliseconds))?;
        } else {
            let answer = device.obey(command)?;
            say(&answer)?;
        }
    }
    Ok(())
}

fn say(answer: &Answer) -> Result<()> {
    let line = serde_json::to_string(answer).context("write an answer")?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .context("write an answer")
}

struct Device {
    runtime: Runtime,
    unlocked: Unlocked,
    profile: Profile,
    link: Link,
}

impl Device {
    fn open(runtime: Runtime, unlocked: Unlocked) -> Result<Self> {
        let profile = Profile::open(&unlocked)?;
        let link = profile.connect()?;
        Ok(Self {
            runtime,
            unlocked,
            profile,
            link,
        })
    }

    fn close(self) -> Result<()> {
        let Self { profile, link, .. } = self;
        drop(link);
        profile.close()
    }

    /// Closes and opens the files again and again, each time until the first page of clients is there.
    fn reopen(self, times: usize) -> Result<(Self, Vec<f64>)> {
        let Self {
            runtime,
            unlocked,
            mut profile,
            link,
        } = self;
        drop(link);
        let mut milliseconds = Vec::with_capacity(times);
        for _ in 0..times {
            profile.close()?;
            let (took, opened) = timed_ms(|| {
                let profile = Profile::open(&unlocked)?;
                profile
                    .office
                    .read(|read| read.search_clients("", SHOWN))
                    .context("list clients")?;
                Ok::<_, anyhow::Error>(profile)
            });
            profile = opened?;
            milliseconds.push(took);
        }
        let link = profile.connect()?;
        Ok((
            Self {
                runtime,
                unlocked,
                profile,
                link,
            },
            milliseconds,
        ))
    }

    fn obey(&self, command: Command) -> Result<Answer> {
        match command {
            Command::Introduce(input) => {
                import::introduce(&self.profile, &read(&input)?)?;
                self.runtime.block_on(self.link.rounds())?;
                Ok(Answer::Done)
            }
            Command::Import(input) => {
                let notes = read(&input)?;
                let (seconds, stored) = timed(|| {
                    notes
                        .chunks(GROUP)
                        .try_for_each(|group| import::store_group(&self.profile, group))
                });
                stored.map(|()| Answer::Seconds(seconds))
            }
            Command::Save(input) => {
                let saves = read(&input)?.into_iter().map(|note| {
                    let (took, saved) = timed_ms(|| import::store_group(&self.profile, std::slice::from_ref(&note)));
                    saved.map(|()| took)
                });
                saves.collect::<Result<_>>().map(Answer::Milliseconds)
            }
            Command::Push => self.push(),
            Command::Pull => {
                let (seconds, rounds) = timed(|| self.runtime.block_on(self.link.rounds()));
                rounds.map(|_| Answer::Seconds(seconds))
            }
            Command::Position => {
                let cursor = self.profile.clinical.sync_state()?.cursor;
                cursor.map(Answer::Position).context("nothing was pulled yet")
            }
            Command::Snapshot(position) => self.snapshot(&position),
            Command::Idle { times } => {
                let rounds = (0..times).map(|_| {
                    let (took, rounds) = timed_ms(|| self.runtime.block_on(self.link.rounds()));
                    ensure!(
                        rounds?.iter().all(|round| round.pushed + round.pulled == 0),
                        "something was new"
                    );
                    Ok(took)
                });
                rounds.collect::<Result<_>>().map(Answer::Milliseconds)
            }
            Command::Edit { note, text } => self.edit(note, &text),
            Command::Watch { note, text } => self.watch(note, &text),
            Command::Drain { changes } => self.drain(changes),
            Command::Search { word, times } => self.search(&word, times),
            Command::Reread { input, sample } => self.reread(&read(&input)?, sample),
            Command::Check => {
                let reports = self.runtime.block_on(self.link.check())?;
                ensure!(
                    reports.iter().all(|report| report.differing.is_empty()),
                    "the service holds something else"
                );
                Ok(Answer::Sums(
                    reports
                        .into_iter()
                        .map(|report| format!("{} {}", report.rows, report.total))
                        .collect(),
                ))
            }
            Command::Open { .. } | Command::Close => bail!("the caller does this"),
        }
    }

    /// Shares what waits. Counted until the last acknowledgement was noted, when pulling begins.
    fn push(&self) -> Result<Answer> {
        let began = clock::shared_nanoseconds();
        let round = self
            .runtime
            .block_on(self.link.clinical.round(clock::now()))
            .context("sync the clinical file")?;
        ensure!(round.refused == 0, "the service refused {} changes", round.refused);
        let waiting = self.profile.clinical.read(|read| read.waiting())?;
        ensure!(waiting.count == 0, "{} changes still wait", waiting.count);
        #[expect(clippy::cast_precision_loss, reason = "exact for months")]
        let seconds = (self.link.last_pull_began() - began) as f64 / 1e9;
        Ok(Answer::Seconds(seconds))
    }

    /// A file that stands at a position and holds no scope gains every scope: each comes as a snapshot.
    fn snapshot(&self, position: &Cursor) -> Result<Answer> {
        self.runtime
            .block_on(self.link.office.round(clock::now()))
            .context("sync the office file")?;
        self.profile.clinical.set_cursor(position).context("take a position")?;
        let (seconds, round) = timed(|| self.runtime.block_on(self.link.clinical.round(clock::now())));
        round.context("sync the clinical file")?;
        Ok(Answer::Seconds(seconds))
    }

    fn edit(&self, note: EntityId, text: &str) -> Result<Answer> {
        let key = EntityKey::new("session_note", note);
        let action = Action {
            name: "note.edit",
            at: clock::now(),
        };
        self.profile
            .clinical
            .write(&self.profile.author(), action, |tx| {
                tx.patch_unit(&key, "body", json!({ "sections": { "plan": text } }))
            })
            .map_err(|error: WriteError| error)
            .context("edit a note")?;
        let nanoseconds = clock::shared_nanoseconds();
        self.runtime
            .block_on(self.link.clinical.round(clock::now()))
            .context("share an edit")?;
        Ok(Answer::At { nanoseconds })
    }

    /// Changes that piled up while there was no service, each by itself, are shared on the program's own threads; this thread is the window.
    fn drain(&self, changes: usize) -> Result<Answer> {
        for _ in 0..changes {
            import::create_plain_client(&self.profile)?;
        }
        let shared = AtomicBool::new(false);
        let (mut reads, mut saves) = (Vec::new(), Vec::new());
        let seconds = std::thread::scope(|scope| {
            let sharing = scope.spawn(|| {
                let (seconds, round) = timed(|| self.runtime.block_on(self.link.office.round(clock::now())));
                shared.store(true, Ordering::SeqCst);
                round.map(|round| (seconds, round))
            });
            while !shared.load(Ordering::SeqCst) {
                let (took, page) = timed_ms(|| self.profile.office.read(|read| read.search_clients("Client", SHOWN)));
                ensure!(page?.rows.len() == SHOWN, "the first page of clients is incomplete");
                reads.push(took);
                if reads.len() % READS_PER_SAVE == 0 {
                    let (took, saved) = timed_ms(|| import::create_plain_client(&self.profile));
                    saved?;
                    saves.push(took);
                }
            }
            let (seconds, round) = sharing.join().map_err(|_| anyhow!("sharing failed"))??;
            ensure!(
                round.refused == 0 && round.pushed >= changes,
                "not everything was shared"
            );
            Ok(seconds)
        })?;
        Ok(Answer::Drained { seconds, reads, saves })
    }

    fn watch(&self, note: EntityId, text: &str) -> Result<Answer> {
        let key = EntityKey::new("session_note", note);
        self.runtime.block_on(async {
            let mut seen = self.link.clinical.round(clock::now()).await?.head_seq;
            say(&Answer::Waiting)?;
            loop {
                seen = seen.max(self.link.clinical.wait(seen).await?);
                self.link.clinical.round(clock::now()).await?;
                let entity = self.profile.clinical.read(|read| read.get(&key))?;
                let plan = entity
                    .as_ref()
                    .and_then(|entity| entity.doc.unit("body"))
                    .map(|body| &body["sections"]["plan"]);
                if plan.and_then(Value::as_str) == Some(text) {
                    return Ok(Answer::At {
                        nanoseconds: clock::shared_nanoseconds(),
                    });
                }
            }
        })
    }

    /// Searches as the product does: the search is logged durably before anything is shown.
    fn search(&self, word: &str, times: usize) -> Result<Answer> {
        let mut notes = 0;
        let searches = (0..times).map(|_| {
            let (took, found) = timed_ms(|| self.search_once(word, SHOWN));
            notes = found?.len();
            Ok(took)
        });
        let milliseconds = searches.collect::<Result<_>>()?;
        Ok(Answer::Found { milliseconds, notes })
    }

    fn search_once(&self, word: &str, limit: usize) -> Result<Vec<EntityKey>> {
        let store = &self.profile.clinical;
        let hits = store.read(|read| read.search_notes(word, limit)).context("search")?;
        let notes: Vec<EntityKey> = hits.into_iter().map(|hit| hit.note).collect();
        let action = Action {
            name: "note.search",
            at: clock::now(),
        };
        store
            .record(self.profile.author().user, Role::Therapist, action, &notes)
            .context("log a search")?;
        Ok(notes)
    }

    /// Every sampled note has the very content of the input, and is found by its rarest word.
    fn reread(&self, notes: &[SourceNote], sample: usize) -> Result<Answer> {
        let words = Words::of(notes);
        let mut chance = Chance::seeded(notes.len() as u64);
        let author = self.profile.author().user;
        for _ in 0..sample.min(notes.len()) {
            let note = &notes[chance.below(notes.len())];
            let key = import::key(note.id);
            let entity = self
                .profile
                .clinical
                .read(|read| read.get(&key))?
                .context("a note is missing")?;
            for (unit, expected) in import::session_note(note, author)?.units() {
                ensure!(
                    entity.doc.unit(unit) == Some(expected),
                    "the unit {unit} of a note has other content"
                );
            }
            let (word, _) = words.rarest_of(note).context("a note has no words")?;
            ensure!(
                self.search_once(&word, notes.len())?.contains(&key),
                "a note is not found by its rarest word"
            );
        }
        Ok(Answer::Done)
    }
}

fn read(input: &Input) -> Result<Vec<SourceNote>> {
    source::read(&input.file, input.count)
}
