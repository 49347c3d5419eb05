//! The TypeScript bindings of the window's commands: generated from Rust, committed, and checked to be current.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::processes;
use crate::project::Project;
use crate::ui;

/// The file that the exporter writes.
const FILE: &str = "ui/src/lib/backend/bindings.ts";

/// The exporter is a test of the desktop, so that it is built with everything else.
const EXPORTER: [&str; 6] = ["test", "--workspace", "--lib", "--quiet", "--", "writes_the_bindings"];

/// Writes the bindings anew.
pub(crate) fn write(project: &Project) -> Result<()> {
    ui::install(project)?;
    ui::build_if_missing(project)?;
    export(project)
}

/// Fails if the committed bindings are not what the commands say now; they are then left as they should be.
pub(crate) fn check(project: &Project) -> Result<()> {
    let path = project.path(FILE);
    let committed = fs::read_to_string(&path).with_context(|| format!("read {FILE}"))?;
    export(project)?;
    if fs::read_to_string(&path).with_context(|| format!("read {FILE}"))? != committed {
        bail!("{FILE} was not what the commands of the window say. It is now: commit it");
    }
    Ok(())
}

fn export(project: &Project) -> Result<()> {
    processes::finish(
        "the export of the bindings",
        project
            .cargo(&EXPORTER)
            .env("CASELOAD_WRITE_BINDINGS", project.path(FILE)),
    )
}
