//! The user interface's own tools: Node, npm and the scripts of `ui/package.json`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::processes;
use crate::project::{Project, on_path};
use crate::terminal::say;

/// Checks Node and installs the packages of the lock file, if they changed since the last time.
///
/// # Errors
/// When Node is missing or too old, and when npm fails.
pub(crate) fn install(project: &Project) -> Result<()> {
    let node = node_version(project)?;
    let lock = fs::read_to_string(project.path("ui/package-lock.json")).context("read ui/package-lock.json")?;
    let stamp = project.cache("npm-ci.stamp");
    let wanted = format!("node {node}\n{lock}");
    if project.path("ui/node_modules").is_dir() && fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted)
    {
        say(format!(
            "Node {node}; the packages of ui/package-lock.json are installed"
        ));
        return Ok(());
    }
    say(format!("Node {node}; installing the packages of ui/package-lock.json"));
    if stamp.exists() {
        // An interrupted installation must not look like the one before it.
        fs::remove_file(&stamp).with_context(|| format!("remove {}", stamp.display()))?;
    }
    npm(project, &["ci", "--no-audit", "--no-fund"])?;
    write_below(&stamp, &wanted)
}

/// Builds the bundle that the window carries, into `ui/dist`.
pub(crate) fn build(project: &Project) -> Result<()> {
    script(project, "build")
}

/// Builds the bundle if there is none: the desktop cannot be compiled without it.
pub(crate) fn build_if_missing(project: &Project) -> Result<()> {
    if project.path("ui/dist/index.html").is_file() {
        Ok(())
    } else {
        build(project)
    }
}

/// Runs a script of `ui/package.json`.
pub(crate) fn script(project: &Project, name: &str) -> Result<()> {
    processes::finish(&format!("npm run {name}"), &mut script_command(project, name))
}

/// The command that runs a script of `ui/package.json`.
pub(crate) fn script_command(project: &Project, name: &str) -> Command {
    npm_command(project, &["run", "--silent", name])
}

/// Whether `ui/package.json` has this script.
pub(crate) fn has_script(project: &Project, name: &str) -> Result<bool> {
    let package = fs::read_to_string(project.path("ui/package.json")).context("read ui/package.json")?;
    let package: serde_json::Value = serde_json::from_str(&package).context("parse ui/package.json")?;
    Ok(package["scripts"][name].is_string())
}

fn npm(project: &Project, arguments: &[&str]) -> Result<()> {
    processes::finish(
        &format!("npm {}", arguments.join(" ")),
        &mut npm_command(project, arguments),
    )
}

fn npm_command(project: &Project, arguments: &[&str]) -> Command {
    let mut command = project.command("npm");
    // The browser tests use Debian's Chromium; no tool may fetch a browser of its own.
    command
        .current_dir(project.path("ui"))
        .args(arguments)
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1");
    command
}

fn node_version(project: &Project) -> Result<Version> {
    if on_path("node").is_none() || on_path("npm").is_none() {
        bail!("Node and npm are needed: version 20.19 or newer of the 20 line, or 22.12 or newer");
    }
    let printed = processes::output("node --version", project.command("node").arg("--version"))?;
    let version = Version::parse(&printed).with_context(|| format!("node --version says {printed:?}"))?;
    if !version.serves() {
        bail!("Node {version} is too old: 20.19 or newer of the 20 line, or 22.12 or newer, is needed");
    }
    Ok(version)
}

/// A version of Node. The lines 21 and early 22 are excluded by Vite, not by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    fn parse(printed: &str) -> Option<Self> {
        let mut parts = printed
            .trim()
            .strip_prefix('v')?
            .split(['.', '-', '+'])
            .map(str::parse::<u32>);
        Some(Self {
            major: parts.next()?.ok()?,
            minor: parts.next()?.ok()?,
            patch: parts.next()?.ok()?,
        })
    }

    fn serves(self) -> bool {
        match self.major {
            20 => self.minor >= 19,
            22 => self.minor >= 12,
            major => major > 22,
        }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

fn write_below(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn node_versions_are_read_as_printed() {
        assert_eq!(
            Version::parse("v20.19.2\n"),
            Some(Version {
                major: 20,
                minor: 19,
                patch: 2
            })
        );
        assert_eq!(
            Version::parse("v23.0.0-nightly2024"),
            Some(Version {
                major: 23,
                minor: 0,
                patch: 0
            })
        );
        assert_eq!(Version::parse("20.19"), None);
        assert_eq!(Version::parse("command not found"), None);
    }

    #[test]
    fn node_must_be_one_that_vite_supports() {
        let cases = [
            ("v18.20.8", false),
            ("v20.18.3", false),
            ("v20.19.0", true),
            ("v21.7.3", false),
            ("v22.11.0", false),
            ("v22.12.0", true),
            ("v24.0.1", true),
        ];
        for (printed, expected) in cases {
            assert_eq!(Version::parse(printed).unwrap().serves(), expected, "{printed}");
        }
    }
}
