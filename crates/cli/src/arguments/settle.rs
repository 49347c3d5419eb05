//! What waits for somebody to decide.

use clap::{Subcommand, ValueEnum};

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
