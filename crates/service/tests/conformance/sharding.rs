//! The listening itself: it hears everything that the storage can ask, and it notices what breaks its rules.

use caseload_domain::{DeviceId, ReplicaId, Scope};
use caseload_service::storage::{PageLimit, Rotation, Session, TokenHash, Tokens};
use mongodb::bson::{Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, IndexModel};
use serde_json::json;

use crate::accounts::{NOW, enrolment};
use crate::clinic::{
    Clinic, DESK, EVERYTHING, OWNER, account, booking, client_document, clinical, create, device, grant, key, note,
    patch, user, uuid,
};
use crate::ground::Ground;
use crate::listening::Heard;

/// Fills a practice through every way of writing.
async fn write_everything(clinic: &Clinic) {
    let mut owner = clinic.sender(800, OWNER).await;
    let mut desk = clinic.sender(801, DESK).await;
    clinic
        .push(
            &mut owner,
            vec![create("client", 1, &client_document("Kim")), grant(1, OWNER)],
        )
        .await;
    clinic
        .push(&mut owner, vec![create("session_note", 5, &note(1, OWNER, "text"))])
        .await;
    clinic
        .push(&mut owner, vec![create("appointment", 1, &booking(600, 1, OWNER))])
        .await;
    clinic
        .push(&mut desk, vec![create("appointment", 2, &booking(610, 2, OWNER))])
        .await;
    let change = desk.group(vec![patch("client", 1, 1, &json!({"phone": {"raw": "010"}}))]);
    clinic.send(&desk, vec![change.clone()]).await.unwrap();
    clinic.send(&desk, vec![change]).await.unwrap();
    let (storage, practice) = (&clinic.storage, clinic.practice);
    storage.put_enrolment(practice, &enrolment("code", DESK)).await.unwrap();
    storage
        .redeem_enrolment(practice, "code", &account(DESK), &device(701, &[DESK]), NOW)
        .await
        .unwrap();
    storage.enrolment(practice, "code").await.unwrap().unwrap();
    let session = Session {
        family: "family".into(),
        practice,
        user: user(OWNER),
        device: DeviceId::new(uuid(700)),
    };
    let tokens = |number: u8| Tokens {
        access: TokenHash([number; 32]),
        access_expires_ms: NOW + 1_000,
        refresh: TokenHash([number + 100; 32]),
        refresh_expires_ms: NOW + 2_000,
    };
    storage.put_session(&session, &tokens(1)).await.unwrap();
    storage
        .session_by_access(practice, &tokens(1).access, NOW)
        .await
        .unwrap()
        .unwrap();
    let rotate = async |old: u8| {
        let rotated = storage
            .rotate_session(practice, &tokens(old).refresh, &tokens(2), NOW)
            .await;
        rotated.unwrap()
    };
    assert_eq!(rotate(1).await, Rotation::Rotated(session));
    assert_eq!(rotate(1).await, Rotation::Reused);
    assert_eq!(rotate(9).await, Rotation::Unknown);
    storage.end_session(practice, "family").await.unwrap();
    storage.revoke_device(practice, DeviceId::new(uuid(701))).await.unwrap();
    storage.begin_epoch(practice, "history-2").await.unwrap();
}

async fn read_everything(clinic: &Clinic) {
    let (storage, practice) = (&clinic.storage, clinic.practice);
    assert!(storage.any_practice().await.unwrap());
    assert_eq!(storage.practices().await.unwrap(), [practice]);
    storage.practice(practice).await.unwrap().unwrap();
    storage.account(practice, user(OWNER)).await.unwrap().unwrap();
    storage
        .device(practice, DeviceId::new(uuid(700)))
        .await
        .unwrap()
        .unwrap();
    storage
        .replica(practice, ReplicaId::new(uuid(800)))
        .await
        .unwrap()
        .unwrap();
    let seq = clinic.head_seq().await;
    storage
        .read_since(practice, seq - 2, &[Scope::Office], EVERYTHING)
        .await
        .unwrap();
    let few = PageLimit {
        rows: 2,
        bytes: u64::MAX,
    };
    let page = storage
        .snapshot_page(practice, &[Scope::Office], None, few)
        .await
        .unwrap();
    let after = page.rows.last().map(|row| row.key.clone());
    storage
        .snapshot_page(practice, &[Scope::Office], after.as_ref(), few)
        .await
        .unwrap();
    let several = [clinical(1), clinical(2), Scope::Office];
    storage.snapshot_page(practice, &several, None, few).await.unwrap();
    storage.leaves(practice, &[Scope::Office, clinical(1)]).await.unwrap();
    storage
        .fetch(practice, &[key("client", 1), key("session_note", 5)])
        .await
        .unwrap();
    storage.care_scopes(practice, user(OWNER)).await.unwrap();
    storage.chain_at(practice, seq - 1).await.unwrap();
    storage.history(practice, seq - 2, 10).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_the_storage_asks_names_one_practice_and_finds_by_an_index() {
    let ground = Ground::mongodb().await;
    let heard = ground.heard();
    let clinic = Clinic::on(&ground.storage).await;
    write_everything(&clinic).await;
    read_everything(&clinic).await;
    let shapes = heard.conclude().await;
    assert!(shapes.len() >= 30, "{} kinds of commands were heard", shapes.len());
    for collection in [
        "practices",
        "accounts",
        "devices",
        "enrolments",
        "sessions",
        "replicas",
        "entities",
        "ops",
    ] {
        let found = format!("\"find\": \"{collection}\"");
        assert!(
            shapes.iter().any(|shape| shape.contains(&found)),
            "nothing looked into {collection}: {shapes:#?}"
        );
    }
}

/// A client beside the storage, listened to by rules that begin anew, on a filled practice.
async fn stranger(ground: &Ground) -> (Client, Heard) {
    let (uri, database) = ground.administration();
    let heard = Heard::of(&uri, &database);
    let mut options = ClientOptions::parse(&uri).await.unwrap();
    options.command_event_handler = Some(heard.listener());
    (Client::with_options(options).unwrap(), heard)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_rule_is_noticed() {
    let ground = Ground::mongodb().await;
    let clinic = Clinic::on(&ground.storage).await;
    write_everything(&clinic).await;
    let (_, database) = ground.administration();
    let p = mongodb::bson::Uuid::from_bytes(clinic.practice.uuid().into_bytes());
    let q = mongodb::bson::Uuid::from_bytes([7; 16]);

    let single = [
        ("no practice", doc! { "find": "entities", "filter": { "t": "client" } }),
        (
            "a range of practices",
            doc! { "find": "entities", "filter": { "p": { "$gte": p } } },
        ),
        (
            "several practices",
            doc! { "find": "entities", "filter": { "p": { "$in": [p, q] } } },
        ),
        (
            "all practices with their content",
            doc! { "find": "practices", "filter": {} },
        ),
        ("an unlisted collection", doc! { "find": "attic", "filter": { "p": p } }),
        (
            "a sort without an index",
            doc! { "find": "entities", "filter": { "p": p }, "sort": { "rev": 1 } },
        ),
        (
            "a walk",
            doc! { "find": "entities", "filter": { "p": p }, "hint": { "$natural": 1 } },
        ),
        (
            "a walk to change",
            doc! { "update": "ops", "updates": [{ "q": { "mut": 1 }, "u": { "$set": { "x": 1 } } }] },
        ),
        (
            "a removal",
            doc! { "delete": "sessions", "deletes": [{ "q": { "p": p }, "limit": 1 }] },
        ),
        ("another command", doc! { "collStats": "entities" }),
        (
            "documents of two practices",
            doc! { "insert": "accounts", "documents": [{ "p": p, "user": 1 }, { "p": q, "user": 2 }] },
        ),
    ];
    for (what, command) in single {
        let (client, heard) = stranger(&ground).await;
        client.database(&database).run_command(command).await.unwrap();
        assert!(!heard.breaches().await.is_empty(), "{what} went unnoticed");
    }

    let (client, heard) = stranger(&ground).await;
    let devices = client.database(&database).collection::<Document>("devices");
    let mut session = client.start_session().await.unwrap();
    for practice in [p, q] {
        session.start_transaction().await.unwrap();
        let one = doc! { "p": practice, "device": 1 };
        devices.insert_one(&one).session(&mut session).await.unwrap();
        devices.find_one(one).session(&mut session).await.unwrap();
        session.abort_transaction().await.unwrap();
    }
    assert_eq!(
        heard.breaches().await,
        Vec::<String>::new(),
        "two transactions, each of one practice"
    );
    session.start_transaction().await.unwrap();
    for practice in [p, q] {
        devices
            .insert_one(doc! { "p": practice, "device": 1 })
            .session(&mut session)
            .await
            .unwrap();
    }
    session.abort_transaction().await.unwrap();
    assert_eq!(heard.breaches().await.len(), 1, "one transaction over two practices");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_indexes_of_the_server_are_those_that_a_sharded_deployment_allows() {
    let ground = Ground::mongodb().await;
    let (uri, database) = ground.administration();
    let database = Client::with_uri_str(&uri).await.unwrap().database(&database);
    let mut names = database.list_collection_names().await.unwrap();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let mut indexes = database.collection::<Document>(&name).list_indexes().await.unwrap();
        let mut count = 0;
        while indexes.advance().await.unwrap() {
            let IndexModel { keys, options, .. } = indexes.deserialize_current().unwrap();
            let unique = options.and_then(|options| options.unique).unwrap_or(false);
            let first = keys.keys().next().cloned().unwrap_or_default();
            assert!(!unique || first == "p", "{name}: {keys}");
            count += 1;
        }
        assert!(count <= 8, "{name} has {count} indexes");
    }
}
