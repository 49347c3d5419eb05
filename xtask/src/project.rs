//! The work tree: where things lie, and cargo as its tests and builds must be called.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::processes;

/// Variables that `cargo run` sets for this program and that a nested cargo must not see: build scripts ask to be run again
/// when they change, and everything above them would be built a second time.
const OUR_OWN: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME"];

/// A clone of the project.
#[derive(Debug)]
pub(crate) struct Project {
    root: PathBuf,
    target: OnceLock<PathBuf>,
}

impl Project {
    /// The clone that this program was built in.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask lies in the root of the project")?;
        Ok(Self::at(root))
    }

    /// A project with this root.
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            target: OnceLock::new(),
        }
    }

    /// A path below the root.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A path below the folder for what is fetched or made once; git ignores it.
    pub(crate) fn cache(&self, relative: &str) -> PathBuf {
        self.root.join(".cache").join(relative)
    }

    /// A program, to be run in the root.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.current_dir(&self.root);
        for (name, _) in env::vars_os() {
            if name
                .to_str()
                .is_some_and(|name| OUR_OWN.iter().any(|prefix| name.starts_with(prefix)))
            {
                command.env_remove(name);
            }
        }
        command
    }

    /// Cargo with these arguments, in the root.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from));
        command.args(arguments);
        if in_ci() {
            command.env("CARGO_INCREMENTAL", "0").env("CARGO_TERM_COLOR", "always");
        }
        command
    }

    /// A program that a dev build of the workspace has made.
    pub(crate) fn built(&self, program: &str) -> Result<PathBuf> {
        if let Some(target) = self.target.get() {
            return Ok(target.join("debug").join(program));
        }
        let metadata = processes::output(
            "cargo metadata",
            &mut self.cargo(&["metadata", "--no-deps", "--format-version", "1"]),
        )?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata).context("read cargo's metadata")?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo's metadata names no target folder")?;
        Ok(self
            .target
            .get_or_init(|| PathBuf::from(target))
            .join("debug")
            .join(program))
    }
}

/// Whether this is a run of continuous integration: nobody watches, and every failure is to be reported.
pub(crate) fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// The program of this name on `PATH`.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn nested_programs_do_not_see_what_cargo_set_for_this_one() {
        let command = Project::find().unwrap().command("cargo");
        let removed: Vec<&str> = command
            .get_envs()
            .filter(|(_, value)| value.is_none())
            .filter_map(|(name, _)| name.to_str())
            .collect();
        assert!(
            removed.contains(&"CARGO_PKG_NAME"),
            "cargo test sets the same variables: {removed:?}"
        );
        assert!(!removed.contains(&"CARGO_TARGET_DIR"), "the person's own settings stay");
    }

    #[test]
    fn shell_is_found_on_path_and_an_unknown_program_is_not() {
        assert!(on_path("sh").is_some());
        assert!(on_path("no-such-program-anywhere").is_none());
    }
}
