//! Enrolments: who may join was signed by somebody entitled; the service keeps that for ten minutes and lets it be used once.

use std::net::IpAddr;

use caseload_domain::PracticeId;
use caseload_protocol::auth::{Done, MintRequest, OpenEnrolmentRequest, OpenEnrolmentResponse, RedeemRequest};
use caseload_protocol::messages::WireErrorCode;
use caseload_vault::PublicKey;
use caseload_vault::certificates::{
    AdminCertificate, Authorisation, Chain, ChainError, Signed, VerifiedUser, verify_chain,
};
use caseload_vault::enrolment::LIFETIME_MS;
use serde::Deserialize as _;

use super::claim::records;
use super::sessions::unknown_is_none;
use super::{Caller, text};
use crate::error::ApiError;
use crate::state::App;
use crate::storage::{Enrolment, KeptEnrolment, Practice, RedeemError};

/// Leaves an enrolment at the service.
pub(super) async fn mint(app: &App, caller: &Caller, request: MintRequest) -> Result<Done, ApiError> {
    let authorisation: Signed<Authorisation> = text::read(&request.authorisation)?;
    text::check_name(&request.user_name)?;
    let practice = app
        .storage
        .practice(caller.practice)
        .await?
        .ok_or(WireErrorCode::NotFound)?;
    check_entitled(app, caller, &practice, &request, &authorisation).await?;
    let stated = authorisation.statement();
    caller.own(stated.practice)?;
    if stated.enrolment.to_string() != request.id {
        return Err(WireErrorCode::Malformed.into());
    }
    let now_ms = app.now_ms();
    // A device whose clock runs ahead cannot make a code that lives longer.
    let expires_ms = request
        .expires_ms
        .min(stated.expires_at_ms)
        .min(now_ms.saturating_add(LIFETIME_MS));
    if expires_ms <= now_ms {
        return Err(WireErrorCode::CodeExpired.into());
    }
    let enrolment = Enrolment {
        user: stated.user,
        role: stated.role,
        admin: stated.admin,
        id: request.id,
        authorisation: request.authorisation,
        admin_certificate: request.admin_certificate,
        sealed_bundle: request.sealed_bundle,
        user_name: request.user_name,
        expires_ms,
    };
    app.storage.put_enrolment(caller.practice, &enrolment).await?;
    tracing::info!(practice = %caller.practice, by = %caller.user, user = %enrolment.user, "an enrolment was left");
    Ok(Done {})
}

/// The authorisation must be signed by the practice root or by a certified administrator, and then be left by an administrator, that same one
/// if there is a certificate; or it is a person's own, for her next computer and with no more rights than she has.
async fn check_entitled(
    app: &App,
    caller: &Caller,
    practice: &Practice,
    request: &MintRequest,
    authorisation: &Signed<Authorisation>,
) -> Result<(), ApiError> {
    let stated = authorisation.statement();
    if !request.admin_certificate.is_null() {
        let certificate: Signed<AdminCertificate> = text::read(&request.admin_certificate)?;
        let admin = certificate.verify(&practice.root_key).map_err(text::chain_invalid)?;
        authorisation.verify(&admin.public_key).map_err(text::chain_invalid)?;
        let same_person = admin.practice == caller.practice && admin.user == caller.user && caller.admin;
        return if admin.may_enrol && same_person {
            Ok(())
        } else {
            Err(WireErrorCode::Forbidden.into())
        };
    }
    if authorisation.verify(&practice.root_key).is_ok() {
        return if caller.admin {
            Ok(())
        } else {
            Err(WireErrorCode::Forbidden.into())
        };
    }
    let own_key = app
        .storage
        .account(caller.practice, caller.user)
        .await?
        .map(|account| account.public_key);
    let own_key: PublicKey = own_key.ok_or(WireErrorCode::AuthExpired)?;
    authorisation.verify(&own_key).map_err(text::chain_invalid)?;
    let own = stated.user == caller.user && stated.role == caller.role && (caller.admin || !stated.admin);
    if own {
        Ok(())
    } else {
        Err(WireErrorCode::Forbidden.into())
    }
}

/// Shows a joiner what is needed to make keys. Does not use the code up.
pub(super) async fn open(
    app: &App,
    peer: IpAddr,
    request: &OpenEnrolmentRequest,
) -> Result<OpenEnrolmentResponse, ApiError> {
    let (practice, enrolment) = find(app, peer, request.practice, &request.id).await?;
    if app.now_ms() >= enrolment.expires_ms {
        return Err(WireErrorCode::CodeExpired.into());
    }
    Ok(OpenEnrolmentResponse {
        practice_name: practice.name,
        root_key: practice.root_key.to_string(),
        authorisation: enrolment.authorisation,
        admin_certificate: enrolment.admin_certificate,
        sealed_bundle: enrolment.sealed_bundle,
        user: enrolment.user,
        user_name: enrolment.user_name,
        role: enrolment.role,
        admin: enrolment.admin,
    })
}

/// Registers the joiner and her computer, exactly once for each code. Role and rights are those of the authorisation.
pub(super) async fn redeem(app: &App, peer: IpAddr, request: &RedeemRequest) -> Result<Done, ApiError> {
    let chain = text::read_chain(&request.chain)?;
    text::check_name(&request.device_name)?;
    let (practice, enrolment) = find(app, peer, request.practice, &request.id).await?;
    let now_ms = app.now_ms();
    let joiner = verify_joiner(&practice, &enrolment, &chain, now_ms).map_err(|error| {
        // Whoever has the id half alone tries key halves here.
        app.wrong_enrolment_codes.count((request.practice, peer), now_ms);
        text::chain_invalid(error)
    })?;
    let (mut account, device) = records(&joiner, request.device_name.clone());
    if let Some(known) = app.storage.account(request.practice, joiner.user).await? {
        // A person's next computer takes no right from her that its code did not name.
        account.admin |= known.admin && known.public_key == account.public_key;
    }
    app.storage
        .redeem_enrolment(request.practice, &request.id, &account, &device, now_ms)
        .await?;
    tracing::info!(practice = %request.practice, user = %joiner.user, device = %joiner.device, "joined");
    Ok(Done {})
}

/// The chain must lead from the practice's root over the very authorisation that was left here.
fn verify_joiner(
    practice: &Practice,
    enrolment: &Enrolment,
    chain: &Chain,
    now_ms: i64,
) -> Result<VerifiedUser, ChainError> {
    let joiner = verify_chain(&practice.root_key, chain, Some(now_ms))?;
    let left = Signed::<Authorisation>::deserialize(&enrolment.authorisation).ok();
    if joiner.practice != practice.practice || left.is_none() || chain.authorisation != left {
        return Err(ChainError::EnrolmentDiffers);
    }
    Ok(joiner)
}

/// A code that is open at a practice. Wrong ones are counted, so that nobody tries many.
async fn find(app: &App, peer: IpAddr, practice: PracticeId, id: &str) -> Result<(Practice, Enrolment), ApiError> {
    let now_ms = app.now_ms();
    app.wrong_enrolment_codes
        .check(&(practice, peer), now_ms)
        .map_err(ApiError::too_many)?;
    let known = unknown_is_none(app.storage.practice(practice).await)?;
    let kept = match known {
        Some(_) => unknown_is_none(app.storage.enrolment(practice, id).await)?,
        None => None,
    };
    match (known, kept) {
        (Some(known), Some(KeptEnrolment { enrolment, used: false })) => Ok((known, enrolment)),
        _ => {
            app.wrong_enrolment_codes.count((practice, peer), now_ms);
            Err(WireErrorCode::CodeUnknown.into())
        }
    }
}

impl From<RedeemError> for ApiError {
    fn from(error: RedeemError) -> Self {
        match error {
            RedeemError::Unknown | RedeemError::AlreadyUsed => WireErrorCode::CodeUnknown.into(),
            RedeemError::Expired => WireErrorCode::CodeExpired.into(),
            RedeemError::AccountDiffers | RedeemError::DeviceDiffers => {
                Self::new(WireErrorCode::ChainInvalid).caused_by(error)
            }
            RedeemError::Storage(error) => error.into(),
        }
    }
}
