//! What several crates' tests need and no product code may use.

pub mod chance;
pub mod mongod;
pub mod ports;
pub mod replica_set;
mod security;
