//! The practice, its people and its computers.

use clap::{Args, Subcommand, ValueEnum};

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
