//! Sharing with the practice's service: one round over both files, the background task that makes rounds, and what is said about it.
//!
//! The office file goes first, because the service decides by it who may write clinical content. With nobody unlocked nothing is shared.

mod background;
mod files;
mod overview;

use std::sync::{Arc, Mutex};

use caseload_domain::EntityKey;
use caseload_protocol::auth::{RegisterReplicaRequest, ReplicaKind};
use caseload_store::{RefusedGroup, Store};
use caseload_sync::engine::{Engine, Round};
use caseload_sync::{HttpTransport, Identity, Session, SharedTransport};
use caseload_vault::enrolment::{TlsPin, check_address};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::app::{App, Core, Event, lock};
use crate::checks;
use crate::dto::{
    AppError, ById, Checksum, ErrorCode, ReplicaKind as ShownKind, ScopeChecksum, SyncOverview, SyncState,
};
use crate::fault::{Fault, answer};
use crate::login::{Login, new_replica, setting};
use crate::people::device_key;
use crate::reoffers;
use crate::views::office::Office;
use crate::vouching;

pub(crate) use background::{drain, start, stop};
pub(crate) use files::fetch as fetch_files;
pub(crate) use overview::{leave_count, overview, refused};

/// What a login knows of its service.
pub(crate) struct Link {
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
    /// One round at a time over both files.
    round: tokio::sync::Mutex<()>,
    /// Held while files are moved in the background, beside the rounds.
    moving: Arc<tokio::sync::Mutex<()>>,
    pub(crate) state: Mutex<LinkState>,
    /// Held while something is announced.
    pub(crate) telling: Mutex<()>,
    stop: watch::Sender<bool>,
}

/// How sharing stands.
#[derive(Clone, Copy, Default)]
pub(crate) struct LinkState {
    /// None until something was tried.
    pub(crate) state: Option<SyncState>,
    pub(crate) problem: Option<ErrorCode>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            connection: tokio::sync::Mutex::new(None),
            round: tokio::sync::Mutex::new(()),
            moving: Arc::default(),
            state: Mutex::new(LinkState::default()),
            telling: Mutex::new(()),
            stop: watch::Sender::new(false),
        }
    }
}

/// A signed-in connection and the engines of the files.
pub(crate) struct Connection {
    pub(crate) session: Arc<Session>,
    pub(crate) office: Engine,
    clinical: Option<Engine>,
}

impl App {
    /// How sharing stands.
    ///
    /// # Errors
    /// `locked`.
    pub fn sync_overview(&self) -> Result<SyncOverview, AppError> {
        answer(
            "sync_overview",
            self.core.login().and_then(|login| overview(&self.core, &login)),
        )
    }

    /// Shares everything that waits and takes in everything that is new.
    ///
    /// # Errors
    /// `not_published`, `offline`, and what the service refuses. What was acknowledged until then stays.
    pub async fn share_now(&self) -> Result<SyncOverview, AppError> {
        let login = answer("share_now", self.core.login())?;
        answer("share_now", on_own_threads(&self.core, &login, share).await)?;
        answer("share_now", on_own_threads(&self.core, &login, files::move_all).await)?;
        self.sync_overview()
    }

    /// Makes a refused change again, on the versions that its author had seen, and shares it.
    ///
    /// # Errors
    /// `not_found`; what the rules refuse again.
    pub async fn retry_refused(&self, request: ById) -> Result<SyncOverview, AppError> {
        let login = answer("retry_refused", self.core.login())?;
        answer("retry_refused", retry(&self.core, &login, &request.id))?;
        let shared = on_own_threads(&self.core, &login, share).await;
        if let Err(fault) = shared
            && fault.code().0 != ErrorCode::Offline
        {
            return answer("retry_refused", Err(fault));
        }
        self.sync_overview()
    }

    /// Throws a refused change away for good: what it was about is shown as the service has it. The audit trail says who did so and when.
    /// Whoever made the change may, and an administrator.
    ///
    /// # Errors
    /// `not_found`, `forbidden`.
    pub fn discard_refused(&self, request: ById) -> Result<SyncOverview, AppError> {
        let done = self.core.login().and_then(|login| {
            discard(&self.core, &login, &request.id)?;
            overview(&self.core, &login)
        });
        answer("discard_refused", done)
    }

    /// Sums over everything held here, recomputed, and the service's sums over the same where it can be asked.
    ///
    /// # Errors
    /// `locked`, `disk_error`. That the service cannot be asked is no error.
    pub async fn checksum(&self) -> Result<Checksum, AppError> {
        let login = answer("checksum", self.core.login())?;
        answer("checksum", on_own_threads(&self.core, &login, sums).await)
    }

    /// Recomputes the audit chains of the files that are open: entries, and the number of the first that does not fit.
    ///
    /// # Errors
    /// `locked`, `disk_error`.
    pub fn verify_audit(&self) -> Result<Vec<crate::dto::AuditVerification>, AppError> {
        answer("verify_audit", self.core.login().and_then(|login| verify_audit(&login)))
    }
}

/// Runs `work` on the program's own threads, so that connections do not depend on where it was asked from.
pub(crate) async fn on_own_threads<T, W, F>(core: &Arc<Core>, login: &Arc<Login>, work: W) -> Result<T, Fault>
where
    T: Send + 'static,
    W: FnOnce(Arc<Core>, Arc<Login>) -> F + Send + 'static,
    F: Future<Output = Result<T, Fault>> + Send + 'static,
{
    core.handle.spawn(work(Arc::clone(core), Arc::clone(login))).await?
}

pub(crate) use caseload_sync::SharedTransport as Transport;

/// A transport to a service, after its address was found usable.
pub(crate) fn transport(address: &str, pin: Option<TlsPin>) -> Result<SharedTransport, Fault> {
    check_address(address)?;
    Ok(Arc::new(HttpTransport::new(address, pin)?))
}

/// The pin in its text form.
pub(crate) fn pin_of(text: &str) -> Option<TlsPin> {
    TlsPin::deserialize(&Value::from(text)).ok()
}

pub(crate) fn pin_text(pin: TlsPin) -> Option<String> {
    serde_json::to_value(pin).ok()?.as_str().map(str::to_owned)
}

/// The connection of a published practice.
pub(crate) async fn connection(login: &Login) -> Result<Arc<Connection>, Fault> {
    let mut kept = login.link.connection.lock().await;
    if let Some(connection) = kept.as_ref() {
        return Ok(Arc::clone(connection));
    }
    let address = login.office.setting(setting::ADDRESS)?.ok_or(ErrorCode::NotPublished)?;
    let pin = login.office.setting(setting::PIN)?.as_deref().and_then(pin_of);
    let session = session(login, transport(&address, pin)?);
    let engine = |store: &Arc<Store>| {
        Engine::new(
            Arc::clone(&session),
            Arc::clone(store),
            concat!("caseload ", env!("CARGO_PKG_VERSION")),
            new_replica,
        )
    };
    let connection = Arc::new(Connection {
        office: engine(&login.office),
        clinical: login.clinical().ok().map(engine),
        session,
    });
    *kept = Some(Arc::clone(&connection));
    Ok(connection)
}

/// A session of the person signed in over `transport`.
pub(crate) fn session(login: &Login, transport: SharedTransport) -> Arc<Session> {
    let device_key = lock(&login.vault).device_signing();
    let identity = Identity {
        practice: login.practice,
        device: login.device,
        user: login.user,
        device_key,
        user_key: login.signing.clone(),
    };
    Arc::new(Session::new(transport, identity))
}

/// One round over both files: everything that waits goes, everything that is new comes. Gives the newest number of the service.
pub(crate) async fn share(core: Arc<Core>, login: Arc<Login>) -> Result<i64, Fault> {
    let _one_at_a_time = login.link.round.lock().await;
    let connection = connection(&login).await?;
    // Said beside the round, because counting what waits takes a while; waited for, so that what is said last is how it ended.
    let (of_core, of_login) = (Arc::clone(&core), Arc::clone(&login));
    let said = tokio::task::spawn_blocking(move || tell(&of_core, &of_login, SyncState::Sharing, None));
    let done = rounds(&core, &login, &connection).await;
    said.await?;
    match &done {
        Ok(round) => finish(&core, &login, round)?,
        Err(fault) => {
            let (code, retry) = fault.code();
            let state = match code {
                ErrorCode::Offline => SyncState::Offline,
                _ if retry => SyncState::Waiting,
                _ => SyncState::Stopped,
            };
            tell(&core, &login, state, Some(code).filter(|_| state == SyncState::Stopped));
        }
    }
    done.map(|round| round.head_seq)
}

async fn rounds(core: &Core, login: &Arc<Login>, connection: &Connection) -> Result<Round, Fault> {
    register(login, connection).await?;
    let mut all = Round::default();
    add(core, &mut all, connection.office.round(core.now()).await?);
    let offered = reoffers::offer(login, &login.office, core.now())?;
    let introduced = introduce(core, login)?;
    let vouched = vouching::vouch(core, login)?;
    if introduced || vouched || offered || reoffers::released(&login.office)? {
        add(core, &mut all, connection.office.round(core.now()).await?);
    }
    if let Some(clinical) = &connection.clinical {
        add(core, &mut all, clinical.round(core.now()).await?);
        let store = login.clinical()?;
        if reoffers::offer(login, store, core.now())? || reoffers::released(store)? {
            add(core, &mut all, clinical.round(core.now()).await?);
        }
    }
    Ok(all)
}

fn add(core: &Core, all: &mut Round, one: Round) {
    core.announcer.changed(&one.changed);
    all.pushed += one.pushed;
    all.pulled += one.pulled;
    all.refused += one.refused;
    all.head_seq = all.head_seq.max(one.head_seq);
    all.clock_skew_ms = one.clock_skew_ms.or(all.clock_skew_ms);
}

/// Makes the files known to the service, the office file first, and takes over the numbers that it gives.
async fn register(login: &Login, connection: &Connection) -> Result<(), Fault> {
    let office = Some((ReplicaKind::Office, &login.office));
    let clinical = login.clinical().ok().map(|clinical| (ReplicaKind::Clinical, clinical));
    for (kind, store) in office.into_iter().chain(clinical) {
        if store.setting(setting::REGISTERED)?.is_some() {
            continue;
        }
        let identity = store.identity()?;
        let request = RegisterReplicaRequest {
            replica: identity.replica,
            kind,
            replaces: None,
        };
        let number = connection.session.register_replica(&request).await?;
        if number != identity.replica_number {
            store.reregister(identity.replica, number)?;
        }
        store.set_setting(setting::REGISTERED, Some("yes"))?;
    }
    Ok(())
}

/// Writes down what others have to know of this person and computer, once the practice's records are here. Gives whether anything was written.
fn introduce(core: &Core, login: &Login) -> Result<bool, Fault> {
    let staff = EntityKey::new("staff_member", login.user.entity());
    let device = device_key(login.device);
    let (invited, missing) = login.office.read(|read| {
        let invited = read
            .get(&staff)?
            .is_some_and(|own| own.doc.text("status", "state") == Some("invited"));
        let known = read
            .get(&device)?
            .and_then(|device| device.doc.unit("replicas").cloned())
            .unwrap_or(Value::Null);
        let stores = [Some(&login.office), login.clinical.as_ref()];
        let mut missing = Vec::new();
        for (store, kind) in stores.into_iter().zip(["office", "clinical"]) {
            let Some(replica) = store
                .map(|store| store.identity())
                .transpose()?
                .map(|own| own.replica.to_string())
            else {
                continue;
            };
            if known.is_object() && known.get(&replica).is_none() {
                missing.push((replica, kind));
            }
        }
        Ok::<_, Fault>((invited, missing))
    })?;
    if !invited && missing.is_empty() {
        return Ok(false);
    }
    core.write_office(login, "staff.introduce", |tx| {
        if invited {
            tx.overlay_unit(&staff, "status", json!({"state": "active"}))?;
        }
        for (replica, kind) in &missing {
            tx.add_element(&device, "replicas", replica, json!({"kind": kind, "user": login.user}))?;
        }
        Ok(true)
    })
}

fn finish(core: &Core, login: &Login, round: &Round) -> Result<(), Fault> {
    let now = core.now().0.to_string();
    for store in [Some(&login.office), login.clinical.as_ref()].into_iter().flatten() {
        store.set_setting(setting::LAST_SUCCESS, Some(&now))?;
    }
    tell(
        core,
        login,
        SyncState::UpToDate,
        round.clock_is_off().then_some(ErrorCode::ClockSkewed),
    );
    Ok(())
}

/// Keeps how sharing stands and announces it. One at a time: what is announced last is what was true last.
pub(crate) fn tell(core: &Core, login: &Login, state: SyncState, problem: Option<ErrorCode>) {
    let _in_order = lock(&login.link.telling);
    *lock(&login.link.state) = LinkState {
        state: Some(state),
        problem,
    };
    match overview(core, login) {
        Ok(overview) => core.announcer.send(Event::Sync(Box::new(overview))),
        Err(fault) => {
            fault.told("sync_overview");
        }
    }
}

fn retry(core: &Core, login: &Login, id: &str) -> Result<(), Fault> {
    let (store, refused) = refused_group(login, id)?;
    core.write(store, login, "sync.retry", |tx| Ok(tx.retry(refused.grp)?))
}

fn discard(core: &Core, login: &Login, id: &str) -> Result<(), Fault> {
    let (store, refused) = refused_group(login, id)?;
    if refused.actor != login.user && !login.admin {
        return Err(ErrorCode::Forbidden.into());
    }
    core.write(store, login, "sync.discard", |tx| Ok(tx.discard(refused.grp)?))
}

/// A refused change and the file that it is in.
fn refused_group<'a>(login: &'a Login, id: &str) -> Result<(&'a Arc<Store>, RefusedGroup), Fault> {
    let group: caseload_domain::GroupId = checks::id(id)?;
    for store in [Some(&login.office), login.clinical.as_ref()].into_iter().flatten() {
        let refused = store.read(|read| read.refused())?;
        if let Some(found) = refused.into_iter().find(|known| known.grp == group) {
            return Ok((store, found));
        }
    }
    Err(ErrorCode::NotFound.into())
}

async fn sums(core: Arc<Core>, login: Arc<Login>) -> Result<Checksum, Fault> {
    let connection = match connection(&login).await {
        Ok(connection) => Some(connection),
        Err(Fault::Rule(ErrorCode::NotPublished)) => None,
        Err(fault) => return Err(fault),
    };
    let name = login
        .office
        .read(|read| Ok::<_, Fault>(Office::read(read, core.now())?.staff_name(&login.user.to_string())))?;
    let office = connection.as_ref().map(|connection| &connection.office);
    let mut scopes = vec![sum(&core, &login.office, office, ShownKind::Office, None).await?];
    if let Ok(clinical) = login.clinical() {
        let engine = connection.as_ref().and_then(|connection| connection.clinical.as_ref());
        scopes.push(sum(&core, clinical, engine, ShownKind::Clinical, Some(name)).await?);
    }
    Ok(Checksum { scopes })
}

/// The sum of one file. Where both ends differ, what differs was fetched again, and the sums are compared once more. How much that was is
/// said, because afterwards both are equal whatever was wrong.
async fn sum(
    core: &Core,
    store: &Store,
    engine: Option<&Engine>,
    kind: ShownKind,
    owner_name: Option<String>,
) -> Result<ScopeChecksum, Fault> {
    let (mut service, mut repaired) = (None, 0);
    if let Some(engine) = engine {
        for _ in 0..2 {
            match engine.check(core.now()).await {
                Ok(report) => {
                    repaired += report.repaired;
                    core.announcer.changed(&report.changed);
                    let same = report.differing.is_empty();
                    service = Some(if same { report.total } else { "differs".to_owned() });
                    if same {
                        break;
                    }
                }
                Err(error) => {
                    service = None;
                    Fault::from(error).told("checksum");
                    break;
                }
            }
        }
    }
    let mut scopes = store.sync_state()?.scopes;
    if scopes.is_empty() && kind == ShownKind::Office {
        scopes.push(caseload_domain::Scope::Office);
    }
    let (records, here) = store.read(|read| read.sums(&scopes))?.total();
    Ok(ScopeChecksum {
        kind,
        owner_name,
        records: u32::try_from(records).unwrap_or(u32::MAX),
        here,
        service,
        repaired: u32::try_from(repaired).unwrap_or(u32::MAX),
    })
}

fn verify_audit(login: &Login) -> Result<Vec<crate::dto::AuditVerification>, Fault> {
    let office = Some((ShownKind::Office, &login.office));
    let clinical = login.clinical.as_ref().map(|clinical| (ShownKind::Clinical, clinical));
    office
        .into_iter()
        .chain(clinical)
        .map(|(kind, store)| {
            let report = store.verify_audit()?;
            Ok(crate::dto::AuditVerification {
                kind,
                entries: u32::try_from(report.entries).unwrap_or(u32::MAX),
                first_bad: report.first_bad.map(|number| u32::try_from(number).unwrap_or(u32::MAX)),
            })
        })
        .collect()
}
