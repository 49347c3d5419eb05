//! Making, joining and sharing a practice.

use std::path::Path;

use caseload_app::App;
use caseload_app::dto::{
    AppError, ConfirmRecovery, CreatePractice, EnrolmentKind, Join, MintEnrolment, Phase, Publish, Recover,
    RecoveryGroup, RecoveryKit, Role,
};
use serde_json::json;

use crate::Done;
use crate::arguments::{self, RoleName};
use crate::output::{self, Form};
use crate::signed_in::Context;

/// Makes the same practice every time, keys aside.
const DEMONSTRATION: u64 = 1;

/// Creates a practice. The recovery code is the command's answer; printing it counts as keeping it.
pub(crate) async fn create(context: &Context, options: arguments::Create) -> Done {
    let app = context.open()?;
    let kit = app.create_practice(CreatePractice {
        practice_name: options.practice,
        location_name: options.location,
        zone: options.zone,
        currency: options.currency,
        full_name: options.name,
        licence: options.licence,
        passphrase: context.passphrase()?,
        device_name: options.device,
    })?;
    let code = keep(&app, &kit)?;
    app.lock().await?;
    context.print(&json!({"practice": kit.practice_name, "recoveryCode": code}))
}

/// Types the groups back that are asked for, and gives the code to be printed.
fn keep(app: &App, kit: &RecoveryKit) -> Result<String, AppError> {
    let groups = kit
        .ask
        .iter()
        .filter_map(|index| {
            Some(RecoveryGroup {
                index: *index,
                text: kit.groups.get(*index as usize)?.clone(),
            })
        })
        .collect();
    app.confirm_recovery(ConfirmRecovery { groups })?;
    Ok(kit.groups.join("-"))
}

/// Joins a practice. Somebody whose keys are new gets a recovery code, which is part of the answer; printing it counts as keeping it.
pub(crate) async fn join(context: &Context, options: arguments::Join) -> Done {
    let app = context.open()?;
    let status = app
        .join(Join {
            code: options.code,
            full_name: options.name,
            licence: options.licence,
            passphrase: context.passphrase()?,
            device_name: options.device,
        })
        .await?;
    let code = match status.phase {
        Phase::RecoveryPending => Some(keep(&app, &app.recovery_kit()?)?),
        _ => None,
    };
    let mut answer = serde_json::to_value(app.status()?).map_err(anyhow::Error::from)?;
    answer["recoveryCode"] = json!(code);
    app.lock().await?;
    context.print(&answer)
}

/// The passphrase of this command is the new one.
pub(crate) async fn recover(context: &Context, code: String) -> Done {
    let app = context.open()?;
    let status = app.recover(Recover {
        user_id: context.person(&app.status()?)?,
        code,
        passphrase: context.passphrase()?,
    })?;
    app.lock().await?;
    context.print(&status)
}

pub(crate) fn status(context: &Context) -> Done {
    let app = context.open()?;
    context.print(&app.status()?)
}

pub(crate) async fn publish(context: &Context, options: arguments::Publish) -> Done {
    let app = context.sign_in()?;
    let answer = app
        .publish(Publish {
            address: options.address,
            setup_code: options.setup_code,
            pin: options.pin,
        })
        .await;
    app.lock().await?;
    context.print(&answer?)
}

pub(crate) async fn enrol(context: &Context, options: arguments::Enrol) -> Done {
    let app = context.sign_in()?;
    let kind = if options.own {
        EnrolmentKind::OwnComputer
    } else {
        EnrolmentKind::Person
    };
    let answer = app
        .mint_enrolment(MintEnrolment {
            kind,
            role: options.role.map(role),
            full_name: options.name,
        })
        .await;
    app.lock().await?;
    context.print(&answer?)
}

pub(crate) async fn staff(context: &Context) -> Done {
    context.with(|app| Ok(app.staff()?)).await
}

/// Makes the demonstration in `data`: the profile of one computer that its people share.
pub(crate) fn demo(context: &Context, data: &Path) -> Done {
    let profile = data.join("profile");
    let report = App::create_demonstration(&profile, DEMONSTRATION)?;
    if context.form == Form::Lines {
        for person in &report.people {
            output::line(&format!("{} ({}): {}", person.name, person.role, person.passphrase));
        }
        return Ok(());
    }
    let people = report.people.iter();
    let people =
        people.map(|person| json!({"name": person.name, "role": person.role, "passphrase": person.passphrase}));
    context.print(&json!({
        "profile": profile,
        "clients": report.clients,
        "appointments": report.appointments,
        "notes": report.notes,
        "people": people.collect::<Vec<_>>(),
    }))
}

const fn role(name: RoleName) -> Role {
    match name {
        RoleName::Therapist => Role::Therapist,
        RoleName::FrontDesk => Role::FrontDesk,
        RoleName::Admin => Role::Admin,
    }
}
