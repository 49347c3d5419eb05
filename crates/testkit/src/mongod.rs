//! A real MongoDB for tests: a replica set of one member, on a free port of the loopback address, with data in a folder of its own. Sets of
//! three are in [`crate::replica_set`].
//!
//! The program is `CASELOAD_MONGOD`, else `mongod` on `PATH`, else the one that `cargo xtask` has fetched into `.cache`. Without one a
//! test fails; it is never skipped. A server ends with the test program that started it, however that ends, because a guard process waits
//! for the end of a pipe.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;

use crate::ports::free_port;
use crate::security::{PASSWORD, Security};

pub(crate) const REPLICA_SET: &str = "caseload";

/// How long a start may take; half a second on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Starts the server that is named by its arguments, prints its process id, waits until its own input ends, and ends the server. It
/// removes the folder unless it is told to keep it. A server with many databases opens more files than ordinary accounts are given at first.
const GUARD: &str = r#"
    trap '' INT TERM HUP
    folder=$1; shift
    ulimit -S -n 64000 2>/dev/null || ulimit -S -n "$(ulimit -H -n)" 2>/dev/null
    "$@" >>"$folder/mongod.log" 2>&1 &
    server=$!
    echo "$server"
    read -r word
    kill -9 "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    [ "$word" = keep ] || rm -rf "$folder"
"#;

/// A running server.
pub struct Mongod {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    in_set: bool,
    compressed: bool,
    security: Option<Security>,
    guard: Option<Guard>,
}

struct Guard {
    process: Child,
    server: u32,
}

impl Mongod {
    /// Starts a replica set of one member and waits for its primary.
    ///
    /// # Errors
    /// When there is no program, or it does not start; the text says what to do.
    pub async fn replica_set() -> Result<Self> {
        let mut server = Self::prepare(true)?;
        server.start().await?;
        Ok(server)
    }

    /// Starts a server that is no member of a replica set.
    ///
    /// # Errors
    /// As [`Self::replica_set`].
    pub async fn alone() -> Result<Self> {
        let mut server = Self::prepare(false)?;
        server.start().await?;
        Ok(server)
    }

    /// Starts a replica set of one member whose files are compressed, as those of a deployment are: for measurements.
    ///
    /// # Errors
    /// As [`Self::replica_set`].
    pub async fn compressed_replica_set() -> Result<Self> {
        let mut server = Self::prepare(true)?;
        server.compressed = true;
        server.start().await?;
        Ok(server)
    }

    /// Starts a replica set of one member that lets nobody in without a password and speaks TLS alone.
    ///
    /// # Errors
    /// As [`Self::replica_set`].
    pub async fn secured_replica_set() -> Result<Self> {
        let mut server = Self::prepare(true)?;
        server.security = Some(Security::make(&server.folder)?);
        server.start().await?;
        Ok(server)
    }

    pub(crate) fn prepare(in_set: bool) -> Result<Self> {
        let program = program()?;
        let folder = tempfile::Builder::new()
            .prefix("caseload-mongod-")
            .tempdir()
            .context("make a folder")?
            .keep();
        std::fs::create_dir(folder.join("data")).context("make a folder")?;
        let port = free_port()?;
        Ok(Self {
            program,
            folder,
            port,
            in_set,
            compressed: false,
            security: None,
            guard: None,
        })
    }

    /// Starts the program and waits for its first answer, whatever its place in a set.
    pub(crate) async fn launch(&mut self) -> Result<Document> {
        self.guard = Some(self.spawn()?);
        self.ask(true, doc! { "hello": 1 })
            .await
            .with_context(|| self.complaint())
    }

    async fn start(&mut self) -> Result<()> {
        let hello = self.launch().await?;
        if self.in_set && !hello.contains_key("setName") {
            let member = doc! { "_id": 0, "host": format!("127.0.0.1:{}", self.port) };
            let set = doc! { "replSetInitiate": { "_id": REPLICA_SET, "members": [member] } };
            // A set that was initiated before the server was killed says so.
            let _known = self.ask(true, set).await;
        }
        self.ask(!self.in_set, doc! { "ping": 1 })
            .await
            .with_context(|| self.complaint())?;
        if self.security.as_ref().is_some_and(|security| !security.administered) {
            self.ask(false, Security::create_administrator())
                .await
                .with_context(|| self.complaint())?;
            self.security.as_mut().context("a secured server")?.administered = true;
        }
        Ok(())
    }

    fn spawn(&self) -> Result<Guard> {
        let mut command = Command::new("sh");
        command.args(["-c", GUARD, "sh"]).arg(&self.folder).arg(&self.program);
        command.args([
            "--bind_ip",
            "127.0.0.1",
            "--nounixsocket",
            "--wiredTigerCacheSizeGB",
            "0.25",
        ]);
        if !self.compressed {
            // So that a hunt for a text in the files finds it where it is.
            command.args(["--wiredTigerCollectionBlockCompressor", "none"]);
            command.args(["--wiredTigerJournalCompressor", "none"]);
        }
        // Lets tests have the server fail on purpose.
        command.args(["--setParameter", "enableTestCommands=1"]);
        // What has had its time goes at once, so that nothing can rest on its being there for a little longer.
        command.args(["--setParameter", "ttlMonitorSleepSecs=1"]);
        command
            .args(["--port", &self.port.to_string(), "--dbpath"])
            .arg(self.data());
        if self.in_set {
            command.args(["--replSet", REPLICA_SET]);
        }
        if let Some(security) = &self.security {
            command.args(security.arguments());
            // The fewest rounds that the server takes: a test opens many connections, and guessing is not what it is about.
            command.args(["--setParameter", "scramSHA256IterationCount=5000"]);
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the guard of mongod")?;
        let mut line = String::new();
        let output = process.stdout.take().context("read from the guard of mongod")?;
        BufReader::new(output)
            .read_line(&mut line)
            .context("read from the guard of mongod")?;
        let server = line.trim().parse().context("read the process id of mongod")?;
        Ok(Guard { process, server })
    }

    /// Runs a command, on this very server or on the primary of its set, once it is there.
    pub(crate) async fn ask(&self, direct: bool, command: Document) -> Result<Document> {
        let mut options = ClientOptions::parse(self.uri("admin")).await?;
        options.server_selection_timeout = Some(START_LIMIT);
        options.heartbeat_freq = Some(Duration::from_millis(500));
        if direct {
            options.repl_set_name = None;
            options.direct_connection = Some(true);
        }
        let client = Client::with_options(options)?;
        let answer = client.database("admin").run_command(command).await;
        client.shutdown().immediate(true).await;
        Ok(answer?)
    }

    fn complaint(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("mongod.log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        format!(
            "{} does not answer; its last words: {}",
            self.program.display(),
            last.join("\n")
        )
    }

    /// The address of a database on this server; of a secured one, as its administrator.
    #[must_use]
    pub fn uri(&self, database: &str) -> String {
        let who = self.security.as_ref().map_or_else(String::new, Security::administrator);
        let source = if who.is_empty() {
            None
        } else {
            Some("authSource=admin".to_owned())
        };
        self.address(&who, database, source)
    }

    /// The address of a database on a secured server for an account of that database, with the password of all test accounts.
    #[must_use]
    pub fn uri_as(&self, account: &str, database: &str) -> String {
        self.address(
            &format!("{account}:{PASSWORD}@"),
            database,
            Some(format!("authSource={database}")),
        )
    }

    /// The address of a database on a secured server for someone without an account.
    #[must_use]
    pub fn uri_without_account(&self, database: &str) -> String {
        self.address("", database, None)
    }

    /// The address of a database on a secured server for someone who does not speak TLS.
    #[must_use]
    pub fn uri_without_tls(&self, database: &str) -> String {
        format!("mongodb://127.0.0.1:{}/{database}?replicaSet={REPLICA_SET}", self.port)
    }

    fn address(&self, who: &str, database: &str, source: Option<String>) -> String {
        let set = self.in_set.then(|| format!("replicaSet={REPLICA_SET}"));
        let tls = self.security.as_ref().map(Security::uri_options);
        let options: Vec<String> = [set, tls, source].into_iter().flatten().collect();
        let options = if options.is_empty() {
            String::new()
        } else {
            format!("?{}", options.join("&"))
        };
        format!("mongodb://{who}127.0.0.1:{}/{database}{options}", self.port)
    }

    /// Makes an account in a database of a secured server, with roles of that database.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_account(&self, account: &str, database: &str, roles: &[&str]) -> Result<()> {
        let client = Client::with_uri_str(self.uri(database)).await?;
        let command = doc! { "createUser": account, "pwd": PASSWORD, "roles": roles, "mechanisms": ["SCRAM-SHA-256"] };
        let made = client.database(database).run_command(command).await;
        client.shutdown().immediate(true).await;
        made.map(drop).context("make an account")
    }

    /// `127.0.0.1` and the port.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder with the server's files.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Writes everything into the files, of which some would otherwise be in the journal alone.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn checkpoint(&self) -> Result<()> {
        self.ask(!self.in_set, doc! { "fsync": 1 })
            .await
            .with_context(|| self.complaint())
            .map(drop)
    }

    /// Ends the server as a power cut would, and keeps its files.
    ///
    /// # Errors
    /// When the guard does not do as it is told.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut guard) = self.guard.take() {
            guard.end("keep")?;
        }
        Ok(())
    }

    /// Starts a killed server again on its files and its port.
    ///
    /// # Errors
    /// As [`Self::replica_set`].
    pub async fn restart(&mut self) -> Result<()> {
        self.start().await
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn process(&self) -> Option<u32> {
        self.guard.as_ref().map(|guard| guard.server)
    }
}

impl Guard {
    fn end(&mut self, word: &str) -> Result<()> {
        let mut input = self.process.stdin.take().context("speak to the guard of mongod")?;
        writeln!(input, "{word}").context("speak to the guard of mongod")?;
        drop(input);
        self.process.wait().context("wait for the guard of mongod")?;
        Ok(())
    }
}

impl Drop for Mongod {
    fn drop(&mut self) {
        let ended = self.guard.take().map(|mut guard| guard.end("remove"));
        if !matches!(ended, Some(Ok(()))) {
            let _left_for_the_system = std::fs::remove_dir_all(&self.folder);
        }
    }
}

fn program() -> Result<PathBuf> {
    if let Some(named) = env::var_os("CASELOAD_MONGOD").filter(|name| !name.is_empty()) {
        let named = PathBuf::from(named);
        return if named.is_file() {
            Ok(named)
        } else {
            bail!("CASELOAD_MONGOD names {}, which is no file", named.display())
        };
    }
    let folders = env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    if let Some(found) = folders
        .iter()
        .map(|folder| folder.join("mongod"))
        .find(|program| program.is_file())
    {
        return Ok(found);
    }
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
    find_below(&cache).context(
        "no mongod is here: set CASELOAD_MONGOD, put mongod on PATH, or run `cargo xtask test`, which fetches one",
    )
}

fn find_below(folder: &Path) -> Option<PathBuf> {
    let entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let here = entries
        .iter()
        .find(|path| path.file_name().is_some_and(|name| name == "mongod") && path.is_file());
    here.cloned().or_else(|| {
        entries
            .iter()
            .filter(|path| path.is_dir())
            .find_map(|path| find_below(path))
    })
}
