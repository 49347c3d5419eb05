//! What is said about sharing: how much waits and since when, per file, what was refused. Counts and ages, never content.

use caseload_domain::time::Millis;
use caseload_store::{RefusedGroup, RefusedWhy, Store, Waiting};
use serde::{Deserialize, Serialize};

use crate::app::{Core, lock};
use crate::changes::entity_type;
use crate::dto::{
    EntityType, ErrorCode, Instant, RefusedChange, ReplicaKind, ReplicaOverview, SyncOverview, SyncState,
};
use crate::fault::{Fault, refusal};
use crate::login::{Login, setting};
use crate::views::header::display_name;
use crate::views::office::{Office, client};
use crate::{clashes, conflicts, reoffers};

/// What a clinical file leaves in the office file when it is closed, so that everybody on this computer sees that work waits.
#[derive(Serialize, Deserialize)]
struct LeftBehind {
    waiting: u64,
    oldest: Option<i64>,
    last_success: Option<i64>,
}

fn left_behind(user: &str) -> String {
    format!("clinical.left.{user}")
}

/// Notes how much of the clinical file of the person signing out is unsent.
pub(crate) fn leave_count(login: &Login) -> Result<(), Fault> {
    let Some(clinical) = &login.clinical else { return Ok(()) };
    let waiting = clinical.read(|read| read.waiting())?;
    let left = LeftBehind {
        waiting: waiting.count,
        oldest: waiting.oldest.map(|at| at.0),
        last_success: last_success(clinical)?.map(|at| at.0),
    };
    let text = serde_json::to_string(&left).map_err(|_| ErrorCode::Internal)?;
    Ok(login
        .office
        .set_setting(&left_behind(&login.user.to_string()), Some(&text))?)
}

fn last_success(store: &Store) -> Result<Option<Instant>, Fault> {
    Ok(store
        .setting(setting::LAST_SUCCESS)?
        .and_then(|text| text.parse().ok())
        .map(Instant))
}

pub(crate) fn overview(core: &Core, login: &Login) -> Result<SyncOverview, Fault> {
    let address = login.office.setting(setting::ADDRESS)?;
    let office = login.office.read(|read| Office::read(read, core.now()))?;
    let replicas = replicas(login, &office)?;
    let waiting: u32 = replicas.iter().map(|replica| replica.waiting).sum();
    let link = *lock(&login.link.state);
    let state = match (&address, link.state) {
        (None, _) => SyncState::NotPublished,
        (Some(_), Some(SyncState::UpToDate)) if waiting > 0 => SyncState::Waiting,
        (Some(_), Some(state)) => state,
        (Some(_), None) if waiting > 0 => SyncState::Waiting,
        (Some(_), None) => SyncState::UpToDate,
    };
    // Without a service there is nobody for whom anything waits.
    let counted = address.is_some();
    Ok(SyncOverview {
        state,
        problem: link.problem.filter(|_| counted),
        address,
        device_name: office.device_name(&login.device.to_string()),
        waiting: if counted { waiting } else { 0 },
        oldest_waiting_at: replicas
            .iter()
            .filter_map(|replica| replica.oldest_waiting_at)
            .min()
            .filter(|_| counted),
        last_success_at: last_success(&login.office)?,
        refused: refused(login)?,
        conflicts: u32::try_from(conflicts::count(login)?).unwrap_or(u32::MAX),
        clashes: u32::try_from(clashes::open(core, login)?.len()).unwrap_or(u32::MAX),
        reoffers: u32::try_from(reoffers::count(login)?).unwrap_or(u32::MAX),
        replicas,
    })
}

/// Every file of this computer: the open ones, and what closed clinical files left behind.
fn replicas(login: &Login, office: &Office) -> Result<Vec<ReplicaOverview>, Fault> {
    let of_open = |kind, owner_name, store: &Store| -> Result<ReplicaOverview, Fault> {
        let Waiting { count, oldest } = store.read(|read| read.waiting())?;
        Ok(ReplicaOverview {
            kind,
            owner_name,
            waiting: u32::try_from(count).unwrap_or(u32::MAX),
            oldest_waiting_at: oldest.map(|at| Instant(at.0)),
            last_success_at: last_success(store)?,
        })
    };
    let mut all = vec![of_open(ReplicaKind::Office, None, &login.office)?];
    let users = lock(&login.vault).users();
    for user in users.iter().filter(|user| user.role.is_clinical()) {
        let id = user.user.to_string();
        let name = Some(office.staff_name(&id))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| user.name.clone());
        match &login.clinical {
            Some(clinical) if user.user == login.user => {
                all.push(of_open(ReplicaKind::Clinical, Some(name), clinical)?)
            }
            _ => {
                let left = login.office.setting(&left_behind(&id))?;
                let left: Option<LeftBehind> = left.and_then(|text| serde_json::from_str(&text).ok());
                all.push(ReplicaOverview {
                    kind: ReplicaKind::Clinical,
                    owner_name: Some(name),
                    waiting: left
                        .as_ref()
                        .map_or(0, |left| u32::try_from(left.waiting).unwrap_or(u32::MAX)),
                    oldest_waiting_at: left.as_ref().and_then(|left| left.oldest).map(Instant),
                    last_success_at: left.and_then(|left| left.last_success).map(Instant),
                });
            }
        }
    }
    Ok(all)
}

/// What the service did not take, of both files.
pub(crate) fn refused(login: &Login) -> Result<Vec<RefusedChange>, Fault> {
    let mut all = Vec::new();
    for store in [Some(&login.office), login.clinical.as_ref()].into_iter().flatten() {
        for group in store.read(|read| read.refused())? {
            all.push(refused_change(login, &group)?);
        }
    }
    Ok(all)
}

fn refused_change(login: &Login, group: &RefusedGroup) -> Result<RefusedChange, Fault> {
    let first = group.ops.first();
    let Millis(at) = group.at;
    Ok(RefusedChange {
        id: group.grp.to_string(),
        entity: first.map_or(EntityType::Other, |op| entity_type(op.key.kind.as_str())),
        entity_id: first.map(|op| op.key.id.to_string()).unwrap_or_default(),
        title: title(login, group)?,
        code: match group.why {
            RefusedWhy::Service(why) => refusal(why),
            RefusedWhy::Held => ErrorCode::UpgradeRequired,
            RefusedWhy::ScopeLeft => ErrorCode::Forbidden,
        },
        at: Instant(at),
    })
}

/// The client whose record the change is about, as far as the operation tells.
fn title(login: &Login, group: &RefusedGroup) -> Result<Option<String>, Fault> {
    let Some(op) = group.ops.first() else { return Ok(None) };
    let named = ["subject", "of", "parties"]
        .into_iter()
        .find_map(|unit| op.units.get(unit)?.get("client")?.as_str());
    let id = match (op.key.kind.as_str(), named) {
        ("client" | "client_chart", _) => Some(op.key.id.to_string()),
        (_, named) => named.map(str::to_owned),
    };
    let Some(id) = id.and_then(|id| id.parse().ok()) else {
        return Ok(None);
    };
    let found = login.office.read(|read| client(read, id))?;
    Ok(found.map(|found| display_name(&found.doc)))
}
