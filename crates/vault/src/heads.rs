//! Heads: how far each database file had come, so that an old copy put back is noticed.
//!
//! SQLCipher opens an old copy of a file, or one whose write-ahead log is missing, without complaint. The slot file therefore remembers the
//! last audit entry seen in each file, under a MAC whose key derives from that file's own key: who cannot open a file cannot forge its head.

use caseload_domain::UserId;
use ring::hmac;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bundle::BundlePlace;
use crate::keys::DatabaseKey;
use crate::text;

/// One of the database files that a person opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DatabaseFile {
    /// `office.db`, shared by everybody who works on the device.
    Office,
    /// `clinical-<user>.db` of the person who is unlocked.
    Clinical,
}

impl DatabaseFile {
    /// The file's name in the profile folder.
    #[must_use]
    pub fn name(self, user: UserId) -> String {
        match self {
            Self::Office => "office.db".to_owned(),
            Self::Clinical => format!("clinical-{user}.db"),
        }
    }
}

/// The last audit entry of a database file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The id that the database was created with.
    pub database: Uuid,
    /// Number of the last audit entry.
    pub sequence: u64,
    /// Hash of the last audit entry.
    pub hash: [u8; 32],
}

/// A database file compared with its recorded head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadCheck {
    /// Nothing was recorded for this file.
    Unknown,
    /// The file is as it was recorded.
    Same,
    /// The file went on since. The entry with this number must have this hash, or the file belongs to another history.
    Ahead {
        /// Number of the recorded entry.
        recorded_sequence: u64,
        /// Hash of the recorded entry.
        recorded_hash: [u8; 32],
    },
    /// The file is older than recorded, or its history was rewritten.
    RolledBack {
        /// Number of the recorded entry.
        recorded_sequence: u64,
    },
    /// The file is another database than the recorded one.
    OtherDatabase,
    /// The recorded head was not written by a holder of the file's key.
    Forged,
}

/// A head as it lies in the slot file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedHead {
    database: Uuid,
    sequence: u64,
    #[serde(with = "text::array")]
    hash: [u8; 32],
    #[serde(with = "text::array")]
    mac: [u8; 32],
}

impl RecordedHead {
    pub(crate) fn new(key: &DatabaseKey, place: &BundlePlace, name: &str, head: &Head) -> Self {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&mac_key(key), &mac_message(place, name, head)).as_ref());
        Self {
            database: head.database,
            sequence: head.sequence,
            hash: head.hash,
            mac,
        }
    }

    pub(crate) fn check(&self, key: &DatabaseKey, place: &BundlePlace, name: &str, found: &Head) -> HeadCheck {
        let recorded = Head {
            database: self.database,
            sequence: self.sequence,
            hash: self.hash,
        };
        if hmac::verify(&mac_key(key), &mac_message(place, name, &recorded), &self.mac).is_err() {
            HeadCheck::Forged
        } else if found.database != recorded.database {
            HeadCheck::OtherDatabase
        } else if *found == recorded {
            HeadCheck::Same
        } else if found.sequence > recorded.sequence {
            HeadCheck::Ahead {
                recorded_sequence: recorded.sequence,
                recorded_hash: recorded.hash,
            }
        } else {
            HeadCheck::RolledBack {
                recorded_sequence: recorded.sequence,
            }
        }
    }
}

fn mac_key(key: &DatabaseKey) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, key.derive("head/v1", &[]).expose())
}

/// Frozen: the fixed-length fields first, the file's name last. The user is left out: everybody on the device writes the office head.
fn mac_message(place: &BundlePlace, name: &str, head: &Head) -> Vec<u8> {
    [
        place.practice.uuid().as_bytes().as_slice(),
        place.device.uuid().as_bytes(),
        head.database.as_bytes(),
        &head.sequence.to_be_bytes(),
        &head.hash,
        name.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use caseload_domain::{DeviceId, PracticeId};

    fn place() -> BundlePlace {
        BundlePlace {
            practice: PracticeId::new(Uuid::from_u128(1)),
            device: DeviceId::new(Uuid::from_u128(2)),
            user: UserId::new(Uuid::from_u128(3)),
        }
    }

    fn head(sequence: u64, hash: u8) -> Head {
        Head {
            database: Uuid::from_u128(9),
            sequence,
            hash: [hash; 32],
        }
    }

    #[test]
    fn a_file_is_the_same_ahead_rolled_back_or_another() {
        let key = DatabaseKey::from_bytes(&[1; 48]);
        let recorded = RecordedHead::new(&key, &place(), "office.db", &head(5, 7));
        let ahead = HeadCheck::Ahead {
            recorded_sequence: 5,
            recorded_hash: [7; 32],
        };
        let back = HeadCheck::RolledBack { recorded_sequence: 5 };
        let other = Head {
            database: Uuid::from_u128(8),
            ..head(5, 7)
        };
        for (found, expected) in [
            (head(5, 7), HeadCheck::Same),
            (head(6, 8), ahead),
            (head(4, 6), back),
            (head(5, 8), back),
            (head(0, 0), back),
            (other, HeadCheck::OtherDatabase),
        ] {
            assert_eq!(
                recorded.check(&key, &place(), "office.db", &found),
                expected,
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_head_that_was_changed_moved_or_made_without_the_key_is_forged() {
        let key = DatabaseKey::from_bytes(&[1; 48]);
        let recorded = RecordedHead::new(&key, &place(), "office.db", &head(5, 7));
        let check = |recorded: &RecordedHead, place: BundlePlace, name: &str, key: &DatabaseKey| {
            assert_eq!(recorded.check(key, &place, name, &head(5, 7)), HeadCheck::Forged);
        };
        check(&recorded, place(), "clinical.db", &key);
        check(&recorded, place(), "office.db", &DatabaseKey::random());
        check(
            &recorded,
            BundlePlace {
                device: DeviceId::new(Uuid::from_u128(4)),
                ..place()
            },
            "office.db",
            &key,
        );
        check(
            &recorded,
            BundlePlace {
                practice: PracticeId::new(Uuid::from_u128(4)),
                ..place()
            },
            "office.db",
            &key,
        );
        check(
            &RecordedHead {
                sequence: 4,
                ..recorded.clone()
            },
            place(),
            "office.db",
            &key,
        );
        check(
            &RecordedHead {
                hash: [6; 32],
                ..recorded.clone()
            },
            place(),
            "office.db",
            &key,
        );
        check(
            &RecordedHead {
                database: Uuid::from_u128(8),
                ..recorded
            },
            place(),
            "office.db",
            &key,
        );
    }

    #[test]
    fn the_recorded_form_is_frozen_because_a_head_that_cannot_be_read_hides_a_rollback() {
        let recorded = RecordedHead::new(&DatabaseKey::from_bytes(&[1; 48]), &place(), "office.db", &head(5, 7));
        assert_eq!(
            serde_json::to_string(&recorded).unwrap(),
            r#"{"database":"00000000-0000-0000-0000-000000000009","sequence":5,"hash":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc","mac":"MmQ2S_lpXv_H1nLlgOPJvHUWhl53rmxU9hp_KSMU3J4"}"#
        );
    }

    #[test]
    fn file_names_are_those_of_the_profile_folder() {
        let user = UserId::new(Uuid::from_u128(3));
        assert_eq!(DatabaseFile::Office.name(user), "office.db");
        assert_eq!(
            DatabaseFile::Clinical.name(user),
            "clinical-00000000-0000-0000-0000-000000000003.db"
        );
    }
}
