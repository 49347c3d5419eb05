//! Paper: a PDF in the person's documents folder, and the system's viewer on it where there is one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use caseload_documents::{
    Allergies, ClientIdentity, Language as Printed, Practice, PrescriptionLine as Line, PrescriptionSheet,
    PrescriptionState, Professional, prescription_pdf,
};
use caseload_domain::EntityId;
use caseload_domain::entities::state;
use caseload_domain::time::Millis;
use caseload_store::Entity;
use serde_json::json;

use super::views::prints;
use super::{existing, key, lines, readable};
use crate::app::Core;
use crate::dto::{ErrorCode, Language, SavedFile};
use crate::fault::Fault;
use crate::login::Login;
use crate::views::header::{allergies, chart_key, legal_name};
use crate::views::office::{Office, client};

/// The language of printed documents.
pub(crate) fn language(core: &Core) -> Printed {
    if core.language() == Language::Ko {
        Printed::Ko
    } else {
        Printed::En
    }
}

/// Prints a prescription: the page is made first, then the print is recorded, then the file appears.
pub(super) fn prescription(core: &Core, login: &Login, id: EntityId, open: bool) -> Result<SavedFile, Fault> {
    let (entity, _) = readable(login, id)?;
    if state(&entity.doc, "state") == "draft" {
        return Err(ErrorCode::Incomplete.into());
    }
    login.note_reading(core.now(), "prescription.print", std::slice::from_ref(&entity.key))?;
    let copy = prints(&entity) + 1;
    let pdf = prescription_pdf(&sheet(core, login, &entity, copy)?)?;
    core.write_clinical(login, "prescription.printed", |tx| {
        let present = existing(tx, id)?;
        let print = json!({"at": tx.at(), "by": login.user, "copy": copy});
        tx.add_element(&key(id), "prints", &tx.new_id().to_string(), print)?;
        if state(&present.doc, "state") == "issued" {
            tx.overlay_unit(
                &key(id),
                "state",
                json!({"state": "printed", "by": login.user, "at": tx.at()}),
            )?;
        }
        Ok(())
    })?;
    let number = entity.doc.text("number", "value").unwrap_or_default();
    save(core, number, &pdf, open)
}

fn sheet(core: &Core, login: &Login, entity: &Entity, copy: u32) -> Result<PrescriptionSheet, Fault> {
    let doc = &entity.doc;
    let text = |unit: &str, member: &str| doc.text(unit, member).unwrap_or_default().to_owned();
    let who = text("subject", "client").parse().map_err(|_| ErrorCode::NotFound)?;
    let (replaces, replaced_by, chart) = login.clinical()?.read(|read| {
        let number = |member: &str| -> Result<String, Fault> {
            let Some(other) = doc.text("links", member).and_then(|id| id.parse().ok()) else {
                return Ok(String::new());
            };
            Ok(read
                .get(&key(other))?
                .and_then(|other| other.doc.text("number", "value").map(str::to_owned))
                .unwrap_or_default())
        };
        Ok::<_, Fault>((number("replaces")?, number("replaced_by")?, read.get(&chart_key(who))?))
    })?;
    login.office.read(|read| {
        let office = Office::read(read, core.now())?;
        let client = client(read, who)?.ok_or(ErrorCode::NotFound)?;
        let location = office.locations.first();
        let of_place = |unit, member| {
            location
                .and_then(|place| place.doc.text(unit, member))
                .unwrap_or_default()
                .to_owned()
        };
        let on = doc
            .integer("state", "at")
            .map(|at| office.date_of(Millis(at)))
            .unwrap_or_default();
        let reason = text("state", "reason");
        Ok(PrescriptionSheet {
            language: language(core),
            practice: Practice {
                name: office.practice_name.clone(),
                address: of_place("address", "text"),
                phone: of_place("contact", "phone"),
            },
            prescriber: Professional {
                name: doc
                    .text("signature", "author_name")
                    .map_or_else(|| office.staff_name(&text("subject", "author")), str::to_owned),
                profession: String::new(),
                licence: text("signature", "licence"),
            },
            client: ClientIdentity {
                name: legal_name(&client.doc),
                birth_date: client.doc.text("birth", "date").unwrap_or_default().to_owned(),
                number: client.doc.text("number", "value").unwrap_or_default().to_owned(),
            },
            number: text("number", "value"),
            replaces,
            issued_on: doc
                .integer("signature", "signed_at")
                .map(|at| office.date_of(Millis(at)))
                .unwrap_or_default(),
            copy,
            state: match state(doc, "state") {
                "stopped" => PrescriptionState::Stopped { on, reason },
                "voided" => PrescriptionState::Void { on, reason },
                "replaced" => PrescriptionState::Replaced { by: replaced_by },
                "expired" => PrescriptionState::Expired { on },
                _ => PrescriptionState::Issued,
            },
            allergies: known_allergies(chart.as_ref()),
            diagnosis: text("diagnosis", "text"),
            lines: lines(entity).into_iter().map(line).collect(),
            instructions: text("instructions", "text"),
        })
    })
}

/// Not knowing and knowing of none are different things on paper too.
fn known_allergies(chart: Option<&Entity>) -> Allergies {
    let Some(chart) = chart else {
        return Allergies::NotRecorded;
    };
    let names = allergies(&chart.doc);
    let asked = chart
        .doc
        .unit("intake")
        .and_then(|intake| intake.get("allergies_asked")?.as_bool())
        .unwrap_or_default();
    match (names.is_empty(), asked) {
        (false, _) => Allergies::Listed(names),
        (true, true) => Allergies::NoneKnown,
        (true, false) => Allergies::NotRecorded,
    }
}

fn line(line: crate::dto::PrescriptionLine) -> Line {
    Line {
        drug: line.drug,
        form: line.form,
        strength: line.strength,
        dose: line.dose,
        route: line.route,
        frequency: line.frequency,
        duration: line.duration,
        quantity: line.quantity,
        refills: line.refills.to_string(),
    }
}

/// Writes a PDF beside earlier ones, for its owner alone, and shows it where that is wanted and possible.
pub(crate) fn save(core: &Core, name: &str, pdf: &[u8], open: bool) -> Result<SavedFile, Fault> {
    let folder = match &core.env.documents {
        Some(documents) => documents.join("Caseload"),
        None => core.profile.join("documents"),
    };
    crate::files::make_folder(&folder)?;
    let path = free_name(&folder, name);
    crate::files::replace(&path, pdf)?;
    let opened = open && show(&path);
    Ok(SavedFile {
        path: path.to_string_lossy().into_owned(),
        opened,
    })
}

/// A print never replaces an earlier one.
fn free_name(folder: &Path, name: &str) -> PathBuf {
    let first = folder.join(format!("{name}.pdf"));
    if !first.exists() {
        return first;
    }
    (2_u32..)
        .map(|copy| folder.join(format!("{name} ({copy}).pdf")))
        .find(|path| !path.exists())
        .unwrap_or(first)
}

/// Starts the system's viewer; that there is none is no error, the file is there.
fn show(path: &Path) -> bool {
    let viewer = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let started = Command::new(viewer)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match started {
        Ok(mut viewer) => {
            // It is waited for, so that it does not stay behind as a finished process nobody asked about.
            std::thread::spawn(move || viewer.wait());
            true
        }
        Err(_) => false,
    }
}
