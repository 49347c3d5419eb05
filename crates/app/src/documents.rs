//! Documents: files that belong to a client. A file is sealed on this computer before anything else happens to it; it is shared in the
//! background and fetched where it is wanted.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use caseload_domain::{ClientId, Document, EntityId, EntityKey};
use caseload_protocol::messages::Limits;
use caseload_store::{Entity, FileError, FileState, Store};
use serde_json::json;

use crate::app::{App, Core};
use crate::checks;
use crate::dto::{
    AddDocument, AppError, ByClient, ByIdWithReason, DocumentFile, DocumentKind, DocumentSummary, ErrorCode,
    FieldProblem, Instant, SaveDocument, SavedFile,
};
use crate::fault::{Fault, answer};
use crate::login::Login;
use crate::sharing::{self, on_own_threads};
use crate::views::office::Office;

impl App {
    /// The documents of a client: those of the office, and for who treats the client the clinical ones.
    ///
    /// # Errors
    /// `not_found`.
    pub fn documents(&self, request: ByClient) -> Result<Vec<DocumentSummary>, AppError> {
        answer(
            "documents",
            self.core
                .login()
                .and_then(|login| list(&self.core, &login, checks::id(&request.client_id)?)),
        )
    }

    /// Adds a file to a client's documents. When this returns it is on the disk, encrypted; it is shared after that.
    ///
    /// # Errors
    /// `forbidden` for a clinical one without a care relationship; `too_large`; `invalid_fields`.
    pub fn add_document(&self, request: AddDocument) -> Result<Vec<DocumentSummary>, AppError> {
        answer(
            "add_document",
            self.core.login().and_then(|login| add(&self.core, &login, &request)),
        )
    }

    /// Writes a document's file, decrypted, to a new file; fetches it first where it is not here.
    ///
    /// # Errors
    /// `not_found` also while the service does not have the file yet; `offline`; `invalid_fields` for a path that cannot be written to.
    pub async fn save_document(&self, request: SaveDocument) -> Result<SavedFile, AppError> {
        let login = answer("save_document", self.core.login())?;
        let saved = on_own_threads(&self.core, &login, |core, login| async move {
            save(&core, &login, &request).await
        });
        answer("save_document", saved.await)
    }

    /// Makes a document void. Its file stays.
    ///
    /// # Errors
    /// `not_found`, `reason_required`.
    pub fn void_document(&self, request: ByIdWithReason) -> Result<Vec<DocumentSummary>, AppError> {
        answer(
            "void_document",
            self.core.login().and_then(|login| void(&self.core, &login, &request)),
        )
    }
}

const fn kind_name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::Office => "document",
        DocumentKind::Clinical => "clinical_document",
    }
}

fn store_of(login: &Login, kind: DocumentKind, client: ClientId) -> Result<&Arc<Store>, Fault> {
    match kind {
        DocumentKind::Office => Ok(&login.office),
        DocumentKind::Clinical => login.require_care(client),
    }
}

fn list(core: &Core, login: &Login, client: ClientId) -> Result<Vec<DocumentSummary>, Fault> {
    let known = EntityKey::new("client", client.entity());
    login.office.read(|read| read.get(&known))?.ok_or(ErrorCode::NotFound)?;
    let names = login.office.read(|read| Office::read(read, core.now()))?;
    let mut found = summaries(&login.office, &names, client)?;
    if let Ok(clinical) = login.require_care(client) {
        let keys: Vec<EntityKey> = clinical
            .read(|read| read.documents_of_client(client))?
            .into_iter()
            .map(|entity| entity.key)
            .collect();
        if !keys.is_empty() {
            login.note_reading(core.now(), "document.list", &keys)?;
            found.extend(summaries(clinical, &names, client)?);
        }
    }
    found.sort_by_key(|document| std::cmp::Reverse(document.added_at));
    Ok(found)
}

fn summaries(store: &Store, names: &Office, client: ClientId) -> Result<Vec<DocumentSummary>, Fault> {
    store.read(|read| {
        let documents = read.documents_of_client(client)?;
        documents
            .iter()
            .map(|entity| Ok(summary(names, client, entity, read.file_state(&entity.key)?)))
            .collect()
    })
}

fn summary(names: &Office, client: ClientId, entity: &Entity, file: FileState) -> DocumentSummary {
    let text = |unit, member| entity.doc.text(unit, member).unwrap_or_default();
    let number = |member| entity.doc.integer("content", member).unwrap_or_default();
    DocumentSummary {
        id: entity.key.id.to_string(),
        client_id: client.to_string(),
        kind: if entity.key.kind.as_str() == kind_name(DocumentKind::Office) {
            DocumentKind::Office
        } else {
            DocumentKind::Clinical
        },
        title: text("title", "text").to_owned(),
        category: text("category", "code").to_owned(),
        media_type: text("content", "media_type").to_owned(),
        file_name: text("content", "name").to_owned(),
        size: u32::try_from(number("size")).unwrap_or(u32::MAX),
        author_name: names.staff_name(text("subject", "author")),
        added_at: Instant(number("created")),
        file: match file {
            FileState::Waiting => DocumentFile::Waiting,
            FileState::Refused => DocumentFile::Refused,
            FileState::Shared | FileState::Fetched => DocumentFile::Here,
            FileState::Wanted | FileState::Elsewhere => DocumentFile::Elsewhere,
        },
    }
}

fn add(core: &Core, login: &Login, request: &AddDocument) -> Result<Vec<DocumentSummary>, Fault> {
    let client: ClientId = checks::id(&request.client_id)?;
    let known = EntityKey::new("client", client.entity());
    login.office.read(|read| read.get(&known))?.ok_or(ErrorCode::NotFound)?;
    let store = store_of(login, request.kind, client)?;
    let path = Path::new(&request.path);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut file = File::open(path).map_err(|_| unusable())?;
    if !file.metadata()?.is_file() {
        return Err(unusable());
    }
    let sealed = store.seal_file(&mut file, Limits::default().blob_max)?;
    let content = sealed.content(media_type(&name), &name, core.now());
    let title = request.title.as_deref().unwrap_or(&name).trim().to_owned();
    let category = request.category.as_deref().unwrap_or("other");
    let document: Document = serde_json::from_value(json!({
        "subject": {"client": client, "author": login.user}, "content": content, "title": {"text": title},
        "category": {"code": category},
    }))
    .unwrap_or_default();
    core.write(store, login, "document.add", |tx| {
        let key = tx.create_new(kind_name(request.kind), document)?;
        tx.attach_file(&key, &sealed)?;
        Ok(())
    })?;
    list(core, login, client)
}

/// The path cannot be read from or written to.
fn unusable() -> Fault {
    Fault::field("path", FieldProblem::UnknownReference)
}

/// What kind of file it is, by its ending: for viewers, never for a decision.
fn media_type(name: &str) -> &'static str {
    let ending = Path::new(name).extension().unwrap_or_default().to_ascii_lowercase();
    match ending.to_str().unwrap_or_default() {
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "tif" | "tiff" => "image/tiff",
        "txt" => "text/plain",
        "csv" => "text/csv",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "odt" => "application/vnd.oasis.opendocument.text",
        _ => "application/octet-stream",
    }
}

/// A document that this person may read, in its file; a clinical one is logged as read first.
fn readable(core: &Core, login: &Login, id: EntityId) -> Result<(Arc<Store>, Entity, ClientId), Fault> {
    for kind in [DocumentKind::Office, DocumentKind::Clinical] {
        let store = match kind {
            DocumentKind::Office => Some(&login.office),
            DocumentKind::Clinical => login.clinical().ok(),
        };
        let Some(store) = store else { continue };
        let key = EntityKey::new(kind_name(kind), id);
        let Some(entity) = store.read(|read| read.get(&key))? else {
            continue;
        };
        let client = entity.doc.text("subject", "client").and_then(|id| id.parse().ok());
        let client: ClientId = client.ok_or(ErrorCode::NotFound)?;
        if kind == DocumentKind::Clinical {
            login.require_care(client)?;
            login.note_reading(core.now(), "document.view", std::slice::from_ref(&key))?;
        }
        return Ok((Arc::clone(store), entity, client));
    }
    Err(ErrorCode::NotFound.into())
}

async fn save(core: &Arc<Core>, login: &Arc<Login>, request: &SaveDocument) -> Result<SavedFile, Fault> {
    let (store, entity, _) = readable(core, login, checks::id(&request.id)?)?;
    if !store.file_state(&entity.key)?.is_here() {
        store.want_file(&entity.key, core.now())?;
        sharing::fetch_files(login, &store).await?;
    }
    let path = request.path.clone();
    let write = move || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut out = options.open(&path).map_err(|_| unusable())?;
        let written = store.open_file(&entity.key, &mut out).and_then(|_| Ok(out.sync_all()?));
        if written.is_err() {
            // Part of a file under the name of the whole would be taken for it.
            std::fs::remove_file(&path)?;
        }
        written.map_err(Fault::from)?;
        Ok(SavedFile { path, opened: false })
    };
    core.handle.spawn_blocking(write).await?
}

fn void(core: &Core, login: &Login, request: &ByIdWithReason) -> Result<Vec<DocumentSummary>, Fault> {
    let (store, entity, client) = readable(core, login, checks::id(&request.id)?)?;
    core.write(&store, login, "document.void", |tx| {
        Ok(tx.void(&entity.key, &request.reason)?)
    })?;
    list(core, login, client)
}

impl From<FileError> for Fault {
    fn from(error: FileError) -> Self {
        match error {
            FileError::TooLarge => ErrorCode::TooLarge.into(),
            FileError::Unknown | FileError::NotHere => ErrorCode::NotFound.into(),
            FileError::Damaged(_) => ErrorCode::StoreDamaged.into(),
            FileError::Io(error) => error.into(),
            FileError::Storage(error) => error.into(),
        }
    }
}
