//! Where a device stands in a practice's history: opaque on the wire, checked by the service.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A position in the feed. On the wire it is base64url of its JSON, to be handed back and not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The identity of the history.
    pub epoch: String,
    /// Everything up to here was examined.
    pub seq: i64,
    /// The first 8 bytes of the hash chain at `seq`, 16 hex digits: a rewound or forked history shows.
    pub chain: String,
    /// A digest of the scopes that were visible, 16 hex digits.
    pub scopes: String,
    /// The state that was read, where it is a later one than `seq`. A row that had been changed again by then is left out up to `seq` and comes
    /// with a later page; a service put back to before that state would never send it.
    pub read_at: Option<Moment>,
}

/// A state of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// Its newest sequence number.
    #[serde(rename = "q")]
    pub seq: i64,
    /// The first 8 bytes of the hash chain there, 16 hex digits.
    #[serde(rename = "c")]
    pub chain: String,
}

impl Cursor {
    /// The newest state of which its file holds anything.
    #[must_use]
    pub fn newest(&self) -> Moment {
        self.read_at.clone().unwrap_or_else(|| Moment {
            seq: self.seq,
            chain: self.chain.clone(),
        })
    }

    /// The same position of a file that has also read rows of the state `newest`.
    #[must_use]
    pub fn having_read(self, newest: Moment) -> Self {
        let read_at = (newest.seq > self.newest().seq).then_some(newest).or(self.read_at);
        Self { read_at, ..self }
    }
}

#[derive(Serialize, Deserialize)]
struct Plain {
    e: String,
    q: i64,
    c: String,
    s: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Moment>,
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plain = Plain {
            e: self.epoch.clone(),
            q: self.seq,
            c: self.chain.clone(),
            s: self.scopes.clone(),
            r: self.read_at.clone(),
        };
        let json = serde_json::to_vec(&plain).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let json = URL_SAFE_NO_PAD.decode(text).map_err(serde::de::Error::custom)?;
        let plain: Plain = serde_json::from_slice(&json).map_err(serde::de::Error::custom)?;
        Ok(Self {
            epoch: plain.e,
            seq: plain.q,
            chain: plain.c,
            scopes: plain.s,
            read_at: plain.r,
        })
    }
}
