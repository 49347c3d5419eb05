//! The owner vouches for administrators, so that they can bring people in as well.
//!
//! Only the practice's root can say who may enrol, and only the owner has it. An administrator makes her signing key when she joins, so the
//! owner's computer can sign for that key once it has seen her certificate: it does so by itself when it shares the next time. The statement is an
//! office record; everybody who was let in by her carries it in her chain.

use caseload_domain::{DeviceId, EntityId, EntityKey, UserId};
use caseload_store::ReadTx;
use caseload_vault::certificates::{AdminCertificate, Signed, verify_chain};
use caseload_vault::{PublicKey, SigningKey};
use serde_json::json;

use crate::app::{Core, lock};
use crate::dto::ErrorCode;
use crate::fault::Fault;
use crate::login::{Login, chain_of};
use crate::practice::document;

/// An administrator with a key that the root has not signed for.
struct Waiting {
    user: UserId,
    device: DeviceId,
    key: PublicKey,
}

/// Signs for every administrator whose certificate is here and holds. Gives whether anything was written; only the owner's computers write.
pub(crate) fn vouch(core: &Core, login: &Login) -> Result<bool, Fault> {
    let Some(root) = lock(&login.vault).identity().root_signing.clone() else {
        return Ok(false);
    };
    let waiting = login.office.read(|read| waiting(read, login))?;
    if waiting.is_empty() {
        return Ok(false);
    }
    core.write_office(login, "admin.vouch", |tx| {
        for admin in &waiting {
            let statement = AdminCertificate {
                practice: login.practice,
                user: admin.user,
                public_key: admin.key,
                may_enrol: true,
            };
            let signed = serde_json::to_value(Signed::new(statement, &root)).map_err(|_| ErrorCode::Internal)?;
            let certificate = document([
                ("holder", json!({"user": admin.user, "device": admin.device})),
                ("admin", signed),
            ]);
            tx.create(&admin_certificate_key(admin.user, &admin.key), certificate)?;
        }
        Ok(true)
    })
}

fn waiting(read: &ReadTx<'_>, login: &Login) -> Result<Vec<Waiting>, Fault> {
    let mut waiting: Vec<Waiting> = Vec::new();
    for person in read.staff()? {
        let user = UserId::new(person.key.id.uuid());
        let administers = person.doc.unit("role").is_some_and(|role| role["admin"] == true);
        if !administers || user == login.user {
            continue;
        }
        for certificate in read.certificates_of(user)? {
            // What does not hold is nobody's; what the root said already needs no second word.
            let Some(verified) = certificate
                .doc
                .unit("chain")
                .and_then(chain_of)
                .and_then(|chain| verify_chain(&login.root, &chain, None).ok())
                .filter(|verified| verified.user == user && verified.admin)
            else {
                continue;
            };
            let known = read.get(&admin_certificate_key(user, &verified.user_key))?.is_some();
            if !known && waiting.iter().all(|other| other.key != verified.user_key) {
                waiting.push(Waiting {
                    user,
                    device: verified.device,
                    key: verified.user_key,
                });
            }
        }
    }
    Ok(waiting)
}

/// The record of what the root says about a key: the same wherever it is made.
fn admin_certificate_key(user: UserId, key: &PublicKey) -> EntityKey {
    EntityKey::new(
        "certificate",
        EntityId::derived(&["admin_certificate", &user.to_string(), &key.to_string()]),
    )
}

/// Who signs for newcomers.
pub(crate) enum Signer {
    /// The practice's root itself.
    Root(SigningKey),
    /// An administrator, with what the root says about her key.
    Admin(SigningKey, Box<Signed<AdminCertificate>>),
}

impl Signer {
    pub(crate) fn key(&self) -> &SigningKey {
        match self {
            Self::Root(key) | Self::Admin(key, _) => key,
        }
    }

    pub(crate) fn certificate(&self) -> Option<&Signed<AdminCertificate>> {
        match self {
            Self::Root(_) => None,
            Self::Admin(_, certificate) => Some(certificate),
        }
    }
}

/// How this person signs for newcomers; none for an administrator for whom the owner has not vouched yet.
pub(crate) fn signer(login: &Login) -> Result<Option<Signer>, Fault> {
    login.require_admin()?;
    if let Some(root) = lock(&login.vault).identity().root_signing.clone() {
        return Ok(Some(Signer::Root(root)));
    }
    let own = login.signing.public();
    let record = login
        .office
        .read(|read| read.get(&admin_certificate_key(login.user, &own)))?;
    let certificate = record
        .and_then(|record| serde_json::from_value(record.doc.unit("admin")?.clone()).ok())
        .filter(|certificate: &Signed<AdminCertificate>| {
            certificate.verify(&login.root).is_ok_and(|stated| {
                stated.may_enrol
                    && stated.practice == login.practice
                    && stated.user == login.user
                    && stated.public_key == own
            })
        });
    Ok(certificate.map(|certificate| Signer::Admin(login.signing.clone(), Box::new(certificate))))
}
