//! The real service on loopback, with its real storage and real keys, asked over HTTP as devices and strangers ask it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod access;
mod blobs;
mod bodies;
mod clinic;
mod enrolling;
mod member;
mod mongo;
mod publishing;
mod pushing;
mod reading;
mod running;
mod scopes;
mod signing_in;
mod versions;
