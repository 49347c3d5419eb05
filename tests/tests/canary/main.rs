//! Plants markers in clinical content and in office content, lets a therapist and a front desk work and share as they do, and then looks
//! for the markers everywhere: what is clinical is found by the therapist's login and nowhere else, and what the office may see is
//! found by the same search where it belongs.

#![allow(clippy::unwrap_used, reason = "tests")]

mod hunt;
mod plaintext;
mod recorder;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use caseload_testkit::mongod::Mongod;
use caseload_tests::computer::Computer;
use caseload_tests::service::Service;
use caseload_vault::heads::DatabaseFile;
use hunt::{Find, Hunt};
use recorder::Recorder;
use serde_json::Value;
use tempfile::TempDir;

const DRAFT: &str = "canarydraftnote7f3a1c95";
const SIGNED: &str = "canarysignednote2b8e6d04";
const DRUG: &str = "canarydrug91c4a7f03e5b";
const INSTRUCTIONS: &str = "canaryinstructions6d20f8b1";
const DIAGNOSIS: &str = "canarydiagnosis5e93b7a204";
const ALLERGY: &str = "canaryallergy08d5c3f96a17";
const SAFETY_PLAN: &str = "canarysafetyplan4a7b19e2";
const CLINICAL: [&str; 7] = [DRAFT, SIGNED, DRUG, INSTRUCTIONS, DIAGNOSIS, ALLERGY, SAFETY_PLAN];

const STREET: &str = "canarystreet3c8f50d7e2";
const ALERT: &str = "canaryofficealert9b61e4a8";
const OFFICE: [&str; 2] = [STREET, ALERT];

const THERAPIST: &str = "therapist";
const DESK: &str = "desk";

/// A practice with two computers and a service, after a day of work.
struct Clinic {
    folder: TempDir,
    service: Service,
    recorder: Recorder,
    therapist: Computer,
    desk: Computer,
}

impl Clinic {
    fn after_a_day(mongodb: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        let mut service = Service::new(&folder.path().join("service"), mongodb)?;
        service.start()?;
        let address = service.address();
        let recorder = Recorder::start(
            address
                .trim_start_matches("http://")
                .parse()
                .context("read the service's address")?,
        )?;
        let therapist = Computer::new(folder.path(), THERAPIST, "harbour lantern velvet quill")?;
        let desk = Computer::new(folder.path(), DESK, "saddle copper meadow friday")?;
        let clinic = Self {
            folder,
            service,
            recorder,
            therapist,
            desk,
        };
        clinic.work()?;
        Ok(clinic)
    }

    fn work(&self) -> Result<()> {
        let (therapist, desk) = (&self.therapist, &self.desk);
        therapist.run(&[
            "create",
            "--practice",
            "Practice",
            "--zone",
            "Europe/Berlin",
            "--name",
            "Therapist",
        ])?;
        let add = [
            "clients", "add", "--family", "Berg", "--given", "Ada", "--street", STREET, "--alert", ALERT,
        ];
        let client = id_in(&therapist.run(&add)?)?;
        let note = |text: &str| format!("subjective=The client speaks of {text} today.");
        let written = therapist.run(&["notes", "new", &client, "--section", &note(SIGNED)])?;
        let signed = id_in(&written)?;
        therapist.run(&["notes", "sign", &signed])?;

        self.recorder.now(THERAPIST);
        let code = self.service.setup_code()?;
        therapist.run(&["publish", "--address", &self.recorder.url(), "--setup-code", &code])?;
        therapist.run(&["notes", "new", &client, "--section", &note(DRAFT)])?;
        therapist.run(&[
            "clients",
            "chart",
            &client,
            "--allergy",
            ALLERGY,
            "--safety-plan",
            SAFETY_PLAN,
        ])?;
        let medicine = ["--drug", DRUG, "--dose", "1 tablet", "--frequency", "daily"];
        let about = ["--diagnosis", DIAGNOSIS, "--instructions", INSTRUCTIONS];
        let new = [&["prescriptions", "new", &client][..], &medicine, &about].concat();
        let prescription = id_in(&therapist.run(&new)?)?;
        therapist.run(&["prescriptions", "issue", &prescription])?;
        therapist.run(&["sync"])?;
        let enrolment = therapist.run(&["enrol", "--role", "front-desk", "--name", "Desk"])?;
        let line = enrolment["code"]
            .as_str()
            .context("no enrolment line was printed")?
            .to_owned();

        self.recorder.now(DESK);
        desk.run(&["join", &line, "--name", "Desk"])?;
        desk.run(&["sync"])?;
        desk.run(&["clients", "list"])?;
        desk.run(&["clients", "show", &client])?;
        desk.run(&["clients", "set", &client, "--phone", "030 123456"])?;
        desk.run(&["today"])?;
        // Whether these are refused or answered with nothing is not the question here; what they print is looked at.
        desk.output(&["notes", "list", &client])?;
        desk.output(&["notes", "show", &signed])?;
        desk.output(&["prescriptions", "show", &prescription])?;
        desk.run(&["sync"])?;

        self.recorder.now(THERAPIST);
        therapist.run(&["sync"])?;
        therapist.run(&["notes", "show", &signed])?;
        therapist.run(&["clients", "show", &client])?;
        therapist.run(&["prescriptions", "show", &prescription])?;
        self.recorder.now(DESK);
        desk.run(&["sync"])?;
        desk.run(&["checksum"])?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The id of what a command made, wherever its answer has it.
fn id_in(answer: &Value) -> Result<String> {
    let places = ["/id", "/client/id", "/summary/id"];
    let id = places.iter().find_map(|place| answer.pointer(place)?.as_str());
    id.map(str::to_owned).context("the answer has no id")
}

/// What the desk's computer holds, printed and sent.
fn the_desk_holds_office_content_alone(clinic: &Clinic, clinical: &Hunt, office: &Hunt) -> Result<()> {
    let (profile, home) = (clinic.desk.profile(), clinic.path("desk-home"));
    assert_eq!(clinical.files(profile)?, []);
    assert_eq!(office.files(profile)?, [], "the files are encrypted as a whole");
    assert_eq!(clinical.files(&home)?, []);
    assert_eq!(
        clinical.bytes(clinic.desk.printed().as_bytes(), "what the desk's programs printed"),
        []
    );
    all_found(
        &OFFICE,
        &office.bytes(clinic.desk.printed().as_bytes(), "what the desk's programs printed"),
    );

    let vault = plaintext::unlock(profile, clinic.desk.passphrase())?;
    let plain = plaintext::of_profile(profile, &vault, DatabaseFile::Office, &clinic.path("desk-office.plain"))?;
    let plain = plain.context("the desk has no office file")?;
    assert_eq!(clinical.files(&plain)?, []);
    all_found(&OFFICE, &office.files(&plain)?);
    let clinical_file = plaintext::of_profile(
        profile,
        &vault,
        DatabaseFile::Clinical,
        &clinic.path("desk-clinical.plain"),
    )?;
    assert_eq!(clinical_file, None, "the desk has no key to any clinical file");
    let files: Vec<_> = fs::read_dir(profile)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    assert!(
        !files.iter().any(|name| name.to_string_lossy().starts_with("clinical-")),
        "{files:?}"
    );

    let traffic = clinic.recorder.traffic(DESK)?;
    assert!(
        traffic.compressed > 0,
        "bodies are compressed, so that looking at the bytes alone would find nothing"
    );
    assert_eq!(clinical.bytes(&traffic.raw, "the desk's connections"), []);
    let bodies = traffic.bodies.concat();
    assert_eq!(clinical.bytes(&bodies, "the desk's messages"), []);
    all_found(&OFFICE, &office.bytes(&bodies, "the desk's messages"));
    Ok(())
}

/// The therapist's login finds everything, and only where she signs in for it.
fn the_therapist_finds_everything(clinic: &Clinic, clinical: &Hunt) -> Result<()> {
    let profile = clinic.therapist.profile();
    assert_eq!(clinical.files(profile)?, [], "the files are encrypted as a whole");
    all_found(
        &[SIGNED, DRUG, INSTRUCTIONS, ALLERGY],
        &clinical.bytes(clinic.therapist.printed().as_bytes(), "what she was shown"),
    );
    let vault = plaintext::unlock(profile, clinic.therapist.passphrase())?;
    let office = plaintext::of_profile(profile, &vault, DatabaseFile::Office, &clinic.path("office.plain"))?;
    assert_eq!(clinical.files(&office.context("she has no office file")?)?, []);
    let file = plaintext::of_profile(profile, &vault, DatabaseFile::Clinical, &clinic.path("clinical.plain"))?;
    all_found(&CLINICAL, &clinical.files(&file.context("she has no clinical file")?)?);
    let traffic = clinic.recorder.traffic(THERAPIST)?;
    all_found(
        &CLINICAL,
        &clinical.bytes(&traffic.bodies.concat(), "the therapist's messages"),
    );
    Ok(())
}

fn all_found(markers: &[&str], finds: &[Find]) {
    for marker in markers {
        assert!(
            finds.iter().any(|find| find.marker == *marker),
            "{marker} is not found where it has to be"
        );
    }
}

#[test]
fn with_the_embedded_storage_only_the_therapist_finds_what_is_clinical() -> Result<()> {
    let mut clinic = Clinic::after_a_day(None)?;
    let (clinical, office) = (Hunt::new(&CLINICAL), Hunt::new(&OFFICE));
    the_desk_holds_office_content_alone(&clinic, &clinical, &office)?;
    the_therapist_finds_everything(&clinic, &clinical)?;

    let service = clinic.path("service");
    assert_eq!(clinical.files(&service)?, [], "while the service works");
    clinic.service.stop()?;
    assert_eq!(clinical.files(&service)?, [], "after it has ended");
    assert_eq!(office.files(&service)?, [], "the file is encrypted as a whole");
    assert_eq!(clinical.files(&service.with_extension("log"))?, []);
    assert_eq!(
        office.files(&service.with_extension("log"))?,
        [],
        "no client data in logs"
    );
    let master_key = service.with_extension("config").join("caseload/master-key");
    let plain = plaintext::of_service(&service, &master_key, &clinic.path("service.plain"))?;
    assert_eq!(
        clinical.files(&plain)?,
        [],
        "sealed under a key of its own, even when the file is opened"
    );
    all_found(&OFFICE, &office.files(&plain)?);
    Ok(())
}

#[test]
fn with_mongodb_only_the_therapist_finds_what_is_clinical() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("start the runtime")?;
    let server = runtime.block_on(Mongod::replica_set())?;
    let mut clinic = Clinic::after_a_day(Some(&server.uri("canary")))?;
    let (clinical, office) = (Hunt::new(&CLINICAL), Hunt::new(&OFFICE));
    the_desk_holds_office_content_alone(&clinic, &clinical, &office)?;
    the_therapist_finds_everything(&clinic, &clinical)?;

    clinic.service.stop()?;
    let service = clinic.path("service");
    for place in [&service, &service.with_extension("log")] {
        assert_eq!(clinical.files(place)?, []);
        assert_eq!(
            office.files(place)?,
            [],
            "what the office may see is in the database alone"
        );
    }
    runtime.block_on(server.checkpoint())?;
    let folder = server.data();
    let folder = folder
        .parent()
        .context("the data lie in a folder of the server's own")?;
    assert_eq!(
        clinical.files(folder)?,
        [],
        "in the journal and the log as little as in the collections"
    );
    all_found(&OFFICE, &office.files(&server.data())?);
    Ok(())
}
