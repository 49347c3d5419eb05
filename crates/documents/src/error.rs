//! Why a document could not be made.

use thiserror::Error;

/// Why a document could not be made. No variant holds or prints anything of the sheet's content.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// The sheet could not be written as the JSON its template reads.
    #[error("the sheet for {template} could not be encoded")]
    Encode {
        /// File name of the template.
        template: &'static str,
        /// What the encoder said.
        #[source]
        source: serde_json::Error,
    },
    /// The template could not be set as pages. This is a defect of the template, not of the sheet.
    #[error("{template} could not be set as pages (at {place})")]
    Typeset {
        /// File name of the template that was asked for.
        template: &'static str,
        /// File and line the first complaint points at. The complaint itself is left out, as it may quote the sheet.
        place: String,
    },
    /// The pages were set but could not be written as PDF.
    #[error("the pages of {template} could not be written as PDF (at {place})")]
    Export {
        /// File name of the template.
        template: &'static str,
        /// File and line the first complaint points at.
        place: String,
    },
}
