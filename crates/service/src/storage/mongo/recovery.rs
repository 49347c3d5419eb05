//! What a restored database needs: a new identity of each history.

use caseload_domain::PracticeId;
use caseload_protocol::facts::PracticeHead;
use mongodb::Database;
use mongodb::bson::{Document, doc};
use mongodb::options::{Hint, ReturnDocument};

use super::documents::{Members as _, id, to_head};
use super::schema;
use crate::storage::error::StorageError;

/// The one question besides that for any practice at all which names no practice: it is asked once a day and by an operator, of every
/// shard. The index answers it.
pub(super) async fn practices(database: &Database) -> Result<Vec<PracticeId>, StorageError> {
    let mut found = database
        .collection::<Document>(schema::PRACTICES)
        .find(doc! {})
        .projection(doc! { "_id": 0, "p": 1 })
        .hint(Hint::Keys(doc! { "p": 1 }))
        .await?;
    let mut practices = Vec::new();
    while found.advance().await? {
        practices.push(PracticeId::new(found.deserialize_current()?.uuid("p")?));
    }
    practices.sort();
    Ok(practices)
}

/// Sessions first: were this cut in between, the practice would still have its old epoch, and doing it again completes it.
pub(super) async fn begin_epoch(
    database: &Database,
    practice: PracticeId,
    epoch: &str,
) -> Result<PracticeHead, StorageError> {
    let p = id(practice.uuid());
    database
        .collection::<Document>(schema::SESSIONS)
        .update_many(doc! { "p": p.clone() }, doc! { "$set": { "ended": true } })
        .await?;
    let changed = database
        .collection::<Document>(schema::PRACTICES)
        .find_one_and_update(
            doc! { "p": p },
            doc! { "$set": { "epoch": epoch }, "$inc": { "lock_gen": 1_i64 } },
        )
        .return_document(ReturnDocument::After)
        .await?;
    to_head(&changed.ok_or(StorageError::UnknownPractice)?)
}
