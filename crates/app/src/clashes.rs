//! Two bookings of one time: both are kept, and a person decides which holds it.

use caseload_domain::appointments::{self, AppointmentStatus, Placement, occupation};
use caseload_domain::{Document, EntityId, EntityKey};
use caseload_store::{Entity, ReadTx, WriteTx};
use serde_json::json;

use crate::app::{App, Core};
use crate::appointments::{key, move_in_tx, resources};
use crate::checks;
use crate::dto::{AppError, Clash, ClashChoice, ErrorCode, Resource, SettleClash};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::slots;
use crate::views::item::{item, zone_of};
use crate::views::office::Office;

impl App {
    /// The bookings that a person has still to settle.
    ///
    /// # Errors
    /// `locked`.
    pub fn clashes(&self) -> Result<Vec<Clash>, AppError> {
        answer("clashes", self.core.login().and_then(|login| open(&self.core, &login)))
    }

    /// Settles one: keeps a side, moves a side, keeps both with a reason, or places the second because its time has become free.
    ///
    /// # Errors
    /// `already_settled`, `slot_taken`, `reason_required`, `transition_refused`, `not_found`.
    pub fn settle_clash(&self, request: SettleClash) -> Result<Vec<Clash>, AppError> {
        let done = self.core.login().and_then(|login| {
            settle(&self.core, &login, &request)?;
            open(&self.core, &login)
        });
        answer("settle_clash", done)
    }
}

/// Both sides of a clash; none when one of them is not here.
struct Pair {
    clash: Entity,
    placed: Entity,
    contested: Entity,
}

impl Pair {
    fn of(read: &ReadTx<'_>, clash: Entity) -> Result<Option<Self>, Fault> {
        let side = |name: &str| -> Result<Option<Entity>, Fault> {
            let id = clash.doc.text("pair", name).and_then(|id| id.parse().ok());
            id.map_or(Ok(None), |id| Ok(read.get(&key(id))?))
        };
        let (placed, contested) = (side("placed")?, side("contested")?);
        Ok(placed.zip(contested).map(|(placed, contested)| Self {
            clash,
            placed,
            contested,
        }))
    }

    fn overlap(&self) -> bool {
        let both = occupation(&self.placed.doc).zip(occupation(&self.contested.doc));
        both.is_some_and(|(placed, contested)| placed.clash_with(&contested).is_some())
    }

    /// Whether a person still has to decide. What was decided here and has not reached the service yet is decided.
    fn is_open(&self) -> bool {
        let contested = &self.contested;
        let takes_time = !contested.deleted && occupation(&contested.doc).is_some();
        let decided_here = contested.pending && (!self.overlap() || contested.doc.unit("override").is_some());
        takes_time && appointments::placement(&contested.doc) == Placement::Contested && !decided_here
    }
}

pub(crate) fn open(core: &Core, login: &Login) -> Result<Vec<Clash>, Fault> {
    let published = login.published()?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let mut open = Vec::new();
        for clash in read.open_clashes()? {
            if let Some(pair) = Pair::of(read, clash)?.filter(Pair::is_open) {
                open.push(shown(read, &office, &pair, published)?);
            }
        }
        Ok(open)
    })
}

fn shown(read: &ReadTx<'_>, office: &Office, pair: &Pair, published: bool) -> Result<Clash, Fault> {
    let slots_a = match occupation(&pair.placed.doc) {
        Some(wanted) => slots::nearest(read, &wanted, zone_of(&pair.placed.doc, office), office.now)?,
        None => Vec::new(),
    };
    let free_now = match occupation(&pair.contested.doc) {
        Some(wanted) => {
            let others = read.overlapping(&wanted, Some(pair.contested.key.id))?;
            others
                .iter()
                .all(|other| appointments::placement(&other.doc) != Placement::Placed)
        }
        None => false,
    };
    Ok(Clash {
        id: pair.clash.key.id.to_string(),
        resources: shared_resources(&pair.clash.doc, &pair.placed.doc, &pair.contested.doc),
        a: item(read, office, &pair.placed, published)?,
        b: item(read, office, &pair.contested, published)?,
        free_now,
        slots_a,
        slots_b: slots::for_contested(read, &pair.contested, zone_of(&pair.contested.doc, office), office.now)?,
    })
}

/// What both take; when they do not overlap any more, what the clash was about.
fn shared_resources(clash: &Document, placed: &Document, contested: &Document) -> Vec<Resource> {
    let shared = appointments::occupation_if_active(placed)
        .map(|placed| resources(&placed, contested))
        .unwrap_or_default();
    if !shared.is_empty() {
        return shared;
    }
    match clash.text("pair", "kind") {
        Some("room") => vec![Resource::Room],
        Some("client") => vec![Resource::Client],
        _ => vec![Resource::Therapist],
    }
}

fn settle(core: &Core, login: &Login, request: &SettleClash) -> Result<(), Fault> {
    let id: EntityId = checks::id(&request.id)?;
    core.write_office(login, "clash.settle", |tx| {
        let clash = tx.get(&EntityKey::new("clash", id))?.ok_or(ErrorCode::NotFound)?;
        let pair = Pair::of(tx, clash)?.ok_or(ErrorCode::NotFound)?;
        if pair.clash.doc.text("state", "state") == Some("settled") || !pair.is_open() {
            return Err(ErrorCode::AlreadySettled.into());
        }
        let (a, b) = (pair.placed.key.clone(), pair.contested.key.clone());
        match &request.choice {
            ClashChoice::KeepA => cancel(tx, login, &pair.contested),
            ClashChoice::KeepB => {
                cancel(tx, login, &pair.placed)?;
                Ok(tx.place(&b)?)
            }
            ClashChoice::MoveA { date, start_time } => {
                move_in_tx(tx, core, a.id, date, start_time)?;
                Ok(tx.place(&b)?)
            }
            ClashChoice::MoveB { date, start_time } => move_in_tx(tx, core, b.id, date, start_time),
            ClashChoice::KeepBoth { reason } => {
                let reason = reason.trim();
                if reason.is_empty() {
                    return Err(Fault::field("choice.reason", crate::dto::FieldProblem::Required));
                }
                Ok(tx.override_booking(&b, reason)?)
            }
            ClashChoice::Place => {
                let wanted = occupation(&pair.contested.doc).ok_or(ErrorCode::TransitionRefused)?;
                let others = tx.overlapping(&wanted, Some(b.id))?;
                if others
                    .iter()
                    .any(|other| appointments::placement(&other.doc) == Placement::Placed)
                {
                    return Err(ErrorCode::SlotTaken.into());
                }
                Ok(tx.place(&b)?)
            }
        }
    })
}

/// The side that gives way is cancelled by the practice, so that it never carries a fee.
fn cancel(tx: &mut WriteTx<'_>, login: &Login, side: &Entity) -> Result<(), Fault> {
    let cancelled = AppointmentStatus::CancelledByTherapist;
    if !appointments::status(&side.doc).next().contains(&cancelled.as_str()) {
        return Err(ErrorCode::TransitionRefused.into());
    }
    let unit = json!({"state": cancelled.as_str(), "by": login.user, "at": tx.at(), "reason": "double booking"});
    Ok(tx.patch_unit(&side.key, "status", unit)?)
}
