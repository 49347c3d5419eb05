//! One exchange with the service, as a trait: HTTP in production, a fault-injecting one in tests.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::TransportError;

/// A future that may be sent to another thread.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One request: a path below the service's address and, for a POST, a JSON body.
#[derive(Clone, Debug)]
pub struct Exchange<'a> {
    /// The path, with its query.
    pub path: &'a str,
    /// The access token, where one is needed.
    pub token: Option<&'a str>,
    /// The JSON body of a POST; `None` makes it a GET.
    pub body: Option<Vec<u8>>,
    /// How long the answer may take, in milliseconds.
    pub timeout_ms: u64,
}

/// Carries bytes to the service and back.
pub trait Transport: Send + Sync {
    /// Sends one request and gives the body of a successful answer.
    fn exchange<'a>(&'a self, request: Exchange<'a>) -> BoxFuture<'a, Result<Vec<u8>, TransportError>>;
}

/// How long an ordinary exchange may take, in milliseconds.
pub(crate) const TIMEOUT_MS: u64 = 30_000;

/// Posts `request` as JSON and reads the answer.
pub(crate) async fn post<Q: Serialize + Sync, A: DeserializeOwned>(
    transport: &dyn Transport,
    path: &str,
    token: Option<&str>,
    request: &Q,
) -> Result<A, TransportError> {
    let body = serde_json::to_vec(request).map_err(|_| TransportError::Unreadable)?;
    let answer = transport
        .exchange(Exchange {
            path,
            token,
            body: Some(body),
            timeout_ms: TIMEOUT_MS,
        })
        .await?;
    serde_json::from_slice(&answer).map_err(|_| TransportError::Unreadable)
}
