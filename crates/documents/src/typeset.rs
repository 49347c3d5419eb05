//! From a sheet to PDF bytes: JSON in, typst's pages, PDF out.
//!
//! Nothing is read from disk or network. Templates, labels and fonts are part of the program, and the only file that
//! changes between two documents is `sheet.json`.

use std::sync::LazyLock;

use serde::Serialize;
use typst::World;
use typst::WorldExt;
use typst::diag::SourceDiagnostic;
use typst::foundations::{Bytes, Smart};
use typst::syntax::DiagSpanKind;
use typst::text::Font;
use typst_as_lib::TypstEngine;
use typst_pdf::PdfOptions;

use crate::error::DocumentError;
use crate::printable;

static FONTS: LazyLock<Vec<Font>> = LazyLock::new(|| {
    let regular: &'static [u8] = include_bytes!("../fonts/Pretendard-Regular.otf");
    let semi_bold: &'static [u8] = include_bytes!("../fonts/Pretendard-SemiBold.otf");
    [regular, semi_bold]
        .into_iter()
        .flat_map(|data| Font::iter(Bytes::new(data)))
        .collect()
});

const COMMON: (&str, &str) = ("common.typ", include_str!("../templates/common.typ"));
const LABELS: (&str, &[u8]) = ("labels.json", include_bytes!("../templates/labels.json"));

/// The page designs.
#[derive(Clone, Copy)]
pub(crate) enum Template {
    Prescription,
    Note,
    DaySheet,
    Recovery,
}

impl Template {
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Prescription => ("prescription.typ", include_str!("../templates/prescription.typ")),
            Self::Note => ("note.typ", include_str!("../templates/note.typ")),
            Self::DaySheet => ("day_sheet.typ", include_str!("../templates/day_sheet.typ")),
            Self::Recovery => ("recovery.typ", include_str!("../templates/recovery.typ")),
        }
    }
}

/// Sets `sheet` with `template` and returns the PDF.
pub(crate) fn typeset(template: Template, sheet: &impl Serialize) -> Result<Vec<u8>, DocumentError> {
    let (name, source) = template.source();
    let encode_error = |source| DocumentError::Encode { template: name, source };
    let mut data = serde_json::to_value(sheet).map_err(encode_error)?;
    printable::make_printable(&mut data, &FONTS);
    let data = serde_json::to_vec(&data).map_err(encode_error)?;

    let engine = TypstEngine::builder()
        .main_file((name, source))
        .with_static_source_file_resolver([COMMON])
        .with_static_file_resolver([LABELS, ("sheet.json", data.as_slice())])
        .fonts(FONTS.iter().cloned())
        .build();
    // The engine empties typst's memory of past results once the closure is done, so no sheet outlives its document.
    engine
        .with_world(|world| {
            let pages = typst::compile(world).output.map_err(|errors| DocumentError::Typeset {
                template: name,
                place: first_place(world, &errors),
            })?;
            typst_pdf::pdf(&pages, &pdf_options()).map_err(|errors| DocumentError::Export {
                template: name,
                place: first_place(world, &errors),
            })
        })
        .map_err(|_| DocumentError::Typeset {
            template: name,
            place: "setup".to_owned(),
        })?
}

/// No timestamp and no identifier of our own: the PDF's identifiers then come from its content alone.
fn pdf_options() -> PdfOptions {
    PdfOptions {
        creator: Smart::Custom(Some("Caseload".to_owned())),
        ..PdfOptions::default()
    }
}

fn first_place(world: &dyn World, errors: &[SourceDiagnostic]) -> String {
    let place = errors.iter().find_map(|error| {
        let (DiagSpanKind::Number { id, .. } | DiagSpanKind::Range { id, .. }) = error.span.get() else {
            return None;
        };
        let start = world.range(error.span)?.start;
        let line = world.source(id).ok()?.lines().byte_to_line(start)?;
        Some(format!("{}:{}", id.vpath().get_without_slash(), line + 1))
    });
    place.unwrap_or_else(|| "unknown place".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn label_names(value: &Value, path: &str, names: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                fields
                    .iter()
                    .for_each(|(key, field)| label_names(field, &format!("{path}/{key}"), names));
            }
            Value::String(words) if !words.is_empty() => names.push(path.to_owned()),
            _ => panic!("{path} is no label"),
        }
    }

    #[test]
    fn every_label_exists_in_both_languages() {
        let labels: Value = serde_json::from_slice(LABELS.1).unwrap();
        let (mut english, mut korean) = (Vec::new(), Vec::new());
        label_names(&labels["en"], "", &mut english);
        label_names(&labels["ko"], "", &mut korean);
        assert_eq!(english, korean);
    }

    #[test]
    fn every_label_can_be_drawn_as_it_is_written() {
        let mut labels: Value = serde_json::from_slice(LABELS.1).unwrap();
        let written = labels.clone();
        printable::make_printable(&mut labels, &FONTS);
        assert_eq!(labels, written);
    }

    #[test]
    fn a_template_that_fails_names_its_place_and_nothing_of_the_sheet() {
        let error = typeset(
            Template::DaySheet,
            &serde_json::json!({"language": "en", "rows": "Hana Kim"}),
        )
        .unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("common.typ:") || text.contains("day_sheet.typ:"),
            "{text}"
        );
        assert!(!text.contains("Hana"), "{text}");
    }
}
