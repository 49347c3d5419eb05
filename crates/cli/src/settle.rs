//! Sharing, what a person has to settle, and the proofs.

use caseload_app::dto::{ById, ClashChoice, ConflictChoice, SettleClash, SettleConflict, SettleReoffer};

use crate::Done;
use crate::arguments::{Clashes, Conflicts, Keep, Refused, Reoffers, Settlement};
use crate::signed_in::Context;

pub(crate) async fn conflicts(context: &Context, command: Conflicts) -> Done {
    match command {
        Conflicts::List => context.with(|app| Ok(app.conflicts()?)).await,
        Conflicts::Settle { id, keep, value } => {
            let choice = match keep {
                Keep::A => ConflictChoice::KeepA,
                Keep::B => ConflictChoice::KeepB,
                Keep::Typed => ConflictChoice::Typed {
                    value: value.unwrap_or_default(),
                },
            };
            context
                .with(|app| Ok(app.settle_conflict(SettleConflict { id, choice })?))
                .await
        }
    }
}

pub(crate) async fn clashes(context: &Context, command: Clashes) -> Done {
    match command {
        Clashes::List => context.with(|app| Ok(app.clashes()?)).await,
        Clashes::Settle { id, how } => {
            let choice = match how {
                Settlement::KeepA => ClashChoice::KeepA,
                Settlement::KeepB => ClashChoice::KeepB,
                Settlement::MoveA { date, time } => ClashChoice::MoveA { date, start_time: time },
                Settlement::MoveB { date, time } => ClashChoice::MoveB { date, start_time: time },
                Settlement::KeepBoth { reason } => ClashChoice::KeepBoth { reason },
                Settlement::Place => ClashChoice::Place,
            };
            context
                .with(|app| Ok(app.settle_clash(SettleClash { id, choice })?))
                .await
        }
    }
}

pub(crate) async fn reoffers(context: &Context, command: Reoffers) -> Done {
    let settle = |id, accept| SettleReoffer { id, accept };
    match command {
        Reoffers::List => context.with(|app| Ok(app.reoffers()?)).await,
        Reoffers::Accept { id } => context.with(|app| Ok(app.settle_reoffer(settle(id, true))?)).await,
        Reoffers::Refuse { id } => context.with(|app| Ok(app.settle_reoffer(settle(id, false))?)).await,
        Reoffers::AcceptAll => context.with(|app| Ok(app.accept_all_reoffers()?)).await,
    }
}

pub(crate) async fn refused(context: &Context, command: Refused) -> Done {
    match command {
        Refused::List => context.with(|app| Ok(app.sync_overview()?.refused)).await,
        Refused::Discard { id } => context.with(|app| Ok(app.discard_refused(ById { id })?)).await,
        Refused::Retry { id } => {
            let app = context.sign_in()?;
            let answer = app.retry_refused(ById { id }).await;
            app.lock().await?;
            context.print(&answer?)
        }
    }
}

pub(crate) async fn sync(context: &Context) -> Done {
    let app = context.sign_in()?;
    let answer = app.share_now().await;
    app.lock().await?;
    context.print(&answer?)
}

pub(crate) async fn checksum(context: &Context) -> Done {
    let app = context.sign_in()?;
    let answer = app.checksum().await;
    app.lock().await?;
    context.print(&answer?)
}

pub(crate) async fn verify_audit(context: &Context) -> Done {
    context.with(|app| Ok(app.verify_audit()?)).await
}
