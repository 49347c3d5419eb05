//! Makes every string of a sheet drawable by the embedded fonts without losing any of it.
//!
//! A PDF silently shows an empty box for a character its font lacks. On a prescription that would be a name nobody can
//! read, so such a character is written out as its code point instead.

use serde_json::Value;
use typst::text::Font;
use unicode_normalization::UnicodeNormalization;

/// Rewrites all strings inside `value` (not the keys) to what `fonts` can draw.
pub(crate) fn make_printable(value: &mut Value, fonts: &[Font]) {
    let drawable = |c: char| fonts.iter().all(|font| font.info().coverage.contains(u32::from(c)));
    rewrite_strings(value, &drawable);
}

fn rewrite_strings(value: &mut Value, drawable: &impl Fn(char) -> bool) {
    match value {
        Value::String(text) => *text = printable(text, drawable),
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite_strings(item, drawable)),
        Value::Object(fields) => fields.values_mut().for_each(|field| rewrite_strings(field, drawable)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn printable(text: &str, drawable: &impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").nfc() {
        match c {
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push('\n'),
            '\t' => out.push_str("    "),
            _ if is_blank(c) => out.push(' '),
            _ if is_invisible(c) => {}
            _ if drawable(c) && !is_deceptive(c) => out.push(c),
            _ => out.push_str(&format!("[U+{:04X}]", u32::from(c))),
        }
    }
    out
}

/// Spaces of unusual widths, which the fonts need not have.
fn is_blank(c: char) -> bool {
    c == ' ' || (c.is_whitespace() && !c.is_control())
}

/// Joiners, variation selectors and marks that draw nothing by themselves.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Control characters, and marks that reorder the text around them so that the page would not read as it was written.
fn is_deceptive(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A font that draws ASCII and precomposed Hangul.
    fn drawable(c: char) -> bool {
        matches!(c, ' '..='~' | '가'..='힣') || c.is_control() || is_deceptive(c)
    }

    #[test]
    fn what_the_font_cannot_draw_is_written_as_its_code_point() {
        let cases = [
            ("Kim", "Kim", "plain text stays"),
            ("김漢", "김[U+6F22]", "an ideograph the font lacks"),
            ("\u{1100}\u{1161}", "가", "decomposed Hangul is composed"),
            (
                "ok 👍\u{fe0f}",
                "ok [U+1F44D]",
                "an emoji, its variation selector dropped",
            ),
            ("a\u{202e}b", "a[U+202E]b", "reordering marks are shown, not obeyed"),
            ("a\u{0}b", "a[U+0000]b", "control characters are shown"),
            ("a\r\nb\u{2028}c\rd", "a\nb\nc\nd", "every line break is one line break"),
            ("a\tb\u{a0}c\u{3000}d", "a    b c d", "blanks become spaces"),
        ];
        for (text, expected, why) in cases {
            assert_eq!(printable(text, &drawable), expected, "{why}");
        }
    }

    #[test]
    fn keys_and_numbers_are_left_alone() {
        let mut value = serde_json::json!({"漢": ["漢", 1, null, true]});
        rewrite_strings(&mut value, &drawable);
        assert_eq!(value, serde_json::json!({"漢": ["[U+6F22]", 1, null, true]}));
    }
}
