//! Hello: does the device's memory fit the service's?

use caseload_protocol::cursor::Cursor;
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::messages::{HelloAction, HelloRequest, HelloResponse, LastOp, WireErrorCode};
use caseload_protocol::{OLDEST_PROTOCOL, PROTOCOL_VERSION};

use super::pull;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;

/// The oldest writer whose documents are accepted.
const MIN_WRITER: u32 = 1;

/// Says what a device has to do before it goes on.
pub(super) async fn hello(app: &App, caller: &Caller, request: &HelloRequest) -> Result<HelloResponse, ApiError> {
    caller.own(request.practice)?;
    if request.device != caller.device {
        return Err(WireErrorCode::Forbidden.into());
    }
    if request.proto > PROTOCOL_VERSION {
        return Err(WireErrorCode::UpgradeRequired.into());
    }
    let mut greeting = Greeting::of(app, caller, request).await?;
    if !matches!(greeting.action, HelloAction::Ok | HelloAction::Upgrade) {
        app.storage.catch_up(caller.practice).await?;
        greeting = Greeting::of(app, caller, request).await?;
    }
    let Greeting { action, last_op, head } = greeting;
    let server_time_ms = app.now_ms();
    tracing::info!(
        practice = %caller.practice, device = %caller.device, replica = %request.replica, ?action,
        skew_ms = server_time_ms.saturating_sub(request.time_ms), "hello"
    );
    Ok(HelloResponse {
        action,
        epoch: head.epoch,
        head_seq: head.seq,
        gc_floor: head.gc_floor,
        last_op,
        server_time_ms,
        min_writer: MIN_WRITER,
        limits: app.limits.clone(),
        features: vec!["zstd".to_owned()],
    })
}

/// What a device has to do, and what that follows from.
struct Greeting {
    action: HelloAction,
    last_op: Option<LastOp>,
    head: PracticeHead,
}

impl Greeting {
    async fn of(app: &App, caller: &Caller, request: &HelloRequest) -> Result<Self, ApiError> {
        let replica = app.storage.replica(caller.practice, request.replica).await?;
        if let Some(replica) = &replica {
            caller.check_replica(replica)?;
        }
        let head = app
            .storage
            .head(caller.practice)
            .await?
            .ok_or(WireErrorCode::NotFound)?;
        let last_op = replica.as_ref().and_then(|replica| replica.last_op.clone());
        let action = if request.proto < OLDEST_PROTOCOL {
            HelloAction::Upgrade
        } else if !fits(app, caller, request.cursor.as_ref(), &head).await? {
            HelloAction::Resync
        } else if replica.is_none() || !continues(request, last_op.as_ref()) {
            HelloAction::Reregister
        } else {
            HelloAction::Ok
        };
        Ok(Self { action, last_op, head })
    }
}

async fn fits(app: &App, caller: &Caller, cursor: Option<&Cursor>, head: &PracticeHead) -> Result<bool, ApiError> {
    match cursor {
        None => Ok(true),
        Some(cursor) => Ok(pull::refusal_of(app, caller.practice, cursor, head).await?.is_none()),
    }
}

/// Whether the replica's mutation numbers can go on from what the service has. The service may know more than the device saw acknowledged (a
/// lost answer), but never more than the device ever made.
fn continues(request: &HelloRequest, known: Option<&LastOp>) -> bool {
    match (&request.last_op, known) {
        (None, None) => true,
        (None, Some(known)) => known.number < request.next_mut,
        (Some(_), None) => false,
        (Some(said), Some(known)) if said.number == known.number => said.op_id == known.op_id,
        (Some(said), Some(known)) => said.number < known.number && known.number < request.next_mut,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use caseload_domain::{DeviceId, OpId, PracticeId, ReplicaId};
    use uuid::Uuid;

    use super::*;

    fn op(number: i64, id: u128) -> Option<LastOp> {
        Some(LastOp {
            number,
            op_id: OpId::new(Uuid::from_u128(id)),
        })
    }

    #[test]
    fn a_device_goes_on_unless_it_was_restored_or_cloned() {
        let cases = [
            ("both new", None, 1, None, true),
            ("nothing sent yet", None, 4, None, true),
            ("the first answer was lost", None, 4, op(3, 30), true),
            ("restored to before its first push", None, 1, op(3, 30), false),
            ("equal", op(3, 30), 4, op(3, 30), true),
            ("an answer was lost", op(3, 30), 6, op(5, 50), true),
            (
                "restored: the service has what the device no longer made",
                op(3, 30),
                5,
                op(5, 50),
                false,
            ),
            (
                "cloned: the same number for another change",
                op(3, 31),
                4,
                op(3, 30),
                false,
            ),
            ("the service was restored", op(5, 50), 6, op(3, 30), false),
            ("the service forgot everything", op(5, 50), 6, None, false),
        ];
        for (name, last_op, next_mut, known, expected) in cases {
            let request = HelloRequest {
                proto: 1,
                app: String::new(),
                schema: BTreeMap::new(),
                practice: PracticeId::new(Uuid::nil()),
                device: DeviceId::new(Uuid::nil()),
                replica: ReplicaId::new(Uuid::nil()),
                last_op,
                next_mut,
                cursor: None,
                time_ms: 0,
            };
            assert_eq!(continues(&request, known.as_ref()), expected, "{name}");
        }
    }
}
