//! The practice before any history begins: published, everybody joined, every file filled. Made once, by the real parts, and copied for each
//! history.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use anyhow::{Context, Result};
use caseload_domain::time::Millis;
use caseload_domain::{Document, EntityId, EntityKey, Role};
use caseload_protocol::auth::ReplicaKind;
use caseload_service::storage::{Account, Device, Enrolment, NewPractice, NewReplica};
use caseload_store::{Action, Author, Entropy, FileKind, Identity, Store, WriteError};
use caseload_vault::SigningKey;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::cast::Cast;
use crate::host::Host;
use crate::machine::{Machine, file_name};
use crate::model::Model;
use crate::network::Network;

/// The instant at which every history begins.
pub(crate) const BEGINNING: i64 = 1_800_000_000_000;

/// The folders to copy, and what is in them.
pub(crate) struct Template {
    folder: PathBuf,
    pub(crate) cast: Cast,
    pub(crate) model: Model,
}

impl Template {
    /// Makes it in `folder`, which is emptied.
    ///
    /// # Errors
    /// When a real part refuses.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(make(folder))
    }

    pub(crate) fn service(&self) -> PathBuf {
        self.folder.join("service")
    }

    pub(crate) fn computer(&self, computer: usize) -> PathBuf {
        computer_folder(&self.folder, computer)
    }
}

fn computer_folder(folder: &Path, computer: usize) -> PathBuf {
    folder.join(format!("computer-{computer}"))
}

async fn make(folder: &Path) -> Result<Template> {
    let cast = Cast::new();
    let mut host = Host::start(&folder.join("making"), None, Arc::new(AtomicI64::new(BEGINNING))).await?;
    join(&cast, &host).await?;
    make_files(&cast, &host, folder).await?;
    let (events, _nobody) = mpsc::unbounded_channel();
    let network = Network::new(events, 1_000, 500);
    network.lead_to(host.router());
    network.calm(true);
    let mut model = Model::default();
    for computer in 0..cast.computers.len() {
        let template = computer_folder(folder, computer);
        let machine = Machine::start(
            &cast,
            &network,
            &folder.join("making"),
            &template,
            computer,
            computer,
            1,
        )?;
        if computer == 0 {
            furnish(&cast, &machine, &mut model)?;
        }
        for file in [&machine.office, &machine.clinical].into_iter().flatten() {
            file.engine.round(Millis(BEGINNING)).await.context("the first round")?;
        }
        let copy = machine.copy("filled")?;
        fs::remove_dir_all(&template)?;
        fs::rename(copy, &template)?;
    }
    host.close().await;
    crate::host::copy_folder(host.folder(), &folder.join("service"))?;
    fs::remove_dir_all(folder.join("making"))?;
    Ok(Template {
        folder: folder.to_owned(),
        cast,
        model,
    })
}

/// Makes everybody known to the service.
async fn join(cast: &Cast, host: &Host) -> Result<()> {
    let storage = host.storage();
    let practice = NewPractice {
        practice: cast.practice,
        name: "Practice".to_owned(),
        root_key: cast.root.public(),
        epoch: "simulated".to_owned(),
    };
    for (place, computer) in cast.computers.iter().enumerate() {
        let person = cast.person_of(place);
        let account = Account {
            user: person.user,
            role: person.role,
            admin: person.admin,
            public_key: person.key.public(),
        };
        let device = Device {
            device: computer.device,
            public_key: SigningKey::of_device(&computer.key).public(),
            name: format!("computer {place}"),
            users: vec![person.user],
            revoked: false,
        };
        if place == 0 {
            storage.claim(&practice, &account, &device).await?;
            continue;
        }
        let enrolment = Enrolment {
            id: format!("computer {place}"),
            authorisation: Value::Null,
            admin_certificate: Value::Null,
            sealed_bundle: None,
            user: person.user,
            user_name: person.name.to_owned(),
            role: person.role,
            admin: person.admin,
            expires_ms: i64::MAX,
        };
        storage.put_enrolment(cast.practice, &enrolment).await?;
        storage
            .redeem_enrolment(cast.practice, &enrolment.id, &account, &device, BEGINNING)
            .await?;
    }
    Ok(())
}

async fn make_files(cast: &Cast, host: &Host, folder: &Path) -> Result<()> {
    for (place, computer) in cast.computers.iter().enumerate() {
        let person = cast.person_of(place);
        let folder = computer_folder(folder, place);
        fs::create_dir_all(&folder)?;
        let clinical = person.role.is_clinical().then_some(FileKind::Clinical(person.user));
        for kind in [Some(FileKind::Office), clinical].into_iter().flatten() {
            let is_office = kind == FileKind::Office;
            let number = 200 + 2 * place as u128 + u128::from(!is_office);
            let replica = caseload_domain::ReplicaId::new(Uuid::from_u128(0x0180 << 112 | 7 << 76 | 2 << 62 | number));
            let new = NewReplica {
                replica,
                kind: if is_office {
                    ReplicaKind::Office
                } else {
                    ReplicaKind::Clinical
                },
                device: computer.device,
                user: person.user,
                replaces: None,
            };
            let identity = Identity {
                practice: cast.practice,
                device: computer.device,
                kind,
                replica,
                replica_number: host.storage().register_replica(cast.practice, &new).await?,
            };
            let path = folder.join(file_name(kind));
            let store = Store::create(&path, &computer.key, &identity, Entropy::seeded(number as u64))?;
            store.close()?;
        }
    }
    Ok(())
}

/// What the owner enters first: the practice, its rooms, its people, its computers, and three clients.
fn furnish(cast: &Cast, machine: &Machine, model: &mut Model) -> Result<()> {
    let office = &machine.office.as_ref().context("the office file")?.store;
    let owner = &cast.people[0];
    let mut entities: Vec<(EntityKey, Value)> = vec![
        (
            EntityKey::new("practice", cast.practice.entity()),
            json!({"name": {"display": "Practice"}, "zone": {"tz": "Europe/Berlin"}, "currency": {"code": "EUR", "minor": 2},
                   "root": {"public_key": cast.root.public().to_string()}, "contact": {"phone": "1"}}),
        ),
        (
            EntityKey::new("location", fixed(300)),
            json!({"name": {"display": "House"}, "zone": {"tz": "Europe/Berlin"}, "rooms": {"room-1": {"name": "1"}, "room-2": {"name": "2"}}}),
        ),
    ];
    for person in &cast.people {
        entities.push((
            EntityKey::new("staff_member", person.user.entity()),
            json!({"name": {"display": person.name}, "role": {"role": person.role, "admin": person.admin}, "status": {"state": "active"}}),
        ));
    }
    for (place, computer) in cast.computers.iter().enumerate() {
        entities.push((
            EntityKey::new("device", computer.device.entity()),
            json!({"name": {"display": format!("computer {place}")}, "replicas": {}}),
        ));
    }
    let therapists: Vec<_> = cast
        .people
        .iter()
        .filter(|person| person.role == Role::Therapist)
        .collect();
    for number in 0..3_u128 {
        let client = fixed(400 + number);
        entities.push((
            EntityKey::new("client", client),
            json!({"name": {"family": format!("Client {number}"), "given": "A"}, "status": {"state": "active"}}),
        ));
        for therapist in &therapists {
            // The last client is treated by the owner alone.
            if number < 2 || therapist.user == owner.user {
                entities.push(care(client, therapist.user));
            }
        }
    }
    let author = Author {
        user: owner.user,
        role: owner.role,
        signing: &owner.key,
    };
    let action = Action {
        name: "practice.create",
        at: Millis(BEGINNING),
    };
    let made = office.write(&author, action, |tx| {
        let mut made = Vec::new();
        for (key, value) in entities {
            tx.create(&key, document(value))?;
            made.extend(tx.get(&key)?);
        }
        Ok::<_, WriteError>(made)
    })?;
    for entity in made.value {
        model.wrote(usize::MAX, &entity.key, None, &entity.doc);
    }
    Ok(())
}

/// The care relationship between a client and a therapist.
pub(crate) fn care(client: EntityId, therapist: caseload_domain::UserId) -> (EntityKey, Value) {
    let client = caseload_domain::ClientId::new(client.uuid());
    (
        EntityKey::new(
            "care_relationship",
            caseload_domain::entities::care_relationship_id(client, therapist),
        ),
        json!({"parties": {"client": client, "therapist": therapist}, "status": {"state": "active"}}),
    )
}

pub(crate) fn document(value: Value) -> Document {
    match value {
        Value::Object(units) => Document::new(units),
        _ => Document::default(),
    }
}

fn fixed(number: u128) -> EntityId {
    EntityId::new(Uuid::from_u128(0x0180_0000_0000_7000_8000_0000_0000_0000 + number))
}
