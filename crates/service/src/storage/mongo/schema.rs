//! Collections: what each is called, what the service may do in it, and its indexes. One list, from which the indexes are made, the service's
//! role is printed and the sharding follows. Every unique index starts with the practice, so that the collections can be sharded by it.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::Error;
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};

pub(super) const PRACTICES: &str = "practices";
pub(super) const ACCOUNTS: &str = "accounts";
pub(super) const DEVICES: &str = "devices";
pub(super) const ENROLMENTS: &str = "enrolments";
pub(super) const SESSIONS: &str = "sessions";
pub(super) const REPLICAS: &str = "replicas";
pub(super) const ENTITIES: &str = "entities";
pub(super) const OPS: &str = "ops";
pub(super) const HEAD_MARKS: &str = "head_marks";
pub(super) const BLOBS: &str = "blobs";
pub(super) const BLOB_CHUNKS: &str = "blob_chunks";

/// What the service does with the documents of a collection, and so all that its database account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads and adds; nothing that is there is ever changed.
    AppendOnly,
    /// Reads, adds and changes.
    Changing,
}

/// A collection that holds documents of practices, each with the practice's id in `p`.
pub(super) struct Collection {
    pub(super) name: &'static str,
    pub(super) access: Access,
    pub(super) indexes: fn() -> Vec<IndexModel>,
}

/// All of them. What is not listed here has neither indexes nor a place in the role, and the service's account is refused in it.
pub(super) const COLLECTIONS: [Collection; 11] = [
    changing(PRACTICES, || vec![unique(doc! { "p": 1 })]),
    changing(ACCOUNTS, || vec![unique(doc! { "p": 1, "user": 1 })]),
    changing(DEVICES, || vec![unique(doc! { "p": 1, "device": 1 })]),
    changing(ENROLMENTS, || vec![unique(doc! { "p": 1, "id": 1 })]),
    changing(SESSIONS, || {
        vec![
            unique(doc! { "p": 1, "family": 1 }),
            unique(doc! { "p": 1, "access": 1 }),
            unique(doc! { "p": 1, "refresh": 1 }),
            plain(doc! { "p": 1, "spent": 1 }),
            expiring(doc! { "gone_at": 1 }),
        ]
    }),
    changing(REPLICAS, || {
        vec![
            unique(doc! { "p": 1, "replica": 1 }),
            unique(doc! { "p": 1, "number": 1 }),
        ]
    }),
    changing(ENTITIES, || {
        vec![
            unique(doc! { "p": 1, "t": 1, "id": 1 }),
            unique(doc! { "p": 1, "seq": 1 }),
            plain(doc! { "p": 1, "scope": 1, "t": 1, "id": 1 }),
            partial(doc! { "p": 1, "slots": 1 }, doc! { "slots": { "$exists": true } }),
            partial(doc! { "p": 1, "care": 1 }, doc! { "care": { "$exists": true } }),
            expiring_partly(doc! { "gone_at": 1 }),
        ]
    }),
    append_only(OPS, || {
        vec![
            unique(doc! { "p": 1, "replica": 1, "mut": 1 }),
            unique_partial(doc! { "p": 1, "op_id": 1 }, doc! { "first": true }),
            unique_partial(doc! { "p": 1, "last_seq": 1 }, doc! { "last_seq": { "$exists": true } }),
        ]
    }),
    append_only(HEAD_MARKS, || {
        vec![unique(doc! { "p": 1, "at": 1 }), expiring(doc! { "gone_at": 1 })]
    }),
    changing(BLOBS, || {
        vec![unique(doc! { "p": 1, "blob": 1 }), expiring(doc! { "gone_at": 1 })]
    }),
    changing(BLOB_CHUNKS, || {
        vec![
            unique(doc! { "p": 1, "blob": 1, "begun": 1, "off": 1 }),
            expiring(doc! { "gone_at": 1 }),
        ]
    }),
];

const fn changing(name: &'static str, indexes: fn() -> Vec<IndexModel>) -> Collection {
    Collection {
        name,
        access: Access::Changing,
        indexes,
    }
}

const fn append_only(name: &'static str, indexes: fn() -> Vec<IndexModel>) -> Collection {
    Collection {
        name,
        access: Access::AppendOnly,
        indexes,
    }
}

/// Creates what is missing; does nothing when all is there.
pub(super) async fn prepare(database: &Database) -> Result<(), Error> {
    for Collection { name, indexes, .. } in COLLECTIONS {
        database.collection::<Document>(name).create_indexes(indexes()).await?;
    }
    Ok(())
}

fn plain(keys: Document) -> IndexModel {
    IndexModel::builder().keys(keys).build()
}

fn unique(keys: Document) -> IndexModel {
    IndexModel::builder()
        .keys(keys)
        .options(IndexOptions::builder().unique(true).build())
        .build()
}

fn partial(keys: Document, filter: Document) -> IndexModel {
    IndexModel::builder()
        .keys(keys)
        .options(IndexOptions::builder().partial_filter_expression(filter).build())
        .build()
}

fn unique_partial(keys: Document, filter: Document) -> IndexModel {
    let options = IndexOptions::builder()
        .unique(true)
        .partial_filter_expression(filter)
        .build();
    IndexModel::builder().keys(keys).options(options).build()
}

/// The server removes what is past the instant in the key; the service's account needs no right to delete.
fn expiring(keys: Document) -> IndexModel {
    IndexModel::builder()
        .keys(keys)
        .options(IndexOptions::builder().expire_after(Duration::ZERO).build())
        .build()
}

/// The same where most documents never go: it holds those that do, and nobody who looks for the others is led to it.
fn expiring_partly(keys: Document) -> IndexModel {
    let marked = keys
        .keys()
        .map(|key| (key.clone(), Bson::Document(doc! { "$exists": true })));
    let options = IndexOptions::builder()
        .expire_after(Duration::ZERO)
        .partial_filter_expression(marked.collect::<Document>())
        .build();
    IndexModel::builder().keys(keys).options(options).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unique_index_starts_with_the_practice_and_no_collection_has_more_than_eight() {
        for Collection { name, indexes, .. } in COLLECTIONS {
            let indexes = indexes();
            for index in &indexes {
                let unique = index
                    .options
                    .as_ref()
                    .and_then(|options| options.unique)
                    .unwrap_or(false);
                assert!(
                    !unique || index.keys.keys().next().is_some_and(|key| key == "p"),
                    "{name}: {}",
                    index.keys
                );
            }
            assert!(indexes.len() < 8, "{name}: beside these there is the one over _id");
        }
    }

    #[test]
    fn every_collection_has_an_index_over_all_its_documents_that_starts_with_the_practice() {
        for Collection { name, indexes, .. } in COLLECTIONS {
            let serves = |index: &IndexModel| {
                let whole = index
                    .options
                    .as_ref()
                    .is_none_or(|options| options.partial_filter_expression.is_none());
                whole && index.keys.keys().next().is_some_and(|key| key == "p")
            };
            assert!(indexes().iter().any(serves), "{name} cannot be sharded by practice");
        }
    }
}
