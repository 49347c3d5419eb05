//! Reading a PDF back as text.

use std::process::Command;

/// The text of a PDF as a reader could select it, in the order of the file, pages separated by form feeds.
///
/// Poppler reads it, so that what typst wrote is judged by another program.
pub(crate) fn text_of(pdf: &[u8]) -> String {
    poppler("pdftotext", &["-raw"], pdf, &["-"])
}

/// The text of a PDF with line breaks taken as spaces, for phrases that may be wrapped.
pub(crate) fn flowing_text_of(pdf: &[u8]) -> String {
    text_of(pdf).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many pages a PDF has.
pub(crate) fn pages_of(pdf: &[u8]) -> usize {
    text_of(pdf).matches('\u{c}').count()
}

/// The fonts in a PDF, one line each, as `pdffonts` lists them.
pub(crate) fn fonts_of(pdf: &[u8]) -> String {
    poppler("pdffonts", &[], pdf, &[])
}

/// Fails naming the first of `expected` that is not in `text`.
#[track_caller]
pub(crate) fn assert_shows(text: &str, expected: &[&str]) {
    for part in expected {
        assert!(text.contains(part), "{part:?} is missing from: {text}");
    }
}

fn poppler(program: &str, options: &[&str], pdf: &[u8], after: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("sheet.pdf");
    std::fs::write(&file, pdf).expect("the temporary folder can be written");
    let output = Command::new(program)
        .args(options)
        .arg(&file)
        .args(after)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed by this test; install poppler-utils ({error})"));
    assert!(
        output.status.success(),
        "{program} refused the PDF: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("poppler writes UTF-8")
}
