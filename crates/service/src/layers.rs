//! What happens around every handler: request id, panics, refusals, compression and the log; admission and time limits.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use caseload_protocol::checksum::hex;
use caseload_protocol::messages::WireErrorCode;
use futures_util::FutureExt as _;

use crate::auth::tokens::random;
use crate::body;
use crate::error::ApiError;
use crate::metrics;
use crate::routes::WAIT;
use crate::state::{App, Shared};

/// How long a handler may take; a waiting one ends by itself.
const REQUEST: Duration = Duration::from_secs(30);

/// The outermost layer: everything that leaves the service passes here, once.
pub(crate) async fn envelope(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let request_id = hex(&random::<8>());
    let started = Instant::now();
    let method = request.method().clone();
    let path = matched_path(&request);
    let zstd = body::accepts_zstd(request.headers());
    app.metrics.request();
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let response = answered.unwrap_or_else(|_| ApiError::new(WireErrorCode::Internal).into_response());
    let response = match response.extensions().get::<ApiError>() {
        None if zstd => body::compress(response).await.unwrap_or_else(IntoResponse::into_response),
        _ => response,
    };
    let mut response = match response.extensions().get::<ApiError>() {
        Some(refusal) => refuse(&app, refusal, &request_id, &method, &path),
        None => response,
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tracing::debug!(%request_id, %method, path, status = response.status().as_u16(), ms = started.elapsed().as_millis(), "answered");
    response
}

/// The log has the cause, the caller the code and the request id.
fn refuse(app: &App, refusal: &ApiError, request_id: &str, method: &Method, path: &str) -> Response {
    app.metrics.refusal(refusal.code());
    let (code, cause) = (metrics::name(refusal.code()), refusal.cause_chain());
    if matches!(refusal.code(), WireErrorCode::Internal | WireErrorCode::StorageUnavailable) {
        tracing::error!(request_id, %method, path, code, cause, "failed");
    } else {
        tracing::info!(request_id, %method, path, code, cause, "refused");
    }
    refusal.render(request_id)
}

/// Turns requests away that cannot be served in time, and bounds how long the others take.
pub(crate) async fn admit(State(app): State<Shared>, request: Request, next: Next) -> Result<Response, ApiError> {
    let path = matched_path(&request);
    if path.starts_with("/v1/auth/") {
        if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
            app.auth_rate.take(peer.ip(), app.now_ms()).map_err(ApiError::too_many)?;
        }
    }
    let waits = path == WAIT;
    let room = if waits { &app.waiting } else { &app.in_flight };
    let _permit = room.try_acquire().map_err(|_| ApiError::overloaded())?;
    if waits {
        return Ok(next.run(request).await);
    }
    tokio::time::timeout(REQUEST, next.run(request)).await.map_err(|_| ApiError::overloaded())
}

/// The route, never the address that was asked for: that one comes from the caller.
fn matched_path(request: &Request) -> String {
    request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned()
}
