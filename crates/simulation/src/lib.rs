//! Histories of a whole practice, made from a seed: the real engine on real encrypted files, the real service with its real decisions and its
//! real SQLite file, people who do everything that can be done, and a network, computers and a service that fail in every way that is known.
//!
//! | module | what it is for |
//! |---|---|
//! | [`actions`] | what people do, one file per concept; `desk` is the door through which they write |
//! | `world` | one history: who does what next, what goes wrong, coming to rest |
//! | `model` | the plain reference: who wrote what, having seen what |
//! | [`invariants`] | what has to hold, one function each |
//! | `host`, `machine`, `network` | the service, a computer and the way between them |
//! | `template`, `cast` | the practice before a history begins |
//! | [`run`] | many seeds on all cores |
//! | [`tally`] | which faults and outcomes occurred |
//!
//! The feature `test-faults` adds crash points between the statements of every file and the planted defects with which the suite itself is tested.

pub mod actions;
mod cast;
mod desk;
mod host;
pub mod invariants;
mod machine;
mod model;
mod network;
pub mod run;
pub mod tally;
mod template;
mod world;

pub use invariants::Broken;
pub use run::{Finding, Report, Seeds, Simulation, Story};
pub use tally::Tally;
