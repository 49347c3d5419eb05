//! Clients and their appointments.

use clap::{Args, Subcommand};

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
