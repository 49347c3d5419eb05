//! What several crates' tests need and no product code may use.

pub mod mongod;
