//! The proof that this replica holds what the service holds: sums over the service's versions, recomputed from the stored bytes each time.

use caseload_domain::{EntityKey, Scope};
use caseload_protocol::checksum::{Leaf, Sums, bucket, hex, leaf_of_canonical};
use caseload_protocol::messages::{BucketName, ManifestEntry};

use crate::error::StorageError;
use crate::read::ReadTx;
use crate::rows;

const MIRROR: &str = "SELECT type, id, rev, coalesce(base_deleted, deleted), scope, coalesce(base_doc, doc),
        json_extract(coalesce(base_doc, doc), '$.salt')
 FROM doc WHERE rev > 0";

impl ReadTx<'_> {
    /// The sums over the service's versions of everything in `scopes`. Changes that wait here are not in them.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn sums(&self, scopes: &[Scope]) -> Result<Sums, StorageError> {
        let mut sums = Sums::default();
        self.leaves(scopes, |key, _, leaf| sums.add(key, leaf))?;
        Ok(sums)
    }

    /// The rows of one bucket with their leaves, by id.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn manifest(&self, scopes: &[Scope], name: &BucketName) -> Result<Vec<ManifestEntry>, StorageError> {
        let mut entries = Vec::new();
        self.leaves(scopes, |key, rev, leaf| {
            if key.kind == name.t && bucket(key.id) == name.bucket {
                entries.push(ManifestEntry {
                    id: key.id,
                    rev,
                    leaf: hex(leaf),
                });
            }
        })?;
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(entries)
    }

    fn leaves(&self, scopes: &[Scope], mut each: impl FnMut(&EntityKey, i64, &Leaf)) -> Result<(), StorageError> {
        let wanted: std::collections::HashSet<String> = scopes.iter().map(Scope::to_string).collect();
        let mut statement = self.connection().prepare_cached(MIRROR)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if !wanted.contains(row.get_ref(4)?.as_str().unwrap_or_default()) {
                continue;
            }
            let (key, rev) = (rows::key(row, 0)?, row.get(2)?);
            let content = row.get_ref(5)?.as_bytes().unwrap_or_default();
            let salt = row.get_ref(6)?.as_str().unwrap_or_default();
            each(&key, rev, &leaf_of_canonical(&key, rev, row.get(3)?, salt, content));
        }
        Ok(())
    }
}
