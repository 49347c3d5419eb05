//! The production transport: HTTP over TLS whose authority is pinned, or plain HTTP on this machine itself.

use std::sync::Arc;
use std::time::Duration;

use caseload_protocol::blobs::{BlobStatus, COMMITTED, RECEIVED};
use caseload_protocol::messages::{ErrorBody, WireErrorCode};
use caseload_protocol::{PROTOCOL_HEADER, PROTOCOL_VERSION};
use caseload_vault::enrolment::{TlsPin, check_address};
use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    RANGE,
};

use crate::error::TransportError;
use crate::pin;
use crate::transport::{BlobAnswer, BlobExchange, BlobVerb, BoxFuture, Exchange, TIMEOUT_MS, Transport};

/// Bodies above this many bytes are compressed.
const COMPRESS_ABOVE: usize = 1024;
/// The largest answer accepted after decompression, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// Talks to one service.
pub struct HttpTransport {
    address: String,
    client: reqwest::Client,
}

impl HttpTransport {
    /// Prepares to talk to the service at `address` (`https://host[:port]`, or `http://` on this machine). With a pin only a certificate that
    /// leads to that authority is accepted and the public authorities are not asked.
    ///
    /// # Errors
    /// [`TransportError::Address`] when the address cannot be used, plain HTTP to another machine included.
    pub fn new(address: &str, pin: Option<TlsPin>) -> Result<Self, TransportError> {
        let address = address.trim_end_matches('/');
        check_address(address).map_err(|_| TransportError::Address)?;
        let protocol = (
            HeaderName::from_static(PROTOCOL_HEADER),
            HeaderValue::from(PROTOCOL_VERSION),
        );
        let client = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([protocol]))
            .no_proxy()
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(5))
            .tls_backend_preconfigured(pin::client_config(pin))
            .build()
            .map_err(|_| TransportError::Address)?;
        Ok(Self {
            address: address.to_owned(),
            client,
        })
    }

    async fn send(&self, request: Exchange<'_>) -> Result<Vec<u8>, TransportError> {
        let url = format!("{}{}", self.address, request.path);
        let mut builder = match request.body {
            None => self.client.get(url),
            Some(body) if body.len() > COMPRESS_ABOVE => {
                let compressed = zstd::bulk::compress(&body, 1).map_err(|_| TransportError::Unreadable)?;
                self.client
                    .post(url)
                    .header(CONTENT_ENCODING, "zstd")
                    .header(CONTENT_TYPE, "application/json")
                    .body(compressed)
            }
            Some(body) => self
                .client
                .post(url)
                .header(CONTENT_TYPE, "application/json")
                .body(body),
        };
        builder = builder
            .header(ACCEPT_ENCODING, "zstd")
            .timeout(Duration::from_millis(request.timeout_ms));
        if let Some(token) = request.token {
            builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = builder.send().await.map_err(connection_error)?;
        read(answer).await
    }

    async fn send_blob(&self, request: BlobExchange<'_>) -> Result<BlobAnswer, TransportError> {
        let url = format!("{}{}", self.address, request.path);
        let builder = match &request.verb {
            BlobVerb::Status => self.client.head(url),
            BlobVerb::Put(_) => self.client.put(url),
            BlobVerb::Get { from, until } => self.client.get(url).header(RANGE, format!("bytes={from}-{until}")),
        };
        let builder = builder
            .header(AUTHORIZATION, format!("Bearer {}", request.token))
            .timeout(Duration::from_millis(TIMEOUT_MS));
        match request.verb {
            BlobVerb::Status => status_of(&builder.send().await.map_err(connection_error)?),
            BlobVerb::Put(bytes) => {
                let body = read(builder.body(bytes).send().await.map_err(connection_error)?).await?;
                let status = serde_json::from_slice(&body).map_err(|_| TransportError::Unreadable)?;
                Ok(BlobAnswer {
                    body: Vec::new(),
                    status: Some(status),
                })
            }
            BlobVerb::Get { from, .. } => {
                let answer = builder.send().await.map_err(connection_error)?;
                let begins = format!("bytes {from}-");
                let range = answer.headers().get(CONTENT_RANGE);
                let fits = range.and_then(|range| range.to_str().ok()?.strip_prefix(begins.as_str()));
                let fits = fits.is_some() || !answer.status().is_success();
                let body = read(answer).await?;
                if !fits {
                    return Err(TransportError::Unreadable);
                }
                Ok(BlobAnswer { body, status: None })
            }
        }
    }
}

/// What the headers of an answer without a body say.
fn status_of(answer: &reqwest::Response) -> Result<BlobAnswer, TransportError> {
    let code = match answer.status() {
        StatusCode::OK => {
            let header = |name| {
                answer
                    .headers()
                    .get(name)
                    .and_then(|value: &HeaderValue| value.to_str().ok())
            };
            let status = header(RECEIVED)
                .zip(header(COMMITTED))
                .and_then(|(received, committed)| {
                    Some(BlobStatus {
                        received: received.parse().ok()?,
                        committed: committed.parse().ok()?,
                    })
                });
            return Ok(BlobAnswer {
                body: Vec::new(),
                status,
            });
        }
        StatusCode::UNAUTHORIZED => WireErrorCode::AuthExpired,
        StatusCode::FORBIDDEN => WireErrorCode::Forbidden,
        StatusCode::NOT_FOUND => WireErrorCode::NotFound,
        StatusCode::UPGRADE_REQUIRED => WireErrorCode::UpgradeRequired,
        StatusCode::TOO_MANY_REQUESTS => WireErrorCode::Busy,
        StatusCode::SERVICE_UNAVAILABLE => WireErrorCode::StorageUnavailable,
        StatusCode::INTERNAL_SERVER_ERROR => WireErrorCode::Internal,
        _ => return Err(TransportError::Unreadable),
    };
    Err(TransportError::Refused {
        code,
        retry_after_ms: None,
    })
}

/// The body of a successful answer, decompressed.
async fn read(answer: reqwest::Response) -> Result<Vec<u8>, TransportError> {
    let status = answer.status();
    let compressed = answer
        .headers()
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| encoding == "zstd");
    let bytes = answer.bytes().await.map_err(connection_error)?;
    let body = if compressed {
        zstd::bulk::decompress(&bytes, MAX_ANSWER).map_err(|_| TransportError::Unreadable)?
    } else {
        bytes.to_vec()
    };
    if status.is_success() {
        return Ok(body);
    }
    let refusal: ErrorBody = serde_json::from_slice(&body).map_err(|_| TransportError::Unreadable)?;
    Err(TransportError::Refused {
        code: refusal.error.code,
        retry_after_ms: refusal.error.retry_after_ms,
    })
}

impl Transport for HttpTransport {
    fn exchange<'a>(&'a self, request: Exchange<'a>) -> BoxFuture<'a, Result<Vec<u8>, TransportError>> {
        Box::pin(self.send(request))
    }

    fn blob<'a>(&'a self, request: BlobExchange<'a>) -> BoxFuture<'a, Result<BlobAnswer, TransportError>> {
        Box::pin(self.send_blob(request))
    }
}

fn connection_error(error: reqwest::Error) -> TransportError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = source {
        let tls = tls_error(cause);
        if matches!(
            tls,
            Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
        ) {
            return TransportError::WrongPin;
        }
        source = cause.source();
    }
    TransportError::Unreachable(Some(error.without_url()))
}

/// The TLS error in `error`, however many I/O errors are wrapped around it: those do not name their content as their source.
fn tls_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let mut inner = error;
    loop {
        if let Some(tls) = inner.downcast_ref() {
            return Some(tls);
        }
        inner = inner.downcast_ref::<std::io::Error>()?.get_ref()?;
    }
}

/// Shares one transport among several users.
pub type SharedTransport = Arc<dyn Transport>;
