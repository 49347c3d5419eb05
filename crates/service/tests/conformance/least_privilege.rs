//! The service's account can do what the service does and nothing else, and nobody gets in without TLS and a password.

use caseload_service::storage::OpenError;
use caseload_service::storage::mongo::{MongoStorage, deployment};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::clinic::{Clinic, OWNER, client_document, create};
use crate::ground::{ACCOUNT, Ground, master, secured_server};

/// A filled practice, and a client that signs in as the service does.
async fn as_the_service() -> (Ground, Client, String) {
    let ground = Ground::mongodb().await;
    let clinic = Clinic::on(&ground.storage).await;
    let mut owner = clinic.sender(800, OWNER).await;
    clinic
        .push(&mut owner, vec![create("client", 1, &client_document("Kim"))])
        .await;
    let (_, database) = ground.administration();
    let uri = secured_server().await.uri_as(ACCOUNT, &database);
    let client = Client::with_uri_str(uri).await.unwrap();
    (ground, client, database)
}

fn is_refused(error: &Error) -> bool {
    const UNAUTHORIZED: i32 = 13;
    match error.kind.as_ref() {
        ErrorKind::Command(error) => error.code == UNAUTHORIZED,
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == UNAUTHORIZED,
        _ => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_account_is_refused_whatever_the_service_does_not_do() {
    let (_ground, client, name) = as_the_service().await;
    let own = client.database(&name);
    let refused = [
        // What was acknowledged stays as it was written.
        doc! { "update": "ops", "updates": [{ "q": {}, "u": { "$set": { "result": "" } }, "multi": true }] },
        doc! { "findAndModify": "ops", "query": {}, "update": { "$set": { "result": "" } } },
        doc! { "findAndModify": "ops", "query": {}, "remove": true },
        doc! { "delete": "ops", "deletes": [{ "q": {}, "limit": 0 }] },
        doc! { "delete": "entities", "deletes": [{ "q": {}, "limit": 0 }] },
        doc! { "delete": "sessions", "deletes": [{ "q": {}, "limit": 1 }] },
        doc! { "aggregate": "entities", "pipeline": [{ "$out": "ops" }], "cursor": {} },
        doc! { "aggregate": "entities", "pipeline": [{ "$merge": { "into": "ops" } }], "cursor": {} },
        // Nothing is dropped, renamed or changed in its nature.
        doc! { "drop": "ops" },
        doc! { "drop": "entities" },
        doc! { "dropDatabase": 1 },
        doc! { "dropIndexes": "entities", "index": "*" },
        doc! { "collMod": "entities", "validator": {} },
        doc! { "create": "attic" },
        doc! { "create": "window", "viewOn": "entities", "pipeline": [] },
        doc! { "convertToCapped": "ops", "size": 4096 },
        // Only the listed collections.
        doc! { "insert": "attic", "documents": [{ "a": 1 }] },
        doc! { "find": "attic" },
        doc! { "find": "system.users" },
        doc! { "listCollections": 1 },
        // Nobody is administered.
        doc! { "createUser": "other", "pwd": "x", "roles": [] },
        doc! { "updateUser": ACCOUNT, "roles": ["readWrite"] },
        doc! { "dropUser": ACCOUNT },
        doc! { "grantRolesToUser": ACCOUNT, "roles": ["readWrite"] },
        doc! { "createRole": "other", "privileges": [], "roles": ["readWrite"] },
        doc! { "updateRole": deployment::SERVICE_ROLE, "privileges": [] },
        doc! { "dropRole": deployment::SERVICE_ROLE },
        doc! { "profile": 2 },
    ];
    for command in refused {
        let answer = own.run_command(command.clone()).await;
        assert!(answer.as_ref().is_err_and(is_refused), "{command}: {answer:?}");
    }
    let elsewhere = [
        ("other", doc! { "find": "entities" }),
        ("other", doc! { "insert": "entities", "documents": [{ "a": 1 }] }),
        ("local", doc! { "find": "oplog.rs" }),
        ("config", doc! { "find": "transactions" }),
        ("admin", doc! { "find": "system.users" }),
        ("admin", doc! { "createUser": "other", "pwd": "x", "roles": ["root"] }),
        (
            "admin",
            doc! { "renameCollection": format!("{name}.ops"), "to": format!("{name}.attic") },
        ),
        ("admin", doc! { "replSetStepDown": 1 }),
        ("admin", doc! { "replSetGetStatus": 1 }),
        ("admin", doc! { "setParameter": 1, "logLevel": 1 }),
        ("admin", doc! { "fsync": 1 }),
        ("admin", doc! { "shutdown": 1 }),
    ];
    for (database, command) in elsewhere {
        let answer = client.database(database).run_command(command.clone()).await;
        assert!(
            answer.as_ref().is_err_and(is_refused),
            "{database}: {command}: {answer:?}"
        );
    }
    assert_eq!(
        client.list_database_names().await.unwrap(),
        [name],
        "it does not learn what else is there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_account_may_do_what_it_is_for() {
    let (ground, client, name) = as_the_service().await;
    ground.heard().conclude().await;
    let own = client.database(&name);
    let ops = own.collection::<Document>("ops");
    assert!(ops.find_one(doc! {}).await.unwrap().is_some());
    ops.insert_one(doc! { "p": "another practice" }).await.unwrap();
    let entities = own.collection::<Document>("entities");
    let changed = entities
        .update_many(doc! {}, doc! { "$set": { "x": 1 } })
        .await
        .unwrap();
    assert_eq!(changed.modified_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_tls_no_password_or_no_role_is_told_so() {
    let server = secured_server().await;
    let (name, master) = ("doors", master());
    let connect = async |uri: String| MongoStorage::connect(&uri, &master).await.err();
    let plain = connect(server.uri_without_tls(name)).await;
    assert!(matches!(plain, Some(OpenError::Unreachable(_))), "{plain:?}");
    let nobody = connect(server.uri_without_account(name)).await;
    assert!(matches!(nobody, Some(OpenError::NotAllowed(_))), "{nobody:?}");
    let unknown = connect(server.uri_as("unknown", name)).await;
    assert!(matches!(unknown, Some(OpenError::NotAllowed(_))), "{unknown:?}");
    server.create_account("bare", name, &[]).await.unwrap();
    let bare = connect(server.uri_as("bare", name)).await;
    assert!(matches!(bare, Some(OpenError::NotAllowed(_))), "{bare:?}");
    deployment::ensure_role(&server.uri("admin"), name).await.unwrap();
    server
        .create_account(ACCOUNT, name, &[deployment::SERVICE_ROLE])
        .await
        .unwrap();
    let let_in = connect(server.uri_as(ACCOUNT, name)).await;
    assert!(let_in.is_none(), "{let_in:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_an_older_program_is_brought_up_to_date() {
    let server = secured_server().await;
    let name = "older";
    let client = Client::with_uri_str(server.uri("admin")).await.unwrap();
    let older = doc! { "createRole": deployment::SERVICE_ROLE, "privileges": [], "roles": ["dbAdmin"] };
    client.database(name).run_command(older).await.unwrap();
    server
        .create_account(ACCOUNT, name, &[deployment::SERVICE_ROLE])
        .await
        .unwrap();
    deployment::ensure_role(&server.uri("admin"), name).await.unwrap();
    MongoStorage::connect(&server.uri_as(ACCOUNT, name), &master())
        .await
        .unwrap();
    let service = Client::with_uri_str(server.uri_as(ACCOUNT, name)).await.unwrap();
    let drop = service.database(name).run_command(doc! { "drop": "ops" }).await;
    assert!(
        drop.as_ref().is_err_and(is_refused),
        "what it could do before is over: {drop:?}"
    );
}
