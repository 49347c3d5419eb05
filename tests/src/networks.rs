//! Two machines of a clinic on this one: two networks of their own, joined by a cable, made without any right that an ordinary user lacks.
//!
//! A user namespace gives its maker the rights of root over networks made inside it. Neither network has a way to the machine's own or to the
//! world.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::processes::Running;
use crate::programs::installed;

/// Two networks. They end, with everything that runs in them, when this is dropped.
#[derive(Debug)]
pub struct Networks {
    machines: [Machine; 2],
}

/// A network of one machine, which lives as long as its holder.
#[derive(Debug)]
pub struct Machine {
    holder: u32,
    address: &'static str,
    _process: Running,
}

/// The addresses of the two ends of the cable, private ones that exist in these networks alone.
const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

/// The name of the cable's end at each machine.
const CABLE: &str = "cable";

impl Networks {
    /// Makes both networks and joins them.
    ///
    /// # Errors
    /// When a program is missing, and when the kernel lets this user make no user namespaces; the text says how to allow it.
    pub fn joined() -> Result<Self> {
        let mut first = Command::new(installed("unshare")?);
        first.args(["--user", "--map-root-user", "--net"]);
        let first = Machine::hold(first, ADDRESSES[0]).context(
            "this kernel lets this user make no network of their own: user namespaces have to be allowed \
             (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)",
        )?;
        let mut second = first.enter("unshare")?;
        second.arg("--net");
        let second = Machine::hold(second, ADDRESSES[1]).context("make the second network")?;
        let peer = second.holder.to_string();
        first.ip(&[
            "link", "add", CABLE, "type", "veth", "peer", "name", CABLE, "netns", &peer,
        ])?;
        let machines = [first, second];
        for machine in &machines {
            machine.ip(&["link", "set", "lo", "up"])?;
            machine.ip(&["address", "add", &format!("{}/24", machine.address), "dev", CABLE])?;
            machine.plug_in()?;
        }
        Ok(Self { machines })
    }

    /// The two machines.
    #[must_use]
    pub const fn machines(&self) -> [&Machine; 2] {
        [&self.machines[0], &self.machines[1]]
    }
}

impl Machine {
    /// Runs a shell in a new network, which keeps it open.
    fn hold(mut command: Command, address: &'static str) -> Result<Self> {
        command
            .args(["sh", "-c", "echo here; exec tail -f /dev/null"])
            .stdout(Stdio::piped());
        let mut process = Running::start("a network", &mut command)?;
        let mut ready = [0; 5];
        let output = process.child().stdout.as_mut().context("read from a network")?;
        if output.read_exact(&mut ready).is_err() {
            bail!("no network was made");
        }
        // Nothing on the way forks, so that the started process is the one inside.
        let holder = process.child().id();
        Ok(Self {
            holder,
            address,
            _process: process,
        })
    }

    /// Its address.
    #[must_use]
    pub const fn address(&self) -> &'static str {
        self.address
    }

    /// A program that runs in this network.
    ///
    /// # Errors
    /// When `nsenter` is not installed.
    pub fn enter(&self, program: impl Into<OsString>) -> Result<Command> {
        let mut command = Command::new(installed("nsenter")?);
        command
            .args(["--user", "--net", "--preserve-credentials", "--target"])
            .arg(self.holder.to_string())
            .arg("--")
            .arg(program.into());
        Ok(command)
    }

    /// A prepared command, in this network.
    ///
    /// # Errors
    /// When `nsenter` is not installed.
    pub fn inside(&self, command: &Command) -> Result<Command> {
        let mut entered = self.enter(command.get_program())?;
        entered.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entered.env(name, value),
                None => entered.env_remove(name),
            };
        }
        Ok(entered)
    }

    /// Pulls the cable out.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn pull_out(&self) -> Result<()> {
        self.ip(&["link", "set", CABLE, "down"])
    }

    /// Plugs the cable in.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn plug_in(&self) -> Result<()> {
        self.ip(&["link", "set", CABLE, "up"])
    }

    fn ip(&self, arguments: &[&str]) -> Result<()> {
        // Debian keeps it where an ordinary user's PATH does not look.
        let places = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];
        let program = places.iter().find(|place| std::path::Path::new(place).is_file());
        let program = program.context("ip is not installed; it is in Debian's package iproute2")?;
        let output = self.enter(program)?.args(arguments).output().context("run ip")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip {}: {said}", arguments.join(" "));
        Ok(())
    }
}
