//! What a printed session note shows, read back from its PDF.

use crate::samples;
use crate::support::{assert_shows, flowing_text_of, pages_of, text_of};
use caseload_documents::{NoteSheet, note_pdf};

fn printed(sheet: &NoteSheet) -> String {
    flowing_text_of(&note_pdf(sheet).expect("the sheet can be printed"))
}

#[test]
fn a_signed_note_shows_its_text_its_session_and_its_signature() {
    let text = printed(&samples::note());
    assert_shows(
        &text,
        &[
            "Session note",
            "Confidential",
            "Hana Kim",
            "4 May 2026, 10:00–10:50",
            "Asia/Seoul (UTC+9)",
            "Individual session · In person",
            "Data",
            "Mood steady, speech unhurried.",
            "Assessment",
            "Plan",
            "Signed by Minji Park, MD · Psychiatrist · KR-48213",
            "Signed at 4 May 2026, 11:05 (UTC+9)",
            "Device Consulting room laptop",
            "Content hash 3f9a c27b 10de",
            "Verification Ed25519, key 7c1d 90aa, valid",
        ],
    );
    for mark in ["DRAFT", "ENTERED IN ERROR"] {
        assert!(!text.contains(mark), "a signed note carries no mark, but shows {mark}");
    }
}

#[test]
fn addenda_follow_the_note_in_order_with_their_own_signatures() {
    let mut sheet = samples::note();
    let mut second = sheet.addenda[0].clone();
    second.text = "Seen and agreed.".into();
    second.signature.short_hash = "aaaa bbbb cccc".into();
    sheet.addenda.push(second);
    let text = printed(&sheet);
    let places: Vec<_> = [
        "3f9a c27b 10de",
        "Addendum 1",
        "was 12, not 13.",
        "b810 44fe 2c09",
        "Addendum 2",
        "Seen and agreed.",
        "aaaa bbbb cccc",
    ]
    .iter()
    .map(|part| {
        text.find(part)
            .unwrap_or_else(|| panic!("{part:?} is missing from: {text}"))
    })
    .collect();
    assert!(places.is_sorted(), "each addendum follows what it adds to: {text}");
}

#[test]
fn an_unsigned_note_is_marked_as_a_draft() {
    let mut sheet = samples::note();
    sheet.signature = None;
    let text = printed(&sheet);
    assert_shows(&text, &["DRAFT", "Not signed."]);
    assert!(!text.contains("3f9a"), "nothing of a signature is shown");
}

#[test]
fn a_note_entered_in_error_keeps_its_text_and_says_who_marked_it_and_why() {
    let text = printed(&samples::korean_note_in_error());
    assert_shows(
        &text,
        &[
            "상담 기록",
            "오류 입력",
            "2026년 5월 6일 09:12, 박민지",
            "다른 내담자의 기록에 작성함",
            "여섯 시간 정도 잔다고 함",
        ],
    );
    assert!(
        text.matches("오류 입력").count() >= 2,
        "in the text and across the page: {text}"
    );
}

#[test]
fn note_text_is_printed_and_never_read_as_markup() {
    let hostile = r##"#include "common.typ" $a$ *b* _c_ \ #"##;
    let mut sheet = samples::note();
    sheet.sections[0].heading = hostile.into();
    sheet.sections[0].text = format!("{hostile}\n\n= 제목 아님\n{hostile}");
    sheet.addenda[0].text = hostile.into();
    sheet.session.time = hostile.into();
    let text = printed(&sheet);
    assert!(
        text.matches(hostile).count() >= 5,
        "every field shows the text letter for letter: {text}"
    );
    assert_shows(&text, &["= 제목 아님"]);
}

#[test]
fn a_long_note_goes_on_over_pages_without_losing_a_line() {
    let mut sheet = samples::note();
    sheet.sections[0].text = (1..=200).map(|n| format!("Line {n} of what was said.\n")).collect();
    let pdf = note_pdf(&sheet).expect("the sheet can be printed");
    let text = text_of(&pdf);
    assert!(pages_of(&pdf) >= 3);
    for n in 1..=200 {
        assert_shows(&text, &[&format!("Line {n} of what was said.")]);
    }
    assert_eq!(
        text.matches("Confidential · Hana Kim").count(),
        pages_of(&pdf),
        "every page says whose it is"
    );
}

#[test]
fn the_same_note_gives_the_same_bytes() {
    let print = || note_pdf(&samples::note()).expect("the sheet can be printed");
    assert!(print() == print());
}
