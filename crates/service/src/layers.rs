//! What happens around every handler: request id, panics, refusals, compression and the log; admission and time limits.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use caseload_protocol::checksum::hex;
use caseload_protocol::messages::WireErrorCode;
use caseload_protocol::{OLDEST_PROTOCOL, PROTOCOL_HEADER, PROTOCOL_VERSION};
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
        None if zstd => body::compress(response)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        _ => response,
    };
    let mut response = match response.extensions().get::<ApiError>() {
        Some(refusal) => refuse(&app, refusal, &request_id, &method, &path),
        None => response,
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tracing::debug!(%request_id, %method, path, status = response.status().as_u16(), ms = started.elapsed().as_millis(), "answered");
    response
}

/// The log has the cause, the caller the code and the request id.
fn refuse(app: &App, refusal: &ApiError, request_id: &str, method: &Method, path: &str) -> Response {
    app.metrics.refusal(refusal.code());
    let (code, cause) = (metrics::name(refusal.code()), refusal.cause_chain());
    if matches!(
        refusal.code(),
        WireErrorCode::Internal | WireErrorCode::StorageUnavailable
    ) {
        tracing::error!(request_id, %method, path, code, cause, "failed");
    } else {
        tracing::info!(request_id, %method, path, code, cause, "refused");
    }
    refusal.render(request_id)
}

/// Turns requests away that cannot be served in time or speak another protocol, and bounds how long the others take.
pub(crate) async fn admit(State(app): State<Shared>, request: Request, next: Next) -> Result<Response, ApiError> {
    let path = matched_path(&request);
    check_protocol(request.headers())?;
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if let Some(ConnectInfo(peer)) = peer.filter(|_| path.starts_with("/v1/auth/")) {
        app.auth_rate
            .take(peer.ip(), app.now_ms())
            .map_err(ApiError::too_many)?;
    }
    let waits = path == WAIT;
    let room = if waits { &app.waiting } else { &app.in_flight };
    let _permit = room.try_acquire().map_err(|_| ApiError::overloaded())?;
    if waits {
        return Ok(next.run(request).await);
    }
    tokio::time::timeout(REQUEST, next.run(request))
        .await
        .map_err(|_| ApiError::overloaded())
}

/// Refuses a device whose protocol this service does not speak any more, or not yet, whatever it asks for.
fn check_protocol(headers: &HeaderMap) -> Result<(), WireErrorCode> {
    let Some(said) = headers.get(PROTOCOL_HEADER) else {
        return Ok(());
    };
    let version: u32 = said
        .to_str()
        .ok()
        .and_then(|said| said.parse().ok())
        .ok_or(WireErrorCode::Malformed)?;
    if (OLDEST_PROTOCOL..=PROTOCOL_VERSION).contains(&version) {
        Ok(())
    } else {
        Err(WireErrorCode::UpgradeRequired)
    }
}

/// The route, never the address that was asked for: that one comes from the caller.
fn matched_path(request: &Request) -> String {
    request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-", MatchedPath::as_str)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use caseload_vault::SymmetricKey;
    use tokio::sync::watch;
    use tower::Service as _;

    use super::*;
    use crate::auth::setup_code::SetupCode;
    use crate::clock::Clock;
    use crate::storage::sqlite::SqliteStorage;

    async fn ask(app: &Shared, path: &str) -> (u16, serde_json::Value) {
        let mut router: Router = Router::new()
            .route("/panics", get(|| async { panics() }))
            .route(
                "/fails",
                get(|| async { ApiError::internal(std::io::Error::other("the name of a client")) }),
            )
            .route("/works", get(|| async { "7" }))
            .route(WAIT, get(|| async { "8" }))
            .layer(from_fn_with_state(app.clone(), admit))
            .layer(from_fn_with_state(app.clone(), envelope));
        let answer = router
            .call(Request::get(path).body(Body::empty()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let (status, body) = (
            answer.status().as_u16(),
            to_bytes(answer.into_body(), 1 << 20).await.unwrap(),
        );
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn panics() -> Response {
        panic!("a defect")
    }

    fn app(folder: &std::path::Path) -> Shared {
        let storage = SqliteStorage::open(&folder.join("service.db"), &SymmetricKey::random()).unwrap();
        let (_, stopping) = watch::channel(false);
        Arc::new(App::new(
            Arc::new(storage),
            Clock::from_fn(|| 0),
            SetupCode::of(folder),
            stopping,
        ))
    }

    #[tokio::test]
    async fn a_defect_or_failure_shows_a_request_id_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        for path in ["/panics", "/fails"] {
            let (status, body) = ask(&app, path).await;
            let request_id = body["error"]["request_id"].clone();
            assert_eq!(status, 500);
            assert_eq!(
                body,
                serde_json::json!({"error": {"code": "internal", "request_id": request_id}}),
                "{path}"
            );
        }
        assert_eq!(ask(&app, "/works").await, (200, 7.into()), "and the service goes on");
    }

    #[tokio::test]
    async fn with_too_much_in_work_further_requests_are_turned_away_at_once_and_waiting_ones_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let app = app(folder.path());
        let everything = u32::try_from(app.in_flight.available_permits()).unwrap();
        let in_work = app.in_flight.try_acquire_many(everything).unwrap();
        let (status, body) = ask(&app, "/works").await;
        assert_eq!(
            (status, &body["error"]["code"], &body["error"]["retry_after_ms"]),
            (503, &"busy".into(), &1_000.into())
        );
        assert_eq!(ask(&app, WAIT).await, (200, 8.into()));
        drop(in_work);
        assert_eq!(ask(&app, "/works").await, (200, 7.into()));
    }
}
