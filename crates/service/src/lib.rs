//! The central service of a practice: it orders what devices send, decides, keeps, and hands out what each reader may see.
//!
//! ```text
//! routes ──> handlers (auth, sync) ──> one function for each endpoint ──> Storage { sqlite, mongo }
//!    └ layers: request id, refusals, compression, admission, time limits
//! ```
//!
//! * [`Service::start`] opens everything and listens; [`ServiceConfig`] says how.
//! * `auth` is who may come in, `sync` what they may change and see; a request's practice, role and scopes come from its token and account.
//! * [`storage`] is where practices are kept; it alone knows databases.
//! * [`restore`] puts a copy in place and makes one.
//! * [`master_key`] and [`tls`] are the service's own secrets.
//!
//! What this crate deliberately does not do: it merges nothing (that is `caseload_protocol::decide`), it knows no entity beside the
//! certificate, and it never logs what a practice wrote.

mod auth;
mod body;
pub mod clock;
pub mod config;
mod error;
mod layers;
mod limits;
pub mod master_key;
mod metrics;
pub mod restore;
pub mod routes;
mod server;
mod state;
pub mod storage;
mod sync;
pub mod tls;
pub mod tombstones;

pub use clock::Clock;
pub use config::{ServiceConfig, StartError, Transport};
pub use master_key::MasterKeySource;
pub use server::{EmbeddedService, RunningService, Service};
