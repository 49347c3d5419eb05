//! Nothing of a sheet shows where a program might log it.

use crate::samples;

#[test]
fn debug_output_of_sheets_names_the_type_and_nothing_else() {
    let prescription = samples::prescription();
    let note = samples::korean_note_in_error();
    let signed = samples::note();
    let day = samples::office_day();
    let recovery = samples::recovery_sheet();
    let printed = [
        format!("{prescription:?}"),
        format!("{:?}", prescription.practice),
        format!("{:?}", prescription.prescriber),
        format!("{:?}", prescription.client),
        format!("{:?}", prescription.state),
        format!("{:?}", prescription.allergies),
        format!("{:?}", prescription.lines[0]),
        format!("{note:?}"),
        format!("{:?}", note.session),
        format!("{:?}", note.sections[0]),
        format!("{:?}", note.entered_in_error),
        format!("{:?}", signed.signature),
        format!("{:?}", signed.addenda[0]),
        format!("{day:?}"),
        format!("{:?}", day.rows[0]),
        format!("{recovery:?}"),
    ];
    for text in printed {
        let name = text
            .trim_start_matches("Some(")
            .trim_end_matches(')')
            .trim_end_matches("(..");
        assert!(
            name.chars().all(char::is_alphabetic) && text.contains("(..)"),
            "only a type name may show: {text}"
        );
    }
}
