//! What a caller may read through a replica. Deny by default: a scope that is not in the list does not exist for the caller.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use caseload_domain::{PracticeId, Scope, UserId};
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::checksum::{hex, sha256};
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::messages::WireErrorCode;

use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;
use crate::storage::Replica;

/// Therapists that are remembered at most.
const MOST_KNOWN: usize = 10_000;
/// After more changes of a practice than this its relationships are read anew instead of looking through the changes.
const MOST_CHANGES: i64 = 500;

/// The scopes that a caller may read through a replica right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entitlement(Arc<Scopes>);

/// Scopes and their [`Entitlement::digest`].
#[derive(Debug, PartialEq, Eq)]
struct Scopes {
    all: BTreeSet<Scope>,
    digest: String,
}

impl Scopes {
    fn new(all: BTreeSet<Scope>) -> Self {
        let names: Vec<String> = all.iter().map(Scope::to_string).collect();
        let digest = hex(&sha256(names.join("\n").as_bytes())[..8]);
        Self { all, digest }
    }
}

/// Clinical scopes of therapists as they were at a state of their practice. They hold until a care relationship changes; most questions come
/// between two such changes, and a therapist treats hundreds of clients.
#[derive(Default)]
pub(crate) struct KnownCare {
    known: Mutex<HashMap<(PracticeId, UserId), Care>>,
}

#[derive(Clone)]
struct Care {
    epoch: String,
    seq: i64,
    scopes: Arc<Scopes>,
}

impl KnownCare {
    fn get(&self, practice: PracticeId, user: UserId, head: &PracticeHead) -> Option<Care> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let care = known.get(&(practice, user))?;
        (care.epoch == head.epoch && care.seq <= head.seq && head.seq - care.seq <= MOST_CHANGES).then(|| care.clone())
    }

    /// Keeps what is newer than what is known.
    fn put(&self, practice: PracticeId, user: UserId, care: Care) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        match known.get(&(practice, user)) {
            Some(newer) if newer.epoch == care.epoch && newer.seq > care.seq => {}
            _ => drop(known.insert((practice, user), care)),
        }
    }
}

impl Entitlement {
    /// See [`Self::at`]; reads the head itself.
    pub(super) async fn of(app: &App, caller: &Caller, replica: &Replica) -> Result<Self, ApiError> {
        let head = app
            .storage
            .head(caller.practice)
            .await?
            .ok_or(WireErrorCode::NotFound)?;
        Self::at(app, caller, replica, &head).await
    }

    /// An office file holds the office scope and nothing else, whoever is signed in. A clinical file holds the clinical scopes of the clients
    /// that its owner treats; that the caller is its owner and a clinician was checked when the replica was looked up.
    ///
    /// What it allows is at least as new as `head`.
    pub(super) async fn at(
        app: &App,
        caller: &Caller,
        replica: &Replica,
        head: &PracticeHead,
    ) -> Result<Self, ApiError> {
        caller.check_replica(replica)?;
        Ok(Self(match replica.kind {
            ReplicaKind::Office => Arc::new(Scopes::new(BTreeSet::from([Scope::Office]))),
            ReplicaKind::Clinical => care(app, caller, head).await?,
        }))
    }

    /// What a person may read through all of their files together: the office scope, and for a clinician the clinical scopes of the clients
    /// that they treat.
    pub(super) async fn of_person(app: &App, caller: &Caller) -> Result<Self, ApiError> {
        let mut scopes = BTreeSet::from([Scope::Office]);
        if caller.role.is_clinical() {
            let clients = app.storage.care_scopes(caller.practice, caller.user).await?;
            scopes.extend(clients.into_iter().map(Scope::Clinical));
        }
        Ok(Self(Arc::new(Scopes::new(scopes))))
    }

    /// Whether rows of `scope` may be read.
    pub(super) fn allows(&self, scope: Scope) -> bool {
        self.0.all.contains(&scope)
    }

    /// `scopes` without repetition, if all of them may be read.
    pub(super) fn require(&self, scopes: &[Scope]) -> Result<Vec<Scope>, ApiError> {
        let wanted: BTreeSet<Scope> = scopes.iter().copied().collect();
        if wanted.is_subset(&self.0.all) {
            Ok(wanted.into_iter().collect())
        } else {
            Err(WireErrorCode::Forbidden.into())
        }
    }

    /// The scopes to be read for a device that holds `have`: those that it has and keeps, those that it gained, those that it lost.
    pub(super) fn compare(&self, have: &[Scope]) -> Comparison {
        let have: BTreeSet<Scope> = have.iter().copied().collect();
        Comparison {
            keeps: self.0.all.intersection(&have).copied().collect(),
            enter: self.0.all.difference(&have).copied().collect(),
            leave: have.difference(&self.0.all).copied().collect(),
        }
    }

    /// 16 hex digits that change with the scopes.
    pub(super) fn digest(&self) -> String {
        self.0.digest.clone()
    }
}

/// The clinical scopes of a therapist: the known ones if no care relationship was written since.
async fn care(app: &App, caller: &Caller, head: &PracticeHead) -> Result<Arc<Scopes>, ApiError> {
    let (practice, user) = (caller.practice, caller.user);
    let known = match app.care.get(practice, user, head) {
        Some(care) if care.seq == head.seq => return Ok(care.scopes),
        Some(care) if !app.storage.care_changed_after(practice, care.seq).await? => Some(care.scopes),
        _ => None,
    };
    let scopes = match known {
        Some(scopes) => scopes,
        None => {
            let clients = app.storage.care_scopes(practice, user).await?;
            Arc::new(Scopes::new(clients.into_iter().map(Scope::Clinical).collect()))
        }
    };
    let care = Care {
        epoch: head.epoch.clone(),
        seq: head.seq,
        scopes: Arc::clone(&scopes),
    };
    app.care.put(practice, user, care);
    Ok(scopes)
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

    fn entitled_to<const N: usize>(scopes: [Scope; N]) -> Entitlement {
        Entitlement(Arc::new(Scopes::new(BTreeSet::from(scopes))))
    }

    #[test]
    fn what_a_device_holds_is_compared_with_what_it_may_hold() {
        let entitled = entitled_to([clinical(1), clinical(2)]);
        let compared = entitled.compare(&[clinical(2), clinical(3), Scope::Office]);
        assert_eq!(compared.keeps, [clinical(2)]);
        assert_eq!(compared.enter, [clinical(1)]);
        assert_eq!(compared.leave, [Scope::Office, clinical(3)]);
    }

    #[test]
    fn one_scope_too_many_refuses_the_whole_question() {
        let entitled = entitled_to([Scope::Office]);
        assert_eq!(
            entitled.require(&[Scope::Office, Scope::Office]).unwrap(),
            [Scope::Office]
        );
        assert!(entitled.require(&[Scope::Office, clinical(1)]).is_err());
        assert!(!entitled.allows(clinical(1)));
    }

    #[test]
    fn what_is_known_of_care_is_of_one_history_and_never_older_than_what_was_known() {
        let known = KnownCare::default();
        let (practice, user) = (PracticeId::new(Uuid::nil()), UserId::new(Uuid::nil()));
        let head = |epoch: &str, seq| PracticeHead {
            epoch: epoch.to_owned(),
            seq,
            chain: [0; 32],
            client_number: 0,
            gc_floor: 0,
        };
        let put = |seq| {
            let care = Care {
                epoch: "one".to_owned(),
                seq,
                scopes: Arc::new(Scopes::new(BTreeSet::new())),
            };
            known.put(practice, user, care);
        };
        let seq = |head: &PracticeHead| known.get(practice, user, head).map(|care| care.seq);
        put(7);
        put(5);
        assert_eq!(seq(&head("one", 7)), Some(7));
        assert_eq!(seq(&head("one", 8)), Some(7), "what changed since is to be looked for");
        assert_eq!(
            seq(&head("one", 7 + MOST_CHANGES + 1)),
            None,
            "too much may have changed"
        );
        assert_eq!(
            seq(&head("one", 6)),
            None,
            "a head from before it is of another history"
        );
        assert_eq!(seq(&head("two", 7)), None);
        assert!(
            known
                .get(practice, UserId::new(Uuid::from_u128(1)), &head("one", 7))
                .is_none()
        );
    }
}
