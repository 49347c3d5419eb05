//! What an administrator of MongoDB asks before the service runs on it: the role of its account, and how the collections are sharded.

use anyhow::Context;
use caseload_service::storage::mongo::deployment;
use serde::Serialize;

use crate::arguments::{MongoDb, Role};
use crate::output::{self, Form};

/// Prints commands for `mongosh` (with `--json` the bare commands), or makes the role.
pub(crate) async fn run(form: Form, command: MongoDb) -> anyhow::Result<()> {
    match command {
        MongoDb::Role(options) => role(form, options).await,
        MongoDb::Sharding { database } => {
            let commands = deployment::shard_collections(&database);
            if form == Form::Json {
                return output::answer(form, &commands);
            }
            let lines: Result<Vec<String>, _> = commands.iter().map(|command| in_shell("admin", command)).collect();
            lines?.iter().for_each(|line| output::line(line));
            Ok(())
        }
    }
}

async fn role(
    form: Form,
    Role {
        database,
        create,
        admin_uri,
    }: Role,
) -> anyhow::Result<()> {
    if create {
        let uri = admin_uri.context("making the role needs CASELOAD_MONGODB_ADMIN_URI or --admin-uri")?;
        deployment::ensure_role(&uri, &database).await?;
        output::line(&format!("the role {} of {database} is made", deployment::SERVICE_ROLE));
        return Ok(());
    }
    let command = deployment::create_role(&database);
    if form == Form::Json {
        return output::answer(form, &command);
    }
    output::line(&in_shell(&database, &command)?);
    Ok(())
}

fn in_shell(database: &str, command: &impl Serialize) -> anyhow::Result<String> {
    let command = serde_json::to_string(command).context("write a command")?;
    let database = serde_json::to_string(database).context("write a name")?;
    Ok(format!("db.getSiblingDB({database}).runCommand({command})"))
}
