//! What the paper with a recovery code shows, read back from its PDF.

use crate::samples;
use crate::support::{assert_shows, flowing_text_of, fonts_of, pages_of};
use caseload_documents::{RecoverySheet, recovery_pdf};

fn printed(sheet: &RecoverySheet) -> String {
    let pdf = recovery_pdf(sheet).expect("the sheet can be printed");
    assert_eq!(pages_of(&pdf), 1, "one sheet for the safe");
    assert!(fonts_of(&pdf).contains("Pretendard"), "the font travels with the page");
    flowing_text_of(&pdf)
}

#[test]
fn the_paper_shows_every_group_with_its_number_whose_it_is_and_how_to_keep_it() {
    let sheet = samples::recovery_sheet();
    let text = printed(&sheet);
    for (number, group) in (1..).zip(&sheet.groups) {
        assert_shows(&text, &[&format!("{number} {group}")]);
    }
    assert_shows(
        &text,
        &[
            "Recovery code",
            "Dr. Minji Park",
            "Made 4 May 2026",
            "when the passphrase is forgotten",
            "Never photograph, scan or send it.",
        ],
    );
}

#[test]
fn the_paper_speaks_korean() {
    let text = printed(&samples::korean_recovery_sheet());
    assert_shows(
        &text,
        &["복구 코드", "박민지", "2026년 5월 4일", "암호문을 잊었을 때", "9 BXZ9"],
    );
}

#[test]
fn a_long_name_keeps_the_code_on_one_page() {
    let mut sheet = samples::recovery_sheet();
    sheet.person = "A name that goes on ".repeat(15);
    printed(&sheet);
}
