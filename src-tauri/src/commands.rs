//! The commands of the window: adapters over `App`, all made from the one list.

use std::sync::Arc;

use caseload_app::App;
use caseload_app::dto::*;
use tauri::{AppHandle, State, Wry};
use tauri_specta::{Builder, Casing, ErrorHandlingMode, collect_commands};

use crate::shell::Shell;

macro_rules! adapters {
    ($($kind:ident $name:ident($($request:ty)?) -> $answer:ty;)*) => {
        $(adapter!($kind $name($($request)?) -> $answer);)*

        /// Every command, with the types that the events carry: what the window is given and what its bindings are made from.
        pub(crate) fn all() -> Builder<Wry> {
            Builder::new()
                .commands(collect_commands![$($name),*])
                .typ::<Changed>()
                .error_handling(ErrorHandlingMode::Throw)
                .function_casing(Casing::SnakeCase)
        }
    };
}

macro_rules! adapter {
    (blocking $name:ident() -> $answer:ty) => {
        #[tauri::command]
        #[specta::specta]
        async fn $name(handle: AppHandle, shell: State<'_, Arc<Shell>>) -> Result<$answer, AppError> {
            blocking(handle, &shell, |app| app.$name()).await
        }
    };
    (blocking $name:ident($request:ty) -> $answer:ty) => {
        #[tauri::command]
        #[specta::specta]
        async fn $name(
            handle: AppHandle,
            shell: State<'_, Arc<Shell>>,
            request: $request,
        ) -> Result<$answer, AppError> {
            blocking(handle, &shell, move |app| app.$name(request)).await
        }
    };
    (waiting $name:ident() -> $answer:ty) => {
        #[tauri::command]
        #[specta::specta]
        async fn $name(handle: AppHandle, shell: State<'_, Arc<Shell>>) -> Result<$answer, AppError> {
            shell.app(&handle)?.$name().await
        }
    };
    (waiting $name:ident($request:ty) -> $answer:ty) => {
        #[tauri::command]
        #[specta::specta]
        async fn $name(
            handle: AppHandle,
            shell: State<'_, Arc<Shell>>,
            request: $request,
        ) -> Result<$answer, AppError> {
            shell.app(&handle)?.$name(request).await
        }
    };
}

caseload_app::commands!(adapters);

/// The one place where a call crosses over to the threads that may block.
async fn blocking<T: Send + 'static>(
    handle: AppHandle,
    shell: &Arc<Shell>,
    call: impl FnOnce(&App) -> Result<T, AppError> + Send + 'static,
) -> Result<T, AppError> {
    let shell = Arc::clone(shell);
    tauri::async_runtime::spawn_blocking(move || call(&*shell.app(&handle)?))
        .await
        .unwrap_or_else(|error| {
            tracing::error!(%error, "a command ended abnormally");
            Err(AppError {
                code: ErrorCode::Internal,
                fields: Vec::new(),
                retry: false,
            })
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs;
    use std::path::{Path, PathBuf};

    use serde_json::Value;
    use specta_typescript::Typescript;

    use super::all;

    macro_rules! names {
        ($($kind:ident $name:ident($($request:ty)?) -> $answer:ty;)*) => { &[$(stringify!($name)),*] };
    }

    const NAMES: &[&str] = caseload_app::commands!(names);

    fn own(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    fn bindings() -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bindings.ts");
        all().export(Typescript::default(), &path).unwrap();
        fs::read_to_string(path).unwrap()
    }

    /// With `CASELOAD_WRITE_BINDINGS` it writes them there, which is how `cargo xtask bindings` makes the committed file.
    #[test]
    fn writes_the_bindings_or_finds_the_committed_ones_current() {
        if let Some(path) = std::env::var_os("CASELOAD_WRITE_BINDINGS") {
            fs::write(path, bindings()).unwrap();
            return;
        }
        let committed = fs::read_to_string(own("../ui/src/lib/backend/bindings.ts")).unwrap();
        assert!(committed == bindings(), "`cargo xtask bindings` writes the file anew");
    }

    #[test]
    fn the_capability_grants_every_command_and_two_core_permissions() {
        let capability: Value =
            serde_json::from_str(&fs::read_to_string(own("capabilities/main.json")).unwrap()).unwrap();
        let granted: Vec<&str> = capability["permissions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|permission| permission.as_str().unwrap())
            .collect();
        let mut expected = vec![
            "core:event:allow-listen".to_owned(),
            "core:event:allow-unlisten".to_owned(),
        ];
        expected.extend(NAMES.iter().map(|name| format!("allow-{}", name.replace('_', "-"))));
        assert_eq!(granted, expected);
    }

    #[test]
    fn the_isolation_page_lets_every_command_through_and_no_other() {
        let script = fs::read_to_string(own("isolation/index.js")).unwrap();
        let listed: Vec<&str> = script
            .lines()
            .filter_map(|line| line.strip_prefix("  \"")?.strip_suffix("\","))
            .collect();
        assert_eq!(listed, NAMES);
    }
}
