//! Who stands behind a request: read from the token and the account, never from the body.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::header;
use axum::http::request::Parts;
use caseload_domain::{DeviceId, PracticeId, ReplicaId, Role, UserId};
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::messages::WireErrorCode;

use super::tokens;
use crate::error::ApiError;
use crate::routes::WAIT;
use crate::state::{App, Shared};
use crate::storage::Replica;

/// A signed-in person on a computer. Extracting it is what makes a route need a session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caller {
    /// The practice, which every look-up of this request is made in.
    pub(crate) practice: PracticeId,
    /// The person.
    pub(crate) user: UserId,
    /// The computer.
    pub(crate) device: DeviceId,
    /// The person's role, as the account has it now.
    pub(crate) role: Role,
    /// Whether the person administers the practice.
    pub(crate) admin: bool,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let header = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let token = header
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(WireErrorCode::AuthExpired)?;
        let caller = Self::of_token(app, token).await?;
        let path = parts.extensions.get::<MatchedPath>().map_or("-", MatchedPath::as_str);
        if path != WAIT {
            // Each endpoint counts for itself: one sync is a push, a pull and now and then a check.
            app.sync_rate
                .take((caller.device, path.to_owned()), app.now_ms())
                .map_err(ApiError::too_many)?;
        }
        Ok(caller)
    }
}

impl Caller {
    async fn of_token(app: &App, token: &str) -> Result<Self, ApiError> {
        let practice = tokens::practice(token).ok_or(WireErrorCode::AuthExpired)?;
        let access = tokens::hash(token);
        let session = app.storage.session_by_access(practice, &access, app.now_ms());
        let (session, account) = match app.holders.get(practice, access) {
            // Whose a token is never changes, so both questions can be asked at once; whether it still opens anything is asked every time.
            Some(user) => {
                let (session, account) = tokio::join!(session, app.storage.account(practice, user));
                (session?.filter(|session| session.user == user), account?)
            }
            None => match session.await? {
                Some(session) => {
                    app.holders.put(practice, access, session.user);
                    let account = app.storage.account(practice, session.user).await?;
                    (Some(session), account)
                }
                None => (None, None),
            },
        };
        let (session, account) = session.zip(account).ok_or(WireErrorCode::AuthExpired)?;
        Ok(Self {
            practice,
            user: session.user,
            device: session.device,
            role: account.role,
            admin: account.admin,
        })
    }

    /// Refuses a body that names another practice than the token.
    pub(crate) fn own(&self, practice: PracticeId) -> Result<(), ApiError> {
        if practice == self.practice {
            Ok(())
        } else {
            Err(WireErrorCode::ForeignPractice.into())
        }
    }

    /// A replica that this caller may sync: one of this computer and, if clinical, the person's own.
    pub(crate) async fn replica(&self, app: &App, id: ReplicaId) -> Result<Replica, ApiError> {
        let replica = app
            .storage
            .replica(self.practice, id)
            .await?
            .ok_or(WireErrorCode::NotFound)?;
        self.check_replica(&replica)?;
        Ok(replica)
    }

    /// Whether this caller may sync `replica`.
    pub(crate) fn check_replica(&self, replica: &Replica) -> Result<(), ApiError> {
        let allowed = replica.device == self.device
            && match replica.kind {
                ReplicaKind::Office => true,
                ReplicaKind::Clinical => replica.user == self.user && self.role.is_clinical(),
            };
        if allowed {
            Ok(())
        } else {
            Err(WireErrorCode::Forbidden.into())
        }
    }
}
