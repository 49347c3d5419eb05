//! The MongoDB of a measurement.

use std::env;

use anyhow::{Context, Result};
use caseload_testkit::mongod::Mongod;
use mongodb::Client;
use mongodb::bson::{Bson, doc};
use mongodb::options::ClientOptions;
use tokio::runtime::Runtime;

use crate::figures;

/// A database of the measurement's own. It is gone when this is dropped, with its server if that was started for it.
pub(crate) struct Database {
    runtime: Runtime,
    uri: String,
    server: Server,
}

enum Server {
    Own(Mongod),
    /// Named by `CASELOAD_MONGODB_URI`; the database on it has a name of its own.
    Given(Client, String),
}

impl Database {
    /// Uses the server that `CASELOAD_MONGODB_URI` names, else starts a replica set of one member.
    ///
    /// # Errors
    /// When the server does not answer or cannot be started.
    pub(crate) fn start() -> Result<Self> {
        let runtime = Runtime::new().context("start the runtime")?;
        let given = env::var("CASELOAD_MONGODB_URI").ok().filter(|uri| !uri.is_empty());
        let (uri, server) = match given {
            None => {
                let server = runtime.block_on(Mongod::compressed_replica_set())?;
                (server.uri("bench"), Server::Own(server))
            }
            Some(given) => {
                let name = format!("caseload_bench_{}", std::process::id());
                let options = runtime
                    .block_on(async { ClientOptions::parse(&given).await })
                    .context("read CASELOAD_MONGODB_URI")?;
                // The driver watches the server from the runtime that it is made in.
                let _inside = runtime.enter();
                let client = Client::with_options(options).context("use CASELOAD_MONGODB_URI")?;
                (with_database(&given, &name), Server::Given(client, name))
            }
        };
        Ok(Self { runtime, uri, server })
    }

    /// The address of the database.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// What it takes on the disk, in MiB: the whole data folder of a server of our own, otherwise what the server says of the database.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) fn disk(&self) -> Result<f64> {
        match &self.server {
            Server::Own(server) => {
                self.runtime.block_on(server.checkpoint())?;
                figures::disk(&server.data())
            }
            Server::Given(client, name) => {
                let database = client.database(name);
                let command = doc! { "dbStats": 1, "scale": 1024 };
                let answer = self.runtime.block_on(async { database.run_command(command).await });
                let answer = answer.context("ask for the size of the database")?;
                let kib = match answer.get("totalSize") {
                    Some(Bson::Double(kib)) => *kib,
                    Some(Bson::Int32(kib)) => f64::from(*kib),
                    #[expect(clippy::cast_precision_loss, reason = "exact far beyond any disk")]
                    Some(Bson::Int64(kib)) => *kib as f64,
                    _ => f64::NAN,
                };
                Ok(kib / 1024.0)
            }
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Server::Given(client, name) = &self.server {
            // The measurement is over; a server that is gone has no database to remove.
            self.runtime.block_on(async { client.database(name).drop().await }).ok();
        }
    }
}

/// `uri` with another database.
fn with_database(uri: &str, name: &str) -> String {
    let (address, options) = uri
        .split_once('?')
        .map_or((uri, None), |(address, options)| (address, Some(options)));
    let hosts_start = address.find("://").map_or(0, |scheme| scheme + 3);
    let hosts_end = address[hosts_start..]
        .find('/')
        .map_or(address.len(), |slash| hosts_start + slash);
    let mut changed = format!("{}/{name}", &address[..hosts_end]);
    // Whoever signs in does so at the database that the address named, or the usual one.
    let source = address.get(hosts_end + 1..).filter(|database| !database.is_empty());
    let named = options.is_some_and(|options| options.to_lowercase().contains("authsource="));
    let source = source
        .filter(|_| address[..hosts_end].contains('@') && !named)
        .map(|source| format!("authSource={source}"));
    let admin =
        (address[..hosts_end].contains('@') && !named && source.is_none()).then(|| "authSource=admin".to_owned());
    let parts: Vec<String> = [options.map(str::to_owned), source, admin]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    if !parts.is_empty() {
        changed.push('?');
        changed.push_str(&parts.join("&"));
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_of_an_address_is_replaced_and_signing_in_stays_the_same() {
        for (given, changed) in [
            ("mongodb://a:1", "mongodb://a:1/x"),
            ("mongodb://a:1/?replicaSet=s", "mongodb://a:1/x?replicaSet=s"),
            ("mongodb://a:1,b:2/db?replicaSet=s", "mongodb://a:1,b:2/x?replicaSet=s"),
            ("mongodb://u:p@a:1/db?w=1", "mongodb://u:p@a:1/x?w=1&authSource=db"),
            ("mongodb+srv://u:p@a", "mongodb+srv://u:p@a/x?authSource=admin"),
            ("mongodb://u:p@a/db?authSource=c", "mongodb://u:p@a/x?authSource=c"),
        ] {
            assert_eq!(with_database(given, "x"), changed, "{given}");
        }
    }
}
