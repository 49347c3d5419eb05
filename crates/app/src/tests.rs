//! The use cases on real files: encrypted stores in a folder of their own, a clock that the test turns.
#![allow(clippy::unwrap_used, reason = "tests")]

mod appointments;
mod clients;
mod clinic;
mod first_run;
mod notes;
mod prescriptions;
