//! The first run, offline.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Story, THERAPIST, THERAPIST_PASSPHRASE, ZONE};
use crate::desktop::Desktop;

impl Story {
    pub(super) fn create_practice(&self) -> Result<()> {
        create_practice(&self.therapist)?;
        self.therapist.picture("02-recovery-kit")?;
        type_the_code_back(&self.therapist)?;
        self.therapist.see("screen-today")?;
        self.therapist.picture("03-today-empty")
    }

    pub(super) fn lock_and_unlock(&self) -> Result<()> {
        let window = &self.therapist;
        window.click("lock")?;
        window.see("screen-unlock")?;
        let text = window.whole_text()?;
        ensure!(!text.contains(self.first.family), "the locked window shows a client");
        window.fill("unlock-passphrase", "not the passphrase at all")?;
        window.click("unlock-submit")?;
        window.see("error")?;
        let code = window.attribute("error", "data-code")?;
        ensure!(
            code.as_deref() == Some("wrong_passphrase"),
            "a wrong passphrase was answered by {code:?}"
        );
        window.picture("19-wrong-passphrase")?;
        unlock(window, THERAPIST_PASSPHRASE)
    }
}

/// Fills in the form of the first run and sends it.
pub(super) fn create_practice(window: &Desktop) -> Result<()> {
    window.click("welcome-create")?;
    for (field, text) in [
        ("create-practice-name", "Maple Street Counselling"),
        ("create-location-name", "Maple Street 12"),
        ("create-full-name", THERAPIST),
        ("create-licence", "PSY-20418"),
        ("create-device-name", "Therapy room"),
        ("create-passphrase", THERAPIST_PASSPHRASE),
        ("create-passphrase-again", THERAPIST_PASSPHRASE),
    ] {
        window.fill(field, text)?;
    }
    window.choose("create-zone", ZONE)?;
    window.choose("create-currency", "USD")?;
    window.click("create-practice-submit")?;
    window.see("screen-recovery")?;
    window.see("recovery-groups").map(drop)
}

/// Signs the only person of this computer in.
pub(super) fn unlock(window: &Desktop, passphrase: &str) -> Result<()> {
    window.fill("unlock-passphrase", passphrase)?;
    window.click("unlock-submit")?;
    window.gone("screen-unlock")
}

/// Types two groups of the recovery code back, wrong ones first.
pub(super) fn type_the_code_back(window: &Desktop) -> Result<()> {
    let groups = recovery_groups(window)?;
    window.click("recovery-continue")?;
    let asked = asked_groups(window)?;
    ensure!(asked.len() == 2, "two groups are asked for, not {}", asked.len());
    for index in &asked {
        window.fill(&format!("recovery-type-{index}"), "AAAA-WRONG")?;
    }
    window.click("recovery-confirm")?;
    window.see("error")?;
    let code = window.attribute("error", "data-code")?;
    ensure!(
        code.as_deref() == Some("recovery_mismatch"),
        "wrong groups were answered by {code:?}"
    );
    for index in &asked {
        let group = groups.get(*index).context("only printed groups are asked for")?;
        window.fill(&format!("recovery-type-{index}"), group)?;
    }
    window.click("recovery-confirm")
}

fn recovery_groups(window: &Desktop) -> Result<Vec<String>> {
    let script =
        "return [...document.querySelectorAll('[data-testid^=recovery-group-]')].map((each) => each.innerText.trim())";
    let groups = window.run(script, &[])?;
    let groups: Vec<String> = serde_json::from_value(groups).context("groups are texts")?;
    ensure!(
        groups.len() >= 8 && groups.iter().all(|group| group.len() >= 4),
        "the kit shows every group"
    );
    Ok(groups)
}

fn asked_groups(window: &Desktop) -> Result<Vec<usize>> {
    window.see("recovery-confirm")?;
    let script = "return [...document.querySelectorAll(arguments[0])].map((each) => Number(each.dataset.testid.split('-').pop()))";
    let asked = window.run(script, &[json!("input[data-testid^=recovery-type-]")])?;
    serde_json::from_value(asked).context("positions are numbers")
}
