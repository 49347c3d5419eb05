//! Sealing at rest: a copy of the service's files or of MongoDB alone shows no clinical text.
//!
//! Each practice has a random key, itself sealed under a key that derives from the service's master key. Clinical rows and the clinical
//! operations of the history are sealed under it, each bound to its place, so that one sealed record cannot be passed off as another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use caseload_domain::{EntityKey, OpId, PracticeId, ReplicaId};
use caseload_vault::{SymmetricKey, seal};
use zeroize::Zeroizing;

use super::error::StorageError;

/// The keys of the practices, opened once each.
pub(super) struct Keyring {
    wrapping: SymmetricKey,
    open: Mutex<HashMap<PracticeId, SymmetricKey>>,
}

impl Keyring {
    pub(super) fn new(master: &SymmetricKey) -> Self {
        Self {
            wrapping: master.derive("service-practice-keys/v1", b""),
            open: Mutex::default(),
        }
    }

    /// A new practice's key, sealed for keeping.
    pub(super) fn make(&self, practice: PracticeId) -> Vec<u8> {
        seal::seal(&self.wrapping, &practice_aad(practice), SymmetricKey::random().expose())
    }

    /// The key if it was opened before.
    pub(super) fn known(&self, practice: PracticeId) -> Option<PracticeKey> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&practice).map(|key| PracticeKey {
            practice,
            key: key.clone(),
        })
    }

    /// Opens what [`Self::make`] gave.
    pub(super) fn open(&self, practice: PracticeId, kept: &[u8]) -> Result<PracticeKey, StorageError> {
        let bytes = seal::open(&self.wrapping, &practice_aad(practice), kept)
            .map_err(|_| StorageError::Unreadable("the key of the practice"))?;
        let bytes =
            <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| StorageError::Unreadable("the key of the practice"))?;
        let key = SymmetricKey::from_bytes(bytes);
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(practice, key.clone());
        Ok(PracticeKey { practice, key })
    }
}

/// The key of one practice.
#[derive(Clone)]
pub(super) struct PracticeKey {
    practice: PracticeId,
    key: SymmetricKey,
}

impl PracticeKey {
    pub(super) fn seal_row(&self, key: &EntityKey, plain: &[u8]) -> Vec<u8> {
        seal::seal(&self.key, &self.row_aad(key), plain)
    }

    pub(super) fn open_row(&self, key: &EntityKey, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        seal::open(&self.key, &self.row_aad(key), sealed).map_err(|_| StorageError::Unreadable("a sealed row"))
    }

    pub(super) fn seal_op(&self, replica: ReplicaId, number: i64, op: OpId, plain: &[u8]) -> Vec<u8> {
        seal::seal(&self.key, &self.op_aad(replica, number, op), plain)
    }

    /// Practice, id, type. Frozen: every sealed row is bound to these bytes.
    fn row_aad(&self, key: &EntityKey) -> Vec<u8> {
        let practice = self.practice.uuid();
        let id = key.id.uuid();
        [
            b"caseload/service-row/v1\0".as_slice(),
            practice.as_bytes(),
            id.as_bytes(),
            key.kind.as_str().as_bytes(),
        ]
        .concat()
    }

    /// Practice, replica, mutation number, operation. Frozen: every sealed operation is bound to these bytes.
    fn op_aad(&self, replica: ReplicaId, number: i64, op: OpId) -> Vec<u8> {
        let (practice, replica, op) = (self.practice.uuid(), replica.uuid(), op.uuid());
        [
            b"caseload/service-op/v1\0".as_slice(),
            practice.as_bytes(),
            replica.as_bytes(),
            &number.to_be_bytes(),
            op.as_bytes(),
        ]
        .concat()
    }
}

/// Frozen: every practice's key is bound to these bytes.
fn practice_aad(practice: PracticeId) -> Vec<u8> {
    [
        b"caseload/service-practice-key/v1\0".as_slice(),
        practice.uuid().as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use caseload_domain::EntityId;
    use uuid::Uuid;

    fn practice(number: u128) -> PracticeId {
        PracticeId::new(Uuid::from_u128(number))
    }

    fn keyring() -> Keyring {
        Keyring::new(&SymmetricKey::from_bytes([7; 32]))
    }

    #[test]
    fn a_sealed_row_opens_only_in_its_own_place() {
        let ring = keyring();
        let kept = ring.make(practice(1));
        let key = ring.open(practice(1), &kept).unwrap();
        let note = EntityKey::new("session_note", EntityId::new(Uuid::from_u128(5)));
        let sealed = key.seal_row(&note, b"text");
        assert_eq!(key.open_row(&note, &sealed).unwrap().as_slice(), b"text");
        for other in [
            EntityKey::new("addendum", note.id),
            EntityKey::new("session_note", EntityId::new(Uuid::from_u128(6))),
        ] {
            assert!(key.open_row(&other, &sealed).is_err());
        }
    }

    #[test]
    fn the_key_of_a_practice_opens_only_for_it_and_under_the_same_master_key() {
        let kept = keyring().make(practice(1));
        assert!(keyring().open(practice(1), &kept).is_ok());
        assert!(keyring().open(practice(2), &kept).is_err());
        assert!(
            Keyring::new(&SymmetricKey::from_bytes([8; 32]))
                .open(practice(1), &kept)
                .is_err()
        );
    }

    #[test]
    fn the_associated_data_is_frozen_because_everything_sealed_is_bound_to_it() {
        let key = PracticeKey {
            practice: practice(1),
            key: SymmetricKey::from_bytes([1; 32]),
        };
        let row = key.row_aad(&EntityKey::new("t", EntityId::new(Uuid::from_u128(2))));
        let number = |number: u128| number.to_be_bytes();
        assert_eq!(
            row,
            [b"caseload/service-row/v1\0".as_slice(), &number(1), &number(2), b"t"].concat()
        );
        let op = key.op_aad(ReplicaId::new(Uuid::from_u128(3)), 4, OpId::new(Uuid::from_u128(5)));
        let expected = [
            b"caseload/service-op/v1\0".as_slice(),
            &number(1),
            &number(3),
            &4_i64.to_be_bytes(),
            &number(5),
        ]
        .concat();
        assert_eq!(op, expected);
        let kept = [b"caseload/service-practice-key/v1\0".as_slice(), &number(1)].concat();
        assert_eq!(practice_aad(practice(1)), kept);
    }
}
