//! Push: verify who stands behind each group, then let the storage decide and write in one transaction.

use std::sync::Arc;

use caseload_domain::canonical::MAX_INTEGER;
use caseload_protocol::cursor::Moment;
use caseload_protocol::decide::DecideLimits;
use caseload_protocol::messages::{Group, PushRequest, PushResponse, WireErrorCode};

use super::pull;
use super::verify::Verifier;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;
use crate::storage::{PushBatch, PushError};

/// Makes the changes of one push. The session only transports: what an operation may do follows from the actor of its group.
pub(super) async fn push(app: &App, caller: &Caller, request: PushRequest) -> Result<PushResponse, ApiError> {
    caller.own(request.practice)?;
    let operations = request.groups.iter().map(|group| group.ops.len()).sum::<usize>();
    if operations > app.limits.push_ops as usize || request.groups.len() > app.limits.push_ops as usize {
        return Err(WireErrorCode::TooLarge.into());
    }
    if !request.groups.iter().all(is_well_formed) {
        return Err(WireErrorCode::Malformed.into());
    }
    let (replica, fits, verifier) = tokio::join!(
        caller.replica(app, request.replica),
        fits(app, caller, request.known.as_ref()),
        Verifier::for_groups(app, caller.practice, &request.groups)
    );
    let replica = replica?;
    if !fits? {
        return Err(WireErrorCode::HistoryDiverged.into());
    }
    let groups = verifier?.verify(request.groups).await?;
    let batch = PushBatch {
        replica: replica.replica,
        epoch: request.epoch,
        known: request.known.map(|known| known.seq),
        groups: Arc::from(groups),
    };
    let limits = DecideLimits {
        doc_bytes: usize::try_from(app.limits.doc_bytes).unwrap_or(usize::MAX),
    };
    let answer = app.storage.push(caller.practice, batch, limits).await?;
    app.metrics.operations(answer.results.len());
    Ok(PushResponse {
        results: answer.results,
        epoch: answer.epoch,
        head_seq: answer.head_seq,
    })
}

/// Whether this history was in the newest state that the device knows. If it was not, the revisions in the operations are of other rows.
async fn fits(app: &App, caller: &Caller, known: Option<&Moment>) -> Result<bool, ApiError> {
    match known {
        None => Ok(true),
        Some(moment) => pull::remembers(app, caller.practice, moment).await,
    }
}

/// Numbers lie where adding to them cannot overflow and every reader keeps them exactly.
fn is_well_formed(group: &Group) -> bool {
    let exact = |number: i64, least: i64| (least..MAX_INTEGER).contains(&number);
    exact(group.first_mut, 1)
        && exact(group.origin_mut, 1)
        && !group.ops.is_empty()
        && group
            .ops
            .iter()
            .all(|op| exact(op.base_rev, 0) && exact(op.client_ts, -MAX_INTEGER))
}

impl From<PushError> for ApiError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::UnknownReplica => WireErrorCode::NotFound.into(),
            PushError::EpochChanged => WireErrorCode::EpochChanged.into(),
            PushError::MutationGap => WireErrorCode::MutationGap.into(),
            PushError::DeviceForked => WireErrorCode::DeviceForked.into(),
            PushError::Storage(error) => error.into(),
        }
    }
}
