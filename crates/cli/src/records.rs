//! Session notes and prescriptions.

use std::path::Path;

use anyhow::Context as _;
use caseload_app::App;
use caseload_app::dto::{
    AddAddendum, AutosaveNote, ByClient, ById, ByIdWithReason, CreateNote, ErrorCode, NoteSection, NoteTemplate,
    NotesRequest, PrescriptionLine, PrintRequest, SavePrescription,
};

use crate::arguments::{NewPrescription, Notes, Prescriptions};
use crate::people::find;
use crate::signed_in::Context;
use crate::{Done, Failure};

pub(crate) async fn notes(context: &Context, command: Notes) -> Done {
    match command {
        Notes::New {
            client,
            appointment,
            template,
            sections,
        } => {
            let template: NoteTemplate =
                serde_json::from_value(template.into()).map_err(|_| Failure::Usage("there is no such template"))?;
            let sections = read_sections(&sections)?;
            context
                .with(|app| {
                    let client_id = find(app, &client)?;
                    let note = app.create_note(CreateNote {
                        client_id,
                        appointment_id: appointment,
                        template,
                    })?;
                    write_sections(app, &note.summary.id, &sections)?;
                    Ok(app.note(ById { id: note.summary.id })?)
                })
                .await
        }
        Notes::Edit { id, sections } => {
            let sections = read_sections(&sections)?;
            context
                .with(|app| {
                    write_sections(app, &id, &sections)?;
                    Ok(app.note(ById { id })?)
                })
                .await
        }
        Notes::Sign { id } => context.with(|app| Ok(app.sign_note(ById { id })?)).await,
        Notes::Show { id } => context.with(|app| Ok(app.note(ById { id })?)).await,
        Notes::List { client } => {
            context
                .with(|app| {
                    let client_id = client.as_deref().map(|wanted| find(app, wanted)).transpose()?;
                    Ok(app.notes(NotesRequest { client_id })?)
                })
                .await
        }
        Notes::Addend { id, text } => {
            context
                .with(|app| Ok(app.add_addendum(AddAddendum { note_id: id, text })?))
                .await
        }
        Notes::Error { id, reason } => {
            context
                .with(|app| Ok(app.mark_entered_in_error(ByIdWithReason { id, reason })?))
                .await
        }
        Notes::Export { id, file } => {
            context
                .with(|app| {
                    let exported = serde_json::to_vec_pretty(&app.export_note(ById { id })?).context("write JSON")?;
                    std::fs::write(&file, &exported).context("the file cannot be written")?;
                    Ok(serde_json::json!({"file": file, "bytes": exported.len()}))
                })
                .await
        }
        Notes::Verify { id } => context.with(|app| Ok(app.verify_note(ById { id })?)).await,
    }
}

/// Verifies an exported note without any profile; a note that does not verify is a refusal.
pub(crate) fn verify(context: &Context, file: &Path, root: Option<&str>) -> Done {
    let bytes = std::fs::read(file).context("the file cannot be read")?;
    let verification = caseload_app::verify_exported(&bytes, root)?;
    context.print(&verification)?;
    if verification.valid {
        Ok(())
    } else {
        Err(ErrorCode::SignatureInvalid.into())
    }
}

fn read_sections(typed: &[String]) -> Result<Vec<NoteSection>, Failure> {
    typed
        .iter()
        .map(|section| {
            let (key, text) = section
                .split_once('=')
                .ok_or(Failure::Usage("a section is written NAME=TEXT"))?;
            Ok(NoteSection {
                key: key.to_owned(),
                text: text.to_owned(),
            })
        })
        .collect()
}

/// Lays `sections` over the draft's own.
fn write_sections(app: &App, id: &str, sections: &[NoteSection]) -> Done {
    if sections.is_empty() {
        return Ok(());
    }
    let note = app.note(ById { id: id.to_owned() })?;
    let mut all = note.sections;
    for section in sections {
        match all.iter_mut().find(|present| present.key == section.key) {
            Some(present) => present.text.clone_from(&section.text),
            None => all.push(section.clone()),
        }
    }
    app.autosave_note(AutosaveNote {
        id: id.to_owned(),
        template: note.summary.template,
        sections: all,
    })?;
    Ok(())
}

pub(crate) async fn prescriptions(context: &Context, command: Prescriptions) -> Done {
    match command {
        Prescriptions::New(new) => {
            context
                .with(|app| {
                    Ok(app.save_prescription(SavePrescription {
                        id: None,
                        client_id: find(app, &new.client)?,
                        lines: vec![line(&new)],
                        diagnosis: new.diagnosis,
                        instructions: new.instructions,
                    })?)
                })
                .await
        }
        Prescriptions::Issue { id } => context.with(|app| Ok(app.issue_prescription(ById { id })?)).await,
        Prescriptions::Print { id } => {
            context
                .with(|app| Ok(app.prescription_pdf(PrintRequest { id, open: false })?))
                .await
        }
        Prescriptions::Stop { id, reason } => {
            context
                .with(|app| Ok(app.stop_prescription(ByIdWithReason { id, reason })?))
                .await
        }
        Prescriptions::Void { id, reason } => {
            context
                .with(|app| Ok(app.void_prescription(ByIdWithReason { id, reason })?))
                .await
        }
        Prescriptions::Reissue { id } => context.with(|app| Ok(app.reissue_prescription(ById { id })?)).await,
        Prescriptions::Show { id } => context.with(|app| Ok(app.prescription(ById { id })?)).await,
        Prescriptions::List { client } => {
            context
                .with(|app| {
                    Ok(app.prescriptions(ByClient {
                        client_id: find(app, &client)?,
                    })?)
                })
                .await
        }
    }
}

fn line(new: &NewPrescription) -> PrescriptionLine {
    PrescriptionLine {
        drug: new.drug.clone(),
        form: new.form.clone(),
        strength: new.strength.clone(),
        dose: new.dose.clone(),
        route: new.route.clone(),
        frequency: new.frequency.clone(),
        duration: new.duration.clone(),
        quantity: new.quantity.clone(),
        refills: new.refills,
    }
}
