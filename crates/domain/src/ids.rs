//! Identifiers. Two kinds of id can never be swapped, and none of them carries meaning.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID as this kind of id.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// The same UUID as the id of an entity, for look-ups in the store.
            #[must_use]
            pub const fn entity(self) -> EntityId {
                EntityId(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(/// Any entity. Made on the device as UUID v7, or derived (v5) where two devices must arrive at the same id.
    EntityId);
id!(/// One practice: the unit of ownership, of the sequence of changes and of sharding.
    PracticeId);
id!(/// One person who works in the practice; also the id of the `staff_member` entity.
    UserId);
id!(/// One client; also the id of the `client` and `client_chart` entities.
    ClientId);
id!(/// One computer.
    DeviceId);
id!(/// One local file that syncs: the office file of a device or one clinician's file on it.
    ReplicaId);
id!(/// One change, the same for ever and everywhere.
    OpId);
id!(/// One atomic group of changes: what a person did in one go.
    GroupId);
id!(/// One encrypted file. Random, so that it says nothing about the file, and never used for another one.
    BlobId);

impl EntityId {
    /// The id that every device derives for the same `parts`: UUID v5 over them, joined by a line feed.
    #[must_use]
    pub fn derived(parts: &[&str]) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, parts.join("\n").as_bytes()))
    }
}

/// Namespace of every derived id. Frozen: another value would give two devices different ids for the same thing.
const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_5a52_7c0e_4b8e_9f0b_3a1d_5e27_c0de);

/// The name of an entity type, such as `client`. Types that this version does not know are kept, so any name is representable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntityKind(String);

impl EntityKind {
    /// Takes a type name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The type name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for EntityKind {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// Type and id: what names one entity within a practice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct EntityKey {
    /// The entity's type.
    #[serde(rename = "t")]
    pub kind: EntityKind,
    /// The entity's id.
    pub id: EntityId,
}

impl EntityKey {
    /// Names an entity.
    #[must_use]
    pub fn new(kind: impl Into<EntityKind>, id: EntityId) -> Self {
        Self { kind: kind.into(), id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_is_frozen_because_old_devices_derive_it_too() {
        assert_eq!(EntityId::derived(&["a", "b"]), EntityId::derived(&["a", "b"]));
        assert_eq!(
            EntityId::derived(&["a", "b"]).to_string(),
            "4f80a5f2-4327-5b7e-909c-1d5ba7b21f13"
        );
    }
}
