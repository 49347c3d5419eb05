//! Snapshots of scopes, and rows by key for repair.

use caseload_domain::Scope;
use caseload_protocol::messages::{FetchRequest, FetchResponse, SnapshotRequest, SnapshotResponse, WireErrorCode};
use caseload_protocol::row::Row;

use super::entitlement::Entitlement;
use super::pull::{cursor, page_limit, require_known};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

/// Keys in one fetch.
const MOST_KEYS: usize = 200;

/// One page of all rows of some scopes.
pub(super) async fn snapshot(
    app: &App,
    caller: &Caller,
    request: &SnapshotRequest,
) -> Result<SnapshotResponse, ApiError> {
    caller.own(request.practice)?;
    let replica = caller.replica(app, request.replica).await?;
    let entitlement = Entitlement::of(app, caller, &replica).await?;
    let scopes: Vec<Scope> = std::iter::once(request.scope)
        .chain(request.then.iter().copied())
        .collect();
    entitlement.require(&scopes)?;
    if scopes.len() > SnapshotRequest::MOST_THEN + 1 {
        return Err(WireErrorCode::TooLarge.into());
    }
    if !scopes.is_sorted_by(|one, next| one.to_string() < next.to_string()) {
        return Err(WireErrorCode::Malformed.into());
    }
    require_known(app, caller.practice, request.known.as_ref()).await?;
    let limit = page_limit(app, request.max_rows);
    let page = app
        .storage
        .snapshot_page(caller.practice, &scopes, request.after.as_ref(), limit)
        .await?;
    // Where the page ends in a scope that it has begun, or not even gone on with.
    let (last, ends_in) = (page.rows.last(), scopes.get(page.through));
    let after = match last {
        Some(row) => ends_in.filter(|scope| **scope == row.scope).map(|_| row.key.clone()),
        None => None,
    };
    let then_through = page.through.checked_sub(1).filter(|_| !request.then.is_empty());
    app.metrics.rows(page.rows.len());
    Ok(SnapshotResponse {
        rows: page.rows.iter().map(Row::to_wire).collect(),
        then_through: then_through.map(|through| u32::try_from(through).unwrap_or(u32::MAX)),
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
    require_known(app, caller.practice, request.known.as_ref()).await?;
    let rows = app.storage.fetch(caller.practice, &request.keys).await?;
    Ok(FetchResponse {
        rows: rows
            .iter()
            .filter(|row| entitlement.allows(row.scope))
            .map(Row::to_wire)
            .collect(),
    })
}
