//! A practice of real programs: a therapist's computer, a desk's, their service, and what an operator does with it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use caseload_tests::computer::{Computer, text_at};
use caseload_tests::programs::built;
use caseload_tests::service::Service;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const OWNER: &str = "Therapist";
pub(crate) const PASSPHRASE: &str = "harbour lantern velvet quill";

/// A therapist who owns the practice, a front desk, and their service.
pub(crate) struct Clinic {
    pub(crate) folder: TempDir,
    pub(crate) service: Service,
    pub(crate) therapist: Computer,
    pub(crate) desk: Computer,
}

impl Clinic {
    pub(crate) fn publish() -> Result<Self> {
        Self::publish_on(None, |_| Ok(()))
    }

    /// With a service on MongoDB, or after `beforehand` was done on the therapist's computer.
    pub(crate) fn publish_on(mongodb: Option<&str>, beforehand: impl FnOnce(&Computer) -> Result<()>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut service = Service::new(&folder.path().join("service"), mongodb)?.for_demonstration();
        service.start()?;
        let therapist = Computer::new(folder.path(), "therapist", PASSPHRASE)?;
        let desk = Computer::new(folder.path(), "desk", "copper window winter nine")?;
        therapist.run(&[
            "create",
            "--practice",
            "Practice",
            "--zone",
            "Europe/Berlin",
            "--name",
            OWNER,
        ])?;
        beforehand(&therapist)?;
        let code = service.setup_code()?;
        therapist.run(&[
            "--user",
            OWNER,
            "publish",
            "--address",
            &service.address(),
            "--setup-code",
            &code,
        ])?;
        let clinic = Self {
            folder,
            service,
            therapist,
            desk,
        };
        clinic.enrol(&clinic.desk, "front-desk", "Desk")?;
        Ok(clinic)
    }

    /// Lets a person join on a computer of their own.
    pub(crate) fn enrol(&self, computer: &Computer, role: &str, name: &str) -> Result<()> {
        share_as(&self.therapist, OWNER)?;
        let enrolment = self
            .therapist
            .run(&["--user", OWNER, "enrol", "--role", role, "--name", name])?;
        let line = text_at(&enrolment, "/code")?;
        computer.run(&["join", &line, "--name", name, "--device", name])?;
        share(computer)?;
        share_as(&self.therapist, OWNER)
    }

    pub(crate) fn operate(&self, arguments: &[&str]) -> Result<()> {
        operate(arguments, self.service.folder(), &self.folder.path().join("config"))
    }

    pub(crate) fn everybody_is_equal(&self) -> Result<()> {
        for computer in [&self.therapist, &self.desk] {
            share(computer)?;
        }
        for computer in [&self.therapist, &self.desk] {
            share(computer)?;
            is_equal(computer)?;
        }
        Ok(())
    }
}

pub(crate) fn add_client(computer: &Computer, family: &str) -> Result<String> {
    let answer = computer.run(&["clients", "add", "--family", family, "--given", "Ada", "--force"])?;
    text_at(&answer, "/client/id")
}

pub(crate) fn set_phone(computer: &Computer, client: &str, phone: &str) -> Result<()> {
    computer.run(&["clients", "set", client, "--phone", phone]).map(drop)
}

pub(crate) fn has_phone(computer: &Computer, client: &str, phone: &str) -> Result<()> {
    let shown = computer.run(&["clients", "show", client])?;
    ensure!(shown.to_string().contains(phone), "{phone} is not in {shown}");
    Ok(())
}

/// Everything goes and comes; nothing is refused and nothing waits.
pub(crate) fn share(computer: &Computer) -> Result<()> {
    went_well(&computer.run(&["sync"])?)
}

/// The same on a computer that several people use.
pub(crate) fn share_as(computer: &Computer, person: &str) -> Result<()> {
    went_well(&computer.run(&["--user", person, "sync"])?)
}

pub(crate) fn went_well(overview: &Value) -> Result<()> {
    ensure!(
        overview["state"] == "up_to_date" && overview["waiting"] == 0,
        "{overview}"
    );
    ensure!(overview["refused"] == serde_json::json!([]), "{overview}");
    Ok(())
}

pub(crate) fn is_equal(computer: &Computer) -> Result<()> {
    is_equal_for(computer, &[])
}

pub(crate) fn is_equal_for(computer: &Computer, person: &[&str]) -> Result<()> {
    let checksum = computer.run(&[person, &["checksum"]].concat())?;
    for scope in checksum["scopes"].as_array().context("a list")? {
        ensure!(
            text_at(scope, "/here")? == text_at(scope, "/service")?,
            "the two ends differ: {scope}"
        );
        ensure!(scope["repaired"] == 0, "something had to be repaired: {scope}");
    }
    Ok(())
}

pub(crate) fn reviews(computer: &Computer) -> Result<usize> {
    let list = computer.run(&["reoffers", "list"])?;
    Ok(list.as_array().context("a list")?.len())
}

pub(crate) fn operate(arguments: &[&str], data: &Path, config: &Path) -> Result<()> {
    let output = Command::new(built("caseload")?)
        .arg(arguments[0])
        .arg("--data")
        .arg(data)
        .args(&arguments[1..])
        .arg("--demo")
        .env("XDG_CONFIG_HOME", config)
        .env_remove("CASELOAD_MONGODB_URI")
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments:?}: {said}");
    Ok(())
}

pub(crate) fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
