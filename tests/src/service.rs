//! The practice's service as a process of its own, stopped and started again as a person would.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use caseload_testkit::ports::free_port;

use crate::processes::{Running, wait_for};
use crate::programs::built;

/// A service on a fresh folder makes its keys first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A service on one folder and one port; it may be running or not. It ends when this is dropped.
#[derive(Debug)]
pub struct Service {
    folder: PathBuf,
    port: u16,
    mongodb: Option<String>,
    demonstration: bool,
    config: PathBuf,
    tombstone_days: Option<u32>,
    process: Option<Running>,
}

impl Service {
    /// A service on a folder, on a free port of the loopback address, not yet started. Without MongoDB it uses SQLite.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(folder: &Path, mongodb: Option<&str>) -> Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            port: free_port()?,
            mongodb: mongodb.map(str::to_owned),
            demonstration: false,
            // The key must not lie in the data folder, and a scenario leaves nothing in the person's own configuration.
            config: folder.with_extension("config"),
            tombstone_days: None,
            process: None,
        })
    }

    /// The same with its master key in its data folder, as for demonstrations.
    #[must_use]
    pub fn for_demonstration(mut self) -> Self {
        self.demonstration = true;
        self
    }

    /// The same under the master key of another service: two of them on one database.
    #[must_use]
    pub fn with_the_key_of(mut self, other: &Self) -> Self {
        self.config.clone_from(&other.config);
        self
    }

    /// From its next start on it remembers void entries for so many days.
    pub fn remember_void_entries(&mut self, days: u32) {
        self.tombstone_days = Some(days);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The folder that holds its data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in time. What it printed is in `service.log` beside its folder.
    pub fn start(&mut self) -> Result<()> {
        let log = self.folder.with_extension("log");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("open {}", log.display()))?;
        let mut command = Command::new(built("caseload")?);
        command
            .arg("service")
            .arg("--data")
            .arg(&self.folder)
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .env("XDG_CONFIG_HOME", &self.config)
            .stdout(log.try_clone().context("share the log")?)
            .stderr(Stdio::from(log));
        if self.demonstration {
            command.arg("--demo");
        }
        if let Some(days) = self.tombstone_days {
            command.args(["--tombstone-days", &days.to_string()]);
        }
        match &self.mongodb {
            Some(uri) => command.args(["--mongodb", uri]),
            // A test run may name a server for the tests that want one.
            None => command.env_remove("CASELOAD_MONGODB_URI"),
        };
        let mut process = Running::start("the service", &mut command)?;
        wait_for("an answer of the service", START_LIMIT, || {
            process.ensure_alive()?;
            Ok(self.is_healthy().then_some(()))
        })?;
        self.process = Some(process);
        Ok(())
    }

    /// Shuts it down, as when its computer is switched off.
    ///
    /// # Errors
    /// When it does not shut down cleanly.
    pub fn stop(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Running::stop)
    }

    /// Ends it at once, as a power cut would.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), Running::kill)
    }

    /// The code that the first practice is published with.
    ///
    /// # Errors
    /// When there is none, because a practice is published already.
    pub fn setup_code(&self) -> Result<String> {
        let text = fs::read_to_string(self.folder.join("setup-code")).context("read the setup code")?;
        Ok(text.trim().to_owned())
    }

    fn is_healthy(&self) -> bool {
        ureq::get(format!("{}/healthz", self.address()))
            .config()
            .timeout_global(Some(Duration::from_secs(5)))
            .build()
            .call()
            .is_ok()
    }
}
