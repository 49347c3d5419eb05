//! Reading what requests carry as text or opaque JSON.

use caseload_protocol::messages::WireErrorCode;
use caseload_vault::certificates::{Chain, ChainError};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ApiError;

/// Names are one line of at most this many characters.
const LONGEST_NAME: usize = 200;

/// Reads a key, signature or statement; everything else is malformed.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, ApiError> {
    // The reader's message could quote the value, so it is no cause for the log.
    T::deserialize(value).map_err(|_| WireErrorCode::Malformed.into())
}

/// Reads a key or signature.
pub(super) fn read_text<T: DeserializeOwned>(text: &str) -> Result<T, ApiError> {
    read(&Value::from(text))
}

/// Reads a certificate chain; what is none cannot verify.
pub(super) fn read_chain(value: &Value) -> Result<Chain, ApiError> {
    Chain::deserialize(value).map_err(|_| WireErrorCode::ChainInvalid.into())
}

/// Checks a name that people will read.
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(WireErrorCode::Malformed.into());
    }
    Ok(())
}

/// A chain that does not verify.
pub(super) fn chain_invalid(cause: ChainError) -> ApiError {
    let code = if cause == ChainError::Expired {
        WireErrorCode::CodeExpired
    } else {
        WireErrorCode::ChainInvalid
    };
    ApiError::new(code).caused_by(cause)
}
