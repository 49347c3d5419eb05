//! Taking a computer out of the practice: whoever was signed in on it is no more, and nobody signs in on it again.

use caseload_protocol::auth::{Done, RevokeDeviceRequest};
use caseload_protocol::messages::WireErrorCode;

use super::Caller;
use crate::error::ApiError;
use crate::state::App;

/// Revokes a computer, for an administrator on another one: whoever may do it keeps a computer to do it from. Doing it twice is once.
pub(super) async fn revoke(app: &App, caller: &Caller, request: &RevokeDeviceRequest) -> Result<Done, ApiError> {
    caller.own(request.practice)?;
    if !caller.admin || request.device == caller.device {
        return Err(WireErrorCode::Forbidden.into());
    }
    if !app.storage.revoke_device(caller.practice, request.device).await? {
        return Err(WireErrorCode::NotFound.into());
    }
    tracing::info!(practice = %caller.practice, by = %caller.user, device = %request.device, "a computer was revoked");
    Ok(Done {})
}
