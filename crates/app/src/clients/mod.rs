//! Clients: finding, creating, the record and its header, editing by unit, people around them, who treats them.

mod care;
mod chart;
pub(crate) mod details;
mod duplicates;

use caseload_domain::{ClientId, EntityId, EntityKey};
use caseload_protocol::decide::format_client_number;
use caseload_store::{Entity, ReadTx};
use serde_json::{Value, json};

use crate::app::{App, Core};
use crate::checks::{self, Checks};
use crate::conflicts;
use crate::dto::{
    AppError, ById, ClientList, ClientPatch, ClientRecord, ClientRow, CreateClient, CreateClientOutcome, DuplicateHint,
    ErrorCode, RelatedPerson, Relation, SaveRelatedPerson, SearchClients, UpdateClient,
};
use crate::fault::{Fault, answer};
use crate::login::{Login, treated_by};
use crate::phones::plan_of_zone;
use crate::practice::document;
use crate::views::header::{add_clinical, display_name, header, legal_name, number_is_provisional};
use crate::views::item::items;
use crate::views::office::{Office, client, shared};
use duplicates::Likeness;

/// The most rows of one search.
const MOST_ROWS: u32 = 200;
/// Hints beyond these help nobody.
const MOST_HINTS: usize = 5;

impl App {
    /// Clients by what is typed; nothing typed lists them by name.
    ///
    /// # Errors
    /// `locked`.
    pub fn search_clients(&self, request: SearchClients) -> Result<ClientList, AppError> {
        answer(
            "search_clients",
            self.core.login().and_then(|login| search(&self.core, &login, &request)),
        )
    }

    /// One client's record. The clinical part is there for a clinician who treats her, and its reading is logged.
    ///
    /// # Errors
    /// `not_found`.
    pub fn client(&self, request: ById) -> Result<ClientRecord, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| record(&self.core, &login, checks::id(&request.id)?));
        answer("client", done)
    }

    /// Creates a client, or stops to show who looks the same. A clinician who creates one treats her from then on.
    ///
    /// # Errors
    /// `invalid_fields`.
    pub fn create_client(&self, request: CreateClient) -> Result<CreateClientOutcome, AppError> {
        answer(
            "create_client",
            self.core.login().and_then(|login| create(&self.core, &login, &request)),
        )
    }

    /// Replaces the units that were changed.
    ///
    /// # Errors
    /// `invalid_fields`, `not_found`.
    pub fn update_client(&self, request: UpdateClient) -> Result<ClientRecord, AppError> {
        answer(
            "update_client",
            self.core.login().and_then(|login| update(&self.core, &login, &request)),
        )
    }

    /// Adds or changes a person around a client.
    ///
    /// # Errors
    /// `invalid_fields`, `not_found`.
    pub fn save_related_person(&self, request: SaveRelatedPerson) -> Result<ClientRecord, AppError> {
        answer(
            "save_related_person",
            self.core
                .login()
                .and_then(|login| save_related(&self.core, &login, &request)),
        )
    }
}

fn search(core: &Core, login: &Login, request: &SearchClients) -> Result<ClientList, Fault> {
    let limit = request.limit.clamp(1, MOST_ROWS) as usize;
    let published = login.published()?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let hits = read.search_clients(&request.query, limit)?;
        let rows = hits
            .rows
            .iter()
            .map(|entity| row(read, &office, entity, published))
            .collect::<Result<_, Fault>>()?;
        Ok(ClientList {
            rows,
            total: u32::try_from(hits.total).unwrap_or(u32::MAX),
        })
    })
}

/// A client as a list shows her.
fn row(read: &ReadTx<'_>, office: &Office, entity: &Entity, published: bool) -> Result<ClientRow, Fault> {
    let doc = &entity.doc;
    let id = ClientId::new(entity.key.id.uuid());
    let birth_date = doc
        .text("birth", "date")
        .filter(|date| !date.is_empty())
        .map(str::to_owned);
    let age = birth_date
        .as_deref()
        .and_then(|born| caseload_domain::time::age_in_years(caseload_domain::time::date(born).ok()?, office.today()));
    let care = read.care_of_client(id)?;
    let therapist_names = care
        .iter()
        .filter(|care| care.doc.text("status", "state") != Some("ended"))
        .filter_map(|care| care.doc.text("parties", "therapist"))
        .map(|therapist| office.staff_name(therapist))
        .collect();
    let next = read.appointments_of_client(id)?.into_iter().rfind(|entity| {
        caseload_domain::appointments::occupation(&entity.doc).is_some_and(|taken| taken.interval.start >= office.now)
    });
    Ok(ClientRow {
        id: id.to_string(),
        number: doc.text("number", "value").map(str::to_owned),
        number_provisional: number_is_provisional(doc, published),
        display_name: display_name(doc),
        legal_name: legal_name(doc),
        birth_date,
        age,
        phone: doc
            .text("phone", "raw")
            .filter(|phone| !phone.is_empty())
            .map(str::to_owned),
        therapist_names,
        next_session: next.map(|entity| office.minute_of(crate::views::item::bounds(&entity.doc).0)),
        shared: shared(entity, published),
    })
}

/// The whole record of a client.
pub(crate) fn record(core: &Core, login: &Login, id: ClientId) -> Result<ClientRecord, Fault> {
    let published = login.published()?;
    let mut record = login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let entity = client(read, id)?.ok_or(ErrorCode::NotFound)?;
        let treats = treated_by(read, login.user)?.contains(&id) && login.clinical().is_ok();
        let related = read.related_persons(id)?;
        let conflicts = read.conflicts_about(&entity.key)?;
        let appointments: Vec<Entity> = read
            .appointments_of_client(id)?
            .into_iter()
            .filter(|entity| !entity.deleted)
            .collect();
        Ok::<_, Fault>(ClientRecord {
            id: id.to_string(),
            header: header(read, &office, &entity, published)?,
            details: details::read(&entity.doc),
            related: related.iter().map(related_person).collect(),
            care: care::list(read, &office, id)?,
            appointments: items(read, &office, &appointments, published)?,
            conflicting: conflicts
                .iter()
                .filter(|conflict| conflicts::is_open(conflict))
                .filter_map(|conflict| conflict.doc.text("about", "unit"))
                .map(|unit| details::member_of(unit).to_owned())
                .collect(),
            may_read_clinical: treats,
            may_grant_care: care::may_grant(read, login, id)?,
            shared: shared(&entity, published),
        })
    })?;
    add_clinical(login, core.now(), std::slice::from_mut(&mut record.header))?;
    Ok(record)
}

fn create(core: &Core, login: &Login, request: &CreateClient) -> Result<CreateClientOutcome, Fault> {
    let patch = details::as_patch(&request.details);
    let (plan, today) = login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        Ok::<_, Fault>((plan_of_zone(&office.zone_name), office.today()))
    })?;
    details::check(&patch, "details", today).done()?;
    if !request.force {
        let duplicates = hints(core, login, &Likeness::of_new(&patch, plan))?;
        if !duplicates.is_empty() {
            return Ok(CreateClientOutcome::LooksLike { duplicates });
        }
    }
    let mut units = details::without_blanks(details::units(&patch, &caseload_domain::Document::default(), plan));
    units.insert("status".to_owned(), json!({"state": "active"}));
    let id = core.write_office(login, "client.create", |tx| {
        units.insert(
            "number".to_owned(),
            json!({"value": format_client_number(tx.next_client_number()?)}),
        );
        let key = tx.create_new("client", caseload_domain::Document::new(units))?;
        let id = ClientId::new(key.id.uuid());
        if login.role.is_clinical() {
            care::create(tx, id, login.user)?;
        }
        Ok(id)
    })?;
    Ok(CreateClientOutcome::Created {
        client: Box::new(record(core, login, id)?),
    })
}

fn hints(core: &Core, login: &Login, new: &Likeness) -> Result<Vec<DuplicateHint>, Fault> {
    let published = login.published()?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let mut hints = Vec::new();
        for entity in read.list("client")? {
            let reasons = new.reasons(&entity.doc);
            if !reasons.is_empty() {
                hints.push(DuplicateHint {
                    client: row(read, &office, &entity, published)?,
                    reasons,
                });
            }
        }
        hints.sort_by_key(|hint| std::cmp::Reverse(hint.reasons.len()));
        hints.truncate(MOST_HINTS);
        Ok(hints)
    })
}

fn update(core: &Core, login: &Login, request: &UpdateClient) -> Result<ClientRecord, Fault> {
    let id: ClientId = checks::id(&request.id)?;
    let (plan, today) = login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        Ok::<_, Fault>((plan_of_zone(&office.zone_name), office.today()))
    })?;
    details::check(&request.patch, "patch", today).done()?;
    let key = EntityKey::new("client", id.entity());
    core.write_office(login, "client.update", |tx| {
        let present = client(tx, id)?.ok_or(ErrorCode::NotFound)?;
        Ok(tx.patch(&key, details::units(&request.patch, &present.doc, plan))?)
    })?;
    record(core, login, id)
}

fn save_related(core: &Core, login: &Login, request: &SaveRelatedPerson) -> Result<ClientRecord, Fault> {
    let id: ClientId = checks::id(&request.client_id)?;
    let mut check = Checks::default();
    check.line("name", &request.name);
    check.short("phone", &request.phone);
    check.short("mayBeTold", &request.may_be_told);
    check.done()?;
    let plan = login
        .office
        .read(|read| Ok::<_, Fault>(plan_of_zone(&Office::read(read, core.now())?.zone_name)))?;
    let name = json!({"display": request.name.trim()});
    let relation = json!({"kind": relation_name(request.relation), "may_be_told": request.may_be_told.trim()});
    let phone = details::phone_unit(&request.phone, plan);
    core.write_office(login, "related_person.save", |tx| {
        client(tx, id)?.ok_or(ErrorCode::NotFound)?;
        let Some(person) = &request.id else {
            let units = document([
                ("of", json!({"client": id})),
                ("name", name),
                ("relation", relation),
                ("phone", phone),
            ]);
            tx.create_new("related_person", units)?;
            return Ok(());
        };
        let key = EntityKey::new("related_person", checks::id::<EntityId>(person)?);
        let present = tx
            .get(&key)?
            .filter(|person| person.doc.text("of", "client") == Some(&id.to_string()));
        present.ok_or(ErrorCode::NotFound)?;
        tx.overlay_unit(&key, "name", name)?;
        tx.overlay_unit(&key, "relation", relation)?;
        Ok(tx.overlay_unit(&key, "phone", phone)?)
    })?;
    record(core, login, id)
}

fn related_person(entity: &Entity) -> RelatedPerson {
    let text = |unit: &str, member: &str| entity.doc.text(unit, member).unwrap_or_default().to_owned();
    RelatedPerson {
        id: entity.key.id.to_string(),
        name: text("name", "display"),
        relation: match entity.doc.text("relation", "kind") {
            Some("guardian") => Relation::Guardian,
            Some("partner") => Relation::Partner,
            Some("emergency_contact") => Relation::EmergencyContact,
            Some("payer") => Relation::Payer,
            _ => Relation::Other,
        },
        phone: text("phone", "raw"),
        may_be_told: text("relation", "may_be_told"),
    }
}

const fn relation_name(relation: Relation) -> &'static str {
    match relation {
        Relation::Guardian => "guardian",
        Relation::Partner => "partner",
        Relation::EmergencyContact => "emergency_contact",
        Relation::Payer => "payer",
        Relation::Other => "other",
    }
}

/// The unit that a text typed by a person stands for, where one text is enough.
pub(crate) fn unit_of_text(unit: &str, text: &str, zone: &str) -> Option<Value> {
    let patch = match unit {
        "phone" => ClientPatch {
            phone: Some(text.to_owned()),
            ..ClientPatch::default()
        },
        "other_phone" => ClientPatch {
            other_phone: Some(text.to_owned()),
            ..ClientPatch::default()
        },
        "email" => ClientPatch {
            email: Some(text.to_owned()),
            ..ClientPatch::default()
        },
        "pronouns" => ClientPatch {
            pronouns: Some(text.to_owned()),
            ..ClientPatch::default()
        },
        "alert" => ClientPatch {
            office_alert: Some(text.to_owned()),
            ..ClientPatch::default()
        },
        "birth" => ClientPatch {
            birth_date: Some(text.to_owned()),
            ..ClientPatch::default()
        },
        _ => return None,
    };
    details::units(&patch, &caseload_domain::Document::default(), plan_of_zone(zone)).remove(unit)
}
