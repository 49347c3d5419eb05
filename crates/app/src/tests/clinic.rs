//! A practice of one therapist on one computer, made through the commands.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use caseload_domain::Role;
use caseload_domain::time;
use tempfile::TempDir;

use crate::dto::*;
use crate::{App, Env, Sharing};

pub(super) const PASSPHRASE: &str = "heron lamp quince";
pub(super) const DESK_PASSPHRASE: &str = "door bell window";

/// A practice in a folder that is removed with it.
pub(super) struct Clinic {
    pub(super) app: App,
    pub(super) folder: TempDir,
    pub(super) owner: String,
    clock: Arc<AtomicI64>,
}

pub(super) fn env(folder: &std::path::Path, clock: &Arc<AtomicI64>) -> Env {
    let clock = Arc::clone(clock);
    Env::system()
        .seeded(7)
        .clock(move || clock.load(Ordering::Relaxed))
        .documents(&folder.join("documents"))
        .sharing(Sharing::WhenAsked)
        .with_cheapest_derivation()
}

pub(super) fn request() -> CreatePractice {
    CreatePractice {
        practice_name: "Hill House".to_owned(),
        location_name: "Main".to_owned(),
        zone: "Asia/Seoul".to_owned(),
        currency: "KRW".to_owned(),
        full_name: "Mina Seo".to_owned(),
        licence: Some("PSY-1".to_owned()),
        passphrase: PASSPHRASE.to_owned(),
        device_name: Some("Laptop".to_owned()),
    }
}

/// The instant of a wall time in the practice.
pub(super) fn at(day: &str, clock: &str) -> i64 {
    let zone = time::zone("Asia/Seoul").unwrap();
    time::instant(time::date(day).unwrap(), time::time_of_day(clock).unwrap(), zone)
        .unwrap()
        .0
        .0
}

pub(super) fn details(family: &str, given: &str, phone: &str) -> ClientDetails {
    let empty = String::new;
    ClientDetails {
        name: ClientName {
            family: family.to_owned(),
            given: given.to_owned(),
            preferred: empty(),
            romanised: empty(),
        },
        birth_date: None,
        pronouns: empty(),
        phone: phone.to_owned(),
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
    }
}

impl Clinic {
    /// A practice on 2026-11-21 at 09:00, its owner signed in, the recovery code confirmed.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(at("2026-11-21", "09:00")));
        let app = App::open_with(&folder.path().join("profile"), env(folder.path(), &clock)).unwrap();
        let kit = app.create_practice(request()).unwrap();
        let group = |index: &u32| RecoveryGroup {
            index: *index,
            text: kit.groups[*index as usize].to_lowercase(),
        };
        let status = app
            .confirm_recovery(ConfirmRecovery {
                groups: kit.ask.iter().map(group).collect(),
            })
            .unwrap();
        Self {
            app,
            folder,
            owner: status.session.unwrap().user_id,
            clock,
        }
    }

    pub(super) fn turn_to(&self, day: &str, clock: &str) {
        self.clock.store(at(day, clock), Ordering::Relaxed);
    }

    pub(super) fn client(&self, family: &str, given: &str) -> ClientRecord {
        let request = CreateClient {
            details: details(family, given, ""),
            force: true,
        };
        match self.app.create_client(request).unwrap() {
            CreateClientOutcome::Created { client } => *client,
            CreateClientOutcome::LooksLike { .. } => panic!("a forced creation creates"),
        }
    }

    pub(super) fn booking(&self, client: &str, day: &str, start: &str) -> Book {
        Book {
            client_ids: vec![client.to_owned()],
            therapist_id: self.owner.clone(),
            location_id: None,
            room_id: None,
            date: day.to_owned(),
            start_time: start.to_owned(),
            duration_minutes: 50,
            modality: Modality::InPerson,
            override_reason: None,
        }
    }

    pub(super) fn booked(&self, client: &str, day: &str, start: &str) -> AppointmentDetail {
        match self.app.book(self.booking(client, day, start)).unwrap() {
            BookOutcome::Booked { appointment } => *appointment,
            BookOutcome::SlotTaken { .. } => panic!("the time is free"),
        }
    }

    /// Adds a front desk to this computer and signs it in.
    pub(super) fn sign_in_desk(&self) -> String {
        let desk = self
            .app
            .add_person_here("Yuna Baek", Role::FrontDesk, "", DESK_PASSPHRASE)
            .unwrap();
        self.sign_in(&desk, DESK_PASSPHRASE);
        desk
    }

    pub(super) fn sign_in(&self, user: &str, passphrase: &str) {
        self.app
            .unlock(Unlock {
                user_id: user.to_owned(),
                passphrase: Some(passphrase.to_owned()),
            })
            .unwrap();
    }
}

pub(super) fn by_id(id: &str) -> ById {
    ById { id: id.to_owned() }
}

/// The code of a refusal.
#[track_caller]
pub(super) fn refused<T>(answer: Result<T, AppError>) -> ErrorCode {
    match answer {
        Ok(_) => panic!("this has to be refused"),
        Err(error) => error.code,
    }
}
