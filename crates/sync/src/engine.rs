//! One round of sync for one local file: hello where needed, push until nothing waits, pull until nothing is new.
//!
//! Each step that changes the file is a transaction of the store or a few, so a round may be cut anywhere and begun again. Nothing here merges:
//! the service decides, the store replays. The outbox survives every recovery path.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::{Arc, MutexGuard, PoisonError};

use caseload_domain::time::Millis;
use caseload_domain::{EntityKey, ReplicaId, Scope, registry};
use caseload_protocol::auth::{RegisterReplicaRequest, ReplicaKind};
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::{
    HelloAction, HelloRequest, HelloResponse, LastOp, Limits, PullRequest, PullResponse, PushRequest, PushResponse,
    SnapshotRequest, SnapshotResponse, WireErrorCode, WireRow,
};
use caseload_store::{ApplyError, Divergence, FileError, FileKind, SnapshotPart, SnapshotSeries, StorageError, Store};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::error::TransportError;
use crate::session::Session;

mod check;

pub use check::CheckReport;

/// How often a round may recover (register anew, resync) before it gives up and reports.
const MAX_RECOVERIES: u32 = 5;

/// A clock that is further off than this is told, in milliseconds.
const SKEW_TOLD_MS: i64 = 5 * Millis::MINUTE;

/// Why a round did not finish. What was sent and acknowledged until then stays.
#[derive(Debug, Error)]
pub enum SyncError {
    /// Talking to the service failed.
    #[error(transparent)]
    Transport(TransportError),
    /// The local file failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file could not be read or written.
    #[error("a file could not be moved")]
    File(#[source] FileError),
    /// What the service sent could not be taken in.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// This program is too old for the service; the outbox is kept.
    #[error("this program is too old for the service")]
    UpgradeRequired,
    /// This computer was revoked: it shares nothing any more, and keeps what it holds and what waits.
    #[error("this computer was revoked")]
    Revoked,
    /// The histories do not come together by the known ways.
    #[error("the service and this file could not be brought together")]
    CannotRecover,
    /// The background task ended.
    #[error("the background task ended")]
    Interrupted,
}

impl From<TransportError> for SyncError {
    fn from(error: TransportError) -> Self {
        match error.code() {
            // Said when signing in, which may be part of any request.
            Some(WireErrorCode::DeviceRevoked) => Self::Revoked,
            _ => Self::Transport(error),
        }
    }
}

/// What one round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Entities whose content or marks changed on this device, by this round and by those before it that did not finish.
    pub changed: Vec<EntityKey>,
    /// Operations acknowledged.
    pub pushed: usize,
    /// Operations refused; they are in quarantine.
    pub refused: usize,
    /// Rows received.
    pub pulled: usize,
    /// The newest sequence number of the service.
    pub head_seq: i64,
    /// The service's clock minus this device's, in milliseconds, when it was asked.
    pub clock_skew_ms: Option<i64>,
}

impl Round {
    /// Whether this device's clock is further from the service's than a person should leave it. Nothing is decided by it.
    #[must_use]
    pub fn clock_is_off(&self) -> bool {
        self.clock_skew_ms.is_some_and(|skew| skew.abs() > SKEW_TOLD_MS)
    }
}

/// A push that is ready to be sent.
struct Batch {
    body: Vec<u8>,
    ops: usize,
    last_place: i64,
}

/// Syncs one file.
pub struct Engine {
    session: Arc<Session>,
    store: Arc<Store>,
    app: String,
    new_replica: fn() -> ReplicaId,
    /// What hello said; asked again after every refusal. Also keeps rounds of one file apart.
    greeted: Mutex<Option<Limits>>,
    /// Kept apart from what hello said, so that moving files does not wait for a round.
    limits: std::sync::Mutex<Limits>,
    /// What rounds changed that did not finish.
    untold: std::sync::Mutex<Vec<EntityKey>>,
    /// Keeps the moves of files apart.
    pub(crate) files: Mutex<()>,
}

impl Engine {
    /// An engine for `store`, over a signed-in connection. `app` is the program's version, for the service's log; `new_replica` makes the
    /// id under which a restored or cloned file goes on.
    #[must_use]
    pub fn new(session: Arc<Session>, store: Arc<Store>, app: &str, new_replica: fn() -> ReplicaId) -> Self {
        Self {
            session,
            store,
            app: app.to_owned(),
            new_replica,
            greeted: Mutex::new(None),
            limits: std::sync::Mutex::default(),
            untold: std::sync::Mutex::default(),
            files: Mutex::new(()),
        }
    }

    /// Brings the file and the service together. One round at a time; a second caller waits.
    ///
    /// # Errors
    /// [`SyncError`]. Retryable ones leave everything as it was, to be tried again.
    pub async fn round(&self, now: Millis) -> Result<Round, SyncError> {
        let mut greeted = self.greeted.lock().await;
        let mut round = Round {
            changed: mem::take(&mut *self.untold()),
            ..Round::default()
        };
        match self.bring_together(&mut greeted, now, &mut round).await {
            Ok(()) => Ok(round),
            Err(error) => {
                // What had been taken in by then stays, so the next round tells it.
                *self.untold() = round.changed;
                Err(error)
            }
        }
    }

    fn untold(&self) -> MutexGuard<'_, Vec<EntityKey>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn bring_together(
        &self,
        greeted: &mut Option<Limits>,
        now: Millis,
        round: &mut Round,
    ) -> Result<(), SyncError> {
        for _ in 0..MAX_RECOVERIES {
            let limits = match greeted.clone() {
                Some(limits) => limits,
                None => match self.hello(now, round).await? {
                    Some(limits) => {
                        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = limits.clone();
                        greeted.insert(limits).clone()
                    }
                    None => continue,
                },
            };
            match self.exchange(&limits, now, round).await {
                Ok(()) => {
                    if round.clock_is_off() {
                        // Asked again with the next round, so that it shows when the clock was set right.
                        *greeted = None;
                    }
                    self.want_recent(&round.changed, now).await?;
                    return Ok(());
                }
                Err(SyncError::Transport(error)) => {
                    *greeted = None;
                    self.recover(error).await?;
                }
                // What the service lacks is offered back to it instead of being removed here; what it removed itself it will not take.
                Err(SyncError::Apply(ApplyError::TooManyRemovals { .. })) => {
                    *greeted = None;
                    self.blocking(|store| store.begin_comparison()).await??;
                }
                Err(error) => return Err(error),
            }
        }
        Err(SyncError::CannotRecover)
    }

    /// Pushes and pulls. With a service of another history first everything held is compared with snapshots: what waits here must not be sent
    /// before it is known which rows below it are still there.
    async fn exchange(&self, limits: &Limits, now: Millis, round: &mut Round) -> Result<(), SyncError> {
        let divergence = self.blocking(|store| store.sync_state()).await??.divergence;
        if divergence == Some(Divergence::Found) {
            self.reregister().await?;
        }
        if divergence.is_some() {
            self.pull(limits, now, round).await?;
        }
        self.push(limits, now, round).await?;
        self.pull(limits, now, round).await
    }

    /// Waits until the service has something newer than `seq`, however long that takes; gives the newest number. While nothing is new the
    /// service is asked less than once a minute.
    ///
    /// # Errors
    /// [`SyncError::Transport`].
    pub async fn wait(&self, seq: i64) -> Result<i64, SyncError> {
        Ok(self.session.wait(seq).await?)
    }

    /// Greets the service; `None` when a recovery was made and the service is to be greeted again.
    async fn hello(&self, now: Millis, round: &mut Round) -> Result<Option<Limits>, SyncError> {
        let state = self.blocking(|store| store.sync_state()).await??;
        let identity = self.session.identity();
        let request = HelloRequest {
            proto: caseload_protocol::PROTOCOL_VERSION,
            app: self.app.clone(),
            schema: registry::all()
                .map(|entity| (entity.kind.to_owned(), entity.schema))
                .collect::<BTreeMap<_, _>>(),
            practice: identity.practice,
            device: identity.device,
            replica: state.replica,
            last_op: state.last_op,
            next_mut: state.next_mut,
            cursor: state.cursor,
            time_ms: now.0,
        };
        let answer: HelloResponse = match self.session.post("/v1/sync/hello", &request).await {
            Err(error) if error.code() == Some(WireErrorCode::UpgradeRequired) => {
                return Err(SyncError::UpgradeRequired);
            }
            answer => answer?,
        };
        round.clock_skew_ms = Some(answer.server_time_ms - now.0);
        round.head_seq = answer.head_seq;
        match answer.action {
            HelloAction::Ok if answer.min_writer > caseload_protocol::WRITER_VERSION => Err(SyncError::UpgradeRequired),
            HelloAction::Ok => Ok(Some(answer.limits)),
            HelloAction::Upgrade => Err(SyncError::UpgradeRequired),
            HelloAction::Revoked => Err(SyncError::Revoked),
            HelloAction::Reregister => {
                self.reregister().await?;
                Ok(None)
            }
            HelloAction::Resync => {
                self.blocking(|store| store.begin_comparison()).await??;
                Ok(None)
            }
        }
    }

    /// Makes a refused round possible again, or gives the refusal back.
    async fn recover(&self, error: TransportError) -> Result<(), SyncError> {
        match error.code() {
            Some(WireErrorCode::MutationGap | WireErrorCode::DeviceForked) => self.reregister().await,
            Some(WireErrorCode::EpochChanged | WireErrorCode::HistoryDiverged | WireErrorCode::CursorTooOld) => {
                Ok(self.blocking(|store| store.begin_comparison()).await??)
            }
            Some(WireErrorCode::UpgradeRequired) => Err(SyncError::UpgradeRequired),
            _ => Err(error.into()),
        }
    }

    /// This file was restored or cloned: it goes on as a new replica with the same operations, bases and signatures.
    async fn reregister(&self) -> Result<(), SyncError> {
        let identity = self.blocking(|store| store.identity()).await??;
        let replica = (self.new_replica)();
        let kind = match identity.kind {
            FileKind::Office => ReplicaKind::Office,
            FileKind::Clinical(_) => ReplicaKind::Clinical,
        };
        let request = RegisterReplicaRequest {
            replica,
            kind,
            replaces: Some(identity.replica),
        };
        let number = self.session.register_replica(&request).await?;
        Ok(self.blocking(move |store| store.reregister(replica, number)).await??)
    }

    /// Sends what waits, batch by batch. While the service decides about one batch, the answer to the one before is taken in and the next
    /// one is read and written out, so that neither end waits for the other. There is never more than one request on its way, because
    /// mutation numbers arrive in order.
    async fn push(&self, limits: &Limits, now: Millis, round: &mut Round) -> Result<(), SyncError> {
        let mut answered: Option<PushResponse> = None;
        let mut ready = self.next_batch(limits, now, None, 0, round).await?;
        while let Some(batch) = ready {
            let (answer, next) = tokio::join!(
                self.session.post_body::<PushResponse>("/v1/sync/push", batch.body),
                self.next_batch(limits, now, answered.take(), batch.last_place, round)
            );
            let answer = match answer {
                Ok(answer) if answer.results.is_empty() => Err(TransportError::Unreadable),
                answer => answer,
            };
            // Both ends are looked at before either error ends the round: what was acknowledged stays noted.
            let (next, answer) = (next?, answer?);
            round.pushed += answer.results.len();
            round.head_seq = answer.head_seq;
            ready = if answer.results.len() == batch.ops {
                answered = Some(answer);
                next
            } else {
                // Only a beginning was answered: the rest goes again, before anything that follows it.
                self.next_batch(limits, now, Some(answer), 0, round).await?
            };
        }
        if let Some(answer) = answered {
            self.acknowledge(answer, now, round).await?;
        }
        Ok(())
    }

    /// Takes in the answer to an earlier batch, then reads and writes out the groups that wait behind `place`; `None` when none does.
    async fn next_batch(
        &self,
        limits: &Limits,
        now: Millis,
        answered: Option<PushResponse>,
        place: i64,
        round: &mut Round,
    ) -> Result<Option<Batch>, SyncError> {
        if let Some(answer) = answered {
            self.acknowledge(answer, now, round).await?;
        }
        // JSON grows a little in transit; two thirds of the limit leave room for the envelope.
        let (max_ops, max_bytes) = (
            limits.push_ops as usize,
            usize::try_from(limits.push_bytes_raw).unwrap_or(usize::MAX) / 3 * 2,
        );
        let practice = self.session.identity().practice;
        self.blocking(move |store| {
            let waiting = store.next_groups_behind(place, max_ops, max_bytes)?;
            if waiting.groups.is_empty() {
                return Ok::<_, SyncError>(None);
            }
            let state = store.sync_state()?;
            // A file whose first snapshots were cut has no position yet, and has read rows all the same.
            let (known, epoch) = match state.cursor {
                Some(cursor) => (Some(cursor.newest()), state.epoch),
                None => match store.snapshots()? {
                    Some(series) => (Some(series.newest), Some(series.start.epoch)),
                    None => (None, state.epoch),
                },
            };
            let request = PushRequest {
                practice,
                replica: state.replica,
                epoch,
                known,
                groups: waiting.groups,
            };
            Ok(Some(Batch {
                body: serde_json::to_vec(&request).map_err(|_| TransportError::Unreadable)?,
                ops: request.groups.iter().map(|group| group.ops.len()).sum(),
                last_place: waiting.last_place,
            }))
        })
        .await?
    }

    async fn acknowledge(&self, answer: PushResponse, now: Millis, round: &mut Round) -> Result<(), SyncError> {
        let acknowledged = self
            .blocking(move |store| store.acknowledge(&answer.results, &answer.epoch, now))
            .await??;
        round.refused += acknowledged.refused;
        round.changed.extend(acknowledged.changed);
        Ok(())
    }

    async fn pull(&self, limits: &Limits, now: Millis, round: &mut Round) -> Result<(), SyncError> {
        let mut prefetched: Option<PullResponse> = None;
        let mut refused = 0;
        loop {
            let state = self.blocking(|store| store.sync_state()).await??;
            let resuming = state.cursor.is_some();
            let request = |cursor| PullRequest {
                practice: self.session.identity().practice,
                replica: state.replica,
                cursor,
                have: state.scopes.clone(),
                max_rows: limits.pull_rows,
            };
            let answer: PullResponse = match prefetched.take() {
                Some(answer) => answer,
                None => {
                    self.session
                        .post("/v1/sync/pull", &request(state.cursor.clone()))
                        .await?
                }
            };
            round.head_seq = answer.head_seq;
            if answer.gc_floor != state.gc_floor {
                let floor = answer.gc_floor;
                if floor < state.gc_floor {
                    // Put back to before they went: what was dropped here, or left out of a snapshot, is there again.
                    self.blocking(move |store| store.begin_comparison_above(floor))
                        .await??;
                    return Err(diverged());
                }
                round
                    .changed
                    .extend(self.blocking(move |store| store.drop_tombstones(floor)).await??);
            }
            if has_lost_acknowledged(state.last_op.as_ref(), answer.acked.as_ref()) {
                return Err(diverged());
            }
            let is_new = !resuming && state.scopes.is_empty();
            if is_new && answer.gc_floor == 0 && !answer.enter.is_empty() && answer.rows.is_empty() {
                // A new file reads the feed from its beginning: one page for a thousand rows, where snapshots would be one for each client.
                // Once tombstones are gone the beginning is too old a position.
                let (scopes, beginning) = (answer.enter, answer.cursor);
                self.blocking(move |store| store.hold_from_the_beginning(&scopes, &beginning))
                    .await??;
                continue;
            }
            let same_scopes = answer.enter.is_empty() && answer.leave.is_empty() && state.begun.is_none();
            if same_scopes && answer.rows.is_empty() && !answer.more && state.cursor.as_ref() == Some(&answer.cursor) {
                // Nothing is new: nothing is written either, unless something was acknowledged.
                let changed = self.blocking(Store::release_acknowledged).await??;
                round.changed.extend(changed);
                return Ok(());
            }
            round.pulled += answer.rows.len();
            if resuming && answer.more && same_scopes {
                // The next page is on its way while this one is taken in. Should this one fail, the next is asked for again.
                let following = request(Some(answer.cursor.clone()));
                let from = state.cursor.clone();
                let (rows, cursor) = (answer.rows, answer.cursor);
                let (changed, next) = tokio::join!(
                    self.blocking(move |store| match from {
                        Some(from) => store.take_in(&rows, &from, &cursor, true),
                        None => store.apply_part(&rows, &cursor),
                    }),
                    self.session.post("/v1/sync/pull", &following)
                );
                round.changed.extend(changed??);
                prefetched = Some(next?);
                continue;
            }
            let lost = state
                .begun
                .filter(|scope| !state.scopes.contains(scope) && !answer.enter.contains(scope));
            for scope in answer.leave.iter().chain(&lost) {
                let scope = *scope;
                round
                    .changed
                    .extend(self.blocking(move |store| store.leave_scope(scope, now)).await??);
            }
            if !answer.leave.is_empty() || lost.is_some() {
                self.blocking(Store::forget_files).await??;
            }
            // Without a position everything held is compared with a snapshot: the service's history may be another one.
            let held = state
                .scopes
                .iter()
                .filter(|scope| !resuming && !answer.leave.contains(scope));
            let mut scopes: Vec<Scope> = answer.enter.iter().chain(held).copied().collect();
            scopes.sort_unstable();
            match self.snapshots(&scopes, limits, round).await {
                // Care ended since the answer that named these scopes; the next answer names the others.
                Err(SyncError::Transport(error))
                    if error.code() == Some(WireErrorCode::Forbidden) && refused < MAX_RECOVERIES =>
                {
                    refused += 1;
                    continue;
                }
                read => read?,
            }
            let Some(series) = self.blocking(|store| store.snapshots()).await?? else {
                let (rows, cursor, more) = (answer.rows, answer.cursor, answer.more);
                self.take_in(rows, state.cursor, cursor, more, round).await?;
                if !more {
                    return Ok(());
                }
                continue;
            };
            if resuming {
                // What the answer brings up to its position is taken in; but what came before the answer with the first pages of a series that
                // was cut may have changed between the two, so the feed goes on from before those pages.
                let newest = answer.cursor.newest();
                let again = answer.cursor.seq > series.start.seq;
                let position = if again { series.start } else { answer.cursor };
                let cursor = position.having_read(series.newest).having_read(newest);
                self.take_in(answer.rows, None, cursor, answer.more || again, round)
                    .await?;
            } else {
                // A file that starts from snapshots goes on from the moment before their first page.
                let cursor = series.start.having_read(series.newest);
                round
                    .changed
                    .extend(self.blocking(move |store| store.set_cursor(&cursor)).await??);
            }
        }
    }

    /// Takes in a page; one that continues the feed behind `from` in steps.
    async fn take_in(
        &self,
        rows: Vec<WireRow>,
        from: Option<Cursor>,
        cursor: Cursor,
        more: bool,
        round: &mut Round,
    ) -> Result<(), SyncError> {
        let changed = self
            .blocking(move |store| match from {
                Some(from) => store.take_in(&rows, &from, &cursor, more),
                None if more => store.apply_part(&rows, &cursor),
                None => store.apply_page(&rows, &cursor),
            })
            .await??;
        round.changed.extend(changed);
        Ok(())
    }

    /// Takes in the rows of those of `scopes`, sorted, that a series of snapshots has not brought yet.
    async fn snapshots(&self, scopes: &[Scope], limits: &Limits, round: &mut Round) -> Result<(), SyncError> {
        let replica = self.blocking(|store| store.sync_state()).await??.replica;
        loop {
            let series = self.blocking(|store| store.snapshots()).await??;
            let Some(request) = self.next_snapshots(scopes, series.as_ref(), replica, limits) else {
                return Ok(());
            };
            let answer: SnapshotResponse = self.session.post("/v1/sync/snapshot", &request).await?;
            if let Some(series) = series {
                if answer.cursor.epoch != series.start.epoch {
                    return Err(diverged());
                }
                if answer.cursor.seq < series.newest.seq {
                    return Err(too_old_to_tell());
                }
            }
            round.pulled += answer.rows.len();
            let changed = self
                .blocking(move |store| {
                    let parts = parts(&request, &answer)?;
                    Ok::<_, SyncError>(store.apply_snapshots(&parts, &answer.cursor)?)
                })
                .await??;
            round.changed.extend(changed);
        }
    }

    /// The scope that was begun first, or the first one that is open, and those behind it.
    fn next_snapshots(
        &self,
        scopes: &[Scope],
        series: Option<&SnapshotSeries>,
        replica: ReplicaId,
        limits: &Limits,
    ) -> Option<SnapshotRequest> {
        let done: BTreeSet<Scope> = series.iter().flat_map(|series| &series.done).copied().collect();
        let open = || scopes.iter().copied().filter(|scope| !done.contains(scope));
        let begun = series
            .and_then(|series| series.begun.clone())
            .filter(|(scope, _)| open().any(|one| one == *scope));
        let (scope, after) = match begun {
            Some((scope, after)) => (scope, Some(after)),
            None => (open().next()?, None),
        };
        Some(SnapshotRequest {
            practice: self.session.identity().practice,
            replica,
            scope,
            then: open()
                .filter(|one| *one > scope)
                .take(SnapshotRequest::MOST_THEN)
                .collect(),
            after,
            known: series.map(|series| series.newest.clone()),
            max_rows: limits.pull_rows,
        })
    }

    /// What the service said last, or what services say by default.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Runs `work` on the store where blocking is allowed. The one place where this crate crosses from async to blocking code.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Result<T, SyncError> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || work(&store))
            .await
            .map_err(|_| SyncError::Interrupted)
    }
}

/// What a page of snapshots brought of each scope.
fn parts<'a>(request: &SnapshotRequest, page: &'a SnapshotResponse) -> Result<Vec<SnapshotPart<'a>>, SyncError> {
    // The scopes that are through, and the one that the page ends in. An older service reads one scope at a time.
    let through = match page.then_through {
        Some(more) => usize::try_from(more).map_or(usize::MAX, |more| more.saturating_add(1)),
        None => usize::from(page.after.is_none()),
    };
    let touched = through.saturating_add(usize::from(page.after.is_some()));
    let mut rest = page.rows.as_slice();
    let mut parts = Vec::new();
    for (place, scope) in std::iter::once(&request.scope)
        .chain(&request.then)
        .take(touched)
        .enumerate()
    {
        let count = rest.iter().take_while(|row| row.scope == *scope).count();
        let (rows, behind) = rest.split_at(count);
        rest = behind;
        parts.push(SnapshotPart {
            scope: *scope,
            rows,
            is_last: place < through,
        });
    }
    let gets_on = parts.iter().all(|part| part.is_last || !part.rows.is_empty());
    if rest.is_empty() && gets_on {
        Ok(parts)
    } else {
        Err(TransportError::Unreadable.into())
    }
}

/// Whether the service no longer has what it acknowledged: it was put back to an older copy that this file's position still fits.
fn has_lost_acknowledged(ours: Option<&LastOp>, theirs: Option<&LastOp>) -> bool {
    ours.is_some_and(|ours| theirs.is_none_or(|theirs| theirs.number < ours.number))
}

/// An answer from before what this file knows, as a member that was just elected may give for a moment: nothing follows from what it lacks.
const fn too_old_to_tell() -> SyncError {
    SyncError::Transport(TransportError::Refused {
        code: WireErrorCode::StorageUnavailable,
        retry_after_ms: None,
    })
}

const fn diverged() -> SyncError {
    SyncError::Transport(TransportError::Refused {
        code: WireErrorCode::HistoryDiverged,
        retry_after_ms: None,
    })
}
