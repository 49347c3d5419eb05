//! Every route of the service.

use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, get, head, post, put};
use axum::{Extension, Router};
use caseload_protocol::auth::Done;
use caseload_protocol::messages::{Limits, WireErrorCode};

use crate::body::{BodyLimits, Json};
use crate::error::ApiError;
use crate::state::Shared;
use crate::{auth, layers, metrics, sync};

/// Answered after up to 55 seconds: it has its own limit of concurrency and of time.
pub(crate) const WAIT: &str = "/v1/sync/wait";

/// The ciphertext of a file, under three methods.
const BLOB: &str = "/v1/blobs/{id}";

type Route = (&'static str, &'static str, MethodRouter<Shared>);

fn table() -> [Route; 22] {
    let sync = || Extension(BodyLimits::SYNC);
    [
        ("POST", "/v1/auth/claim", post(auth::claim)),
        ("POST", "/v1/auth/challenge", post(auth::challenge)),
        ("POST", "/v1/auth/session", post(auth::session)),
        ("POST", "/v1/auth/refresh", post(auth::refresh)),
        ("POST", "/v1/auth/enrolments", post(auth::mint)),
        ("POST", "/v1/auth/enrolments/open", post(auth::open)),
        ("POST", "/v1/auth/enrolments/redeem", post(auth::redeem)),
        ("POST", "/v1/devices/replicas", post(auth::register_replica)),
        ("POST", "/v1/devices/revoke", post(auth::revoke_device)),
        ("POST", "/v1/sync/hello", post(sync::hello).layer(sync())),
        (
            "POST",
            "/v1/sync/push",
            post(sync::push).layer(Extension(BodyLimits::push(&Limits::default()))),
        ),
        ("POST", "/v1/sync/pull", post(sync::pull).layer(sync())),
        ("POST", "/v1/sync/snapshot", post(sync::snapshot).layer(sync())),
        ("POST", "/v1/sync/check", post(sync::check).layer(sync())),
        ("POST", "/v1/sync/fetch", post(sync::fetch).layer(sync())),
        ("GET", WAIT, get(sync::wait)),
        ("HEAD", BLOB, head(sync::blobs::status)),
        ("PUT", BLOB, put(sync::blobs::put)),
        ("GET", BLOB, get(sync::blobs::get)),
        ("POST", "/v1/blobs/{id}/commit", post(sync::blobs::commit)),
        ("GET", "/healthz", get(healthz)),
        ("GET", "/metrics", get(metrics::metrics)),
    ]
}

/// Method and path of every route.
#[must_use]
pub fn names() -> Vec<(&'static str, &'static str)> {
    table().into_iter().map(|(method, path, _)| (method, path)).collect()
}

pub(crate) fn router(app: &Shared) -> Router {
    // Methods of one path become one handler, because a path has one answer for all other methods.
    let mut paths: Vec<(&str, MethodRouter<Shared>)> = Vec::new();
    for (_, path, handler) in table() {
        match paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, known)) => *known = std::mem::take(known).merge(handler),
            None => paths.push((path, handler)),
        }
    }
    let routes = paths.into_iter().fold(Router::new(), |router, (path, handler)| {
        router.route(path, handler.fallback(not_found))
    });
    routes
        .fallback(not_found)
        .layer(from_fn_with_state(app.clone(), layers::admit))
        .layer(from_fn_with_state(app.clone(), layers::envelope))
        .with_state(app.clone())
}

/// Whether the service can work. Says nothing else.
async fn healthz(State(app): State<Shared>) -> Result<Json<Done>, ApiError> {
    app.storage.ping().await?;
    Ok(Json(Done {}))
}

async fn not_found() -> ApiError {
    WireErrorCode::NotFound.into()
}
