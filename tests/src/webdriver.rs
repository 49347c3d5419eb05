//! Just enough of W3C WebDriver to use a window as a person does: find, click, type, read, take a picture, run a script.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use serde_json::{Value, json};

/// The name under which the protocol hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// No single command takes longer; scripts have the same limit.
const LIMIT: Duration = Duration::from_secs(60);

/// One open session. The program it drives ends with [`Session::close`].
#[derive(Debug)]
pub struct Session {
    agent: ureq::Agent,
    base: String,
}

/// An element on the page as it is now; after a re-render it may be stale.
#[derive(Debug, Clone)]
pub struct Element(String);

/// What a driver answers when it did not do what was asked.
#[derive(Debug)]
pub struct Refusal {
    /// The protocol's short name, such as `stale element reference`.
    pub code: String,
    message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}

impl Session {
    /// Opens a session with the driver at `address` (`http://127.0.0.1:port`).
    ///
    /// # Errors
    /// When the driver does not answer or cannot start the program.
    pub fn open(address: &str, capabilities: &Value) -> Result<Self> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(LIMIT))
            .http_status_as_error(false)
            .build();
        let agent = ureq::Agent::new_with_config(config);
        let request = json!({ "capabilities": { "alwaysMatch": capabilities } });
        let answer = value_of(agent.post(format!("{address}/session")).send_json(&request))?;
        let id = answer["sessionId"].as_str().context("the driver opened no session")?;
        let session = Self {
            base: format!("{address}/session/{id}"),
            agent,
        };
        session.post(
            "timeouts",
            &json!({ "script": 60_000, "pageLoad": 60_000, "implicit": 0 }),
        )?;
        Ok(session)
    }

    /// Ends the session and the program.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn close(self) -> Result<()> {
        value_of(self.agent.delete(&self.base).call()).map(drop)
    }

    /// The element that a CSS selector finds first, if there is one.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn find(&self, selector: &str) -> Result<Option<Element>> {
        match self.post("element", &json!({ "using": "css selector", "value": selector })) {
            Ok(found) => Ok(found[ELEMENT].as_str().map(|id| Element(id.to_owned()))),
            Err(error) if code_of(&error) == Some("no such element") => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Clicks the middle of an element, scrolling it into view first.
    ///
    /// # Errors
    /// With code `element click intercepted`, `element not interactable` or `stale element reference` among others.
    pub fn click(&self, element: &Element) -> Result<()> {
        self.on(element, "click", &json!({}))
    }

    /// Types into an element. The protocol's private-use characters stand for keys.
    ///
    /// # Errors
    /// When the element cannot be typed into.
    pub fn type_keys(&self, element: &Element, text: &str) -> Result<()> {
        self.on(element, "value", &json!({ "text": text }))
    }

    /// Presses and releases keys one after the other, wherever the focus is. `keys` are held together.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn press(&self, keys: &[&str]) -> Result<()> {
        let down = keys.iter().map(|key| json!({ "type": "keyDown", "value": key }));
        let up = keys.iter().rev().map(|key| json!({ "type": "keyUp", "value": key }));
        let actions: Vec<Value> = down.chain(up).collect();
        self.post(
            "actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] }),
        )
        .map(drop)
    }

    /// Presses the first button of the mouse at one point of the window, goes to another in steps, and lets it go there.
    ///
    /// # Errors
    /// When the driver does not answer or a point is outside of the window.
    pub fn drag(&self, from: (f64, f64), to: (f64, f64)) -> Result<()> {
        const STEPS: u32 = 8;
        let go = |share: f64| {
            let at = |start: f64, end: f64| (start + (end - start) * share).round() as i64;
            let (x, y) = (at(from.0, to.0), at(from.1, to.1));
            json!({ "type": "pointerMove", "duration": 20, "origin": "viewport", "x": x, "y": y })
        };
        let mut actions = vec![go(0.0), json!({ "type": "pointerDown", "button": 0 })];
        actions.extend((1..=STEPS).map(|step| go(f64::from(step) / f64::from(STEPS))));
        actions.push(json!({ "type": "pointerUp", "button": 0 }));
        self.post(
            "actions",
            &json!({ "actions": [{
                "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": actions,
            }] }),
        )
        .map(drop)
    }

    /// Runs the body of a function in the page and returns what it returns.
    ///
    /// # Errors
    /// When the script throws.
    pub fn run(&self, body: &str, arguments: &[Value]) -> Result<Value> {
        self.post("execute/sync", &json!({ "script": body, "args": arguments }))
    }

    /// Runs the body of a function whose last argument is the function to call with the answer.
    ///
    /// # Errors
    /// When the script throws or does not answer in time.
    pub fn run_async(&self, body: &str, arguments: &[Value]) -> Result<Value> {
        self.post("execute/async", &json!({ "script": body, "args": arguments }))
    }

    /// A picture of the window as PNG.
    ///
    /// # Errors
    /// When the driver does not answer.
    pub fn screenshot(&self) -> Result<Vec<u8>> {
        let answer = value_of(self.agent.get(format!("{}/screenshot", self.base)).call())?;
        base64::engine::general_purpose::STANDARD
            .decode(answer.as_str().context("a picture is text")?)
            .context("read a picture")
    }

    fn on(&self, element: &Element, action: &str, body: &Value) -> Result<()> {
        self.post(&format!("element/{}/{action}", element.0), body).map(drop)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        value_of(self.agent.post(format!("{}/{path}", self.base)).send_json(body))
    }
}

/// The protocol's code when a page was left before it could answer.
pub const PAGE_LEFT: &str = "no such frame";

/// The protocol's code in an error of this module.
#[must_use]
pub fn code_of(error: &anyhow::Error) -> Option<&str> {
    error.downcast_ref::<Refusal>().map(|refusal| refusal.code.as_str())
}

fn value_of(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value> {
    let mut answer = answer.context("ask the driver")?;
    let body: Value = answer
        .body_mut()
        .with_config()
        .limit(64 << 20)
        .read_json()
        .context("read the driver's answer")?;
    let value = body.get("value").cloned().unwrap_or_default();
    match value.get("error").and_then(Value::as_str) {
        Some(code) if !answer.status().is_success() => Err(Refusal {
            code: code.to_owned(),
            message: value["message"].as_str().unwrap_or_default().to_owned(),
        }
        .into()),
        _ if !answer.status().is_success() => bail!("the driver answered {}", answer.status()),
        _ => Ok(value),
    }
}
