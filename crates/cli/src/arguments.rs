//! What can be typed. Every command is a use case of `caseload-app`, or runs the service.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

mod clinical;
mod office;
mod practice;
mod service;
mod settle;

pub(crate) use clinical::{Documents, NewPrescription, Notes, Prescriptions};
pub(crate) use office::{Appointments, ClientDetails, Clients};
pub(crate) use practice::{Computers, Create, Enrol, Join, Publish, RoleName};
pub(crate) use service::{MongoDb, Role, Service, ServiceBackup, ServiceRestore};
pub(crate) use settle::{Audit, Clashes, Conflicts, Keep, Refused, Reoffers, Settlement};

/// Caseload: an offline-first practice manager for therapists and their front desk.
#[derive(Parser)]
#[command(version, about, propagate_version = true)]
pub(crate) struct Arguments {
    /// The profile folder, instead of the one in the data folder of the operating system.
    #[arg(long, global = true, env = "CASELOAD_PROFILE", value_name = "DIR")]
    pub(crate) profile: Option<PathBuf>,
    /// Print one line of JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Who signs in, by name or id; not needed while one person uses the profile.
    #[arg(long, global = true, value_name = "PERSON")]
    pub(crate) user: Option<String>,
    /// A file whose first line is the passphrase, instead of the variable CASELOAD_PASSPHRASE.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create a practice, offline, and print the recovery code.
    Create(Create),
    /// Say whose profile this is and what waits.
    Status,
    /// Join a practice with an enrolment line.
    Join(Join),
    /// Share the practice with a service that has none yet.
    Publish(Publish),
    /// Make an enrolment line for another computer or person.
    Enrol(Enrol),
    /// People who work in the practice.
    Staff,
    /// Computers of the practice.
    #[command(subcommand)]
    Computers(Computers),
    /// The appointments of a day and what needs attention.
    Today {
        /// `YYYY-MM-DD`; without it, today.
        date: Option<String>,
    },
    /// Clients.
    #[command(subcommand)]
    Clients(Clients),
    /// Appointments.
    #[command(subcommand)]
    Appointments(Appointments),
    /// Session notes.
    #[command(subcommand)]
    Notes(Notes),
    /// Prescriptions.
    #[command(subcommand)]
    Prescriptions(Prescriptions),
    /// Documents: files that belong to a client.
    #[command(subcommand)]
    Documents(Documents),
    /// Values that two people changed at once.
    #[command(subcommand)]
    Conflicts(Conflicts),
    /// Bookings that overlap.
    #[command(subcommand)]
    Clashes(Clashes),
    /// What a restored service had lost and computers offered back.
    #[command(subcommand)]
    Reoffers(Reoffers),
    /// Changes that the service did not take.
    #[command(subcommand)]
    Refused(Refused),
    /// Share now: send what waits, fetch what is new.
    Sync,
    /// Sums over everything here, beside the service's.
    Checksum,
    /// Verify an exported note: its text, its signature and who signed.
    Verify {
        /// The exported file.
        file: PathBuf,
        /// The public key of the practice root that must stand behind it (base64url).
        #[arg(long, allow_hyphen_values = true)]
        root: Option<String>,
    },
    /// Choose a new passphrase with the recovery code, when the old one is lost.
    Recover {
        /// The code as it is on the paper.
        #[arg(allow_hyphen_values = true)]
        code: String,
    },
    /// The audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// Run the central service.
    Service(Service),
    /// Prepare a MongoDB for the service.
    #[command(subcommand, name = "mongodb")]
    MongoDb(MongoDb),
    /// Put a copy of the service's data in place and begin a new history, so that every computer offers back what the copy lacks.
    ServiceRestore(ServiceRestore),
    /// Copy the embedded service's data while it runs.
    ServiceBackup(ServiceBackup),
    /// Fill a folder with a believable practice and print its sign-ins.
    Demo {
        /// The folder; must be empty or absent.
        #[arg(long)]
        data: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use clap::CommandFactory;

    use super::*;

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("caseload").chain(line.split(' ')))
    }

    #[test]
    fn the_commands_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_says_what_it_is_for() {
        fn check(command: &clap::Command) {
            for each in command.get_subcommands() {
                assert!(each.get_about().is_some(), "{}", each.get_name());
                check(each);
            }
        }
        check(&Arguments::command());
    }

    #[test]
    fn a_restore_names_its_copy_or_that_it_is_in_place() {
        for right in [
            "--from /b",
            "--from /b --replace",
            "--in-place --mongodb mongodb://127.0.0.1/",
        ] {
            assert!(read(&format!("service-restore --data /a {right}")).is_ok(), "{right}");
        }
        for wrong in ["", " --from /b --in-place", " --in-place --replace"] {
            assert!(read(&format!("service-restore --data /a{wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_new_person_needs_a_role_and_a_name_and_an_own_computer_neither() {
        assert!(read("enrol --role front-desk --name Desk").is_ok());
        assert!(read("enrol --own").is_ok());
        for wrong in [
            "enrol",
            "enrol --role admin",
            "enrol --name Desk",
            "enrol --own --role admin --name Desk",
            "enrol --role owner --name X",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_profile_may_be_named_before_or_after_the_command() {
        for line in ["--profile /tmp/x --json status", "status --json --profile /tmp/x"] {
            let arguments = read(line).unwrap();
            assert_eq!(
                (arguments.profile, arguments.json),
                (Some(PathBuf::from("/tmp/x")), true),
                "{line}"
            );
        }
    }

    #[test]
    fn a_typed_value_settles_only_with_the_value() {
        assert!(read("conflicts settle id a").is_ok());
        assert!(read("conflicts settle id typed value").is_ok());
        assert!(read("conflicts settle id typed").is_err());
        assert!(read("clashes settle id move-b 2031-05-12 09:00").is_ok());
        assert!(
            read("clashes settle id keep-both").is_err(),
            "keeping both needs a reason"
        );
    }

    #[test]
    fn keys_codes_and_reasons_may_begin_with_a_hyphen() {
        assert!(read("verify note.json --root -hFWPRm_WY5imPiC").is_ok(), "base64url");
        assert!(read("publish --address http://127.0.0.1:1 --setup-code -x --pin -y").is_ok());
    }

    #[test]
    fn the_service_listens_on_this_machine_alone_unless_told_otherwise() {
        let service = |line: &str| match read(line).map(|arguments| arguments.command) {
            Ok(Command::Service(service)) => Some(service),
            _ => None,
        };
        let plain = service("service --data /tmp/x").unwrap();
        assert!(plain.listen.ip().is_loopback());
        assert_eq!(plain.tombstone_days, 400);
        let named = service("service --data /tmp/x --listen 0.0.0.0:1 --name a --name b").unwrap();
        assert_eq!(named.name, ["a", "b"]);
        assert!(
            service("service --data /tmp/x --demo --master-key /tmp/k").is_none(),
            "one key, not two"
        );
        assert!(service("service --data /tmp/x --listen here").is_none());
    }
}
