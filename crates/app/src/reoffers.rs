//! What a service restored from a copy had lost and computers offered back: a person accepts it or lets it be.

use caseload_domain::time::Millis;
use caseload_domain::{ClientId, EntityId, EntityKey};
use caseload_protocol::reoffer;
use caseload_store::{Entity, StorageError, Store};

use crate::app::{App, Core};
use crate::changes::entity_type;
use crate::checks;
use crate::dto::{AppError, ErrorCode, Instant, Reoffer, SettleReoffer};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::views::header::display_name;
use crate::views::office::{Office, client};

impl App {
    /// What waits for a review, as far as this login may see it: which record, who offered it when, never its content.
    ///
    /// # Errors
    /// `locked`.
    pub fn reoffers(&self) -> Result<Vec<Reoffer>, AppError> {
        answer("reoffers", self.core.login().and_then(|login| open(&self.core, &login)))
    }

    /// Settles a review. An accepted row becomes an ordinary one again; where the record exists in another form, what the reviewer has not
    /// seen of it becomes a conflict. Office records are settled by administrators, clinical ones by whoever treats the client.
    ///
    /// # Errors
    /// `already_settled`, `not_found`, `forbidden`.
    pub fn settle_reoffer(&self, request: SettleReoffer) -> Result<Vec<Reoffer>, AppError> {
        let done = self.core.login().and_then(|login| {
            settle(&self.core, &login, &request)?;
            open(&self.core, &login)
        });
        answer("settle_reoffer", done)
    }
}

/// Offers back what the service of this file lost; gives whether anything was offered.
pub(crate) fn offer(login: &Login, store: &Store, at: Millis) -> Result<bool, Fault> {
    let offered = store.offer_lost(&login.author(), at)?;
    if offered > 0 {
        tracing::warn!(
            offered,
            "the service was restored from a copy: rows that it lost are offered back"
        );
    }
    Ok(offered > 0)
}

/// Whether changes that had waited for a review go on, now that a round has brought its end.
pub(crate) fn released(store: &Store) -> Result<bool, Fault> {
    let (waiting, for_reviews) = store.read(|read| {
        let waiting = read.waiting()?.count;
        Ok::<_, StorageError>((waiting, read.waiting_for_reviews()?.len()))
    })?;
    Ok(usize::try_from(waiting).is_ok_and(|waiting| waiting > for_reviews))
}

fn open(core: &Core, login: &Login) -> Result<Vec<Reoffer>, Fault> {
    let mut all = Vec::new();
    let mut records: Vec<(Entity, bool)> = Vec::new();
    for store in [Some(&login.office), login.clinical.as_ref()].into_iter().flatten() {
        records.extend(store.read(|read| {
            let open = read.open_reoffers()?;
            open.into_iter()
                .map(|record| {
                    let about = about(&record).map(|key| read.get(&key)).transpose()?.flatten();
                    Ok((record, about.is_some()))
                })
                .collect::<Result<Vec<_>, Fault>>()
        })?);
    }
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        for (record, is_here) in records {
            let key = about(&record).ok_or(ErrorCode::Internal)?;
            let of = client_of(&record, &key);
            let who = of.map(|id| client(read, id)).transpose()?.flatten();
            all.push(Reoffer {
                id: record.key.id.to_string(),
                entity: entity_type(key.kind.as_str()),
                entity_id: key.id.to_string(),
                title: who.map(|who| display_name(&who.doc)).or_else(|| lost_name(&record)),
                clinical: record.scope.is_clinical(),
                is_here,
                by: office.staff_name(record.doc.text("offered", "by").unwrap_or_default()),
                at: record.doc.integer("offered", "at").map(Instant),
            });
        }
        Ok(all)
    })
}

fn about(record: &Entity) -> Option<EntityKey> {
    let kind = record.doc.text("about", "type")?;
    Some(EntityKey::new(kind, record.doc.text("about", "id")?.parse().ok()?))
}

/// The client whose record was lost, where the row or its subject tells.
fn client_of(record: &Entity, key: &EntityKey) -> Option<ClientId> {
    if key.kind.as_str() == "client" {
        return Some(ClientId::new(key.id.uuid()));
    }
    let named = record.doc.text("subject", "client").map(str::to_owned);
    let lost = reoffer::row_of(record.doc.units())?;
    let named = named.or_else(|| {
        ["of", "parties"]
            .into_iter()
            .find_map(|unit| lost.doc.text(unit, "client").map(str::to_owned))
    });
    named?.parse().ok()
}

/// The name in a client's row that is not here.
fn lost_name(record: &Entity) -> Option<String> {
    let lost = reoffer::row_of(record.doc.units())?;
    (lost.key.kind.as_str() == "client").then(|| display_name(&lost.doc))
}

fn settle(core: &Core, login: &Login, request: &SettleReoffer) -> Result<(), Fault> {
    let id: EntityId = checks::id(&request.id)?;
    let [office_key, clinical_key] = reoffer::KINDS.map(|kind| EntityKey::new(kind, id));
    if let Some(record) = login.office.read(|read| read.get(&office_key))? {
        still_open(&record)?;
        login.require_admin()?;
        return core.write_office(login, "reoffer.settle", |tx| {
            Ok(tx.settle_reoffer(&office_key, request.accept)?)
        });
    }
    let clinical = login.clinical().map_err(|_| ErrorCode::NotFound)?;
    let record = clinical.read(|read| read.get(&clinical_key))?;
    still_open(&record.ok_or(ErrorCode::NotFound)?)?;
    core.write_clinical(login, "reoffer.settle", |tx| {
        Ok(tx.settle_reoffer(&clinical_key, request.accept)?)
    })
}

fn still_open(record: &Entity) -> Result<(), Fault> {
    if record.doc.text("state", "state") == Some("open") {
        Ok(())
    } else {
        Err(ErrorCode::AlreadySettled.into())
    }
}
