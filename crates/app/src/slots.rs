//! Free times near a wanted one: what is offered when a time is taken.

use caseload_domain::Document;
use caseload_domain::appointments::{Interval, Occupation, occupation};
use caseload_domain::time::{self, Millis};
use caseload_store::{Entity, ReadTx};
use chrono::{Days, NaiveTime};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::dto::Slot;
use crate::fault::Fault;
use crate::views::office::wall_in;

/// Days before and after the wanted one that are looked at.
const REACH: u64 = 7;
/// Candidates start this far apart, in minutes.
const STEP: i64 = 15;
/// Where a location has not said otherwise, nothing is offered outside these hours.
const OPENS: NaiveTime = NaiveTime::from_hms_opt(8, 0, 0).expect("a time");
const CLOSES: NaiveTime = NaiveTime::from_hms_opt(20, 0, 0).expect("a time");
/// How many are offered.
const OFFERED: usize = 4;

/// The free times nearest to `wanted`, of its length and for all that it takes, by start. Nothing before `now` is offered for a time to come.
pub(crate) fn nearest(read: &ReadTx<'_>, wanted: &Occupation, zone: Tz, now: Millis) -> Result<Vec<Slot>, Fault> {
    let length = wanted.interval.end.0 - wanted.interval.start.0;
    let taken = taken_around(read, wanted)?;
    let earliest = if wanted.interval.start >= now {
        now
    } else {
        Millis(i64::MIN)
    };
    let mut free: Vec<(i64, Interval)> = candidates(wanted, zone, length)
        .into_iter()
        .filter(|interval| interval.start >= earliest && taken.iter().all(|other| !other.overlaps(*interval)))
        .map(|interval| ((interval.start.0 - wanted.interval.start.0).abs(), interval))
        .collect();
    free.sort_by_key(|(distance, interval)| (*distance, interval.start));
    free.truncate(OFFERED);
    free.sort_by_key(|(_, interval)| interval.start);
    Ok(free.into_iter().map(|(_, interval)| slot(interval, zone)).collect())
}

/// As [`nearest`], led by the time from which the booking was moved into its clash if nobody else has taken that: going back is one step.
pub(crate) fn for_contested(read: &ReadTx<'_>, booking: &Entity, zone: Tz, now: Millis) -> Result<Vec<Slot>, Fault> {
    let Some(wanted) = occupation(&booking.doc) else {
        return Ok(Vec::new());
    };
    let mut offered = nearest(read, &wanted, zone, now)?;
    let former = former(&booking.doc).filter(|former| former.interval.start >= now);
    if let Some(former) = former
        && read.overlapping(&former, Some(booking.key.id))?.is_empty()
    {
        let former = slot(former.interval, zone);
        offered.retain(|slot| *slot != former);
        offered.insert(0, former);
        offered.truncate(OFFERED);
    }
    Ok(offered)
}

/// What a booking took before it was moved into a clash, where only the time was changed.
fn former(booking: &Document) -> Option<Occupation> {
    let now = booking.unit("when")?.as_object()?;
    let then = booking.unit("placement")?.get("prev_when")?.as_object()?.clone();
    let length = |when: &Map<String, Value>| Some(when.get("end")?.as_i64()? - when.get("start")?.as_i64()?);
    let same_length = length(now) == length(&then);
    let same_place = now
        .iter()
        .filter(|(member, _)| !matches!(member.as_str(), "start" | "end" | "wall"))
        .all(|(member, value)| then.get(member) == Some(value));
    if !same_length || !same_place || now.len() != then.len() {
        return None;
    }
    let mut booking = booking.clone();
    booking.set("when", Value::Object(then));
    occupation(&booking)
}

/// What therapist, room and clients are busy with.
fn taken_around(read: &ReadTx<'_>, wanted: &Occupation) -> Result<Vec<Interval>, Fault> {
    let reach = i64::try_from(REACH + 2).unwrap_or_default() * Millis::DAY;
    let start = Millis(wanted.interval.start.0 - reach);
    let end = Millis(wanted.interval.end.0 + reach);
    let around = read.appointments_between(start, end, None)?;
    Ok(around
        .iter()
        .filter_map(|entity| occupation(&entity.doc))
        .filter(|other| {
            wanted
                .resources
                .iter()
                .any(|resource| other.resources.contains(resource))
        })
        .map(|other| other.interval)
        .collect())
}

fn candidates(wanted: &Occupation, zone: Tz, length: i64) -> Vec<Interval> {
    let day = wall_in(wanted.interval.start, zone).date();
    let first = day.checked_sub_days(Days::new(REACH)).unwrap_or(day);
    let mut found = Vec::new();
    for date in first
        .iter_days()
        .take(usize::try_from(2 * REACH + 1).unwrap_or_default())
    {
        let bounds = (time::instant(date, OPENS, zone), time::instant(date, CLOSES, zone));
        let (Ok((opens, _)), Ok((closes, _))) = bounds else {
            continue;
        };
        let mut start = opens.0;
        while start + length <= closes.0 {
            found.push(Interval {
                start: Millis(start),
                end: Millis(start + length),
            });
            start += STEP * Millis::MINUTE;
        }
    }
    found
}

fn slot(interval: Interval, zone: Tz) -> Slot {
    let start = wall_in(interval.start, zone);
    Slot {
        date: start.date().to_string(),
        start_time: start.format("%H:%M").to_string(),
        end_time: wall_in(interval.end, zone).format("%H:%M").to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn candidates_keep_to_the_opening_hours_and_to_the_wall_clock_across_daylight_saving() {
        let zone = time::zone("Europe/Berlin").unwrap();
        let start = time::instant(time::date("2026-03-28").unwrap(), OPENS, zone).unwrap().0;
        let hour = Occupation {
            interval: Interval {
                start,
                end: Millis(start.0 + Millis::HOUR),
            },
            resources: Vec::new(),
        };
        let found = candidates(&hour, zone, Millis::HOUR);
        let per_day = 11 * 4 + 1;
        assert_eq!(found.len(), 15 * per_day);
        for interval in found {
            let slot = slot(interval, zone);
            assert!(
                slot.start_time.as_str() >= "08:00" && slot.end_time.as_str() <= "20:00",
                "{slot:?}"
            );
        }
    }
}
