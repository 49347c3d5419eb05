//! A service and computers on it.

use std::path::Path;

use caseload_app::dto::*;
use caseload_app::{App, Env, Sharing};
use caseload_service::{Clock, MasterKeySource, RunningService, Service, ServiceConfig};
use tempfile::TempDir;

pub(crate) const OWNER: &str = "heron lamp quince";
pub(crate) const DESK: &str = "door bell window";

/// A service in a folder of its own, with the practice's first computer beside it.
pub(crate) struct Clinic {
    pub(crate) service: RunningService,
    pub(crate) owner: App,
    pub(crate) folder: TempDir,
}

pub(crate) fn app(folder: &Path, sharing: Sharing) -> App {
    let env = Env::system()
        .sharing(sharing)
        .documents(&folder.join("documents"))
        .with_cheapest_derivation();
    App::open_with(folder, env).unwrap()
}

pub(crate) async fn service(folder: &Path) -> RunningService {
    service_at(folder, Clock::system()).await
}

/// A service under a clock that the caller turns.
pub(crate) async fn service_at(folder: &Path, clock: Clock) -> RunningService {
    let config = ServiceConfig::new(
        folder.join("service"),
        "127.0.0.1:0".parse().unwrap(),
        MasterKeySource::Demonstration,
    );
    Service::start(ServiceConfig { clock, ..config }).await.unwrap()
}

/// A practice that nobody has published yet.
pub(crate) fn create(app: &App) {
    let kit = app
        .create_practice(CreatePractice {
            practice_name: "Hill House".to_owned(),
            location_name: "Main".to_owned(),
            zone: "Asia/Seoul".to_owned(),
            currency: "KRW".to_owned(),
            full_name: "Mina Seo".to_owned(),
            licence: None,
            passphrase: OWNER.to_owned(),
            device_name: Some("Laptop".to_owned()),
        })
        .unwrap();
    let group = |index: &u32| RecoveryGroup {
        index: *index,
        text: kit.groups[*index as usize].clone(),
    };
    app.confirm_recovery(ConfirmRecovery {
        groups: kit.ask.iter().map(group).collect(),
    })
    .unwrap();
}

pub(crate) fn publication(service: &RunningService) -> Publish {
    Publish {
        address: service.url(),
        setup_code: service.setup_code().unwrap().to_owned(),
        pin: None,
    }
}

impl Clinic {
    /// A published practice whose owner shares as told.
    pub(crate) async fn published(sharing: Sharing) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let service = service(folder.path()).await;
        let owner = app(&folder.path().join("owner"), sharing);
        create(&owner);
        owner.publish(publication(&service)).await.unwrap();
        Self { service, owner, folder }
    }

    /// A front desk on a computer of its own.
    pub(crate) async fn desk(&self, sharing: Sharing) -> App {
        let line = person(&self.owner, Role::FrontDesk, "Yuna Baek").await;
        let desk = app(&self.folder.path().join("desk"), sharing);
        desk.join(joining(&line, DESK)).await.unwrap();
        desk
    }

    /// The owner's second computer.
    pub(crate) async fn second(&self) -> App {
        let mint = MintEnrolment {
            kind: EnrolmentKind::OwnComputer,
            role: None,
            full_name: None,
        };
        let line = self.owner.mint_enrolment(mint).await.unwrap().code;
        let second = app(&self.folder.path().join("second"), Sharing::WhenAsked);
        second.join(joining(&line, OWNER)).await.unwrap();
        second
    }
}

pub(crate) async fn person(owner: &App, role: Role, name: &str) -> String {
    let mint = MintEnrolment {
        kind: EnrolmentKind::Person,
        role: Some(role),
        full_name: Some(name.to_owned()),
    };
    owner.mint_enrolment(mint).await.unwrap().code
}

pub(crate) fn joining(code: &str, passphrase: &str) -> Join {
    Join {
        code: code.to_owned(),
        full_name: None,
        licence: None,
        passphrase: passphrase.to_owned(),
        device_name: Some("Other computer".to_owned()),
    }
}

pub(crate) fn client(app: &App, family: &str) -> String {
    let empty = String::new;
    let details = ClientDetails {
        name: ClientName {
            family: family.to_owned(),
            given: "A".to_owned(),
            preferred: empty(),
            romanised: empty(),
        },
        birth_date: None,
        pronouns: empty(),
        phone: empty(),
        other_phone: empty(),
        email: empty(),
        address: Address {
            line1: empty(),
            line2: empty(),
            city: empty(),
            region: empty(),
            postcode: empty(),
            country: empty(),
        },
        voicemail: Permission::NotAsked,
        sms: Permission::NotAsked,
        office_alert: empty(),
    };
    match app.create_client(CreateClient { details, force: true }).unwrap() {
        CreateClientOutcome::Created { client } => client.id,
        CreateClientOutcome::LooksLike { .. } => panic!("a forced creation creates"),
    }
}

pub(crate) fn names(app: &App) -> Vec<String> {
    let found = app
        .search_clients(SearchClients {
            query: String::new(),
            limit: 50,
        })
        .unwrap();
    found.rows.into_iter().map(|row| row.display_name).collect()
}

pub(crate) fn therapist(app: &App) -> String {
    app.staff()
        .unwrap()
        .into_iter()
        .find(|person| person.treats)
        .unwrap()
        .id
}

/// Books an hour; both sides of a clash are booked with it.
pub(crate) fn book(app: &App, client: &str, start: &str) -> String {
    let request = Book {
        client_ids: vec![client.to_owned()],
        therapist_id: therapist(app),
        location_id: None,
        room_id: None,
        date: "2031-05-12".to_owned(),
        start_time: start.to_owned(),
        duration_minutes: 50,
        modality: Modality::InPerson,
        override_reason: None,
    };
    match app.book(request).unwrap() {
        BookOutcome::Booked { appointment } => appointment.item.id,
        BookOutcome::SlotTaken { .. } => panic!("the time is free here"),
    }
}

pub(crate) fn by_id(id: &str) -> ById {
    ById { id: id.to_owned() }
}

#[track_caller]
pub(crate) fn refused<T>(answer: Result<T, AppError>) -> ErrorCode {
    match answer {
        Ok(_) => panic!("this has to be refused"),
        Err(error) => error.code,
    }
}

/// Nothing waits and nothing was refused, on any of them, and the office sums are equal.
pub(crate) async fn all_equal(apps: &[&App]) {
    let mut sums = Vec::new();
    for app in apps {
        let overview = app.share_now().await.unwrap();
        assert_eq!(
            (overview.state, overview.waiting, overview.refused.len()),
            (SyncState::UpToDate, 0, 0)
        );
    }
    for app in apps {
        app.share_now().await.unwrap();
        let checksum = app.checksum().await.unwrap();
        for scope in &checksum.scopes {
            assert_eq!(
                (scope.service.as_deref(), scope.repaired),
                (Some(scope.here.as_str()), 0),
                "the service holds the same, and nothing had to be repaired for that"
            );
        }
        sums.push(checksum.scopes[0].here.clone());
    }
    sums.dedup();
    assert_eq!(sums.len(), 1, "every computer holds the same office records");
}
