//! Who is who in a practice: statements signed along a chain that ends at the practice root.
//!
//! ```text
//! practice root ── signs ──> owner's user certificate
//!      │
//!      ├─ signs ──> admin certificate (may_enrol) ──┐
//!      └────────────────────────────────────────────┴─ signs ──> authorisation ── its derived key signs ──> user certificate
//! a user's own key ── signs ──> authorisation for her own next device, no more rights than she has
//! ```
//!
//! A statement is a JSON object whose `type` names it; its signature covers the canonical bytes of the whole object. A reader keeps members
//! that it does not know, because the signature covers them too. Chains are office entities and go into exports, so they must verify for ever:
//! expiry counts only for whoever states a time, which is the service when it accepts an enrolment.
//!
//! A chain shows who vouched for a key. It does not show that a person has no second key; a verifier that knows her key compares.

use caseload_domain::canonical::{self, CanonicalError};
use caseload_domain::{DeviceId, PracticeId, Role, UserId};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::enrolment::EnrolmentId;
use crate::signing::{PublicKey, Signature, SigningKey};

/// A kind of statement.
pub trait Statement: Serialize + DeserializeOwned {
    /// The value of the member `type`. Part of every signature, so that one statement cannot pass for another.
    const TYPE: &'static str;
}

/// The root states that a person may administer and, with `may_enrol`, authorise enrolments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminCertificate {
    /// The practice.
    pub practice: PracticeId,
    /// The administrator.
    pub user: UserId,
    /// Her signing key.
    pub public_key: PublicKey,
    /// Whether her authorisations count.
    pub may_enrol: bool,
}

/// Somebody entitled states that whoever holds the key half of an enrolment code may join as this person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorisation {
    /// The practice.
    pub practice: PracticeId,
    /// Id half of the code.
    pub enrolment: EnrolmentId,
    /// Who joins.
    pub user: UserId,
    /// Her role.
    pub role: Role,
    /// Whether she administers.
    pub admin: bool,
    /// Public half of the signing key that derives from the code's key half.
    pub enrolment_key: PublicKey,
    /// Until when the code may be used, in milliseconds since 1970 UTC.
    pub expires_at_ms: i64,
}

/// A person joins with this key on this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCertificate {
    /// The practice.
    pub practice: PracticeId,
    /// The person.
    pub user: UserId,
    /// Her role.
    pub role: Role,
    /// Her signing key.
    pub user_key: PublicKey,
    /// The computer.
    pub device: DeviceId,
    /// The computer's signing key.
    pub device_key: PublicKey,
    /// Id half of the code she joined with; none for the owner's first device.
    pub enrolment: Option<EnrolmentId>,
}

impl Statement for AdminCertificate {
    const TYPE: &'static str = "caseload/admin-certificate/v1";
}
impl Statement for Authorisation {
    const TYPE: &'static str = "caseload/authorisation/v1";
}
impl Statement for UserCertificate {
    const TYPE: &'static str = "caseload/user-certificate/v1";
}

/// A statement with its signature. In JSON: `{"statement": {...}, "signature": "..."}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signed<T> {
    /// The whole statement, with members that this program does not know.
    #[serde(rename = "statement")]
    members: Map<String, Value>,
    signature: Signature,
    #[serde(skip)]
    statement: T,
}

impl<T: Statement> Signed<T> {
    /// Signs a statement.
    #[must_use]
    pub fn new(statement: T, key: &SigningKey) -> Self {
        let Ok(Value::Object(mut members)) = serde_json::to_value(&statement) else {
            unreachable!("statements are structs with named members")
        };
        members.insert("type".to_owned(), T::TYPE.into());
        let bytes = canonical::object_to_bytes(&members).expect("statements hold texts, booleans and times only");
        Self {
            members,
            signature: key.sign(&bytes),
            statement,
        }
    }

    /// What was stated. It counts only after the signature was verified.
    pub fn statement(&self) -> &T {
        &self.statement
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`ChainError::Signature`], or [`ChainError::NotCanonical`] for content that nobody can have signed.
    pub fn verify(&self, key: &PublicKey) -> Result<&T, ChainError> {
        let bytes = canonical::object_to_bytes(&self.members).map_err(ChainError::NotCanonical)?;
        key.verify(&bytes, &self.signature)
            .map_err(|_| ChainError::Signature(T::TYPE))?;
        Ok(&self.statement)
    }
}

impl<'de, T: Statement> Deserialize<'de> for Signed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Form {
            statement: Map<String, Value>,
            signature: Signature,
        }
        let Form {
            statement: members,
            signature,
        } = Form::deserialize(deserializer)?;
        if members.get("type").and_then(Value::as_str) != Some(T::TYPE) {
            return Err(D::Error::custom("the statement is of another type"));
        }
        let statement = T::deserialize(Value::Object(members.clone())).map_err(D::Error::custom)?;
        Ok(Self {
            members,
            signature,
            statement,
        })
    }
}

/// Everything that shows who a person with a key on a device is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The administrator who authorised, when it was not the root or the person herself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Signed<AdminCertificate>>,
    /// The chain of the person's earlier device, when she authorised her own next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sponsor: Option<Box<Chain>>,
    /// The authorisation; none for the owner's first device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorisation: Option<Signed<Authorisation>>,
    /// The person, her key and her device.
    pub user: Signed<UserCertificate>,
}

impl Chain {
    /// The owner's chain on the computer where the practice was made: signed by the root itself.
    #[must_use]
    pub fn of_owner(certificate: UserCertificate, root: &SigningKey) -> Self {
        Self {
            admin: None,
            sponsor: None,
            authorisation: None,
            user: Signed::new(certificate, root),
        }
    }

    /// The chain that stands behind an authorisation which this person signs for her own next device.
    #[must_use]
    pub fn as_sponsor(&self) -> Box<Chain> {
        // Her key is the same on all her devices, so the first chain serves for all later ones and none grows longer than two.
        self.sponsor.clone().unwrap_or_else(|| Box::new(self.clone()))
    }
}

/// What a verified chain shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedUser {
    /// The practice.
    pub practice: PracticeId,
    /// The person.
    pub user: UserId,
    /// Her role.
    pub role: Role,
    /// Whether she administers.
    pub admin: bool,
    /// Her signing key.
    pub user_key: PublicKey,
    /// Her computer.
    pub device: DeviceId,
    /// The computer's signing key.
    pub device_key: PublicKey,
}

/// Why a chain shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChainError {
    /// The signature of this type of statement was not made by the key that should have made it.
    #[error("the signature of a statement of type {0} does not verify")]
    Signature(&'static str),
    /// A statement has no canonical form.
    #[error("a statement has no canonical form")]
    NotCanonical(#[source] CanonicalError),
    /// The administrator has no right to enrol.
    #[error("the administrator may not enrol")]
    MayNotEnrol,
    /// The statements speak of different practices.
    #[error("the statements are of different practices")]
    PracticeDiffers,
    /// The statements speak of different persons.
    #[error("the statements are of different persons")]
    UserDiffers,
    /// The statements give different roles.
    #[error("the statements give different roles")]
    RoleDiffers,
    /// The statements belong to different enrolments.
    #[error("the statements belong to different enrolments")]
    EnrolmentDiffers,
    /// A person gave her own next device more than she has, or another signing key.
    #[error("a person may hand on only what she has")]
    MoreThanSponsor,
    /// The statements do not form a chain.
    #[error("the statements do not form a chain")]
    Shape,
    /// The code was no longer valid at the stated time.
    #[error("the authorisation has expired")]
    Expired,
}

/// Follows `chain` from the practice root. With `now_ms` the authorisation must not have expired then.
///
/// # Errors
/// [`ChainError`] names the first link that does not hold.
pub fn verify_chain(root: &PublicKey, chain: &Chain, now_ms: Option<i64>) -> Result<VerifiedUser, ChainError> {
    match &chain.authorisation {
        None if chain.admin.is_none() && chain.sponsor.is_none() => owner(root, chain),
        None => Err(ChainError::Shape),
        Some(authorisation) => enrolled(root, chain, authorisation, now_ms),
    }
}

fn owner(root: &PublicKey, chain: &Chain) -> Result<VerifiedUser, ChainError> {
    let certificate = chain.user.verify(root)?;
    match certificate.enrolment {
        None => Ok(verified(certificate, true)),
        Some(_) => Err(ChainError::Shape),
    }
}

fn enrolled(
    root: &PublicKey,
    chain: &Chain,
    authorisation: &Signed<Authorisation>,
    now_ms: Option<i64>,
) -> Result<VerifiedUser, ChainError> {
    let sponsor = verified_sponsor(root, chain)?;
    let authorised = match (&chain.admin, &sponsor) {
        (None, None) => authorisation.verify(root)?,
        (Some(admin), None) => authorised_by_admin(root, admin, authorisation)?,
        (None, Some(sponsor)) => authorisation.verify(&sponsor.user_key)?,
        (Some(_), Some(_)) => return Err(ChainError::Shape),
    };
    let certificate = chain.user.verify(&authorised.enrolment_key)?;
    if certificate.practice != authorised.practice {
        return Err(ChainError::PracticeDiffers);
    }
    if certificate.user != authorised.user {
        return Err(ChainError::UserDiffers);
    }
    if certificate.role != authorised.role {
        return Err(ChainError::RoleDiffers);
    }
    if certificate.enrolment != Some(authorised.enrolment) {
        return Err(ChainError::EnrolmentDiffers);
    }
    if let Some(sponsor) = sponsor {
        check_sponsored(&sponsor, authorised, certificate)?;
    }
    if now_ms.is_some_and(|now| now >= authorised.expires_at_ms) {
        return Err(ChainError::Expired);
    }
    Ok(verified(certificate, authorised.admin))
}

fn verified_sponsor(root: &PublicKey, chain: &Chain) -> Result<Option<VerifiedUser>, ChainError> {
    match &chain.sponsor {
        None => Ok(None),
        // Two links are enough for any number of devices; a deeper chain could only be made to exhaust a reader.
        Some(sponsor) if sponsor.sponsor.is_some() => Err(ChainError::Shape),
        Some(sponsor) => verify_chain(root, sponsor, None).map(Some),
    }
}

fn authorised_by_admin<'a>(
    root: &PublicKey,
    admin: &Signed<AdminCertificate>,
    authorisation: &'a Signed<Authorisation>,
) -> Result<&'a Authorisation, ChainError> {
    let admin = admin.verify(root)?;
    let authorised = authorisation.verify(&admin.public_key)?;
    if !admin.may_enrol {
        return Err(ChainError::MayNotEnrol);
    }
    if admin.practice != authorised.practice {
        return Err(ChainError::PracticeDiffers);
    }
    Ok(authorised)
}

fn check_sponsored(
    sponsor: &VerifiedUser,
    authorised: &Authorisation,
    certificate: &UserCertificate,
) -> Result<(), ChainError> {
    if sponsor.practice != authorised.practice {
        return Err(ChainError::PracticeDiffers);
    }
    if sponsor.user != authorised.user {
        return Err(ChainError::UserDiffers);
    }
    if sponsor.role != authorised.role
        || (authorised.admin && !sponsor.admin)
        || sponsor.user_key != certificate.user_key
    {
        return Err(ChainError::MoreThanSponsor);
    }
    Ok(())
}

fn verified(certificate: &UserCertificate, admin: bool) -> VerifiedUser {
    VerifiedUser {
        practice: certificate.practice,
        user: certificate.user,
        role: certificate.role,
        admin,
        user_key: certificate.user_key,
        device: certificate.device,
        device_key: certificate.device_key,
    }
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
mod tests;
