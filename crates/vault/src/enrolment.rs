//! Enrolment codes: how a person or a computer joins a practice.
//!
//! A code has two halves. The *id half* is sent to the service and names the enrolment; the *key half* never leaves the two
//! people's hands. From it derive the key that signs the newcomer's certificate and the key that seals her parcel: the root of the practice
//! and, when she adds a computer of her own, her keys. A code is read out and typed, or the whole invitation is copied as one line.

use std::fmt;
use std::net::IpAddr;

use caseload_domain::canonical;
use caseload_domain::{PracticeId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use zeroize::Zeroizing;

pub use crate::crockford::CodeError;

use crate::bundle::{BundleError, PortableKeys};
use crate::crockford::Code;
use crate::keys::{SymmetricKey, derive_from, redacted};
use crate::seal;
use crate::signing::{PublicKey, SigningKey};
use crate::{random, text};

/// How long a code may be used, in milliseconds.
pub const LIFETIME_MS: i64 = 10 * 60 * 1000;

const ID: usize = 10;
const KEY: usize = 16;
/// 26 bytes and 12 check bits: eleven groups of four.
const CODE: Code<{ ID + KEY }> = Code {
    label: "enrolment",
    symbols: 44,
};

/// The half of a code that is sent. 80 bits, so that nobody guesses one that is open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EnrolmentId(#[serde(with = "text::array")] pub [u8; ID]);

impl fmt::Display for EnrolmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::base64url(&self.0))
    }
}

impl fmt::Debug for EnrolmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EnrolmentId({self})")
    }
}

/// An enrolment code, both halves.
#[derive(Clone)]
pub struct EnrolmentCode {
    id: EnrolmentId,
    key: Zeroizing<[u8; KEY]>,
}

redacted!(EnrolmentCode, Invitation, Parcel);

impl EnrolmentCode {
    /// A fresh random code.
    #[must_use]
    pub fn random() -> Self {
        Self::from_halves(random::bytes(), random::bytes())
    }

    /// The code of two given halves.
    #[must_use]
    pub fn from_halves(id: [u8; ID], key: [u8; KEY]) -> Self {
        Self {
            id: EnrolmentId(id),
            key: Zeroizing::new(key),
        }
    }

    /// Reads what a person typed; case, blanks, dashes and look-alike symbols do not matter.
    ///
    /// # Errors
    /// [`CodeError`] says whether symbols are missing, unknown or mistyped.
    pub fn parse(typed: &str) -> Result<Self, CodeError> {
        let bytes = CODE.parse(typed)?;
        let (mut id, mut key) = ([0; ID], [0; KEY]);
        id.copy_from_slice(&bytes[..ID]);
        key.copy_from_slice(&bytes[ID..]);
        Ok(Self::from_halves(id, key))
    }

    /// Eleven groups of four symbols, joined by dashes.
    #[must_use]
    pub fn text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0; ID + KEY]);
        bytes[..ID].copy_from_slice(&self.id.0);
        bytes[ID..].copy_from_slice(&self.key[..]);
        CODE.text(&bytes)
    }

    /// The half that is sent.
    #[must_use]
    pub fn id(&self) -> EnrolmentId {
        self.id
    }

    /// Signs the newcomer's certificate; its public half is in the authorisation.
    #[must_use]
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_key(&derive_from(&self.key[..], "enrolment-signing/v1", &self.id.0))
    }

    /// Seals what the newcomer needs, for the service to hand over.
    #[must_use]
    pub fn seal_parcel(&self, practice: PracticeId, parcel: &Parcel) -> Vec<u8> {
        seal::seal(&self.parcel_key(), &self.parcel_aad(practice), &parcel.to_bytes())
    }

    /// Opens what [`Self::seal_parcel`] sealed.
    ///
    /// # Errors
    /// [`BundleError`] says whether the code is wrong, or the parcel is damaged or newer.
    pub fn open_parcel(&self, practice: PracticeId, blob: &[u8]) -> Result<Parcel, BundleError> {
        Parcel::from_bytes(&seal::open(&self.parcel_key(), &self.parcel_aad(practice), blob)?)
    }

    fn parcel_key(&self) -> SymmetricKey {
        derive_from(&self.key[..], "enrolment-parcel/v1", &self.id.0)
    }

    /// Frozen: the order of the fields is part of every parcel.
    fn parcel_aad(&self, practice: PracticeId) -> Vec<u8> {
        [
            b"caseload/enrolment-parcel/v1\0",
            practice.uuid().as_bytes().as_slice(),
            &self.id.0,
        ]
        .concat()
    }
}

/// What the service hands to a newcomer and cannot read or replace.
#[derive(Clone)]
pub struct Parcel {
    /// Who joins.
    pub user: UserId,
    /// The root to check certificates against: from somebody who has the code, not from the service.
    pub practice_root: PublicKey,
    /// Her own keys, when she adds a computer; an administrator's parcel has none. The device key is never in it.
    pub keys: Option<PortableKeys>,
}

impl Parcel {
    const VERSION: u8 = 1;

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(384));
        out.push(Self::VERSION);
        out.extend_from_slice(self.user.uuid().as_bytes());
        out.extend_from_slice(&self.practice_root.0);
        if let Some(keys) = &self.keys {
            out.extend_from_slice(&keys.to_bytes());
        }
        out
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let (version, rest) = bytes.split_first().ok_or(BundleError::Malformed)?;
        match *version {
            Self::VERSION => {}
            0 => return Err(BundleError::Malformed),
            newer => return Err(BundleError::NewerVersion(newer)),
        }
        let (user, rest) = rest.split_first_chunk::<16>().ok_or(BundleError::Malformed)?;
        let (root, rest) = rest.split_first_chunk::<32>().ok_or(BundleError::Malformed)?;
        let keys = if rest.is_empty() {
            None
        } else {
            Some(PortableKeys::from_bytes(rest)?)
        };
        let parcel = Self {
            user: UserId::new(uuid::Uuid::from_bytes(*user)),
            practice_root: PublicKey(*root),
            keys,
        };
        match &parcel.keys {
            Some(keys) if keys.identity.practice_root != parcel.practice_root => Err(BundleError::Malformed),
            _ => Ok(parcel),
        }
    }
}

/// SHA-256 of the public key (SPKI) of the service's own certificate authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TlsPin(#[serde(with = "text::array")] pub [u8; 32]);

impl TlsPin {
    /// The pin of a DER-encoded SubjectPublicKeyInfo.
    #[must_use]
    pub fn of_spki(der: &[u8]) -> Self {
        let mut pin = [0; 32];
        pin.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, der).as_ref());
        Self(pin)
    }
}

/// Everything a newcomer needs, as one line to copy: `caseload1:` and base64url of canonical JSON.
#[derive(Clone)]
pub struct Invitation {
    /// Where the service is: `https://...`, or `http://` on this machine itself.
    pub address: String,
    /// The practice.
    pub practice: PracticeId,
    /// The pin, when the service has its own certificate authority.
    pub pin: Option<TlsPin>,
    /// Who joins.
    pub user: UserId,
    /// The root of the practice.
    pub practice_root: PublicKey,
    /// The code.
    pub code: EnrolmentCode,
}

/// Why a line is no invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvitationError {
    /// The line does not start as an invitation does.
    #[error("this is not an invitation")]
    NotAnInvitation,
    /// A newer program made the line.
    #[error("the invitation was made by a newer program")]
    Newer,
    /// The line is incomplete or was changed.
    #[error("the invitation is incomplete or damaged")]
    Damaged,
    /// The address is none that a service can have.
    #[error("the address of the service is not valid")]
    Address,
    /// The address would send data unencrypted to another machine.
    #[error("an unencrypted address is allowed on this machine only")]
    PlainHttp,
}

impl Invitation {
    const PREFIX: &'static str = "caseload1:";

    /// The line to copy.
    ///
    /// # Errors
    /// [`InvitationError::Address`] and [`InvitationError::PlainHttp`] for an address that a reader would refuse.
    pub fn line(&self) -> Result<Zeroizing<String>, InvitationError> {
        check_address(&self.address)?;
        let value = json!({
            "a": self.address,
            "i": self.code.id,
            "k": self.pin,
            "p": self.practice,
            "r": self.practice_root,
            "s": text::base64url(&self.code.key[..]),
            "u": self.user,
        });
        let bytes = Zeroizing::new(canonical::to_bytes(&value).expect("an invitation holds texts only"));
        Ok(Zeroizing::new(format!("{}{}", Self::PREFIX, text::base64url(&bytes))))
    }

    /// Reads a line; blanks and line breaks that copying added do not matter.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn parse(line: &str) -> Result<Self, InvitationError> {
        #[derive(Deserialize)]
        struct Form {
            a: String,
            i: EnrolmentId,
            k: Option<TlsPin>,
            p: PracticeId,
            r: PublicKey,
            s: Secret,
            u: UserId,
        }
        #[derive(Deserialize)]
        struct Secret(#[serde(with = "text::array")] [u8; KEY]);

        let line: Zeroizing<String> =
            Zeroizing::new(line.chars().filter(|character| !character.is_whitespace()).collect());
        let Some(encoded) = line.strip_prefix(Self::PREFIX) else {
            return Err(if is_newer(&line) {
                InvitationError::Newer
            } else {
                InvitationError::NotAnInvitation
            });
        };
        let bytes = Zeroizing::new(text::from_base64url(encoded).ok_or(InvitationError::Damaged)?);
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| InvitationError::Damaged)?;
        let form: Form = serde_json::from_value(value).map_err(|_| InvitationError::Damaged)?;
        check_address(&form.a)?;
        Ok(Self {
            address: form.a,
            practice: form.p,
            pin: form.k,
            user: form.u,
            practice_root: form.r,
            code: EnrolmentCode {
                id: form.i,
                key: Zeroizing::new(form.s.0),
            },
        })
    }
}

fn is_newer(line: &str) -> bool {
    line.strip_prefix("caseload")
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(version, _)| version.parse::<u32>().is_ok_and(|version| version > 1))
}

/// Checks that `address` is `https://host[:port]`, or `http://` on this machine, with no path, name or password in it.
///
/// # Errors
/// [`InvitationError::Address`] or [`InvitationError::PlainHttp`].
pub fn check_address(address: &str) -> Result<(), InvitationError> {
    let (scheme, authority) = address.split_once("://").ok_or(InvitationError::Address)?;
    let host = host_of(authority).ok_or(InvitationError::Address)?;
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(host) => Ok(()),
        "http" => Err(InvitationError::PlainHttp),
        _ => Err(InvitationError::Address),
    }
}

fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (
                host,
                if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':')?)
                },
            )
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port_fits = port.is_none_or(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let host_fits = !host.is_empty()
        && host.len() <= 253
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':'));
    (port_fits && host_fits).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "enrolment_tests.rs"]
mod tests;
