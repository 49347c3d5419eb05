//! Moving files beside the rounds: a large file delays no appointment, and one that cannot be moved now is tried again.

use std::sync::Arc;
use std::time::Duration;

use caseload_store::Store;
use caseload_sync::Moved;
use tokio::time::sleep;

use super::connection;
use crate::app::Core;
use crate::fault::Fault;
use crate::login::Login;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How often moving is tried before the next round's end tries again.
const ATTEMPTS: u32 = 8;

/// Moves what waits, in both files.
pub(super) async fn move_all(_core: Arc<Core>, login: Arc<Login>) -> Result<Moved, Fault> {
    let connection = connection(&login).await?;
    let mut moved = connection.office.move_files().await?;
    if let Some(clinical) = &connection.clinical {
        let more = clinical.move_files().await?;
        moved = Moved {
            sent: moved.sent + more.sent,
            fetched: moved.fetched + more.fetched,
        };
    }
    Ok(moved)
}

/// Fetches what `store` wants, now.
pub(crate) async fn fetch(login: &Login, store: &Store) -> Result<(), Fault> {
    let connection = connection(login).await?;
    let engine = match &connection.clinical {
        Some(clinical) if store.kind() != login.office.kind() => clinical,
        _ => &connection.office,
    };
    engine.move_files().await?;
    Ok(())
}

/// Moves what waits in the background, unless that is under way. Ends when all is moved, after some failures, or with the login.
pub(super) fn start(core: &Arc<Core>, login: &Arc<Login>) {
    if !waits(login) {
        return;
    }
    let Ok(under_way) = Arc::clone(&login.link.moving).try_lock_owned() else {
        return;
    };
    let (task_core, task_login) = (Arc::clone(core), Arc::clone(login));
    core.handle.spawn(async move {
        let _under_way = under_way;
        let mut stopped = task_login.link.stop.subscribe();
        tokio::select! {
            () = work(task_core, Arc::clone(&task_login)) => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

async fn work(core: Arc<Core>, login: Arc<Login>) {
    for attempt in 0..ATTEMPTS {
        match move_all(Arc::clone(&core), Arc::clone(&login)).await {
            Ok(_) => return,
            Err(fault) => {
                let (_, retry) = fault.code();
                fault.told("move_files");
                if !retry {
                    return;
                }
            }
        }
        sleep(FIRST_PAUSE * (1 << attempt)).await;
    }
}

fn waits(login: &Login) -> bool {
    [Some(&login.office), login.clinical.as_ref()]
        .into_iter()
        .flatten()
        .any(|store| {
            let waiting = |files: Result<Vec<_>, _>| files.is_ok_and(|files: Vec<_>| !files.is_empty());
            waiting(store.files_to_share()) || waiting(store.files_to_fetch())
        })
}
