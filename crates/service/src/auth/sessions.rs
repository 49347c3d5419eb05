//! Signing in: computer and person sign a challenge; tokens are opaque, short-lived and rotate.

use caseload_domain::PracticeId;
use caseload_protocol::auth::{
    ChallengeRequest, ChallengeResponse, RefreshRequest, SessionRequest, SessionResponse, session_bytes,
};
use caseload_protocol::messages::WireErrorCode;
use caseload_vault::Signature;

use super::{text, tokens};
use crate::error::ApiError;
use crate::state::App;
use crate::storage::{Rotation, Session, StorageError, Tokens};

/// Gives something to sign. Whether the computer is known shows only when the signature is checked.
pub(super) fn challenge(app: &App, request: &ChallengeRequest) -> Result<ChallengeResponse, ApiError> {
    let nonce = app
        .nonces
        .issue(request.practice, request.device, app.now_ms())
        .ok_or_else(ApiError::overloaded)?;
    Ok(ChallengeResponse { nonce })
}

/// Opens a session for a computer and a person who both signed the challenge.
pub(super) async fn open(app: &App, request: &SessionRequest) -> Result<SessionResponse, ApiError> {
    let device_sig: Signature = text::read_text(&request.device_sig)?;
    let user_sig: Signature = text::read_text(&request.user_sig)?;
    let SessionRequest {
        practice, device, user, ..
    } = *request;
    if !app.nonces.take(&request.nonce, practice, device, app.now_ms()) {
        return Err(WireErrorCode::AuthFailed.into());
    }
    let known_device = unknown_is_none(app.storage.device(practice, device).await)?.ok_or(WireErrorCode::AuthFailed)?;
    let account = app
        .storage
        .account(practice, user)
        .await?
        .ok_or(WireErrorCode::AuthFailed)?;
    let signed = session_bytes(practice, device, user, &request.nonce);
    let verified = known_device.public_key.verify(&signed, &device_sig).is_ok()
        && account.public_key.verify(&signed, &user_sig).is_ok();
    if !verified || !known_device.users.contains(&user) {
        return Err(WireErrorCode::AuthFailed.into());
    }
    if known_device.revoked {
        return Err(WireErrorCode::DeviceRevoked.into());
    }
    let session = Session {
        family: tokens::make(),
        practice,
        user,
        device,
    };
    let pair = Pair::make(app, practice);
    // It may have been revoked since it was looked at.
    if !app.storage.put_session(&session, &pair.kept).await? {
        return Err(WireErrorCode::DeviceRevoked.into());
    }
    tracing::info!(%practice, %device, %user, "signed in");
    Ok(pair.answer)
}

/// Exchanges a refresh token. Using one twice ends the session, because one of the two users stole it.
pub(super) async fn refresh(app: &App, request: &RefreshRequest) -> Result<SessionResponse, ApiError> {
    let practice = tokens::practice(&request.refresh).ok_or(WireErrorCode::AuthFailed)?;
    let pair = Pair::make(app, practice);
    let old = tokens::hash(&request.refresh);
    match unknown_is_none(
        app.storage
            .rotate_session(practice, &old, &pair.kept, app.now_ms())
            .await
            .map(Some),
    )? {
        Some(Rotation::Rotated(_)) => Ok(pair.answer),
        Some(Rotation::Reused) => {
            tracing::warn!(%practice, "a refresh token was used twice; its session has ended");
            Err(WireErrorCode::AuthFailed.into())
        }
        Some(Rotation::Unknown | Rotation::Expired) | None => Err(WireErrorCode::AuthFailed.into()),
    }
}

/// A caller who is not signed in learns nothing about which practices there are.
pub(super) fn unknown_is_none<T>(read: Result<Option<T>, StorageError>) -> Result<Option<T>, StorageError> {
    match read {
        Err(StorageError::UnknownPractice) => Ok(None),
        read => read,
    }
}

/// New tokens: what the caller gets and what is kept of them.
struct Pair {
    answer: SessionResponse,
    kept: Tokens,
}

impl Pair {
    fn make(app: &App, practice: PracticeId) -> Self {
        let now_ms = app.now_ms();
        let (access, refresh) = (tokens::make_for(practice), tokens::make_for(practice));
        let kept = Tokens {
            access: tokens::hash(&access),
            access_expires_ms: now_ms + tokens::ACCESS_MS,
            refresh: tokens::hash(&refresh),
            refresh_expires_ms: now_ms + tokens::REFRESH_MS,
        };
        let answer = SessionResponse {
            access,
            refresh,
            expires_ms: kept.access_expires_ms,
            server_time_ms: now_ms,
        };
        Self { answer, kept }
    }
}
