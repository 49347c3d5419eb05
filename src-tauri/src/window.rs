//! The one window: it shows the pages of this program and nothing else.

use std::path::PathBuf;

use tauri::webview::NewWindowResponse;
use tauri::{App, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder};

/// The label that the capability file grants its permissions to.
pub(crate) const LABEL: &str = "main";

/// Takes the frame that every call passes through out of sight and out of the reading order. It hides itself by a style in the
/// page, which the content policy rightly refuses.
const HIDE_ISOLATION: &str = "addEventListener('DOMContentLoaded', () => setTimeout(() => {
    const frame = document.getElementById('__tauri_isolation__');
    if (frame) frame.hidden = true;
}));";

/// What the form for publishing offers: its name in the page's address, and the variable that whoever starts the window sets.
const SERVICE: [(&str, &str); 2] = [
    ("address", "CASELOAD_SERVICE_ADDRESS"),
    ("setup-code", "CASELOAD_SETUP_CODE"),
];

/// Opens the window.
pub(crate) fn open(app: &App) -> tauri::Result<WebviewWindow> {
    let window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::App(page(SERVICE.map(read))))
        .title("Caseload")
        .inner_size(1280.0, 840.0)
        .min_inner_size(880.0, 600.0)
        .initialization_script(HIDE_ISOLATION)
        .on_navigation(is_own)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .disable_drag_drop_handler()
        .build()?;
    compose_in_place(&window)?;
    Ok(window)
}

fn read((name, variable): (&'static str, &str)) -> (&'static str, Option<String>) {
    (name, std::env::var(variable).ok().filter(|value| !value.is_empty()))
}

/// The page of the window, with what it offers.
fn page(offered: [(&str, Option<String>); 2]) -> PathBuf {
    let mut page: Url = "tauri://localhost/index.html".parse().expect("this is an address");
    for (name, value) in offered {
        if let Some(value) = value {
            page.query_pairs_mut().append_pair(name, &value);
        }
    }
    match page.query() {
        None => PathBuf::from("index.html"),
        Some(query) => PathBuf::from(format!("index.html?{query}")),
    }
}

/// Whether an address is a page of this program. Links in notes, forms and pasted text lead nowhere.
fn is_own(url: &Url) -> bool {
    match url.scheme() {
        "tauri" => url.host_str() == Some("localhost"),
        // What the same pages are called on Windows.
        "http" | "https" => cfg!(windows) && url.host_str() == Some("tauri.localhost"),
        _ => false,
    }
}

/// Lets WebKit draw a syllable while it is being composed. The web view's library switches that off, and Korean is then typed
/// blind: nothing is seen until a whole syllable is finished.
#[cfg(target_os = "linux")]
fn compose_in_place(window: &WebviewWindow) -> tauri::Result<()> {
    use webkit2gtk::{InputMethodContextExt, WebViewExt};
    window.with_webview(|view| {
        if let Some(context) = view.inner().input_method_context() {
            context.set_enable_preedit(true);
        }
    })
}

#[cfg(not(target_os = "linux"))]
fn compose_in_place(_: &WebviewWindow) -> tauri::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_the_starter_knows_of_the_service_stands_in_the_pages_address() {
        let page = |address: Option<&str>, code: Option<&str>| {
            page([
                ("address", address.map(str::to_owned)),
                ("setup-code", code.map(str::to_owned)),
            ])
        };
        assert_eq!(page(None, None), PathBuf::from("index.html"));
        assert_eq!(
            page(Some("http://127.0.0.1:7878"), Some("A&B")),
            PathBuf::from("index.html?address=http%3A%2F%2F127.0.0.1%3A7878&setup-code=A%26B")
        );
    }

    #[test]
    fn nothing_but_the_programs_own_pages_can_be_opened() {
        let allowed = |address: &str| is_own(&address.parse().unwrap());
        assert!(allowed("tauri://localhost/index.html#/today"));
        for address in [
            "https://example.org/",
            "http://localhost/",
            "http://127.0.0.1:7878/",
            "tauri://elsewhere/",
            "file:///etc/passwd",
            "data:text/html,x",
            "about:blank",
            "javascript:alert(1)",
        ] {
            assert!(!allowed(address), "{address}");
        }
    }
}
