//! The proof that two ends hold the same: leaves added modulo 2^256 in sixteen buckets per type.
//!
//! Addition instead of exclusive-or, because two equal wrong rows must not cancel out. Each side recomputes its leaves from the bytes it holds
//! and compares; nobody adopts the other's sum.

use std::collections::BTreeMap;

use caseload_domain::canonical::CanonicalError;
use caseload_domain::{Document, EntityId, EntityKey};
use ring::digest::{Context, SHA256};

use crate::messages::{BucketName, BucketSum};

/// SHA-256 over type, id, revision, deletion mark, salt and the hash of the canonical content.
pub type Leaf = [u8; 32];

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(bytes);
    finish(context)
}

/// The leaf of one row. Every part is preceded by its length, so that no two rows have the same input.
///
/// # Errors
/// When the content has no canonical form.
pub fn leaf(key: &EntityKey, rev: i64, deleted: bool, doc: &Document) -> Result<Leaf, CanonicalError> {
    Ok(leaf_of_canonical(
        key,
        rev,
        deleted,
        doc.unit("salt").and_then(|salt| salt.as_str()).unwrap_or_default(),
        &doc.canonical()?,
    ))
}

/// The leaf of a row whose canonical content is at hand; `salt` is the document's.
#[must_use]
pub fn leaf_of_canonical(key: &EntityKey, rev: i64, deleted: bool, salt: &str, canonical: &[u8]) -> Leaf {
    let mut context = Context::new(&SHA256);
    let content = sha256(canonical);
    let rev = rev.to_be_bytes();
    for part in [
        key.kind.as_str().as_bytes(),
        key.id.uuid().as_bytes().as_slice(),
        &rev,
        &[u8::from(deleted)],
        salt.as_bytes(),
        &content,
    ] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    finish(context)
}

/// The bucket of an id: the first half byte of its SHA-256, because the front of a UUID v7 is not random.
#[must_use]
pub fn bucket(id: EntityId) -> u8 {
    sha256(id.uuid().as_bytes())[0] >> 4
}

/// Sums of many leaves, by type and bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<BucketName, (i64, Leaf)>);

impl Sums {
    /// Adds one row.
    pub fn add(&mut self, key: &EntityKey, leaf: &Leaf) {
        let name = BucketName {
            t: key.kind.clone(),
            bucket: bucket(key.id),
        };
        let (count, sum) = self.0.entry(name).or_insert((0, [0; 32]));
        *count += 1;
        add_mod_2_256(sum, leaf);
    }

    /// Takes sums from the wire; `None` when one is not 64 hex digits.
    #[must_use]
    pub fn from_wire(sums: &[BucketSum]) -> Option<Self> {
        let mut map = BTreeMap::new();
        for sum in sums {
            map.insert(sum.name.clone(), (sum.n, parse_hex(&sum.s)?));
        }
        Some(Self(map))
    }

    /// For the wire.
    #[must_use]
    pub fn to_wire(&self) -> Vec<BucketSum> {
        self.0
            .iter()
            .map(|(name, (n, sum))| BucketSum {
                name: name.clone(),
                n: *n,
                s: hex(sum),
            })
            .collect()
    }

    /// The buckets in which the two differ.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<BucketName> {
        let mut names: Vec<_> = self
            .0
            .iter()
            .filter(|(name, value)| other.0.get(*name) != Some(value))
            .chain(other.0.iter().filter(|(name, _)| !self.0.contains_key(*name)))
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names
    }

    /// One figure over everything: rows and a hash of all sums, for people to compare.
    #[must_use]
    pub fn total(&self) -> (i64, String) {
        let mut context = Context::new(&SHA256);
        let mut rows = 0;
        for (name, (count, sum)) in &self.0 {
            rows += count;
            context.update(format!("{}/{}/{count}/", name.t, name.bucket).as_bytes());
            context.update(sum);
        }
        (rows, hex(&finish(context)))
    }
}

/// The hash chain of a practice's history after one operation that wrote `leaves` from `first_seq` on.
#[must_use]
pub fn extend_chain(chain: &Leaf, op: caseload_domain::OpId, first_seq: i64, leaves: &[Leaf]) -> Leaf {
    let mut context = Context::new(&SHA256);
    context.update(chain);
    context.update(op.uuid().as_bytes());
    context.update(&first_seq.to_be_bytes());
    for leaf in leaves {
        context.update(leaf);
    }
    finish(context)
}

/// Lower-case hex digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// Reads 64 hex digits.
#[must_use]
pub fn parse_hex(text: &str) -> Option<Leaf> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut leaf = [0; 32];
    for (index, byte) in leaf.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(leaf)
}

fn add_mod_2_256(sum: &mut Leaf, leaf: &Leaf) {
    let mut carry = 0_u16;
    for (digit, add) in sum.iter_mut().zip(leaf).rev() {
        let total = u16::from(*digit) + u16::from(*add) + carry;
        *digit = (total & 0xff) as u8;
        carry = total >> 8;
    }
}

fn finish(context: Context) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}
