//! Sharing between real profiles and the service itself: publishing, joining, working apart, settling.
#![allow(clippy::unwrap_used, reason = "tests")]

mod apart;
mod backlog;
mod clocks;
mod computers;
mod drafts;
mod joining;
mod refused;
mod restored;
mod revoked;
