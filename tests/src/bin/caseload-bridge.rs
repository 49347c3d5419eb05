//! The commands of the window over HTTP on the loopback address, for a browser in place of the window: development and browser
//! tests then work with the real use cases. It is never part of what is shipped, because whoever reaches its port is signed in.
//!
//! `POST /command/<name>` takes `{"request": ...}`, or `{}` for a command without one, and answers the command's answer or, with
//! another status than 200, its `AppError`. `GET /events` is a stream of server-sent events named `changed`, `sync` and `locked`.
#![expect(clippy::print_stdout, reason = "this is a program that says where it listens")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use caseload_app::dto::*;
use caseload_app::{App, Event};
use clap::Parser;
use futures_util::stream::{self, Stream};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

/// Serves the commands of the window on the loopback address.
#[derive(Debug, Parser)]
struct Arguments {
    /// The profile folder.
    #[arg(long, env = "CASELOAD_PROFILE", value_name = "DIR")]
    profile: PathBuf,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4517")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.listen.ip().is_loopback(),
        "the bridge listens on the loopback address alone"
    );
    let app = App::open(&arguments.profile).map_err(|error| anyhow::anyhow!("the profile: {:?}", error.code))?;
    let routes = Router::new()
        .route("/command/{name}", post(command))
        .route("/events", get(events))
        .layer(from_fn(answer_browsers))
        .with_state(Arc::new(app));
    let listener = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .context("listen")?;
    println!(
        "listening on http://{}",
        listener.local_addr().context("read the address")?
    );
    axum::serve(listener, routes).await.context("serve")
}

macro_rules! dispatch {
    ($($kind:ident $name:ident($($request:ty)?) -> $answer:ty;)*) => {
        /// Calls the command of this name.
        async fn call(app: Arc<App>, name: &str, body: Value) -> Result<Value, AppError> {
            match name {
                $(stringify!($name) => answer::<$answer>(row!($kind app, body, $name($($request)?))),)*
                _ => Err(fault(ErrorCode::InvalidRequest)),
            }
        }
    };
}

macro_rules! row {
    (blocking $app:ident, $body:ident, $name:ident()) => {
        blocking(move || $app.$name()).await
    };
    (blocking $app:ident, $body:ident, $name:ident($request:ty)) => {{
        let request: $request = request($body)?;
        blocking(move || $app.$name(request)).await
    }};
    (waiting $app:ident, $body:ident, $name:ident()) => {
        $app.$name().await
    };
    (waiting $app:ident, $body:ident, $name:ident($request:ty)) => {
        $app.$name(request::<$request>($body)?).await
    };
}

caseload_app::commands!(dispatch);

async fn command(State(app): State<Arc<App>>, Path(name): Path<String>, Json(body): Json<Value>) -> Response {
    match call(app, &name, body).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response(),
    }
}

async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, AppError> + Send + 'static,
) -> Result<T, AppError> {
    tokio::task::spawn_blocking(call)
        .await
        .unwrap_or_else(|_| Err(fault(ErrorCode::Internal)))
}

fn request<T: DeserializeOwned>(mut body: Value) -> Result<T, AppError> {
    let request = body.get_mut("request").map(Value::take).unwrap_or_default();
    serde_json::from_value(request).map_err(|_| fault(ErrorCode::InvalidRequest))
}

fn answer<T: serde::Serialize>(outcome: Result<T, AppError>) -> Result<Value, AppError> {
    outcome.and_then(|answer| serde_json::to_value(answer).map_err(|_| fault(ErrorCode::Internal)))
}

fn fault(code: ErrorCode) -> AppError {
    AppError {
        code,
        fields: Vec::new(),
        retry: false,
    }
}

async fn events(State(app): State<Arc<App>>) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    let events = stream::unfold(app.subscribe(), |mut events| async move {
        loop {
            let (name, payload) = match events.recv().await {
                Ok(Event::Changed(changed)) => ("changed", json!(changed)),
                Ok(Event::Sync(overview)) => ("sync", json!(overview)),
                Ok(Event::Locked) => ("locked", Value::Null),
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return None,
            };
            let event = sse::Event::default().event(name).data(payload.to_string());
            return Some((Ok(event), events));
        }
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Lets pages that this machine serves itself call, and no others.
async fn answer_browsers(request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    if origin.as_ref().is_some_and(|origin| !is_of_this_machine(origin)) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("content-type"),
        );
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

fn is_of_this_machine(origin: &HeaderValue) -> bool {
    let host = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
    let name = host.map(|host| host.split_once(':').map_or(host, |(name, _)| name));
    matches!(name, Some("127.0.0.1" | "localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_may_call() {
        for (origin, allowed) in [
            ("http://127.0.0.1:5173", true),
            ("http://localhost:4173", true),
            ("http://localhost.example.org", false),
            ("https://example.org", false),
            ("null", false),
        ] {
            assert_eq!(
                is_of_this_machine(&HeaderValue::from_static(origin)),
                allowed,
                "{origin}"
            );
        }
    }
}
