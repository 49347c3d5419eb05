//! What scenarios share: processes that end with the test, the service, a display, and desktops that are driven as a person would.
//!
//! Everything here starts the programs of the build as they are shipped; nothing is linked in, so that a scenario cannot see what
//! a person or another computer could not. The story of a first working day is in [`story`]; the program `story` plays it.

pub mod computer;
pub mod desktop;
pub mod display;
pub mod networks;
pub mod processes;
pub mod programs;
pub mod relay;
pub mod report;
pub mod service;
pub mod story;
pub mod switchboard;
pub mod webdriver;
