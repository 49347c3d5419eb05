//! Client numbers as people read them.

/// The number in `C-0042`.
#[must_use]
pub fn parse_client_number(text: &str) -> Option<i64> {
    text.strip_prefix("C-")?.parse().ok().filter(|number| *number > 0)
}

/// `C-0042`.
#[must_use]
pub fn format_client_number(number: i64) -> String {
    format!("C-{number:04}")
}
