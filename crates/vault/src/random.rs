//! The only place where randomness is drawn.

use ring::rand::{SecureRandom as _, SystemRandom};

/// `N` bytes from the operating system's generator.
///
/// # Panics
/// Panics when the operating system gives no randomness; going on with a guessable key would be worse.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    SystemRandom::new()
        .fill(&mut out)
        .expect("the operating system gives randomness");
    out
}
