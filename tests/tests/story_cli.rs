//! A first working day by the command line: a therapist alone and offline, a service, a front desk, both apart, both together again.
//!
//! One story and two storages. Each step asserts what a person would look for in the answers of the built program, on two profiles and
//! with a service that is a process of its own.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use caseload_testkit::mongod::Mongod;
use caseload_tests::computer::{Computer, text_at};
use caseload_tests::service::Service;
use serde_json::Value;
use tempfile::TempDir;

/// Words that stand in the note and nowhere else.
const NOTE_MARKER: &str = "Quillonby";
/// Words that stand in the prescription and nowhere else.
const MEDICINE_MARKER: &str = "Zephyrexine";

const MONDAY: &str = "2031-05-12";
const TUESDAY: &str = "2031-05-13";
const WEDNESDAY: &str = "2031-05-14";
/// The hour of Wednesday that both book.
const HOUR: &str = "11:00";

const STREET: &str = "Old Road 3";
const NEW_STREET: &str = "Harbour Lane 48";
const DESKS_PHONE: &str = "+1 212 555 0190";
const THERAPISTS_PHONE: &str = "+1 646 555 0144";

#[test]
fn a_first_working_day_with_the_embedded_storage() -> Result<()> {
    Story::new(None)?.play()
}

#[tokio::test]
async fn a_first_working_day_with_mongodb() -> Result<()> {
    let server = Mongod::replica_set().await?;
    let uri = server.uri("caseload");
    tokio::task::spawn_blocking(move || Story::new(Some(&uri))?.play()).await?
}

#[test]
fn the_demonstration_opens_with_every_sign_in_that_it_prints() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let computer = Computer::new(folder.path(), "profile", "")?;
    let made = computer.run(&["demo", "--data", &folder.path().to_string_lossy()])?;
    ensure!(computer.profile() == Path::new(&text_at(&made, "/profile")?));
    let people = made["people"].as_array().context("a list")?;
    ensure!(people.len() == 3 && made["clients"] == 40, "{made}");
    for person in people {
        let (name, passphrase) = (text_at(person, "/name")?, text_at(person, "/passphrase")?);
        let mut command = computer.command(&["--user", &name, "clients", "list"])?;
        let output = command.env("CASELOAD_PASSPHRASE", passphrase).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{name}: {said}");
        let clients: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(clients["total"] == 40, "{name}: {clients}");
    }
    Ok(())
}

/// The day so far.
struct Story {
    folder: TempDir,
    service: Service,
    therapist: Computer,
    desk: Computer,
    /// The two clients.
    clients: Vec<String>,
    /// Booked before anybody else was there.
    appointments: Vec<String>,
    note: String,
    prescription: String,
}

impl Story {
    fn new(mongodb: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder")?;
        Ok(Self {
            service: Service::new(&folder.path().join("service"), mongodb)?.for_demonstration(),
            therapist: Computer::new(folder.path(), "therapist", "river lamp orchard seven")?,
            desk: Computer::new(folder.path(), "desk", "copper window winter nine")?,
            folder,
            clients: Vec::new(),
            appointments: Vec::new(),
            note: String::new(),
            prescription: String::new(),
        })
    }

    fn play(mut self) -> Result<()> {
        self.create_offline()?;
        self.add_clients_and_book()?;
        self.write_and_sign_a_note()?;
        self.issue_and_print_a_prescription()?;
        self.service.start()?;
        self.publish()?;
        self.desk_joins()?;
        self.desk_sees_the_office_and_nothing_clinical()?;
        self.service.stop()?;
        let [hers, theirs] = self.work_apart()?;
        self.service.start()?;
        self.come_back()?;
        self.settle_the_phone()?;
        self.settle_the_clash(&hers, &theirs)?;
        self.everybody_is_equal()?;
        self.an_exported_note_verifies_until_it_is_changed()?;
        self.service.stop()
    }

    fn create_offline(&self) -> Result<()> {
        let practice = ["create", "--practice", "Harbour Practice", "--zone", "America/New_York"];
        let owner = [
            "--name",
            "Hana Kim",
            "--licence",
            "PSY-20114",
            "--device",
            "Hana's desk",
        ];
        let kit = self.therapist.run(&[&practice[..], &owner].concat())?;
        let code = text_at(&kit, "/recoveryCode")?;
        ensure!(
            code.split('-').count() > 5 && code.len() > 30,
            "the recovery code is printed: {code}"
        );
        Ok(())
    }

    fn add_clients_and_book(&mut self) -> Result<()> {
        for (family, given, phone) in [
            ("Okafor", "Ada", "+1 212 555 0142"),
            ("Lindqvist", "Nils", "+1 212 555 0177"),
        ] {
            let who = [
                "clients",
                "add",
                "--family",
                family,
                "--given",
                given,
                "--birth-date",
                "1990-04-12",
            ];
            let where_ = ["--phone", phone, "--street", STREET, "--city", "New York"];
            // Two people of one birthday look alike to the program; she knows that they are two.
            let answer = self.therapist.run(&[&who[..], &where_, &["--force"]].concat())?;
            self.clients.push(text_at(&answer, "/client/id")?);
        }
        for (client, date, time) in [(0, MONDAY, "09:00"), (1, TUESDAY, "10:00"), (0, TUESDAY, "13:00")] {
            let booked = book(&self.therapist, &self.clients[client], date, time, None)?;
            self.appointments.push(booked);
        }
        Ok(())
    }

    fn write_and_sign_a_note(&mut self) -> Result<()> {
        let subjective = format!("subjective=Slept five nights of seven. Named the {NOTE_MARKER} dream again.");
        let sections = [
            subjective.as_str(),
            "objective=Calm, good eye contact, speech unhurried.",
            "assessment=Less avoidance than in the spring.",
            "plan=Breathing twice a day; next session in a week.",
        ];
        let mut command = vec!["notes", "new", &self.clients[0], "--appointment", &self.appointments[0]];
        command.extend(sections.iter().flat_map(|section| ["--section", section]));
        let note = self.therapist.run(&command)?;
        self.note = text_at(&note, "/summary/id")?;
        let signed = self.therapist.run(&["notes", "sign", &self.note])?;
        ensure!(text_at(&signed, "/summary/state")? == "signed");
        ensure!(signed.to_string().contains(NOTE_MARKER));
        let edited = ["notes", "edit", &self.note, "--section", "plan=Another plan"];
        ensure!(
            self.therapist.refused(&edited)?.code == "immutable",
            "what is signed never changes"
        );
        Ok(())
    }

    fn issue_and_print_a_prescription(&mut self) -> Result<()> {
        let medicine = [
            "--drug",
            MEDICINE_MARKER,
            "--form",
            "tablet",
            "--strength",
            "50 mg",
            "--dose",
            "1",
        ];
        let how = [
            "--frequency",
            "once a day",
            "--duration",
            "30 days",
            "--quantity",
            "30",
            "--refills",
            "1",
        ];
        let new = [&["prescriptions", "new", &self.clients[0]][..], &medicine, &how].concat();
        self.prescription = text_at(&self.therapist.run(&new)?, "/summary/id")?;
        let issued = self.therapist.run(&["prescriptions", "issue", &self.prescription])?;
        ensure!(
            !text_at(&issued, "/summary/number")?.is_empty(),
            "an issued prescription has a number"
        );
        let printed = self.therapist.run(&["prescriptions", "print", &self.prescription])?;
        let file = PathBuf::from(text_at(&printed, "/path")?);
        let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        ensure!(
            file.starts_with(self.folder.path()),
            "{} is not among her documents",
            file.display()
        );
        ensure!(
            bytes.starts_with(b"%PDF-") && bytes.len() > 4_000,
            "{} is no prescription",
            file.display()
        );
        let last = bytes.trim_ascii_end();
        ensure!(last.ends_with(b"%%EOF"), "the file is whole");
        Ok(())
    }

    fn publish(&self) -> Result<()> {
        let (address, code) = (self.service.address(), self.service.setup_code()?);
        self.therapist
            .run(&["publish", "--address", &address, "--setup-code", &code])?;
        ensure!(self.service.setup_code().is_err(), "a setup code is used once");
        self.share(&self.therapist)
    }

    fn desk_joins(&self) -> Result<()> {
        let enrolment = self
            .therapist
            .run(&["enrol", "--role", "front-desk", "--name", "Morgan Reed"])?;
        let line = text_at(&enrolment, "/code")?;
        let status = self
            .desk
            .run(&["join", &line, "--name", "Morgan Reed", "--device", "Front desk"])?;
        ensure!(status.pointer("/published") == Some(&Value::Bool(true)) || status["session"].is_null());
        ensure!(
            text_at(&status, "/recoveryCode")?.split('-').count() == 9,
            "whoever joins gets a recovery code of her own"
        );
        self.share(&self.desk)
    }

    fn desk_sees_the_office_and_nothing_clinical(&self) -> Result<()> {
        let desk = &self.desk;
        let clients = desk.run(&["clients", "list"])?;
        ensure!(clients["total"] == 2 && clients.to_string().contains("Okafor"));
        let week = desk.run(&["appointments", "list", "--from", MONDAY])?;
        let ids: Vec<String> = items(&week)
            .map(|item| item["id"].as_str().unwrap_or_default().to_owned())
            .collect();
        ensure!(ids == self.appointments, "the desk sees {ids:?}");
        desk.run(&["clients", "show", &self.clients[0]])?;
        desk.run(&["today"])?;
        for command in [
            &["notes", "list"][..],
            &["notes", "list", &self.clients[0]],
            &["notes", "show", &self.note],
            &["prescriptions", "list", &self.clients[0]],
            &["prescriptions", "show", &self.prescription],
            &["prescriptions", "print", &self.prescription],
        ] {
            let refusal = desk.refused(command)?;
            ensure!(
                refusal.code == "forbidden" && !refusal.retry,
                "{command:?}: {refusal:?}"
            );
        }
        for marker in [NOTE_MARKER, MEDICINE_MARKER] {
            ensure!(!desk.printed().contains(marker), "the desk read {marker}");
            let mut files = desk.files()?.into_iter();
            ensure!(
                !files.any(|(_, bytes)| holds(&bytes, marker)),
                "the desk's files hold {marker}"
            );
        }
        ensure!(!clinical_files(desk.profile())?, "the desk has no clinical file");
        ensure!(clinical_files(self.therapist.profile())?, "the therapist has one");
        Ok(())
    }

    /// Both work while the service is away. Answers the two bookings of one hour: hers and the desk's.
    fn work_apart(&self) -> Result<[String; 2]> {
        let (therapist, desk) = (&self.therapist, &self.desk);
        let moved = desk.run(&[
            "appointments",
            "move",
            &self.appointments[1],
            "--date",
            TUESDAY,
            "--time",
            "15:00",
        ])?;
        ensure!(text_at(&moved, "/appointment/item/startTime")? == "15:00");
        desk.run(&["clients", "set", &self.clients[0], "--phone", DESKS_PHONE])?;
        let changes = ["--street", NEW_STREET, "--phone", THERAPISTS_PHONE];
        therapist.run(&[&["clients", "set", &self.clients[0]][..], &changes].concat())?;
        let hers = book(therapist, &self.clients[0], WEDNESDAY, HOUR, None)?;
        let theirs = book(desk, &self.clients[1], WEDNESDAY, HOUR, Some("Hana Kim"))?;
        for computer in [therapist, desk] {
            let refusal = computer.refused(&["sync"])?;
            ensure!(refusal.code == "offline" && refusal.retry, "{refusal:?}");
        }
        Ok([hers, theirs])
    }

    fn come_back(&self) -> Result<()> {
        // Her second round brings what the desk has sent in the meantime.
        for computer in [&self.therapist, &self.desk, &self.therapist] {
            self.share(computer)?;
        }
        for computer in [&self.therapist, &self.desk] {
            let client = computer.run(&["clients", "show", &self.clients[0]])?;
            ensure!(
                text_at(&client, "/details/address/line1")? == NEW_STREET,
                "the address merges"
            );
            ensure!(
                client["conflicting"] == serde_json::json!(["phone"]),
                "the phone alone is in conflict"
            );
            let moved = computer.run(&["appointments", "show", &self.appointments[1]])?;
            ensure!(text_at(&moved, "/item/startTime")? == "15:00", "the move merges");
            ensure!(
                text_at(&moved, "/item/placement")? == "placed",
                "and its time is accepted"
            );
        }
        Ok(())
    }

    fn settle_the_phone(&self) -> Result<()> {
        let open = self.therapist.run(&["conflicts", "list"])?;
        ensure!(open == self.desk.run(&["conflicts", "list"])?, "both see the same");
        let conflicts = open.as_array().context("a list")?;
        ensure!(conflicts.len() == 1, "nothing but the phone was typed twice: {open}");
        let conflict = &conflicts[0];
        ensure!(text_at(conflict, "/unit")? == "phone" && text_at(conflict, "/clientId")? == self.clients[0]);
        let values = [text_at(conflict, "/a/text")?, text_at(conflict, "/b/text")?];
        ensure!(
            values.contains(&DESKS_PHONE.to_owned()) && values.contains(&THERAPISTS_PHONE.to_owned()),
            "{values:?}"
        );
        let letter = if values[0] == DESKS_PHONE { "a" } else { "b" };
        let id = text_at(conflict, "/id")?;
        self.therapist.run(&["conflicts", "settle", &id, letter])?;
        for computer in [&self.therapist, &self.desk] {
            self.share(computer)?;
            ensure!(
                computer.run(&["conflicts", "list"])? == serde_json::json!([]),
                "it is settled for both"
            );
            let client = computer.run(&["clients", "show", &self.clients[0]])?;
            ensure!(text_at(&client, "/details/phone")? == DESKS_PHONE);
        }
        ensure!(self.desk.refused(&["conflicts", "settle", &id, "b"])?.code == "already_settled");
        Ok(())
    }

    fn settle_the_clash(&self, hers: &str, theirs: &str) -> Result<()> {
        for computer in [&self.therapist, &self.desk] {
            let day = computer.run(&["appointments", "list", "--from", WEDNESDAY, "--days", "1"])?;
            let mut both: Vec<[String; 2]> = items(&day)
                .map(|item| Ok([text_at(item, "/id")?, text_at(item, "/placement")?]))
                .collect::<Result<_>>()?;
            both.sort_by(|one, other| one[1].cmp(&other[1]));
            let expected = [[theirs, "contested"], [hers, "placed"]];
            ensure!(both == expected, "hers came first: {both:?}");
        }
        let open = self.desk.run(&["clashes", "list"])?;
        ensure!(
            open.as_array().is_some_and(|clashes| clashes.len() == 1),
            "there is one clash: {open}"
        );
        let (id, a, b) = (
            text_at(&open, "/0/id")?,
            text_at(&open, "/0/a/id")?,
            text_at(&open, "/0/b/id")?,
        );
        ensure!([a.as_str(), b.as_str()] == [hers, theirs], "both bookings are shown");
        let free = (
            text_at(&open, "/0/slotsB/0/date")?,
            text_at(&open, "/0/slotsB/0/startTime")?,
        );
        self.desk.run(&["clashes", "settle", &id, "move-b", &free.0, &free.1])?;
        for computer in [&self.desk, &self.therapist] {
            self.share(computer)?;
            ensure!(
                computer.run(&["clashes", "list"])? == serde_json::json!([]),
                "it is settled for both"
            );
            for (appointment, time) in [(hers, HOUR), (theirs, free.1.as_str())] {
                let shown = computer.run(&["appointments", "show", appointment])?;
                ensure!(text_at(&shown, "/item/placement")? == "placed", "{shown}");
                ensure!(text_at(&shown, "/item/startTime")? == time, "{shown}");
            }
        }
        Ok(())
    }

    fn everybody_is_equal(&self) -> Result<()> {
        let (hers, theirs) = (self.therapist.run(&["checksum"])?, self.desk.run(&["checksum"])?);
        let (office, clinical) = (sum(&hers, "office")?, sum(&hers, "clinical")?);
        ensure!(office.is_some() && clinical.is_some(), "she holds both: {hers}");
        ensure!(
            sum(&theirs, "office")? == office,
            "the desktops differ: {hers} and {theirs}"
        );
        ensure!(
            sum(&theirs, "clinical")?.is_none(),
            "the desk holds no clinical records: {theirs}"
        );
        Ok(())
    }

    fn an_exported_note_verifies_until_it_is_changed(&self) -> Result<()> {
        let [export, changed] = ["note.json", "changed.json"].map(|name| self.folder.path().join(name));
        let name = |file: &Path| file.to_str().map(str::to_owned).context("a path is text");
        self.therapist.run(&["notes", "export", &self.note, &name(&export)?])?;
        // Another person's computer, with no profile and no network.
        let anybody = Computer::new(self.folder.path(), "anybody", "")?;
        let verified = anybody.run(&["verify", &name(&export)?])?;
        ensure!(
            verified["valid"] == true && text_at(&verified, "/note/signedBy")? == "Hana Kim",
            "{verified}"
        );
        let root = text_at(&verified, "/root")?;
        anybody.run(&["verify", &name(&export)?, "--root", &root])?;
        let text = fs::read_to_string(&export)?;
        ensure!(text.contains("five nights"));
        fs::write(&changed, text.replace("five nights", "nine nights"))?;
        ensure!(anybody.refused(&["verify", &name(&changed)?])?.code == "signature_invalid");
        let foreign = anybody.refused(&["verify", &name(&export)?, "--root", &"A".repeat(root.len())])?;
        ensure!(
            foreign.code == "foreign_practice",
            "another root is not hers: {foreign:?}"
        );
        fs::write(&changed, "{}")?;
        ensure!(anybody.refused(&["verify", &name(&changed)?])?.code == "invalid_request");
        Ok(())
    }

    /// Shares, and everything is shared then.
    fn share(&self, computer: &Computer) -> Result<()> {
        let overview = computer.run(&["sync"])?;
        ensure!(
            overview["state"] == "up_to_date" && overview["waiting"] == 0,
            "{overview}"
        );
        ensure!(overview["refused"] == serde_json::json!([]), "{overview}");
        Ok(())
    }
}

/// Books fifty minutes, and gives the appointment's id.
fn book(computer: &Computer, client: &str, date: &str, time: &str, therapist: Option<&str>) -> Result<String> {
    let mut command = vec!["appointments", "book", client, "--date", date, "--time", time];
    command.extend(therapist.into_iter().flat_map(|name| ["--therapist", name]));
    text_at(&computer.run(&command)?, "/appointment/item/id")
}

/// Every appointment of a calendar.
fn items(calendar: &Value) -> impl Iterator<Item = &Value> {
    let columns = calendar["columns"].as_array().into_iter().flatten();
    columns.filter_map(|column| column["items"].as_array()).flatten()
}

/// The sum over a computer's records of one kind and their number, which the service has as well; none when it holds no such records.
fn sum(checksum: &Value, kind: &str) -> Result<Option<(String, u64)>> {
    let scopes = checksum["scopes"].as_array().context("a list")?;
    let Some(scope) = scopes.iter().find(|scope| scope["kind"] == kind) else {
        return Ok(None);
    };
    let here = text_at(scope, "/here")?;
    ensure!(
        here == text_at(scope, "/service")?,
        "the service's {kind} records differ: {scope}"
    );
    ensure!(scope["repaired"] == 0, "something had to be repaired: {scope}");
    let records = scope["records"].as_u64().context("a number")?;
    ensure!(records > 0 && here.len() == 64, "{scope}");
    Ok(Some((here, records)))
}

fn clinical_files(profile: &Path) -> Result<bool> {
    let names: Vec<_> = fs::read_dir(profile)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    Ok(names.iter().any(|name| name.to_string_lossy().starts_with("clinical-")))
}

fn holds(bytes: &[u8], marker: &str) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker.as_bytes())
}
