//! Opens an encrypted database file with its own key and writes everything in it to a plain one: every row of every table, search
//! indexes, audit log and outbox included.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use caseload_vault::heads::DatabaseFile;
use caseload_vault::passphrase::Passphrase;
use caseload_vault::{DatabaseKey, SymmetricKey, Unlocked, Vault};
use rusqlite::{Connection, OpenFlags};

/// Unlocks the only person of a profile.
pub(crate) fn unlock(profile: &Path, passphrase: &str) -> Result<Vault<Unlocked>> {
    let vault = Vault::open(profile).context("open the vault")?;
    let user = vault.users().first().context("nobody works on the device")?.user;
    vault
        .unlock_with_passphrase(user, &Passphrase::typed(passphrase))
        .context("unlock the vault")
}

/// The plain copy of a database file of a profile; `None` when the person has no key to such a file.
pub(crate) fn of_profile(
    profile: &Path,
    vault: &Vault<Unlocked>,
    file: DatabaseFile,
    copy: &Path,
) -> Result<Option<PathBuf>> {
    let Some(key) = vault.database_key(file) else {
        return Ok(None);
    };
    export(&profile.join(file.name(vault.user())), key, copy).map(Some)
}

/// The plain copy of the service's own database. It is sealed once more inside, which stays.
pub(crate) fn of_service(data: &Path, master_key: &Path, copy: &Path) -> Result<PathBuf> {
    let text = std::fs::read_to_string(master_key).context("read the master key")?;
    let master = caseload_protocol::checksum::parse_hex(text.trim()).context("the master key is no key")?;
    let master = SymmetricKey::from_bytes(master);
    let mut key = [0; DatabaseKey::LEN];
    key[..32].copy_from_slice(master.derive("service-database/v1", b"").expose());
    key[32..].copy_from_slice(&master.derive("service-database-salt/v1", b"").expose()[..16]);
    export(&data.join("service.db"), &DatabaseKey::from_bytes(&key), copy)
}

fn export(file: &Path, key: &DatabaseKey, copy: &Path) -> Result<PathBuf> {
    ensure!(file.is_file(), "{} is missing", file.display());
    // The attached copy is made with the same flags.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).with_context(|| format!("open {}", file.display()))?;
    connection
        .pragma_update(None, "key", key.sqlcipher_text().as_str())
        .context("give the key")?;
    connection
        .execute("ATTACH DATABASE ?1 AS plain KEY ''", [copy.display().to_string()])
        .with_context(|| format!("make {}", copy.display()))?;
    connection
        .query_row("SELECT sqlcipher_export('plain')", [], |_| Ok(()))
        .with_context(|| format!("read {}", file.display()))?;
    connection
        .execute_batch("DETACH DATABASE plain")
        .context("finish the copy")?;
    Ok(copy.to_owned())
}
