//! The device's side of sync: talking to the service, and bringing one local file and the service together.
//!
//! [`session`] makes a computer and a person known to the service and signs them in; [`transport`] carries bytes, over HTTP with a pinned
//! authority in production ([`http`]); [`engine`] runs one round for one file: gather, push, pull, acknowledge; [`files`] moves the files that documents
//! name, beside the rounds. Merging is not done here:
//! the service decides, and the store replays what is still waiting.

pub mod engine;
pub mod error;
pub mod files;
pub mod http;
mod pin;
pub mod session;
pub mod transport;

pub use engine::{CheckReport, Engine, Round, SyncError};
pub use error::TransportError;
pub use files::Moved;
pub use http::{HttpTransport, SharedTransport};
pub use session::{Identity, Session};
