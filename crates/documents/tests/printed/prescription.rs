//! What a printed prescription shows, read back from its PDF.

use crate::samples;
use crate::support::{assert_shows, flowing_text_of, fonts_of, pages_of, text_of};
use caseload_documents::{
    Allergies, Language, PrescriptionLine, PrescriptionSheet, PrescriptionState, prescription_pdf,
};

fn printed(sheet: &PrescriptionSheet) -> String {
    flowing_text_of(&prescription_pdf(sheet).expect("the sheet can be printed"))
}

#[test]
fn every_field_of_an_issued_prescription_can_be_read() {
    let text = printed(&samples::prescription());
    assert_shows(
        &text,
        &[
            "Riverside Counselling",
            "12 Mapo-daero, 3rd floor",
            "Mapo-gu, Seoul 04175",
            "Tel. 02-555-0142",
            "Prescription",
            "No. RX-2-17",
            "Issued 4 May 2026",
            "Hana Kim",
            "Born 2 April 1986",
            "Client no. C-0204",
            "Minji Park, MD",
            "Psychiatrist",
            "Licence KR-48213",
            "Allergies Penicillin, latex",
            "F41.1 Generalised anxiety disorder",
            "Sertraline 50 mg · tablet",
            "1 tablet",
            "by mouth",
            "30 days",
            "30 tablets",
            "Refills",
            "Propranolol",
            "2 items. End of list.",
            "Next review on 1 June.",
            "Prescriber's signature",
        ],
    );
    for mark in ["DRAFT", "VOID", "STOPPED", "REPLACED", "EXPIRED", "Copy"] {
        assert!(
            !text.contains(mark),
            "an issued first print carries no mark, but shows {mark}"
        );
    }
}

#[test]
fn labels_and_text_print_in_korean() {
    let pdf = prescription_pdf(&samples::korean_prescription()).expect("the sheet can be printed");
    let text = flowing_text_of(&pdf);
    assert_shows(
        &text,
        &[
            "처방전",
            "강변 마음상담센터",
            "환자",
            "김하나",
            "알레르기 페니실린",
            "설트랄린",
            "1일 1회",
            "총 1개 품목. 이하 여백.",
        ],
    );
    assert!(
        !text.contains("Allergies"),
        "no English label is left in a Korean prescription"
    );
    let fonts = fonts_of(&pdf);
    let fonts: Vec<_> = fonts.lines().skip(2).collect();
    assert_eq!(fonts.len(), 2, "two weights are embedded: {fonts:?}");
    assert!(
        fonts.iter().all(|font| font.contains("Pretendard")),
        "only our own font is used: {fonts:?}"
    );
}

#[test]
fn a_void_prescription_says_so_with_its_reason() {
    let mut sheet = samples::prescription();
    sheet.state = PrescriptionState::Void {
        on: "6 May 2026".into(),
        reason: "Wrong strength".into(),
    };
    let text = printed(&sheet);
    assert_shows(&text, &["VOID", "Voided on 6 May 2026.", "Reason Wrong strength"]);
    assert_eq!(
        text.matches("VOID").count(),
        2,
        "once in the text and once across the page"
    );
    assert!(
        !text.contains("Prescriber's signature"),
        "nobody is invited to sign a void prescription"
    );
}

#[test]
fn each_state_but_issued_is_marked_in_both_languages() {
    let on = || "6 May 2026".to_owned();
    let cases = [
        (PrescriptionState::Draft, "DRAFT", "초안"),
        (
            PrescriptionState::Stopped {
                on: on(),
                reason: "Side effects".into(),
            },
            "STOPPED",
            "중지",
        ),
        (
            PrescriptionState::Void {
                on: on(),
                reason: "Wrong strength".into(),
            },
            "VOID",
            "무효",
        ),
        (
            PrescriptionState::Replaced { by: "RX-2-18".into() },
            "REPLACED",
            "대체됨",
        ),
        (PrescriptionState::Expired { on: on() }, "EXPIRED", "만료"),
    ];
    for (state, english, korean) in cases {
        for (language, mark) in [(Language::En, english), (Language::Ko, korean)] {
            let text = printed(&PrescriptionSheet {
                language,
                state: state.clone(),
                ..samples::prescription()
            });
            assert!(
                text.matches(mark).count() >= 2,
                "{mark} is printed in the text and across the page: {text}"
            );
        }
    }
}

#[test]
fn a_replaced_and_a_replacing_prescription_name_each_other() {
    let mut old = samples::prescription();
    old.state = PrescriptionState::Replaced { by: "RX-2-18".into() };
    assert_shows(&printed(&old), &["Replaced by prescription RX-2-18."]);
    let mut new = samples::prescription();
    new.number = "RX-2-18".into();
    new.replaces = "RX-2-17".into();
    assert_shows(&printed(&new), &["No. RX-2-18", "Replaces RX-2-17"]);
}

#[test]
fn a_reprint_carries_its_copy_mark() {
    let mut sheet = samples::prescription();
    sheet.copy = 2;
    assert_shows(&printed(&sheet), &["Copy 2"]);
    sheet.language = Language::Ko;
    assert_shows(&printed(&sheet), &["사본 2"]);
}

#[test]
fn not_knowing_of_allergies_differs_from_knowing_of_none() {
    let mut sheet = samples::prescription();
    sheet.allergies = Allergies::NotRecorded;
    assert_shows(&printed(&sheet), &["Allergies Not recorded"]);
    sheet.allergies = Allergies::NoneKnown;
    assert_shows(&printed(&sheet), &["Allergies None known"]);
}

#[test]
fn empty_fields_leave_no_label_behind() {
    let mut sheet = samples::prescription();
    sheet.diagnosis.clear();
    sheet.instructions.clear();
    sheet.practice.phone.clear();
    sheet.client.number.clear();
    sheet.lines = vec![PrescriptionLine {
        drug: "Sertraline".into(),
        dose: "1 tablet".into(),
        ..PrescriptionLine::default()
    }];
    let text = printed(&sheet);
    for label in ["Diagnosis", "Instructions", "Tel.", "Client no.", "Route", "Refills"] {
        assert!(!text.contains(label), "{label} has nothing to say: {text}");
    }
    assert_shows(&text, &["Sertraline", "Dose 1 tablet", "1 item. End of list."]);
}

#[test]
fn sheet_text_is_printed_and_never_read_as_markup() {
    let hostile =
        r##"#read("sheet.json") $x^2$ *bold* _it_ `raw` \ // -- ~ <label> @ref "quoted" [#panic()] {n} 한글 #"##;
    let mut sheet = samples::prescription();
    sheet.practice.name = hostile.into();
    sheet.client.name = hostile.into();
    sheet.number = hostile.into();
    sheet.diagnosis = hostile.into();
    sheet.instructions = format!("= no heading\n- no list\n+ no numbers\n{hostile}");
    sheet.lines[0].drug = hostile.into();
    sheet.allergies = Allergies::Listed(vec![hostile.into()]);
    sheet.state = PrescriptionState::Void {
        on: hostile.into(),
        reason: hostile.into(),
    };
    let text = printed(&sheet);
    let times = text.matches(hostile).count();
    assert!(
        times >= 7,
        "all seven fields show the text letter for letter, but only {times} do: {text}"
    );
    assert_shows(&text, &["= no heading - no list + no numbers #read"]);
}

#[test]
fn a_long_prescription_goes_on_and_every_page_says_whose_it_is() {
    let mut sheet = samples::prescription();
    sheet.lines = (1..=12)
        .map(|n| PrescriptionLine {
            drug: format!("Drug number {n}"),
            ..sheet.lines[0].clone()
        })
        .collect();
    let pdf = prescription_pdf(&sheet).expect("the sheet can be printed");
    let text = text_of(&pdf);
    let pages: Vec<_> = text.split_terminator('\u{c}').collect();
    assert!(pages.len() >= 2, "twelve items do not fit on one A5 page");
    for (index, page) in pages.iter().enumerate() {
        assert_shows(
            page,
            &[
                "RX-2-17 · Hana Kim · 2 April 1986",
                &format!("Page {} / {}", index + 1, pages.len()),
            ],
        );
    }
    for n in 1..=12 {
        assert_shows(&text, &[&format!("Drug number {n}")]);
    }
    assert_shows(
        pages[pages.len() - 1],
        &["Drug number 12", "12 items. End of list.", "Prescriber's signature"],
    );
}

#[test]
fn a_signature_never_stands_on_a_page_without_an_item() {
    for count in 1..=9 {
        let mut sheet = samples::prescription();
        sheet.lines = sheet.lines.iter().cycle().take(count).cloned().collect();
        let text = text_of(&prescription_pdf(&sheet).expect("the sheet can be printed"));
        let last = text.split_terminator('\u{c}').next_back().unwrap_or_default();
        assert_shows(
            last,
            &["Dose", "End of list.", "Instructions", "Prescriber's signature"],
        );
    }
}

#[test]
fn a_word_without_a_place_to_break_stays_on_the_page() {
    let mut sheet = samples::prescription();
    sheet.instructions = "x".repeat(600);
    let text = text_of(&prescription_pdf(&sheet).expect("the sheet can be printed"));
    let longest = text.lines().map(|line| line.matches('x').count()).max();
    assert!(
        longest.is_some_and(|count| count < 120),
        "the word is broken into lines of the page's width: {longest:?}"
    );
}

#[test]
fn a_character_the_font_lacks_is_printed_as_its_code_point() {
    let mut sheet = samples::prescription();
    sheet.client.name = "김하나 (金)".into();
    assert_shows(&printed(&sheet), &["김하나 ([U+91D1])"]);
}

#[test]
fn the_same_sheet_gives_the_same_bytes_and_another_sheet_others() {
    let sheet = samples::prescription();
    let first = prescription_pdf(&sheet).expect("the sheet can be printed");
    let between = prescription_pdf(&samples::korean_prescription()).expect("the sheet can be printed");
    let second = prescription_pdf(&sheet).expect("the sheet can be printed");
    assert!(first == second, "no clock and no random number goes into the file");
    assert!(first != between);
    assert!(first.starts_with(b"%PDF-"));
    assert_eq!(pages_of(&first), 1, "an ordinary prescription is one page");
}
