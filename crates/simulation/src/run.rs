//! Many seeds on all cores.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::invariants::Broken;
use crate::tally::Tally;
use crate::template::Template;
use crate::world::{Ended, World};

/// Which seeds are run.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Whether the first finding ends the run.
    pub until_found: bool,
}

/// What one seed made.
#[derive(Clone, Debug)]
pub struct Story {
    /// The seed.
    pub seed: u64,
    /// Changes with everything that happened.
    pub digest: String,
    /// What happened, line by line.
    pub lines: Vec<String>,
    /// Which faults and outcomes occurred.
    pub tally: Tally,
    /// The invariant that does not hold, if there is one.
    pub broken: Option<Broken>,
}

/// A seed whose history breaks an invariant.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The seed.
    pub seed: u64,
    /// What does not hold.
    pub broken: Broken,
}

/// What a run found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Histories that were made.
    pub seeds: u64,
    /// Which faults and outcomes occurred in all of them.
    pub tally: Tally,
    /// What was found, by seed.
    pub findings: Vec<Finding>,
}

/// The practice before any history, in a folder in memory where there is one. Removed when it is dropped.
pub struct Simulation {
    folder: PathBuf,
    template: Template,
}

impl Simulation {
    /// Makes the practice; `name` keeps several of one process apart.
    ///
    /// # Errors
    /// When a real part refuses, or the folder cannot be made.
    pub fn prepare(name: &str) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let folder = base.join(format!("caseload-simulation-{}-{name}", std::process::id()));
        let template = Template::make(&folder.join("template")).context("the practice is made")?;
        Ok(Self { folder, template })
    }

    /// Makes the history of one seed.
    ///
    /// # Errors
    /// When something around the simulation fails; a broken invariant is no error.
    pub fn story(&self, seed: u64) -> Result<Story> {
        let root = self.folder.join(format!("seed-{seed}"));
        // One thread for blocking work: what is begun first is done first.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()?;
        let story = runtime.block_on(self.tell(&root, seed));
        drop(runtime);
        fs::remove_dir_all(&root)?;
        story
    }

    async fn tell(&self, root: &Path, seed: u64) -> Result<Story> {
        fs::create_dir_all(root)?;
        let mut world = World::begin(&self.template, root, seed).await?;
        let ended = world.live().await;
        let mut story = Story {
            seed,
            digest: world.digest(),
            lines: std::mem::take(&mut world.lines),
            tally: std::mem::take(&mut world.tally),
            broken: None,
        };
        world.close().await;
        match ended {
            Ok(()) => {}
            Err(Ended::Broken(broken)) => story.broken = Some(broken),
            Err(Ended::Failed(error)) => {
                return Err(error.context(format!("seed {seed} after {:?}", story.lines.last())));
            }
        }
        Ok(story)
    }

    /// Makes the histories of many seeds, on all cores.
    ///
    /// # Errors
    /// When something around the simulation fails.
    pub fn run(&self, seeds: Seeds) -> Result<Report> {
        let next = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let report = Mutex::new(Report::default());
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let work = || -> Result<()> {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= seeds.count || stop.load(Ordering::SeqCst) {
                        return Ok(());
                    }
                    let seed = seeds.first.wrapping_add(number);
                    let story = self.story(seed).inspect_err(|_| stop.store(true, Ordering::SeqCst))?;
                    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
                    report.seeds += 1;
                    report.tally.merge(&story.tally);
                    if let Some(broken) = story.broken {
                        report.findings.push(Finding { seed, broken });
                        stop.fetch_or(seeds.until_found, Ordering::SeqCst);
                    }
                }
            };
            let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                worker.join().map_err(|_| anyhow::anyhow!("a history panicked"))??;
            }
            Ok::<_, anyhow::Error>(())
        })?;
        let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.findings.sort_by_key(|finding| finding.seed);
        Ok(report)
    }
}

impl Drop for Simulation {
    fn drop(&mut self) {
        // Nothing of value is in it.
        let _left_behind = fs::remove_dir_all(&self.folder);
    }
}
