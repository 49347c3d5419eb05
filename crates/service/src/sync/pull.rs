//! Pull: the feed from a cursor on, filtered to what the reader may see.

use std::cmp::Ordering;

use caseload_domain::{PracticeId, Scope};
#[cfg(feature = "test-faults")]
use caseload_faults::bugs::{self, Bug};
use caseload_protocol::checksum::{Leaf, hex};
use caseload_protocol::cursor::{Cursor, Moment};
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::messages::{PullRequest, PullResponse, WireErrorCode};
use caseload_protocol::row::Row;

use super::entitlement::{Comparison, Entitlement};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::state::App;
use crate::storage::{FeedPage, PageLimit};

/// Pages that are passed over for one answer.
const MOST_EMPTY: usize = 20;

/// Gives the next page. A device that holds less than it may hold is told first to take snapshots of the scopes that it gained, a new device
/// of all of them: rows of a scope are sent by the feed only to who holds that scope.
pub(super) async fn pull(app: &App, caller: &Caller, request: &PullRequest) -> Result<PullResponse, ApiError> {
    caller.own(request.practice)?;
    // Read before the scan, so that what it names is contained in the scan.
    let (replica, head) = tokio::join!(caller.replica(app, request.replica), app.storage.head(caller.practice));
    let (replica, head) = (replica?, head?.ok_or(WireErrorCode::NotFound)?);
    let (after, head, entitlement) = match &request.cursor {
        None => {
            let entitlement = Entitlement::at(app, caller, &replica, &head).await?;
            (0, head, entitlement)
        }
        Some(cursor) => {
            let (accepted, entitlement) = tokio::join!(
                accepted(app, caller.practice, cursor, head.clone()),
                Entitlement::at(app, caller, &replica, &head)
            );
            let accepted = accepted?;
            let entitlement = if accepted == head {
                entitlement?
            } else {
                Entitlement::at(app, caller, &replica, &accepted).await?
            };
            (cursor.seq, accepted, entitlement)
        }
    };
    let Comparison { keeps, enter, leave } = entitlement.compare(&request.have);
    let page = if (keeps.is_empty() && !enter.is_empty()) || after == head.seq {
        nothing_yet(after, head)
    } else {
        read_on(app, caller.practice, after, &keeps, page_limit(app, request.max_rows)).await?
    };
    if request.cursor.is_some() && after < page.head.gc_floor {
        // Tombstones went between the look at the position and the reading.
        return Err(WireErrorCode::CursorTooOld.into());
    }
    let examined = page.examined;
    #[cfg(feature = "test-faults")]
    let examined = if bugs::has(Bug::CursorAtHeadAfterPage) && !page.rows.is_empty() {
        page.head.seq
    } else {
        examined
    };
    let cursor = cursor(app, caller.practice, &page.head, examined, &entitlement).await?;
    app.metrics.rows(page.rows.len());
    Ok(PullResponse {
        rows: page
            .rows
            .iter()
            .filter(|row| entitlement.allows(row.scope))
            .map(Row::to_wire)
            .collect(),
        cursor,
        more: page.more,
        head_seq: page.head.seq,
        acked: replica.last_op,
        enter,
        leave,
        gc_floor: page.head.gc_floor,
    })
}

/// The next page with rows in it, or what was reached within [`MOST_EMPTY`] pages: an office file passes over whole stretches of notes.
async fn read_on(
    app: &App,
    practice: PracticeId,
    after: i64,
    scopes: &[Scope],
    limit: PageLimit,
) -> Result<FeedPage, ApiError> {
    let mut page = app.storage.read_since(practice, after, scopes, limit).await?;
    for _ in 1..MOST_EMPTY {
        if !page.rows.is_empty() || !page.more {
            break;
        }
        page = app.storage.read_since(practice, page.examined, scopes, limit).await?;
    }
    Ok(page)
}

/// For a device that is up to date there is nothing to read. For one that holds nothing yet, reading the whole feed to leave everything out
/// would be work for nothing.
fn nothing_yet(after: i64, head: PracticeHead) -> FeedPage {
    FeedPage {
        rows: Vec::new(),
        examined: after,
        more: head.seq > after,
        head,
    }
}

/// The head that `cursor` fits: `head`, or the newest one when it seems not to fit.
async fn accepted(
    app: &App,
    practice: PracticeId,
    cursor: &Cursor,
    head: PracticeHead,
) -> Result<PracticeHead, ApiError> {
    if refusal_of(app, practice, cursor, &head).await?.is_none() {
        return Ok(head);
    }
    app.storage.catch_up(practice).await?;
    let head = app.storage.head(practice).await?.ok_or(WireErrorCode::NotFound)?;
    match refusal_of(app, practice, cursor, &head).await? {
        None => Ok(head),
        Some(code) => Err(code.into()),
    }
}

/// Why the service cannot go on from `cursor`, if it cannot.
pub(super) async fn refusal_of(
    app: &App,
    practice: PracticeId,
    cursor: &Cursor,
    head: &PracticeHead,
) -> Result<Option<WireErrorCode>, ApiError> {
    if cursor.epoch != head.epoch {
        return Ok(Some(WireErrorCode::EpochChanged));
    }
    if cursor.seq < 0 || cursor.seq > head.seq {
        return Ok(Some(WireErrorCode::HistoryDiverged));
    }
    if cursor.seq < head.gc_floor {
        return Ok(Some(WireErrorCode::CursorTooOld));
    }
    let position = Moment {
        seq: cursor.seq,
        chain: cursor.chain.clone(),
    };
    for moment in cursor.read_at.iter().chain([&position]) {
        if !has(app, practice, moment, head).await? {
            return Ok(Some(WireErrorCode::HistoryDiverged));
        }
    }
    Ok(None)
}

/// Whether this history was ever in that state, as the newest member of the storage knows it.
pub(super) async fn remembers(app: &App, practice: PracticeId, moment: &Moment) -> Result<bool, ApiError> {
    let head = app.storage.head(practice).await?.ok_or(WireErrorCode::NotFound)?;
    if has(app, practice, moment, &head).await? {
        return Ok(true);
    }
    app.storage.catch_up(practice).await?;
    let head = app.storage.head(practice).await?.ok_or(WireErrorCode::NotFound)?;
    has(app, practice, moment, &head).await
}

/// Refuses a request of a device that has read what was never in this history.
pub(super) async fn require_known(app: &App, practice: PracticeId, known: Option<&Moment>) -> Result<(), ApiError> {
    match known {
        Some(moment) if !remembers(app, practice, moment).await? => Err(WireErrorCode::HistoryDiverged.into()),
        _ => Ok(()),
    }
}

/// Whether this history was ever in that state.
async fn has(app: &App, practice: PracticeId, moment: &Moment, head: &PracticeHead) -> Result<bool, ApiError> {
    let chain = match moment.seq.cmp(&head.seq) {
        Ordering::Less => app.storage.chain_at(practice, moment.seq).await?,
        Ordering::Equal => Some(head.chain),
        Ordering::Greater => None,
    };
    Ok(chain.is_some_and(|chain| chain_text(&chain) == moment.chain))
}

/// The cursor at `seq`, a position at or before `head`, the state that was read.
pub(super) async fn cursor(
    app: &App,
    practice: PracticeId,
    head: &PracticeHead,
    seq: i64,
    entitlement: &Entitlement,
) -> Result<Cursor, ApiError> {
    let chain = if seq == head.seq {
        head.chain
    } else {
        app.storage
            .chain_at(practice, seq)
            .await?
            .ok_or(WireErrorCode::Internal)?
    };
    let read_at = (seq < head.seq).then(|| Moment {
        seq: head.seq,
        chain: chain_text(&head.chain),
    });
    Ok(Cursor {
        epoch: head.epoch.clone(),
        seq,
        chain: chain_text(&chain),
        scopes: entitlement.digest(),
        read_at,
    })
}

/// How much a page may hold: never more than advertised, never less than one row.
pub(super) fn page_limit(app: &App, max_rows: u32) -> PageLimit {
    PageLimit {
        rows: max_rows.clamp(1, app.limits.pull_rows),
        bytes: app.limits.pull_bytes,
    }
}

fn chain_text(chain: &Leaf) -> String {
    hex(&chain[..8])
}
