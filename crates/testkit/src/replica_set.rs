//! A replica set of three members on the loopback address, of which any may step down or die.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;

use crate::mongod::{Mongod, REPLICA_SET};

/// How long a set looks for a primary when the old one is silent, in milliseconds.
const ELECTION_TIMEOUT_MS: i32 = 2_000;

/// How long an election may take on a busy machine.
const ELECTION_LIMIT: Duration = Duration::from_secs(60);

/// Three members.
pub struct ReplicaSet {
    members: Vec<Mongod>,
}

impl ReplicaSet {
    /// Starts three members and waits for their primary.
    ///
    /// # Errors
    /// As [`Mongod::replica_set`].
    pub async fn of_three() -> Result<Self> {
        let mut members = Vec::new();
        for _ in 0..3 {
            let mut member = Mongod::prepare(true)?;
            member.launch().await?;
            members.push(member);
        }
        let set = Self { members };
        let hosts: Vec<Document> = (0_i32..)
            .zip(&set.members)
            .map(|(number, member)| doc! { "_id": number, "host": member.host() })
            .collect();
        let configuration = doc! {
            "_id": REPLICA_SET, "members": hosts, "settings": { "electionTimeoutMillis": ELECTION_TIMEOUT_MS },
        };
        set.members[0]
            .ask(true, doc! { "replSetInitiate": configuration })
            .await
            .context("make a replica set")?;
        set.wait_for_primary().await?;
        Ok(set)
    }

    /// The address of a database on this set.
    #[must_use]
    pub fn uri(&self, database: &str) -> String {
        let hosts: Vec<String> = self.members.iter().map(Mongod::host).collect();
        format!("mongodb://{}/{database}?replicaSet={REPLICA_SET}", hosts.join(","))
    }

    /// Tells the primary to step down, and waits for the next one.
    ///
    /// # Errors
    /// When there is none before or after.
    pub async fn step_down(&self) -> Result<()> {
        let primary = self.primary().await?;
        // It may close the connection on which it is told so.
        let _closed = self.members[primary].ask(true, doc! { "replSetStepDown": 10 }).await;
        self.wait_for_primary().await
    }

    /// Kills the primary as a power cut would, and gives its number.
    ///
    /// # Errors
    /// When there is none.
    pub async fn kill_primary(&mut self) -> Result<usize> {
        let primary = self.primary().await?;
        self.members[primary].kill()?;
        Ok(primary)
    }

    /// Starts a killed member on its files.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self, member: usize) -> Result<()> {
        self.members[member].launch().await.map(drop)
    }

    /// Waits until some member is the primary.
    ///
    /// # Errors
    /// When none is for a minute.
    pub async fn wait_for_primary(&self) -> Result<()> {
        let mut options = ClientOptions::parse(self.uri("admin")).await?;
        options.server_selection_timeout = Some(ELECTION_LIMIT);
        options.heartbeat_freq = Some(Duration::from_millis(500));
        let client = Client::with_options(options)?;
        let answer = client.database("admin").run_command(doc! { "ping": 1 }).await;
        client.shutdown().immediate(true).await;
        answer.map(drop).context("wait for a primary")
    }

    async fn primary(&self) -> Result<usize> {
        self.wait_for_primary().await?;
        for (number, member) in self.members.iter().enumerate() {
            if member.process().is_none() {
                continue;
            }
            let hello = member.ask(true, doc! { "hello": 1 }).await?;
            if hello.get_bool("isWritablePrimary").unwrap_or(false) {
                return Ok(number);
            }
        }
        bail!("no member is the primary")
    }
}
