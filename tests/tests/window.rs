//! What the window can do besides what it is there for: nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

use caseload_tests::desktop::{Desktop, Setup};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A window on a fresh profile, in a folder that goes with it.
fn window(environment: &[(&str, &str)]) -> (Desktop, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let setup = Setup {
        name: "window",
        folder: folder.path(),
        pictures: folder.path(),
    };
    let window = Desktop::start(&setup, environment).unwrap();
    window.see("screen-welcome").unwrap();
    (window, folder)
}

/// How a call of the page ended: `answered`, `refused`, or `silent` when nothing came back in a second.
fn call(window: &Desktop, command: &str, arguments: Value) -> String {
    let script = "const [command, payload, done] = arguments;
        setTimeout(() => done('silent'), 1000);
        window.__TAURI_INTERNALS__.invoke(command, payload).then(() => done('answered'), () => done('refused'))";
    let ended = window.run_async(script, &[json!(command), arguments]).unwrap();
    ended.as_str().unwrap().to_owned()
}

#[test]
fn the_page_calls_the_commands_of_the_app_and_nothing_else() {
    let (window, _folder) = window(&[]);
    assert_eq!(call(&window, "status", json!({})), "answered");
    for (command, arguments) in [
        ("no_such_command", json!({})),
        (
            "plugin:webview|create_webview_window",
            json!({ "options": { "label": "x", "url": "https://example.org" } }),
        ),
        ("plugin:window|close", json!({ "label": "main" })),
        ("plugin:event|emit", json!({ "event": "locked" })),
        ("plugin:path|resolve_directory", json!({ "directory": 1 })),
        ("plugin:app|version", json!({})),
    ] {
        assert_ne!(call(&window, command, arguments), "answered", "{command}");
    }
    let globals = window
        .run(
            "return [typeof window.__TAURI__, Object.isFrozen(Object.prototype)]",
            &[],
        )
        .unwrap();
    assert_eq!(globals, json!(["undefined", true]));
}

#[test]
fn the_content_policy_refuses_foreign_and_inline_content() {
    let (window, _folder) = window(&[]);
    let script = "const done = arguments[arguments.length - 1];
        const refused = new Set();
        document.addEventListener('securitypolicyviolation', (event) => {
            refused.add(event.effectiveDirective);
            if (refused.size === 4) done([...refused].sort());
        });
        setTimeout(() => done([...refused].sort()), 3000);
        const add = (tag, change) => document.body.append(Object.assign(document.createElement(tag), change));
        add('script', { textContent: 'window.__ran = true' });
        add('style', { textContent: 'body { color: red }' });
        add('img', { src: 'http://127.0.0.1:9/x.png' });
        fetch('http://127.0.0.1:9/').catch(() => {})";
    let refused = window.run_async(script, &[]).unwrap();
    assert_eq!(
        refused,
        json!(["connect-src", "img-src", "script-src-elem", "style-src-elem"])
    );
    assert_eq!(
        window.run("return window.__ran === undefined", &[]).unwrap(),
        json!(true)
    );
}

#[test]
fn links_lead_nowhere_outside_the_program() {
    let (window, _folder) = window(&[]);
    for address in ["https://example.org/", "file:///etc/hostname", "data:text/html,gone"] {
        window
            .run("window.location.href = arguments[0]", &[json!(address)])
            .unwrap();
        window.run("window.open(arguments[0])", &[json!(address)]).unwrap();
    }
    window.click("welcome-create").unwrap();
    window.see("screen-create").unwrap();
    let origin = window.run("return window.location.origin", &[]).unwrap();
    assert_eq!(origin, json!("tauri://localhost"));
}

#[test]
fn a_profile_that_another_window_has_is_opened_once_that_one_is_closed() {
    let (first, folder) = window(&[]);
    let profile = folder.path().join("profile");
    let other = tempfile::tempdir().unwrap();
    let setup = Setup {
        name: "second",
        folder: other.path(),
        pictures: other.path(),
    };
    let second = Desktop::start(&setup, &[("CASELOAD_PROFILE", profile.to_str().unwrap())]).unwrap();
    second.see("error").unwrap();
    assert_eq!(
        second.attribute("error", "data-code").unwrap().as_deref(),
        Some("profile_in_use")
    );
    first.close().unwrap();
    second
        .until("the profile to be free", || {
            second.click_if_there("error-retry")?;
            Ok(second.has("screen-welcome")?.then_some(()))
        })
        .unwrap();
}
