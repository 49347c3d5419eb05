//! What the storage asks MongoDB for, heard command by command and judged: whether the practices could be spread over shards.
//!
//! Each test that has the storage keep something on MongoDB is listened to and comes to [`Heard::conclude`]. Not listened to are tests that
//! speak with the driver themselves, storages that are to be refused, and the one test that listens for how old a read may be.
//!
//! The rules: a command on a collection of practices names one practice by equality; a transaction stays within one practice; the collection
//! is one that the service declares; and whatever looks for documents does it by an index that starts with the practice, and sorts by an
//! index, too.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use caseload_service::storage::mongo::deployment;
use mongodb::Client;
use mongodb::bson::{Binary, Bson, Document, doc};
use mongodb::event::EventHandler;
use mongodb::event::command::{CommandEvent, CommandStartedEvent};

/// Commands about the connection, the session or a cursor that another command opened.
const BESIDE: [&str; 12] = [
    "hello",
    "isMaster",
    "ismaster",
    "ping",
    "saslStart",
    "saslContinue",
    "endSessions",
    "commitTransaction",
    "abortTransaction",
    "getMore",
    "killCursors",
    "createIndexes",
];

/// What is heard of one database.
#[derive(Clone)]
pub(crate) struct Heard {
    /// The database, for someone who may explain any command in it.
    uri: String,
    database: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    commands: usize,
    /// How often each command was heard.
    times: BTreeMap<String, usize>,
    /// The practice of each transaction, by session and number.
    transactions: HashMap<(String, i64), Binary>,
    /// One command of each kind, ready to be explained.
    shapes: BTreeMap<String, Document>,
    breaches: Vec<String>,
}

impl Heard {
    pub(crate) fn of(uri: &str, database: &str) -> Self {
        Self {
            uri: uri.to_owned(),
            database: database.to_owned(),
            state: Arc::default(),
        }
    }

    /// For a client that is to be listened to.
    pub(crate) fn listener(&self) -> EventHandler<CommandEvent> {
        let state = Arc::clone(&self.state);
        EventHandler::callback(move |event| {
            if let CommandEvent::Started(event) = event {
                lock(&state).hear(&event);
            }
        })
    }

    /// How often a command was heard so far.
    pub(crate) fn times(&self, command: &str) -> usize {
        lock(&self.state).times.get(command).copied().unwrap_or_default()
    }

    /// Asserts that the rules were kept and has the server explain one command of each kind. Gives the kinds.
    pub(crate) async fn conclude(&self) -> Vec<String> {
        let breaches = self.breaches().await;
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
        let state = lock(&self.state);
        assert!(state.commands > 3, "nobody was listened to");
        state.shapes.keys().cloned().collect()
    }

    /// Every rule that was broken.
    pub(crate) async fn breaches(&self) -> Vec<String> {
        let (mut breaches, shapes) = {
            let state = lock(&self.state);
            (state.breaches.clone(), state.shapes.clone())
        };
        let client = Client::with_uri_str(&self.uri).await.unwrap();
        for (shape, command) in shapes {
            let explain = doc! { "explain": command, "verbosity": "queryPlanner" };
            let explained = client.database(&self.database).run_command(explain).await.unwrap();
            breaches.extend(plan_breach(&explained).map(|breach| format!("{shape}: {breach}")));
        }
        client.shutdown().immediate(true).await;
        breaches
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn hear(&mut self, event: &CommandStartedEvent) {
        let (name, command) = (event.command_name.as_str(), &event.command);
        if BESIDE.contains(&name) {
            return;
        }
        self.commands += 1;
        *self.times.entry(name.to_owned()).or_default() += 1;
        let judged = practice_of(name, command).and_then(|practice| self.within_one_practice(command, practice));
        if let Err(breach) = judged {
            self.breaches
                .push(format!("{breach}: {}", kind(&Bson::Document(command.clone()))));
        }
        for looking in what_looks(name, command) {
            let shape = format!("{}", kind(&Bson::Document(looking.clone())));
            self.shapes.entry(shape).or_insert(looking);
        }
    }

    fn within_one_practice(&mut self, command: &Document, practice: Option<Binary>) -> Result<(), String> {
        if command.get("autocommit") != Some(&Bson::Boolean(false)) {
            return Ok(());
        }
        let practice = practice.ok_or("a transaction without a practice")?;
        let session = format!("{:?}", command.get("lsid"));
        let number = command
            .get_i64("txnNumber")
            .map_err(|_| "a transaction without a number")?;
        let known = self
            .transactions
            .entry((session, number))
            .or_insert_with(|| practice.clone());
        if *known == practice {
            Ok(())
        } else {
            Err("a transaction over two practices".into())
        }
    }
}

/// The practice that a command names; none for the question which practices there are.
fn practice_of(name: &str, command: &Document) -> Result<Option<Binary>, String> {
    let collection = command.get_str(name).map_err(|_| format!("{name} has no collection"))?;
    if !declared(collection) {
        return Err(format!("{collection} is no declared collection"));
    }
    let named: Vec<Option<Binary>> = match name {
        "find" if asks_which_practices(collection, command) => return Ok(None),
        "find" => vec![named_in(command.get_document("filter").ok())],
        "findAndModify" | "count" | "distinct" => vec![named_in(command.get_document("query").ok())],
        "insert" => statements(command, "documents")
            .map(|statement| named_in(Some(statement)))
            .collect(),
        "update" => statements(command, "updates")
            .map(|statement| named_in(statement.get_document("q").ok()))
            .collect(),
        "aggregate" => {
            let first = statements(command, "pipeline").next();
            vec![named_in(first.and_then(|stage| stage.get_document("$match").ok()))]
        }
        _ => return Err(format!("{name} is no command of this storage")),
    };
    match named.first() {
        Some(Some(practice)) if named.iter().all(|other| other.as_ref() == Some(practice)) => {
            Ok(Some(practice.clone()))
        }
        _ => Err("no practice, or several".into()),
    }
}

fn declared(collection: &str) -> bool {
    let names = deployment::shard_collections("d");
    names
        .iter()
        .any(|command| command.get("shardCollection") == Some(&Bson::String(format!("d.{collection}"))))
}

/// The names alone, out of the index.
fn asks_which_practices(collection: &str, command: &Document) -> bool {
    let is = |name: &str, expected: Document| command.get(name) == Some(&Bson::Document(expected));
    collection == "practices"
        && command.get_document("filter").is_ok_and(Document::is_empty)
        && is("projection", doc! { "_id": 0, "p": 1 })
        && is("hint", doc! { "p": 1 })
}

fn named_in(filter: Option<&Document>) -> Option<Binary> {
    match filter?.get("p")? {
        Bson::Binary(practice) => Some(practice.clone()),
        _ => None,
    }
}

fn statements<'a>(command: &'a Document, name: &str) -> impl Iterator<Item = &'a Document> {
    let list = command.get_array(name).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Bson::as_document)
}

/// The parts of a command that look for documents, each as a command that can be explained.
fn what_looks(name: &str, command: &Document) -> Vec<Document> {
    let only = |members: &[&str]| {
        let kept = command.iter().filter(|(member, _)| members.contains(&member.as_str()));
        kept.map(|(member, value)| (member.clone(), value.clone()))
            .collect::<Document>()
    };
    match name {
        "find" => vec![only(&["find", "filter", "sort", "projection", "hint", "limit"])],
        "findAndModify" => vec![only(&["findAndModify", "query", "sort", "update", "upsert"])],
        "count" | "distinct" => vec![only(&["count", "distinct", "key", "query"])],
        "aggregate" => {
            let mut looking = only(&["aggregate", "pipeline"]);
            looking.insert("cursor", doc! {});
            vec![looking]
        }
        "update" => statements(command, "updates")
            .map(|statement| doc! { "update": command.get_str("update").unwrap_or_default(), "updates": [statement] })
            .collect(),
        _ => Vec::new(),
    }
}

/// A command with the types of its values in place of the values.
fn kind(value: &Bson) -> Bson {
    match value {
        Bson::Document(members) => {
            let keep = |name: &str| matches!(name, "find" | "update" | "findAndModify" | "insert" | "aggregate");
            let kinds = members.iter().map(|(name, value)| match value {
                Bson::String(text) if keep(name) => (name.clone(), Bson::String(text.clone())),
                // What is written plays no part in how it is found.
                _ if name == "u" => (name.clone(), Bson::Null),
                value => (name.clone(), kind(value)),
            });
            Bson::Document(kinds.collect())
        }
        Bson::Array(items) => {
            let mut kinds: Vec<Bson> = items.iter().map(kind).collect();
            kinds.dedup();
            Bson::Array(kinds)
        }
        other => Bson::String(format!("{:?}", other.element_type())),
    }
}

/// What is wrong with the plan that the server chose.
fn plan_breach(explained: &Document) -> Option<String> {
    let mut stages = Vec::new();
    winning_stages(explained, false, &mut stages);
    let named = |stage: &Document| stage.get_str("stage").unwrap_or_default().to_owned();
    let list: Vec<String> = stages.iter().map(named).collect();
    if list.iter().any(|stage| matches!(stage.as_str(), "COLLSCAN" | "SORT")) {
        return Some(format!("it walks or sorts: {list:?}"));
    }
    let indexes: Vec<&Document> = stages
        .iter()
        .filter_map(|stage| stage.get_document("keyPattern").ok())
        .collect();
    let by_practice = |keys: &&Document| keys.keys().next().is_some_and(|key| key == "p");
    if indexes.is_empty() || !indexes.iter().all(by_practice) {
        return Some(format!("no index by practice: {list:?} {indexes:?}"));
    }
    None
}

fn winning_stages(document: &Document, winning: bool, stages: &mut Vec<Document>) {
    if winning && document.contains_key("stage") {
        stages.push(document.clone());
    }
    for (name, value) in document {
        let winning = winning || name == "winningPlan";
        match value {
            Bson::Document(inner) => winning_stages(inner, winning, stages),
            Bson::Array(items) => {
                for inner in items.iter().filter_map(Bson::as_document) {
                    winning_stages(inner, winning, stages);
                }
            }
            _ => {}
        }
    }
}
