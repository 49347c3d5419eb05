//! What a printed day list shows, read back from its PDF.

use crate::samples;
use crate::support::{assert_shows, flowing_text_of, text_of};
use caseload_documents::{DaySheet, day_sheet_pdf};

fn printed(sheet: &DaySheet) -> String {
    flowing_text_of(&day_sheet_pdf(sheet).expect("the sheet can be printed"))
}

#[test]
fn the_office_list_names_the_therapist_of_each_appointment() {
    let text = printed(&samples::office_day());
    assert_shows(
        &text,
        &[
            "Day sheet",
            "Monday, 4 May 2026",
            "Whole office",
            "4 appointments",
            "All times: Asia/Seoul (UTC+9)",
            "Time Client Therapist Status Room Mode",
            "09:00–09:50 Hana Kim Minji Park Confirmed Room 2 In person",
            "Cancelled",
            "Tomás Ibáñez",
            "Printed 4 May 2026, 07:55",
        ],
    );
}

#[test]
fn a_therapists_own_list_has_no_therapist_column() {
    let text = printed(&samples::korean_therapist_day());
    assert_shows(
        &text,
        &[
            "일정표",
            "예약 2건",
            "시간 내담자 상태 상담실 방식",
            "09:00–09:50 ㄱㅎㄴ 확정 2호실 대면",
        ],
    );
    assert!(!text.contains("상담사"), "an empty column would only take room: {text}");
}

#[test]
fn a_free_day_says_so() {
    let mut sheet = samples::office_day();
    sheet.rows.clear();
    assert_shows(&printed(&sheet), &["No appointments on this day."]);
}

#[test]
fn a_full_day_repeats_its_column_heads_on_the_next_page() {
    let mut sheet = samples::office_day();
    sheet.rows = sheet.rows.iter().cycle().take(60).cloned().collect();
    let text = text_of(&day_sheet_pdf(&sheet).expect("the sheet can be printed"));
    let pages: Vec<_> = text.split_terminator('\u{c}').collect();
    assert!(pages.len() >= 2);
    for page in &pages {
        assert_shows(page, &["Therapist", "Whole office · Monday, 4 May 2026"]);
    }
    assert_eq!(text.matches("Hana Kim").count(), 15, "no row is lost at a page's end");
}

#[test]
fn row_text_is_printed_and_never_read_as_markup() {
    let hostile = r##"#x $y$ *z* \ [w] 한글"##;
    let mut sheet = samples::office_day();
    sheet.owner = hostile.into();
    sheet.rows[0].client = hostile.into();
    let text = printed(&sheet);
    assert!(
        text.matches("$y$").count() >= 3,
        "head, foot and row show the text: {text}"
    );
    assert_shows(&text, &[hostile]);
}

#[test]
fn the_same_list_gives_the_same_bytes() {
    let print = || day_sheet_pdf(&samples::office_day()).expect("the sheet can be printed");
    assert!(print() == print());
}
