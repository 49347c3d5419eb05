//! Becoming known to the service and signing in: claiming a practice, joining it, opening sessions.

use caseload_domain::{DeviceId, PracticeId, UserId};
use caseload_protocol::auth::{
    ChallengeRequest, ChallengeResponse, ClaimRequest, Done, MintRequest, OpenEnrolmentRequest, OpenEnrolmentResponse,
    RedeemRequest, RefreshRequest, RegisterReplicaRequest, RegisterReplicaResponse, RevokeDeviceRequest,
    SessionRequest, SessionResponse, session_bytes,
};
use caseload_protocol::messages::{Limits, WaitResponse, WireErrorCode};
use caseload_vault::SigningKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::error::TransportError;
use crate::http::SharedTransport;
use crate::transport::{BlobAnswer, BlobExchange, BlobVerb, Exchange, post};

/// How much longer than the service's own wait the device waits, in milliseconds.
const WAIT_SLACK_MS: u64 = 10_000;

/// Publishes a practice to a service that has none.
///
/// # Errors
/// [`TransportError`]; `already_claimed` and `code_unknown` among its codes.
pub async fn claim(transport: &SharedTransport, request: &ClaimRequest) -> Result<(), TransportError> {
    post::<_, Done>(transport.as_ref(), "/v1/auth/claim", None, request)
        .await
        .map(drop)
}

/// Looks at an enrolment without using it up.
///
/// # Errors
/// [`TransportError`]; `code_unknown` and `code_expired` among its codes.
pub async fn open_enrolment(
    transport: &SharedTransport,
    request: &OpenEnrolmentRequest,
) -> Result<OpenEnrolmentResponse, TransportError> {
    post(transport.as_ref(), "/v1/auth/enrolments/open", None, request).await
}

/// Joins: registers a person and a computer and uses the code up.
///
/// # Errors
/// [`TransportError`]; `code_unknown`, `code_expired` and `chain_invalid` among its codes.
pub async fn redeem(transport: &SharedTransport, request: &RedeemRequest) -> Result<(), TransportError> {
    post::<_, Done>(transport.as_ref(), "/v1/auth/enrolments/redeem", None, request)
        .await
        .map(drop)
}

/// Who signs in: their keys are the vault's and live as long as the person is unlocked.
pub struct Identity {
    /// The practice.
    pub practice: PracticeId,
    /// The computer.
    pub device: DeviceId,
    /// The person.
    pub user: UserId,
    /// The computer's key.
    pub device_key: SigningKey,
    /// The person's key.
    pub user_key: SigningKey,
}

/// A signed-in connection: opens and refreshes its session by itself.
pub struct Session {
    transport: SharedTransport,
    identity: Identity,
    tokens: Mutex<Option<Tokens>>,
}

struct Tokens {
    access: Zeroizing<String>,
    refresh: Zeroizing<String>,
}

impl Session {
    /// A connection that signs in at its first request.
    #[must_use]
    pub fn new(transport: SharedTransport, identity: Identity) -> Self {
        Self {
            transport,
            identity,
            tokens: Mutex::new(None),
        }
    }

    /// Who is signed in.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Leaves an enrolment at the service.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn mint(&self, request: &MintRequest) -> Result<(), TransportError> {
        self.post::<_, Done>("/v1/auth/enrolments", request).await.map(drop)
    }

    /// Registers a file that will sync and gives its number.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn register_replica(&self, request: &RegisterReplicaRequest) -> Result<i64, TransportError> {
        self.post::<_, RegisterReplicaResponse>("/v1/devices/replicas", request)
            .await
            .map(|answer| answer.number)
    }

    /// Takes another computer out of the practice.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn revoke_device(&self, device: DeviceId) -> Result<(), TransportError> {
        let request = RevokeDeviceRequest {
            practice: self.identity.practice,
            device,
        };
        self.post::<_, Done>("/v1/devices/revoke", &request).await.map(drop)
    }

    /// Posts `request`, signing in where needed.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn post<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        path: &str,
        request: &Q,
    ) -> Result<A, TransportError> {
        let body = serde_json::to_vec(request).map_err(|_| TransportError::Unreadable)?;
        self.post_body(path, body).await
    }

    /// Posts a request that was written out before.
    ///
    /// # Errors
    /// [`TransportError`].
    pub(crate) async fn post_body<A: DeserializeOwned>(&self, path: &str, body: Vec<u8>) -> Result<A, TransportError> {
        let answer = self.exchange(path, Some(body), crate::transport::TIMEOUT_MS).await?;
        serde_json::from_slice(&answer).map_err(|_| TransportError::Unreadable)
    }

    /// Gets `path`, signing in where needed; `timeout_ms` bounds the answer.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn get<A: DeserializeOwned>(&self, path: &str, timeout_ms: u64) -> Result<A, TransportError> {
        let answer = self.exchange(path, None, timeout_ms).await?;
        serde_json::from_slice(&answer).map_err(|_| TransportError::Unreadable)
    }

    /// Returns when the practice's head has passed `seq`.
    pub(crate) async fn wait(&self, seq: i64) -> Result<i64, TransportError> {
        let path = format!("/v1/sync/wait?seq={seq}");
        let timeout_ms = Limits::default().wait_ms + WAIT_SLACK_MS;
        loop {
            let answer: WaitResponse = self.get(&path, timeout_ms).await?;
            if answer.head_seq > seq {
                return Ok(answer.head_seq);
            }
        }
    }

    /// Asks about a blob, signing in where needed.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn blob(&self, path: &str, verb: BlobVerb) -> Result<BlobAnswer, TransportError> {
        let access = self.access(None).await?;
        let request = |token, verb| BlobExchange { path, token, verb };
        match self.transport.blob(request(&access, verb.clone())).await {
            Err(error) if error.code() == Some(WireErrorCode::AuthExpired) => {
                let access = self.access(Some(&access)).await?;
                self.transport.blob(request(&access, verb)).await
            }
            answer => answer,
        }
    }

    async fn exchange(&self, path: &str, body: Option<Vec<u8>>, timeout_ms: u64) -> Result<Vec<u8>, TransportError> {
        let access = self.access(None).await?;
        let request = |token| Exchange {
            path,
            token,
            body: body.clone(),
            timeout_ms,
        };
        match self.transport.exchange(request(Some(&access))).await {
            Err(error) if error.code() == Some(WireErrorCode::AuthExpired) => {
                let access = self.access(Some(&access)).await?;
                self.transport.exchange(request(Some(&access))).await
            }
            answer => answer,
        }
    }

    /// A valid access token; `stale` is one that the service no longer takes.
    async fn access(&self, stale: Option<&str>) -> Result<Zeroizing<String>, TransportError> {
        let mut tokens = self.tokens.lock().await;
        if let Some(present) = tokens
            .as_ref()
            .filter(|present| stale.is_none_or(|stale| *present.access != stale))
        {
            return Ok(present.access.clone());
        }
        let refreshed = match tokens.take() {
            Some(old) => self.refresh(&old.refresh).await.ok(),
            None => None,
        };
        let session = match refreshed {
            Some(session) => session,
            None => self.sign_in().await?,
        };
        let access = Zeroizing::new(session.access);
        *tokens = Some(Tokens {
            access: access.clone(),
            refresh: Zeroizing::new(session.refresh),
        });
        Ok(access)
    }

    async fn refresh(&self, refresh: &str) -> Result<SessionResponse, TransportError> {
        post(
            self.transport.as_ref(),
            "/v1/auth/refresh",
            None,
            &RefreshRequest {
                refresh: refresh.to_owned(),
            },
        )
        .await
    }

    async fn sign_in(&self) -> Result<SessionResponse, TransportError> {
        let Identity {
            practice,
            device,
            user,
            device_key,
            user_key,
        } = &self.identity;
        let challenge: ChallengeResponse = post(
            self.transport.as_ref(),
            "/v1/auth/challenge",
            None,
            &ChallengeRequest {
                practice: *practice,
                device: *device,
            },
        )
        .await?;
        let bytes = session_bytes(*practice, *device, *user, &challenge.nonce);
        let request = SessionRequest {
            practice: *practice,
            device: *device,
            user: *user,
            nonce: challenge.nonce,
            device_sig: device_key.sign(&bytes).to_string(),
            user_sig: user_key.sign(&bytes).to_string(),
        };
        post(self.transport.as_ref(), "/v1/auth/session", None, &request).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use serde_json::json;
    use tokio::time::{Instant, sleep};
    use uuid::Uuid;

    use super::*;
    use crate::transport::BoxFuture;

    /// A service at which something happens once, at a certain moment.
    struct Quiet {
        news_at: Instant,
        waits: AtomicUsize,
    }

    impl Quiet {
        async fn answer(&self, path: &str) -> serde_json::Value {
            if !path.starts_with("/v1/sync/wait") {
                return json!({"nonce": "n", "access": "a", "refresh": "r", "expires_ms": 0, "server_time_ms": 0});
            }
            self.waits.fetch_add(1, Ordering::SeqCst);
            let longest = Duration::from_millis(Limits::default().wait_ms);
            let news = self.news_at.saturating_duration_since(Instant::now());
            sleep(longest.min(news)).await;
            json!({"head_seq": i64::from(news <= longest)})
        }
    }

    impl crate::transport::Transport for Quiet {
        fn exchange<'a>(&'a self, request: Exchange<'a>) -> BoxFuture<'a, Result<Vec<u8>, TransportError>> {
            Box::pin(async move { Ok(serde_json::to_vec(&self.answer(request.path).await).unwrap()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_quiet_hour_the_service_is_asked_less_than_once_a_minute_and_news_come_at_once() {
        let hour = Duration::from_secs(3_600);
        let quiet = Arc::new(Quiet {
            news_at: Instant::now() + hour,
            waits: AtomicUsize::new(0),
        });
        let (key, nobody) = (SigningKey::generate(), Uuid::nil());
        let identity = Identity {
            practice: PracticeId::new(nobody),
            device: DeviceId::new(nobody),
            user: UserId::new(nobody),
            device_key: key.clone(),
            user_key: key,
        };
        let session = Session::new(quiet.clone(), identity);
        let began = Instant::now();
        assert_eq!(session.wait(0).await.unwrap(), 1);
        assert_eq!(began.elapsed(), hour);
        assert!(quiet.waits.load(Ordering::SeqCst) < 60);
    }
}
