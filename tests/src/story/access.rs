//! Every address of the window, checked by axe in both themes and both languages.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::first_run::{create_practice, unlock};
use super::join::settled;
use super::{Story, THERAPIST_PASSPHRASE, open};
use crate::desktop::Desktop;
use crate::programs::source;
use crate::report::Report;
use crate::webdriver::{PAGE_LEFT, code_of};

const LOOKS: [(&str, &str); 4] = [("light", "en"), ("dark", "en"), ("light", "ko"), ("dark", "ko")];

/// Every value of a parameter that is not an id; a route with such a parameter is as many screens.
const VALUES: [(&str, &[&str]); 3] = [
    ("view", &["day", "week"]),
    (
        "tab",
        &[
            "overview",
            "details",
            "appointments",
            "notes",
            "prescriptions",
            "people",
        ],
    ),
    ("page", &["practice", "staff", "computers", "appearance", "security"]),
];

/// A screen to look at: its name in pictures and its address.
struct Screen {
    name: String,
    address: String,
}

impl Story {
    /// Walks every route; a violation fails its step and not the ones after it.
    pub(super) fn check_access(&self, report: &mut Report) -> Result<()> {
        let fresh = open("fresh", self.folder.path(), &self.pictures)?;
        fresh.see("screen-welcome")?;
        let walk = |window: &Desktop, phase: &str, report: &mut Report| -> Result<()> {
            let screens = self.screens(phase)?;
            for look in LOOKS {
                let (theme, language) = look;
                let name = format!(
                    "axe finds nothing: {phase}, {theme}, {language}, {} addresses",
                    screens.len()
                );
                // Each look has a row of its own in the report; the walk goes on after a finding.
                report
                    .step(&name, || check_screens(window, &self.axe, look, &screens))
                    .ok();
            }
            Ok(())
        };
        walk(&fresh, "no_practice", report)?;
        // Whatever was looked at last, the first run begins in English on the first screen.
        dress(&fresh, ("light", "en"))?;
        fresh.go("/welcome")?;
        report.step("a practice for the screens of the recovery kit", || {
            create_practice(&fresh)
        })?;
        walk(&fresh, "recovery_pending", report)?;
        walk(&self.therapist, "unlocked", report)?;
        report.step("the window locks", || {
            self.therapist.click("lock")?;
            self.therapist.see("screen-unlock").map(drop)
        })?;
        walk(&self.therapist, "locked", report)?;
        report.step("the window unlocks", || {
            self.therapist.go("/unlock")?;
            unlock(&self.therapist, THERAPIST_PASSPHRASE)
        })
    }

    /// The screens of one world of the window, from the router's own list.
    fn screens(&self, phase: &str) -> Result<Vec<Screen>> {
        let list = fs::read_to_string(source("ui/dist/routes.json")).context("read the router's list")?;
        let routes: Vec<Value> = serde_json::from_str(&list).context("read the router's list")?;
        let mut screens = Vec::new();
        for route in routes.iter().filter(|route| route["phase"] == phase) {
            let path = route["path"].as_str().context("a route has a path")?;
            let example = |name: &str| route["example"][name].as_str().unwrap_or_default();
            screens.extend(self.expand(path, &example).into_iter().map(|address| Screen {
                name: address_name(&address, &self.ids()),
                address,
            }));
        }
        if phase == "unlocked" {
            screens.extend(self.panels());
        }
        if screens.is_empty() {
            bail!("the router has no screen for {phase}");
        }
        Ok(screens)
    }

    /// What opens beside the calendar.
    fn panels(&self) -> [Screen; 2] {
        let day = &self.days[0];
        let appointment = &self.appointments[0];
        [
            Screen {
                name: "calendar-appointment".to_owned(),
                address: format!("/calendar/day?date={day}&appointment={appointment}"),
            },
            Screen {
                name: "calendar-book".to_owned(),
                address: format!("/calendar/day?date={day}&book=1"),
            },
        ]
    }

    /// Checks what a window shows at this moment of the day.
    pub(super) fn check_here(&self, window: &Desktop) -> Result<()> {
        window.run(&format!("{}\n;return true", self.axe), &[])?;
        let found = violations(window)?;
        if found.is_empty() {
            Ok(())
        } else {
            bail!(found.join("\n"))
        }
    }

    fn ids(&self) -> [&str; 4] {
        [&self.first.id, &self.appointments[0], &self.note, &self.prescription]
    }

    /// A path with its parameters filled in: ids by what the route says they are, others by every value they have.
    fn expand<'a>(&self, path: &str, example: &impl Fn(&str) -> &'a str) -> Vec<String> {
        let mut addresses = vec![String::new()];
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let values: Vec<String> = match part.strip_prefix(':') {
                None => vec![part.to_owned()],
                Some(name) => match VALUES.iter().find(|(known, _)| *known == name) {
                    Some((_, values)) => values.iter().map(|&value| value.to_owned()).collect(),
                    None => vec![self.id_of(example(name)).to_owned()],
                },
            };
            addresses = addresses
                .iter()
                .flat_map(|address| values.iter().map(move |value| format!("{address}/{value}")))
                .collect();
        }
        addresses
    }

    fn id_of(&self, kind: &str) -> &str {
        let [client, appointment, note, prescription] = self.ids();
        match kind {
            "client" => client,
            "appointment" => appointment,
            "note" => note,
            _ => prescription,
        }
    }
}

/// A name for pictures: the address without its ids.
fn address_name(address: &str, ids: &[&str]) -> String {
    let parts: Vec<&str> = address
        .split('/')
        .filter(|part| !part.is_empty() && !ids.contains(part))
        .collect();
    parts.join("-")
}

fn check_screens(window: &Desktop, axe: &str, look: (&str, &str), screens: &[Screen]) -> Result<()> {
    dress(window, look)?;
    window.run(&format!("{axe}\n;return true"), &[])?;
    let mut found = Vec::new();
    for screen in screens {
        window.go(&screen.address)?;
        settled(window)?;
        ensure!(
            window.place()? == screen.address,
            "{} leads to {}",
            screen.address,
            window.place()?
        );
        window.picture(&format!("axe-{}-{}-{}", screen.name, look.0, look.1))?;
        for violation in violations(window)? {
            found.push(format!("{}: {violation}", screen.address));
        }
    }
    let refused = window.run("return window.__refusals ?? []", &[])?;
    for refusal in refused.as_array().into_iter().flatten() {
        found.push(format!("the content policy refused {refusal}"));
    }
    if found.is_empty() {
        Ok(())
    } else {
        bail!(found.join("\n"))
    }
}

/// Puts on a theme and a language and loads the page anew, as a start of the program would.
fn dress(window: &Desktop, (theme, language): (&str, &str)) -> Result<()> {
    let script = "const [theme, language, done] = arguments;
        window.__TAURI_INTERNALS__.invoke('set_preferences', { request: { theme, language, density: 'comfortable' } })
            .then(() => done(''), (error) => done(JSON.stringify(error)))";
    let problem = window.run_async(script, &[json!(theme), json!(language)])?;
    if problem != json!("") {
        bail!("the look was refused: {problem}");
    }
    match window.run(
        "window.__old = true; setTimeout(() => window.location.reload(), 0)",
        &[],
    ) {
        // The page may be gone before the driver has heard that the script ran.
        Err(error) if code_of(&error) == Some(PAGE_LEFT) => {}
        ran => drop(ran?),
    }
    window.until("the page to be loaded anew", || {
        let script = "return !window.__old && document.documentElement.dataset.theme === arguments[0]
            && document.querySelector('[data-testid^=screen-]') !== null";
        Ok((window.run(script, &[json!(theme)])? == json!(true)).then_some(()))
    })?;
    let listen = "window.__refusals = [];
        document.addEventListener('securitypolicyviolation', (event) => window.__refusals.push(event.violatedDirective + ' ' + event.blockedURI))";
    window.run(listen, &[]).map(drop)
}

/// What axe finds on the page as it is: rule, how bad, and where.
fn violations(window: &Desktop) -> Result<Vec<String>> {
    let script = "const done = arguments[arguments.length - 1];
        axe.run(document, { resultTypes: ['violations'], iframes: false }).then(
            (result) => done(result.violations.map((each) => `${each.id} (${each.impact}) ${each.nodes.map((node) => node.target.join(' ')).slice(0, 4).join(', ')}`)),
            (error) => done([`axe failed: ${error}`]))";
    let found = window.run_async(script, &[])?;
    serde_json::from_value(found).context("findings are texts")
}
