//! The day's sessions, the next one, and what waits for a person.

use caseload_domain::appointments::AppointmentStatus;
use caseload_domain::entities::state;
use caseload_domain::time::{self, Millis};
use caseload_domain::{ClientId, EntityId, UserId};
use caseload_store::{Entity, ReadTx};
use std::collections::BTreeSet;

use crate::app::{App, Core};
use crate::checks::Checks;
use crate::dto::{
    AppError, Attention, AttentionKind, CalendarItem, FieldProblem, NoteState, SessionNote, Today, TodayRequest,
};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::notes::note_state;
use crate::views::header::display_name;
use crate::views::item::{bounds, client_ids, item, items};
use crate::views::office::{Office, client};
use crate::{clashes, conflicts, reoffers};

/// How far back a session without a note is still asked about.
const MISSING_NOTE_DAYS: i64 = 30;

impl App {
    /// One day: a therapist's own sessions, everyone's for the desk.
    ///
    /// # Errors
    /// `invalid_fields`.
    pub fn today(&self, request: TodayRequest) -> Result<Today, AppError> {
        answer(
            "today",
            self.core.login().and_then(|login| today(&self.core, &login, &request)),
        )
    }
}

fn today(core: &Core, login: &Login, request: &TodayRequest) -> Result<Today, Fault> {
    let mut check = Checks::default();
    let asked = request.date.as_deref().and_then(|date| check.date("date", date));
    check.done()?;
    let published = login.published()?;
    let own = login.role.is_clinical().then_some(login.user);
    let mut day = login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let date = asked.unwrap_or_else(|| office.today());
        let (start, end) =
            time::day_bounds(date, office.zone).map_err(|_| Fault::field("date", FieldProblem::OutOfRange))?;
        let found = read.appointments_between(start, end, own)?;
        let next = read.next_appointment(end, own)?;
        Ok::<_, Fault>(Today {
            date: date.to_string(),
            now_minute: (date == office.today()).then(|| office.now_minute()),
            items: items(read, &office, &found, published)?,
            next: next.map(|next| item(read, &office, &next, published)).transpose()?,
            notes: Vec::new(),
            attention: Vec::new(),
        })
    })?;
    day.notes = own_notes(login, &day.items)?;
    day.attention = attention(core, login)?;
    Ok(day)
}

fn attention(core: &Core, login: &Login) -> Result<Vec<Attention>, Fault> {
    let mut all = Vec::new();
    for conflict in conflicts::open(core, login)? {
        all.push(Attention {
            kind: AttentionKind::Conflict,
            id: conflict.id,
            client_name: conflict.client_id.is_some().then_some(conflict.title),
            client_id: conflict.client_id,
            date: None,
        });
    }
    for clash in clashes::open(core, login)? {
        let who = clash.b.participants.first();
        all.push(Attention {
            kind: AttentionKind::Clash,
            id: clash.id,
            client_id: who.map(|who| who.client_id.clone()),
            client_name: who.map(|who| who.name.clone()),
            date: Some(clash.b.date),
        });
    }
    if reoffers::count(login)? > 0 {
        all.push(Attention {
            kind: AttentionKind::OfferedBack,
            id: String::new(),
            client_id: None,
            client_name: None,
            date: None,
        });
    }
    for change in crate::sharing::refused(login)? {
        all.push(Attention {
            kind: AttentionKind::RefusedChange,
            id: change.id,
            client_id: None,
            client_name: change.title,
            date: None,
        });
    }
    let drafts = unsigned(login)?;
    let noted = noted_appointments(login)?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        for (note, client) in drafts {
            all.push(about_client(
                read,
                AttentionKind::UnsignedNote,
                note.to_string(),
                client,
                None,
            )?);
        }
        if login.role.is_clinical() {
            for (appointment, client, date) in missing_notes(read, &office, login.user, &noted)? {
                all.push(about_client(
                    read,
                    AttentionKind::MissingNote,
                    appointment,
                    client,
                    Some(date),
                )?);
            }
        }
        if login.admin || !login.role.is_clinical() {
            for entity in read.clients_without_care()? {
                let client = ClientId::new(entity.key.id.uuid());
                all.push(about_client(
                    read,
                    AttentionKind::NeedsTherapist,
                    client.to_string(),
                    client,
                    None,
                )?);
            }
        }
        Ok::<_, Fault>(())
    })?;
    Ok(all)
}

/// Drafts of the clinician signed in. Which clients have one is clinical, and stays in the clinical file until it is shown to her alone.
fn unsigned(login: &Login) -> Result<Vec<(EntityId, ClientId)>, Fault> {
    let Ok(clinical) = login.clinical() else {
        return Ok(Vec::new());
    };
    let drafts = clinical.read(|read| read.unsigned_notes(login.user))?;
    Ok(drafts
        .iter()
        .filter_map(|note| Some((note.key.id, note.doc.text("subject", "client")?.parse().ok()?)))
        .collect())
}

/// Which of these sessions the clinician signed in has a note for: whether one is started, continued or opened depends on it.
fn own_notes(login: &Login, items: &[CalendarItem]) -> Result<Vec<SessionNote>, Fault> {
    let Ok(clinical) = login.clinical() else {
        return Ok(Vec::new());
    };
    let shown: BTreeSet<&str> = items.iter().map(|item| item.id.as_str()).collect();
    let notes = clinical.read(|read| read.notes_by_author(login.user))?;
    let of_a_session = |note: &Entity| {
        let appointment = note.doc.text("subject", "appointment")?;
        Some(SessionNote {
            id: note.key.id.to_string(),
            appointment_id: shown.get(appointment).map(|id| (*id).to_owned())?,
            state: note_state(state(&note.doc, "state")),
        })
    };
    Ok(notes
        .iter()
        .filter_map(of_a_session)
        .filter(|note| note.state != NoteState::EnteredInError)
        .collect())
}

fn noted_appointments(login: &Login) -> Result<BTreeSet<String>, Fault> {
    let Ok(clinical) = login.clinical() else {
        return Ok(BTreeSet::new());
    };
    let notes = clinical.read(|read| read.notes_by_author(login.user))?;
    Ok(notes
        .iter()
        .filter_map(|note| note.doc.text("subject", "appointment").map(str::to_owned))
        .collect())
}

/// Past sessions of a therapist that took place and have no note, neither signed nor drafted.
fn missing_notes(
    read: &ReadTx<'_>,
    office: &Office,
    therapist: UserId,
    noted: &BTreeSet<String>,
) -> Result<Vec<(String, ClientId, String)>, Fault> {
    use AppointmentStatus::{Arrived, Completed, Confirmed, InSession, Scheduled};
    let since = Millis(office.now.0 - MISSING_NOTE_DAYS * Millis::DAY);
    let past = read.appointments_between(since, office.now, Some(therapist))?;
    let took_place = |entity: &&Entity| {
        let status = caseload_domain::appointments::status(&entity.doc);
        bounds(&entity.doc).1 <= office.now
            && matches!(status, Scheduled | Confirmed | Arrived | InSession | Completed)
            && entity.doc.unit("documented").is_none()
            && !noted.contains(&entity.key.id.to_string())
    };
    Ok(past
        .iter()
        .filter(took_place)
        .filter_map(|entity| {
            let client = client_ids(&entity.doc).into_iter().next()?;
            Some((entity.key.id.to_string(), client, office.date_of(bounds(&entity.doc).0)))
        })
        .collect())
}

fn about_client(
    read: &ReadTx<'_>,
    kind: AttentionKind,
    id: String,
    who: ClientId,
    date: Option<String>,
) -> Result<Attention, Fault> {
    let name = client(read, who)?.map(|entity| display_name(&entity.doc));
    Ok(Attention {
        kind,
        id,
        client_id: Some(who.to_string()),
        client_name: name,
        date,
    })
}
