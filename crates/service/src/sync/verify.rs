//! Who stands behind a group: the actor's registered key must have signed it, and certificates in it must hold.

use std::collections::{BTreeSet, HashMap};

use caseload_domain::{PracticeId, UserId};
use caseload_protocol::facts::{Actor, VerifiedGroup};
use caseload_protocol::messages::{Group, Op, OpKind, WireErrorCode};
use caseload_protocol::reoffer;
use caseload_vault::certificates::{AdminCertificate, Chain, Signed, verify_chain};
use caseload_vault::{PublicKey, Signature};
use futures_util::future::try_join_all;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::state::App;
use crate::storage::Account;

/// The keys that the groups of one push are verified with.
pub(super) struct Verifier {
    practice: PracticeId,
    root: PublicKey,
    accounts: HashMap<UserId, Account>,
}

impl Verifier {
    /// Reads the practice's root and the accounts of the actors of `groups`.
    pub(super) async fn for_groups(app: &App, practice: PracticeId, groups: &[Group]) -> Result<Self, ApiError> {
        let actors: BTreeSet<UserId> = groups.iter().map(|group| group.actor).collect();
        let accounts = actors.into_iter().map(|actor| app.storage.account(practice, actor));
        let (root, accounts) = tokio::join!(app.storage.practice(practice), try_join_all(accounts));
        Ok(Self {
            practice,
            root: root?.ok_or(WireErrorCode::NotFound)?.root_key,
            accounts: accounts?
                .into_iter()
                .flatten()
                .map(|account| (account.user, account))
                .collect(),
        })
    }

    /// Verifies all groups. A push of 500 signatures takes a core some 50 ms, so this happens where blocking is allowed.
    pub(super) async fn verify(self, groups: Vec<Group>) -> Result<Vec<VerifiedGroup>, ApiError> {
        let verify = move || {
            let with_actor = |group: Group| VerifiedGroup {
                actor: self.actor(&group),
                group,
            };
            groups.into_iter().map(with_actor).collect()
        };
        tokio::task::spawn_blocking(verify).await.map_err(ApiError::internal)
    }

    /// The actor of a group that really is theirs, in the role that is registered.
    fn actor(&self, group: &Group) -> Option<Actor> {
        let account = self.accounts.get(&group.actor)?;
        let signature = Signature::deserialize(&Value::from(group.sig.as_str())).ok()?;
        account
            .public_key
            .verify(&group.signing_bytes(self.practice).ok()?, &signature)
            .ok()?;
        let holds = account.role == group.role && group.ops.iter().all(|op| self.certificate_holds(op));
        holds.then_some(Actor {
            user: account.user,
            role: account.role,
            admin: account.admin,
        })
    }

    /// A certificate that does not lead to the practice's root, or names another holder than its entity does, is nobody's.
    fn certificate_holds(&self, op: &Op) -> bool {
        match op.kind {
            OpKind::Create if op.key.kind.as_str() == "certificate" => self.units_hold(&op.units),
            OpKind::Reoffer => reoffer::row_of(&op.units)
                .is_none_or(|row| row.key.kind.as_str() != "certificate" || self.units_hold(row.doc.units())),
            _ => true,
        }
    }

    fn units_hold(&self, units: &Map<String, Value>) -> bool {
        let (chain, admin) = (units.get("chain"), units.get("admin"));
        (chain.is_some() || admin.is_some())
            && chain.is_none_or(|chain| self.chain_holds(units, chain))
            && admin.is_none_or(|admin| self.vouched_by_root(units, admin))
    }

    fn chain_holds(&self, units: &Map<String, Value>, chain: &Value) -> bool {
        let verified = Chain::deserialize(chain)
            .ok()
            .and_then(|chain| verify_chain(&self.root, &chain, None).ok());
        verified.is_some_and(|verified| {
            verified.practice == self.practice
                && names(units, "user", &verified.user.to_string())
                && names(units, "device", &verified.device.to_string())
        })
    }

    fn vouched_by_root(&self, units: &Map<String, Value>, admin: &Value) -> bool {
        let signed = Signed::<AdminCertificate>::deserialize(admin).ok();
        signed.is_some_and(|signed| {
            signed
                .verify(&self.root)
                .is_ok_and(|stated| stated.practice == self.practice && names(units, "user", &stated.user.to_string()))
        })
    }
}

/// Whether the holder that a certificate's entity names is this one.
fn names(units: &Map<String, Value>, member: &str, id: &str) -> bool {
    units.get("holder").and_then(|holder| holder.get(member)?.as_str()) == Some(id)
}
