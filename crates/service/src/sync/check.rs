//! Check: the sums that both ends recompute and compare.

use caseload_protocol::checksum::{self, Sums, hex};
use caseload_protocol::messages::{BucketName, CheckRequest, CheckResponse, ManifestEntry};

use super::entitlement::Entitlement;
use super::pull::require_known;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;
use crate::storage::LeafEntry;

/// The sums of the scopes asked for, or the rows of one bucket of them. The caller must be entitled to all of these scopes.
pub(super) async fn check(app: &App, caller: &Caller, request: &CheckRequest) -> Result<CheckResponse, ApiError> {
    caller.own(request.practice)?;
    let replica = caller.replica(app, request.replica).await?;
    let scopes = Entitlement::of(app, caller, &replica).await?.require(&request.scopes)?;
    require_known(app, caller.practice, request.known.as_ref()).await?;
    let leaves = app.storage.leaves(caller.practice, &scopes).await?;
    Ok(match &request.bucket {
        None => CheckResponse {
            seq: leaves.seq,
            gc_floor: leaves.gc_floor,
            sums: sums(&leaves.entries),
            manifest: Vec::new(),
        },
        Some(bucket) => CheckResponse {
            seq: leaves.seq,
            gc_floor: leaves.gc_floor,
            sums: Vec::new(),
            manifest: manifest(&leaves.entries, bucket),
        },
    })
}

fn sums(entries: &[LeafEntry]) -> Vec<caseload_protocol::messages::BucketSum> {
    let mut sums = Sums::default();
    for entry in entries {
        sums.add(&entry.key, &entry.leaf);
    }
    sums.to_wire()
}

fn manifest(entries: &[LeafEntry], name: &BucketName) -> Vec<ManifestEntry> {
    entries
        .iter()
        .filter(|entry| entry.key.kind == name.t && checksum::bucket(entry.key.id) == name.bucket)
        .map(|entry| ManifestEntry {
            id: entry.key.id,
            rev: entry.rev,
            leaf: hex(&entry.leaf),
        })
        .collect()
}
