//! What a service restored from a copy had lost and computers offered back: a person accepts it or lets it be.

use std::collections::HashMap;

use caseload_domain::registry::rank;
use caseload_domain::time::Millis;
use caseload_domain::{ClientId, EntityId, EntityKey};
use caseload_protocol::messages::WireRow;
use caseload_protocol::reoffer;
use caseload_store::{Entity, ReadTx, StorageError, Store};

use crate::app::{App, Core};
use crate::changes::entity_type;
use crate::checks;
use crate::conflicts::computer;
use crate::dto::{AppError, ErrorCode, Instant, Reoffer, ReofferPart, SettleReoffer};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::views::header::display_name;
use crate::views::item::client_ids;
use crate::views::office::{Office, client};
use crate::views::parts::parts;

impl App {
    /// What waits for a review, as far as this login may see it: which record, who offered it when, what it says beside what is here now.
    /// Reading what is clinical is logged.
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

    /// Accepts everything that is offered back.
    ///
    /// # Errors
    /// `forbidden` when this login may not settle one of them; those before it are settled.
    pub fn accept_all_reoffers(&self) -> Result<Vec<Reoffer>, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| accept_each(&self.core, &login, |_| true));
        answer("accept_all_reoffers", done)
    }

    /// Accepts what this login may settle and what is not here in another form: nothing that anybody wrote since gives way to it.
    ///
    /// # Errors
    /// `locked`.
    pub fn accept_missing_reoffers(&self) -> Result<Vec<Reoffer>, AppError> {
        let missing = |each: &Reoffer| each.may_settle && !each.is_here && !each.removed;
        let done = self
            .core
            .login()
            .and_then(|login| accept_each(&self.core, &login, missing));
        answer("accept_missing_reoffers", done)
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

/// How many this login may settle. Counting shows no content, so that nothing is logged.
pub(crate) fn count(login: &Login) -> Result<usize, Fault> {
    let rights = Rights::of(login)?;
    let mut count = 0;
    for store in files(login) {
        let open = store.read(|read| read.open_reoffers())?;
        count += open.iter().filter(|record| rights.allow(record)).count();
    }
    Ok(count)
}

fn files(login: &Login) -> impl Iterator<Item = &Store> {
    [Some(&login.office), login.clinical.as_ref()]
        .into_iter()
        .flatten()
        .map(|store| &**store)
}

/// What a login may settle, as the service will say too.
struct Rights {
    admin: bool,
    treated: std::collections::BTreeSet<ClientId>,
}

impl Rights {
    fn of(login: &Login) -> Result<Self, Fault> {
        Ok(Self {
            admin: login.admin,
            treated: login.treated()?,
        })
    }

    fn allow(&self, record: &Entity) -> bool {
        if !record.scope.is_clinical() {
            return self.admin;
        }
        let client = record.doc.text("subject", "client");
        client
            .and_then(|client| client.parse().ok())
            .is_some_and(|client| self.treated.contains(&client))
    }
}

/// A record of what was lost, the version that it holds, and what is here in its place.
struct Lost {
    record: Entity,
    row: WireRow,
    present: Option<Entity>,
}

impl Lost {
    fn of(read: &ReadTx<'_>, record: Entity) -> Result<Option<Self>, Fault> {
        let Some(row) = reoffer::row_of(record.doc.units()) else {
            return Ok(None);
        };
        let present = read.get(&row.key)?;
        Ok(Some(Self { record, row, present }))
    }

    /// The client whose record was lost, where the row or its subject tells.
    fn client(&self) -> Option<ClientId> {
        let doc = &self.row.doc;
        let named = |unit| doc.text(unit, "client").and_then(|client| client.parse().ok());
        match self.row.key.kind.as_str() {
            "client" => Some(ClientId::new(self.row.key.id.uuid())),
            "appointment" => client_ids(doc).into_iter().next(),
            _ => ["subject", "of", "parties"].into_iter().find_map(named),
        }
    }
}

fn open(core: &Core, login: &Login) -> Result<Vec<Reoffer>, Fault> {
    let rights = Rights::of(login)?;
    let mut found: Vec<Lost> = Vec::new();
    for store in files(login) {
        found.extend(store.read(|read| {
            let open = read.open_reoffers()?.into_iter();
            let all = open.map(|record| Lost::of(read, record));
            Ok::<_, Fault>(all.collect::<Result<Vec<_>, _>>()?.into_iter().flatten())
        })?);
    }
    let clinical: Vec<EntityKey> = found
        .iter()
        .filter(|lost| lost.record.scope.is_clinical())
        .map(|lost| lost.record.key.clone())
        .collect();
    if !clinical.is_empty() {
        login.note_reading(core.now(), "reoffer.view", &clinical)?;
    }
    let names = lost_names(&found);
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let mut all = Vec::new();
        for lost in &found {
            all.push((rank(&lost.row.key.kind), shown(read, &office, &rights, &names, lost)?));
        }
        all.sort_by(|(rank, one), (other_rank, other)| (&one.title, rank).cmp(&(&other.title, other_rank)));
        Ok(all.into_iter().map(|(_, shown)| shown).collect())
    })
}

/// The names of clients whose own row was lost too.
fn lost_names(found: &[Lost]) -> HashMap<ClientId, String> {
    found
        .iter()
        .filter(|lost| lost.row.key.kind.as_str() == "client")
        .map(|lost| (ClientId::new(lost.row.key.id.uuid()), display_name(&lost.row.doc)))
        .collect()
}

fn shown(
    read: &ReadTx<'_>,
    office: &Office,
    rights: &Rights,
    names: &HashMap<ClientId, String>,
    lost: &Lost,
) -> Result<Reoffer, Fault> {
    let Lost { record, row, present } = lost;
    let of = lost.client();
    let who = of.map(|id| client(read, id)).transpose()?.flatten();
    let title = who
        .as_ref()
        .map(|who| display_name(&who.doc))
        .or_else(|| names.get(&of?).cloned())
        .or_else(|| row.doc.text("name", "display").map(str::to_owned));
    let offered = record.doc.text("offered", "replica");
    Ok(Reoffer {
        id: record.key.id.to_string(),
        entity: entity_type(row.key.kind.as_str()),
        entity_id: row.key.id.to_string(),
        client_id: who.map(|who| who.key.id.to_string()),
        title,
        clinical: record.scope.is_clinical(),
        is_here: present.is_some(),
        removed_here: present.as_ref().is_some_and(|present| present.deleted),
        removed: row.del,
        parts: differences(read, office, row, present.as_ref())?,
        may_settle: rights.allow(record),
        by: office.staff_name(record.doc.text("offered", "by").unwrap_or_default()),
        device_name: computer(office, offered),
        at: record.doc.integer("offered", "at").map(Instant),
    })
}

/// What a person compares: the parts that differ, in the order in which they are read.
fn differences(
    read: &ReadTx<'_>,
    office: &Office,
    row: &WireRow,
    present: Option<&Entity>,
) -> Result<Vec<ReofferPart>, Fault> {
    let kind = row.key.kind.as_str();
    let offered = parts(read, office, kind, &row.doc)?;
    let here = match present {
        Some(present) => parts(read, office, kind, &present.doc)?,
        None => Vec::new(),
    };
    let mut all: Vec<ReofferPart> = offered
        .into_iter()
        .map(|part| ReofferPart {
            name: part.name,
            here: String::new(),
            offered: part.text,
        })
        .collect();
    for part in here {
        match all.iter_mut().find(|known| known.name == part.name) {
            Some(known) => known.here = part.text,
            None => all.push(ReofferPart {
                name: part.name,
                here: part.text,
                offered: String::new(),
            }),
        }
    }
    all.retain(|part| part.here != part.offered);
    Ok(all)
}

/// Accepts one after the other what `chosen` picks; what somebody else settled meanwhile is settled.
fn accept_each(core: &Core, login: &Login, chosen: impl Fn(&Reoffer) -> bool) -> Result<Vec<Reoffer>, Fault> {
    for each in open(core, login)?.into_iter().filter(chosen) {
        let request = SettleReoffer {
            id: each.id,
            accept: true,
        };
        match settle(core, login, &request) {
            Ok(()) | Err(Fault::Rule(ErrorCode::AlreadySettled)) => {}
            Err(fault) => return Err(fault),
        }
    }
    open(core, login)
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
