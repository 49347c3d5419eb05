//! What an administrator of MongoDB has to do for the service, derived from the one list of collections: the role of the service's account,
//! and the commands that shard the collections by practice.
//!
//! The role holds what the service needs and nothing more: it reads and adds everywhere, changes documents where they change, and makes indexes.
//! It removes nothing, drops nothing, sees no other database and administers nobody. What was written to `ops` it cannot change.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use thiserror::Error;

use super::schema::{Access, COLLECTIONS, Collection};

/// The name of the service's role.
pub const SERVICE_ROLE: &str = "caseload_service";

/// Why the role could not be made.
#[derive(Debug, Error)]
pub enum RoleError {
    /// The connection string cannot be read.
    #[error("the MongoDB connection string is not valid")]
    Uri(#[source] Box<Error>),
    /// The server refused, or could not be reached.
    #[error("MongoDB did not make the role")]
    Server(#[source] Box<Error>),
}

/// The command that makes the role, to be run in the database that will hold the practices.
#[must_use]
pub fn create_role(database: &str) -> Document {
    role_command("createRole", database)
}

/// Makes the role in `database`, or brings one that exists up to date, with an account that may administer roles there.
///
/// # Errors
/// [`RoleError`]; nothing was changed then.
pub async fn ensure_role(admin_uri: &str, database: &str) -> Result<(), RoleError> {
    let client = Client::with_uri_str(admin_uri)
        .await
        .map_err(|error| RoleError::Uri(Box::new(error)))?;
    let place = client.database(database);
    let made = match place.run_command(role_command("createRole", database)).await {
        Err(error) if exists_already(&error) => place.run_command(role_command("updateRole", database)).await,
        made => made,
    };
    client.shutdown().immediate(true).await;
    made.map(drop).map_err(|error| RoleError::Server(Box::new(error)))
}

/// The commands that shard every collection by practice, to be run in the database `admin` of a router, once the service has made its indexes.
/// A practice is one value of the key, so all of it lies on one shard and its transactions stay there.
#[must_use]
pub fn shard_collections(database: &str) -> Vec<Document> {
    let command = |Collection { name, .. }| doc! { "shardCollection": format!("{database}.{name}"), "key": { "p": 1 } };
    COLLECTIONS.into_iter().map(command).collect()
}

fn role_command(command: &str, database: &str) -> Document {
    let privileges: Vec<Document> = COLLECTIONS
        .iter()
        .map(|collection| {
            doc! {
                "resource": { "db": database, "collection": collection.name }, "actions": actions(collection.access),
            }
        })
        .collect();
    doc! { command: SERVICE_ROLE, "privileges": privileges, "roles": [] }
}

fn actions(access: Access) -> Vec<&'static str> {
    match access {
        Access::AppendOnly => vec!["find", "insert", "createIndex"],
        Access::Changing => vec!["find", "insert", "update", "createIndex"],
    }
}

fn exists_already(error: &Error) -> bool {
    const ROLE_EXISTS: i32 = 51_002;
    matches!(error.kind.as_ref(), ErrorKind::Command(error) if error.code == ROLE_EXISTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::bson::Bson;

    /// The literal role: an administrator who made it once has to make it anew when it grows, so a change of it is news for the release.
    #[test]
    fn the_role_reads_and_adds_and_changes_what_changes_and_nothing_else() {
        let role = create_role("practice");
        let line = |privilege: &Bson| {
            let privilege = privilege.as_document().unwrap();
            let resource = privilege.get_document("resource").unwrap();
            assert_eq!(resource.get_str("db").unwrap(), "practice");
            let actions = privilege.get_array("actions").unwrap().iter();
            let actions: Vec<&str> = actions.filter_map(Bson::as_str).collect();
            format!("{} {}", resource.get_str("collection").unwrap(), actions.join(" "))
        };
        let lines: Vec<String> = role.get_array("privileges").unwrap().iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "practices find insert update createIndex",
                "accounts find insert update createIndex",
                "devices find insert update createIndex",
                "enrolments find insert update createIndex",
                "sessions find insert update createIndex",
                "replicas find insert update createIndex",
                "entities find insert update createIndex",
                "ops find insert createIndex",
                "head_marks find insert createIndex",
                "blobs find insert update createIndex",
                "blob_chunks find insert update createIndex",
            ]
        );
        assert!(role.get_array("roles").unwrap().is_empty(), "it inherits nothing");
    }

    #[test]
    fn every_collection_is_sharded_by_practice() {
        let commands = shard_collections("practice");
        assert_eq!(commands.len(), COLLECTIONS.len());
        assert_eq!(
            commands[0],
            doc! { "shardCollection": "practice.practices", "key": { "p": 1 } }
        );
    }
}
