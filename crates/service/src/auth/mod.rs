//! Who may come in: claiming a practice, joining it, signing in, and who stands behind a request.
//!
//! The handlers here extract, call one function and map its answer; each endpoint's rules are in the module of its name.

mod caller;
mod claim;
mod devices;
mod enrolments;
pub(crate) mod holders;
pub(crate) mod nonces;
mod replicas;
mod sessions;
pub(crate) mod setup_code;
mod text;
pub(crate) mod tokens;

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use caseload_protocol::auth::{
    ChallengeRequest, ChallengeResponse, ClaimRequest, Done, MintRequest, OpenEnrolmentRequest, OpenEnrolmentResponse,
    RedeemRequest, RefreshRequest, RegisterReplicaRequest, RegisterReplicaResponse, RevokeDeviceRequest,
    SessionRequest, SessionResponse,
};

pub(crate) use caller::Caller;

use crate::body::Json;
use crate::error::ApiError;
use crate::state::Shared;

type Peer = ConnectInfo<SocketAddr>;

pub(crate) async fn claim(
    State(app): State<Shared>,
    ConnectInfo(peer): Peer,
    Json(request): Json<ClaimRequest>,
) -> Result<Json<Done>, ApiError> {
    claim::claim(&app, peer.ip(), request).await.map(Json)
}

pub(crate) async fn challenge(
    State(app): State<Shared>,
    Json(request): Json<ChallengeRequest>,
) -> Result<Json<ChallengeResponse>, ApiError> {
    sessions::challenge(&app, &request).map(Json)
}

pub(crate) async fn session(
    State(app): State<Shared>,
    Json(request): Json<SessionRequest>,
) -> Result<Json<SessionResponse>, ApiError> {
    sessions::open(&app, &request).await.map(Json)
}

pub(crate) async fn refresh(
    State(app): State<Shared>,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<SessionResponse>, ApiError> {
    sessions::refresh(&app, &request).await.map(Json)
}

pub(crate) async fn mint(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<MintRequest>,
) -> Result<Json<Done>, ApiError> {
    enrolments::mint(&app, &caller, request).await.map(Json)
}

pub(crate) async fn open(
    State(app): State<Shared>,
    ConnectInfo(peer): Peer,
    Json(request): Json<OpenEnrolmentRequest>,
) -> Result<Json<OpenEnrolmentResponse>, ApiError> {
    enrolments::open(&app, peer.ip(), &request).await.map(Json)
}

pub(crate) async fn redeem(
    State(app): State<Shared>,
    ConnectInfo(peer): Peer,
    Json(request): Json<RedeemRequest>,
) -> Result<Json<Done>, ApiError> {
    enrolments::redeem(&app, peer.ip(), &request).await.map(Json)
}

pub(crate) async fn register_replica(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<RegisterReplicaRequest>,
) -> Result<Json<RegisterReplicaResponse>, ApiError> {
    replicas::register(&app, &caller, &request).await.map(Json)
}

pub(crate) async fn revoke_device(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<RevokeDeviceRequest>,
) -> Result<Json<Done>, ApiError> {
    devices::revoke(&app, &caller, &request).await.map(Json)
}
