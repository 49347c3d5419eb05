//! Crashes between statements: a fuse per folder, counted down by SQLite itself while it works on the files of that folder.
//!
//! When the fuse blows, the statement that runs is interrupted, its transaction is undone, and no connection of the folder does anything from
//! then on. What the files hold is what they would hold after the process was killed there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use rusqlite::Connection;

/// Instructions of SQLite's machine from one point to the next: a short statement has a few points, a long one many.
const INSTRUCTIONS: i32 = 20;

static FOLDERS: LazyLock<Mutex<HashMap<PathBuf, Weak<Inner>>>> = LazyLock::new(Mutex::default);

/// Ends the work on the files of one folder at a chosen point.
#[derive(Clone, Debug)]
pub struct Fuse(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    armed: AtomicBool,
    left: AtomicI64,
    blown: AtomicBool,
}

impl Inner {
    /// Passes one point; `true` when nothing may happen any more.
    fn burns(&self) -> bool {
        if self.armed.load(Ordering::SeqCst) && self.left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            self.blown.store(true, Ordering::SeqCst);
        }
        self.blown.load(Ordering::SeqCst)
    }
}

impl Fuse {
    /// A fuse for the files of `folder`, for connections that are opened from now on.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let inner = Arc::new(Inner::default());
        let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        folders.retain(|_, fuse| fuse.strong_count() > 0);
        folders.insert(folder.to_owned(), Arc::downgrade(&inner));
        Self(inner)
    }

    /// Blows after this many further points.
    pub fn arm(&self, points: u32) {
        self.0.left.store(i64::from(points), Ordering::SeqCst);
        self.0.armed.store(true, Ordering::SeqCst);
    }

    /// Lets work go on undisturbed, unless it has blown already.
    pub fn disarm(&self) {
        self.0.armed.store(false, Ordering::SeqCst);
    }

    /// Whether it has blown.
    #[must_use]
    pub fn is_blown(&self) -> bool {
        self.0.blown.load(Ordering::SeqCst)
    }
}

/// Puts the fuse of the folder of `path`, if there is one, into a connection to it.
///
/// # Errors
/// When SQLite refuses the hooks.
pub fn install(path: &Path, connection: &mut Connection) -> rusqlite::Result<()> {
    let fuse = path.parent().and_then(|folder| {
        let folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
        folders.get(folder).and_then(Weak::upgrade)
    });
    if let Some(fuse) = fuse {
        let at_commit = Arc::clone(&fuse);
        connection.progress_handler(INSTRUCTIONS, Some(move || fuse.burns()))?;
        connection.commit_hook(Some(move || at_commit.burns()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn a_blown_fuse_undoes_the_open_transaction_and_lets_nothing_happen_after_it() {
        let folder = std::env::temp_dir().join(format!("caseload-fuse-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("t.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_CREATE;
        let fuse = Fuse::of(&folder);
        let mut connection = Connection::open_with_flags(&path, flags).unwrap();
        install(&path, &mut connection).unwrap();
        connection
            .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1);")
            .unwrap();
        fuse.arm(0);
        let failed =
            connection.execute_batch("BEGIN; INSERT INTO t VALUES (2); INSERT INTO t SELECT a FROM t; COMMIT;");
        assert!(failed.is_err() && fuse.is_blown());
        fuse.disarm();
        assert!(connection.execute_batch("INSERT INTO t VALUES (3)").is_err());
        drop(connection);
        assert_eq!(rows(&Connection::open_with_flags(&path, flags).unwrap()), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
