//! Blobs: one record for each, one for each part that was sent. The account that the service uses deletes nothing: what was begun and not
//! committed carries the instant at which the server removes it, and a blob that is begun anew has parts of another beginning.

use async_trait::async_trait;
use caseload_domain::{BlobId, PracticeId, UserId};
use caseload_protocol::row::{Row, blob_slot};
use mongodb::bson::{DateTime, Document, doc};
use mongodb::options::ReturnDocument;
use mongodb::{ClientSession, Collection, Database};
use ring::digest::{Context, SHA256};

use super::documents::{Members as _, bytes, id, to_row};
use super::tombstones::{GONE_AT, still_there};
use super::transaction::{Undone, Work};
use super::{MongoStorage, bounded, schema};
use crate::storage::blobs::{self, BlobError, BlobPart, BlobState, BlobStorage, Growth, UPLOAD_MS};
use crate::storage::error::StorageError;

#[async_trait]
impl BlobStorage for MongoStorage {
    async fn blob(&self, practice: PracticeId, blob: BlobId, now_ms: i64) -> Result<Option<BlobState>, StorageError> {
        let kept = bounded(kept(self.reads(), practice, blob)).await?;
        Ok(kept.and_then(|kept| kept.live(now_ms)))
    }

    async fn put_blob(&self, practice: PracticeId, part: BlobPart) -> Result<BlobState, BlobError> {
        let database = &self.shared.plain;
        self.transact(
            practice,
            &Put {
                database,
                practice,
                part: &part,
            },
        )
        .await
    }

    async fn commit_blob(
        &self,
        practice: PracticeId,
        blob: BlobId,
        size: u64,
        sha256: [u8; 32],
        now_ms: i64,
    ) -> Result<BlobState, BlobError> {
        let known = bounded(kept(self.reads(), practice, blob)).await?;
        let Some((state, begun)) = known.and_then(|kept| Some((kept.live(now_ms)?, kept.begun_ms))) else {
            return Err(BlobError::WrongOffset { received: 0 });
        };
        if !blobs::commit(&state, size, sha256)? {
            return Ok(state);
        }
        // Not bounded as a whole: a large file takes longer, and each command of it fails by itself. What is there never changes.
        let right = hash(self.reads(), practice, blob, begun).await? == (size, sha256);
        let finish = Finish {
            database: &self.shared.plain,
            practice,
            blob,
            begun,
            state: BlobState {
                sha256: right.then_some(sha256),
                ..state
            },
            now_ms,
        };
        let finished = self.transact(practice, &finish).await?;
        if right { Ok(finished) } else { Err(BlobError::WrongHash) }
    }

    async fn read_blob(
        &self,
        practice: PracticeId,
        blob: BlobId,
        offset: u64,
        most: usize,
    ) -> Result<Option<Vec<u8>>, StorageError> {
        bounded(read(self.reads(), practice, blob, offset, most)).await
    }

    async fn documents_of_blob(&self, practice: PracticeId, blob: BlobId) -> Result<Vec<Row>, StorageError> {
        bounded(async {
            let key = self.key(practice).await?;
            let rows = self.reads().collection::<Document>(schema::ENTITIES);
            let slot = doc! { "$exists": true, "$eq": blob_slot(blob) };
            let filter = doc! { "p": id(practice.uuid()), "slots": slot, GONE_AT: still_there() };
            let mut found = rows.find(filter).await?;
            let mut documents = Vec::new();
            while found.advance().await? {
                documents.push(to_row(&key, found.current())?);
            }
            Ok(documents)
        })
        .await
    }
}

/// A blob's record.
#[derive(Clone, Copy)]
struct Kept {
    state: BlobState,
    begun_ms: i64,
}

impl Kept {
    fn of(record: &Document) -> Result<Self, StorageError> {
        let sha256 = if record.contains_key("sha256") {
            Some(record.fixed("sha256")?)
        } else {
            None
        };
        let received = record.integer("received")?;
        Ok(Self {
            state: BlobState {
                begun_by: UserId::new(record.uuid("by")?),
                received: received.try_into().map_err(|_| StorageError::Unreadable("received"))?,
                sha256,
            },
            begun_ms: record.integer("begun")?,
        })
    }

    /// The state, unless its time is over.
    fn live(self, now_ms: i64) -> Option<BlobState> {
        (self.state.sha256.is_some() || self.begun_ms.saturating_add(UPLOAD_MS) > now_ms).then_some(self.state)
    }
}

fn collection(database: &Database, name: &str) -> Collection<Document> {
    database.collection(name)
}

fn record(practice: PracticeId, blob: BlobId) -> Document {
    doc! { "p": id(practice.uuid()), "blob": id(blob.uuid()) }
}

fn parts(practice: PracticeId, blob: BlobId, begun_ms: i64) -> Document {
    doc! { "p": id(practice.uuid()), "blob": id(blob.uuid()), "begun": begun_ms }
}

fn gone_at(begun_ms: i64) -> DateTime {
    DateTime::from_millis(begun_ms.saturating_add(UPLOAD_MS))
}

fn number(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}

async fn kept(database: &Database, practice: PracticeId, blob: BlobId) -> Result<Option<Kept>, StorageError> {
    let found = collection(database, schema::BLOBS)
        .find_one(record(practice, blob))
        .await?;
    found.as_ref().map(Kept::of).transpose()
}

/// The appending of a part.
struct Put<'a> {
    database: &'a Database,
    practice: PracticeId,
    part: &'a BlobPart,
}

#[async_trait]
impl Work for Put<'_> {
    type Done = BlobState;
    type Refusal = BlobError;

    async fn attempt(&self, session: &mut ClientSession) -> Result<BlobState, Undone<BlobError>> {
        let part = self.part;
        let kept = self.take(session).await?;
        let known = kept.live(part.now_ms).filter(|state| state.received > 0);
        let begun = match blobs::growth(known.as_ref(), part).map_err(Undone::Refused)? {
            Growth::Repeats => return self.repeated(session, kept).await,
            Growth::GoesOn => kept.begun_ms,
            Growth::Begins if kept.state.received == 0 => kept.begun_ms,
            Growth::Begins => part.now_ms.max(kept.begun_ms + 1),
        };
        let state = BlobState {
            begun_by: known.map_or(part.by, |known| known.begun_by),
            received: part.end(),
            sha256: None,
        };
        let mut chunk = parts(self.practice, part.blob, begun);
        chunk.extend(doc! {
            "off": number(part.offset), "bytes": bytes(part.bytes.as_slice()), "gone_at": gone_at(begun),
        });
        collection(self.database, schema::BLOB_CHUNKS)
            .insert_one(chunk)
            .session(&mut *session)
            .await?;
        let change = doc! { "$set": {
            "by": id(state.begun_by.uuid()), "begun": begun, "received": number(state.received), "gone_at": gone_at(begun),
        } };
        collection(self.database, schema::BLOBS)
            .update_one(record(self.practice, part.blob), change)
            .session(&mut *session)
            .await?;
        Ok(state)
    }
}

impl Put<'_> {
    /// Takes the blob's record, which is made when there is none, so that another sender of the same blob waits or tries again.
    async fn take(&self, session: &mut ClientSession) -> Result<Kept, Undone<BlobError>> {
        let part = self.part;
        let fresh = doc! {
            "by": id(part.by.uuid()), "begun": part.now_ms, "received": 0_i64, "gone_at": gone_at(part.now_ms),
        };
        let taken = collection(self.database, schema::BLOBS)
            .find_one_and_update(
                record(self.practice, part.blob),
                doc! { "$inc": { "lock_gen": 1_i64 }, "$setOnInsert": fresh },
            )
            .upsert(true)
            .return_document(ReturnDocument::After)
            .session(&mut *session)
            .await?;
        let taken = taken.ok_or(Undone::Refused(StorageError::Unreadable("a blob").into()))?;
        Kept::of(&taken).map_err(|error| Undone::Refused(error.into()))
    }

    async fn repeated(&self, session: &mut ClientSession, kept: Kept) -> Result<BlobState, Undone<BlobError>> {
        let mut filter = parts(self.practice, self.part.blob, kept.begun_ms);
        filter.insert("off", number(self.part.offset));
        let there = collection(self.database, schema::BLOB_CHUNKS)
            .find_one(filter)
            .session(&mut *session)
            .await?;
        let equal = there.is_some_and(|chunk| chunk.blob("bytes").is_ok_and(|bytes| bytes == self.part.bytes));
        if equal {
            Ok(kept.state)
        } else {
            Err(Undone::Refused(BlobError::WrongOffset {
                received: kept.state.received,
            }))
        }
    }
}

/// The end of an upload: final with a hash; without one it begins anew, and what was sent is removed with the time.
struct Finish<'a> {
    database: &'a Database,
    practice: PracticeId,
    blob: BlobId,
    begun: i64,
    state: BlobState,
    now_ms: i64,
}

#[async_trait]
impl Work for Finish<'_> {
    type Done = BlobState;
    type Refusal = BlobError;

    async fn attempt(&self, session: &mut ClientSession) -> Result<BlobState, Undone<BlobError>> {
        let mut filter = record(self.practice, self.blob);
        filter.extend(doc! {
            "begun": self.begun, "received": number(self.state.received), "sha256": { "$exists": false },
        });
        let change = match self.state.sha256 {
            Some(sha256) => doc! { "$set": { "sha256": bytes(sha256) }, "$unset": { "gone_at": "" } },
            None => {
                let begun = self.now_ms.max(self.begun + 1);
                doc! { "$set": { "begun": begun, "received": 0_i64, "gone_at": gone_at(begun) } }
            }
        };
        let changed = collection(self.database, schema::BLOBS)
            .update_one(filter, change)
            .session(&mut *session)
            .await?;
        if changed.matched_count == 0 {
            return self.ended_by_another(session).await;
        }
        if self.state.sha256.is_some() {
            collection(self.database, schema::BLOB_CHUNKS)
                .update_many(
                    parts(self.practice, self.blob, self.begun),
                    doc! { "$unset": { "gone_at": "" } },
                )
                .session(&mut *session)
                .await?;
        }
        Ok(self.state)
    }
}

impl Finish<'_> {
    async fn ended_by_another(&self, session: &mut ClientSession) -> Result<BlobState, Undone<BlobError>> {
        let found = collection(self.database, schema::BLOBS)
            .find_one(record(self.practice, self.blob))
            .session(&mut *session)
            .await?;
        let found = found.as_ref().map(Kept::of).transpose();
        match found.map_err(|error| Undone::Refused(error.into()))? {
            Some(found) if found.state == self.state => Ok(found.state),
            found => Err(Undone::Refused(BlobError::WrongOffset {
                received: found.map_or(0, |found| found.state.received),
            })),
        }
    }
}

/// Length and hash of everything that is there.
async fn hash(
    database: &Database,
    practice: PracticeId,
    blob: BlobId,
    begun_ms: i64,
) -> Result<(u64, [u8; 32]), StorageError> {
    let mut found = collection(database, schema::BLOB_CHUNKS)
        .find(parts(practice, blob, begun_ms))
        .sort(doc! { "p": 1, "blob": 1, "begun": 1, "off": 1 })
        .batch_size(4)
        .await?;
    let (mut context, mut end) = (Context::new(&SHA256), 0_u64);
    while found.advance().await? {
        let part = found.deserialize_current()?;
        if part.integer("off")? != number(end) {
            break;
        }
        let bytes = part.blob("bytes")?;
        context.update(bytes);
        end += bytes.len() as u64;
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Ok((end, hash))
}

async fn read(
    database: &Database,
    practice: PracticeId,
    blob: BlobId,
    offset: u64,
    most: usize,
) -> Result<Option<Vec<u8>>, StorageError> {
    let Some(kept) = kept(database, practice, blob)
        .await?
        .filter(|kept| kept.state.sha256.is_some())
    else {
        return Ok(None);
    };
    let end = kept.state.received.min(offset.saturating_add(most as u64));
    let chunks = collection(database, schema::BLOB_CHUNKS);
    let mut before = parts(practice, blob, kept.begun_ms);
    before.insert("off", doc! { "$lte": number(offset) });
    let first = chunks
        .find_one(before)
        .sort(doc! { "p": -1, "blob": -1, "begun": -1, "off": -1 })
        .projection(doc! { "_id": 0, "off": 1 })
        .await?;
    let first = first.map_or(Ok(0), |first| first.integer("off"))?;
    let mut filter = parts(practice, blob, kept.begun_ms);
    filter.insert("off", doc! { "$gte": first, "$lt": number(end) });
    let mut found = chunks
        .find(filter)
        .sort(doc! { "p": 1, "blob": 1, "begun": 1, "off": 1 })
        .batch_size(2)
        .await?;
    let mut wanted = Vec::new();
    while found.advance().await? {
        let part = found.deserialize_current()?;
        let place = part
            .integer("off")?
            .try_into()
            .map_err(|_| StorageError::Unreadable("off"))?;
        blobs::cut(place, part.blob("bytes")?, offset, end, &mut wanted);
    }
    Ok(Some(wanted))
}
