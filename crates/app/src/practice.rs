//! The practice, its places, and the first run that makes it.

use std::sync::Arc;

use caseload_domain::{DeviceId, Document, EntityKey, PracticeId, Role, UserId};
use caseload_store::{FileKind, Identity, Store};
use caseload_vault::certificates::{Chain, UserCertificate};
use caseload_vault::heads::DatabaseFile;
use caseload_vault::passphrase::Passphrase;
use caseload_vault::recovery::RecoveryCode;
use caseload_vault::vault::NewUser;
use caseload_vault::{Unlocked, Vault};
use serde_json::{Map, Value, json};

use crate::app::{App, Core, lock};
use crate::checks::{self, Checks};
use crate::dto::{
    AppError, CreatePractice, ErrorCode, FieldProblem, Location, Practice, RecoveryKit, Room, SaveLocation,
};
use crate::fault::{Fault, answer};
use crate::login::{Login, new_entity, new_replica, setting};
use crate::people::{self, NewStaff};
use crate::recovery::{self, PendingRecovery};
use crate::views::office::{Office, rooms_of};
use crate::{files, unlock};

/// Hours before the start until which a cancellation is in time, where a practice has not said otherwise.
pub(crate) const LATE_CANCEL_HOURS: i64 = 24;

/// The currencies of ISO 4217 that are in use.
const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF \
     CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD \
     IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR \
     MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC \
     SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW";

/// Digits after the decimal point of a currency's minor unit.
fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

impl App {
    /// First run, offline: makes the practice, its owner with her keys, and this computer's files. She is signed in, and the recovery code has
    /// still to be confirmed.
    ///
    /// # Errors
    /// `practice_exists`, `invalid_fields`, `disk_error`. Then nothing is left behind.
    pub fn create_practice(&self, request: CreatePractice) -> Result<RecoveryKit, AppError> {
        answer("create_practice", create(&self.core, &request))
    }

    /// The practice with its places.
    ///
    /// # Errors
    /// `locked`.
    pub fn practice(&self) -> Result<Practice, AppError> {
        answer(
            "practice",
            self.core.login().and_then(|login| practice(&self.core, &login)),
        )
    }

    /// Changes a place's letterhead and rooms. Administrators only.
    ///
    /// # Errors
    /// `forbidden`, `invalid_fields`, `not_found`.
    pub fn save_location(&self, request: SaveLocation) -> Result<Practice, AppError> {
        let done = self.core.login().and_then(|login| {
            save_location(&self.core, &login, &request)?;
            practice(&self.core, &login)
        });
        answer("save_location", done)
    }
}

/// A folder in which a practice can begin.
pub(crate) fn require_empty(core: &Core) -> Result<(), Fault> {
    if files::has_keys(&core.profile) {
        return Err(ErrorCode::PracticeExists.into());
    }
    if files::has_database(&core.profile) {
        return Err(ErrorCode::KeysMissing.into());
    }
    Ok(())
}

fn create(core: &Arc<Core>, request: &CreatePractice) -> Result<RecoveryKit, Fault> {
    require_empty(core)?;
    let mut check = Checks::default();
    check.line("practiceName", &request.practice_name);
    check.line("locationName", &request.location_name);
    check.line("fullName", &request.full_name);
    check.zone("zone", &request.zone);
    if !CURRENCIES.split_whitespace().any(|code| code == request.currency) {
        check.problem("currency", FieldProblem::UnknownCurrency);
    }
    check.done()?;
    let passphrase = Passphrase::chosen(&request.passphrase, &[&request.full_name, &request.practice_name])?;
    let owner = NewUser {
        practice: PracticeId::new(core.env.uuid()),
        device: DeviceId::new(core.env.uuid()),
        user: UserId::new(core.env.uuid()),
        name: request.full_name.trim().to_owned(),
        role: Role::Therapist,
    };
    let user = owner.user;
    let (vault, code) = Vault::create_practice_owner(&core.profile, owner, &passphrase, core.env.kdf)?;
    fill(core, vault, request, code).inspect_err(|_| files::remove_new(&core.profile, user))
}

fn fill(
    core: &Arc<Core>,
    vault: Vault<Unlocked>,
    request: &CreatePractice,
    code: RecoveryCode,
) -> Result<RecoveryKit, Fault> {
    let (office, clinical) = new_stores(core, &vault, [1, 2])?;
    let root = vault.identity().root_signing.clone().ok_or(ErrorCode::Internal)?;
    let chain = Chain::of_owner(certificate(&vault, Role::Therapist), &root);
    office.set_setting(setting::RECOVERY_PENDING, Some(&vault.user().to_string()))?;
    let mut login = Login::new(vault, office, clinical)?;
    login.admin = true;
    core.write_office(&login, "practice.create", |tx| {
        let practice = document([
            ("root", json!({"public_key": login.root})),
            ("name", json!({"display": request.practice_name.trim()})),
            ("zone", json!({"tz": request.zone})),
            (
                "currency",
                json!({"code": request.currency, "minor": minor_digits(&request.currency)}),
            ),
            ("policy", json!({"late_cancel_hours": LATE_CANCEL_HOURS})),
        ]);
        tx.create(&EntityKey::new("practice", login.practice.entity()), practice)?;
        let location = document([
            ("name", json!({"display": request.location_name.trim()})),
            ("zone", json!({"tz": request.zone})),
            ("rooms", json!({})),
        ]);
        tx.create_new("location", location)?;
        let owner = NewStaff {
            user: login.user,
            name: request.full_name.trim(),
            role: Role::Therapist,
            admin: true,
            licence: request.licence.as_deref().unwrap_or_default(),
            state: "active",
        };
        people::create_staff(tx, &owner)?;
        let name = people::device_name(request.device_name.as_deref(), request.full_name.trim());
        people::create_device(tx, &login, &name)?;
        people::create_certificate(tx, login.user, login.device, &chain)
    })?;
    *lock(&login.recovery) = Some(PendingRecovery::new(core, code));
    let kit = recovery::kit(core, &login)?;
    unlock::begin(core, login)?;
    Ok(kit)
}

/// The statement that the person of an unlocked vault works with her key on this computer.
pub(crate) fn certificate(vault: &Vault<Unlocked>, role: Role) -> UserCertificate {
    UserCertificate {
        practice: vault.practice(),
        user: vault.user(),
        role,
        user_key: vault.identity().signing.public(),
        device: vault.device(),
        device_key: vault.device_signing().public(),
        enrolment: None,
    }
}

/// Makes the files of an unlocked vault: office, and clinical where her role has one. `numbers` are their replica numbers; 0 until the service
/// has given one.
pub(crate) fn new_stores(
    core: &Core,
    vault: &Vault<Unlocked>,
    numbers: [i64; 2],
) -> Result<(Store, Option<Store>), Fault> {
    let make = |file: DatabaseFile, kind: FileKind, number: i64| -> Result<Option<Store>, Fault> {
        let Some(key) = vault.database_key(file) else {
            return Ok(None);
        };
        let identity = Identity {
            practice: vault.practice(),
            device: vault.device(),
            kind,
            replica: new_replica(),
            replica_number: number,
        };
        let path = files::database(&core.profile, file, vault.user());
        Ok(Some(Store::create(&path, key, &identity, core.env.entropy())?))
    };
    let office = make(DatabaseFile::Office, FileKind::Office, numbers[0])?.ok_or(ErrorCode::Internal)?;
    let clinical = make(DatabaseFile::Clinical, FileKind::Clinical(vault.user()), numbers[1])?;
    Ok((office, clinical))
}

/// A document of these units.
pub(crate) fn document<const N: usize>(units: [(&str, Value); N]) -> Document {
    Document::new(
        units
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

fn practice(core: &Core, login: &Login) -> Result<Practice, Fault> {
    let published = login.published()?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let locations = read.locations()?;
        let locations: Vec<Location> = locations
            .iter()
            .map(|location| Location {
                id: location.key.id.to_string(),
                name: location.doc.text("name", "display").unwrap_or_default().to_owned(),
                zone: location.doc.text("zone", "tz").unwrap_or_default().to_owned(),
                address: location.doc.text("address", "text").unwrap_or_default().to_owned(),
                phone: location.doc.text("contact", "phone").unwrap_or_default().to_owned(),
                rooms: rooms_of(location)
                    .into_iter()
                    .map(|(id, name)| Room { id, name })
                    .collect(),
            })
            .collect();
        Ok(Practice {
            id: login.practice.to_string(),
            name: office.practice_name.clone(),
            currency: office.currency.clone(),
            published,
            address: login.office.setting(setting::ADDRESS)?,
            locations,
        })
    })
}

fn save_location(core: &Core, login: &Login, request: &SaveLocation) -> Result<(), Fault> {
    login.require_admin()?;
    let key = EntityKey::new("location", checks::id(&request.id)?);
    let mut check = Checks::default();
    check.line("name", &request.name);
    check.short("phone", &request.phone);
    for (index, room) in request.rooms.iter().enumerate() {
        check.line(&format!("rooms.{index}.name"), &room.name);
    }
    check.done()?;
    core.write_office(login, "location.save", |tx| {
        let present = tx
            .get(&key)?
            .filter(|entity| !entity.deleted)
            .ok_or(ErrorCode::NotFound)?;
        tx.overlay_unit(&key, "name", json!({"display": request.name.trim()}))?;
        tx.overlay_unit(&key, "address", json!({"text": request.address.trim()}))?;
        tx.overlay_unit(&key, "contact", json!({"phone": request.phone.trim()}))?;
        let mut kept = Vec::new();
        for room in &request.rooms {
            let id = match &room.id {
                Some(id) => checks::reference::<caseload_domain::EntityId>("rooms", id)?.to_string(),
                None => new_entity(&core.env).to_string(),
            };
            tx.add_element(&key, "rooms", &id, json!({"name": room.name.trim()}))?;
            kept.push(id);
        }
        for (id, _) in rooms_of(&present) {
            if !kept.contains(&id) {
                tx.remove_element(&key, "rooms", &id)?;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_is_one_of_iso_4217_and_knows_its_minor_unit() {
        assert!(CURRENCIES.split_whitespace().all(|code| code.len() == 3));
        assert_eq!(
            [minor_digits("KRW"), minor_digits("EUR"), minor_digits("KWD")],
            [0, 2, 3]
        );
    }
}
