//! Where the programs of the build lie.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A program of this build. Tests and programs of this package lie beside it or one folder below.
///
/// # Errors
/// When the program has not been built.
pub fn built(name: &str) -> Result<PathBuf> {
    let own = env::current_exe().context("find this program")?;
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    match found {
        Some(program) => Ok(program),
        None => bail!("{name} is not built: `cargo build --workspace --bins` builds it"),
    }
}

/// A program of the system.
///
/// # Errors
/// When it is not installed.
pub fn installed(name: &str) -> Result<PathBuf> {
    env::var_os("PATH")
        .iter()
        .flat_map(env::split_paths)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is not installed; `cargo xtask run` installs what is missing"))
}

/// A path in the project's source tree.
#[must_use]
pub fn source(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(relative)
}
