//! Why talking to the service did not succeed.

use caseload_protocol::messages::WireErrorCode;
use thiserror::Error;

/// Why one exchange with the service failed. The outbox is untouched by any of them.
#[derive(Debug, Error)]
pub enum TransportError {
    /// The service cannot be reached, or the connection broke: the answer is unknown and the same bytes are sent again later.
    #[error("the service cannot be reached")]
    Unreachable(#[source] Option<reqwest::Error>),
    /// The certificate of the service does not lead to the authority that the invitation named.
    #[error("the service is not the one that the invitation named")]
    WrongPin,
    /// The service answered with a refusal.
    #[error("the service refused: {code:?}")]
    Refused {
        /// The code.
        code: WireErrorCode,
        /// After how many milliseconds trying again makes sense.
        retry_after_ms: Option<u64>,
    },
    /// The answer is not one of the protocol.
    #[error("the answer of the service cannot be read")]
    Unreadable,
    /// The address cannot be used.
    #[error("the address of the service cannot be used")]
    Address,
}

impl TransportError {
    /// The refusal's code, if the service answered with one.
    #[must_use]
    pub const fn code(&self) -> Option<WireErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later without any change.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { code, .. } => code.is_retryable(),
            Self::WrongPin | Self::Unreadable | Self::Address => false,
        }
    }
}
