//! Notes, prescriptions and the documents of clients.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
