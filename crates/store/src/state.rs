//! Small values beside the documents: the replica's position in the practice's history, and settings of this computer.

use caseload_domain::{ReplicaId, Scope};
use caseload_protocol::cursor::Cursor;
use caseload_protocol::messages::LastOp;
use rusqlite::{Connection, OptionalExtension};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::StorageError;
use crate::snapshots;
use crate::store::Store;
use crate::turns::Who;

/// Where a replica stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncState {
    /// The replica.
    pub replica: ReplicaId,
    /// Its short number.
    pub replica_number: i64,
    /// The history that it believes in; `None` before the first contact.
    pub epoch: Option<String>,
    /// Up to where it has pulled.
    pub cursor: Option<Cursor>,
    /// The last operation that it knows to be acknowledged.
    pub last_op: Option<LastOp>,
    /// The mutation number that it uses next.
    pub next_mut: i64,
    /// The scopes of which it holds rows.
    pub scopes: Vec<Scope>,
    /// A scope of which some pages of a snapshot have come.
    pub begun: Option<Scope>,
    /// The service's word on how far its tombstones are gone, when it was last followed here.
    pub gc_floor: i64,
    /// Whether the service's history was found to be another one, and how far bringing the two together has come.
    pub divergence: Option<Divergence>,
}

/// How far bringing a file together with a service of another history has come. Until the end nothing is pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// It was found; the file has to go on as a new replica, because the numbers of the old one mean something else there.
    Found,
    /// The file is a new replica and compares what it holds with snapshots.
    Comparing,
}

/// The names of the values that the store itself keeps.
#[derive(Clone, Copy)]
pub(crate) enum Name {
    Replica,
    ReplicaNumber,
    Epoch,
    Cursor,
    LastOp,
    NextMut,
    Scopes,
    SearchForm,
    /// There while a pull has further pages to come.
    PullUnfinished,
    Divergence,
    GcFloor,
    /// A series of snapshots on its way.
    Snapshots,
}

impl Name {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::ReplicaNumber => "replica_number",
            Self::Epoch => "epoch",
            Self::Cursor => "cursor",
            Self::LastOp => "last_op",
            Self::NextMut => "next_mut",
            Self::Scopes => "scopes",
            Self::SearchForm => "search_form",
            Self::PullUnfinished => "pull_unfinished",
            Self::Divergence => "divergence",
            Self::GcFloor => "gc_floor",
            Self::Snapshots => "snapshots",
        }
    }
}

pub(crate) fn get<T: DeserializeOwned>(connection: &Connection, name: Name) -> Result<Option<T>, StorageError> {
    text(connection, name.as_str())?
        .map(|text| serde_json::from_str(&text).map_err(|_| StorageError::Unreadable(name.as_str())))
        .transpose()
}

pub(crate) fn require<T: DeserializeOwned>(connection: &Connection, name: Name) -> Result<T, StorageError> {
    get(connection, name)?.ok_or(StorageError::Unreadable(name.as_str()))
}

pub(crate) fn put<T: Serialize>(connection: &Connection, name: Name, value: &T) -> Result<(), StorageError> {
    let text = serde_json::to_string(value).map_err(|_| StorageError::Unreadable(name.as_str()))?;
    set_text(connection, name.as_str(), Some(&text))
}

pub(crate) fn remove(connection: &Connection, name: Name) -> Result<(), StorageError> {
    set_text(connection, name.as_str(), None)
}

pub(crate) fn read(connection: &Connection) -> Result<SyncState, StorageError> {
    Ok(SyncState {
        replica: require(connection, Name::Replica)?,
        replica_number: require(connection, Name::ReplicaNumber)?,
        epoch: get(connection, Name::Epoch)?,
        cursor: get(connection, Name::Cursor)?,
        last_op: get(connection, Name::LastOp)?,
        next_mut: require(connection, Name::NextMut)?,
        scopes: get(connection, Name::Scopes)?.unwrap_or_default(),
        begun: snapshots::begun(connection)?,
        gc_floor: get(connection, Name::GcFloor)?.unwrap_or_default(),
        divergence: get(connection, Name::Divergence)?,
    })
}

fn text(connection: &Connection, name: &str) -> Result<Option<String>, StorageError> {
    let mut statement = connection.prepare_cached("SELECT value FROM state WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

fn set_text(connection: &Connection, name: &str, value: Option<&str>) -> Result<(), StorageError> {
    match value {
        Some(value) => connection
            .prepare_cached(
                "INSERT INTO state (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            )?
            .execute([name, value])?,
        None => connection
            .prepare_cached("DELETE FROM state WHERE name = ?1")?
            .execute([name])?,
    };
    Ok(())
}

fn setting_name(name: &str) -> String {
    format!("setting.{name}")
}

impl Store {
    /// Where the replica stands.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn sync_state(&self) -> Result<SyncState, StorageError> {
        self.read(|reads| read(reads.connection()))
    }

    /// A setting of this computer, such as the service's address. Settings are encrypted with the file and never leave it.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn setting(&self, name: &str) -> Result<Option<String>, StorageError> {
        self.read(|reads| text(reads.connection(), &setting_name(name)))
    }

    /// Keeps or, with `None`, forgets a setting.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn set_setting(&self, name: &str, value: Option<&str>) -> Result<(), StorageError> {
        self.transact_for(Who::Person, |connection| {
            set_text(connection, &setting_name(name), value)
        })
    }
}
