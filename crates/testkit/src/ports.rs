//! Ports for servers that are told their port before they listen on it.
//!
//! A port that the system gives out for "any" is one that it also gives to outgoing connections, of which tests make many: between the
//! finding and the listening one of them may take it. So these lie below the range that Linux uses for that.

use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of the loopback address that nobody listens on, given to nobody else in this process.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Programs that run at once begin far from each other.
    let begin = u16::try_from(process::id().wrapping_mul(367) % u32::from(COUNT)).unwrap_or_default();
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (begin + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {FIRST} and {} is free", FIRST + COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_never_while_somebody_listens_on_it() {
        let first = free_port().unwrap();
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let others: Vec<u16> = (0..50).map(|_| free_port().unwrap()).collect();
        assert!(!others.contains(&first));
        assert!((FIRST..FIRST + COUNT).contains(&first));
    }
}
