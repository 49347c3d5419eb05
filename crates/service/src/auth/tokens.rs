//! Tokens: 256 random bits that mean nothing by themselves. The service keeps only their SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caseload_domain::PracticeId;
use caseload_protocol::checksum::sha256;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::storage::TokenHash;

/// How long an access token is valid.
pub(crate) const ACCESS_MS: i64 = 15 * 60 * 1_000;
/// How long a refresh token is valid.
pub(crate) const REFRESH_MS: i64 = 30 * 24 * 60 * 60 * 1_000;

/// 256 random bits, 43 characters of base64url: for challenges and names of sessions.
pub(crate) fn make() -> String {
    URL_SAFE_NO_PAD.encode(random::<32>())
}

/// A new token of a practice: 16 bytes that say where it is kept, then 32 random ones.
pub(crate) fn make_for(practice: PracticeId) -> String {
    URL_SAFE_NO_PAD.encode([practice.uuid().as_bytes().as_slice(), &random::<32>()].concat())
}

/// Where a token is kept; `None` for what is no token. It proves nothing: the whole token must be known there.
pub(crate) fn practice(token: &str) -> Option<PracticeId> {
    let bytes: [u8; 48] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (practice, _) = bytes.split_first_chunk::<16>()?;
    Some(PracticeId::new(uuid::Uuid::from_bytes(*practice)))
}

/// What is kept of a token.
pub(crate) fn hash(token: &str) -> TokenHash {
    TokenHash(sha256(token.as_bytes()))
}

/// Random bytes of the operating system.
///
/// # Panics
/// When it gives none; a guessable token would be worse.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system gives randomness");
    bytes
}
