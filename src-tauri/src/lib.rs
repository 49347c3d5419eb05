//! The desktop program: one window over the use cases of `caseload-app`.
//!
//! It holds no rule of the practice. `commands` adapts the methods of `App` to the window, `shell` keeps the `App` and locks it
//! when the person is gone, `window` opens the window and keeps it to its own pages. What the window may call is granted by
//! name in `capabilities/main.json` and let through by `isolation/`; tests hold both to the one list of commands.

mod commands;
mod log;
mod shell;
mod window;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tauri::path::PathResolver;
use tauri::{Manager, RunEvent, WindowEvent, Wry};

use crate::shell::Shell;

/// Runs the program until its window is closed.
///
/// The profile folder is `CASELOAD_PROFILE`, else the one in the data folder of the operating system. `CASELOAD_LOG` says
/// what is logged, as in `info` or `caseload_sync=debug`; warnings are, without it.
#[must_use]
pub fn run() -> ExitCode {
    log::start();
    match build() {
        Ok(app) => {
            app.run(|app, event| {
                if let RunEvent::WindowEvent {
                    event: WindowEvent::CloseRequested { api, .. },
                    ..
                } = event
                {
                    api.prevent_close();
                    shell::leave(app);
                }
            });
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, "the window cannot be opened");
            ExitCode::FAILURE
        }
    }
}

fn build() -> tauri::Result<tauri::App> {
    let commands = commands::all();
    let handle = commands.invoke_handler();
    tauri::Builder::default()
        .invoke_handler(move |invoke| {
            if invoke.message.command() == "heartbeat" {
                invoke.message.webview_ref().state::<Arc<Shell>>().hear();
            }
            handle(invoke)
        })
        .setup(|app| {
            let profile = profile(app.path())?;
            log::keep_in(&profile);
            app.manage(Arc::new(Shell::new(profile)));
            window::open(app)?;
            shell::watch(app.handle());
            Ok(())
        })
        .build(tauri::generate_context!())
}

fn profile(folders: &PathResolver<Wry>) -> tauri::Result<PathBuf> {
    match std::env::var_os("CASELOAD_PROFILE").filter(|path| !path.is_empty()) {
        Some(path) => Ok(PathBuf::from(path)),
        None => Ok(folders.local_data_dir()?.join("caseload")),
    }
}
