//! The production transport: HTTP over TLS whose authority is pinned, or plain HTTP on this machine itself.

use std::sync::Arc;
use std::time::Duration;

use caseload_protocol::messages::ErrorBody;
use caseload_vault::enrolment::{TlsPin, check_address};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};

use crate::error::TransportError;
use crate::pin;
use crate::transport::{BoxFuture, Exchange, Transport};

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
        let client = reqwest::Client::builder()
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
}

impl Transport for HttpTransport {
    fn exchange<'a>(&'a self, request: Exchange<'a>) -> BoxFuture<'a, Result<Vec<u8>, TransportError>> {
        Box::pin(self.send(request))
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
