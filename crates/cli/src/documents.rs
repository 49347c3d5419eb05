//! Documents.

use std::path::Path;

use caseload_app::dto::{AddDocument, ByClient, ByIdWithReason, DocumentKind, SaveDocument};

use crate::arguments::Documents;
use crate::people::find;
use crate::signed_in::Context;
use crate::{Done, Failure};

pub(crate) async fn documents(context: &Context, command: Documents) -> Done {
    match command {
        Documents::Add {
            client,
            file,
            clinical,
            title,
            category,
        } => {
            let path = text(&file)?;
            context
                .with(|app| {
                    Ok(app.add_document(AddDocument {
                        client_id: find(app, &client)?,
                        kind: if clinical {
                            DocumentKind::Clinical
                        } else {
                            DocumentKind::Office
                        },
                        path,
                        title,
                        category,
                    })?)
                })
                .await
        }
        Documents::List { client } => {
            context
                .with(|app| {
                    Ok(app.documents(ByClient {
                        client_id: find(app, &client)?,
                    })?)
                })
                .await
        }
        Documents::Save { id, file } => {
            let path = text(&file)?;
            let app = context.sign_in()?;
            let saved = app.save_document(SaveDocument { id, path }).await;
            app.lock().await?;
            context.print(&saved?)
        }
        Documents::Void { id, reason } => {
            context
                .with(|app| Ok(app.void_document(ByIdWithReason { id, reason })?))
                .await
        }
    }
}

fn text(path: &Path) -> Result<String, Failure> {
    path.to_str()
        .map(str::to_owned)
        .ok_or(Failure::Usage("the path is not text in UTF-8"))
}
