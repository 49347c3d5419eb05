//! A computer that was lost, taken out of the practice from another one.

use anyhow::{Result, ensure};

use crate::clinic::{Clinic, OWNER, add_client, share, share_as};

#[test]
fn a_lost_computer_is_taken_out_of_the_practice_and_keeps_what_waits_there() -> Result<()> {
    let mut clinic = Clinic::publish()?;
    add_client(&clinic.desk, "Kim")?;
    share(&clinic.desk)?;
    add_client(&clinic.desk, "Waiting")?;
    let own = clinic.desk.refused(&["computers", "revoke", "Desk"])?;
    ensure!(own.code == "forbidden", "{own:?}");
    let known = clinic
        .therapist
        .run(&["--user", OWNER, "computers", "revoke", "Desk"])?;
    let state = |name: &str| {
        let all = known.as_array()?;
        let found = all.iter().find(|computer| computer["name"] == name)?;
        Some((found["isRevoked"].as_bool()?, found["isThisOne"].as_bool()?))
    };
    ensure!(state("Desk") == Some((true, false)), "{known}");

    let refused = clinic.desk.refused(&["sync"])?;
    ensure!(refused.code == "device_revoked", "{refused:?}");
    let listed = clinic.desk.run(&["clients", "list"])?;
    ensure!(listed["total"] == 2, "work goes on there, for itself: {listed}");

    share_as(&clinic.therapist, OWNER)?;
    let listed = clinic.therapist.run(&["--user", OWNER, "clients", "list"])?;
    ensure!(listed["total"] == 1, "{listed}");
    clinic.service.stop()
}
