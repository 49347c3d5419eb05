//! Instants, wall times and time zones.
//!
//! An instant is epoch milliseconds UTC. A wall time is what a clock in the practice shows; with its IANA zone it names an instant, except
//! twice a year: a time skipped by daylight saving moves to the first valid minute, and of a repeated one the earlier is taken. Both
//! are reported, so that a screen can say so.

use chrono::{DateTime, Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An instant: milliseconds since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// One minute.
    pub const MINUTE: i64 = 60_000;
    /// One hour.
    pub const HOUR: i64 = 60 * Self::MINUTE;
    /// One day of 24 hours.
    pub const DAY: i64 = 24 * Self::HOUR;

    /// The number of the UTC day that the instant lies in, counted from 1970-01-01.
    #[must_use]
    pub const fn utc_day(self) -> i64 {
        self.0.div_euclid(Self::DAY)
    }
}

/// Why a date, time or zone could not be used.
#[derive(Debug, Error, PartialEq, Eq, Clone, Copy)]
pub enum TimeError {
    /// The zone is not in the IANA database.
    #[error("the time zone is unknown")]
    UnknownZone,
    /// The date does not exist or is not written `YYYY-MM-DD`.
    #[error("the date does not exist")]
    NoSuchDate,
    /// The time does not exist or is not written `HH:MM`.
    #[error("the time does not exist")]
    NoSuchTime,
    /// The instant is outside the years that calendars cover.
    #[error("the instant is out of range")]
    OutOfRange,
}

/// How a wall time became an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// The wall time exists once.
    Exact,
    /// The wall time was skipped; the first valid minute after it was taken.
    Skipped,
    /// The wall time happens twice; the earlier was taken.
    Repeated,
}

/// Finds a zone by its IANA name.
///
/// # Errors
/// [`TimeError::UnknownZone`].
pub fn zone(name: &str) -> Result<Tz, TimeError> {
    name.parse().map_err(|_| TimeError::UnknownZone)
}

/// Reads `YYYY-MM-DD`.
///
/// # Errors
/// [`TimeError::NoSuchDate`].
pub fn date(text: &str) -> Result<NaiveDate, TimeError> {
    if text.len() != 10 {
        return Err(TimeError::NoSuchDate);
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| TimeError::NoSuchDate)
}

/// Reads `HH:MM` of a 24-hour clock.
///
/// # Errors
/// [`TimeError::NoSuchTime`].
pub fn time_of_day(text: &str) -> Result<NaiveTime, TimeError> {
    if text.len() != 5 {
        return Err(TimeError::NoSuchTime);
    }
    NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| TimeError::NoSuchTime)
}

/// The instant at which a clock in `zone` shows `date` and `time`, and how it was found.
///
/// # Errors
/// [`TimeError::OutOfRange`] when no valid minute follows within a day.
pub fn instant(date: NaiveDate, time: NaiveTime, zone: Tz) -> Result<(Millis, Resolution), TimeError> {
    let mut wall = NaiveDateTime::new(date, time);
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(found) => return Ok((Millis(found.timestamp_millis()), Resolution::Exact)),
        LocalResult::Ambiguous(earlier, _) => return Ok((Millis(earlier.timestamp_millis()), Resolution::Repeated)),
        LocalResult::None => {}
    }
    for _ in 0..(24 * 60) {
        wall += Duration::minutes(1);
        if let Some(found) = zone.from_local_datetime(&wall).earliest() {
            return Ok((Millis(found.timestamp_millis()), Resolution::Skipped));
        }
    }
    Err(TimeError::OutOfRange)
}

/// What a clock in `zone` shows at `at`.
///
/// # Errors
/// [`TimeError::OutOfRange`].
pub fn wall(at: Millis, zone: Tz) -> Result<NaiveDateTime, TimeError> {
    let utc: DateTime<Utc> = Utc.timestamp_millis_opt(at.0).single().ok_or(TimeError::OutOfRange)?;
    Ok(utc.with_timezone(&zone).naive_local())
}

/// The instants at which `date` begins and ends in `zone`: a day of 23, 24 or 25 hours.
///
/// # Errors
/// [`TimeError::OutOfRange`].
pub fn day_bounds(date: NaiveDate, zone: Tz) -> Result<(Millis, Millis), TimeError> {
    let next = date.succ_opt().ok_or(TimeError::OutOfRange)?;
    Ok((
        instant(date, NaiveTime::MIN, zone)?.0,
        instant(next, NaiveTime::MIN, zone)?.0,
    ))
}

/// Whole years from `birth` to `on`; `None` when `on` lies before `birth`. Someone born on 29 February has a birthday on 1 March in other years.
#[must_use]
pub fn age_in_years(birth: NaiveDate, on: NaiveDate) -> Option<u32> {
    let before_birthday = (on.month(), on.day()) < (birth.month(), birth.day());
    u32::try_from(on.year() - birth.year() - i32::from(before_birthday)).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn at(day: &str, time: &str, name: &str) -> (Millis, Resolution) {
        instant(date(day).unwrap(), time_of_day(time).unwrap(), zone(name).unwrap()).unwrap()
    }

    #[test]
    fn a_wall_time_skipped_by_daylight_saving_moves_to_the_first_valid_minute() {
        assert_eq!(
            at("2026-03-29", "02:30", "Europe/Berlin"),
            (at("2026-03-29", "03:00", "Europe/Berlin").0, Resolution::Skipped)
        );
    }

    #[test]
    fn of_a_repeated_wall_time_the_earlier_is_taken() {
        let (first, how) = at("2026-10-25", "02:30", "Europe/Berlin");
        assert_eq!(how, Resolution::Repeated);
        assert_eq!(
            first,
            Millis(at("2026-10-25", "03:00", "Europe/Berlin").0.0 - 90 * Millis::MINUTE)
        );
    }

    #[test]
    fn a_day_has_23_24_or_25_hours() {
        for (day, hours) in [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)] {
            let (start, end) = day_bounds(date(day).unwrap(), zone("Europe/Berlin").unwrap()).unwrap();
            assert_eq!(end.0 - start.0, hours * Millis::HOUR, "{day}");
        }
    }

    #[test]
    fn dates_times_and_zones_that_do_not_exist_are_refused() {
        assert_eq!(date("2026-02-29"), Err(TimeError::NoSuchDate));
        assert_eq!(date("26-02-01"), Err(TimeError::NoSuchDate));
        assert_eq!(time_of_day("24:00"), Err(TimeError::NoSuchTime));
        assert_eq!(zone("Mars/Olympus"), Err(TimeError::UnknownZone));
    }

    #[test]
    fn age_counts_completed_years() {
        let birth = date("2008-02-29").unwrap();
        assert_eq!(age_in_years(birth, date("2026-02-28").unwrap()), Some(17));
        assert_eq!(age_in_years(birth, date("2026-03-01").unwrap()), Some(18));
        assert_eq!(age_in_years(birth, date("2007-01-01").unwrap()), None);
    }
}
