//! Both desktops work while the service is away.

use anyhow::{Result, ensure};

use super::join::everything_shared;
use super::moving::drag_to;
use super::records::book;
use super::{Person, Story};
use crate::desktop::Desktop;

/// What the desk types for the phone number.
pub(super) const DESKS_PHONE: &str = "+1 212 555 0190";
/// What the therapist types for it.
pub(super) const THERAPISTS_PHONE: &str = "+1 646 555 0144";
/// The new address, which only the therapist types.
pub(super) const NEW_STREET: &str = "Harbour Lane 48";
/// The hour that both book.
pub(super) const HOUR: &str = "11:00";
/// Where the desk moves the second appointment to.
const MOVED_TO: &str = "15:00";

impl Story {
    pub(super) fn go_offline(&mut self) -> Result<()> {
        self.service.stop()?;
        for window in [&self.therapist, self.desk()?] {
            window.go("/sync")?;
            window.click("share-now")?;
            window.until("the word that it is offline", || {
                Ok((window.attribute("sync-chip", "data-state")?.as_deref() == Some("offline")).then_some(()))
            })?;
        }
        Ok(())
    }

    pub(super) fn work_apart(&mut self) -> Result<()> {
        let (therapist, desk) = (&self.therapist, self.desk()?);
        desk.go(&format!("/calendar/day?date={}", self.days[1]))?;
        drag_to(desk, &self.appointments[1], None, MOVED_TO)?;
        edit(desk, &self.first, "client-phone", DESKS_PHONE, "overview-phone")?;
        edit(
            therapist,
            &self.first,
            "client-address-line1",
            NEW_STREET,
            "overview-address",
        )?;
        edit(
            therapist,
            &self.first,
            "client-phone",
            THERAPISTS_PHONE,
            "overview-phone",
        )?;
        let hers = book(therapist, &self.first, &self.days[2], HOUR)?;
        let theirs = book(desk, &self.second, &self.days[2], HOUR)?;
        ensure!(hers != theirs, "these are two appointments");
        therapist.picture("17-apart")?;
        desk.picture("17-apart")?;
        for window in [therapist, desk] {
            window.until("changes that wait", || {
                let waiting = window.attribute("sync-chip", "data-waiting")?;
                Ok(waiting.is_some_and(|count| count != "0").then_some(()))
            })?;
        }
        self.appointments.extend([hers, theirs]);
        Ok(())
    }

    pub(super) fn come_back(&mut self) -> Result<()> {
        self.service.start()?;
        let (therapist, desk) = (&self.therapist, self.desk()?);
        // The second round of the therapist brings what the desk has sent in the meantime.
        for window in [therapist, desk, therapist] {
            window.go("/sync")?;
            window.click("share-now")?;
            everything_shared(window)?;
        }
        let record = format!("/clients/{}/overview", self.first.id);
        for window in [therapist, desk] {
            window.go(&record)?;
            window.reads("overview-address", |text| text.contains(NEW_STREET))?;
            window.go(&format!(
                "/calendar/day?date={}&appointment={}",
                self.days[1], self.appointments[1]
            ))?;
            window.reads("appointment-time", |text| {
                text.contains(MOVED_TO) || text.contains("3:00")
            })?;
        }
        Ok(())
    }
}

/// Changes one field of a client's details and looks whether the record shows it.
fn edit(window: &Desktop, client: &Person, field: &str, text: &str, shown: &str) -> Result<()> {
    window.go(&format!("/clients/{}/details", client.id))?;
    window.fill(field, text)?;
    window.click("client-save")?;
    window.go(&format!("/clients/{}/overview", client.id))?;
    window.reads(shown, |found| found.contains(text)).map(drop)
}
