//! What a caller may read through a replica. Deny by default: a scope that is not in the list does not exist for the caller.

use std::collections::BTreeSet;

use caseload_domain::Scope;
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::checksum::{hex, sha256};
use caseload_protocol::messages::WireErrorCode;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;
use crate::storage::Replica;

/// The scopes that a caller may read through a replica right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entitlement(BTreeSet<Scope>);

impl Entitlement {
    /// An office file holds the office scope and nothing else, whoever is signed in. A clinical file holds the clinical scopes of the clients
    /// that its owner treats; that the caller is its owner and a clinician was checked when the replica was looked up.
    pub(super) async fn of(app: &App, caller: &Caller, replica: &Replica) -> Result<Self, ApiError> {
        caller.check_replica(replica)?;
        Ok(Self(match replica.kind {
            ReplicaKind::Office => BTreeSet::from([Scope::Office]),
            ReplicaKind::Clinical => {
                let clients = app.storage.care_scopes(caller.practice, caller.user).await?;
                clients.into_iter().map(Scope::Clinical).collect()
            }
        }))
    }

    /// Whether rows of `scope` may be read.
    pub(super) fn allows(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// `scopes` without repetition, if all of them may be read.
    pub(super) fn require(&self, scopes: &[Scope]) -> Result<Vec<Scope>, ApiError> {
        let wanted: BTreeSet<Scope> = scopes.iter().copied().collect();
        if wanted.is_subset(&self.0) {
            Ok(wanted.into_iter().collect())
        } else {
            Err(WireErrorCode::Forbidden.into())
        }
    }

    /// The scopes to be read for a device that holds `have`: those that it has and keeps, those that it gained, those that it lost.
    pub(super) fn compare(&self, have: &[Scope]) -> Comparison {
        let have: BTreeSet<Scope> = have.iter().copied().collect();
        Comparison {
            keeps: self.0.intersection(&have).copied().collect(),
            enter: self.0.difference(&have).copied().collect(),
            leave: have.difference(&self.0).copied().collect(),
        }
    }

    /// 16 hex digits that change with the scopes.
    pub(super) fn digest(&self) -> String {
        let names: Vec<String> = self.0.iter().map(Scope::to_string).collect();
        hex(&sha256(names.join("\n").as_bytes())[..8])
    }
}

/// Scopes that a device holds against those that it may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) keeps: Vec<Scope>,
    pub(super) enter: Vec<Scope>,
    pub(super) leave: Vec<Scope>,
}

#[cfg(test)]
mod tests {
    use caseload_domain::ClientId;
    use uuid::Uuid;

    use super::*;

    fn clinical(number: u128) -> Scope {
        Scope::Clinical(ClientId::new(Uuid::from_u128(number)))
    }

    #[test]
    fn what_a_device_holds_is_compared_with_what_it_may_hold() {
        let entitled = Entitlement(BTreeSet::from([clinical(1), clinical(2)]));
        let compared = entitled.compare(&[clinical(2), clinical(3), Scope::Office]);
        assert_eq!(compared.keeps, [clinical(2)]);
        assert_eq!(compared.enter, [clinical(1)]);
        assert_eq!(compared.leave, [Scope::Office, clinical(3)]);
    }

    #[test]
    fn one_scope_too_many_refuses_the_whole_question() {
        let entitled = Entitlement(BTreeSet::from([Scope::Office]));
        assert_eq!(
            entitled.require(&[Scope::Office, Scope::Office]).unwrap(),
            [Scope::Office]
        );
        assert!(entitled.require(&[Scope::Office, clinical(1)]).is_err());
        assert!(!entitled.allows(clinical(1)));
    }
}
