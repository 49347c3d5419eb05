//! Documents as their readers see them: each test prints a sheet and reads the PDF back.
//!
//! Needs `pdftotext` and `pdffonts` of the system package poppler-utils.

mod day_sheet;
mod note;
mod prescription;
mod privacy;
mod recovery;
mod samples;
mod support;
