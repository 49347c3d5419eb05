//! The calendar: one column per therapist over a range of days.

use caseload_domain::time::{self, Millis};
use chrono::NaiveDate;

use crate::app::{App, Core};
use crate::checks::Checks;
use crate::dto::{AppError, Calendar, CalendarColumn, CalendarRequest, FieldProblem};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::views::item::{items, zone_of};
use crate::views::office::{Office, wall_in};

/// Six weeks: what a month shows at most.
const MOST_DAYS: u32 = 42;

impl App {
    /// Everything of the therapists in the range, cancelled appointments included.
    ///
    /// # Errors
    /// `invalid_fields`.
    pub fn calendar(&self, request: CalendarRequest) -> Result<Calendar, AppError> {
        answer(
            "calendar",
            self.core
                .login()
                .and_then(|login| calendar(&self.core, &login, &request)),
        )
    }
}

fn calendar(core: &Core, login: &Login, request: &CalendarRequest) -> Result<Calendar, Fault> {
    let mut check = Checks::default();
    let from = check.date("from", &request.from);
    if !(1..=MOST_DAYS).contains(&request.days) {
        check.problem("days", FieldProblem::OutOfRange);
    }
    check.done()?;
    let from = from.unwrap_or_default();
    let dates: Vec<NaiveDate> = from.iter_days().take(request.days as usize).collect();
    let published = login.published()?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let (start, end) = range(&dates, &office)?;
        let inside = |at: Millis, zone| dates.contains(&wall_in(at, zone).date());
        let mut columns = Vec::new();
        for person in office.staff.iter().filter(|person| person.treats) {
            let wanted = request.therapist_ids.is_empty() || request.therapist_ids.contains(&person.id);
            let Some(therapist) = person.id.parse().ok().filter(|_| wanted) else {
                continue;
            };
            let mut found = read.appointments_between(start, end, Some(therapist))?;
            found.retain(|entity| inside(crate::views::item::bounds(&entity.doc).0, zone_of(&entity.doc, &office)));
            if found.is_empty() && !person.active {
                continue;
            }
            columns.push(CalendarColumn {
                therapist_id: person.id.clone(),
                name: person.name.clone(),
                colour: person.colour,
                items: items(read, &office, &found, published)?,
            });
        }
        Ok(Calendar {
            from: request.from.clone(),
            dates: dates.iter().map(NaiveDate::to_string).collect(),
            today: office.today().to_string(),
            now_minute: office.now_minute(),
            zone: office.zone_name.clone(),
            columns,
        })
    })
}

/// The instants of the range in any zone: a day more at both ends, because locations may lie in other zones than the practice.
fn range(dates: &[NaiveDate], office: &Office) -> Result<(Millis, Millis), Fault> {
    let out_of_range = |_| Fault::field("from", FieldProblem::OutOfRange);
    let bounds = |date: Option<&NaiveDate>| {
        time::day_bounds(*date.unwrap_or(&NaiveDate::MIN), office.zone).map_err(out_of_range)
    };
    let (start, _) = bounds(dates.first())?;
    let (_, end) = bounds(dates.last())?;
    Ok((Millis(start.0 - Millis::DAY), Millis(end.0 + Millis::DAY)))
}
