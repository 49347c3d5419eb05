//! An administrator joins and, once the owner's computer has vouched for her, brings somebody in herself.

use anyhow::{Result, ensure};

use super::join::{everything_shared, invite, join_with};
use super::{Story, open};

const ADMIN: &str = "Ingrid Calder";
const ADMIN_PASSPHRASE: &str = "marble ferry candle eight";

impl Story {
    pub(super) fn an_administrator_brings_somebody_in(&self) -> Result<()> {
        let code = invite(&self.therapist, "admin", ADMIN)?;
        let admin = open("admin", self.folder.path(), &self.pictures)?;
        join_with(&admin, &code, ADMIN, "Office", ADMIN_PASSPHRASE)?;
        everything_shared(&admin)?;
        ensure!(!admin.has("nav-notes")?, "an administrator reads no notes");
        admin.go("/settings/computers")?;
        admin.choose("enrol-kind", "person")?;
        admin.choose("enrol-role", "front_desk")?;
        admin.fill("enrol-full-name", "Sam Vale")?;
        // The therapist's window vouches by itself when it hears of the new certificate; until then the answer says to wait.
        admin.until("the owner's computer to vouch", || {
            if admin.has("enrolment-code")? {
                return Ok(Some(()));
            }
            if admin.attribute("enrol-mint", "aria-disabled")?.as_deref() != Some("true") {
                admin.click_if_there("enrol-mint")?;
            }
            Ok(None)
        })?;
        ensure!(!admin.value("enrolment-code")?.is_empty(), "the window shows a code");
        admin.picture("18-admin-enrolment")?;
        admin.close()
    }
}
