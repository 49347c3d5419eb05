//! Claiming: a practice that was created offline is published to a service that has none, once.

use std::net::IpAddr;

use caseload_protocol::auth::{ClaimRequest, Done};
use caseload_protocol::messages::WireErrorCode;
use caseload_vault::PublicKey;
use caseload_vault::certificates::{VerifiedUser, verify_chain};

use super::sessions::unknown_is_none;
use super::{text, tokens};
use crate::error::ApiError;
use crate::state::App;
use crate::storage::{Account, ClaimError, Device, NewPractice};

/// Publishes a practice. Whoever has the setup code decides which one; the chain shows that the practice's root vouches for this computer.
pub(super) async fn claim(app: &App, peer: IpAddr, request: ClaimRequest) -> Result<Done, ApiError> {
    let root_key: PublicKey = text::read_text(&request.root_key)?;
    let chain = text::read_chain(&request.chain)?;
    text::check_name(&request.practice_name)?;
    text::check_name(&request.device_name)?;
    let owner = verify_chain(&root_key, &chain, None).map_err(text::chain_invalid)?;
    if chain.authorisation.is_some() || owner.practice != request.practice {
        return Err(WireErrorCode::ChainInvalid.into());
    }
    let _one_at_a_time = app.claiming.lock().await;
    if app.storage.any_practice().await? {
        return claimed_already(app, &request, &root_key, &owner).await;
    }
    check_code(app, peer, &request.setup_code)?;
    let practice = NewPractice {
        practice: request.practice,
        name: request.practice_name,
        root_key,
        epoch: tokens::make(),
    };
    let (account, device) = records(&owner, request.device_name);
    app.storage.claim(&practice, &account, &device).await?;
    app.setup_code.remove().map_err(ApiError::internal)?;
    tracing::info!(practice = %practice.practice, device = %device.device, "the practice was claimed");
    Ok(Done {})
}

/// The same claim once more is what a computer sends whose answer was lost; every other one comes too late.
async fn claimed_already(
    app: &App,
    request: &ClaimRequest,
    root_key: &PublicKey,
    owner: &VerifiedUser,
) -> Result<Done, ApiError> {
    let practice = unknown_is_none(app.storage.practice(request.practice).await)?;
    if practice.is_none_or(|practice| practice.root_key != *root_key) {
        return Err(WireErrorCode::AlreadyClaimed.into());
    }
    let device = app.storage.device(request.practice, owner.device).await?;
    let account = app.storage.account(request.practice, owner.user).await?;
    let same = device.is_some_and(|device| device.public_key == owner.device_key && device.users.contains(&owner.user))
        && account.is_some_and(|account| account.public_key == owner.user_key);
    if same {
        Ok(Done {})
    } else {
        Err(WireErrorCode::AlreadyClaimed.into())
    }
}

fn check_code(app: &App, peer: IpAddr, typed: &str) -> Result<(), ApiError> {
    let now_ms = app.now_ms();
    app.wrong_setup_codes.check(&peer, now_ms).map_err(ApiError::too_many)?;
    if app.setup_code.matches(typed).map_err(ApiError::internal)? {
        return Ok(());
    }
    app.wrong_setup_codes.count(peer, now_ms);
    Err(WireErrorCode::CodeUnknown.into())
}

/// What is kept of a verified person on a computer.
pub(super) fn records(verified: &VerifiedUser, device_name: String) -> (Account, Device) {
    let account = Account {
        user: verified.user,
        role: verified.role,
        admin: verified.admin,
        public_key: verified.user_key,
    };
    let device = Device {
        device: verified.device,
        public_key: verified.device_key,
        name: device_name,
        users: vec![verified.user],
        revoked: false,
    };
    (account, device)
}

impl From<ClaimError> for ApiError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::AlreadyClaimed => WireErrorCode::AlreadyClaimed.into(),
            ClaimError::Storage(error) => error.into(),
        }
    }
}
