//! Registering the files that sync.

use caseload_protocol::auth::{RegisterReplicaRequest, RegisterReplicaResponse, ReplicaKind};
use caseload_protocol::messages::WireErrorCode;

use super::Caller;
use crate::error::ApiError;
use crate::state::App;
use crate::storage::{NewReplica, RegisterError};

/// Registers a file of the caller's computer. Clinical ones are for clinicians, and continue only a file of the same person.
pub(super) async fn register(
    app: &App,
    caller: &Caller,
    request: &RegisterReplicaRequest,
) -> Result<RegisterReplicaResponse, ApiError> {
    if request.kind == ReplicaKind::Clinical && !caller.role.is_clinical() {
        return Err(WireErrorCode::Forbidden.into());
    }
    if let Some(replaced) = request.replaces {
        // One that the service does not know is what is left after the service was restored from an older backup.
        if let Some(known) = app.storage.replica(caller.practice, replaced).await? {
            caller.check_replica(&known)?;
        }
    }
    let replica = NewReplica {
        replica: request.replica,
        kind: request.kind,
        device: caller.device,
        user: caller.user,
        replaces: request.replaces,
    };
    let number = app.storage.register_replica(caller.practice, &replica).await?;
    Ok(RegisterReplicaResponse { number })
}

impl From<RegisterError> for ApiError {
    fn from(error: RegisterError) -> Self {
        match error {
            RegisterError::OtherOwner => WireErrorCode::Forbidden.into(),
            RegisterError::Storage(error) => error.into(),
        }
    }
}
