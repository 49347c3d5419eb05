//! One exchange with the service, as a trait: HTTP in production, a fault-injecting one in tests.

use std::future::Future;
use std::pin::Pin;

use caseload_protocol::blobs::BlobStatus;
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

/// What is done with a blob.
#[derive(Clone, Debug)]
pub enum BlobVerb {
    /// How much of it is there?
    Status,
    /// These bytes go on at the place that the path names.
    Put(Vec<u8>),
    /// The bytes between two places, both included.
    Get {
        /// The first place.
        from: u64,
        /// The last place.
        until: u64,
    },
}

/// One request about a blob.
#[derive(Clone, Debug)]
pub struct BlobExchange<'a> {
    /// The path, with its query.
    pub path: &'a str,
    /// The access token.
    pub token: &'a str,
    /// What is done.
    pub verb: BlobVerb,
}

/// A successful answer about a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobAnswer {
    /// Bytes of the ciphertext, for [`BlobVerb::Get`].
    pub body: Vec<u8>,
    /// How much is there, for the others.
    pub status: Option<BlobStatus>,
}

/// Carries bytes to the service and back.
pub trait Transport: Send + Sync {
    /// Sends one request and gives the body of a successful answer.
    fn exchange<'a>(&'a self, request: Exchange<'a>) -> BoxFuture<'a, Result<Vec<u8>, TransportError>>;

    /// Sends one request about a blob. A transport that carries no files, which is the default, cannot be reached by them.
    fn blob<'a>(&'a self, request: BlobExchange<'a>) -> BoxFuture<'a, Result<BlobAnswer, TransportError>> {
        let _nowhere = request;
        Box::pin(async { Err(TransportError::Unreachable(None)) })
    }
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
