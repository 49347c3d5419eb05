//! The collection of tombstones: marks of the head, and void rows that are old enough are marked as gone.
//!
//! The service's account may remove nothing, so a row that went carries the moment from which the server's index with an expiry may remove
//! it. Until then it is left out of everything that is read, for whoever knows the floor: the feed, which reads the head first, may still give
//! it to a reader of an earlier head.

use async_trait::async_trait;
use caseload_domain::PracticeId;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::{Hint, ReturnDocument};
use mongodb::{ClientSession, Database};

use super::documents::{Members as _, id, to_head};
use super::schema;
use super::transaction::{Undone, Work};
use crate::storage::error::StorageError;
use crate::storage::tombstones::{Collected, Keeping, SPARE_MS};

/// From when on the server may remove a row that went.
pub(super) const GONE_AT: &str = "gone_at";

/// For how long a row that went is still there for whoever has read an earlier head, in milliseconds.
const GRACE_MS: i64 = 3_600_000;

/// What a filter says to leave out rows that are gone.
pub(super) fn still_there() -> Bson {
    Bson::Document(doc! { "$exists": false })
}

/// One collection.
pub(super) struct Collect<'a> {
    pub(super) database: &'a Database,
    pub(super) practice: PracticeId,
    pub(super) keeping: Keeping,
}

#[async_trait]
impl Work for Collect<'_> {
    type Done = Collected;
    type Refusal = StorageError;

    async fn attempt(&self, session: &mut ClientSession) -> Result<Collected, Undone<StorageError>> {
        let practices = self.database.collection::<Document>(schema::PRACTICES);
        let p = doc! { "p": id(self.practice.uuid()) };
        // As for a push: whoever writes rows meanwhile waits or tries again.
        let taken = practices
            .find_one_and_update(p.clone(), doc! { "$inc": { "lock_gen": 1_i64 } })
            .return_document(ReturnDocument::After)
            .session(&mut *session)
            .await?;
        let taken = taken.ok_or(Undone::Refused(StorageError::UnknownPractice))?;
        let head = to_head(&taken).map_err(Undone::Refused)?;
        let mark = self.mark(session, head.seq).await?;
        let floor = self.keeping.floor(head.seq, head.gc_floor, mark);
        if floor == head.gc_floor {
            return Ok(Collected { floor, rows: 0 });
        }
        let void = doc! {
            "p": id(self.practice.uuid()), "seq": { "$gt": head.gc_floor, "$lte": floor }, "del": true,
        };
        let gone = self
            .database
            .collection::<Document>(schema::ENTITIES)
            .update_many(
                void,
                doc! { "$set": { GONE_AT: DateTime::from_millis(self.keeping.now_ms.saturating_add(GRACE_MS)) } },
            )
            .hint(Hint::Keys(doc! { "p": 1, "seq": 1 }))
            .session(&mut *session)
            .await?;
        practices
            .update_one(p, doc! { "$set": { "gc_floor": floor } })
            .session(&mut *session)
            .await?;
        Ok(Collected {
            floor,
            rows: gone.matched_count,
        })
    }
}

impl Collect<'_> {
    /// Makes a mark if one is due; gives the newest that counts.
    async fn mark(&self, session: &mut ClientSession, seq: i64) -> Result<Option<i64>, Undone<StorageError>> {
        let marks = self.database.collection::<Document>(schema::HEAD_MARKS);
        let p = id(self.practice.uuid());
        let newest = marks
            .find_one(doc! { "p": p.clone() })
            .sort(doc! { "at": -1 })
            .session(&mut *session)
            .await?;
        let newest = newest
            .map(|mark| mark.integer("at"))
            .transpose()
            .map_err(Undone::Refused)?;
        let Keeping { now_ms, keep_ms } = self.keeping;
        if self.keeping.needs_mark(newest) {
            let unused = now_ms.saturating_add(keep_ms).saturating_add(SPARE_MS);
            let mark = doc! { "p": p.clone(), "at": now_ms, "seq": seq, GONE_AT: DateTime::from_millis(unused) };
            marks.insert_one(mark).session(&mut *session).await?;
        }
        let counts = marks
            .find_one(doc! { "p": p, "at": { "$lte": self.keeping.before_ms() } })
            .sort(doc! { "at": -1 })
            .session(&mut *session)
            .await?;
        counts
            .map(|mark| mark.integer("seq"))
            .transpose()
            .map_err(Undone::Refused)
    }
}
