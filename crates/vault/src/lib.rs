//! Keys: how they are made, wrapped, kept on disk, carried to another computer and vouched for.
//!
//! A person's *user key* is random. It is wrapped in slots (passphrase, recovery code, optionally the secret store of the
//! operating system) and itself seals her *bundle*: the keys of the database files on this device, her signing key, her
//! private-note key and, for the owner, the root key of the practice. Changing a passphrase therefore rewrites one slot and
//! never a database.
//!
//! | module | what it is for |
//! |---|---|
//! | [`keys`], [`signing`] | the key types; all zeroized, all redacted when printed |
//! | [`seal`], [`blob`] | authenticated encryption that tells a wrong key from damage; whole files, piece by piece |
//! | [`passphrase`], [`recovery`] | what a person types or keeps on paper |
//! | [`slot_file`], [`heads`] | the file that holds slots, in two copies, and the marks that show a rolled-back database |
//! | [`bundle`], [`vault`] | the keys of one person, and the life of a vault: create, unlock, change, lock |
//! | [`certificates`], [`enrolment`] | who is who in a practice, and how a person or a computer joins |
//! | [`keyring_slot`] | the secret store of the operating system, which may be absent, locked or hanging |
//!
//! What this crate deliberately does not do: it opens no database, talks to no network, reads no clock and logs nothing.

pub mod blob;
pub mod bundle;
pub mod certificates;
mod crockford;
pub mod enrolment;
pub mod heads;
pub mod keyring_slot;
pub mod keys;
pub mod passphrase;
mod random;
pub mod recovery;
pub mod seal;
pub mod signing;
pub mod slot_file;
mod slots;
mod text;
pub mod vault;

pub use keys::{DatabaseKey, SymmetricKey};
pub use signing::{PublicKey, Signature, SigningKey};
pub use vault::{Locked, Unlocked, Vault};

/// Property tests draw this many cases; `PROPTEST_CASES` looks further.
#[cfg(test)]
fn drawn(cases: u32) -> proptest::test_runner::Config {
    let from_environment = proptest::test_runner::Config::default();
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    proptest::test_runner::Config {
        cases: if is_set { from_environment.cases } else { cases },
        ..from_environment
    }
}
