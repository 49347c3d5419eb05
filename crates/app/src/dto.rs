//! What crosses the edge of `app`: requests, answers, events and the public error.
//!
//! Plain data for the window, the command line and tests. No rule lives here, and nothing here is stored or sent to the
//! service. Members are camelCase on the wire and enum values snake_case; ids are strings; an [`Instant`] is epoch
//! milliseconds UTC; a local date is `YYYY-MM-DD` and a local time `HH:MM`, both already in the zone of the location, so that
//! no reader needs time-zone arithmetic. Durations are minutes. Types that hold client data have no `Debug` on purpose.
//!
//! Requests only deserialize and answers only serialize, with the few shared types doing both; the TypeScript bindings
//! are made from this folder. In a request an absent optional member means "not given", in a patch "unchanged"; an empty
//! text clears.
#![expect(
    missing_docs,
    reason = "members are named in the practice's own words; a doc comment stands where a unit or a rule is not plain"
)]

mod calendar;
mod clients;
mod computers;
mod documents;
mod error;
mod notes;
mod practice;
mod prescriptions;
mod session;
mod sync;

pub use calendar::*;
pub use clients::*;
pub use computers::*;
pub use documents::*;
pub use error::*;
pub use notes::*;
pub use practice::*;
pub use prescriptions::*;
pub use session::*;
pub use sync::*;

use serde::{Deserialize, Serialize};
use specta::Type;

/// A moment: epoch milliseconds, UTC.
///
/// TypeScript sees a plain number; every value used here is far below 2^53.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, Type)]
#[serde(transparent)]
pub struct Instant(#[specta(type = i32)] pub i64);

/// A file that Rust wrote for the person, with its full path.
#[derive(Clone, Serialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct SavedFile {
    pub path: String,
    /// Whether the system's viewer was started on it.
    pub opened: bool,
}

/// Names one record.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ById {
    pub id: String,
}

/// Names one client.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ByClient {
    pub client_id: String,
}

/// Names one record and says why.
#[derive(Clone, Deserialize, Type)]
#[serde(rename_all = "camelCase")]
pub struct ByIdWithReason {
    pub id: String,
    pub reason: String,
}
