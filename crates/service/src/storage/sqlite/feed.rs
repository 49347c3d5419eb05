//! What devices read: the feed, snapshots, leaves, the chain.

use std::collections::HashSet;

use caseload_domain::{ClientId, Document, EntityKey, OpId, PracticeId, ReplicaId, Scope, UserId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::row::Row;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::failure;
use super::rows::{self, COLUMNS, Id, StoredRow};
use crate::storage::content;
use crate::storage::error::StorageError;
use crate::storage::records::{FeedPage, HistoryEntry, LeafEntry, Leaves, PageLimit, SnapshotPage};
use crate::storage::sealing::Keyring;

fn known_head(connection: &Connection, practice: PracticeId) -> Result<PracticeHead, StorageError> {
    rows::head(connection, practice)?.ok_or(StorageError::UnknownPractice)
}

pub(super) fn since(
    connection: &Connection,
    keys: &Keyring,
    practice: PracticeId,
    after_seq: i64,
    scopes: &[Scope],
    limit: PageLimit,
) -> Result<FeedPage, StorageError> {
    let head = known_head(connection, practice)?;
    if head.seq < after_seq {
        return Err(StorageError::Unavailable(None));
    }
    let key = rows::key(connection, keys, practice)?;
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM entity WHERE practice = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3"
        ))
        .map_err(|error| failure(&error))?;
    let mut found = statement
        .query(params![Id(practice.uuid()), after_seq, limit.rows.max(1)])
        .map_err(|error| failure(&error))?;
    let wanted: HashSet<String> = scopes.iter().map(Scope::to_string).collect();
    let (mut page, mut examined, mut count, mut bytes) = (Vec::new(), after_seq, 0, 0);
    while let Some(row) = found.next().map_err(|error| failure(&error))? {
        if bytes >= limit.bytes && count > 0 {
            return Ok(FeedPage {
                rows: page,
                examined,
                more: true,
                head,
            });
        }
        // What nobody here may see is not even copied.
        let (seq, visible) = StoredRow::peek(row, |scope| wanted.contains(scope)).map_err(|error| failure(&error))?;
        (examined, count) = (seq, count + 1);
        if visible {
            let row = StoredRow::read(row).map_err(|error| failure(&error))?;
            bytes += row.size();
            page.push(row.open(&key)?);
        }
    }
    let more = count >= limit.rows.max(1) && examined < head.seq;
    let examined = if more { examined } else { head.seq };
    Ok(FeedPage {
        rows: page,
        examined,
        more,
        head,
    })
}

pub(super) fn chain_at(connection: &Connection, practice: PracticeId, seq: i64) -> Result<Option<Leaf>, StorageError> {
    let Some(head) = rows::head(connection, practice)?.filter(|head| (0..=head.seq).contains(&seq)) else {
        return Ok(None);
    };
    if seq == head.seq {
        return Ok(Some(head.chain));
    }
    let chain = connection
        .prepare_cached(
            "SELECT chain FROM op WHERE practice = ?1 AND last_seq IS NOT NULL AND last_seq <= ?2 ORDER BY last_seq DESC LIMIT 1",
        )
        .and_then(|mut statement| statement.query_row(params![Id(practice.uuid()), seq], |row| row.get(0)).optional())
        .map_err(|error| failure(&error))?;
    Ok(Some(chain.unwrap_or([0; 32])))
}

pub(super) fn snapshot(
    connection: &Connection,
    keys: &Keyring,
    practice: PracticeId,
    scopes: &[Scope],
    after: Option<&EntityKey>,
    limit: PageLimit,
) -> Result<SnapshotPage, StorageError> {
    let head = known_head(connection, practice)?;
    let key = rows::key(connection, keys, practice)?;
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM entity WHERE practice = ?1 AND scope = ?2 AND (t, id) > (?3, ?4) ORDER BY t, id LIMIT ?5"
        ))
        .map_err(|error| failure(&error))?;
    let wanted = usize::try_from(limit.rows.max(1)).unwrap_or(usize::MAX);
    let (mut page, mut bytes): (Vec<Row>, u64) = (Vec::new(), 0);
    for (through, scope) in scopes.iter().enumerate() {
        let after = after.filter(|_| through == 0);
        let kind = after.map_or("", |key| key.kind.as_str());
        let id = after.map_or(Vec::new(), |key| key.id.uuid().as_bytes().to_vec());
        let one_more = i64::try_from(wanted - page.len()).unwrap_or(i64::MAX).saturating_add(1);
        let mut found = statement
            .query(params![Id(practice.uuid()), scope.to_string(), kind, id, one_more])
            .map_err(|error| failure(&error))?;
        while let Some(row) = found.next().map_err(|error| failure(&error))? {
            if page.len() == wanted || (bytes >= limit.bytes && !page.is_empty()) {
                return Ok(SnapshotPage {
                    rows: page,
                    through,
                    head,
                });
            }
            let row = StoredRow::read(row).map_err(|error| failure(&error))?;
            bytes += row.size();
            page.push(row.open(&key)?);
        }
    }
    Ok(SnapshotPage {
        rows: page,
        through: scopes.len(),
        head,
    })
}

pub(super) fn leaves(
    connection: &Connection,
    keys: &Keyring,
    practice: PracticeId,
    scopes: &[Scope],
) -> Result<Leaves, StorageError> {
    let head = known_head(connection, practice)?;
    let key = rows::key(connection, keys, practice)?;
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM entity WHERE practice = ?1 AND scope = ?2"
        ))
        .map_err(|error| failure(&error))?;
    let mut entries = Vec::new();
    for scope in scopes {
        let found = statement
            .query_map(params![Id(practice.uuid()), scope.to_string()], StoredRow::read)
            .map_err(|error| failure(&error))?;
        for row in found {
            let row = row.map_err(|error| failure(&error))?.open(&key)?;
            entries.push(LeafEntry::of(row)?);
        }
    }
    entries.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(Leaves {
        seq: head.seq,
        gc_floor: head.gc_floor,
        entries,
    })
}

pub(super) fn care(
    connection: &Connection,
    practice: PracticeId,
    therapist: UserId,
) -> Result<Vec<ClientId>, StorageError> {
    let mut statement = connection
        .prepare_cached("SELECT doc FROM entity WHERE practice = ?1 AND care = ?2")
        .map_err(|error| failure(&error))?;
    let found = statement
        .query_map([Id(practice.uuid()), Id(therapist.uuid())], |row| {
            row.get::<_, String>(0)
        })
        .map_err(|error| failure(&error))?;
    let mut clients = Vec::new();
    for doc in found {
        let doc = doc.map_err(|error| failure(&error))?;
        let doc = Document::parse(doc.as_bytes()).ok_or(StorageError::Unreadable("a document"))?;
        clients.extend(content::cared_for(&doc));
    }
    clients.sort();
    Ok(clients)
}

pub(super) fn care_changed_after(
    connection: &Connection,
    practice: PracticeId,
    after_seq: i64,
) -> Result<bool, StorageError> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM entity INDEXED BY entity_by_seq
             WHERE practice = ?1 AND seq > ?2 AND t = 'care_relationship')",
        )
        .and_then(|mut statement| statement.query_row(params![Id(practice.uuid()), after_seq], |row| row.get(0)))
        .map_err(|error| failure(&error))
}

pub(super) fn history(
    connection: &Connection,
    practice: PracticeId,
    after_seq: i64,
    limit: u32,
) -> Result<Vec<HistoryEntry>, StorageError> {
    connection
        .prepare_cached(
            "SELECT op_id, replica, first_seq, last_seq, leaves, chain FROM op
             WHERE practice = ?1 AND last_seq IS NOT NULL AND last_seq > ?2 ORDER BY last_seq LIMIT ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![Id(practice.uuid()), after_seq, limit], |row| {
                    let leaves: Vec<u8> = row.get(4)?;
                    Ok(HistoryEntry {
                        op_id: OpId::new(row.get::<_, Id>(0)?.0),
                        replica: ReplicaId::new(row.get::<_, Id>(1)?.0),
                        first_seq: row.get(2)?,
                        last_seq: row.get(3)?,
                        leaves: leaves.as_chunks().0.to_vec(),
                        chain: row.get(5)?,
                    })
                })?
                .collect()
        })
        .map_err(|error| failure(&error))
}
