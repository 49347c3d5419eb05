//! A practice to look at: two therapists, a front desk, forty clients and eight weeks of appointments around today, with notes.
//!
//! Made through the same commands that people use, so that everything in it is real: encrypted, signed, audited. Names and texts are invented;
//! the same seed on the same day gives the same practice, keys aside.

mod data;

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use caseload_domain::Role;
use caseload_domain::time::{self, Millis};
use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};

use crate::app::App;
use crate::checks;
use crate::dto::{
    Address, AppError, AppointmentStatus, AutosaveNote, Book, BookOutcome, ById, ClientDetails, ClientName,
    ConfirmRecovery, CreateClient, CreateClientOutcome, CreateNote, CreatePractice, ErrorCode, Modality, NoteSection,
    NoteTemplate, Permission, PrescriptionLine, RecoveryGroup, Relation, RoomInput, SaveChart, SaveLocation,
    SavePrescription, SaveRelatedPerson, SetStatus, Unlock,
};
use crate::env::{Env, Sharing};
use crate::unlock;

/// The zone of the demonstration.
const ZONE: &str = "Asia/Seoul";
/// Weeks before and after today.
const WEEKS: u64 = 4;
/// Notes older than this many days are all signed; younger ones are partly drafts, and yesterday's is partly missing.
const ALL_SIGNED: i64 = 3;

/// Somebody who can sign in to the demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoPerson {
    /// The name on the unlock screen.
    pub name: String,
    /// The role.
    pub role: &'static str,
    /// The passphrase. It protects nothing but invented data.
    pub passphrase: &'static str,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoReport {
    /// The people of the shared desktop.
    pub people: Vec<DemoPerson>,
    /// Clients.
    pub clients: usize,
    /// Appointments.
    pub appointments: usize,
    /// Notes, drafts included.
    pub notes: usize,
}

impl App {
    /// Makes the demonstration in an empty profile folder: one desktop that its three people share. Nobody is signed in afterwards.
    ///
    /// # Errors
    /// `practice_exists` when the folder has a practice; else as the commands that it is made of.
    pub fn create_demonstration(profile: &Path, seed: u64) -> Result<DemoReport, AppError> {
        let real = Env::system();
        let now = real.now();
        let clock = Arc::new(AtomicI64::new(now.0));
        let shown = Arc::clone(&clock);
        let env = real
            .seeded(seed)
            .clock(move || shown.load(Ordering::Relaxed))
            .sharing(Sharing::WhenAsked)
            .with_cheapest_derivation();
        let app = Self::open_with(profile, env)?;
        let maker = Maker {
            app,
            clock,
            now,
            chance: Cell::new(seed),
        };
        maker.make()
    }
}

/// One therapist with her clients.
struct Practising {
    user: String,
    room: String,
    passphrase: &'static str,
    /// Which of the invented people are hers.
    clients: std::ops::Range<usize>,
    template: NoteTemplate,
}

struct Maker {
    app: App,
    clock: Arc<AtomicI64>,
    now: Millis,
    chance: Cell<u64>,
}

struct Booked {
    id: String,
    client: String,
    day: NaiveDate,
    end: Millis,
}

impl Maker {
    fn make(self) -> Result<DemoReport, AppError> {
        let today = self.today();
        let first_day = monday(today) - Days::new(7 * WEEKS);
        self.turn_to(first_day - Days::new(7), "09:00");
        let owner = self.begin()?;
        let (second, desk) = {
            let [_, second, desk] = &data::STAFF;
            let add = |person: &data::Person, role| {
                self.app
                    .add_person_here(person.name, role, person.licence, person.passphrase)
            };
            (add(second, Role::Therapist)?, add(desk, Role::FrontDesk)?)
        };
        let rooms = self.furnish()?;
        let half = data::CLIENTS.len() / 2;
        let last = data::CLIENTS.len() - data::WITHOUT_THERAPIST;
        let room = |index: usize| rooms.get(index).cloned().unwrap_or_default();
        let therapists = [
            Practising {
                user: owner,
                room: room(0),
                passphrase: data::STAFF[0].passphrase,
                clients: 0..half,
                template: NoteTemplate::Soap,
            },
            Practising {
                user: second,
                room: room(1),
                passphrase: data::STAFF[1].passphrase,
                clients: half..last,
                template: NoteTemplate::Dap,
            },
        ];
        let (mut appointments, mut notes) = (0, 0);
        for therapist in &therapists {
            self.turn_to(first_day - Days::new(7), "10:00");
            self.unlock(&therapist.user, therapist.passphrase)?;
            let booked = self.fill_calendar(therapist, first_day)?;
            appointments += booked.len();
            notes += self.document(therapist, &booked, today)?;
        }
        self.turn_to(today, "08:30");
        self.unlock(&desk, data::STAFF[2].passphrase)?;
        for index in last..data::CLIENTS.len() {
            self.client(index)?;
        }
        self.clock.store(self.now.0, Ordering::Relaxed);
        unlock::close(&self.app.core).map_err(|fault| fault.told("demonstration"))?;
        Ok(DemoReport {
            people: data::STAFF
                .iter()
                .map(|person| DemoPerson {
                    name: person.name.to_owned(),
                    role: person.role,
                    passphrase: person.passphrase,
                })
                .collect(),
            clients: data::CLIENTS.len(),
            appointments,
            notes,
        })
    }

    /// First run, with the recovery code typed back from the screen: nobody needs the paper of invented data.
    fn begin(&self) -> Result<String, AppError> {
        let owner = &data::STAFF[0];
        let kit = self.app.create_practice(CreatePractice {
            practice_name: data::PRACTICE.to_owned(),
            location_name: data::LOCATION.to_owned(),
            zone: ZONE.to_owned(),
            currency: "KRW".to_owned(),
            full_name: owner.name.to_owned(),
            licence: Some(owner.licence.to_owned()),
            passphrase: owner.passphrase.to_owned(),
            device_name: Some("Demo desktop".to_owned()),
        })?;
        let group = |index: &u32| RecoveryGroup {
            index: *index,
            text: kit.groups[*index as usize].clone(),
        };
        let status = self.app.confirm_recovery(ConfirmRecovery {
            groups: kit.ask.iter().map(group).collect(),
        })?;
        status.session.map(|session| session.user_id).ok_or_else(internal)
    }

    fn furnish(&self) -> Result<Vec<String>, AppError> {
        let practice = self.app.practice()?;
        let location = practice.locations.first().ok_or_else(internal)?;
        let rooms = ["Room 1", "Room 2", "Group room"];
        let saved = self.app.save_location(SaveLocation {
            id: location.id.clone(),
            name: location.name.clone(),
            address: data::ADDRESS.to_owned(),
            phone: data::PHONE.to_owned(),
            rooms: rooms
                .iter()
                .map(|name| RoomInput {
                    id: None,
                    name: (*name).to_owned(),
                })
                .collect(),
        })?;
        let location = saved.locations.into_iter().next().ok_or_else(internal)?;
        let id_of = |name: &&str| {
            location
                .rooms
                .iter()
                .find(|room| room.name == **name)
                .map(|room| room.id.clone())
        };
        Ok(rooms.iter().filter_map(id_of).collect())
    }

    fn unlock(&self, user: &str, passphrase: &str) -> Result<(), AppError> {
        self.app
            .unlock(Unlock {
                user_id: user.to_owned(),
                passphrase: Some(passphrase.to_owned()),
            })
            .map(drop)
    }

    fn client(&self, index: usize) -> Result<String, AppError> {
        let person = &data::CLIENTS[index];
        let permission = [Permission::Allowed, Permission::Refused, Permission::NotAsked][self.draw(3)];
        let details = ClientDetails {
            name: ClientName {
                family: person.family.to_owned(),
                given: person.given.to_owned(),
                preferred: String::new(),
                romanised: person.romanised.to_owned(),
            },
            birth_date: Some(person.born.to_owned()),
            pronouns: String::new(),
            phone: format!("010-{:04}-{:04}", 2100 + index * 173 % 7000, 1000 + index * 619 % 8999),
            other_phone: String::new(),
            email: format!("client{:02}@example.org", index + 1),
            address: Address {
                line1: format!("{} {}", data::STREETS[index % data::STREETS.len()], 3 + index * 7 % 90),
                line2: String::new(),
                city: "서울".to_owned(),
                region: String::new(),
                postcode: format!("0{:04}", 4100 + index * 37),
                country: String::new(),
            },
            voicemail: permission,
            sms: Permission::Allowed,
            office_alert: if index % 13 == 4 {
                "Prefers to wait in the car".to_owned()
            } else {
                String::new()
            },
        };
        let CreateClientOutcome::Created { client } = self.app.create_client(CreateClient { details, force: true })?
        else {
            return Err(internal());
        };
        let relation = if client.header.minor {
            Relation::Guardian
        } else {
            Relation::EmergencyContact
        };
        if client.header.minor || index.is_multiple_of(3) {
            self.app.save_related_person(SaveRelatedPerson {
                client_id: client.id.clone(),
                id: None,
                name: data::RELATIVES[index % data::RELATIVES.len()].to_owned(),
                relation,
                phone: format!("010-{:04}-{:04}", 5200 + index * 11, 1234 + index * 7),
                may_be_told: "Times of appointments".to_owned(),
            })?;
        }
        Ok(client.id)
    }

    /// Each client has a weekly hour of her own. Some sessions are cancelled or missed.
    fn fill_calendar(&self, therapist: &Practising, first_day: NaiveDate) -> Result<Vec<Booked>, AppError> {
        let mut booked = Vec::new();
        for (position, index) in therapist.clients.clone().enumerate() {
            let client = self.client(index)?;
            self.chart(index, position, &client)?;
            let (weekday, hour) = (
                self.working_days()[position % 5],
                [9, 10, 11, 14, 15, 16, 17][position / 5 % 7],
            );
            for week in 0..2 * WEEKS {
                let day = first_day + Days::new(7 * week + weekday);
                let outcome = self.app.book(Book {
                    client_ids: vec![client.clone()],
                    therapist_id: therapist.user.clone(),
                    location_id: None,
                    room_id: Some(therapist.room.clone()),
                    date: day.to_string(),
                    start_time: format!("{hour:02}:00"),
                    duration_minutes: 50,
                    modality: if self.draw(8) == 0 {
                        Modality::Video
                    } else {
                        Modality::InPerson
                    },
                    override_reason: None,
                })?;
                let BookOutcome::Booked { appointment } = outcome else {
                    return Err(internal());
                };
                let end = self.instant(day, &appointment.item.end_time)?;
                booked.push(Booked {
                    id: appointment.item.id,
                    client: client.clone(),
                    day,
                    end,
                });
            }
        }
        Ok(booked)
    }

    /// What became of the past: sessions with notes, and now and then a cancellation or nobody at the door.
    fn document(&self, therapist: &Practising, booked: &[Booked], today: NaiveDate) -> Result<usize, AppError> {
        let mut notes = 0;
        for (number, session) in booked.iter().enumerate().filter(|(_, session)| session.end <= self.now) {
            self.clock.store(session.end.0, Ordering::Relaxed);
            let set = |status| {
                self.app.set_status(SetStatus {
                    id: session.id.clone(),
                    status,
                    reason: None,
                })
            };
            match self.draw(14) {
                0 => {
                    set(AppointmentStatus::NoShow)?;
                    continue;
                }
                1 => {
                    set(AppointmentStatus::LateCancelled)?;
                    continue;
                }
                _ => {}
            }
            set(AppointmentStatus::Completed)?;
            let age = (today - session.day).num_days();
            if age <= 1 && self.draw(3) == 0 {
                continue;
            }
            let note = self.app.create_note(CreateNote {
                client_id: session.client.clone(),
                appointment_id: Some(session.id.clone()),
                template: therapist.template,
            })?;
            let sections = self.sections(&note.sections, number);
            let id = note.summary.id;
            self.app.autosave_note(AutosaveNote {
                id: id.clone(),
                template: therapist.template,
                sections,
            })?;
            notes += 1;
            if age > ALL_SIGNED || self.draw(2) == 0 {
                self.app.sign_note(ById { id })?;
            }
        }
        self.clock.store(self.now.0, Ordering::Relaxed);
        Ok(notes)
    }

    fn sections(&self, empty: &[NoteSection], number: usize) -> Vec<NoteSection> {
        let with_text = |section: &NoteSection, pick: usize| {
            let texts = data::texts(&section.key);
            NoteSection {
                key: section.key.clone(),
                text: texts[(number + pick) % texts.len()].to_owned(),
            }
        };
        let pick = self.draw(5);
        empty.iter().map(|section| with_text(section, pick)).collect()
    }

    /// A chart for some, a prescription for fewer.
    fn chart(&self, index: usize, position: usize, client: &str) -> Result<(), AppError> {
        if position.is_multiple_of(4) {
            self.app.save_chart(SaveChart {
                client_id: client.to_owned(),
                allergies: Some(if position.is_multiple_of(8) {
                    vec!["Penicillin".to_owned()]
                } else {
                    Vec::new()
                }),
                risk: Some(if position.is_multiple_of(12) {
                    crate::dto::RiskLevel::Moderate
                } else {
                    crate::dto::RiskLevel::Low
                }),
                safety_plan: None,
            })?;
        }
        if index % 9 != 2 {
            return Ok(());
        }
        let draft = self.app.save_prescription(SavePrescription {
            id: None,
            client_id: client.to_owned(),
            lines: vec![PrescriptionLine {
                drug: "Sertraline".to_owned(),
                form: "tablet".to_owned(),
                strength: "50 mg".to_owned(),
                dose: "1 tablet".to_owned(),
                route: "by mouth".to_owned(),
                frequency: "once a day".to_owned(),
                duration: "28 days".to_owned(),
                quantity: "28".to_owned(),
                refills: 0,
            }],
            diagnosis: String::new(),
            instructions: "In the morning, with food.".to_owned(),
        })?;
        self.app.issue_prescription(ById { id: draft.summary.id }).map(drop)
    }

    /// The next number of a sequence that only the seed decides, below `sides`.
    fn draw(&self, sides: usize) -> usize {
        let next = self
            .chance
            .get()
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.chance.set(next);
        (next >> 33) as usize % sides
    }

    fn today(&self) -> NaiveDate {
        let zone = time::zone(ZONE).unwrap_or(chrono_tz::UTC);
        crate::views::office::wall_in(self.now, zone).date()
    }

    /// Monday to Friday; on a weekend its day instead of Friday, so that there is always something to see today.
    fn working_days(&self) -> [u64; 5] {
        let today = u64::from(self.today().weekday().num_days_from_monday());
        [0, 1, 2, 3, today.max(4)]
    }

    fn instant(&self, day: NaiveDate, at: &str) -> Result<Millis, AppError> {
        let mut check = checks::Checks::default();
        let (at, zone) = (check.time("time", at), check.zone("zone", ZONE));
        let found = at.zip(zone).and_then(|(at, zone)| time::instant(day, at, zone).ok());
        found.map(|(instant, _)| instant).ok_or_else(internal)
    }

    fn turn_to(&self, day: NaiveDate, at: &str) {
        let zone = time::zone(ZONE).unwrap_or(chrono_tz::UTC);
        let at = time::time_of_day(at).unwrap_or(NaiveTime::MIN);
        if let Ok((instant, _)) = time::instant(day, at, zone) {
            self.clock.store(instant.0, Ordering::Relaxed);
        }
    }
}

fn monday(day: NaiveDate) -> NaiveDate {
    day.week(Weekday::Mon).first_day()
}

/// The demonstration's own data are refused only by a fault of the program.
fn internal() -> AppError {
    AppError {
        code: ErrorCode::Internal,
        fields: Vec::new(),
        retry: false,
    }
}
