//! Publishing a practice to its service, and bringing people and computers to it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caseload_domain::{DeviceId, EntityKey, UserId};
use caseload_protocol::auth::{ClaimRequest, MintRequest, OpenEnrolmentRequest, OpenEnrolmentResponse, RedeemRequest};
use caseload_protocol::messages::WireErrorCode;
use caseload_sync::TransportError;
use caseload_sync::session::{claim, open_enrolment, redeem};
use caseload_vault::certificates::{AdminCertificate, Authorisation, Chain, Signed, verify_chain};
use caseload_vault::enrolment::{EnrolmentCode, Invitation, LIFETIME_MS, Parcel, TlsPin};
use caseload_vault::passphrase::Passphrase;
use caseload_vault::recovery::RecoveryCode;
use caseload_vault::vault::{Joining, NewUser};
use caseload_vault::{Unlocked, Vault};
use serde_json::{Value, json};

use crate::app::{App, Core, lock};
use crate::checks::Checks;
use crate::dto::{
    AppError, Enrolment, EnrolmentKind, ErrorCode, FieldProblem, Instant, Join, MintEnrolment, Publish, Status,
    SyncOverview,
};
use crate::env::Sharing;
use crate::fault::{Fault, answer};
use crate::login::{Login, chain_of, setting};
use crate::people::{self, NewStaff, certificate_key, role_named};
use crate::practice::{certificate, new_stores, require_empty};
use crate::recovery::PendingRecovery;
use crate::sharing::{self, on_own_threads, pin_of, pin_text, session, transport};
use crate::views::office::{Office, role};
use crate::vouching::{self, Signer};
use crate::{files, unlock};

impl App {
    /// Publishes the practice to a service that has none, with the service's setup code, and shares everything. The owner has to be signed in.
    ///
    /// # Errors
    /// `setup_code_refused`, `already_published`, `insecure_address`, `pin_mismatch`, `offline`, `forbidden`. Then nothing is published.
    pub async fn publish(&self, request: Publish) -> Result<SyncOverview, AppError> {
        let login = answer("publish", self.core.login())?;
        let done = on_own_threads(&self.core, &login, |core, login| publish(core, login, request)).await;
        answer("publish", done)?;
        self.sync_overview()
    }

    /// Leaves an enrolment at the service and gives the line for the newcomer; it is used once, within ten minutes. Everybody may add computers of
    /// their own; people are added by the owner and by administrators for whom a computer of the owner has vouched.
    ///
    /// # Errors
    /// `not_published`, `forbidden`, `not_vouched_for`, `invalid_fields`, `clock_skewed`, `offline`.
    pub async fn mint_enrolment(&self, request: MintEnrolment) -> Result<Enrolment, AppError> {
        let login = answer("mint_enrolment", self.core.login())?;
        answer(
            "mint_enrolment",
            on_own_threads(&self.core, &login, |core, login| mint(core, login, request)).await,
        )
    }

    /// Joins a practice with an enrolment line, on a computer that has none. The new person is signed in; somebody whose keys are new has a
    /// recovery code from then on, which is shown until two of its groups were typed back.
    ///
    /// # Errors
    /// `practice_exists`, `code_malformed`, `code_expired`, `code_refused`, `pin_mismatch`, `offline`, `invalid_fields`. Then nothing is left behind.
    pub async fn join(&self, request: Join) -> Result<Status, AppError> {
        let core = Arc::clone(&self.core);
        let joined = self.core.handle.spawn(async move { join(&core, request).await }).await;
        answer("join", joined.map_err(Fault::from).and_then(|joined| joined))?;
        self.status()
    }
}

async fn publish(core: Arc<Core>, login: Arc<Login>, request: Publish) -> Result<(), Fault> {
    let practice_name = login
        .office
        .read(|read| Ok::<_, Fault>(Office::read(read, core.now())?.practice_name))?;
    let device_name = device_name(&core, &login)?;
    if lock(&login.vault).identity().root_signing.is_none() {
        return Err(ErrorCode::Forbidden.into());
    }
    if login.published()? {
        return Err(ErrorCode::AlreadyPublished.into());
    }
    let mut check = Checks::default();
    check.line("address", &request.address);
    check.line("setupCode", &request.setup_code);
    let given_pin = request.pin.as_deref().map(str::trim).filter(|pin| !pin.is_empty());
    let pin = given_pin.and_then(pin_of);
    if given_pin.is_some() && pin.is_none() {
        check.problem("pin", FieldProblem::Malformed);
    }
    check.done()?;
    let address = request.address.trim().trim_end_matches('/').to_owned();
    let transport = transport(&address, pin)?;
    let claimed = ClaimRequest {
        setup_code: request.setup_code.trim().to_owned(),
        practice: login.practice,
        practice_name,
        root_key: login.root.to_string(),
        chain: own_chain_value(&login)?,
        device_name,
    };
    claim(&transport, &claimed).await.map_err(setup_code_refused)?;
    keep_service(&login, &address, pin)?;
    admit_people_here(&core, &login, &transport).await?;
    let shared = sharing::share(Arc::clone(&core), Arc::clone(&login)).await;
    if core.env.sharing == Sharing::InBackground {
        sharing::start(&core, &login);
    }
    shared.map(drop)
}

fn setup_code_refused(error: TransportError) -> Fault {
    match error.code() {
        Some(WireErrorCode::CodeUnknown | WireErrorCode::CodeExpired) => ErrorCode::SetupCodeRefused.into(),
        _ => error.into(),
    }
}

fn device_name(core: &Core, login: &Login) -> Result<String, Fault> {
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let own = office.device_name(&login.device.to_string());
        Ok(own.unwrap_or_else(|| office.staff_name(&login.user.to_string())))
    })
}

fn keep_service(login: &Login, address: &str, pin: Option<TlsPin>) -> Result<(), Fault> {
    login
        .office
        .set_setting(setting::PIN, pin.and_then(pin_text).as_deref())?;
    Ok(login.office.set_setting(setting::ADDRESS, Some(address))?)
}

fn own_chain(login: &Login) -> Result<Chain, Fault> {
    chain_of(&own_chain_value(login)?).ok_or(Fault::Rule(ErrorCode::KeysDamaged))
}

fn own_chain_value(login: &Login) -> Result<Value, Fault> {
    let own = login
        .office
        .read(|read| read.get(&certificate_key(login.user, login.device)))?;
    own.and_then(|own| own.doc.unit("chain").cloned())
        .ok_or(Fault::Rule(ErrorCode::KeysDamaged))
}

/// Makes the people known who were added to this computer before there was a service: the owner vouched for them already.
async fn admit_people_here(core: &Core, login: &Login, transport: &sharing::Transport) -> Result<(), Fault> {
    let (people, names) = login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        Ok::<_, Fault>((read.list("certificate")?, office))
    })?;
    let session = session(login, Arc::clone(transport));
    let device_name = device_name(core, login)?;
    for certificate in people {
        let Some(value) = certificate.doc.unit("chain") else {
            continue;
        };
        let Some(chain) = chain_of(value) else { continue };
        let Some(authorisation) = &chain.authorisation else {
            continue;
        };
        let Ok(person) = verify_chain(&login.root, &chain, Some(core.now().0)) else {
            continue;
        };
        let stated = authorisation.statement();
        let request = MintRequest {
            id: stated.enrolment.to_string(),
            authorisation: serde_json::to_value(authorisation).map_err(|_| ErrorCode::Internal)?,
            admin_certificate: Value::Null,
            sealed_bundle: None,
            user_name: names.staff_name(&person.user.to_string()),
            expires_ms: core.now().0 + LIFETIME_MS,
        };
        session.mint(&request).await?;
        let request = RedeemRequest {
            practice: login.practice,
            id: request.id,
            chain: value.clone(),
            device_name: device_name.clone(),
        };
        redeem(transport, &request).await?;
    }
    Ok(())
}

async fn mint(core: Arc<Core>, login: Arc<Login>, request: MintEnrolment) -> Result<Enrolment, Fault> {
    let address = login.office.setting(setting::ADDRESS)?.ok_or(ErrorCode::NotPublished)?;
    let pin = login.office.setting(setting::PIN)?.as_deref().and_then(pin_of);
    let code = EnrolmentCode::random();
    let whom = match request.kind {
        EnrolmentKind::OwnComputer => own_computer(&core, &login, &code)?,
        EnrolmentKind::Person => person(&core, &login, &request, &code).await?,
    };
    // What was written about the newcomer has to be at the service before she comes.
    sharing::share(Arc::clone(&core), Arc::clone(&login)).await?;
    let connection = sharing::connection(&login).await?;
    let minted = MintRequest {
        id: code.id().to_string(),
        authorisation: serde_json::to_value(&whom.authorisation).map_err(|_| ErrorCode::Internal)?,
        admin_certificate: serde_json::to_value(&whom.admin_certificate).map_err(|_| ErrorCode::Internal)?,
        sealed_bundle: Some(whom.sealed),
        user_name: whom.name,
        expires_ms: whom.authorisation.statement().expires_at_ms,
    };
    connection.session.mint(&minted).await.map_err(born_expired)?;
    let stated = whom.authorisation.statement();
    let invitation = Invitation {
        address,
        practice: login.practice,
        pin,
        user: stated.user,
        practice_root: login.root,
        code,
    };
    Ok(Enrolment {
        code: invitation.line()?.to_string(),
        kind: request.kind,
        role: role(stated.role.as_str()),
        expires_at: Instant(stated.expires_at_ms),
    })
}

/// A code that is over before it was left was dated by a clock that is behind.
fn born_expired(error: TransportError) -> Fault {
    match error.code() {
        Some(WireErrorCode::CodeExpired) => ErrorCode::ClockSkewed.into(),
        _ => error.into(),
    }
}

/// Whom a code is for, with what only its holder can open.
struct Whom {
    name: String,
    authorisation: Signed<Authorisation>,
    /// What the root says about who signed, where the root did not sign itself.
    admin_certificate: Option<Signed<AdminCertificate>>,
    sealed: String,
}

/// Another computer of the person signed in: her keys travel sealed under the half of the code that is never sent.
fn own_computer(core: &Core, login: &Login, code: &EnrolmentCode) -> Result<Whom, Fault> {
    let name = login
        .office
        .read(|read| Ok::<_, Fault>(Office::read(read, core.now())?.staff_name(&login.user.to_string())))?;
    let authorisation = authorisation(core, login, code, login.user, login.role, login.admin);
    let authorisation = Signed::new(authorisation, &login.signing);
    let parcel = Parcel {
        user: login.user,
        practice_root: login.root,
        keys: Some(lock(&login.vault).portable_keys()),
    };
    let sponsor = serde_json::to_vec(&own_chain(login)?.as_sponsor()).map_err(|_| ErrorCode::Internal)?;
    let sealed = code.seal_parcel(login.practice, &parcel);
    Ok(Whom {
        name,
        authorisation,
        admin_certificate: None,
        sealed: format!("{}.{}", URL_SAFE_NO_PAD.encode(sealed), URL_SAFE_NO_PAD.encode(sponsor)),
    })
}

/// Somebody new. The practice's root signs for people, which the owner has, or an administrator for whom the root vouched.
async fn person(
    core: &Arc<Core>,
    login: &Arc<Login>,
    request: &MintEnrolment,
    code: &EnrolmentCode,
) -> Result<Whom, Fault> {
    let signer = signer(core, login).await?;
    let name = request.full_name.as_deref().unwrap_or_default().trim().to_owned();
    let mut check = Checks::default();
    check.line("fullName", &name);
    if request.role.is_none() {
        check.problem("role", FieldProblem::Required);
    }
    check.done()?;
    let role = request.role.map(role_named).ok_or(ErrorCode::InvalidRequest)?;
    let admin = role == caseload_domain::Role::Admin;
    let user = invited(core, login, &name, role, admin)?;
    let authorisation = Signed::new(authorisation(core, login, code, user, role, admin), signer.key());
    let parcel = Parcel {
        user,
        practice_root: login.root,
        keys: None,
    };
    let sealed = URL_SAFE_NO_PAD.encode(code.seal_parcel(login.practice, &parcel));
    Ok(Whom {
        name,
        authorisation,
        admin_certificate: signer.certificate().cloned(),
        sealed,
    })
}

/// How this person signs for newcomers. What the owner's computer said about her may be at the service and not here yet.
async fn signer(core: &Arc<Core>, login: &Arc<Login>) -> Result<Signer, Fault> {
    if let Some(signer) = vouching::signer(login)? {
        return Ok(signer);
    }
    sharing::share(Arc::clone(core), Arc::clone(login)).await?;
    vouching::signer(login)?.ok_or(Fault::Rule(ErrorCode::NotVouchedFor))
}

/// Writes the newcomer down; somebody who was invited before and has not come is the same person.
fn invited(core: &Core, login: &Login, name: &str, role: caseload_domain::Role, admin: bool) -> Result<UserId, Fault> {
    core.write_office(login, "staff.invite", |tx| {
        let waiting = tx.staff()?.into_iter().find(|person| {
            person.doc.text("status", "state") == Some("invited")
                && person.doc.text("name", "display") == Some(name)
                && person.doc.text("role", "role") == Some(role.as_str())
        });
        if let Some(waiting) = waiting {
            return Ok(UserId::new(waiting.key.id.uuid()));
        }
        let user = UserId::new(tx.new_id().uuid());
        people::create_staff(
            tx,
            &NewStaff {
                user,
                name,
                role,
                admin,
                licence: "",
                state: "invited",
            },
        )?;
        Ok(user)
    })
}

fn authorisation(
    core: &Core,
    login: &Login,
    code: &EnrolmentCode,
    user: UserId,
    role: caseload_domain::Role,
    admin: bool,
) -> Authorisation {
    Authorisation {
        practice: login.practice,
        enrolment: code.id(),
        user,
        role,
        admin,
        enrolment_key: code.signing_key().public(),
        expires_at_ms: core.now().0 + LIFETIME_MS,
    }
}

async fn join(core: &Arc<Core>, request: Join) -> Result<(), Fault> {
    require_empty(core)?;
    let invitation = Invitation::parse(&request.code)?;
    let transport = transport(&invitation.address, invitation.pin)?;
    let opened = OpenEnrolmentRequest {
        practice: invitation.practice,
        id: invitation.code.id().to_string(),
    };
    let left = open_enrolment(&transport, &opened).await?;
    let (authorisation, admin) = checked_authorisation(&invitation, &left)?;
    let (joining, sponsor) = parcel(&invitation, &left)?;
    let name = match request.full_name.as_deref().map(str::trim) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => left.user_name.clone(),
    };
    let passphrase = Passphrase::chosen(&request.passphrase, &[&name, &left.practice_name])?;
    let stated = authorisation.statement();
    let person = NewUser {
        practice: invitation.practice,
        device: DeviceId::new(core.env.uuid()),
        user: stated.user,
        name,
        role: stated.role,
    };
    let user = person.user;
    // Deriving the key takes most of a second.
    let (blocking, kdf) = (Arc::clone(core), core.env.kdf);
    let made =
        tokio::task::spawn_blocking(move || Vault::join_device(&blocking.profile, person, joining, &passphrase, kdf))
            .await?;
    let (vault, recovery) = made?;
    let chain = Chain {
        admin,
        sponsor,
        authorisation: Some(authorisation),
        user: own_certificate(&vault, &invitation),
    };
    let joined = enter(core, vault, recovery, &request, &invitation, chain, &transport).await;
    let login = joined.inspect_err(|_| files::remove_new(&core.profile, user))?;
    keep_service(&login, &invitation.address, invitation.pin)?;
    unlock::begin(core, login)?;
    // The newcomer's first view of the practice; without a network it comes later by itself.
    let login = core.login()?;
    let shared = sharing::share(Arc::clone(core), Arc::clone(&login)).await;
    match shared {
        Ok(_) => {}
        Err(fault) if fault.code().0 == ErrorCode::Offline => return Ok(()),
        Err(fault) => return Err(fault),
    }
    let Some(licence) = request
        .licence
        .as_deref()
        .map(str::trim)
        .filter(|licence| !licence.is_empty())
    else {
        return Ok(());
    };
    let own = EntityKey::new("staff_member", login.user.entity());
    core.write_office(&login, "staff.licence", |tx| {
        Ok(tx.overlay_unit(&own, "professional", json!({"licence": licence}))?)
    })
}

/// The authorisation as somebody entitled signed it, for this code, not for another and not by the service. Whether it has expired is for the
/// service's clock to say: this computer's may be wrong.
fn checked_authorisation(
    invitation: &Invitation,
    left: &OpenEnrolmentResponse,
) -> Result<(Signed<Authorisation>, Option<Signed<AdminCertificate>>), Fault> {
    let refused = |_| Fault::Rule(ErrorCode::CodeRefused);
    let authorisation: Signed<Authorisation> = serde_json::from_value(left.authorisation.clone()).map_err(refused)?;
    let admin: Option<Signed<AdminCertificate>> =
        serde_json::from_value(left.admin_certificate.clone()).map_err(refused)?;
    let stated = authorisation.statement();
    let fits = stated.practice == invitation.practice
        && stated.user == invitation.user
        && stated.enrolment == invitation.code.id()
        && stated.enrolment_key == invitation.code.signing_key().public()
        && left.root_key == invitation.practice_root.to_string();
    if !fits {
        return Err(ErrorCode::CodeRefused.into());
    }
    Ok((authorisation, admin))
}

/// What came sealed: for a person's own next computer her keys, and the chain of the computer that vouches.
fn parcel(invitation: &Invitation, left: &OpenEnrolmentResponse) -> Result<(Joining, Option<Box<Chain>>), Fault> {
    let malformed = || Fault::Rule(ErrorCode::CodeRefused);
    let Some(text) = &left.sealed_bundle else {
        return Ok((
            Joining::New {
                practice_root: invitation.practice_root,
            },
            None,
        ));
    };
    let (sealed, sponsor) = text.split_once('.').unwrap_or((text, ""));
    let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| malformed())?;
    let parcel = invitation.code.open_parcel(invitation.practice, &sealed)?;
    if parcel.user != invitation.user || parcel.practice_root != invitation.practice_root {
        return Err(malformed());
    }
    match parcel.keys {
        None => Ok((
            Joining::New {
                practice_root: parcel.practice_root,
            },
            None,
        )),
        Some(keys) => {
            let sponsor = URL_SAFE_NO_PAD.decode(sponsor).map_err(|_| malformed())?;
            let sponsor: Chain = serde_json::from_slice(&sponsor).map_err(|_| malformed())?;
            Ok((Joining::Carried(Box::new(keys)), Some(Box::new(sponsor))))
        }
    }
}

fn own_certificate(
    vault: &Vault<Unlocked>,
    invitation: &Invitation,
) -> Signed<caseload_vault::certificates::UserCertificate> {
    let shown = vault.users().into_iter().find(|shown| shown.user == vault.user());
    let role = shown.map_or(caseload_domain::Role::FrontDesk, |shown| shown.role);
    let mut statement = certificate(vault, role);
    statement.enrolment = Some(invitation.code.id());
    Signed::new(statement, &invitation.code.signing_key())
}

/// Makes the files, registers the newcomer, and writes down who she is and which computer this is.
async fn enter(
    core: &Arc<Core>,
    vault: Vault<Unlocked>,
    recovery: Option<RecoveryCode>,
    request: &Join,
    invitation: &Invitation,
    chain: Chain,
    transport: &sharing::Transport,
) -> Result<Login, Fault> {
    let verified = verify_chain(&invitation.practice_root, &chain, None)?;
    let (office, clinical) = new_stores(core, &vault, [0, 0])?;
    if recovery.is_some() {
        office.set_setting(setting::RECOVERY_PENDING, Some(&vault.user().to_string()))?;
    }
    let shown = vault.users().into_iter().find(|shown| shown.user == vault.user());
    let name = people::device_name(
        request.device_name.as_deref(),
        &shown.map(|shown| shown.name).unwrap_or_default(),
    );
    let redeemed = RedeemRequest {
        practice: invitation.practice,
        id: invitation.code.id().to_string(),
        chain: serde_json::to_value(&chain).map_err(|_| ErrorCode::Internal)?,
        device_name: name.clone(),
    };
    redeem(transport, &redeemed).await?;
    let mut login = Login::new(vault, office, clinical)?;
    login.admin = verified.admin;
    *lock(&login.recovery) = recovery.map(|code| PendingRecovery::new(core, code));
    core.write_office(&login, "device.join", |tx| {
        people::create_certificate(tx, login.user, login.device, &chain)?;
        people::create_device(tx, &login, &name)
    })?;
    Ok(login)
}
