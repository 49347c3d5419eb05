//! The therapist's own work: clients, appointments, a note, a prescription.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{MEDICINE_MARKER, NOTE_MARKER, Person, Story, id_in};
use crate::desktop::Desktop;

impl Story {
    pub(super) fn add_clients(&mut self) -> Result<()> {
        for client in [&mut self.first, &mut self.second] {
            client.id = add(&self.therapist, client)?;
        }
        self.therapist.picture("04-client")?;
        self.therapist.go("/clients")?;
        self.therapist.reads("client-row", |rows| rows.lines().count() >= 2)?;
        self.therapist.fill("clients-search", self.first.family)?;
        self.therapist.until("one row for the name that was typed", || {
            Ok((self.therapist.count("client-row")? == 1).then_some(()))
        })?;
        self.therapist.fill("clients-search", "")?;
        self.therapist.until("both rows", || {
            Ok((self.therapist.count("client-row")? == 2).then_some(()))
        })?;
        self.therapist.picture("05-clients")
    }

    pub(super) fn book_three(&mut self) -> Result<()> {
        let plan = [
            (&self.first, &self.days[0], "09:00"),
            (&self.second, &self.days[1], "10:00"),
            (&self.first, &self.days[1], "13:00"),
        ];
        for (client, day, time) in plan {
            let id = book(&self.therapist, client, day, time)?;
            self.appointments.push(id);
        }
        self.therapist.go(&format!("/calendar/week?date={}", self.days[1]))?;
        self.therapist.see("calendar-grid")?;
        self.therapist.picture("06-calendar-week")?;
        self.therapist.go(&format!("/calendar/day?date={}", self.days[1]))?;
        self.therapist.until("both appointments of the day", || {
            Ok((self.therapist.count("event")? == 2).then_some(()))
        })?;
        self.therapist.picture("07-calendar-day")
    }

    pub(super) fn sign_a_note(&mut self) -> Result<()> {
        let window = &self.therapist;
        window.go(&format!(
            "/calendar/day?date={}&appointment={}",
            self.days[0], self.appointments[0]
        ))?;
        window.click("start-note")?;
        window.see("note-editor")?;
        self.note = id_in(&window.place()?, "/notes/")?;
        window.choose("note-template", "soap")?;
        for (section, text) in [
            (
                "subjective",
                format!("Slept five nights of seven. Named the {NOTE_MARKER} dream again."),
            ),
            ("objective", "Calm, good eye contact, speech unhurried.".to_owned()),
            ("assessment", "Less avoidance than in the spring.".to_owned()),
            ("plan", "Breathing twice a day; next session in a week.".to_owned()),
        ] {
            window.fill(&format!("note-section-{section}"), &text)?;
        }
        window.until("the note to save itself", || {
            Ok((window.attribute("note-saved-state", "data-saved")?.as_deref() == Some("true")).then_some(()))
        })?;
        window.picture("08-note-draft")?;
        window.click("sign-note")?;
        window.see("sign-dialog")?;
        window.click("sign-note-confirm")?;
        window.see("signed-note")?;
        window.reads("signed-section-subjective", |text| text.contains(NOTE_MARKER))?;
        window.click("verify-note")?;
        window.see("verify-result")?;
        ensure!(
            window.attribute("verify-result", "data-valid")?.as_deref() == Some("true"),
            "a note signed a moment ago verifies"
        );
        window.picture("09-note-signed")?;
        // A session with a signed note leads to it, and nothing on the day offers to start a second one.
        window.go(&format!("/today?appointment={}", self.appointments[0]))?;
        window.until("the way to the signed note", || {
            Ok((window.attribute("start-note", "data-step")?.as_deref() == Some("open")).then_some(()))
        })?;
        let offers = window.run("return document.querySelectorAll('[data-step=start]').length", &[])?;
        ensure!(offers == json!(0), "{offers} buttons offer to start a note");
        window.click("start-note")?;
        window.see("signed-note").map(drop)
    }

    pub(super) fn print_a_prescription(&mut self) -> Result<()> {
        let window = &self.therapist;
        window.go(&format!("/clients/{}/prescriptions", self.first.id))?;
        window.click("rx-new")?;
        for (field, text) in [
            ("rx-drug-0", MEDICINE_MARKER),
            ("rx-strength-0", "50 mg"),
            ("rx-form-0", "tablet"),
            ("rx-dose-0", "1"),
            ("rx-route-0", "by mouth"),
            ("rx-frequency-0", "once a day"),
            ("rx-duration-0", "30 days"),
            ("rx-quantity-0", "30"),
            ("rx-refills-0", "1"),
            ("rx-instructions", "In the morning, with water."),
        ] {
            window.fill(field, text)?;
        }
        window.picture("10-prescription-draft")?;
        window.click("rx-issue")?;
        window.click("rx-issue-confirm")?;
        window.see("issued-prescription")?;
        self.prescription = id_in(&window.place()?, "/prescriptions/")?;
        window.click("rx-print")?;
        window.see("rx-pdf-path")?;
        let path = window
            .attribute("rx-pdf-path", "data-path")?
            .context("the window says where the PDF is")?;
        let bytes = fs::read(&path).with_context(|| format!("read {path}"))?;
        ensure!(
            bytes.starts_with(b"%PDF-") && bytes.len() > 4_000,
            "{path} is no prescription"
        );
        fs::copy(&path, self.pictures.join("11-prescription.pdf")).context("keep the PDF")?;
        window.picture("11-prescription-issued")
    }
}

fn add(window: &Desktop, client: &Person) -> Result<String> {
    window.go("/clients/new")?;
    for (field, text) in [
        ("client-family", client.family),
        ("client-given", client.given),
        ("client-birth-date", "1990-04-12"),
        ("client-phone", client.phone),
        ("client-address-line1", "Old Road 3"),
        ("client-address-city", "New York"),
    ] {
        window.fill(field, text)?;
    }
    window.click("client-create-submit")?;
    window.until("the new client's record", || {
        // Two people may look alike to the program; she knows that they are two.
        window.click_if_there("client-create-anyway")?;
        Ok(window.has("screen-client")?.then_some(()))
    })?;
    window.reads("header-name", |name| name.contains(client.family))?;
    id_in(&window.place()?, "/clients/")
}

/// Books by the form, and answers the appointment's id.
pub(super) fn book(window: &Desktop, client: &Person, day: &str, time: &str) -> Result<String> {
    window.go(&format!("/calendar/day?date={day}&book=1"))?;
    window.fill("book-client", client.family)?;
    window.click("book-client-option")?;
    window.fill("book-date", day)?;
    window.fill("book-time", time)?;
    window.fill("book-minutes", "50")?;
    window.click("book-submit")?;
    window.gone("book-form")?;
    let event = format!("[data-testid=event][data-date='{day}'][data-start='{time}']");
    let script = "return document.querySelector(arguments[0])?.dataset.id ?? null";
    window.until(&format!("the appointment at {time}"), || {
        let id = window.run(script, &[json!(event)])?;
        Ok(id.as_str().map(str::to_owned))
    })
}
