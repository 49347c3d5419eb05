//! The desktop program. Everything is in the library, so that it can be tested.
#![cfg_attr(all(windows, not(debug_assertions)), windows_subsystem = "windows")]

use std::process::ExitCode;

fn main() -> ExitCode {
    caseload_desktop::run()
}
