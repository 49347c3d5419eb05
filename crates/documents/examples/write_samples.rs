//! Writes one PDF of each kind into the folder given as the first argument, for looking at a changed page design.

use std::path::PathBuf;

use caseload_documents::{PrescriptionState, day_sheet_pdf, note_pdf, prescription_pdf, recovery_pdf};

#[path = "../tests/printed/samples.rs"]
mod samples;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name a folder to write to")?);
    let mut long = samples::prescription();
    long.lines = long.lines.iter().cycle().take(9).cloned().collect();
    long.copy = 2;
    let mut void = samples::korean_prescription();
    void.state = PrescriptionState::Void {
        on: "2026년 5월 6일".into(),
        reason: "용량을 잘못 적음".into(),
    };
    let mut draft = samples::prescription();
    draft.state = PrescriptionState::Draft;
    draft.number.clear();
    draft.issued_on.clear();
    let mut error = samples::note();
    error.entered_in_error = samples::korean_note_in_error().entered_in_error;

    let documents = [
        ("prescription-en", prescription_pdf(&samples::prescription())?),
        ("prescription-ko", prescription_pdf(&samples::korean_prescription())?),
        ("prescription-long", prescription_pdf(&long)?),
        ("prescription-void", prescription_pdf(&void)?),
        ("prescription-draft", prescription_pdf(&draft)?),
        ("note-en", note_pdf(&samples::note())?),
        ("note-en-error", note_pdf(&error)?),
        ("note-ko-error", note_pdf(&samples::korean_note_in_error())?),
        ("day-office-en", day_sheet_pdf(&samples::office_day())?),
        ("day-therapist-ko", day_sheet_pdf(&samples::korean_therapist_day())?),
        ("recovery-en", recovery_pdf(&samples::recovery_sheet())?),
        ("recovery-ko", recovery_pdf(&samples::korean_recovery_sheet())?),
    ];
    for (name, pdf) in documents {
        std::fs::write(folder.join(name).with_extension("pdf"), pdf)?;
    }
    Ok(())
}
