//! The raw floors: the least that storing the same notes can cost, with nothing of the product.
//!
//! For a device it is SQLCipher with the product's settings, one table and one FTS5 index. For MongoDB it is a push that is gapless, checked
//! and receipted, with the driver alone. A floor runs in a process of its own, in the same run as what is compared with it.

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use caseload_vault::DatabaseKey;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, doc};
use mongodb::options::{Acknowledgment, IndexOptions, ReadConcern, ReturnDocument, WriteConcern};
use mongodb::{Client, Collection, Database, IndexModel};
use rusqlite::{Connection, OpenFlags, params};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::timed;
use crate::source::{self, SourceNote};
use crate::wire::{Answer, Input};

/// Notes of one transaction in a device's file.
const SQLITE_GROUP: usize = 500;
/// Notes of one transaction on MongoDB.
const MONGODB_GROUP: usize = 200;

/// The settings of the product's files; see the store.
const SETTINGS: &str =
    "PRAGMA auto_vacuum = NONE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA mmap_size = 0;
     PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
     PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 16777216; PRAGMA cache_size = -40960;";

const TABLES: &str = "CREATE TABLE note (row INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, body TEXT NOT NULL) STRICT;
     CREATE VIRTUAL TABLE note_search USING fts5 (body, content = '', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3');
     INSERT INTO note_search (note_search, rank) VALUES ('secure-delete', 1);";

/// What is to be stored, and where.
#[derive(Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) input: Input,
    pub(crate) place: Place,
}

/// Where a floor stores.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Place {
    /// In a new file.
    File(PathBuf),
    /// In collections of their own in this database.
    Mongodb(String),
}

/// Stores what standard input describes and answers how long it took.
///
/// # Errors
/// When it cannot be stored.
pub(crate) fn run() -> Result<()> {
    let first = std::io::stdin()
        .lock()
        .lines()
        .next()
        .context("nothing to store")?
        .context("read what to store")?;
    let task: Task = serde_json::from_str(&first).context("read what to store")?;
    let notes = source::read(&task.input.file, task.input.count)?;
    let seconds = match task.place {
        Place::File(path) => in_file(&path, &notes)?,
        Place::Mongodb(uri) => {
            let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
            runtime.block_on(in_mongodb(&uri, &notes))?
        }
    };
    let line = serde_json::to_string(&Answer::Seconds(seconds)).context("write an answer")?;
    writeln!(std::io::stdout(), "{line}").context("write an answer")
}

fn in_file(path: &Path, notes: &[SourceNote]) -> Result<f64> {
    let bodies: Vec<(Uuid, String, String)> = notes
        .iter()
        .map(|note| Ok((note.id, serde_json::to_string(note)?, searched(note))))
        .collect::<Result<_>>()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).context("make a file")?;
    let key = DatabaseKey::random().sqlcipher_text();
    connection
        .execute_batch(&format!("PRAGMA key = \"{}\"; {SETTINGS} {TABLES}", key.as_str()))
        .context("make the tables")?;
    let (seconds, stored) = timed(|| {
        bodies
            .chunks(SQLITE_GROUP)
            .try_for_each(|group| store_group(&mut connection, group))
    });
    stored.context("store a group")?;
    Ok(seconds)
}

fn store_group(connection: &mut Connection, group: &[(Uuid, String, String)]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut note = transaction.prepare_cached("INSERT INTO note (id, body) VALUES (?1, ?2)")?;
        let mut search = transaction.prepare_cached("INSERT INTO note_search (rowid, body) VALUES (?1, ?2)")?;
        for (id, body, text) in group {
            note.execute(params![id.as_bytes(), body])?;
            search.execute(params![transaction.last_insert_rowid(), text])?;
        }
    }
    transaction.commit()
}

fn searched(note: &SourceNote) -> String {
    note.sections().map(|(_, text)| text).join("\n")
}

async fn in_mongodb(uri: &str, notes: &[SourceNote]) -> Result<f64> {
    let bodies: Vec<(Uuid, String)> = notes
        .iter()
        .map(|note| Ok((note.id, serde_json::to_string(note)?)))
        .collect::<Result<_>>()?;
    let client = Client::with_uri_str(uri).await.context("reach MongoDB")?;
    let database = client.default_database().context("the address names no database")?;
    let floor = MongoFloor::prepare(&client, &database).await?;
    let began = crate::clock::shared_nanoseconds();
    let mut next = 1;
    for group in bodies.chunks(MONGODB_GROUP) {
        next = floor.push(group, next).await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "exact for months")]
    let seconds = (crate::clock::shared_nanoseconds() - began) as f64 / 1e9;
    floor.remove().await?;
    client.shutdown().await;
    Ok(seconds)
}

struct MongoFloor {
    client: Client,
    heads: Collection<Document>,
    rows: Collection<Document>,
    receipts: Collection<Document>,
}

impl MongoFloor {
    async fn prepare(client: &Client, database: &Database) -> Result<Self> {
        let floor = Self {
            client: client.clone(),
            heads: database.collection("floor_heads"),
            rows: database.collection("floor_rows"),
            receipts: database.collection("floor_receipts"),
        };
        let unique = |keys: Document| {
            IndexModel::builder()
                .keys(keys)
                .options(IndexOptions::builder().unique(true).build())
                .build()
        };
        floor
            .rows
            .create_indexes([unique(doc! { "p": 1, "id": 1 }), unique(doc! { "p": 1, "seq": 1 })])
            .await?;
        floor.receipts.create_index(unique(doc! { "p": 1, "op_id": 1 })).await?;
        floor.heads.insert_one(doc! { "_id": 1, "seq": 0_i64 }).await?;
        Ok(floor)
    }

    /// One push of whole documents, the first of which gets the number `next`.
    async fn push(&self, group: &[(Uuid, String)], next: i64) -> Result<i64> {
        let count = i64::try_from(group.len()).context("a small group")?;
        let p = binary(Uuid::nil());
        let mut session = self.client.start_session().await?;
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(
                WriteConcern::builder()
                    .w(Acknowledgment::Majority)
                    .journal(true)
                    .build(),
            )
            .await?;
        let head = self
            .heads
            .find_one_and_update(doc! { "_id": 1 }, doc! { "$inc": { "seq": count } })
            .return_document(ReturnDocument::After)
            .session(&mut session)
            .await?
            .context("the head is gone")?;
        ensure!(head.get_i64("seq")? == next + count - 1, "the numbers have a gap");
        let ids: Vec<Bson> = group.iter().map(|(id, _)| binary(*id)).collect();
        let mut known = self
            .rows
            .find(doc! { "p": &p, "id": { "$in": ids } })
            .session(&mut session)
            .await?;
        ensure!(known.next(&mut session).await.is_none(), "a row is there already");
        let rows = (next..).zip(group).map(|(seq, (id, body))| {
            doc! { "p": &p, "id": binary(*id), "rev": 1_i64, "seq": seq, "body": body }
        });
        self.rows.insert_many(rows).session(&mut session).await?;
        let receipts = (next..)
            .zip(group)
            .map(|(seq, (id, _))| doc! { "p": &p, "op_id": binary(*id), "mut": seq, "rev": 1_i64, "seq": seq });
        self.receipts.insert_many(receipts).session(&mut session).await?;
        session.commit_transaction().await?;
        Ok(next + count)
    }

    async fn remove(&self) -> Result<()> {
        for collection in [&self.heads, &self.rows, &self.receipts] {
            collection.drop().await?;
        }
        Ok(())
    }
}

fn binary(id: Uuid) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Uuid,
        bytes: id.as_bytes().to_vec(),
    })
}
