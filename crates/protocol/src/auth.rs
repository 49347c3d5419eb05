//! The messages of `/v1/auth/*` and `/v1/devices/*`: claiming a practice, joining it, signing in.
//!
//! Keys, signatures and sealed bundles are base64url without padding. Certificate chains and authorisations are the JSON forms of
//! `caseload-vault`; they are opaque here.

use caseload_domain::{DeviceId, PracticeId, ReplicaId, Role, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// `POST /v1/auth/claim`: a practice that was created offline is published to a service that has none, with the service's one-time setup code.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequest {
    /// The service's setup code.
    pub setup_code: String,
    /// The practice.
    pub practice: PracticeId,
    /// Its name, for the service's log and greeting.
    pub practice_name: String,
    /// The public key of the practice root.
    pub root_key: String,
    /// The owner's certificate chain for this computer.
    pub chain: Value,
    /// The name of this computer.
    pub device_name: String,
}

/// `POST /v1/auth/challenge`: asks for something to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The computer.
    pub device: DeviceId,
}

/// What to sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChallengeResponse {
    /// Random, used once, valid for two minutes.
    pub nonce: String,
}

/// `POST /v1/auth/session`: device and user prove their keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The computer.
    pub device: DeviceId,
    /// The person.
    pub user: UserId,
    /// The challenge.
    pub nonce: String,
    /// Signature by the computer's key over [`session_bytes`].
    pub device_sig: String,
    /// Signature by the person's key over [`session_bytes`].
    pub user_sig: String,
}

/// The bytes that computer and person sign to open a session.
#[must_use]
pub fn session_bytes(practice: PracticeId, device: DeviceId, user: UserId, nonce: &str) -> Vec<u8> {
    let statement =
        json!({"device": device, "nonce": nonce, "practice": practice, "purpose": "caseload session v1", "user": user});
    caseload_domain::canonical::to_bytes(&statement).unwrap_or_default()
}

/// `POST /v1/auth/refresh`: a new pair of tokens for an old refresh token; using one twice ends the whole session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefreshRequest {
    /// The refresh token.
    pub refresh: String,
}

/// A session's tokens: opaque, 256 bits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionResponse {
    /// For `Authorization: Bearer`; valid for 15 minutes.
    pub access: String,
    /// For the next refresh; valid for 30 days.
    pub refresh: String,
    /// When `access` expires, by the service's clock.
    pub expires_ms: i64,
    /// The service's clock.
    pub server_time_ms: i64,
}

/// `POST /v1/auth/enrolments` (signed in, may enrol): leaves an enrolment at the service for ten minutes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MintRequest {
    /// The id half of the code.
    pub id: String,
    /// The signed authorisation.
    pub authorisation: Value,
    /// What signs the authorisation: the admin certificate, or null when the practice root signed.
    pub admin_certificate: Value,
    /// The same user's bundle, sealed under the key half; only for a user's own further computer.
    pub sealed_bundle: Option<String>,
    /// The name of the person, to greet them.
    pub user_name: String,
    /// When the code ends, at most ten minutes ahead.
    pub expires_ms: i64,
}

/// `POST /v1/auth/enrolments/open`: what a joiner needs to make keys. Does not use the code up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEnrolmentRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The id half of the code.
    pub id: String,
}

/// The enrolment as it was left.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEnrolmentResponse {
    /// The practice's name.
    pub practice_name: String,
    /// The public key of the practice root. The joiner compares it with nothing but the code's pin of the service; what protects it is the
    /// signature of the authorisation, made with a key that only the code's key half gives.
    pub root_key: String,
    /// The signed authorisation.
    pub authorisation: Value,
    /// What signs it.
    pub admin_certificate: Value,
    /// The sealed bundle, for a user's own further computer.
    pub sealed_bundle: Option<String>,
    /// The person.
    pub user: UserId,
    /// Their name.
    pub user_name: String,
    /// Their role.
    pub role: Role,
    /// Whether they administer the practice.
    pub admin: bool,
}

/// `POST /v1/auth/enrolments/redeem`: registers person and computer; uses the code up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedeemRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The id half of the code.
    pub id: String,
    /// The joiner's certificate chain.
    pub chain: Value,
    /// The name of the computer.
    pub device_name: String,
}

/// An empty answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// What a replica holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaKind {
    /// The office file of a computer.
    Office,
    /// One clinician's file on a computer.
    Clinical,
}

/// `POST /v1/devices/replicas` (signed in): registers a file that will sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterReplicaRequest {
    /// The file's id.
    pub replica: ReplicaId,
    /// What it holds.
    pub kind: ReplicaKind,
    /// The replica that it continues after a restore or clone.
    pub replaces: Option<ReplicaId>,
}

/// `POST /v1/devices/revoke` (signed in, administrators, from another computer): takes a computer out of the practice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeDeviceRequest {
    /// The practice.
    pub practice: PracticeId,
    /// The computer.
    pub device: DeviceId,
}

/// The answer: the replica's own number, part of every document number that it gives out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterReplicaResponse {
    /// 1 is the creating device's office file, 2 its owner's clinical file, later ones follow.
    pub number: i64,
}
