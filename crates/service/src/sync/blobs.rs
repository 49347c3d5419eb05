//! The ciphertext of files: sent in parts, committed, given out in parts to who may read a document that names it.
//!
//! A blob may be sent before its document's row is there, so who may send and who may read are two questions. Nobody reads a blob that no
//! visible row names, not even the one who sent it: they have the file.

use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use caseload_domain::BlobId;
use caseload_protocol::blobs::{BlobStatus, COMMITTED, CommitBlob, RECEIVED, parse_hash};
use caseload_protocol::messages::WireErrorCode;
use serde::Deserialize;

use super::entitlement::Entitlement;
use crate::auth::Caller;
use crate::body::{self, Json};
use crate::error::ApiError;
use crate::state::{App, Shared};
use crate::storage::{BlobError, BlobPart, BlobState};

/// Where the bytes of a part belong.
#[derive(Deserialize)]
pub(crate) struct PartQuery {
    off: u64,
}

/// The body of a part: bytes as they are, never compressed, at most as many as hello says.
pub(crate) struct Octets(Bytes);

impl FromRequest<Shared> for Octets {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, ApiError> {
        if request.headers().contains_key(header::CONTENT_ENCODING) {
            return Err(WireErrorCode::UnsupportedEncoding.into());
        }
        let limit = usize::try_from(app.limits.blob_chunk).unwrap_or(usize::MAX);
        let bytes = body::read(request.into_body(), limit).await?;
        if bytes.is_empty() {
            return Err(WireErrorCode::Malformed.into());
        }
        Ok(Self(bytes))
    }
}

pub(crate) async fn status(
    State(app): State<Shared>,
    caller: Caller,
    blob: Result<Path<BlobId>, PathRejection>,
) -> Result<Response, ApiError> {
    let blob = named(blob)?;
    let standing = Standing::of(&app, &caller, blob).await?;
    let state = standing.require(standing.may_send || standing.may_read)?;
    let status = state.ok_or(WireErrorCode::NotFound)?.status();
    let text = |value: String| HeaderValue::try_from(value).map_err(ApiError::internal);
    let headers = [
        (RECEIVED, text(status.received.to_string())?),
        (COMMITTED, text(status.committed.to_string())?),
    ];
    Ok(headers.into_response())
}

pub(crate) async fn put(
    State(app): State<Shared>,
    caller: Caller,
    blob: Result<Path<BlobId>, PathRejection>,
    query: Result<Query<PartQuery>, QueryRejection>,
    Octets(bytes): Octets,
) -> Result<Json<BlobStatus>, ApiError> {
    let blob = named(blob)?;
    let Query(query) = query.map_err(|_| WireErrorCode::Malformed)?;
    let standing = Standing::of(&app, &caller, blob).await?;
    standing.require(standing.may_send)?;
    let part = BlobPart {
        blob,
        offset: query.off,
        bytes: bytes.into(),
        by: caller.user,
        now_ms: app.now_ms(),
        most: app.limits.blob_max,
    };
    let state = app.storage.put_blob(caller.practice, part).await?;
    Ok(Json(state.status()))
}

pub(crate) async fn commit(
    State(app): State<Shared>,
    caller: Caller,
    blob: Result<Path<BlobId>, PathRejection>,
    Json(request): Json<CommitBlob>,
) -> Result<Json<BlobStatus>, ApiError> {
    let blob = named(blob)?;
    let sha256 = parse_hash(&request.sha256).ok_or(WireErrorCode::Malformed)?;
    let standing = Standing::of(&app, &caller, blob).await?;
    standing.require(standing.may_send)?;
    let state = app
        .storage
        .commit_blob(caller.practice, blob, request.size, sha256, app.now_ms())
        .await?;
    tracing::info!(practice = %caller.practice, %blob, size = request.size, "blob committed");
    Ok(Json(state.status()))
}

pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    blob: Result<Path<BlobId>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let blob = named(blob)?;
    let (from, until) = range(&headers).ok_or(WireErrorCode::Malformed)?;
    let standing = Standing::of(&app, &caller, blob).await?;
    let state = standing.require(standing.may_read)?;
    let state = state
        .filter(|state| state.sha256.is_some())
        .ok_or(WireErrorCode::NotFound)?;
    if from >= state.received {
        return Err(ApiError::beyond_the_end());
    }
    let wanted = until
        .map_or(u64::MAX, |until| until.saturating_sub(from).saturating_add(1))
        .min(app.limits.blob_chunk);
    let most = usize::try_from(wanted).unwrap_or(usize::MAX);
    let bytes = app.storage.read_blob(caller.practice, blob, from, most).await?;
    let bytes = bytes.filter(|bytes| !bytes.is_empty()).ok_or(WireErrorCode::Internal)?;
    let last = from + bytes.len() as u64 - 1;
    let content_range = format!("bytes {from}-{last}/{}", state.received);
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (
            header::CONTENT_RANGE,
            HeaderValue::try_from(content_range).map_err(ApiError::internal)?,
        ),
    ];
    Ok((StatusCode::PARTIAL_CONTENT, headers, Body::from(bytes)).into_response())
}

fn named(blob: Result<Path<BlobId>, PathRejection>) -> Result<BlobId, ApiError> {
    blob.map(|Path(blob)| blob).map_err(|_| WireErrorCode::Malformed.into())
}

/// What a caller may do with a blob.
struct Standing {
    state: Option<BlobState>,
    may_send: bool,
    may_read: bool,
}

impl Standing {
    async fn of(app: &App, caller: &Caller, blob: BlobId) -> Result<Self, ApiError> {
        let state = app.storage.blob(caller.practice, blob, app.now_ms()).await?;
        let documents = app.storage.documents_of_blob(caller.practice, blob).await?;
        let entitled = Entitlement::of_person(app, caller).await?;
        let may_read = documents.iter().any(|row| entitled.allows(row.scope));
        let me = caller.user.to_string();
        let added_by_me = documents
            .iter()
            .any(|row| row.doc.text("subject", "author") == Some(me.as_str()));
        let begun_by_me = state.is_some_and(|state| state.begun_by == caller.user);
        let nobodys = state.is_none() && documents.is_empty();
        Ok(Self {
            state,
            may_send: may_read || added_by_me || begun_by_me || nobodys,
            may_read,
        })
    }

    /// The state, if `allowed`.
    fn require(&self, allowed: bool) -> Result<Option<BlobState>, ApiError> {
        if allowed {
            Ok(self.state)
        } else if self.state.is_none() {
            Err(WireErrorCode::NotFound.into())
        } else {
            Err(WireErrorCode::Forbidden.into())
        }
    }
}

/// First and last place of the one range that is asked for. A blob is read in ranges only, so that no answer is large.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(header::RANGE)?.to_str().ok()?;
    let (from, until) = text.strip_prefix("bytes=")?.split_once('-')?;
    let from = from.parse().ok()?;
    let until = if until.is_empty() {
        None
    } else {
        Some(until.parse().ok().filter(|until| *until >= from)?)
    };
    Some((from, until))
}

impl From<BlobError> for ApiError {
    fn from(error: BlobError) -> Self {
        let code = match error {
            BlobError::WrongOffset { .. } => WireErrorCode::WrongOffset,
            BlobError::WrongHash => WireErrorCode::WrongHash,
            BlobError::TooLarge => WireErrorCode::TooLarge,
            BlobError::Storage(error) => return error.into(),
        };
        Self::new(code).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_from_a_place_on_is_read_and_nothing_else_is_one() {
        for (text, expected) in [
            ("bytes=0-", Some((0, None))),
            ("bytes=5-9", Some((5, Some(9)))),
            ("bytes=5-5", Some((5, Some(5)))),
            ("bytes=9-5", None),
            ("bytes=-5", None),
            ("bytes=0-1,3-4", None),
            ("octets=0-1", None),
            ("bytes=", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(text))]);
            assert_eq!(range(&headers), expected, "{text}");
        }
        assert_eq!(range(&HeaderMap::new()), None);
    }
}
