//! The system's secret store: absent, hanging, locked, and a real Secret Service on a private bus.
//!
//! Which store answers is decided by the environment of a process, so every case runs in a child: this same test binary, asked for the one
//! test `in_the_prepared_environment`, which does the case named in a variable and fails when it does not hold.

#![cfg(all(unix, not(target_os = "macos")))]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use caseload_domain::{DeviceId, PracticeId, UserId};
use caseload_vault::SymmetricKey;
use caseload_vault::keyring_slot::{Keyring, KeyringAccount, KeyringError, Timeouts};
use uuid::Uuid;

const CASE: &str = "CASELOAD_TEST_KEYRING_CASE";

#[test]
fn an_absent_bus_is_unavailable_at_once() {
    let folder = tempfile::tempdir().unwrap();
    run_case("absent", folder.path(), "unix:path=/nonexistent/bus");
}

#[test]
fn a_bus_without_a_store_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(folder.path());
    run_case("absent", folder.path(), &bus.address);
}

#[test]
fn a_bus_that_never_answers_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("silent");
    let _listener = UnixListener::bind(&socket).unwrap();
    run_case("silent", folder.path(), &format!("unix:path={}", socket.display()));
}

#[test]
fn a_real_secret_service_keeps_a_secret_and_its_lock_is_respected() {
    let folder = tempfile::tempdir().unwrap();
    let bus = Bus::start(folder.path());
    let daemon = secret_service(folder.path(), &bus, &["--unlock"]);
    run_case("real", folder.path(), &bus.address);
    drop(daemon);
    let _locked = secret_service(folder.path(), &bus, &[]);
    run_case("locked", folder.path(), &bus.address);
}

/// Does nothing unless a parent prepared the environment; see the module's words.
#[test]
fn in_the_prepared_environment() {
    match std::env::var(CASE).as_deref() {
        Ok("absent") => absent(),
        Ok("silent") => silent(),
        Ok("real") => real(),
        Ok("locked") => locked(),
        Ok(other) => panic!("unknown case {other}"),
        Err(_) => {}
    }
}

fn account(user: u128) -> KeyringAccount {
    KeyringAccount {
        practice: PracticeId::new(Uuid::from_u128(1)),
        device: DeviceId::new(Uuid::from_u128(2)),
        user: UserId::new(Uuid::from_u128(user)),
    }
}

fn absent() {
    let started = Instant::now();
    let keyring = Keyring::default();
    let secret = SymmetricKey::random();
    assert!(matches!(keyring.read(account(1)), Err(KeyringError::Unavailable(_))));
    let stored = keyring.store(account(1), &secret, || panic!("it is not slow"));
    assert!(matches!(stored, Err(KeyringError::Unavailable(_))));
    assert!(matches!(keyring.delete(account(1)), Err(KeyringError::Unavailable(_))));
    assert!(started.elapsed() < Duration::from_secs(3));
}

fn silent() {
    let keyring = Keyring::with_timeouts(Timeouts {
        soft: Duration::from_millis(50),
        hard: Duration::from_millis(100),
    });
    let mut told = 0;
    assert!(matches!(keyring.read(account(1)), Err(KeyringError::TimedOut)));
    assert!(matches!(
        keyring.store(account(1), &SymmetricKey::random(), || told += 1),
        Err(KeyringError::TimedOut)
    ));
    assert_eq!(told, 1, "the person is told that the system may be asking");
    assert!(matches!(keyring.delete(account(1)), Err(KeyringError::TimedOut)));
    assert!(matches!(keyring.delete(account(1)), Err(KeyringError::TimedOut)));
    assert!(
        matches!(keyring.read(account(1)), Err(KeyringError::Busy)),
        "threads do not pile up"
    );
}

fn real() {
    let keyring = Keyring::default();
    wait_for_the_service(&keyring);
    let (first, second, other) = (SymmetricKey::random(), SymmetricKey::random(), SymmetricKey::random());
    assert!(matches!(keyring.read(account(1)), Err(KeyringError::NoEntry)));
    keyring.delete(account(1)).unwrap();
    keyring.store(account(1), &first, || ()).unwrap();
    keyring.store(account(2), &other, || ()).unwrap();
    assert_eq!(keyring.read(account(1)).unwrap().expose(), first.expose());
    keyring.store(account(1), &second, || ()).unwrap();
    assert_eq!(
        keyring.read(account(1)).unwrap().expose(),
        second.expose(),
        "the later secret counts"
    );
    keyring.delete(account(1)).unwrap();
    assert!(matches!(keyring.read(account(1)), Err(KeyringError::NoEntry)));
    assert_eq!(
        keyring.read(account(2)).unwrap().expose(),
        other.expose(),
        "another person's secret is untouched"
    );
}

fn locked() {
    let keyring = Keyring::default();
    wait_for_the_service(&keyring);
    let started = Instant::now();
    let read = keyring.read(account(2));
    assert!(
        matches!(
            read,
            Err(KeyringError::Locked(_) | KeyringError::TimedOut | KeyringError::Unavailable(_))
        ),
        "{read:?}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "nobody waits for a question that cannot be shown"
    );
}

/// The daemon takes its name on the bus some time after its start.
fn wait_for_the_service(keyring: &Keyring) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(KeyringError::Unavailable(error)) = keyring.read(account(99)) {
        assert!(
            Instant::now() < deadline,
            "the Secret Service does not come up: {error:?}"
        );
    }
}

fn run_case(case: &str, folder: &Path, bus: &str) {
    let output = prepared(Command::new(std::env::current_exe().unwrap()), folder)
        .args(["--exact", "in_the_prepared_environment", "--nocapture"])
        .env(CASE, case)
        .env("DBUS_SESSION_BUS_ADDRESS", bus)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "case {case}:\n{}",
        String::from_utf8_lossy(&text)
    );
}

/// A home of its own, so that no secret of whoever runs the tests is touched.
fn prepared(mut command: Command, folder: &Path) -> Command {
    for name in [
        "HOME",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "XDG_RUNTIME_DIR",
    ] {
        command.env(name, folder);
    }
    command
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("GNOME_KEYRING_CONTROL");
    command
}

/// A process that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Bus {
    address: String,
    _daemon: Running,
}

impl Bus {
    /// A bus that starts no services by itself: a store that it activated would be another one than the test's.
    fn start(folder: &Path) -> Self {
        let config = folder.join("bus.conf");
        let text = format!(
            "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
             \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
             <busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/>\
             <allow own=\"*\"/></policy></busconfig>",
            folder.join("bus").display()
        );
        std::fs::write(&config, text).unwrap();
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("bus.log")).unwrap())
            .spawn()
            .expect("dbus-daemon is installed (Debian's package `dbus`)");
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        let daemon = Running(daemon);
        assert!(!address.trim().is_empty(), "the bus says where it listens");
        Self {
            address: address.trim().to_owned(),
            _daemon: daemon,
        }
    }
}

fn secret_service(folder: &Path, bus: &Bus, arguments: &[&str]) -> Running {
    let password = folder.join("password");
    std::fs::write(&password, "\n").unwrap();
    let output = File::create(folder.join("daemon.log")).unwrap();
    let child = prepared(Command::new("gnome-keyring-daemon"), folder)
        .args(["--foreground", "--components=secrets"])
        .args(arguments)
        .env("DBUS_SESSION_BUS_ADDRESS", &bus.address)
        .stdin(File::open(password).unwrap())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .expect("gnome-keyring-daemon is installed (Debian's package `gnome-keyring`)");
    Running(child)
}
