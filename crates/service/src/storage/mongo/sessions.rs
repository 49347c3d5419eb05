//! Sessions: one record each, changed by one command at a time. The server removes them some time after their end.

use caseload_domain::{DeviceId, PracticeId, UserId};
use mongodb::bson::{DateTime, Document, doc};
use mongodb::{Collection, Database};

use super::accounts;
use super::documents::{Members as _, bytes, id};
use super::schema::SESSIONS;
use crate::storage::error::StorageError;
use crate::storage::records::{Rotation, Session, TokenHash, Tokens};

/// Exchanged tokens that are remembered: a session of thirty days refreshed each quarter of an hour has 2,880.
const SPENT: i32 = 3_000;

fn sessions(database: &Database) -> Collection<Document> {
    database.collection(SESSIONS)
}

fn of_tokens(tokens: &Tokens) -> Document {
    doc! {
        "access": bytes(tokens.access.0), "access_expires_ms": tokens.access_expires_ms,
        "refresh": bytes(tokens.refresh.0), "refresh_expires_ms": tokens.refresh_expires_ms,
        "gone_at": DateTime::from_millis(tokens.refresh_expires_ms),
    }
}

pub(super) async fn put(database: &Database, session: &Session, tokens: &Tokens) -> Result<bool, StorageError> {
    let mut record = doc! {
        "p": id(session.practice.uuid()), "family": &session.family, "user": id(session.user.uuid()),
        "device": id(session.device.uuid()), "spent": [], "ended": false,
    };
    record.extend(of_tokens(tokens));
    sessions(database).insert_one(record).await?;
    // Looked at after the session is there: a revocation before this look is seen by it, and one after it finds the session and ends it.
    let device = accounts::device(database, session.practice, session.device).await?;
    if device.is_none_or(|device| !device.revoked) {
        return Ok(true);
    }
    end(database, session.practice, &session.family).await?;
    Ok(false)
}

fn to_session(found: &Document, practice: PracticeId) -> Result<Session, StorageError> {
    Ok(Session {
        family: found.text("family")?.to_owned(),
        practice,
        user: UserId::new(found.uuid("user")?),
        device: DeviceId::new(found.uuid("device")?),
    })
}

pub(super) async fn by_access(
    database: &Database,
    practice: PracticeId,
    access: TokenHash,
    now_ms: i64,
) -> Result<Option<Session>, StorageError> {
    let filter = doc! {
        "p": id(practice.uuid()), "access": bytes(access.0), "access_expires_ms": { "$gt": now_ms }, "ended": false,
    };
    sessions(database)
        .find_one(filter)
        .await?
        .map(|found| to_session(&found, practice))
        .transpose()
}

pub(super) async fn rotate(
    database: &Database,
    practice: PracticeId,
    refresh: TokenHash,
    tokens: &Tokens,
    now_ms: i64,
) -> Result<Rotation, StorageError> {
    let p = id(practice.uuid());
    let spent = bytes(refresh.0);
    let current =
        doc! { "p": p.clone(), "refresh": spent.clone(), "ended": false, "refresh_expires_ms": { "$gt": now_ms } };
    let change = doc! {
        "$set": of_tokens(tokens),
        "$push": { "spent": { "$each": [spent.clone()], "$slice": -SPENT } },
    };
    if let Some(found) = sessions(database).find_one_and_update(current, change).await? {
        return Ok(Rotation::Rotated(to_session(&found, practice)?));
    }
    let ended = doc! { "$set": { "ended": true } };
    let reused = sessions(database)
        .update_one(doc! { "p": p.clone(), "spent": spent.clone() }, ended)
        .await?;
    if reused.matched_count > 0 {
        return Ok(Rotation::Reused);
    }
    let expired = sessions(database)
        .find_one(doc! { "p": p, "refresh": spent, "ended": false })
        .await?
        .is_some();
    Ok(if expired { Rotation::Expired } else { Rotation::Unknown })
}

pub(super) async fn end(database: &Database, practice: PracticeId, family: &str) -> Result<(), StorageError> {
    let filter = doc! { "p": id(practice.uuid()), "family": family };
    sessions(database)
        .update_one(filter, doc! { "$set": { "ended": true } })
        .await?;
    Ok(())
}
