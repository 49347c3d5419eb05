//! Declares every command of the window in the app's manifest, so that none can be called without being granted by name.

use std::path::Path;

#[path = "../crates/app/src/commands.rs"]
#[macro_use]
mod commands;

macro_rules! names {
    ($($kind:ident $name:ident($($request:ty)?) -> $answer:ty;)*) => { &[$(stringify!($name)),*] };
}

const COMMANDS: &[&str] = commands!(names);

fn main() {
    println!("cargo:rerun-if-changed=../crates/app/src/commands.rs");
    println!("cargo:rerun-if-changed=../ui/dist");
    if !Path::new("../ui/dist/index.html").is_file() {
        println!(
            "cargo::error=ui/dist is missing: `npm ci` and `npm run build` in ui/ make the user interface, as `cargo xtask run` does"
        );
        std::process::exit(1);
    }
    let attributes = tauri_build::Attributes::new().app_manifest(tauri_build::AppManifest::new().commands(COMMANDS));
    if let Err(error) = tauri_build::try_build(attributes) {
        println!("cargo::error={error:#}");
        std::process::exit(1);
    }
}
