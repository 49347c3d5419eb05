//! The use cases of Caseload: what a person can do, as methods of one [`App`].
//!
//! The window's shell, the command line and tests call the same methods with the plain requests of [`dto`] and get its plain answers. Below
//! are one file or folder for each concept of the practice; a request is checked in its own spelling, carried out through the store's one door,
//! and answered from what was committed.
//!
//! ```text
//! window, command line, tests ──> App ──┬─> vault      who is unlocked
//!                                       ├─> store      office.db, clinical-<user>.db
//!                                       ├─> sync       the practice's service, in the background
//!                                       └─> documents  printed pages
//! ```
//!
//! What this crate deliberately does not do: it draws no window, prints nothing, and knows nothing of how the service is made. Time,
//! randomness and the places of files come from [`Env`]. An error that leaves it is an [`dto::AppError`]: a code, never a text.

mod app;
mod appointments;
mod attempts;
mod calendar;
mod changes;
mod checks;
mod clashes;
mod clients;
mod commands;
mod computers;
mod conflicts;
mod demo;
mod documents;
pub mod dto;
mod enrolment;
mod env;
mod fault;
mod files;
mod login;
mod notes;
mod people;
mod phones;
mod practice;
mod preferences;
mod prescriptions;
mod recovery;
mod reoffers;
mod sharing;
mod slots;
mod today;
mod unlock;
mod verification;
mod views;
mod vouching;

pub use app::{App, Event};
pub use demo::{DemoPerson, DemoReport};
pub use env::{Env, Sharing};
pub use verification::{ExportedNote, VerifiedNote, verify_exported};

#[cfg(test)]
mod tests;
