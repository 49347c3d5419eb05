//! See ARCHITECTURE.md.

pub mod dto;
