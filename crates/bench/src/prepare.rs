//! Two computers of one therapist, made as she would make them: one creates and publishes a practice, the other joins.

use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use caseload_app::dto::{
    AppError, ConfirmRecovery, CreatePractice, EnrolmentKind, Join, MintEnrolment, Publish, RecoveryGroup, RecoveryKit,
};
use caseload_app::{App, Env, Sharing};
use caseload_vault::passphrase::Passphrase;
use caseload_vault::{Unlocked, Vault};

use crate::profile;
use crate::wire::{Preparation, Prepared};

const PASSPHRASE: &str = "lantern orbit meadow thistle";

/// Prepares the computer that standard input describes and answers with its keys.
///
/// # Errors
/// When a step of it fails.
pub(crate) fn run() -> Result<()> {
    let first = std::io::stdin()
        .lock()
        .lines()
        .next()
        .context("nothing to prepare")?
        .context("read what to prepare")?;
    let task: Preparation = serde_json::from_str(&first).context("read what to prepare")?;
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let prepared = runtime.block_on(prepare(task))?;
    let line = serde_json::to_string(&prepared).context("write an answer")?;
    writeln!(std::io::stdout(), "{line}").context("write an answer")
}

async fn prepare(task: Preparation) -> Result<Prepared> {
    match task {
        Preparation::Create {
            folder,
            address,
            setup_code,
        } => {
            let code = create(&folder, &address, setup_code).await?;
            Ok(Prepared {
                unlocked: unlock(folder, address)?,
                code: Some(code),
            })
        }
        Preparation::Join { folder, address, code } => {
            join(&folder, code).await?;
            Ok(Prepared {
                unlocked: unlock(folder, address)?,
                code: None,
            })
        }
    }
}

/// Creates a practice and publishes it; gives the code for the therapist's next computer.
async fn create(folder: &Path, address: &str, setup_code: String) -> Result<String> {
    let app = App::open_with(folder, Env::system().sharing(Sharing::WhenAsked)).map_err(refused("open the profile"))?;
    let request = CreatePractice {
        practice_name: "Bench".to_owned(),
        location_name: "Bench".to_owned(),
        zone: "Europe/Berlin".to_owned(),
        currency: "EUR".to_owned(),
        full_name: "Importing Therapist".to_owned(),
        licence: None,
        passphrase: PASSPHRASE.to_owned(),
        device_name: Some("device a".to_owned()),
    };
    let kit = app.create_practice(request).map_err(refused("create the practice"))?;
    app.confirm_recovery(typed_back(&kit))
        .map_err(refused("confirm the recovery code"))?;
    let request = Publish {
        address: address.to_owned(),
        setup_code,
        pin: None,
    };
    app.publish(request).await.map_err(refused("publish the practice"))?;
    let request = MintEnrolment {
        kind: EnrolmentKind::OwnComputer,
        role: None,
        full_name: None,
    };
    let enrolment = app.mint_enrolment(request).await.map_err(refused("add a computer"))?;
    app.lock().await.map_err(refused("lock the profile"))?;
    Ok(enrolment.code)
}

fn typed_back(kit: &RecoveryKit) -> ConfirmRecovery {
    let asked = kit
        .ask
        .iter()
        .filter_map(|index| Some((index, kit.groups.get(usize::try_from(*index).ok()?)?)));
    ConfirmRecovery {
        groups: asked
            .map(|(index, text)| RecoveryGroup {
                index: *index,
                text: text.clone(),
            })
            .collect(),
    }
}

async fn join(folder: &Path, code: String) -> Result<()> {
    let app = App::open_with(folder, Env::system().sharing(Sharing::WhenAsked)).map_err(refused("open the profile"))?;
    let request = Join {
        code,
        full_name: None,
        licence: None,
        passphrase: PASSPHRASE.to_owned(),
        device_name: Some("device b".to_owned()),
    };
    app.join(request).await.map_err(refused("join the practice"))?;
    app.lock().await.map_err(refused("lock the profile")).map(drop)
}

/// Derives the keys from the passphrase.
fn unlock(folder: PathBuf, address: String) -> Result<crate::wire::Unlocked> {
    let vault = Vault::open(&folder).context("open the vault")?;
    let user = vault.users().first().context("nobody works on the device")?.user;
    let vault: Vault<Unlocked> = vault
        .unlock_with_passphrase(user, &Passphrase::typed(PASSPHRASE))
        .context("unlock the vault")?;
    profile::unlocked(folder, address, &vault)
}

fn refused(what: &'static str) -> impl Fn(AppError) -> anyhow::Error {
    move |error| anyhow!("could not {what}: {:?}", error.code)
}
