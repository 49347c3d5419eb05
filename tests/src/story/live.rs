//! Both desktops are online: what one does appears on the other's screen by itself.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::Story;
use super::join::everything_shared;

/// What the desk types for the second client's phone number, one after the other.
const NUMBERS: [&str; 5] = [
    "+1 212 555 0110",
    "+1 212 555 0111",
    "+1 212 555 0112",
    "+1 212 555 0113",
    "+1 212 555 0114",
];

/// Notes the time at which a text has been painted.
const WATCH: &str = "const wanted = arguments[0];
    window.appeared = null;
    const look = () => {
        const shown = document.querySelector('[data-testid=overview-phone]');
        if (shown === null || !shown.textContent.includes(wanted)) return;
        watcher.disconnect();
        requestAnimationFrame(() => { window.appeared = Date.now(); });
    };
    const watcher = new MutationObserver(look);
    watcher.observe(document.body, { subtree: true, childList: true, characterData: true });
    look();";

/// Notes the time of the next click.
const NOTE_THE_CLICK: &str = "window.clicked = null;
    document.addEventListener('click', () => { window.clicked = Date.now(); }, { capture: true, once: true });";

impl Story {
    /// Gives the times from the click on the desk's screen to the text on the therapist's, sorted. Both clocks are the same machine's.
    pub(super) fn seen_by_itself(&self) -> Result<Vec<Duration>> {
        let (therapist, desk) = (&self.therapist, self.desk()?);
        therapist.go(&format!("/clients/{}/overview", self.second.id))?;
        therapist.see("overview-phone")?;
        let mut delays = Vec::new();
        for number in NUMBERS {
            therapist.run(WATCH, &[json!(number)])?;
            desk.go(&format!("/clients/{}/details", self.second.id))?;
            desk.fill("client-phone", number)?;
            desk.run(NOTE_THE_CLICK, &[])?;
            desk.click("client-save")?;
            let appeared = therapist.until(&format!("{number}, which the desk has typed"), || {
                Ok(therapist.run("return window.appeared", &[])?.as_i64())
            })?;
            let clicked = desk.run("return window.clicked", &[])?;
            let clicked = clicked.as_i64().context("the click was noted")?;
            let delay = u64::try_from(appeared - clicked).context("it is seen after it was done")?;
            delays.push(Duration::from_millis(delay));
            everything_shared(desk)?;
        }
        delays.sort_unstable();
        Ok(delays)
    }
}
