//! See ARCHITECTURE.md.

pub mod storage;
