//! The people and computers of the simulated practice. Their keys and ids are always the same, so that histories are comparable.

use caseload_domain::{DeviceId, PracticeId, Role, UserId};
use caseload_vault::certificates::{AdminCertificate, Chain, Signed, UserCertificate};
use caseload_vault::{DatabaseKey, SigningKey};
use uuid::Uuid;

/// One person.
pub(crate) struct Person {
    pub(crate) user: UserId,
    pub(crate) role: Role,
    pub(crate) admin: bool,
    pub(crate) key: SigningKey,
    pub(crate) name: &'static str,
}

/// One computer and who works on it.
pub(crate) struct Computer {
    pub(crate) device: DeviceId,
    pub(crate) key: DatabaseKey,
    pub(crate) person: usize,
}

/// The computer of the administrator who is not the owner.
const ADMINISTRATOR: usize = 3;

/// Everybody and everything that takes part.
pub(crate) struct Cast {
    pub(crate) practice: PracticeId,
    pub(crate) root: SigningKey,
    pub(crate) people: Vec<Person>,
    pub(crate) computers: Vec<Computer>,
}

/// Fixed ids that sort before every id that is made later.
fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0180_0000_0000_7000_8000_0000_0000_0000 + number)
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&[number; 32])
}

impl Cast {
    pub(crate) fn new() -> Self {
        let people = [
            ("owner", Role::Therapist, true),
            ("therapist", Role::Therapist, false),
            ("desk", Role::FrontDesk, false),
            ("administrator", Role::Admin, true),
        ];
        let people: Vec<Person> = (1..)
            .zip(people)
            .map(|(number, (name, role, admin))| Person {
                user: UserId::new(id(u128::from(number))),
                role,
                admin,
                key: key(number),
                name,
            })
            .collect();
        // The therapist has two computers, so that one person meets herself.
        let computers = (1..)
            .zip([0, 2, 1, 3, 1])
            .map(|(number, person)| Computer {
                device: DeviceId::new(id(100 + u128::from(number))),
                key: DatabaseKey::from_bytes(&[number; DatabaseKey::LEN]),
                person,
            })
            .collect();
        Self {
            practice: PracticeId::new(id(0)),
            root: key(200),
            people,
            computers,
        }
    }

    pub(crate) fn person_of(&self, computer: usize) -> &Person {
        &self.people[self.computers[computer].person]
    }

    /// The root's statement that the administrator may bring people in, and her computer.
    pub(crate) fn admin_certificate(&self) -> (&Computer, Signed<AdminCertificate>) {
        let computer = &self.computers[ADMINISTRATOR];
        let person = self.person_of(ADMINISTRATOR);
        let statement = AdminCertificate {
            practice: self.practice,
            user: person.user,
            public_key: person.key.public(),
            may_enrol: true,
        };
        (computer, Signed::new(statement, &self.root))
    }

    /// The certificate of the owner on a computer of hers.
    pub(crate) fn chain(&self, computer: usize) -> Chain {
        let (person, computer) = (&self.people[0], &self.computers[computer]);
        let certificate = UserCertificate {
            practice: self.practice,
            user: person.user,
            role: person.role,
            user_key: person.key.public(),
            device: computer.device,
            device_key: SigningKey::of_device(&computer.key).public(),
            enrolment: None,
        };
        Chain::of_owner(certificate, &self.root)
    }
}
