//! The one refusal of the HTTP surface. Handlers answer `Result<_, ApiError>`; what a caller reads is a code and a request id, nothing else.

use std::error::Error;
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use caseload_protocol::messages::{ErrorBody, WireError, WireErrorCode};

/// A refusal, with the cause for the log.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    code: WireErrorCode,
    status: StatusCode,
    retry_after_ms: Option<u64>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// A refusal whose code says everything.
    pub(crate) const fn new(code: WireErrorCode) -> Self {
        Self {
            code,
            status: status_of(code),
            retry_after_ms: None,
            cause: None,
        }
    }

    /// This caller asks too often.
    pub(crate) const fn too_many(retry_after_ms: u64) -> Self {
        let mut refusal = Self::new(WireErrorCode::Busy);
        refusal.retry_after_ms = Some(retry_after_ms);
        refusal
    }

    /// The range that was asked for lies beyond the end.
    pub(crate) const fn beyond_the_end() -> Self {
        let mut refusal = Self::new(WireErrorCode::Malformed);
        refusal.status = StatusCode::RANGE_NOT_SATISFIABLE;
        refusal
    }

    /// The service itself has too much to do.
    pub(crate) const fn overloaded() -> Self {
        let mut refusal = Self::too_many(1_000);
        refusal.status = StatusCode::SERVICE_UNAVAILABLE;
        refusal
    }

    /// Something unexpected happened; the cause goes to the log.
    pub(crate) fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(WireErrorCode::Internal).caused_by(cause)
    }

    /// Adds what the log should say.
    pub(crate) fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// The code.
    pub(crate) const fn code(&self) -> WireErrorCode {
        self.code
    }

    /// The cause with its own causes, for the log.
    pub(crate) fn cause_chain(&self) -> Option<String> {
        let mut text = self.cause.as_ref()?.to_string();
        let mut source = self.cause.as_ref()?.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Some(text)
    }

    /// The answer that the caller reads.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let body = ErrorBody {
            error: WireError {
                code: self.code,
                request_id: request_id.to_owned(),
                retry_after_ms: self.retry_after_ms,
            },
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, "application/json")], json).into_response();
        if let Some(retry_after_ms) = self.retry_after_ms {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1_000)));
        }
        response
    }
}

impl IntoResponse for ApiError {
    /// Leaves the refusal for the outermost layer, which knows the request id and calls [`ApiError::render`].
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<WireErrorCode> for ApiError {
    fn from(code: WireErrorCode) -> Self {
        Self::new(code)
    }
}

const fn status_of(code: WireErrorCode) -> StatusCode {
    match code {
        WireErrorCode::Malformed => StatusCode::BAD_REQUEST,
        WireErrorCode::AuthExpired | WireErrorCode::AuthFailed => StatusCode::UNAUTHORIZED,
        WireErrorCode::Forbidden
        | WireErrorCode::DeviceRevoked
        | WireErrorCode::ForeignPractice
        | WireErrorCode::ChainInvalid => StatusCode::FORBIDDEN,
        WireErrorCode::CodeUnknown | WireErrorCode::NotFound => StatusCode::NOT_FOUND,
        WireErrorCode::AlreadyClaimed
        | WireErrorCode::MutationGap
        | WireErrorCode::DeviceForked
        | WireErrorCode::WrongOffset
        | WireErrorCode::WrongHash => StatusCode::CONFLICT,
        WireErrorCode::CodeExpired
        | WireErrorCode::CursorTooOld
        | WireErrorCode::EpochChanged
        | WireErrorCode::HistoryDiverged => StatusCode::GONE,
        WireErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        WireErrorCode::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        WireErrorCode::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
        WireErrorCode::Busy => StatusCode::TOO_MANY_REQUESTS,
        WireErrorCode::StorageUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        WireErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
