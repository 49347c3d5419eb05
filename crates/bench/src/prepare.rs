//! The computers of one therapist: one publishes a practice, the others join it; each has its two files.
//!
//! Keys and certificates are made and checked as the product does; no passphrase is asked for, because deriving keys from one would take
//! longer than most of what is measured.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use caseload_protocol::checksum::hex;
use caseload_store::{Entropy, FileKind, Identity, Store};
use caseload_vault::heads::DatabaseFile;
use caseload_vault::{DatabaseKey, SigningKey};

use crate::member::{Http, Member, Person};
use crate::service::Started;
use crate::wire::Unlocked;

/// Prepares a computer in each of the folders. The first publishes the practice.
///
/// # Errors
/// When the service refuses, or a file cannot be made.
pub(crate) fn computers<const N: usize>(started: Started, folders: [&Path; N]) -> Result<[Unlocked; N]> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let (root, person) = (SigningKey::generate(), Person::new());
    let members = runtime.block_on(members(&started, &root, &person, N))?;
    let mut unlocked = Vec::with_capacity(N);
    for (member, folder) in members.iter().zip(folders) {
        unlocked.push(make_files(member, folder, &started.address)?);
    }
    <[Unlocked; N]>::try_from(unlocked)
        .ok()
        .context("one folder for each computer")
}

async fn members(started: &Started, root: &SigningKey, person: &Person, count: usize) -> Result<Vec<Member>> {
    let machine = |number| Http::from_machine(&started.address, number);
    let owner = Member::publish(person, root, machine(1)?, started.setup_code.clone()).await?;
    let mut members = vec![owner];
    for number in (2..).take(count.saturating_sub(1)) {
        let next = Member::join(&members[0], person, root, machine(number)?).await?;
        members.push(next);
    }
    Ok(members)
}

fn make_files(member: &Member, folder: &Path, address: &str) -> Result<Unlocked> {
    fs::create_dir(folder).with_context(|| format!("make {}", folder.display()))?;
    let (user, clinical_key) = (member.person.user, DatabaseKey::random());
    let make = |file: DatabaseFile, key: &DatabaseKey, kind, replica, replica_number| {
        let identity = Identity {
            practice: member.practice,
            device: member.device,
            kind,
            replica,
            replica_number,
        };
        let store = Store::create(&folder.join(file.name(user)), key, &identity, Entropy::system());
        store
            .context("make a file")
            .and_then(|store| store.close().context("close a file"))
    };
    let [office, clinical] = member.numbers;
    make(
        DatabaseFile::Office,
        &member.office_key,
        FileKind::Office,
        member.office,
        office,
    )?;
    make(
        DatabaseFile::Clinical,
        &clinical_key,
        FileKind::Clinical(user),
        member.clinical,
        clinical,
    )?;
    Ok(Unlocked {
        folder: folder.to_owned(),
        address: address.to_owned(),
        practice: member.practice,
        device: member.device,
        user,
        office_key: hex(member.office_key.to_bytes().as_slice()),
        clinical_key: hex(clinical_key.to_bytes().as_slice()),
        signing_seed: hex(member.person.key.seed()),
    })
}
