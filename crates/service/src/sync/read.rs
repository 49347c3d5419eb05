//! Snapshots of one scope, and rows by key for repair.

use caseload_protocol::messages::{FetchRequest, FetchResponse, SnapshotRequest, SnapshotResponse, WireErrorCode};
use caseload_protocol::row::Row;

use super::entitlement::Entitlement;
use super::pull::{cursor, page_limit};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

/// Keys in one fetch.
const MOST_KEYS: usize = 200;

/// One page of all rows of a scope.
pub(super) async fn snapshot(
    app: &App,
    caller: &Caller,
    request: &SnapshotRequest,
) -> Result<SnapshotResponse, ApiError> {
    caller.own(request.practice)?;
    let replica = caller.replica(app, request.replica).await?;
    let entitlement = Entitlement::of(app, caller, &replica).await?;
    entitlement.require(&[request.scope])?;
    let limit = page_limit(app, request.max_rows);
    let page = app
        .storage
        .snapshot_page(caller.practice, request.scope, request.after.as_ref(), limit)
        .await?;
    let after = page.rows.last().filter(|_| page.more).map(|row| row.key.clone());
    app.metrics.rows(page.rows.len());
    Ok(SnapshotResponse {
        rows: page.rows.iter().map(Row::to_wire).collect(),
        after,
        cursor: cursor(app, caller.practice, &page.head, page.head.seq, &entitlement).await?,
    })
}

/// The visible ones of the rows asked for; whether the others exist is not said.
pub(super) async fn fetch(app: &App, caller: &Caller, request: &FetchRequest) -> Result<FetchResponse, ApiError> {
    caller.own(request.practice)?;
    if request.keys.len() > MOST_KEYS {
        return Err(WireErrorCode::TooLarge.into());
    }
    let replica = caller.replica(app, request.replica).await?;
    let entitlement = Entitlement::of(app, caller, &replica).await?;
    let rows = app.storage.fetch(caller.practice, &request.keys).await?;
    Ok(FetchResponse {
        rows: rows
            .iter()
            .filter(|row| entitlement.allows(row.scope))
            .map(Row::to_wire)
            .collect(),
    })
}
