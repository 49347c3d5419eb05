//! The store seen from outside: files, the door, sharing, search. One binary, because linking is most of a test's time.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod attachments;
mod files;
mod fixture;
mod forgotten;
mod intents;
mod search;
mod sharing;
mod stored;
mod writes;
