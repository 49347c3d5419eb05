//! Are both ends equal? Sums are compared, then the rows of the buckets that differ, and those are fetched by their ids.

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, PracticeId, ReplicaId, Scope};
use caseload_protocol::checksum::Sums;
use caseload_protocol::cursor::Moment;
use caseload_protocol::messages::{BucketName, CheckRequest, CheckResponse, FetchRequest, FetchResponse, WireRow};

use super::{Engine, Round, SyncError, diverged, too_old_to_tell};
use crate::error::TransportError;

/// Are both ends equal?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The state of the service that was compared.
    pub seq: i64,
    /// Rows compared.
    pub rows: i64,
    /// The figure over everything on this device, for people to compare.
    pub total: String,
    /// Buckets that differed before the repair; empty when both were equal.
    pub differing: Vec<BucketName>,
    /// Rows that were altered, missing or too many here.
    pub repaired: usize,
    /// Entities whose content changed on this device.
    pub changed: Vec<EntityKey>,
}

/// What is compared: the file as it is, and the history that it knows.
struct Comparison {
    practice: PracticeId,
    replica: ReplicaId,
    scopes: Vec<Scope>,
    position: i64,
    known: Moment,
    gc_floor: i64,
}

impl Comparison {
    fn request(&self, bucket: Option<BucketName>) -> CheckRequest {
        CheckRequest {
            practice: self.practice,
            replica: self.replica,
            scopes: self.scopes.clone(),
            bucket,
            known: Some(self.known.clone()),
        }
    }

    fn fetch(&self, keys: &[EntityKey]) -> FetchRequest {
        FetchRequest {
            practice: self.practice,
            replica: self.replica,
            keys: keys.to_vec(),
            known: Some(self.known.clone()),
        }
    }

    /// Whether the service wrote a row behind the position of the file.
    fn is_new(&self, row: &WireRow) -> bool {
        row.seq > self.position
    }
}

impl Engine {
    /// Compares the file with the service by checksums recomputed on both ends, and fetches the rows that differ. Call it after a round; a
    /// round of the same file waits meanwhile. A state from before the file's position is not compared, nor is another history. What the service
    /// wrote behind the position is left to the next round, which notes what it has read. A file without a position has nothing to compare yet.
    ///
    /// # Errors
    /// [`SyncError`].
    pub async fn check(&self, now: Millis) -> Result<CheckReport, SyncError> {
        // A page that came between the sums and the repair would be replaced by older rows.
        let mut greeted = self.greeted.lock().await;
        // A service that was put back lacks rows; a round offers them back, a repair would remove them.
        if self.hello(now, &mut Round::default()).await?.is_none() {
            *greeted = None;
        }
        let state = self.blocking(|store| store.sync_state()).await??;
        let cursor = match state.cursor {
            Some(cursor) if state.divergence.is_none() => cursor,
            _ => return Err(diverged()),
        };
        let mut comparison = Comparison {
            practice: self.session.identity().practice,
            replica: state.replica,
            scopes: state.scopes,
            position: cursor.seq,
            known: cursor.newest(),
            gc_floor: state.gc_floor,
        };
        let answer = self.ask(&mut comparison, None).await?;
        let theirs = Sums::from_wire(&answer.sums).ok_or(TransportError::Unreadable)?;
        let scopes = comparison.scopes.clone();
        let ours = self
            .blocking(move |store| store.read(|read| read.sums(&scopes)))
            .await??;
        let differing = ours.differing(&theirs);
        let (rows, total) = ours.total();
        let mut report = CheckReport {
            seq: answer.seq,
            rows,
            total,
            differing,
            repaired: 0,
            changed: Vec::new(),
        };
        for bucket in report.differing.clone() {
            self.repair(&mut comparison, bucket, &mut report).await?;
        }
        Ok(report)
    }

    /// Asks for sums or for one bucket. Tombstones that went at the service go here before anything is compared; where they went behind the
    /// position, or are there again, a round has to compare everything.
    async fn ask(&self, comparison: &mut Comparison, bucket: Option<BucketName>) -> Result<CheckResponse, SyncError> {
        let request = comparison.request(bucket);
        let answer: CheckResponse = self.session.post("/v1/sync/check", &request).await?;
        if answer.seq < comparison.position {
            return Err(too_old_to_tell());
        }
        let floor = answer.gc_floor;
        if floor < comparison.gc_floor || floor > comparison.position {
            return Err(diverged());
        }
        if floor > comparison.gc_floor {
            self.blocking(move |store| store.drop_tombstones(floor)).await??;
            comparison.gc_floor = floor;
        }
        Ok(answer)
    }

    /// Takes in the rows of one bucket that differ and that the file should have.
    async fn repair(
        &self,
        comparison: &mut Comparison,
        bucket: BucketName,
        report: &mut CheckReport,
    ) -> Result<(), SyncError> {
        let theirs = self.ask(comparison, Some(bucket.clone())).await?;
        let (name, of) = (bucket.clone(), comparison.scopes.clone());
        let ours = self
            .blocking(move |store| store.read(|read| read.manifest(&of, &name)))
            .await??;
        let key = |id| EntityKey::new(bucket.t.clone(), id);
        let wrong: Vec<EntityKey> = theirs
            .manifest
            .iter()
            .filter(|entry| !ours.contains(entry))
            .map(|entry| key(entry.id))
            .collect();
        let gone: Vec<EntityKey> = ours
            .iter()
            .filter(|entry| theirs.manifest.iter().all(|other| other.id != entry.id))
            .map(|entry| key(entry.id))
            .collect();
        let mut rows = Vec::new();
        for keys in wrong.chunks(200) {
            let answer: FetchResponse = self.session.post("/v1/sync/fetch", &comparison.fetch(keys)).await?;
            rows.extend(answer.rows.into_iter().filter(|row| !comparison.is_new(row)));
        }
        report.repaired += rows.len() + gone.len();
        let changed = self.blocking(move |store| store.repair(&rows, &gone)).await??;
        report.changed.extend(changed);
        Ok(())
    }
}
