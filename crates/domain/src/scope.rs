//! Who may read what: roles of people and scopes of entities.

use serde::{Deserialize, Serialize};
use std::fmt;

use crate::ids::{ClientId, UserId};

/// What a person does in the practice. Administration is a separate right, because an administrator reads no clinical content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, specta::Type)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Treats clients; has a clinical file.
    Therapist,
    /// Schedules; holds the office key and nothing else.
    FrontDesk,
    /// Administers people, devices and settings only.
    Admin,
}

impl Role {
    /// Whether the role comes with a clinical file.
    #[must_use]
    pub const fn is_clinical(self) -> bool {
        matches!(self, Self::Therapist)
    }

    /// The name used on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Therapist => "therapist",
            Self::FrontDesk => "front_desk",
            Self::Admin => "admin",
        }
    }
}

/// The group of readers that an entity belongs to. Fixed when the entity is created.
///
/// Written `office`, `clinical:<client>` or `private:<author>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Scope {
    /// Schedule, demographics, fees: everyone who works in the practice.
    Office,
    /// One client's clinical record: who treats the client.
    Clinical(ClientId),
    /// Psychotherapy notes: their author alone.
    Private(UserId),
}

impl Scope {
    /// Whether content in this scope is clinical, so that it is sealed at rest and lives in a clinical file.
    #[must_use]
    pub const fn is_clinical(self) -> bool {
        !matches!(self, Self::Office)
    }

    /// Reads the written form; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "office" => Some(Self::Office),
            Some(("clinical", id)) => id.parse().ok().map(Self::Clinical),
            Some(("private", id)) => id.parse().ok().map(Self::Private),
            _ => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Office => f.write_str("office"),
            Self::Clinical(client) => write!(f, "clinical:{client}"),
            Self::Private(author) => write!(f, "private:{author}"),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not a scope"))
    }
}
