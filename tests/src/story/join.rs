//! The service comes up, the practice is published, a front desk joins and sees what it may.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::first_run::type_the_code_back;
use super::{DESK, DESK_PASSPHRASE, MEDICINE_MARKER, NOTE_MARKER, Story, open};
use crate::desktop::Desktop;

impl Story {
    pub(super) fn publish(&mut self) -> Result<()> {
        self.service.start()?;
        let window = &self.therapist;
        window.go("/sync")?;
        window.fill("publish-address", &self.service.address())?;
        window.fill("publish-setup-code", &self.service.setup_code()?)?;
        window.picture("12-publish")?;
        window.click("publish-submit")?;
        window.see("share-now")?;
        everything_shared(window)?;
        window.picture("13-published")
    }

    pub(super) fn join(&mut self) -> Result<()> {
        let code = invite(&self.therapist, "front_desk", DESK)?;
        self.therapist.picture("14-enrolment")?;
        let desk = open("desk", self.folder.path(), &self.pictures)?;
        join_with(&desk, &code, DESK, "Front desk", DESK_PASSPHRASE)?;
        everything_shared(&desk)?;
        self.desk = Some(desk);
        Ok(())
    }

    pub(super) fn desk_sees_the_office(&self) -> Result<()> {
        let desk = self.desk()?;
        desk.go("/clients")?;
        desk.reads("client-row", |rows| {
            rows.contains(self.first.family) && rows.contains(self.second.family)
        })?;
        desk.picture("15-desk-clients")?;
        for (day, wanted) in [(&self.days[0], 1), (&self.days[1], 2)] {
            desk.go(&format!("/calendar/day?date={day}"))?;
            desk.until(&format!("the appointments of {day}"), || {
                Ok((desk.place()?.contains(day.as_str()) && desk.count("event")? == wanted).then_some(()))
            })?;
        }
        desk.picture("15-desk-calendar")
    }

    pub(super) fn desk_finds_nothing_clinical(&self) -> Result<()> {
        let desk = self.desk()?;
        ensure!(!desk.has("nav-notes")?, "the desk has no way to notes");
        let client = &self.first.id;
        let places = [
            "/notes".to_owned(),
            format!("/notes/{}", self.note),
            format!("/prescriptions/{}", self.prescription),
            format!("/clients/{client}/overview"),
            format!("/clients/{client}/notes"),
            format!("/clients/{client}/prescriptions"),
            format!("/clients/{client}/appointments"),
            "/today".to_owned(),
            "/sync".to_owned(),
        ];
        for place in &places {
            desk.go(place)?;
            settled(desk)?;
            let text = desk.whole_text()?;
            for marker in [NOTE_MARKER, MEDICINE_MARKER] {
                ensure!(!text.contains(marker), "{place} shows the desk a clinical word");
            }
            for control in [
                "tab-notes",
                "tab-prescriptions",
                "signed-note",
                "note-editor",
                "issued-prescription",
            ] {
                ensure!(!desk.has(control)?, "{place} offers the desk {control}");
            }
        }
        desk.go(&format!("/clients/{client}/overview"))?;
        desk.see("client-header")?;
        desk.picture("16-desk-record")?;
        let hits = files_with(desk.folder(), &[NOTE_MARKER, MEDICINE_MARKER])?;
        ensure!(hits.is_empty(), "clinical words in the desk's files: {hits:?}");
        Ok(())
    }
}

/// Makes a code for somebody new in the settings.
pub(super) fn invite(window: &Desktop, role: &str, name: &str) -> Result<String> {
    window.go("/settings/computers")?;
    window.choose("enrol-kind", "person")?;
    window.choose("enrol-role", role)?;
    window.fill("enrol-full-name", name)?;
    window.click("enrol-mint")?;
    window.see("enrolment-code")?;
    let code = window.value("enrolment-code")?;
    ensure!(!code.is_empty(), "the window shows a code");
    Ok(code)
}

/// Joins with a code on a fresh computer, and keeps the recovery code that comes with it.
pub(super) fn join_with(window: &Desktop, code: &str, name: &str, computer: &str, passphrase: &str) -> Result<()> {
    window.click("welcome-join")?;
    for (field, text) in [
        ("join-code", code),
        ("join-full-name", name),
        ("join-device-name", computer),
        ("join-passphrase", passphrase),
        ("join-passphrase-again", passphrase),
    ] {
        window.fill(field, text)?;
    }
    window.click("join-submit")?;
    window.see("screen-recovery")?;
    window.picture("14-recovery-kit")?;
    type_the_code_back(window)?;
    window.see("screen-today").map(drop)
}

/// Waits until nothing waits to be shared.
pub(super) fn everything_shared(window: &Desktop) -> Result<()> {
    window.until("everything to be shared", || {
        let state = window.attribute("sync-chip", "data-state")?;
        let waiting = window.attribute("sync-chip", "data-waiting")?;
        Ok((state.as_deref() == Some("up_to_date") && waiting.as_deref() == Some("0")).then_some(()))
    })
}

/// Waits until a screen has loaded what it shows.
pub(super) fn settled(window: &Desktop) -> Result<()> {
    let painted = "const done = arguments[arguments.length - 1];
        requestAnimationFrame(() => requestAnimationFrame(() => done(true)))";
    window.until("a screen that has loaded", || {
        window.run_async(painted, &[])?;
        let script = "return document.querySelector('[data-testid^=screen-]') !== null
            && document.querySelector('[data-testid=loading], [aria-busy=true]') === null";
        Ok((window.run(script, &[])? == serde_json::json!(true)).then_some(()))
    })
}

/// The files below a folder that hold one of these words.
fn files_with(folder: &Path, words: &[&str]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry.context("list a folder")?.path();
        if path.is_dir() {
            found.extend(files_with(&path, words)?);
        } else if path.is_file() {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let holds = |word: &&str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
            if words.iter().any(holds) {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(found)
}
