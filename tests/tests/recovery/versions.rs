//! A program that the service does not speak with any more: it is told so, keeps what waits, and goes on after its update.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use caseload_tests::computer::Computer;
use caseload_tests::relay::{Fate, Relay};
use caseload_tests::service::Service;

use crate::clinic::{OWNER, PASSPHRASE, add_client, is_equal, share};

/// What a device says of its protocol, and what one of a later year would say.
const OURS: &[u8] = b"x-caseload-protocol: 1\r\n";
const LATER: &[u8] = b"x-caseload-protocol: 7\r\n";

fn in_later_words(mut request: Vec<u8>) -> Vec<u8> {
    if let Some(at) = request.windows(OURS.len()).position(|window| window == OURS) {
        request.splice(at..at + OURS.len(), LATER.iter().copied());
    }
    request
}

#[test]
fn a_computer_whose_program_the_service_does_not_speak_with_is_told_so_and_loses_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut service = Service::new(&folder.path().join("service"), None)?.for_demonstration();
    service.start()?;
    let of_another_version = Arc::new(AtomicBool::new(false));
    let relay = {
        let of_another_version = Arc::clone(&of_another_version);
        let change = move |request| match of_another_version.load(Ordering::SeqCst) {
            true => in_later_words(request),
            false => request,
        };
        Relay::changing(&service.address(), change, |_| Fate::Passed)?
    };
    let computer = Computer::new(folder.path(), "therapist", PASSPHRASE)?;
    let zone = "Europe/Berlin";
    computer.run(&["create", "--practice", "Practice", "--zone", zone, "--name", OWNER])?;
    let code = service.setup_code()?;
    computer.run(&["publish", "--address", &relay.address(), "--setup-code", &code])?;
    share(&computer)?;

    of_another_version.store(true, Ordering::SeqCst);
    let client = add_client(&computer, "Kim")?;
    for _ in 0..2 {
        let told = computer.refused(&["sync"])?;
        ensure!(told.code == "upgrade_required" && !told.retry, "{told:?}");
        computer.run(&["clients", "show", &client])?;
    }
    of_another_version.store(false, Ordering::SeqCst);
    share(&computer)?;
    is_equal(&computer)?;
    service.stop()
}
