//! The people who work in the practice, their certificates and computers.

use caseload_domain::{DeviceId, EntityId, EntityKey, Role, UserId};
use caseload_store::WriteTx;
use caseload_vault::certificates::{Authorisation, Chain, Signed};
use caseload_vault::enrolment::EnrolmentCode;
use caseload_vault::passphrase::Passphrase;
use caseload_vault::vault::{Joining, NewUser};
use serde_json::{Value, json};

use crate::app::{App, Core, lock};
use crate::checks::Checks;
use crate::dto::{AppError, ErrorCode, FieldProblem, StaffMember};
use crate::fault::{Fault, answer};
use crate::login::{Login, new_replica};
use crate::practice::{certificate, document};
use crate::views::office::Office;

/// How long the authorisation of somebody who was added without a service holds. Its code is thrown away at once, so nobody can use it; the
/// date only has to outlast the time until the practice is published.
const OFFLINE_AUTHORISATION_MS: i64 = 10 * 365 * 24 * 60 * 60 * 1000;

/// A person as she is first written down.
pub(crate) struct NewStaff<'a> {
    pub(crate) user: UserId,
    pub(crate) name: &'a str,
    pub(crate) role: Role,
    pub(crate) admin: bool,
    pub(crate) licence: &'a str,
    pub(crate) state: &'a str,
}

impl App {
    /// The people who work here.
    ///
    /// # Errors
    /// `locked`.
    pub fn staff(&self) -> Result<Vec<StaffMember>, AppError> {
        answer("staff", self.core.login().and_then(|login| staff(&self.core, &login)))
    }

    /// Adds a person to this computer without a service, so that several can share it from the first day. The owner has to be signed in. Gives the
    /// new person's id; she unlocks with her own passphrase.
    ///
    /// # Errors
    /// `forbidden`, `invalid_fields`.
    pub fn add_person_here(&self, name: &str, role: Role, licence: &str, passphrase: &str) -> Result<String, AppError> {
        let done = self
            .core
            .login()
            .and_then(|login| add_here(&self.core, &login, name, role, licence, passphrase));
        answer("add_person_here", done)
    }
}

fn staff(core: &Core, login: &Login) -> Result<Vec<StaffMember>, Fault> {
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        Ok(office.staff)
    })
}

fn add_here(
    core: &Core,
    login: &Login,
    name: &str,
    role: Role,
    licence: &str,
    passphrase: &str,
) -> Result<String, Fault> {
    let mut check = Checks::default();
    check.line("fullName", name);
    check.done()?;
    let passphrase = Passphrase::chosen(passphrase, &[name])?;
    let root = lock(&login.vault)
        .identity()
        .root_signing
        .clone()
        .ok_or(ErrorCode::Forbidden)?;
    let person = NewUser {
        practice: login.practice,
        device: login.device,
        user: UserId::new(core.env.uuid()),
        name: name.trim().to_owned(),
        role,
    };
    let user = person.user;
    let code = EnrolmentCode::random();
    let authorisation = Authorisation {
        practice: login.practice,
        enrolment: code.id(),
        user,
        role,
        admin: false,
        enrolment_key: code.signing_key().public(),
        expires_at_ms: core.now().0 + OFFLINE_AUTHORISATION_MS,
    };
    let authorisation = Signed::new(authorisation, &root);
    let joining = Joining::New {
        practice_root: login.root,
    };
    lock(&login.vault).add_user_to_device(person, joining, &passphrase, core.env.kdf)?;
    // Her keys are opened once, to make her certificate and her files.
    let unlocked = caseload_vault::Vault::open(&core.profile)?.unlock_with_passphrase(user, &passphrase)?;
    let mut statement = certificate(&unlocked, role);
    statement.enrolment = Some(code.id());
    let chain = Chain {
        admin: None,
        sponsor: None,
        authorisation: Some(authorisation),
        user: Signed::new(statement, &code.signing_key()),
    };
    let clinical = make_clinical(core, &unlocked)?;
    core.write_office(login, "staff.add", |tx| {
        let person = NewStaff {
            user,
            name: name.trim(),
            role,
            admin: false,
            licence,
            state: "active",
        };
        create_staff(tx, &person)?;
        create_certificate(tx, user, login.device, &chain)?;
        if let Some(replica) = &clinical {
            let key = EntityKey::new("device", EntityId::new(login.device.uuid()));
            tx.add_element(&key, "replicas", replica, json!({"kind": "clinical", "user": user}))?;
        }
        Ok(())
    })?;
    Ok(user.to_string())
}

/// The clinical file of somebody added to this computer; gives its replica.
fn make_clinical(
    core: &Core,
    vault: &caseload_vault::Vault<caseload_vault::Unlocked>,
) -> Result<Option<String>, Fault> {
    use caseload_store::{FileKind, Identity, Store};
    use caseload_vault::heads::DatabaseFile;
    let Some(key) = vault.database_key(DatabaseFile::Clinical) else {
        return Ok(None);
    };
    let identity = Identity {
        practice: vault.practice(),
        device: vault.device(),
        kind: FileKind::Clinical(vault.user()),
        replica: new_replica(),
        replica_number: i64::try_from(vault.users().len()).unwrap_or(i64::MAX) + 1,
    };
    let path = crate::files::database(&core.profile, DatabaseFile::Clinical, vault.user());
    Store::create(&path, key, &identity, core.env.entropy())?;
    Ok(Some(identity.replica.to_string()))
}

/// Writes a person down.
pub(crate) fn create_staff(tx: &mut WriteTx<'_>, person: &NewStaff<'_>) -> Result<(), Fault> {
    let staff = document([
        ("name", json!({"display": person.name})),
        ("role", json!({"role": person.role.as_str(), "admin": person.admin})),
        ("professional", json!({"licence": person.licence.trim()})),
        ("status", json!({"state": person.state})),
    ]);
    Ok(tx.create(&EntityKey::new("staff_member", person.user.entity()), staff)?)
}

/// Writes this computer down, so that a conflict can say where a value came from.
pub(crate) fn create_device(tx: &mut WriteTx<'_>, login: &Login, name: &str) -> Result<(), Fault> {
    let mut replicas = serde_json::Map::new();
    replicas.insert(login.office.identity()?.replica.to_string(), json!({"kind": "office"}));
    if let Some(clinical) = &login.clinical {
        replicas.insert(
            clinical.identity()?.replica.to_string(),
            json!({"kind": "clinical", "user": login.user}),
        );
    }
    let device = document([
        ("name", json!({"display": name})),
        ("replicas", Value::Object(replicas)),
    ]);
    Ok(tx.create(&device_key(login.device), device)?)
}

/// The entity of a computer.
pub(crate) fn device_key(device: DeviceId) -> EntityKey {
    EntityKey::new("device", device.entity())
}

/// Writes a certificate chain down, for everybody to verify signatures with, for ever.
pub(crate) fn create_certificate(
    tx: &mut WriteTx<'_>,
    user: UserId,
    device: DeviceId,
    chain: &Chain,
) -> Result<(), Fault> {
    let chain = serde_json::to_value(chain).map_err(|_| Fault::Rule(ErrorCode::Internal))?;
    let document = document([("holder", json!({"user": user, "device": device})), ("chain", chain)]);
    Ok(tx.create(&certificate_key(user, device), document)?)
}

/// The entity of a person's certificate on one computer: the same wherever it is made.
pub(crate) fn certificate_key(user: UserId, device: DeviceId) -> EntityKey {
    EntityKey::new(
        "certificate",
        EntityId::derived(&["certificate", &user.to_string(), &device.to_string()]),
    )
}

/// The name of a computer: the one given, else the machine's own, else one after its person.
pub(crate) fn device_name(given: Option<&str>, person: &str) -> String {
    let given = given.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    given
        .or_else(|| {
            let machine = std::fs::read_to_string("/etc/hostname").ok()?;
            Some(machine.trim().to_owned()).filter(|name| !name.is_empty())
        })
        .unwrap_or_else(|| person.to_owned())
}

/// The role named in a request.
pub(crate) fn role_named(role: crate::dto::Role) -> Role {
    match role {
        crate::dto::Role::Therapist => Role::Therapist,
        crate::dto::Role::FrontDesk => Role::FrontDesk,
        crate::dto::Role::Admin => Role::Admin,
    }
}

/// A therapist that a field of a request names: somebody who treats and works here.
pub(crate) fn treating(office: &Office, path: &str, id: &str) -> Result<UserId, Fault> {
    let known = office
        .staff
        .iter()
        .any(|person| person.id == id && person.treats && person.active);
    match id.parse() {
        Ok(user) if known => Ok(user),
        _ => Err(Fault::field(path, FieldProblem::UnknownReference)),
    }
}
