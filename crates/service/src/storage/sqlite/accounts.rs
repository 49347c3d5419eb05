//! Practices, people, computers, enrolments and replicas.

use caseload_domain::{DeviceId, OpId, PracticeId, ReplicaId, UserId};
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::messages::LastOp;
use caseload_vault::PublicKey;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde_json::Value;

use super::failure;
use super::rows::Id;
use crate::storage::content::parse_role;
use crate::storage::error::{ClaimError, RedeemError, RegisterError, StorageError};
use crate::storage::records::{Account, Device, Enrolment, KeptEnrolment, NewPractice, NewReplica, Practice, Replica};

pub(super) fn any_practice(connection: &Connection) -> Result<bool, StorageError> {
    connection
        .query_row("SELECT EXISTS (SELECT 1 FROM practice)", [], |row| row.get(0))
        .map_err(|error| failure(&error))
}

pub(super) fn claim(
    tx: &Connection,
    practice: &NewPractice,
    sealed_key: &[u8],
    account: &Account,
    device: &Device,
) -> Result<(), ClaimError> {
    let made = tx
        .execute(
            "INSERT INTO practice (practice, name, root_key, sealed_key, epoch, seq, chain, client_number, gc_floor, replicas)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, zeroblob(32), 0, 0, 0) ON CONFLICT DO NOTHING",
            params![Id(practice.practice.uuid()), practice.name, practice.root_key.0, sealed_key, practice.epoch],
        )
        .map_err(|error| failure(&error))?;
    if made == 0 {
        return Err(ClaimError::AlreadyClaimed);
    }
    insert_account(tx, practice.practice, account)?;
    insert_device(tx, practice.practice, device)?;
    Ok(())
}

pub(super) fn practice(connection: &Connection, practice: PracticeId) -> Result<Option<Practice>, StorageError> {
    connection
        .query_row(
            "SELECT name, root_key FROM practice WHERE practice = ?1",
            [Id(practice.uuid())],
            |row| {
                Ok(Practice {
                    practice,
                    name: row.get(0)?,
                    root_key: PublicKey(row.get(1)?),
                })
            },
        )
        .optional()
        .map_err(|error| failure(&error))
}

pub(super) fn account(
    connection: &Connection,
    practice: PracticeId,
    user: UserId,
) -> Result<Option<Account>, StorageError> {
    let found: Option<(String, bool, [u8; 32])> = connection
        .prepare_cached("SELECT role, admin, public_key FROM account WHERE practice = ?1 AND user = ?2")
        .and_then(|mut statement| {
            statement
                .query_row([Id(practice.uuid()), Id(user.uuid())], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()
        })
        .map_err(|error| failure(&error))?;
    found
        .map(|(role, admin, key)| {
            Ok(Account {
                user,
                role: parse_role(&role)?,
                admin,
                public_key: PublicKey(key),
            })
        })
        .transpose()
}

fn insert_account(tx: &Connection, practice: PracticeId, account: &Account) -> Result<(), StorageError> {
    tx.execute(
        "INSERT INTO account (practice, user, role, admin, public_key) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            Id(practice.uuid()),
            Id(account.user.uuid()),
            account.role.as_str(),
            account.admin,
            account.public_key.0
        ],
    )
    .map(drop)
    .map_err(|error| failure(&error))
}

pub(super) fn device(
    connection: &Connection,
    practice: PracticeId,
    device: DeviceId,
) -> Result<Option<Device>, StorageError> {
    read_device(connection, practice, device).map_err(|error| failure(&error))
}

fn read_device(connection: &Connection, practice: PracticeId, device: DeviceId) -> rusqlite::Result<Option<Device>> {
    let ids = [Id(practice.uuid()), Id(device.uuid())];
    let found = connection
        .prepare_cached("SELECT public_key, name, revoked FROM device WHERE practice = ?1 AND device = ?2")?
        .query_row(ids, |row| {
            Ok(Device {
                device,
                public_key: PublicKey(row.get(0)?),
                name: row.get(1)?,
                users: Vec::new(),
                revoked: row.get(2)?,
            })
        })
        .optional()?;
    let Some(mut found) = found else { return Ok(None) };
    let mut users =
        connection.prepare_cached("SELECT user FROM device_user WHERE practice = ?1 AND device = ?2 ORDER BY user")?;
    found.users = users
        .query_map(ids, |row| Ok(UserId::new(row.get::<_, Id>(0)?.0)))?
        .collect::<Result<_, _>>()?;
    Ok(Some(found))
}

fn insert_device(tx: &Connection, practice: PracticeId, device: &Device) -> Result<(), StorageError> {
    let made = tx.execute(
        "INSERT INTO device (practice, device, public_key, name, revoked) VALUES (?1, ?2, ?3, ?4, 0)",
        params![
            Id(practice.uuid()),
            Id(device.device.uuid()),
            device.public_key.0,
            device.name
        ],
    );
    made.and_then(|_| insert_users(tx, practice, device))
        .map_err(|error| failure(&error))
}

fn insert_users(tx: &Connection, practice: PracticeId, device: &Device) -> rusqlite::Result<()> {
    for user in &device.users {
        tx.execute(
            "INSERT OR IGNORE INTO device_user (practice, device, user) VALUES (?1, ?2, ?3)",
            [Id(practice.uuid()), Id(device.device.uuid()), Id(user.uuid())],
        )?;
    }
    Ok(())
}

pub(super) fn revoke_device(tx: &Connection, practice: PracticeId, device: DeviceId) -> Result<bool, StorageError> {
    let ids = [Id(practice.uuid()), Id(device.uuid())];
    tx.execute("UPDATE device SET revoked = 1 WHERE practice = ?1 AND device = ?2", ids)
        .and_then(|known| {
            tx.execute("UPDATE session SET ended = 1 WHERE practice = ?1 AND device = ?2", ids)?;
            Ok(known > 0)
        })
        .map_err(|error| failure(&error))
}

pub(super) fn put_enrolment(tx: &Connection, practice: PracticeId, enrolment: &Enrolment) -> Result<(), StorageError> {
    tx.execute(
        "INSERT INTO enrolment
             (practice, id, authorisation, admin_certificate, sealed_bundle, user, user_name, role, admin, expires_ms, used)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0)
         ON CONFLICT (practice, id) DO UPDATE SET
             authorisation = excluded.authorisation, admin_certificate = excluded.admin_certificate,
             sealed_bundle = excluded.sealed_bundle, user = excluded.user, user_name = excluded.user_name,
             role = excluded.role, admin = excluded.admin, expires_ms = excluded.expires_ms
         WHERE used = 0",
        params![
            Id(practice.uuid()),
            enrolment.id,
            enrolment.authorisation.to_string(),
            enrolment.admin_certificate.to_string(),
            enrolment.sealed_bundle,
            Id(enrolment.user.uuid()),
            enrolment.user_name,
            enrolment.role.as_str(),
            enrolment.admin,
            enrolment.expires_ms,
        ],
    )
    .map(drop)
    .map_err(|error| failure(&error))
}

pub(super) fn enrolment(
    connection: &Connection,
    practice: PracticeId,
    id: &str,
) -> Result<Option<KeptEnrolment>, StorageError> {
    let found = connection
        .query_row(
            "SELECT authorisation, admin_certificate, sealed_bundle, user, user_name, role, admin, expires_ms, used
             FROM enrolment WHERE practice = ?1 AND id = ?2",
            params![Id(practice.uuid()), id],
            |row| Ok(read_enrolment(row, id)),
        )
        .optional()
        .map_err(|error| failure(&error))?;
    found.transpose()
}

fn read_enrolment(row: &Row<'_>, id: &str) -> Result<KeptEnrolment, StorageError> {
    let json = |column: usize| -> Result<Value, StorageError> {
        let text: String = row.get(column).map_err(|error| failure(&error))?;
        serde_json::from_str(&text).map_err(|_| StorageError::Unreadable("an enrolment"))
    };
    let role: String = row.get(5).map_err(|error| failure(&error))?;
    let (authorisation, admin_certificate, role) = (json(0)?, json(1)?, parse_role(&role)?);
    let read = || -> rusqlite::Result<KeptEnrolment> {
        let enrolment = Enrolment {
            id: id.to_owned(),
            authorisation,
            admin_certificate,
            sealed_bundle: row.get(2)?,
            user: UserId::new(row.get::<_, Id>(3)?.0),
            user_name: row.get(4)?,
            role,
            admin: row.get(6)?,
            expires_ms: row.get(7)?,
        };
        Ok(KeptEnrolment {
            enrolment,
            used: row.get(8)?,
        })
    };
    read().map_err(|error| failure(&error))
}

pub(super) fn redeem(
    tx: &Connection,
    practice: PracticeId,
    id: &str,
    account: &Account,
    device: &Device,
    now_ms: i64,
) -> Result<(), RedeemError> {
    let kept = enrolment(tx, practice, id)?.ok_or(RedeemError::Unknown)?;
    if kept.used {
        return Err(RedeemError::AlreadyUsed);
    }
    if now_ms >= kept.enrolment.expires_ms {
        return Err(RedeemError::Expired);
    }
    tx.execute(
        "UPDATE enrolment SET used = 1 WHERE practice = ?1 AND id = ?2",
        params![Id(practice.uuid()), id],
    )
    .map_err(|error| failure(&error))?;
    match self::account(tx, practice, account.user)? {
        None => insert_account(tx, practice, account)?,
        Some(known) if known == *account => {}
        Some(_) => return Err(RedeemError::AccountDiffers),
    }
    match self::device(tx, practice, device.device)? {
        None => insert_device(tx, practice, device)?,
        Some(known) if known.public_key == device.public_key && !known.revoked => {
            insert_users(tx, practice, device).map_err(|error| failure(&error))?;
        }
        Some(_) => return Err(RedeemError::DeviceDiffers),
    }
    Ok(())
}

pub(super) fn register_replica(tx: &Connection, practice: PracticeId, new: &NewReplica) -> Result<i64, RegisterError> {
    if let Some(known) = replica(tx, practice, new.replica)? {
        return if known.is_owned_like(new) {
            Ok(known.number)
        } else {
            Err(RegisterError::OtherOwner)
        };
    }
    let number: Option<i64> = tx
        .query_row(
            "UPDATE practice SET replicas = replicas + 1 WHERE practice = ?1 RETURNING replicas",
            [Id(practice.uuid())],
            |row| row.get(0),
        )
        .optional()
        .map_err(|error| failure(&error))?;
    let number = number.ok_or(StorageError::UnknownPractice)?;
    tx.execute(
        "INSERT INTO replica (practice, replica, kind, device, user, replaces, number) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            Id(practice.uuid()),
            Id(new.replica.uuid()),
            kind_name(new.kind),
            Id(new.device.uuid()),
            Id(new.user.uuid()),
            new.replaces.map(|replica| Id(replica.uuid())),
            number,
        ],
    )
    .map_err(|error| failure(&error))?;
    Ok(number)
}

pub(super) fn replica(
    connection: &Connection,
    practice: PracticeId,
    replica: ReplicaId,
) -> Result<Option<Replica>, StorageError> {
    connection
        .prepare_cached(
            "SELECT kind, device, user, replaces, number, last_mut, last_op FROM replica WHERE practice = ?1 AND replica = ?2",
        )
        .and_then(|mut statement| {
            statement.query_row([Id(practice.uuid()), Id(replica.uuid())], |row| read_replica(row, replica)).optional()
        })
        .map_err(|error| failure(&error))
}

fn read_replica(row: &Row<'_>, replica: ReplicaId) -> rusqlite::Result<Replica> {
    let last: (Option<i64>, Option<Id>) = (row.get(5)?, row.get(6)?);
    Ok(Replica {
        replica,
        kind: if row.get_ref(0)?.as_str()? == kind_name(ReplicaKind::Office) {
            ReplicaKind::Office
        } else {
            ReplicaKind::Clinical
        },
        device: DeviceId::new(row.get::<_, Id>(1)?.0),
        user: UserId::new(row.get::<_, Id>(2)?.0),
        replaces: row.get::<_, Option<Id>>(3)?.map(|id| ReplicaId::new(id.0)),
        number: row.get(4)?,
        last_op: last.0.zip(last.1).map(|(number, id)| LastOp {
            number,
            op_id: OpId::new(id.0),
        }),
    })
}

const fn kind_name(kind: ReplicaKind) -> &'static str {
    match kind {
        ReplicaKind::Office => "office",
        ReplicaKind::Clinical => "clinical",
    }
}
