//! Rows that a device holds and a restored service does not: how they are offered back.
//!
//! The service was restored from a copy, so changes that it had acknowledged are gone from it while devices still hold their results. A device
//! offers such a row as it is, by an ordinary operation; the service keeps it as a record of the row's own scope until a person who may see
//! it accepts or refuses. Nothing is offered as a change of the row itself: whether it was lost or meanwhile replaced is for a person to say.

use caseload_domain::canonical::CanonicalError;
use caseload_domain::{EntityId, EntityKey, Scope};
use serde_json::{Map, Value, json};

use crate::checksum::{self, Leaf, hex};
use crate::messages::{Op, OpKind, WireRow};

/// The types of the records that hold an offered row, for office and for clinical rows.
pub const KINDS: [&str; 2] = ["reoffer", "clinical_reoffer"];

/// The choice of whoever reviews: the offered row becomes an ordinary row again.
pub const ACCEPT: &str = "accept";
/// The choice of whoever reviews: the offered row stays what it is, a record of what was lost.
pub const REFUSE: &str = "refuse";

/// Whether an entity is the record of an offered row.
#[must_use]
pub fn is_record(key: &EntityKey) -> bool {
    KINDS.contains(&key.kind.as_str())
}

/// The leaf of a row as it was sent to a device.
///
/// # Errors
/// When the content has no canonical form.
pub fn leaf(row: &WireRow) -> Result<Leaf, CanonicalError> {
    checksum::leaf(&row.key, row.rev, row.del, &row.doc)
}

/// The record under which `row` is offered: the same from every device that holds this version. `None` for what no service can review.
#[must_use]
pub fn record_key(row: &WireRow) -> Option<EntityKey> {
    let kind = match row.scope {
        Scope::Office => KINDS[0],
        Scope::Clinical(_) => KINDS[1],
        Scope::Private(_) => return None,
    };
    let leaf = hex(&leaf(row).ok()?);
    let parts = ["reoffer", row.key.kind.as_str(), &row.key.id.to_string(), &leaf];
    Some(EntityKey::new(kind, EntityId::derived(&parts)))
}

/// What an operation that offers `row` carries: whose record it is, which version, and the version itself.
#[must_use]
pub fn units(row: &WireRow) -> Map<String, Value> {
    let mut units = Map::new();
    if let Scope::Clinical(client) = row.scope {
        units.insert("subject".to_owned(), json!({"client": client}));
    }
    units.insert("about".to_owned(), about(row));
    units.insert("lost".to_owned(), json!(row));
    units
}

/// What a record or an operation says about the row that it is about.
#[must_use]
pub fn about(row: &WireRow) -> Value {
    json!({"type": row.key.kind, "id": row.key.id, "rev": row.rev})
}

/// The offered row out of the units of a record or an operation; `None` when they do not fit each other.
#[must_use]
pub fn row_of(units: &Map<String, Value>) -> Option<WireRow> {
    let row: WireRow = serde_json::from_value(units.get("lost")?.clone()).ok()?;
    (units.get("about") == Some(&about(&row))).then_some(row)
}

/// The row that an operation offers back or whose offer it settles.
#[must_use]
pub fn named_by(op: &Op) -> Option<EntityKey> {
    if !is_record(&op.key) || !matches!(op.kind, OpKind::Reoffer | OpKind::Settle) {
        return None;
    }
    let about = op.units.get("about")?;
    let id = about.get("id")?.as_str()?.parse().ok()?;
    Some(EntityKey::new(about.get("type")?.as_str()?, id))
}
