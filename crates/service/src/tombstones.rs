//! Once a day what every device has passed is let go, see [`Storage::collect_tombstones`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::storage::{Keeping, Storage, StorageError};

/// How long void rows are remembered where nothing else is said: a little more than a year, so that somebody who is away for that long still
/// reads on where they were.
pub const KEPT_DAYS: u32 = 400;

const DAY_MS: i64 = 86_400_000;
const DAY: Duration = Duration::from_secs(86_400);

/// Collects at once and then every day, until `stopping` says so; what was begun is finished.
pub(crate) async fn collect_daily(
    storage: Arc<dyn Storage>,
    clock: Clock,
    kept_days: u32,
    mut stopping: watch::Receiver<bool>,
) {
    loop {
        let keeping = Keeping {
            now_ms: clock.now_ms(),
            keep_ms: i64::from(kept_days) * DAY_MS,
        };
        if let Err(error) = collect(storage.as_ref(), keeping).await {
            // What is not collected today is collected tomorrow.
            tracing::warn!(%error, "tombstones were not collected");
        }
        tokio::select! {
            () = tokio::time::sleep(DAY) => {}
            _ended = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

async fn collect(storage: &dyn Storage, keeping: Keeping) -> Result<(), StorageError> {
    for practice in storage.practices().await? {
        let collected = storage.collect_tombstones(practice, keeping).await?;
        if collected.rows > 0 {
            tracing::info!(%practice, floor = collected.floor, rows = collected.rows, "tombstones collected");
        }
    }
    Ok(())
}
