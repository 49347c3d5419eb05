//! Practices, people, computers, enrolments and replicas.

use async_trait::async_trait;
use caseload_domain::{DeviceId, OpId, PracticeId, ReplicaId, UserId};
use caseload_protocol::auth::ReplicaKind;
use caseload_protocol::messages::LastOp;
use caseload_vault::PublicKey;
use mongodb::bson::{Bson, Document, doc};
use mongodb::{ClientSession, Collection, Database};
use serde_json::Value;

use super::documents::{Members as _, bytes, id};
use super::failure::is_duplicate;
use super::reading::Reading;
use super::schema;
use super::transaction::{Undone, Work};
use crate::storage::content::parse_role;
use crate::storage::error::{ClaimError, RedeemError, RegisterError, StorageError};
use crate::storage::records::{Account, Device, Enrolment, KeptEnrolment, NewPractice, NewReplica, Practice, Replica};

fn collection(database: &Database, name: &str) -> Collection<Document> {
    database.collection(name)
}

/// The claiming of a practice.
pub(super) struct Claim<'a> {
    pub(super) database: &'a Database,
    pub(super) practice: &'a NewPractice,
    pub(super) sealed_key: &'a [u8],
    pub(super) account: &'a Account,
    pub(super) device: &'a Device,
}

#[async_trait]
impl Work for Claim<'_> {
    type Done = ();
    type Refusal = ClaimError;

    async fn attempt(&self, session: &mut ClientSession) -> Result<(), Undone<ClaimError>> {
        let practice = self.practice.practice;
        let record = doc! {
            "p": id(practice.uuid()), "name": &self.practice.name, "root_key": bytes(self.practice.root_key.0),
            "sealed_key": bytes(self.sealed_key), "epoch": &self.practice.epoch, "seq": 0_i64, "chain": bytes([0; 32]),
            "client_number": 0_i64, "gc_floor": 0_i64, "replicas": 0_i64, "lock_gen": 0_i64,
        };
        match collection(self.database, schema::PRACTICES)
            .insert_one(record)
            .session(&mut *session)
            .await
        {
            Err(error) if is_duplicate(&error) => return Err(Undone::Refused(ClaimError::AlreadyClaimed)),
            made => made?,
        };
        let account = of_account(practice, self.account);
        collection(self.database, schema::ACCOUNTS)
            .insert_one(account)
            .session(&mut *session)
            .await?;
        let device = of_device(practice, self.device);
        collection(self.database, schema::DEVICES)
            .insert_one(device)
            .session(&mut *session)
            .await?;
        Ok(())
    }
}

pub(super) async fn practice(database: &Database, practice: PracticeId) -> Result<Option<Practice>, StorageError> {
    let found = collection(database, schema::PRACTICES)
        .find_one(doc! { "p": id(practice.uuid()) })
        .await?;
    found
        .map(|found| {
            Ok(Practice {
                practice,
                name: found.text("name")?.to_owned(),
                root_key: PublicKey(found.fixed("root_key")?),
            })
        })
        .transpose()
}

fn of_account(practice: PracticeId, account: &Account) -> Document {
    doc! {
        "p": id(practice.uuid()), "user": id(account.user.uuid()), "role": account.role.as_str(), "admin": account.admin,
        "public_key": bytes(account.public_key.0),
    }
}

fn to_account(found: &Document) -> Result<Account, StorageError> {
    Ok(Account {
        user: UserId::new(found.uuid("user")?),
        role: parse_role(found.text("role")?)?,
        admin: found.flag("admin")?,
        public_key: PublicKey(found.fixed("public_key")?),
    })
}

pub(super) async fn account(
    database: &Database,
    practice: PracticeId,
    user: UserId,
) -> Result<Option<Account>, StorageError> {
    let filter = doc! { "p": id(practice.uuid()), "user": id(user.uuid()) };
    collection(database, schema::ACCOUNTS)
        .find_one(filter)
        .await?
        .as_ref()
        .map(to_account)
        .transpose()
}

fn of_device(practice: PracticeId, device: &Device) -> Document {
    let users: Vec<Bson> = device.users.iter().map(|user| id(user.uuid())).collect();
    doc! {
        "p": id(practice.uuid()), "device": id(device.device.uuid()), "public_key": bytes(device.public_key.0),
        "name": &device.name, "users": users, "revoked": false,
    }
}

fn to_device(found: &Document) -> Result<Device, StorageError> {
    let damaged = || StorageError::Unreadable("the users of a device");
    let mut users = Vec::new();
    for user in found.get_array("users").map_err(|_| damaged())? {
        let Bson::Binary(user) = user else {
            return Err(damaged());
        };
        users.push(UserId::new(uuid::Uuid::from_slice(&user.bytes).map_err(|_| damaged())?));
    }
    users.sort();
    Ok(Device {
        device: DeviceId::new(found.uuid("device")?),
        public_key: PublicKey(found.fixed("public_key")?),
        name: found.text("name")?.to_owned(),
        users,
        revoked: found.flag("revoked")?,
    })
}

fn device_filter(practice: PracticeId, device: DeviceId) -> Document {
    doc! { "p": id(practice.uuid()), "device": id(device.uuid()) }
}

pub(super) async fn device(
    database: &Database,
    practice: PracticeId,
    device: DeviceId,
) -> Result<Option<Device>, StorageError> {
    let found = collection(database, schema::DEVICES)
        .find_one(device_filter(practice, device))
        .await?;
    found.as_ref().map(to_device).transpose()
}

pub(super) async fn revoke_device(
    database: &Database,
    practice: PracticeId,
    device: DeviceId,
) -> Result<bool, StorageError> {
    let filter = device_filter(practice, device);
    let revoked = doc! { "$set": { "revoked": true } };
    let known = collection(database, schema::DEVICES)
        .update_one(filter.clone(), revoked)
        .await?
        .matched_count
        > 0;
    // After the mark: a session that begins later sees it.
    collection(database, schema::SESSIONS)
        .update_many(filter, doc! { "$set": { "ended": true } })
        .await?;
    Ok(known)
}

pub(super) async fn put_enrolment(
    database: &Database,
    practice: PracticeId,
    enrolment: &Enrolment,
) -> Result<(), StorageError> {
    let filter = doc! { "p": id(practice.uuid()), "id": &enrolment.id, "used": false };
    let content = doc! { "$set": {
        "authorisation": enrolment.authorisation.to_string(), "admin_certificate": enrolment.admin_certificate.to_string(),
        "sealed_bundle": enrolment.sealed_bundle.clone(), "user": id(enrolment.user.uuid()), "user_name": &enrolment.user_name,
        "role": enrolment.role.as_str(), "admin": enrolment.admin, "expires_ms": enrolment.expires_ms,
    } };
    match collection(database, schema::ENROLMENTS)
        .update_one(filter, content)
        .upsert(true)
        .await
    {
        // One of this id was used; it stays as it is.
        Err(error) if is_duplicate(&error) => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

fn to_enrolment(found: &Document) -> Result<KeptEnrolment, StorageError> {
    let json = |name| -> Result<Value, StorageError> {
        serde_json::from_str(found.text(name)?).map_err(|_| StorageError::Unreadable("an enrolment"))
    };
    let enrolment = Enrolment {
        id: found.text("id")?.to_owned(),
        authorisation: json("authorisation")?,
        admin_certificate: json("admin_certificate")?,
        sealed_bundle: found.get_str("sealed_bundle").ok().map(str::to_owned),
        user: UserId::new(found.uuid("user")?),
        user_name: found.text("user_name")?.to_owned(),
        role: parse_role(found.text("role")?)?,
        admin: found.flag("admin")?,
        expires_ms: found.integer("expires_ms")?,
    };
    Ok(KeptEnrolment {
        enrolment,
        used: found.flag("used")?,
    })
}

pub(super) async fn enrolment(
    database: &Database,
    practice: PracticeId,
    code: &str,
) -> Result<Option<KeptEnrolment>, StorageError> {
    let filter = doc! { "p": id(practice.uuid()), "id": code };
    collection(database, schema::ENROLMENTS)
        .find_one(filter)
        .await?
        .as_ref()
        .map(to_enrolment)
        .transpose()
}

/// The redeeming of an enrolment.
pub(super) struct Redeem<'a> {
    pub(super) database: &'a Database,
    pub(super) practice: PracticeId,
    pub(super) code: &'a str,
    pub(super) account: &'a Account,
    pub(super) device: &'a Device,
    pub(super) now_ms: i64,
}

#[async_trait]
impl Work for Redeem<'_> {
    type Done = ();
    type Refusal = RedeemError;

    async fn attempt(&self, session: &mut ClientSession) -> Result<(), Undone<RedeemError>> {
        let filter = doc! { "p": id(self.practice.uuid()), "id": self.code };
        let enrolments = collection(self.database, schema::ENROLMENTS);
        let found = enrolments.find_one(filter.clone()).session(&mut *session).await?;
        let kept = found.ok_or(Undone::Refused(RedeemError::Unknown))?;
        if kept.flag("used").map_err(refused)? {
            return Err(Undone::Refused(RedeemError::AlreadyUsed));
        }
        if self.now_ms >= kept.integer("expires_ms").map_err(refused)? {
            return Err(Undone::Refused(RedeemError::Expired));
        }
        // A second redeemer writes the same record and so fails in one of the two transactions.
        enrolments
            .update_one(filter, doc! { "$set": { "used": true } })
            .session(&mut *session)
            .await?;
        self.register_account(session).await?;
        self.register_device(session).await
    }
}

impl Redeem<'_> {
    async fn register_account(&self, session: &mut ClientSession) -> Result<(), Undone<RedeemError>> {
        let accounts = collection(self.database, schema::ACCOUNTS);
        let filter = doc! { "p": id(self.practice.uuid()), "user": id(self.account.user.uuid()) };
        match accounts.find_one(filter).session(&mut *session).await? {
            None => {
                accounts
                    .insert_one(of_account(self.practice, self.account))
                    .session(&mut *session)
                    .await?;
            }
            Some(known) if to_account(&known).map_err(refused)? == *self.account => {}
            Some(_) => return Err(Undone::Refused(RedeemError::AccountDiffers)),
        }
        Ok(())
    }

    async fn register_device(&self, session: &mut ClientSession) -> Result<(), Undone<RedeemError>> {
        let devices = collection(self.database, schema::DEVICES);
        let filter = device_filter(self.practice, self.device.device);
        let Some(known) = devices.find_one(filter.clone()).session(&mut *session).await? else {
            devices
                .insert_one(of_device(self.practice, self.device))
                .session(&mut *session)
                .await?;
            return Ok(());
        };
        let known = to_device(&known).map_err(refused)?;
        if known.public_key != self.device.public_key || known.revoked {
            return Err(Undone::Refused(RedeemError::DeviceDiffers));
        }
        let users: Vec<Bson> = self.device.users.iter().map(|user| id(user.uuid())).collect();
        devices
            .update_one(filter, doc! { "$addToSet": { "users": { "$each": users } } })
            .session(&mut *session)
            .await?;
        Ok(())
    }
}

fn refused<E: From<StorageError>>(error: StorageError) -> Undone<E> {
    Undone::Refused(error.into())
}

/// The registering of a replica.
pub(super) struct Register<'a> {
    pub(super) database: &'a Database,
    pub(super) practice: PracticeId,
    pub(super) replica: &'a NewReplica,
}

#[async_trait]
impl Work for Register<'_> {
    type Done = i64;
    type Refusal = RegisterError;

    async fn attempt(&self, session: &mut ClientSession) -> Result<i64, Undone<RegisterError>> {
        let (practice, new) = (id(self.practice.uuid()), self.replica);
        let replicas = collection(self.database, schema::REPLICAS);
        let filter = doc! { "p": practice.clone(), "replica": id(new.replica.uuid()) };
        if let Some(known) = replicas.find_one(filter).session(&mut *session).await? {
            let known = to_replica(&known).map_err(refused)?;
            return if known.is_owned_like(new) {
                Ok(known.number)
            } else {
                Err(Undone::Refused(RegisterError::OtherOwner))
            };
        }
        let counted = collection(self.database, schema::PRACTICES)
            .find_one_and_update(doc! { "p": practice.clone() }, doc! { "$inc": { "replicas": 1_i64 } })
            .session(&mut *session)
            .await?;
        let counted = counted.ok_or(Undone::Refused(StorageError::UnknownPractice.into()))?;
        let number = counted.integer("replicas").map_err(refused)? + 1;
        let record = doc! {
            "p": practice, "replica": id(new.replica.uuid()), "kind": kind_name(new.kind), "device": id(new.device.uuid()),
            "user": id(new.user.uuid()), "replaces": new.replaces.map(|replica| id(replica.uuid())), "number": number,
        };
        replicas.insert_one(record).session(&mut *session).await?;
        Ok(number)
    }
}

pub(super) fn replica_filter(practice: PracticeId, replica: ReplicaId) -> Document {
    doc! { "p": id(practice.uuid()), "replica": id(replica.uuid()) }
}

pub(super) async fn replica(
    reading: &mut Reading<'_>,
    practice: PracticeId,
    replica: ReplicaId,
) -> Result<Option<Replica>, StorageError> {
    let found = collection(reading.database, schema::REPLICAS)
        .find_one(replica_filter(practice, replica))
        .session(&mut reading.session)
        .await?;
    found.as_ref().map(to_replica).transpose()
}

pub(super) fn to_replica(found: &Document) -> Result<Replica, StorageError> {
    let last_op = match (found.get_i64("last_mut"), found.uuid("last_op")) {
        (Ok(number), Ok(op)) => Some(LastOp {
            number,
            op_id: OpId::new(op),
        }),
        _ => None,
    };
    Ok(Replica {
        replica: ReplicaId::new(found.uuid("replica")?),
        kind: if found.text("kind")? == kind_name(ReplicaKind::Office) {
            ReplicaKind::Office
        } else {
            ReplicaKind::Clinical
        },
        device: DeviceId::new(found.uuid("device")?),
        user: UserId::new(found.uuid("user")?),
        replaces: found.uuid("replaces").ok().map(ReplicaId::new),
        number: found.integer("number")?,
        last_op,
    })
}

const fn kind_name(kind: ReplicaKind) -> &'static str {
    match kind {
        ReplicaKind::Office => "office",
        ReplicaKind::Clinical => "clinical",
    }
}
