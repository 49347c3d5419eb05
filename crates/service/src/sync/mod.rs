//! Sync: the service decides, orders and hands out what each reader may see.
//!
//! The handlers here extract, call one function and map its answer. Every function takes the [`Caller`]; what a caller may read of a replica
//! is computed in [`entitlement`] and nowhere else.

pub(crate) mod blobs;
mod check;
mod entitlement;
mod hello;
mod pull;
mod push;
mod read;
mod verify;
mod wait;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use caseload_protocol::messages::{
    CheckRequest, CheckResponse, FetchRequest, FetchResponse, HelloRequest, HelloResponse, PullRequest, PullResponse,
    PushRequest, PushResponse, SnapshotRequest, SnapshotResponse, WaitResponse, WireErrorCode,
};
use serde::Deserialize;

pub(crate) use entitlement::KnownCare;

use crate::auth::Caller;
use crate::body::Json;
use crate::error::ApiError;
use crate::state::Shared;
use crate::storage::StorageError;

pub(crate) async fn hello(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<HelloRequest>,
) -> Result<Json<HelloResponse>, ApiError> {
    hello::hello(&app, &caller, &request).await.map(Json)
}

pub(crate) async fn push(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<PushRequest>,
) -> Result<Json<PushResponse>, ApiError> {
    push::push(&app, &caller, request).await.map(Json)
}

pub(crate) async fn pull(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<PullRequest>,
) -> Result<Json<PullResponse>, ApiError> {
    pull::pull(&app, &caller, &request).await.map(Json)
}

pub(crate) async fn snapshot(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<SnapshotRequest>,
) -> Result<Json<SnapshotResponse>, ApiError> {
    read::snapshot(&app, &caller, &request).await.map(Json)
}

pub(crate) async fn check(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<CheckRequest>,
) -> Result<Json<CheckResponse>, ApiError> {
    check::check(&app, &caller, &request).await.map(Json)
}

pub(crate) async fn fetch(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<FetchRequest>,
) -> Result<Json<FetchResponse>, ApiError> {
    read::fetch(&app, &caller, &request).await.map(Json)
}

/// The query of the long poll.
#[derive(Deserialize)]
pub(crate) struct WaitQuery {
    seq: i64,
}

pub(crate) async fn wait(
    State(app): State<Shared>,
    caller: Caller,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Result<Json<WaitResponse>, ApiError> {
    let Query(query) = query.map_err(|_| WireErrorCode::Malformed)?;
    wait::wait(&app, &caller, query.seq).await.map(Json)
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let code = match &error {
            StorageError::Unavailable(_) => WireErrorCode::StorageUnavailable,
            StorageError::UnknownPractice => WireErrorCode::NotFound,
            StorageError::Unreadable(_) | StorageError::Failed(_) => WireErrorCode::Internal,
        };
        Self::new(code).caused_by(error)
    }
}
