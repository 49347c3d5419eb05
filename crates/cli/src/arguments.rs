//! What can be typed. Every command is a use case of `caseload-app`, or runs the service.

use std::net::SocketAddr;
use std::path::PathBuf;

use caseload_service::tombstones::KEPT_DAYS;
use clap::{Args, Parser, Subcommand, ValueEnum};

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

/// For administrators of MongoDB.
#[derive(Subcommand)]
pub(crate) enum MongoDb {
    /// Print the role that the service's account needs and no more, or make it.
    Role(Role),
    /// Print the commands that shard the collections by practice.
    Sharding {
        /// The database that holds the practices.
        #[arg(long, default_value = "caseload")]
        database: String,
    },
}

/// The role of the service's account.
#[derive(Args)]
pub(crate) struct Role {
    /// The database that will hold the practices.
    #[arg(long, default_value = "caseload")]
    pub(crate) database: String,
    /// Make the role, or bring it up to date, instead of printing it.
    #[arg(long)]
    pub(crate) create: bool,
    /// The connection string of an account that may administer roles, for `--create`. Better in the variable, which others do not see.
    #[arg(long, env = "CASELOAD_MONGODB_ADMIN_URI", hide_env_values = true, value_name = "URI")]
    pub(crate) admin_uri: Option<String>,
}

#[derive(Args)]
pub(crate) struct Create {
    /// The practice's name.
    #[arg(long)]
    pub(crate) practice: String,
    /// The first location's name.
    #[arg(long, default_value = "Main office")]
    pub(crate) location: String,
    /// IANA time zone of the location.
    #[arg(long)]
    pub(crate) zone: String,
    /// ISO 4217 currency.
    #[arg(long, default_value = "USD")]
    pub(crate) currency: String,
    /// Your name.
    #[arg(long)]
    pub(crate) name: String,
    /// Your licence.
    #[arg(long)]
    pub(crate) licence: Option<String>,
    /// This computer's name.
    #[arg(long)]
    pub(crate) device: Option<String>,
}

#[derive(Args)]
pub(crate) struct Join {
    /// The line that `enrol` printed.
    pub(crate) code: String,
    /// Your name; not needed for your own second computer.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Your licence.
    #[arg(long)]
    pub(crate) licence: Option<String>,
    /// This computer's name.
    #[arg(long)]
    pub(crate) device: Option<String>,
}

#[derive(Args)]
pub(crate) struct Publish {
    /// Where the service is: `https://host:port`, or `http://` on this machine.
    #[arg(long)]
    pub(crate) address: String,
    /// The setup code that the service printed.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) setup_code: String,
    /// The fingerprint that the service printed.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) pin: Option<String>,
}

#[derive(Args)]
pub(crate) struct Enrol {
    /// For another computer of your own.
    #[arg(long, conflicts_with_all = ["role", "name"])]
    pub(crate) own: bool,
    /// The new person's role.
    #[arg(long, value_enum, required_unless_present = "own")]
    pub(crate) role: Option<RoleName>,
    /// The new person's name.
    #[arg(long, required_unless_present = "own")]
    pub(crate) name: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Computers {
    /// Every computer, who signed in on it, and whether it was taken out.
    List,
    /// Take a computer out of the practice, as one does when it was lost. What is on it stays on it; it shares no more.
    Revoke {
        /// Its name or id.
        computer: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RoleName {
    Therapist,
    FrontDesk,
    Admin,
}

#[derive(Subcommand)]
pub(crate) enum Clients {
    /// Add a client.
    Add {
        /// Family name.
        #[arg(long)]
        family: String,
        /// Given name.
        #[arg(long)]
        given: String,
        #[command(flatten)]
        details: ClientDetails,
        /// Add although somebody alike is here already.
        #[arg(long)]
        force: bool,
    },
    /// Find clients by name, initial consonants, telephone or number.
    List {
        /// What to find; everyone without it.
        #[arg(default_value = "")]
        query: String,
    },
    /// Show one client.
    Show {
        /// Id or number.
        client: String,
    },
    /// Change details.
    Set {
        /// Id or number.
        client: String,
        #[command(flatten)]
        details: ClientDetails,
    },
    /// Say that a therapist treats a client.
    Care {
        /// Id or number.
        client: String,
        /// The therapist, by name or id.
        therapist: String,
    },
    /// Say that a therapist does not treat a client any more.
    EndCare {
        /// Id or number.
        client: String,
        /// The therapist, by name or id.
        therapist: String,
    },
    /// Record allergies and the safety plan.
    Chart {
        /// Id or number.
        client: String,
        /// One allergy; may be given several times.
        #[arg(long, allow_hyphen_values = true)]
        allergy: Vec<String>,
        /// The safety plan.
        #[arg(long, allow_hyphen_values = true)]
        safety_plan: Option<String>,
    },
}

#[derive(Args, Default)]
pub(crate) struct ClientDetails {
    #[arg(long)]
    pub(crate) preferred: Option<String>,
    /// `YYYY-MM-DD`.
    #[arg(long)]
    pub(crate) birth_date: Option<String>,
    #[arg(long)]
    pub(crate) phone: Option<String>,
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// First line of the address.
    #[arg(long)]
    pub(crate) street: Option<String>,
    #[arg(long)]
    pub(crate) city: Option<String>,
    /// A note that the desk sees.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) alert: Option<String>,
}

#[derive(Args)]
pub(crate) struct When {
    /// `YYYY-MM-DD`.
    #[arg(long)]
    pub(crate) date: String,
    /// `HH:MM`.
    #[arg(long)]
    pub(crate) time: String,
    /// Why it may overlap.
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) override_reason: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum Appointments {
    /// Book.
    Book {
        /// Id or number of the client.
        client: String,
        /// The therapist, by name or id; yourself without it.
        #[arg(long)]
        therapist: Option<String>,
        #[command(flatten)]
        when: When,
        /// Length in minutes.
        #[arg(long, default_value_t = 50)]
        minutes: u32,
    },
    /// List a range of days.
    List {
        /// The first day, `YYYY-MM-DD`.
        #[arg(long)]
        from: String,
        /// How many days.
        #[arg(long, default_value_t = 7)]
        days: u32,
    },
    /// Show one.
    Show {
        /// Its id.
        id: String,
    },
    /// Move.
    Move {
        /// Its id.
        id: String,
        #[command(flatten)]
        when: When,
    },
    /// Change the status.
    Status {
        /// Its id.
        id: String,
        /// `confirmed`, `arrived`, `in_session`, `completed`, `no_show`, `cancelled_by_client`, ...
        status: String,
        /// Why.
        #[arg(long, allow_hyphen_values = true)]
        reason: Option<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Notes {
    /// Start a note.
    New {
        /// Id or number of the client.
        client: String,
        /// The appointment it is about.
        #[arg(long)]
        appointment: Option<String>,
        /// `soap`, `dap`, `birp`, `girp`, `intake` or `free`.
        #[arg(long, default_value = "soap")]
        template: String,
        /// `section=text`; may be given several times.
        #[arg(long = "section", value_name = "NAME=TEXT")]
        sections: Vec<String>,
    },
    /// Write sections of a draft; the others stay.
    Edit {
        /// Its id.
        id: String,
        /// `section=text`; may be given several times.
        #[arg(long = "section", value_name = "NAME=TEXT", required = true)]
        sections: Vec<String>,
    },
    /// Sign. It never changes again.
    Sign {
        /// Its id.
        id: String,
    },
    /// Show one.
    Show {
        /// Its id.
        id: String,
    },
    /// List a client's notes, or your own.
    List {
        /// Id or number of the client.
        client: Option<String>,
    },
    /// Add to a signed note.
    Addend {
        /// The note's id.
        id: String,
        /// The text.
        text: String,
    },
    /// Mark a signed note as entered in error; its text stays readable.
    Error {
        /// Its id.
        id: String,
        /// Why.
        #[arg(allow_hyphen_values = true)]
        reason: String,
    },
    /// Write a signed note, with everything that proves it, to a file.
    Export {
        /// Its id.
        id: String,
        /// The file.
        file: PathBuf,
    },
    /// Verify the signature of a note in this profile.
    Verify {
        /// Its id.
        id: String,
    },
}

/// A prescription of one medicine.
#[derive(Args)]
pub(crate) struct NewPrescription {
    /// Id or number of the client.
    pub(crate) client: String,
    #[arg(long)]
    pub(crate) drug: String,
    #[arg(long, default_value = "")]
    pub(crate) form: String,
    #[arg(long, default_value = "")]
    pub(crate) strength: String,
    #[arg(long)]
    pub(crate) dose: String,
    #[arg(long, default_value = "by mouth")]
    pub(crate) route: String,
    #[arg(long)]
    pub(crate) frequency: String,
    #[arg(long, default_value = "")]
    pub(crate) duration: String,
    #[arg(long, default_value = "")]
    pub(crate) quantity: String,
    #[arg(long, default_value_t = 0)]
    pub(crate) refills: u32,
    #[arg(long, default_value = "")]
    pub(crate) diagnosis: String,
    #[arg(long, default_value = "")]
    pub(crate) instructions: String,
}

#[derive(Subcommand)]
pub(crate) enum Prescriptions {
    /// Start a prescription of one medicine.
    New(Box<NewPrescription>),
    /// Issue: it gets its number and never changes again.
    Issue {
        /// Its id.
        id: String,
    },
    /// Print to PDF.
    Print {
        /// Its id.
        id: String,
    },
    /// Stop; what was issued stays valid until now.
    Stop {
        /// Its id.
        id: String,
        /// Why.
        #[arg(allow_hyphen_values = true)]
        reason: String,
    },
    /// Void.
    Void {
        /// Its id.
        id: String,
        /// Why.
        #[arg(allow_hyphen_values = true)]
        reason: String,
    },
    /// Start a new one in place of this one.
    Reissue {
        /// Its id.
        id: String,
    },
    /// Show one.
    Show {
        /// Its id.
        id: String,
    },
    /// List a client's.
    List {
        /// Id or number of the client.
        client: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Documents {
    /// Add a file; it is encrypted on this computer and shared by the next `sync`.
    Add {
        /// Id or number of the client.
        client: String,
        /// The file.
        file: PathBuf,
        /// For those alone who treat the client.
        #[arg(long)]
        clinical: bool,
        /// What it is called; without it, the file's name.
        #[arg(long)]
        title: Option<String>,
        /// consent, referral, report, questionnaire, correspondence, identification or other.
        #[arg(long)]
        category: Option<String>,
    },
    /// List a client's.
    List {
        /// Id or number of the client.
        client: String,
    },
    /// Write one to a new file; it is fetched first where it is not here.
    Save {
        /// Its id.
        id: String,
        /// Where to.
        file: PathBuf,
    },
    /// Void one; its file stays.
    Void {
        /// Its id.
        id: String,
        /// Why.
        #[arg(allow_hyphen_values = true)]
        reason: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Conflicts {
    /// List the open ones with both values.
    List,
    /// Settle one.
    Settle {
        /// Its id.
        id: String,
        /// Keep the value in force (`a`), the other one (`b`), or `typed`.
        #[arg(value_enum)]
        keep: Keep,
        /// The value, for `typed`.
        #[arg(required_if_eq("keep", "typed"))]
        value: Option<String>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Keep {
    A,
    B,
    Typed,
}

#[derive(Subcommand)]
pub(crate) enum Clashes {
    /// List the open ones.
    List,
    /// Settle one.
    Settle {
        /// Its id.
        id: String,
        #[command(subcommand)]
        how: Settlement,
    },
}

#[derive(Subcommand)]
pub(crate) enum Settlement {
    /// Cancel the contested one.
    KeepA,
    /// Cancel the placed one and place the other.
    KeepB,
    /// Move the placed one.
    MoveA {
        /// `YYYY-MM-DD`.
        date: String,
        /// `HH:MM`.
        time: String,
    },
    /// Move the contested one.
    MoveB {
        /// `YYYY-MM-DD`.
        date: String,
        /// `HH:MM`.
        time: String,
    },
    /// Keep both.
    KeepBoth {
        /// Why.
        #[arg(allow_hyphen_values = true)]
        reason: String,
    },
    /// Place the contested one, whose time has become free.
    Place,
}

#[derive(Subcommand)]
pub(crate) enum Reoffers {
    /// List what waits for a review.
    List,
    /// Bring one back.
    Accept {
        /// Its id.
        id: String,
    },
    /// Bring all back that this login may review.
    AcceptAll,
    /// Let one be; it stays recorded.
    Refuse {
        /// Its id.
        id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Refused {
    /// List the changes that the service did not take.
    List,
    /// Make one again, on the versions that its author had seen, and share it.
    Retry {
        /// Its id.
        id: String,
    },
    /// Throw one away for good.
    Discard {
        /// Its id.
        id: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Recompute the chain of the audit log and name its first bad entry.
    Verify,
}

#[derive(Args)]
pub(crate) struct Service {
    /// The folder of the service's data.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// A MongoDB replica set, instead of the embedded storage.
    #[arg(long, env = "CASELOAD_MONGODB_URI", value_name = "URI")]
    pub(crate) mongodb: Option<String>,
    /// Where to listen; other addresses than this machine's own are served by TLS.
    #[arg(long, default_value = "127.0.0.1:7878")]
    pub(crate) listen: SocketAddr,
    /// A further host name or address by which computers reach this one, for the certificate; may be given several times.
    #[arg(long)]
    pub(crate) name: Vec<String>,
    /// Keep the master key with the data: for demonstrations with made-up data only.
    #[arg(long, conflicts_with = "master_key")]
    pub(crate) demo: bool,
    /// The file of the master key; must not lie in the data folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key: Option<PathBuf>,
    /// For how many days void entries are remembered. A computer that was away for longer compares everything that it holds.
    #[arg(long, env = "CASELOAD_TOMBSTONE_DAYS", default_value_t = KEPT_DAYS, value_name = "DAYS")]
    pub(crate) tombstone_days: u32,
}

#[derive(Args)]
pub(crate) struct ServiceRestore {
    /// The folder of the service's data; no service may be running on it.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// The copy: a folder that `service-backup` made, a copied data folder, or its file.
    #[arg(long, value_name = "COPY", required_unless_present = "in_place")]
    pub(crate) from: Option<PathBuf>,
    /// The copy is in place already: only verify it and begin a new history. The one way for MongoDB, after its own restore.
    #[arg(long, conflicts_with = "from")]
    pub(crate) in_place: bool,
    /// Move the database that is there aside. It is never deleted.
    #[arg(long, conflicts_with = "in_place")]
    pub(crate) replace: bool,
    /// The MongoDB replica set that was restored.
    #[arg(long, env = "CASELOAD_MONGODB_URI", value_name = "URI")]
    pub(crate) mongodb: Option<String>,
    /// The master key is kept with the data, as for demonstrations.
    #[arg(long, conflicts_with = "master_key")]
    pub(crate) demo: bool,
    /// The file of the master key; must not lie in the data folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ServiceBackup {
    /// The folder of the service's data; the service may be running.
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// The folder that the copy is made in; it may hold no copy yet.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: PathBuf,
    /// The master key is kept with the data, as for demonstrations.
    #[arg(long, conflicts_with = "master_key")]
    pub(crate) demo: bool,
    /// The file of the master key; must not lie in the data folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) master_key: Option<PathBuf>,
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
