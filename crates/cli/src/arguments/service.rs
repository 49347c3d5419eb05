//! The service and its storage.

use std::net::SocketAddr;
use std::path::PathBuf;

use caseload_service::tombstones::KEPT_DAYS;
use clap::{Args, Subcommand};

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
