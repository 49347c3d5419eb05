//! Wait: a wake-up when the practice has something new. It carries no data, so losing one loses nothing.

use std::time::Duration;

use caseload_protocol::messages::WaitResponse;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

/// Answers when the practice's head is above `seq`, when the advertised time is over, or when the service ends.
pub(super) async fn wait(app: &App, caller: &Caller, seq: i64) -> Result<WaitResponse, ApiError> {
    let mut head = app.storage.watch(caller.practice).await?;
    let mut stopping = app.stopping.clone();
    let longest = Duration::from_millis(app.limits.wait_ms);
    tokio::select! {
        // Each of the three ends the wait; none of them is an error for the caller.
        _ = head.wait_for(|head| *head > seq) => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
        () = tokio::time::sleep(longest) => {}
    }
    let head_seq = *head.borrow();
    Ok(WaitResponse { head_seq })
}
