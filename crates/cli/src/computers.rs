//! The computers of the practice.

use caseload_app::App;
use caseload_app::dto::ById;

use crate::arguments::Computers;
use crate::signed_in::Context;
use crate::{Done, Failure};

pub(crate) async fn computers(context: &Context, command: Computers) -> Done {
    match command {
        Computers::List => context.with(|app| Ok(app.computers()?)).await,
        Computers::Revoke { computer } => {
            let app = context.sign_in()?;
            let answer = match find(&app, &computer) {
                Ok(id) => app.revoke_computer(ById { id }).await.map_err(Failure::from),
                Err(failure) => Err(failure),
            };
            app.lock().await?;
            context.print(&answer?)
        }
    }
}

/// The id of the one computer that has this id or name.
fn find(app: &App, wanted: &str) -> Result<String, Failure> {
    let computers = app.computers()?;
    let mut found = computers
        .into_iter()
        .filter(|computer| computer.id == wanted || computer.name == wanted);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only.id),
        (None, _) => Err(Failure::Usage("no computer has this name")),
        (Some(_), Some(_)) => Err(Failure::Usage("several computers have this name: give the id")),
    }
}
