//! One computer of the practice: a profile folder and the real window on it, used by the names that its controls carry for tests.
//!
//! Every question is asked until it can be answered or a limit is reached, because a window does things in its own time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use caseload_app::App;
use caseload_testkit::ports::free_port;
use serde_json::{Value, json};

use crate::display::Display;
use crate::processes::{Running, wait_for};
use crate::programs::{built, installed};
use crate::webdriver::{Element, PAGE_LEFT, Session, code_of};

/// How long anything may take that the window does by itself. Key derivation in an unoptimised build on a busy machine is slow.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The end of a text that is typed over.
const BACKSPACE: &str = "\u{e003}";

/// A computer with its window open. Window, driver and everything they started end when this is dropped.
#[derive(Debug)]
pub struct Desktop {
    name: String,
    session: Option<Session>,
    driver: Running,
    display: Display,
    folder: PathBuf,
    pictures: PathBuf,
}

/// How a desktop is started.
#[derive(Debug)]
pub struct Setup<'a> {
    /// What it is called in pictures and errors.
    pub name: &'a str,
    /// Its own folder: profile, home and documents are made inside.
    pub folder: &'a Path,
    /// Where pictures go.
    pub pictures: &'a Path,
}

impl Desktop {
    /// Opens the window on a profile.
    ///
    /// # Errors
    /// When driver or window do not start.
    pub fn start(setup: &Setup, environment: &[(&str, &str)]) -> Result<Self> {
        let port = free_port()?;
        let display = Display::start()?;
        let driver = start_driver(setup, port, &display, environment)?;
        let mut desktop = Self {
            name: setup.name.to_owned(),
            session: None,
            driver,
            display,
            folder: setup.folder.to_owned(),
            pictures: setup.pictures.to_owned(),
        };
        let address = format!("http://127.0.0.1:{port}");
        wait_for("an answer of the driver", LIMIT, || {
            desktop.driver.ensure_alive()?;
            Ok(ureq::get(format!("{address}/status")).call().ok().map(drop))
        })?;
        let program = built("caseload-desktop")?;
        let capabilities = json!({ "webkitgtk:browserOptions": { "binary": program, "args": [] } });
        desktop.session = Some(Session::open(&address, &capabilities).context("open the window")?);
        Ok(desktop)
    }

    /// Closes the window.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn close(mut self) -> Result<()> {
        self.session.take().map_or(Ok(()), Session::close)
    }

    /// Closes the window by its cross, and waits until the program has ended by itself.
    ///
    /// # Errors
    /// When it does not end.
    pub fn close_by_the_cross(mut self) -> Result<()> {
        self.display.close_windows()?;
        let profile = self.folder.join("profile");
        wait_for(&format!("{}: the end of the program", self.name), LIMIT, || {
            // The profile is free again once nothing of the program is left.
            Ok(App::open(&profile).ok().map(drop))
        })?;
        // The driver has lost what it drove.
        self.session.take().map(Session::close).transpose().ok();
        Ok(())
    }

    /// Ends the window as a power cut would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn crash(self) -> Result<()> {
        self.driver.kill()
    }

    /// This computer's own folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits until a control is there.
    ///
    /// # Errors
    /// When it does not appear.
    pub fn see(&self, id: &str) -> Result<Element> {
        self.until(&format!("the control {id}"), || self.session()?.find(&selector(id)))
    }

    /// Waits until a control is gone.
    ///
    /// # Errors
    /// When it stays.
    pub fn gone(&self, id: &str) -> Result<()> {
        self.until(&format!("the end of {id}"), || Ok((self.count(id)? == 0).then_some(())))
    }

    /// Whether a control is there now.
    ///
    /// # Errors
    /// When the window does not answer.
    pub fn has(&self, id: &str) -> Result<bool> {
        Ok(self.count(id)? > 0)
    }

    /// How many controls of this name are there now.
    ///
    /// # Errors
    /// When the window does not answer.
    pub fn count(&self, id: &str) -> Result<u64> {
        let script = "return document.querySelectorAll(arguments[0]).length";
        let found = self.session()?.run(script, &[json!(selector(id))])?;
        found.as_u64().context("a count is a number")
    }

    /// Clicks a control once it is there, enabled and not covered.
    ///
    /// # Errors
    /// When that does not happen.
    pub fn click(&self, id: &str) -> Result<()> {
        self.click_selector(&selector(id))
    }

    /// Clicks a control if it is there at this moment; waits for nothing. For a control that another answer may take away.
    ///
    /// # Errors
    /// When the window does not answer.
    pub fn click_if_there(&self, id: &str) -> Result<()> {
        let script = "document.querySelector(arguments[0])?.click()";
        self.session()?.run(script, &[json!(selector(id))]).map(drop)
    }

    /// Clicks what a CSS selector finds first.
    ///
    /// # Errors
    /// As for [`Desktop::click`].
    pub fn click_selector(&self, selector: &str) -> Result<()> {
        let mut obstacle = None;
        let clicked = self.until(&format!("a click on {selector}"), || {
            let script = "const found = document.querySelector(arguments[0]);
                found?.scrollIntoView({ block: 'nearest', behavior: 'instant' });
                return found ? (found.disabled || found.getAttribute('aria-disabled') === 'true' ? 'it is disabled' : '') : 'it is not there'";
            let state = self.session()?.run(script, &[json!(selector)])?;
            obstacle = state.as_str().filter(|state| !state.is_empty()).map(str::to_owned);
            match self.session()?.find(selector)? {
                Some(element) if obstacle.is_none() => {
                    let clicked = self.session()?.click(&element);
                    obstacle = clicked.as_ref().err().map(ToString::to_string);
                    not_yet(clicked)
                }
                _ => Ok(None),
            }
        });
        clicked.with_context(|| format!("{}: {}", self.name, obstacle.unwrap_or_default()))
    }

    /// Types a text into a field, over what it holds.
    ///
    /// # Errors
    /// When the field does not appear or holds something else afterwards.
    pub fn fill(&self, id: &str, text: &str) -> Result<()> {
        self.until(&format!("typing into {id}"), || {
            let session = self.session()?;
            let Some(field) = session.find(&selector(id))? else {
                return Ok(None);
            };
            let script = "const f = document.querySelector(arguments[0]); f.focus(); f.select(); return f.value.length";
            let length = session.run(script, &[json!(selector(id))])?;
            let keys = if text.is_empty() { BACKSPACE } else { text };
            if text.is_empty() && length == json!(0) {
                return Ok(Some(()));
            }
            not_yet(session.type_keys(&field, keys))
        })?;
        self.reads_value(id, text)
    }

    /// Chooses an entry of a list by its value.
    ///
    /// # Errors
    /// When the list or the entry do not appear.
    pub fn choose(&self, id: &str, value: &str) -> Result<()> {
        self.until(&format!("the choice {value} in {id}"), || {
            let script = "const list = document.querySelector(arguments[0]);
                if (!list || ![...list.options].some((option) => option.value === arguments[1])) return false;
                list.focus(); list.value = arguments[1];
                list.dispatchEvent(new Event('input', { bubbles: true }));
                list.dispatchEvent(new Event('change', { bubbles: true }));
                return true";
            let chosen = self.session()?.run(script, &[json!(selector(id)), json!(value)])?;
            Ok((chosen == json!(true)).then_some(()))
        })
    }

    /// Presses keys together, wherever the focus is.
    ///
    /// # Errors
    /// When the window does not answer.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        self.session()?.press(keys)
    }

    /// Drags with the mouse from one point of the window to another.
    ///
    /// # Errors
    /// When the window does not answer or a point is outside of it.
    pub fn drag(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        self.session()?.drag(from, to)
    }

    /// What a control shows, as a person reads it.
    ///
    /// # Errors
    /// When the control does not appear.
    pub fn text(&self, id: &str) -> Result<String> {
        self.read(id, "innerText")
    }

    /// What a field holds.
    ///
    /// # Errors
    /// When the field does not appear.
    pub fn value(&self, id: &str) -> Result<String> {
        self.read(id, "value")
    }

    /// What a field holds, with the blanks at its ends.
    ///
    /// # Errors
    /// When the field does not appear.
    pub fn value_untrimmed(&self, id: &str) -> Result<String> {
        self.see(id)?;
        let held = self.session()?.run(
            "return document.querySelector(arguments[0]).value",
            &[json!(selector(id))],
        )?;
        held.as_str().map(str::to_owned).context("a field holds a text")
    }

    /// Waits until a field holds a text.
    ///
    /// # Errors
    /// When it does not come to hold it; the error shows what it holds.
    pub fn reads_value(&self, id: &str, wanted: &str) -> Result<()> {
        let mut held = String::new();
        self.until(&format!("{wanted:?} in {id}"), || {
            held = self.value(id)?;
            Ok((held == wanted).then_some(()))
        })
        .with_context(|| format!("{}: {id} holds {held:?}", self.name))
    }

    /// What all controls of this name show.
    ///
    /// # Errors
    /// When the window does not answer.
    pub fn texts(&self, id: &str) -> Result<Vec<String>> {
        let script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.innerText.trim())";
        let found = self.session()?.run(script, &[json!(selector(id))])?;
        Ok(found
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect())
    }

    /// Everything that the window shows.
    ///
    /// # Errors
    /// When the window does not answer.
    pub fn whole_text(&self) -> Result<String> {
        let text = self.session()?.run("return document.body.innerText", &[])?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// An attribute of a control.
    ///
    /// # Errors
    /// When the control does not appear.
    pub fn attribute(&self, id: &str, name: &str) -> Result<Option<String>> {
        self.see(id)?;
        let script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1]) ?? null";
        let found = self.session()?.run(script, &[json!(selector(id)), json!(name)])?;
        Ok(found.as_str().map(str::to_owned))
    }

    /// Waits until what a control shows is as wanted.
    ///
    /// # Errors
    /// When it does not become so; the error shows what it was.
    pub fn reads(&self, id: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let mut last = String::new();
        self.until(&format!("the awaited text of {id}"), || {
            last = self.texts(id)?.join("\n");
            Ok(wanted(&last).then_some(()))
        })
        .with_context(|| format!("{}: {id} shows {last:?}", self.name))?;
        Ok(last)
    }

    /// Goes to an address of the window.
    ///
    /// # Errors
    /// When the window does not answer.
    pub fn go(&self, address: &str) -> Result<()> {
        self.session()?
            .run("window.location.hash = arguments[0]", &[json!(address)])
            .map(drop)
    }

    /// The address where the window is.
    ///
    /// # Errors
    /// When the window does not answer.
    pub fn place(&self) -> Result<String> {
        let place = self.session()?.run("return window.location.hash", &[])?;
        Ok(place.as_str().unwrap_or_default().trim_start_matches('#').to_owned())
    }

    /// Runs the body of a function in the page.
    ///
    /// # Errors
    /// When it throws.
    pub fn run(&self, body: &str, arguments: &[Value]) -> Result<Value> {
        self.session()?.run(body, arguments)
    }

    /// Runs the body of a function whose last argument takes the answer.
    ///
    /// # Errors
    /// When it throws or does not answer.
    pub fn run_async(&self, body: &str, arguments: &[Value]) -> Result<Value> {
        self.session()?.run_async(body, arguments)
    }

    /// Saves a picture of the window, once its fonts are there and it has been painted.
    ///
    /// # Errors
    /// When the picture cannot be taken or written.
    pub fn picture(&self, name: &str) -> Result<()> {
        let painted = "const done = arguments[arguments.length - 1];
            document.fonts.ready.then(() => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
        self.session()?.run_async(painted, &[])?;
        let path = self.pictures.join(format!("{name}-{}.png", self.name));
        fs::write(&path, self.session()?.screenshot()?).with_context(|| format!("write {}", path.display()))
    }

    /// Asks the window until it answers. A page that is being left has no answer yet.
    ///
    /// # Errors
    /// The question's own, or that the time is over.
    pub fn until<T>(&self, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
        wait_for(&format!("{}: {what}", self.name), LIMIT, || match ask() {
            Err(error) if code_of(&error) == Some(PAGE_LEFT) => Ok(None),
            answer => answer,
        })
    }

    fn read(&self, id: &str, property: &str) -> Result<String> {
        self.see(id)?;
        let script = "return document.querySelector(arguments[0])?.[arguments[1]] ?? null";
        let found = self.session()?.run(script, &[json!(selector(id)), json!(property)])?;
        match found.as_str() {
            Some(text) => Ok(text.trim().to_owned()),
            None => bail!("{}: {id} went away while it was read", self.name),
        }
    }

    fn session(&self) -> Result<&Session> {
        self.session.as_ref().context("the window is open")
    }
}

/// The selector of a control by the name that it carries for tests.
fn selector(id: &str) -> String {
    format!("[data-testid=\"{id}\"]")
}

/// What only says that the window is not that far yet is asked again.
fn not_yet(done: Result<()>) -> Result<Option<()>> {
    const PASSING: [&str; 4] = [
        "element click intercepted",
        "element not interactable",
        "no such element",
        "stale element reference",
    ];
    match done {
        Ok(()) => Ok(Some(())),
        Err(error) if code_of(&error).is_some_and(|code| PASSING.contains(&code)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Starts a driver whose children see only this computer's folders.
fn start_driver(setup: &Setup, port: u16, display: &Display, environment: &[(&str, &str)]) -> Result<Running> {
    let folder = |name: &str| -> Result<PathBuf> {
        let path = setup.folder.join(name);
        fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(path)
    };
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder("")?.join("window.log"))
        .context("open the window's log")?;
    let mut command = Command::new(installed("WebKitWebDriver")?);
    display.tell(&mut command);
    command
        .arg(format!("--port={port}"))
        .env("TAURI_WEBVIEW_AUTOMATION", "true")
        .env("CASELOAD_PROFILE", setup.folder.join("profile"))
        .env("HOME", folder("home")?)
        .env("XDG_DATA_HOME", folder("home/data")?)
        .env("XDG_CONFIG_HOME", folder("home/config")?)
        .env("XDG_CACHE_HOME", folder("home/cache")?)
        .env("XDG_DOCUMENTS_DIR", folder("home/Documents")?)
        // No accessibility bus and no settings daemon: the window must do without, and their absence costs seconds.
        .env("NO_AT_BRIDGE", "1")
        .env("GSETTINGS_BACKEND", "memory")
        // With the other renderer WebKit answers no request for a picture.
        .env_remove("WEBKIT_DISABLE_DMABUF_RENDERER")
        .envs(environment.iter().copied())
        .stdout(log.try_clone().context("share the log")?)
        .stderr(Stdio::from(log));
    Running::start("the window's driver", &mut command)
}
