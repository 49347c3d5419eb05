//! What devices read: the feed, snapshots, leaves, the chain. Always with read concern majority or a snapshot, never what a failover could
//! take back, and never an older state than was read before, see [`Reading`].

use std::collections::HashSet;

use caseload_domain::{ClientId, Document as Content, EntityKey, OpId, PracticeId, ReplicaId, Scope, UserId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::row::Row;
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::options::ReadConcern;
use mongodb::{Client, Collection, Database};

use super::documents::{Members as _, content_of, id, to_head, to_row};
use super::failure::is_snapshot_gone;
use super::push::by_keys;
use super::reading::Reading;
use super::schema;
use super::tombstones::{GONE_AT, still_there};
use super::transaction::DEADLINE;
use crate::storage::content;
use crate::storage::error::StorageError;
use crate::storage::records::{FeedPage, HistoryEntry, LeafEntry, Leaves, PageLimit, SnapshotPage};
use crate::storage::sealing::PracticeKey;

/// Up to so many scopes the server compares itself.
const FEW_SCOPES: usize = 4;

fn entities(database: &Database) -> Collection<RawDocumentBuf> {
    database.collection(schema::ENTITIES)
}

pub(super) async fn head(
    reading: &mut Reading<'_>,
    practice: PracticeId,
) -> Result<Option<PracticeHead>, StorageError> {
    let practices = reading.database.collection::<Document>(schema::PRACTICES);
    let found = practices
        .find_one(doc! { "p": id(practice.uuid()) })
        .session(&mut reading.session)
        .await?;
    found.as_ref().map(to_head).transpose()
}

/// Reads the head from a member that has made sure that it is still the primary: what follows sees at least what any node was ever told.
/// `fresh` must have read nothing.
pub(super) async fn catch_up(fresh: &mut Reading<'_>, practice: PracticeId) -> Result<(), StorageError> {
    let practices = fresh.database.collection::<Document>(schema::PRACTICES);
    practices
        .find_one(doc! { "p": id(practice.uuid()) })
        .read_concern(ReadConcern::linearizable())
        .max_time(DEADLINE)
        .session(&mut fresh.session)
        .await?;
    Ok(())
}

async fn known_head(reading: &mut Reading<'_>, practice: PracticeId) -> Result<PracticeHead, StorageError> {
    head(reading, practice).await?.ok_or(StorageError::UnknownPractice)
}

/// The head is read before the scan and the scan ends at it: a row that moves on meanwhile is met again in the next page. Who comes from
/// another node with a position that is not known here yet is told to ask again.
pub(super) async fn since(
    reading: &mut Reading<'_>,
    key: &PracticeKey,
    practice: PracticeId,
    after_seq: i64,
    scopes: &[Scope],
    limit: PageLimit,
) -> Result<FeedPage, StorageError> {
    let head = known_head(reading, practice).await?;
    if head.seq < after_seq {
        return Err(StorageError::Unavailable(None));
    }
    let filter = doc! { "p": id(practice.uuid()), "seq": { "$gt": after_seq, "$lte": head.seq } };
    let wanted = i64::from(limit.rows.max(1));
    let visible: HashSet<String> = scopes.iter().map(Scope::to_string).collect();
    let mut found = entities(reading.database)
        .find(filter)
        .sort(doc! { "seq": 1 })
        .limit(wanted)
        .projection(content_of_scopes(&visible))
        .session(&mut reading.session)
        .await?;
    let (mut page, mut examined, mut count, mut bytes) = (Vec::new(), after_seq, 0, 0);
    while found.advance(&mut reading.session).await? {
        if bytes >= limit.bytes && count > 0 {
            return Ok(FeedPage {
                rows: page,
                examined,
                more: true,
                head,
            });
        }
        let raw = found.current();
        let seq = raw.get_i64("seq").map_err(|_| StorageError::Unreadable("seq"))?;
        let scope = raw.get_str("scope").map_err(|_| StorageError::Unreadable("scope"))?;
        (examined, count) = (seq, count + 1);
        let went = seq <= head.gc_floor && raw.get_bool("del").is_ok_and(|void| void);
        if visible.contains(scope) && !went {
            bytes += size(raw.as_bytes());
            page.push(to_row(key, raw)?);
        }
    }
    let more = count >= wanted && examined < head.seq;
    let examined = if more { examined } else { head.seq };
    Ok(FeedPage {
        rows: page,
        examined,
        more,
        head,
    })
}

/// Everything of rows of `scopes`, and of other rows what it takes to pass over them. Comparing with many scopes would cost the server more
/// than sending what is left out here afterwards, and who holds many scopes passes over little.
fn content_of_scopes(scopes: &HashSet<String>) -> Document {
    if scopes.len() > FEW_SCOPES {
        return doc! { "_id": 0 };
    }
    let scopes: Vec<&String> = scopes.iter().collect();
    let visible = |member: &str| doc! { "$cond": [{ "$in": ["$scope", &scopes] }, member, "$$REMOVE"] };
    doc! {
        "_id": 0, "p": 1, "t": 1, "id": 1, "rev": 1, "seq": 1, "del": 1, "sv": 1, "mw": 1, "scope": 1,
        "doc": visible("$doc"), "marks": visible("$marks"), "sealed": visible("$sealed"),
    }
}

fn size(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A position is nearly always one at which an operation ended; then that operation alone tells, and the head is not asked for.
pub(super) async fn chain_at(
    reading: &mut Reading<'_>,
    practice: PracticeId,
    seq: i64,
) -> Result<Option<Leaf>, StorageError> {
    match last_link(reading, practice, seq).await? {
        Some((last_seq, chain)) if last_seq == seq => return Ok(Some(chain)),
        _ => {}
    }
    let head = head(reading, practice).await?;
    if head.is_none_or(|head| !(0..=head.seq).contains(&seq)) {
        return Ok(None);
    }
    // Asked again, because the head is of a newer state than the first answer.
    let last = last_link(reading, practice, seq).await?;
    Ok(Some(last.map_or([0; 32], |(_, chain)| chain)))
}

/// Where the last operation ended that ended at or before `seq`, and the chain after it.
async fn last_link(
    reading: &mut Reading<'_>,
    practice: PracticeId,
    seq: i64,
) -> Result<Option<(i64, Leaf)>, StorageError> {
    let filter = doc! { "p": id(practice.uuid()), "last_seq": { "$exists": true, "$lte": seq } };
    let ops = reading.database.collection::<Document>(schema::OPS);
    let last = ops
        .find_one(filter)
        .sort(doc! { "last_seq": -1 })
        .projection(doc! { "_id": 0, "last_seq": 1, "chain": 1 })
        .session(&mut reading.session)
        .await?;
    last.map(|last| Ok((last.integer("last_seq")?, last.fixed("chain")?)))
        .transpose()
}

pub(super) async fn snapshot(
    reading: &mut Reading<'_>,
    key: &PracticeKey,
    practice: PracticeId,
    scopes: &[Scope],
    after: Option<&EntityKey>,
    limit: PageLimit,
) -> Result<SnapshotPage, StorageError> {
    let head = known_head(reading, practice).await?;
    let mut page = Filling {
        key,
        limit,
        rows: Vec::new(),
        bytes: 0,
    };
    let texts: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    let mut filters = Vec::new();
    // What is left of the first scope has a bound of its own; the others are one range of the index each.
    let (first, others) = match after {
        Some(_) => texts.split_at(1.min(texts.len())),
        None => texts.split_at(0),
    };
    if let (Some(scope), Some(after)) = (first.first(), after) {
        let (kind, last) = (after.kind.as_str(), id(after.id.uuid()));
        filters.push(doc! {
            "p": id(practice.uuid()), "scope": scope, GONE_AT: still_there(),
            "$or": [{ "t": { "$gt": kind } }, { "t": kind, "id": { "$gt": last } }],
        });
    }
    if !others.is_empty() {
        filters.push(doc! { "p": id(practice.uuid()), "scope": { "$in": others }, GONE_AT: still_there() });
    }
    for filter in filters {
        if let Some(next) = page.fill(reading, filter).await? {
            let through = texts.iter().position(|scope| *scope == next).unwrap_or_default();
            return Ok(SnapshotPage {
                rows: page.rows,
                through,
                head,
            });
        }
    }
    Ok(SnapshotPage {
        rows: page.rows,
        through: scopes.len(),
        head,
    })
}

/// A page of a snapshot that is being read.
struct Filling<'a> {
    key: &'a PracticeKey,
    limit: PageLimit,
    rows: Vec<Row>,
    bytes: u64,
}

impl Filling<'_> {
    /// Adds rows in the order of their scopes and keys; gives the scope of the first one for which there is no room.
    async fn fill(&mut self, reading: &mut Reading<'_>, filter: Document) -> Result<Option<String>, StorageError> {
        let room = i64::from(self.limit.rows.max(1)) - i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        let mut found = entities(reading.database)
            .find(filter)
            .sort(doc! { "scope": 1, "t": 1, "id": 1 })
            .limit(room + 1)
            .session(&mut reading.session)
            .await?;
        let mut added = 0;
        while found.advance(&mut reading.session).await? {
            let raw = found.current();
            if added == room || (self.bytes >= self.limit.bytes && !self.rows.is_empty()) {
                let scope = raw.get_str("scope").map_err(|_| StorageError::Unreadable("scope"))?;
                return Ok(Some(scope.to_owned()));
            }
            self.bytes += size(raw.as_bytes());
            self.rows.push(to_row(self.key, raw)?);
            added += 1;
        }
        Ok(None)
    }
}

/// Everything at one state, in a session that reads a snapshot, of `least_seq` or newer. A state may not be readable for a moment after a
/// collection was made; then a newer one is taken.
pub(super) async fn leaves(
    client: &Client,
    database: &Database,
    key: &PracticeKey,
    practice: PracticeId,
    scopes: &[Scope],
    least_seq: i64,
) -> Result<Leaves, StorageError> {
    loop {
        match leaves_at_one_state(client, database, key, practice, scopes).await {
            Err(ReadFailure::Server(error)) if is_snapshot_gone(&error) => tokio::task::yield_now().await,
            Err(ReadFailure::Server(error)) => return Err(error.into()),
            Err(ReadFailure::Storage(error)) => return Err(error),
            Ok(leaves) if leaves.seq < least_seq => return Err(StorageError::Unavailable(None)),
            Ok(leaves) => return Ok(leaves),
        }
    }
}

enum ReadFailure {
    Server(mongodb::error::Error),
    Storage(StorageError),
}

impl From<mongodb::error::Error> for ReadFailure {
    fn from(error: mongodb::error::Error) -> Self {
        Self::Server(error)
    }
}

impl From<StorageError> for ReadFailure {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

async fn leaves_at_one_state(
    client: &Client,
    database: &Database,
    key: &PracticeKey,
    practice: PracticeId,
    scopes: &[Scope],
) -> Result<Leaves, ReadFailure> {
    let mut session = client.start_session().snapshot(true).await?;
    let practices = database.collection::<Document>(schema::PRACTICES);
    let found = practices
        .find_one(doc! { "p": id(practice.uuid()) })
        .session(&mut session)
        .await?;
    let head = to_head(&found.ok_or(StorageError::UnknownPractice)?)?;
    let scopes: Vec<String> = scopes.iter().map(Scope::to_string).collect();
    let filter = doc! { "p": id(practice.uuid()), "scope": { "$in": scopes }, GONE_AT: still_there() };
    let mut rows = entities(database).find(filter).session(&mut session).await?;
    let mut entries = Vec::new();
    while rows.advance(&mut session).await? {
        entries.push(LeafEntry::of(to_row(key, rows.current())?)?);
    }
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(Leaves {
        seq: head.seq,
        gc_floor: head.gc_floor,
        entries,
    })
}

pub(super) async fn fetch(
    reading: &mut Reading<'_>,
    key: &PracticeKey,
    practice: PracticeId,
    keys: &[EntityKey],
) -> Result<Vec<Row>, StorageError> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let mut wanted = by_keys(practice, keys);
    wanted.insert(GONE_AT, still_there());
    let mut found = entities(reading.database)
        .find(wanted)
        .session(&mut reading.session)
        .await?;
    let mut rows = std::collections::HashMap::new();
    while found.advance(&mut reading.session).await? {
        let row = to_row(key, found.current())?;
        rows.insert(row.key.clone(), row);
    }
    Ok(keys.iter().filter_map(|key| rows.remove(key)).collect())
}

pub(super) async fn care(
    reading: &mut Reading<'_>,
    practice: PracticeId,
    therapist: UserId,
) -> Result<Vec<ClientId>, StorageError> {
    let filter = doc! { "p": id(practice.uuid()), "care": { "$exists": true, "$eq": id(therapist.uuid()) } };
    let relationships = reading.database.collection::<Document>(schema::ENTITIES);
    let mut found = relationships
        .find(filter)
        .projection(doc! { "_id": 0, "doc": 1 })
        .session(&mut reading.session)
        .await?;
    let mut clients = Vec::new();
    while found.advance(&mut reading.session).await? {
        let relationship: Content = content_of(found.deserialize_current()?)?;
        clients.extend(content::cared_for(&relationship));
    }
    clients.sort();
    Ok(clients)
}

pub(super) async fn care_changed_after(
    reading: &mut Reading<'_>,
    practice: PracticeId,
    after_seq: i64,
) -> Result<bool, StorageError> {
    let filter = doc! { "p": id(practice.uuid()), "seq": { "$gt": after_seq }, "t": "care_relationship" };
    let written = reading
        .database
        .collection::<Document>(schema::ENTITIES)
        .find_one(filter)
        .hint(mongodb::options::Hint::Keys(doc! { "p": 1, "seq": 1 }))
        .projection(doc! { "_id": 0, "seq": 1 })
        .session(&mut reading.session)
        .await?;
    Ok(written.is_some())
}

pub(super) async fn history(
    reading: &mut Reading<'_>,
    practice: PracticeId,
    after_seq: i64,
    limit: u32,
) -> Result<Vec<HistoryEntry>, StorageError> {
    let filter = doc! { "p": id(practice.uuid()), "last_seq": { "$exists": true, "$gt": after_seq } };
    let ops = reading.database.collection::<Document>(schema::OPS);
    let mut found = ops
        .find(filter)
        .sort(doc! { "last_seq": 1 })
        .limit(i64::from(limit))
        .projection(doc! { "_id": 0, "op": 0, "sealed": 0, "result": 0 })
        .session(&mut reading.session)
        .await?;
    let mut entries = Vec::new();
    while found.advance(&mut reading.session).await? {
        let op: Document = found.deserialize_current()?;
        entries.push(HistoryEntry {
            op_id: OpId::new(op.uuid("op_id")?),
            replica: ReplicaId::new(op.uuid("replica")?),
            first_seq: op.integer("first_seq")?,
            last_seq: op.integer("last_seq")?,
            leaves: op.blob("leaves")?.as_chunks().0.to_vec(),
            chain: op.fixed("chain")?,
        });
    }
    Ok(entries)
}
