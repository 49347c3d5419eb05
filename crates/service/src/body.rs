//! Bodies: JSON in UTF-8, zstd when the headers say so, sizes capped before and after decompression, nesting bounded before parsing.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use caseload_protocol::messages::{Limits, WireErrorCode};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// A document may be nested 32 deep ([`caseload_domain::canonical::MAX_DEPTH`]); the envelope around it adds less than 16.
const MAX_DEPTH: usize = caseload_domain::canonical::MAX_DEPTH + 16;
/// Larger windows than 8 MiB would let one small body claim much memory.
const MAX_WINDOW_LOG: u32 = 23;
/// Below this many bytes compression gains nothing.
const WORTH_COMPRESSING: usize = 1024;

/// How large a request body may be, as sent and after decompression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    sent: usize,
    raw: usize,
}

impl BodyLimits {
    /// Signing in and enrolling.
    pub(crate) const AUTH: Self = Self {
        sent: 64 << 10,
        raw: 256 << 10,
    };
    /// Sync requests that carry names and no content.
    pub(crate) const SYNC: Self = Self {
        sent: 1 << 20,
        raw: 4 << 20,
    };

    /// A push, as the service advertises it.
    pub(crate) fn push(limits: &Limits) -> Self {
        let bytes = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            sent: bytes(limits.push_bytes),
            raw: bytes(limits.push_bytes_raw),
        }
    }
}

/// A JSON body, read or answered. Members that `T` does not know are ignored.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let limits = request
            .extensions()
            .get::<BodyLimits>()
            .copied()
            .unwrap_or(BodyLimits::AUTH);
        let compressed = is_compressed(request.headers())?;
        let sent = read(request.into_body(), limits.sent).await?;
        let raw = if compressed {
            decompress(&sent, limits.raw)?
        } else {
            sent
        };
        parse(&raw).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(json) => (
                [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
                json,
            )
                .into_response(),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

/// Whether the sender of `headers` reads zstd.
pub(crate) fn accepts_zstd(headers: &HeaderMap) -> bool {
    let names = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    names.split(',').any(|name| {
        let (name, parameters) = name.split_once(';').unwrap_or((name, ""));
        name.trim() == "zstd" && parameters.replace(' ', "") != "q=0"
    })
}

/// `response` with its body compressed, when that is worth it.
pub(crate) async fn compress(response: Response) -> Result<Response, ApiError> {
    if is_octets(response.headers()) {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(ApiError::internal)?;
    if bytes.len() < WORTH_COMPRESSING {
        return Ok(Response::from_parts(parts, Body::from(bytes)));
    }
    let packed = zstd::bulk::compress(&bytes, 1).map_err(ApiError::internal)?;
    parts
        .headers
        .insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(packed.len()));
    Ok(Response::from_parts(parts, Body::from(packed)))
}

/// Whether the body is a ciphertext, which does not become smaller.
fn is_octets(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/octet-stream")
}

fn is_compressed(headers: &HeaderMap) -> Result<bool, ApiError> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"zstd") => Ok(true),
        Some(_) => Err(WireErrorCode::UnsupportedEncoding.into()),
    }
}

/// Reads a body of at most `limit` bytes. What comes beyond is read and thrown away up to four times the limit, because a caller that is
/// still writing does not read the refusal.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut size = 0_usize;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|cause| ApiError::new(WireErrorCode::Malformed).caused_by(cause))?;
        size += chunk.len();
        if size <= limit {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
            if size > limit.saturating_mul(4) {
                break;
            }
        }
    }
    if size > limit {
        Err(WireErrorCode::TooLarge.into())
    } else {
        Ok(bytes.into())
    }
}

fn decompress(sent: &[u8], limit: usize) -> Result<Bytes, ApiError> {
    let malformed = |cause: std::io::Error| ApiError::new(WireErrorCode::Malformed).caused_by(cause);
    let mut decoder = zstd::stream::read::Decoder::new(sent).map_err(malformed)?;
    decoder.window_log_max(MAX_WINDOW_LOG).map_err(malformed)?;
    let mut raw = Vec::new();
    decoder
        .take(limit as u64 + 1)
        .read_to_end(&mut raw)
        .map_err(malformed)?;
    if raw.len() > limit {
        Err(WireErrorCode::TooLarge.into())
    } else {
        Ok(raw.into())
    }
}

fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, ApiError> {
    let text = std::str::from_utf8(raw).map_err(|cause| ApiError::new(WireErrorCode::Malformed).caused_by(cause))?;
    if depth(text) > MAX_DEPTH {
        return Err(WireErrorCode::Malformed.into());
    }
    // The parser's message can quote the body, so it is not kept as a cause; where it stopped is enough for the log.
    serde_json::from_str(text).map_err(|error| {
        ApiError::new(WireErrorCode::Malformed).caused_by(NotThisMessage {
            line: error.line(),
            column: error.column(),
        })
    })
}

#[derive(Debug, thiserror::Error)]
#[error("the body is not the message that is expected here (line {line}, column {column})")]
struct NotThisMessage {
    line: usize,
    column: usize,
}

/// How deep arrays and objects are nested.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json.bytes() {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'[' | b'{') => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(result: Result<T, ApiError>) -> Option<WireErrorCode> {
        result.err().map(|error| error.code())
    }

    #[test]
    fn nesting_is_counted_outside_of_texts_only() {
        for (json, expected) in [
            ("{}", 1),
            (r#"{"a":[[1]]}"#, 3),
            (r#"{"[[[":"\"[["}"#, 1),
            ("1", 0),
            (r#""\\""#, 0),
        ] {
            assert_eq!(depth(json), expected, "{json}");
        }
    }

    #[test]
    fn a_body_nested_too_deeply_is_malformed_before_it_is_parsed() {
        let json = format!("{}{}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        assert_eq!(
            code(parse::<serde_json::Value>(json.as_bytes())),
            Some(WireErrorCode::Malformed)
        );
    }

    #[test]
    fn what_is_not_utf_8_json_is_malformed() {
        for body in [&b"{\"a\":\"\xff\"}"[..], b"{", b"", b"{} {}", b"nonsense"] {
            assert_eq!(code(parse::<serde_json::Value>(body)), Some(WireErrorCode::Malformed));
        }
    }

    #[test]
    fn decompression_stops_at_the_limit_and_refuses_damage() {
        let bomb = zstd::bulk::compress(&vec![b' '; 1 << 20], 19).unwrap();
        assert!(bomb.len() < 1_000, "the bomb is small as sent");
        assert_eq!(code(decompress(&bomb, 1 << 10)), Some(WireErrorCode::TooLarge));
        assert_eq!(
            decompress(&bomb, 1 << 20).unwrap().len(),
            1 << 20,
            "the limit itself is allowed"
        );
        assert_eq!(
            code(decompress(&bomb[..bomb.len() / 2], 1 << 20)),
            Some(WireErrorCode::Malformed)
        );
        assert_eq!(
            code(decompress(b"no zstd at all", 1 << 20)),
            Some(WireErrorCode::Malformed)
        );
    }

    #[test]
    fn zstd_is_used_only_for_who_accepts_it() {
        let accepts = |value: &'static str| {
            accepts_zstd(&HeaderMap::from_iter([(
                header::ACCEPT_ENCODING,
                HeaderValue::from_static(value),
            )]))
        };
        assert!(accepts("gzip, zstd") && accepts("zstd;q=0.5"));
        assert!(!accepts("gzip") && !accepts("zstd; q=0") && !accepts_zstd(&HeaderMap::new()));
    }
}
