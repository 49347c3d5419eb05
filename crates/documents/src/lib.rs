//! Printed documents: prescriptions, signed session notes, day sheets and recovery sheets as PDF.
//!
//! A caller fills a sheet (plain strings, dates already written the way the reader expects) and gets the bytes of a
//! PDF. The page is set by typst inside this process, with two embedded weights of Pretendard, so a document looks
//! the same on every machine and needs no network and no installed font.
//!
//! What every document here promises:
//!
//! * **Text is data.** Sheets reach the templates as JSON and are printed as text; nothing in them is read as markup.
//! * **Nothing disappears.** A character the fonts cannot draw is printed as its code point, such as `[U+6F22]`, and
//!   long text flows to further pages.
//! * **The same sheet gives the same bytes.** No clock, no random identifier and no machine name goes in.
//! * **Text can be selected, searched and read aloud.** The files are tagged PDFs.
//!
//! This crate does not decide who may print what, does not format dates or amounts, and does not store or send the
//! result. The fonts draw Latin, Greek, Cyrillic, kana and Hangul; labels exist in English and Korean.
//!
//! The page designs are in `templates/`, one file per sheet; what they share is in `common.typ`, and every word they
//! print of themselves is in `labels.json`.

mod day_sheet;
mod error;
mod letterhead;
mod note;
mod prescription;
mod printable;
mod recovery;
mod redacted;
mod typeset;

pub use day_sheet::{DaySheet, DaySheetRow, day_sheet_pdf};
pub use error::DocumentError;
pub use letterhead::{ClientIdentity, Language, Practice, Professional};
pub use note::{EnteredInError, NoteAddendum, NoteSection, NoteSheet, NoteSignature, SessionFacts, note_pdf};
pub use prescription::{Allergies, PrescriptionLine, PrescriptionSheet, PrescriptionState, prescription_pdf};
pub use recovery::{RecoverySheet, recovery_pdf};
