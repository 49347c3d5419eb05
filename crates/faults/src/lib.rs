//! Switches for tests alone: points at which a file's writer dies, and defects that are planted to see whether the tests find them.
//!
//! The crates of the product depend on this one only with their feature `test-faults`, which no shipped program has; without it every hook
//! compiles to nothing. The simulation turns the feature on in a build of its own.

pub mod bugs;
pub mod crash;
