//! What only a person can decide, decided in the window, and proof that everyone has the same in the end.

use anyhow::{Context, Result, ensure};

use super::Story;
use super::apart::{DESKS_PHONE, THERAPISTS_PHONE};
use super::join::everything_shared;
use crate::desktop::{Desktop, Setup};

impl Story {
    pub(super) fn settle_the_phone(&self) -> Result<()> {
        let window = &self.therapist;
        window.go("/sync")?;
        window.see("conflict")?;
        ensure!(
            window.attribute("conflict", "data-unit")?.as_deref() == Some("phone"),
            "the phone number is what was typed twice"
        );
        ensure!(window.count("conflict")? == 1, "nothing else was typed twice");
        let values = [window.text("conflict-value-a")?, window.text("conflict-value-b")?];
        for phone in [DESKS_PHONE, THERAPISTS_PHONE] {
            ensure!(
                values.iter().any(|value| value.contains(phone)),
                "the conflict shows {values:?}"
            );
        }
        window.picture("18-conflict")?;
        self.check_here(window)?;
        let letter = if values[0].contains(DESKS_PHONE) { "a" } else { "b" };
        window.click(&format!("conflict-keep-{letter}"))?;
        window.see("conflicts-none")?;
        self.share_both()?;
        for window in [window, self.desk()?] {
            window.go(&format!("/clients/{}/overview", self.first.id))?;
            window.reads("overview-phone", |text| text.contains(DESKS_PHONE))?;
            window.go("/sync")?;
            window.see("conflicts-none")?;
        }
        Ok(())
    }

    pub(super) fn settle_the_clash(&self) -> Result<()> {
        let (therapist, desk) = (&self.therapist, self.desk()?);
        for window in [therapist, desk] {
            window.go(&format!("/calendar/day?date={}", self.days[2]))?;
            window.until("one placed and one contested appointment", || {
                let script = "return [...document.querySelectorAll('[data-testid=event]')].map((each) => each.dataset.placement).sort().join()";
                let found = window.run(script, &[])?;
                Ok((found.as_str() == Some("contested,placed")).then_some(()))
            })?;
        }
        therapist.picture("18-clash-in-calendar")?;
        self.check_here(therapist)?;
        desk.go("/sync")?;
        desk.see("clash")?;
        ensure!(desk.count("clash")? == 1, "there is one clash");
        let sides = [
            desk.attribute("clash-a", "data-appointment")?,
            desk.attribute("clash-b", "data-appointment")?,
        ];
        for appointment in &self.appointments[3..] {
            ensure!(sides.contains(&Some(appointment.clone())), "both bookings are shown");
        }
        desk.picture("18-clash")?;
        self.check_here(desk)?;
        desk.click("clash-move-b-0")?;
        desk.see("clashes-none")?;
        self.share_both()?;
        for window in [therapist, desk] {
            window.go("/sync")?;
            window.see("clashes-none")?;
        }
        Ok(())
    }

    pub(super) fn compare(&self) -> Result<()> {
        let (therapist, desk) = (&self.therapist, self.desk()?);
        self.share_both()?;
        for (window, kinds) in [(therapist, &["office", "clinical"][..]), (desk, &["office"][..])] {
            window.go("/sync")?;
            window.click("checksum")?;
            for kind in kinds {
                let equal = window.attribute(&format!("checksum-equal-{kind}"), "data-equal")?;
                ensure!(
                    equal.as_deref() == Some("true"),
                    "the {kind} records differ from the service's"
                );
                ensure!(
                    !window.has(&format!("checksum-repaired-{kind}"))?,
                    "{kind} records had to be repaired"
                );
            }
            window.picture("18-checksum")?;
        }
        ensure!(!desk.has("checksum-clinical")?, "the desk holds no clinical records");
        let (hers, theirs) = (therapist.text("checksum-office")?, desk.text("checksum-office")?);
        ensure!(
            hers.len() == 64 && hers == theirs,
            "the desktops' sums differ: {hers} and {theirs}"
        );
        Ok(())
    }

    /// A second window on the profile says so and can do nothing.
    pub(super) fn start_twice(&self) -> Result<()> {
        let profile = self.therapist.folder().join("profile");
        let profile = profile.to_str().context("the path is text")?;
        let setup = Setup {
            name: "second",
            folder: &self.folder.path().join("second"),
            pictures: &self.pictures,
        };
        let second = Desktop::start(&setup, &[("CASELOAD_PROFILE", profile)])?;
        second.see("error")?;
        let code = second.attribute("error", "data-code")?;
        ensure!(
            code.as_deref() == Some("profile_in_use"),
            "a second window was answered by {code:?}"
        );
        second.picture("20-second-window")
    }

    fn share_both(&self) -> Result<()> {
        for window in [&self.therapist, self.desk()?, &self.therapist] {
            share(window)?;
        }
        Ok(())
    }
}

fn share(window: &Desktop) -> Result<()> {
    window.go("/sync")?;
    window.click("share-now")?;
    everything_shared(window)
}
