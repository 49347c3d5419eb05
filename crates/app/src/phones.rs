//! Telephone numbers: kept as typed, and as E.164 so that two ways of writing one number are found as one.
//!
//! A modest rule of our own: it knows the calling code and the trunk prefix of the country that the practice's time zone lies in. A number that
//! it cannot read has no E.164 form and is still kept, shown and found by its digits.

use caseload_domain::search::digits;

/// How numbers are written within one country.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberingPlan {
    /// The country's calling code.
    calling: &'static str,
    /// Written before a number within the country and left out from abroad.
    trunk: &'static str,
    /// What is dialled before a calling code.
    abroad: &'static str,
}

const fn plan(calling: &'static str, trunk: &'static str, abroad: &'static str) -> NumberingPlan {
    NumberingPlan { calling, trunk, abroad }
}

/// North America, where one plan covers many zones.
const NORTH_AMERICA: NumberingPlan = plan("1", "1", "011");

/// Zones whose country has another plan than its neighbours. Zones of a country's islands and overseas cities are added when a practice needs them.
const BY_ZONE: &[(&str, NumberingPlan)] = &[
    ("Asia/Seoul", plan("82", "0", "00")),
    ("Asia/Tokyo", plan("81", "0", "010")),
    ("Asia/Shanghai", plan("86", "0", "00")),
    ("Asia/Taipei", plan("886", "0", "00")),
    ("Asia/Hong_Kong", plan("852", "", "001")),
    ("Asia/Singapore", plan("65", "", "001")),
    ("Asia/Kolkata", plan("91", "0", "00")),
    ("Australia/", plan("61", "0", "0011")),
    ("Pacific/Auckland", plan("64", "0", "00")),
    ("Europe/London", plan("44", "0", "00")),
    ("Europe/Dublin", plan("353", "0", "00")),
    ("Europe/Berlin", plan("49", "0", "00")),
    ("Europe/Vienna", plan("43", "0", "00")),
    ("Europe/Zurich", plan("41", "0", "00")),
    ("Europe/Paris", plan("33", "0", "00")),
    ("Europe/Brussels", plan("32", "0", "00")),
    ("Europe/Amsterdam", plan("31", "0", "00")),
    ("Europe/Madrid", plan("34", "", "00")),
    ("Europe/Lisbon", plan("351", "", "00")),
    ("Europe/Rome", plan("39", "", "00")),
    ("Europe/Copenhagen", plan("45", "", "00")),
    ("Europe/Oslo", plan("47", "", "00")),
    ("Europe/Stockholm", plan("46", "0", "00")),
    ("Europe/Helsinki", plan("358", "0", "00")),
    ("Europe/Warsaw", plan("48", "", "00")),
    ("Europe/Prague", plan("420", "", "00")),
    ("Africa/Johannesburg", plan("27", "0", "00")),
    ("America/Sao_Paulo", plan("55", "0", "00")),
    ("America/Mexico_City", plan("52", "", "00")),
    ("America/Argentina/", plan("54", "0", "00")),
    ("America/New_York", NORTH_AMERICA),
    ("America/Chicago", NORTH_AMERICA),
    ("America/Denver", NORTH_AMERICA),
    ("America/Phoenix", NORTH_AMERICA),
    ("America/Los_Angeles", NORTH_AMERICA),
    ("America/Anchorage", NORTH_AMERICA),
    ("America/Toronto", NORTH_AMERICA),
    ("America/Vancouver", NORTH_AMERICA),
    ("America/Edmonton", NORTH_AMERICA),
    ("America/Winnipeg", NORTH_AMERICA),
    ("America/Halifax", NORTH_AMERICA),
    ("Pacific/Honolulu", NORTH_AMERICA),
];

/// E.164 numbers have at most this many digits.
const LONGEST: usize = 15;
/// Shorter ones are extensions or short codes.
const SHORTEST: usize = 8;

/// The plan of the country that a zone lies in, if it is known.
pub(crate) fn plan_of_zone(zone: &str) -> Option<NumberingPlan> {
    let found = BY_ZONE
        .iter()
        .find(|(name, _)| zone == *name || (name.ends_with('/') && zone.starts_with(name)));
    found.map(|(_, plan)| *plan)
}

/// The E.164 form (`+821012345678`) of a number as it was typed, if it can be told.
pub(crate) fn e164(typed: &str, plan: Option<NumberingPlan>) -> Option<String> {
    // What follows is an extension, not a part of the number.
    let number = typed.split(['x', 'X', '#', ';']).next().unwrap_or_default();
    let only = digits(number);
    let international = if number.trim_start().starts_with('+') {
        only
    } else {
        within(&only, plan?)
    };
    (SHORTEST..=LONGEST)
        .contains(&international.len())
        .then(|| format!("+{international}"))
}

fn within(digits: &str, plan: NumberingPlan) -> String {
    if let Some(rest) = digits.strip_prefix(plan.abroad).filter(|rest| rest.len() >= SHORTEST) {
        return rest.to_owned();
    }
    let national = match digits.strip_prefix(plan.trunk) {
        // In North America the trunk prefix is the calling code itself, so only a number with all its digits has one.
        Some(rest) if plan.trunk != plan.calling || rest.len() == 10 => rest,
        _ => digits,
    };
    format!("{}{national}", plan.calling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_written_in_many_ways_has_one_form() {
        let cases = [
            ("Asia/Seoul", "010-1234-5678", Some("+821012345678")),
            ("Asia/Seoul", "+82 10 1234 5678", Some("+821012345678")),
            ("Asia/Seoul", "00 82 10-1234-5678", Some("+821012345678")),
            ("Asia/Seoul", "02) 312 4567", Some("+8223124567")),
            ("Europe/London", "020 7946 0018", Some("+442079460018")),
            ("Europe/Rome", "06 6982 1234", Some("+390669821234")),
            ("America/New_York", "(212) 555-0142", Some("+12125550142")),
            ("America/New_York", "1 212 555 0142 x7", Some("+12125550142")),
            ("America/New_York", "011 44 20 7946 0018", Some("+442079460018")),
            ("Australia/Sydney", "0412 345 678", Some("+61412345678")),
        ];
        for (zone, typed, expected) in cases {
            assert_eq!(e164(typed, plan_of_zone(zone)).as_deref(), expected, "{zone} {typed}");
        }
    }

    #[test]
    fn what_cannot_be_told_has_no_form() {
        for typed in ["", "112", "ask her sister", "123456789012345678"] {
            assert_eq!(e164(typed, plan_of_zone("Asia/Seoul")), None, "{typed}");
        }
        assert_eq!(
            e164("010-1234-5678", plan_of_zone("Antarctica/Troll")),
            None,
            "an unknown plan"
        );
        assert_eq!(
            e164("+49 30 901820", None).as_deref(),
            Some("+4930901820"),
            "a whole number needs no plan"
        );
    }
}
