//! A first working day, played in the real window by the plain forms.
//!
//! A therapist starts alone and offline; later a service comes up, a front desk joins, both work apart and come back together.
//! Every step asserts what a person would look for. Nothing is asked of the program except through its windows and its files.

mod access;
mod administer;
mod apart;
mod first_run;
mod join;
mod live;
mod moving;
mod records;
mod settle;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::desktop::{Desktop, Setup};
use crate::programs::source;
use crate::report::Report;
use crate::service::Service;

/// Words that stand in the note and nowhere else.
const NOTE_MARKER: &str = "Quillonby";
/// Words that stand in the prescription and nowhere else.
const MEDICINE_MARKER: &str = "Zephyrexine";

const THERAPIST: &str = "Hana Kim";
const THERAPIST_PASSPHRASE: &str = "river lamp orchard seven";
const DESK: &str = "Morgan Reed";
const DESK_PASSPHRASE: &str = "copper window winter nine";
const ZONE: &str = "America/New_York";

/// How to play.
#[derive(Debug)]
pub struct Options {
    /// Pictures and the report go here.
    pub out: PathBuf,
    /// Where the service keeps its data instead of in SQLite.
    pub mongodb: Option<String>,
}

/// A client as she is typed in and found again.
struct Person {
    family: &'static str,
    given: &'static str,
    phone: &'static str,
    id: String,
}

/// The day so far.
struct Story {
    pictures: PathBuf,
    folder: tempfile::TempDir,
    service: Service,
    therapist: Desktop,
    desk: Option<Desktop>,
    /// The local day of the practice and the two after it.
    days: [String; 3],
    first: Person,
    second: Person,
    appointments: Vec<String>,
    note: String,
    prescription: String,
    /// The checker of what assistive programs need, as the text that is run in a page.
    axe: String,
}

/// Plays the whole day.
///
/// Steps that fail are in the report; the day ends with the first of them, because each builds on the ones before.
///
/// # Errors
/// When the day cannot begin.
pub fn play(options: &Options) -> Result<Report> {
    fs::create_dir_all(&options.out).with_context(|| format!("create {}", options.out.display()))?;
    for name in ["therapist", "desk"] {
        // A picture of an earlier failure would be taken for one of this run; mostly there is none.
        fs::remove_file(options.out.join(format!("failed-{name}.png"))).ok();
    }
    let mut report = Report::default();
    let begun = report.step(
        "the window opens on a new computer, with no network and no service",
        || Story::begin(options),
    );
    if let Ok(mut story) = begun
        && story.tell(&mut report).is_err()
    {
        story.picture_the_failure();
    }
    Ok(report)
}

impl Story {
    fn begin(options: &Options) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for the day")?;
        let service = Service::new(&folder.path().join("service"), options.mongodb.as_deref())?;
        let therapist = open("therapist", folder.path(), &options.out)?;
        therapist.see("screen-welcome")?;
        therapist.picture("01-welcome")?;
        let days = days(&therapist)?;
        Ok(Self {
            pictures: options.out.clone(),
            folder,
            service,
            therapist,
            desk: None,
            days,
            first: person("Yoon", "Jisoo", "+1 212 555 0131"),
            second: person("Brown", "Daniel", "+1 212 555 0172"),
            appointments: Vec::new(),
            note: String::new(),
            prescription: String::new(),
            axe: fs::read_to_string(source("ui/node_modules/axe-core/axe.min.js")).context("read axe-core")?,
        })
    }

    fn tell(&mut self, report: &mut Report) -> Result<()> {
        report.step(
            "a practice is made offline, and two groups of the recovery code are typed back",
            || self.create_practice(),
        )?;
        report.step("two clients are added", || self.add_clients())?;
        report.step("three appointments are booked", || self.book_three())?;
        report.step(
            "an appointment is dragged to another day, and moved back by keys",
            || self.drag_to_another_day_and_back_by_keys(),
        )?;
        report.step("a SOAP note saves itself, is signed and verifies", || {
            self.sign_a_note()
        })?;
        report.step("a prescription is issued and printed to PDF", || {
            self.print_a_prescription()
        })?;
        report.step(
            "the service comes up and the practice is published with the setup code",
            || self.publish(),
        )?;
        report.step(
            "a second desktop joins as front desk with an enrolment code, and keeps a recovery code of its own",
            || self.join(),
        )?;
        report.step("the front desk sees clients and appointments", || {
            self.desk_sees_the_office()
        })?;
        report.step(
            "the front desk finds not one word of the note or the prescription",
            || self.desk_finds_nothing_clinical(),
        )?;
        let delays = report.step(
            "what the desk saves appears on the therapist's screen by itself",
            || self.seen_by_itself(),
        )?;
        report.figure(&format!(
            "from the click on one screen to the text on the other: {} ms in the middle of {}, {} ms at most",
            delays[delays.len() / 2].as_millis(),
            delays.len(),
            delays[delays.len() - 1].as_millis()
        ));
        report.step("the service goes away and both desktops say so", || self.go_offline())?;
        report.step(
            "both work on: a move by the mouse, an address, the same phone number, the same hour",
            || self.work_apart(),
        )?;
        report.step("both come back: the address and the move merge by themselves", || {
            self.come_back()
        })?;
        report.step(
            "the phone number is a conflict with both values, settled in the window",
            || self.settle_the_phone(),
        )?;
        report.step(
            "both bookings are there, one placed and one contested, settled in the window",
            || self.settle_the_clash(),
        )?;
        report.step("desktops and service end equal by checksum", || self.compare())?;
        report.step("an administrator joins and brings somebody in herself", || {
            self.an_administrator_brings_somebody_in()
        })?;
        report.step("a wrong passphrase is refused and the right one opens", || {
            self.lock_and_unlock()
        })?;
        report.step("a second window on the same profile is refused", || self.start_twice())?;
        self.check_access(report)
    }

    fn desk(&self) -> Result<&Desktop> {
        self.desk.as_ref().context("the front desk has joined")
    }

    fn picture_the_failure(&self) {
        for desktop in std::iter::once(&self.therapist).chain(self.desk.as_ref()) {
            if let Err(error) = desktop.picture("failed") {
                eprintln!("no picture of the failure: {error:#}");
            }
        }
        for log in [
            "service.log",
            "therapist/window.log",
            "desk/window.log",
            "admin/window.log",
        ] {
            let target = self.pictures.join(log.replace('/', "-"));
            // A log that is not there says nothing either.
            fs::copy(self.folder.path().join(log), target).ok();
        }
    }
}

fn person(family: &'static str, given: &'static str, phone: &'static str) -> Person {
    Person {
        family,
        given,
        phone,
        id: String::new(),
    }
}

/// Opens a window on a computer of its own.
fn open(name: &str, folder: &Path, pictures: &Path) -> Result<Desktop> {
    let setup = Setup {
        name,
        folder: &folder.join(name),
        pictures,
    };
    Desktop::start(&setup, &[("TZ", ZONE)])
}

/// The practice's present day and the next two, as the window's own clock has them.
fn days(desktop: &Desktop) -> Result<[String; 3]> {
    let script = "const parts = new Intl.DateTimeFormat('en-US', { timeZone: arguments[0], year: 'numeric', month: 'numeric', day: 'numeric' }).formatToParts(new Date());
        const part = (type) => Number(parts.find((each) => each.type === type).value);
        return [0, 1, 2].map((n) => new Date(Date.UTC(part('year'), part('month') - 1, part('day') + n)).toISOString().slice(0, 10))";
    let days = desktop.run(script, &[json!(ZONE)])?;
    let day = |index: usize| days[index].as_str().map(str::to_owned).context("a day is text");
    Ok([day(0)?, day(1)?, day(2)?])
}

/// The part of an address that names the record, behind this beginning.
fn id_in(place: &str, beginning: &str) -> Result<String> {
    let rest = place
        .strip_prefix(beginning)
        .with_context(|| format!("{place} is not below {beginning}"))?;
    let id = rest.split(['/', '?']).next().unwrap_or_default();
    ensure!(id.len() == 36, "{place} names no record");
    Ok(id.to_owned())
}
