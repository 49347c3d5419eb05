//! `cargo xtask run`: from a clone to the open window.
//!
//! The service is a process of its own, as in a clinic. Without a display, the story is played in a real window on a virtual one.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::mongodb::{MongoDb, ReplicaSet, free_port};
use crate::packages::{Consent, Purpose, install_missing};
use crate::processes::{self, Running, pause};
use crate::project::Project;
use crate::terminal::{Stages, say};
use crate::ui;

/// The service listens here if nobody else does, so that a practice finds it again at the next run.
const PORT: u16 = 7878;

/// A service on a fresh folder makes its keys first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Install missing system packages without asking.
    #[arg(long)]
    yes: bool,
    /// Use a folder of its own, filled with a believable practice, and print its sign-ins.
    #[arg(long)]
    demo: bool,
    /// Keep the service's data in MongoDB: CASELOAD_MONGODB_URI, or a local replica set.
    #[arg(long)]
    mongodb: bool,
    /// Play the story in a window on a virtual display, even if there is a real one.
    #[arg(long)]
    headless: bool,
}

impl Options {
    fn plays_the_story(&self) -> bool {
        self.headless || !has_display()
    }
}

/// Whether a window could be shown to somebody.
fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Installs what is missing, builds, starts the service and shows the window, or plays the story where nobody could see one.
///
/// # Errors
/// When a stage fails; every process that was started has ended then.
pub(crate) fn run(project: &Project, options: &Options) -> Result<()> {
    let story = options.plays_the_story();
    let mut stages = Stages::new(4 + usize::from(options.mongodb) + usize::from(options.demo));
    stages.stage("system packages", || {
        install_missing(
            &purposes(options),
            if options.yes { Consent::Given } else { Consent::Ask },
        )
    })?;
    stages.stage("user interface", || {
        ui::install(project).and_then(|()| ui::build(project))
    })?;
    stages.stage("programs", || {
        processes::finish("cargo build", &mut project.cargo(&["build", "--workspace", "--bins"]))
    })?;
    let place = Place::of(project, options)?;
    let mongodb = if options.mongodb {
        Some(stages.stage("MongoDB", || Database::start(project, &place))?)
    } else {
        None
    };
    if options.demo {
        stages.stage("demo practice", || fill(project, &place))?;
    }
    if story {
        stages.stage("the story, in real windows on virtual displays", || {
            play(project, mongodb.as_ref())
        })
    } else {
        stages.stage("service and window", || show(project, &place, mongodb.as_ref()))
    }
}

fn purposes(options: &Options) -> Vec<Purpose> {
    let mut purposes = vec![Purpose::Build];
    if options.mongodb {
        purposes.push(Purpose::MongoDb);
    }
    if options.plays_the_story() {
        purposes.push(Purpose::Story);
    }
    purposes
}

/// Where a run keeps its data. A practice that is shared through one storage does not meet the other one.
#[derive(Debug)]
struct Place {
    root: PathBuf,
    profile: PathBuf,
    demo: bool,
}

impl Place {
    fn of(project: &Project, options: &Options) -> Result<Self> {
        let suffix = if options.mongodb { "-mongodb" } else { "" };
        if options.demo {
            let root = project.cache(&format!("demo{suffix}"));
            return Ok(Self {
                profile: root.join("profile"),
                root,
                demo: true,
            });
        }
        let root = match folder_from("CASELOAD_PROFILE") {
            Some(profile) => profile,
            None => data_folder()?.join(format!("caseload{suffix}")),
        };
        Ok(Self {
            profile: root.clone(),
            root,
            demo: false,
        })
    }

    fn service(&self) -> PathBuf {
        self.root.join("service")
    }
}

fn folder_from(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn data_folder() -> Result<PathBuf> {
    folder_from("XDG_DATA_HOME")
        .or_else(|| folder_from("HOME").map(|home| home.join(".local/share")))
        .context("there is no home folder: set CASELOAD_PROFILE to the folder that is to hold the data")
}

/// The MongoDB of a run: ours to end, or someone else's.
enum Database {
    Ours(ReplicaSet),
    Theirs(String),
}

impl Database {
    fn start(project: &Project, place: &Place) -> Result<Self> {
        let database = match MongoDb::find(project)? {
            MongoDb::Uri(uri) => Self::Theirs(uri),
            MongoDb::Program(program) => Self::Ours(ReplicaSet::start(&program, &place.root.join("mongodb"))?),
        };
        say(match &database {
            Self::Ours(set) => format!("a replica set of one member: {}", set.uri()),
            // It may hold a password.
            Self::Theirs(_) => String::from("the one that CASELOAD_MONGODB_URI names"),
        });
        Ok(database)
    }

    fn uri(&self) -> &str {
        match self {
            Self::Ours(set) => set.uri(),
            Self::Theirs(uri) => uri,
        }
    }
}

/// Names the MongoDB to a program, or keeps it away from one. By the environment: arguments can be read by everybody on the machine.
fn tell(command: &mut Command, mongodb: Option<&Database>) {
    match mongodb {
        Some(mongodb) => command.env("CASELOAD_MONGODB_URI", mongodb.uri()),
        None => command.env_remove("CASELOAD_MONGODB_URI"),
    };
}

/// Fills the demo folder once, and says the sign-ins every time.
fn fill(project: &Project, place: &Place) -> Result<()> {
    let sign_ins = place.root.join("sign-ins.txt");
    if !sign_ins.is_file() {
        if place.profile.exists() {
            // Left by a run that was interrupted before the practice was complete.
            fs::remove_dir_all(&place.profile).with_context(|| format!("remove {}", place.profile.display()))?;
        }
        let mut command = project.command(project.built("caseload")?);
        command.env_remove("CASELOAD_PROFILE");
        let text = processes::output("caseload demo", command.args(["demo", "--data"]).arg(&place.root))?;
        fs::write(&sign_ins, text).with_context(|| format!("write {}", sign_ins.display()))?;
    }
    say("sign-ins of the demo, as name (role): passphrase");
    say(fs::read_to_string(&sign_ins)
        .with_context(|| format!("read {}", sign_ins.display()))?
        .trim_end());
    say(format!("to begin anew, remove {}", place.root.display()));
    Ok(())
}

fn play(project: &Project, mongodb: Option<&Database>) -> Result<()> {
    let mut story = project.command(project.built("story")?);
    tell(&mut story, mongodb);
    processes::finish("the story", story.arg("--out").arg(project.path("out/story")))
}

fn show(project: &Project, place: &Place, mongodb: Option<&Database>) -> Result<()> {
    let mut service = Service::start(project, place, mongodb)?;
    say(format!("data: {}", place.root.display()));
    say(format!("service: {}", service.address()));
    let mut window = project.command(project.built("caseload-desktop")?);
    window
        .env("CASELOAD_PROFILE", &place.profile)
        .env("CASELOAD_SERVICE_ADDRESS", service.address());
    if let Some(code) = service.setup_code() {
        say(format!("setup code, to share a practice through this service: {code}"));
        window.env("CASELOAD_SETUP_CODE", code);
    }
    let mut window = Running::start("the window", &mut window)?;
    let mut told = false;
    while window.ended()?.is_none() {
        if !told && service.process.ended()?.is_some() {
            say("the service has ended; the window goes on without it, as it does without a network");
            told = true;
        }
        pause();
    }
    window.finish()
}

/// The running service.
struct Service {
    process: Running,
    port: u16,
    folder: PathBuf,
}

impl Service {
    fn start(project: &Project, place: &Place, mongodb: Option<&Database>) -> Result<Self> {
        let port = if TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).is_ok() {
            PORT
        } else {
            free_port()?
        };
        let folder = place.service();
        let mut command = project.command(project.built("caseload")?);
        command
            .arg("service")
            .arg("--data")
            .arg(&folder)
            .args(["--listen", &format!("127.0.0.1:{port}")]);
        tell(&mut command, mongodb);
        if place.demo {
            command.arg("--demo");
        }
        let mut service = Self {
            process: Running::start("the service", &mut command)?,
            port,
            folder,
        };
        service.wait_until_healthy()?;
        Ok(service)
    }

    fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The code with which the first practice is published; there is none once that has happened.
    fn setup_code(&self) -> Option<String> {
        setup_code(&self.folder)
    }

    fn wait_until_healthy(&mut self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < START_LIMIT {
            self.process.ensure_alive()?;
            if is_healthy(self.port) {
                return Ok(());
            }
            pause();
        }
        bail!("the service does not answer after {} s", START_LIMIT.as_secs())
    }
}

fn setup_code(folder: &Path) -> Option<String> {
    let code = fs::read_to_string(folder.join("setup-code")).ok()?;
    Some(code.trim().to_owned()).filter(|code| !code.is_empty())
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let limit = Duration::from_secs(5);
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| is_success(&answer))
}

fn is_success(answer: &str) -> bool {
    answer.split_whitespace().nth(1) == Some("200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_status_200_is_health() {
        assert!(is_success("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!is_success("HTTP/1.1 503 Service Unavailable\r\n\r\n200"));
        assert!(!is_success(""));
    }

    #[test]
    fn demo_and_storage_have_folders_of_their_own() {
        let project = Project::at(Path::new("/clone"));
        let place = |demo, mongodb| {
            Place::of(
                &project,
                &Options {
                    yes: true,
                    demo,
                    mongodb,
                    headless: false,
                },
            )
            .map(|place| place.root)
            .ok()
        };
        assert_eq!(place(true, false), Some(PathBuf::from("/clone/.cache/demo")));
        assert_eq!(place(true, true), Some(PathBuf::from("/clone/.cache/demo-mongodb")));
    }
}
