//! The computers of the practice, and taking one out of it.

use std::collections::HashMap;
use std::sync::Arc;

use caseload_domain::DeviceId;

use crate::app::{App, Core};
use crate::checks;
use crate::dto::{AppError, ById, Computer, ErrorCode};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::people::device_key;
use crate::sharing::{self, on_own_threads};
use crate::views::office::Office;

impl App {
    /// Every computer that belongs or belonged to the practice, by name.
    ///
    /// # Errors
    /// `locked`.
    pub fn computers(&self) -> Result<Vec<Computer>, AppError> {
        answer(
            "computers",
            self.core.login().and_then(|login| list(&self.core, &login)),
        )
    }

    /// Takes a computer out of the practice, as one does when it was lost: it is signed out at once and shares no more. What is on it stays on it,
    /// what waits there with it. Only an administrator does it, and from another computer.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `not_published`: then nothing has changed. `offline`: the computer may be signed out already and still be in the
    /// list; asked again, this ends it.
    pub async fn revoke_computer(&self, request: ById) -> Result<Vec<Computer>, AppError> {
        let login = answer("revoke_computer", self.core.login())?;
        let done = on_own_threads(&self.core, &login, |core, login| revoke(core, login, request)).await;
        answer("revoke_computer", done)?;
        self.computers()
    }
}

fn list(core: &Core, login: &Login) -> Result<Vec<Computer>, Fault> {
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let mut people: HashMap<String, Vec<String>> = HashMap::new();
        for certificate in read.list("certificate")? {
            let holder = |member| certificate.doc.text("holder", member);
            if let (Some(device), Some(user)) = (holder("device"), holder("user")) {
                let names = people.entry(device.to_owned()).or_default();
                let name = office.staff_name(user);
                if !name.is_empty() && !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let mut computers = Vec::new();
        for device in read.devices()? {
            let id = device.key.id.to_string();
            computers.push(Computer {
                name: device.doc.text("name", "display").unwrap_or_default().to_owned(),
                people: people.remove(&id).unwrap_or_default(),
                is_this_one: device.key.id == login.device.entity(),
                is_revoked: device.deleted,
                id,
            });
        }
        computers.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
        Ok(computers)
    })
}

/// The service first: what is written down is what has happened. Before it is written down, what that computer still said of itself is taken in;
/// it says nothing more.
async fn revoke(core: Arc<Core>, login: Arc<Login>, request: ById) -> Result<(), Fault> {
    let device: DeviceId = checks::id(&request.id)?;
    let key = device_key(device);
    if login.office.read(|read| read.get(&key))?.is_none() {
        return Err(ErrorCode::NotFound.into());
    }
    let connection = sharing::connection(&login).await?;
    connection.session.revoke_device(device).await?;
    sharing::share(Arc::clone(&core), Arc::clone(&login)).await?;
    core.write_office(&login, "computer.revoke", |tx| Ok(tx.void(&key, "revoked")?))?;
    sharing::share(core, login).await.map(drop)
}
