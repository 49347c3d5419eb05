//! The storage for everyone who outgrows one machine: MongoDB, a replica set, any number of service nodes.
//!
//! Every command names the practice, and every unique index starts with it, so that the collections can be sharded by practice. A push is one
//! transaction whose first statement changes the practice's record, see [`push`]. In this process the pushes of a practice queue for that
//! record; against other nodes the server decides, and the loser tries again.

mod accounts;
mod blobs;
pub mod deployment;
mod documents;
mod failure;
mod feed;
mod push;
mod reading;
mod recovery;
mod schema;
mod sessions;
mod tombstones;
mod transaction;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use caseload_domain::{ClientId, DeviceId, EntityKey, PracticeId, ReplicaId, Scope, UserId};
use caseload_protocol::checksum::Leaf;
use caseload_protocol::decide::DecideLimits;
use caseload_protocol::facts::PracticeHead;
use caseload_protocol::row::Row;
use caseload_vault::SymmetricKey;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::event::EventHandler;
use mongodb::event::command::CommandEvent;
use mongodb::options::{
    Acknowledgment, ClientOptions, Hint, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Database};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, timeout};

use self::documents::Members as _;
use self::reading::{Reading, Seen};
use super::Storage;
use super::error::{ClaimError, OpenError, PushError, RedeemError, RegisterError, StorageError};
use super::heads::Heads;
use super::records::{
    Account, Device, Enrolment, FeedPage, HistoryEntry, KeptEnrolment, Leaves, NewPractice, NewReplica, PageLimit,
    Practice, PushAnswer, PushBatch, Replica, Rotation, Session, SnapshotPage, TokenHash, Tokens,
};
use super::sealing::{Keyring, PracticeKey};
use super::tombstones::{Collected, Keeping};

/// How long a server is looked for.
const SELECTION: Duration = Duration::from_secs(3);

/// How often the heads of followed practices are looked at, for what other nodes write.
const POLL: Duration = Duration::from_secs(1);

/// The wire version of MongoDB 6.0, the oldest server that is supported.
const OLDEST_WIRE_VERSION: i32 = 17;

/// The role lacks something.
const UNAUTHORIZED: i32 = 13;

/// The account is unknown, or its password is another.
const AUTHENTICATION_FAILED: i32 = 18;

/// Practices in a MongoDB database.
pub struct MongoStorage {
    shared: Arc<Shared>,
    keys: Keyring,
    turns: Mutex<HashMap<PracticeId, Arc<tokio::sync::Mutex<()>>>>,
    polled: AtomicBool,
}

struct Shared {
    client: Client,
    /// Reads with majority.
    majority: Database,
    /// For transactions and snapshot sessions, which bring their own read concern.
    plain: Database,
    heads: Heads,
    seen: Seen,
}

impl Shared {
    async fn reading(&self) -> Result<Reading<'_>, StorageError> {
        Reading::begin(&self.client, &self.majority, &self.seen).await
    }
}

impl MongoStorage {
    /// Connects to the replica set at `uri`, checks it and creates the indexes. The database is the one that the URI names, else `caseload`.
    /// The keys of the practices are sealed under a key that derives from `master`.
    ///
    /// # Errors
    /// [`OpenError`] tells an unreadable URI, an unreachable server, one that is no replica set and one that is too old apart.
    pub async fn connect(uri: &str, master: &SymmetricKey) -> Result<Self, OpenError> {
        Self::open(parse(uri).await?, master).await
    }

    /// The same, with someone who hears every command before it is sent: tests judge what the service asks for.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_overheard(
        uri: &str,
        master: &SymmetricKey,
        listener: EventHandler<CommandEvent>,
    ) -> Result<Self, OpenError> {
        let mut options = parse(uri).await?;
        options.command_event_handler = Some(listener);
        Self::open(options, master).await
    }

    async fn open(mut options: ClientOptions, master: &SymmetricKey) -> Result<Self, OpenError> {
        options.app_name = Some("caseload".into());
        options.server_selection_timeout = Some(SELECTION);
        options.connect_timeout = Some(SELECTION);
        options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
        options.write_concern = Some(
            WriteConcern::builder()
                .w(Acknowledgment::Majority)
                .journal(true)
                .build(),
        );
        options.read_concern = None;
        let name = options.default_database.clone().unwrap_or_else(|| "caseload".into());
        let client = Client::with_options(options.clone()).map_err(|error| OpenError::Uri(Box::new(error)))?;
        check(&client, &options).await?;
        let plain = client.database(&name);
        schema::prepare(&plain).await.map_err(prepare_error)?;
        let majority = client.database_with_options(
            &name,
            mongodb::options::DatabaseOptions::builder()
                .read_concern(ReadConcern::majority())
                .build(),
        );
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                majority,
                plain,
                heads: Heads::default(),
                seen: Seen::default(),
            }),
            keys: Keyring::new(master),
            turns: Mutex::default(),
            polled: AtomicBool::new(false),
        })
    }

    fn reads(&self) -> &Database {
        &self.shared.majority
    }

    async fn reading(&self) -> Result<Reading<'_>, StorageError> {
        self.shared.reading().await
    }

    fn turn(&self, practice: PracticeId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(
            self.turns
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(practice)
                .or_default(),
        )
    }

    /// Runs a transaction on the practice's record when it is this caller's turn, so that callers of one process do not fight over it.
    async fn transact<W: transaction::Work>(&self, practice: PracticeId, work: &W) -> Result<W::Done, W::Refusal> {
        let turn = self.turn(practice);
        let Ok(_turn) = timeout(transaction::DEADLINE, turn.lock()).await else {
            return Err(StorageError::Unavailable(None).into());
        };
        transaction::run(&self.shared.client, &self.shared.seen, work).await
    }

    async fn key(&self, practice: PracticeId) -> Result<PracticeKey, StorageError> {
        if let Some(key) = self.keys.known(practice) {
            return Ok(key);
        }
        let mut reading = self.reading().await?;
        let practices = reading.database.collection::<Document>(schema::PRACTICES);
        let found = practices
            .find_one(doc! { "p": documents::id(practice.uuid()) })
            .session(&mut reading.session)
            .await?;
        self.keys.open(
            practice,
            found.ok_or(StorageError::UnknownPractice)?.blob("sealed_key")?,
        )
    }

    /// Begins to look at the heads once a second, which notices what other nodes write. It ends with this storage.
    fn begin_polling(&self) {
        if self.polled.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::downgrade(&self.shared);
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(POLL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while let Some(followed) = followed(&shared) {
                for practice in followed {
                    let Some(shared) = shared.upgrade() else { return };
                    // A head that cannot be read now is read a second later.
                    let Ok(mut reading) = shared.reading().await else {
                        continue;
                    };
                    if let Ok(Some(head)) = feed::head(&mut reading, practice).await {
                        shared.heads.publish(practice, head.seq);
                    }
                }
                ticks.tick().await;
            }
        });
    }
}

fn followed(shared: &Weak<Shared>) -> Option<Vec<PracticeId>> {
    shared.upgrade().map(|shared| shared.heads.followed())
}

/// A driver waits for ever on a connection that hangs.
async fn bounded<T>(work: impl Future<Output = Result<T, StorageError>> + Send) -> Result<T, StorageError> {
    timeout(transaction::DEADLINE, work)
        .await
        .unwrap_or(Err(StorageError::Unavailable(None)))
}

async fn parse(uri: &str) -> Result<ClientOptions, OpenError> {
    ClientOptions::parse(uri)
        .await
        .map_err(|error| OpenError::Uri(Box::new(error)))
}

/// Whether the server can hold practices: transactions need a replica set or a router.
async fn check(client: &Client, options: &ClientOptions) -> Result<(), OpenError> {
    let hello = match hello(client).await {
        Err(error) if matches!(error.kind.as_ref(), ErrorKind::ServerSelection { .. }) => {
            // A server that is no member of the set named in the URI is left out by the driver, so it is asked directly.
            let mut direct = options.clone();
            direct.repl_set_name = None;
            direct.direct_connection = Some(true);
            direct.hosts.truncate(1);
            let answer = match Client::with_options(direct) {
                Ok(direct) => hello(&direct).await.ok(),
                Err(_) => None,
            };
            answer
                .filter(|hello| !is_set(hello))
                .ok_or_else(|| OpenError::Unreachable(Box::new(error)))?
        }
        hello => hello.map_err(prepare_error)?,
    };
    if !is_set(&hello) {
        return Err(OpenError::NotReplicaSet);
    }
    if hello.get_i32("maxWireVersion").unwrap_or(0) < OLDEST_WIRE_VERSION {
        return Err(OpenError::TooOld);
    }
    Ok(())
}

async fn hello(client: &Client) -> Result<Document, Error> {
    client.database("admin").run_command(doc! { "hello": 1 }).await
}

fn is_set(hello: &Document) -> bool {
    hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid")
}

fn prepare_error(error: Error) -> OpenError {
    match error.kind.as_ref() {
        ErrorKind::ServerSelection { .. } | ErrorKind::Io(_) | ErrorKind::DnsResolve { .. } => {
            OpenError::Unreachable(Box::new(error))
        }
        ErrorKind::Authentication { .. } => OpenError::NotAllowed(Box::new(error)),
        ErrorKind::Command(command) if matches!(command.code, UNAUTHORIZED | AUTHENTICATION_FAILED) => {
            OpenError::NotAllowed(Box::new(error))
        }
        _ => OpenError::Prepare(Box::new(error)),
    }
}

#[async_trait]
impl Storage for MongoStorage {
    async fn ping(&self) -> Result<(), StorageError> {
        bounded(async { Ok(self.reads().run_command(doc! { "ping": 1 }).await.map(drop)?) }).await
    }

    async fn any_practice(&self) -> Result<bool, StorageError> {
        let practices = self.reads().collection::<Document>(schema::PRACTICES);
        // The one question about all practices; it is asked at a start and while nothing is claimed. The index answers it.
        let any = practices.find_one(doc! {}).projection(doc! { "_id": 0, "p": 1 });
        bounded(async { Ok(any.hint(Hint::Keys(doc! { "p": 1 })).await?.is_some()) }).await
    }

    async fn claim(&self, practice: &NewPractice, account: &Account, device: &Device) -> Result<(), ClaimError> {
        let sealed_key = self.keys.make(practice.practice);
        let database = &self.shared.plain;
        let claim = accounts::Claim {
            database,
            practice,
            sealed_key: &sealed_key,
            account,
            device,
        };
        self.transact(practice.practice, &claim).await
    }

    async fn practice(&self, practice: PracticeId) -> Result<Option<Practice>, StorageError> {
        bounded(accounts::practice(self.reads(), practice)).await
    }

    async fn practices(&self) -> Result<Vec<PracticeId>, StorageError> {
        bounded(recovery::practices(self.reads())).await
    }

    async fn begin_epoch(&self, practice: PracticeId, epoch: &str) -> Result<PracticeHead, StorageError> {
        bounded(recovery::begin_epoch(self.reads(), practice, epoch)).await
    }

    async fn head(&self, practice: PracticeId) -> Result<Option<PracticeHead>, StorageError> {
        bounded(async { feed::head(&mut self.reading().await?, practice).await }).await
    }

    async fn catch_up(&self, practice: PracticeId) -> Result<(), StorageError> {
        let Shared {
            client, majority, seen, ..
        } = self.shared.as_ref();
        bounded(async { feed::catch_up(&mut Reading::fresh(client, majority, seen).await?, practice).await }).await
    }

    async fn account(&self, practice: PracticeId, user: UserId) -> Result<Option<Account>, StorageError> {
        bounded(accounts::account(self.reads(), practice, user)).await
    }

    async fn device(&self, practice: PracticeId, device: DeviceId) -> Result<Option<Device>, StorageError> {
        bounded(accounts::device(self.reads(), practice, device)).await
    }

    async fn revoke_device(&self, practice: PracticeId, device: DeviceId) -> Result<bool, StorageError> {
        bounded(accounts::revoke_device(self.reads(), practice, device)).await
    }

    async fn put_enrolment(&self, practice: PracticeId, enrolment: &Enrolment) -> Result<(), StorageError> {
        bounded(accounts::put_enrolment(self.reads(), practice, enrolment)).await
    }

    async fn enrolment(&self, practice: PracticeId, id: &str) -> Result<Option<KeptEnrolment>, StorageError> {
        bounded(accounts::enrolment(self.reads(), practice, id)).await
    }

    async fn redeem_enrolment(
        &self,
        practice: PracticeId,
        id: &str,
        account: &Account,
        device: &Device,
        now_ms: i64,
    ) -> Result<(), RedeemError> {
        let database = &self.shared.plain;
        self.transact(
            practice,
            &accounts::Redeem {
                database,
                practice,
                code: id,
                account,
                device,
                now_ms,
            },
        )
        .await
    }

    async fn put_session(&self, session: &Session, tokens: &Tokens) -> Result<bool, StorageError> {
        bounded(sessions::put(self.reads(), session, tokens)).await
    }

    async fn session_by_access(
        &self,
        practice: PracticeId,
        access: &TokenHash,
        now_ms: i64,
    ) -> Result<Option<Session>, StorageError> {
        bounded(sessions::by_access(self.reads(), practice, *access, now_ms)).await
    }

    async fn rotate_session(
        &self,
        practice: PracticeId,
        refresh: &TokenHash,
        tokens: &Tokens,
        now_ms: i64,
    ) -> Result<Rotation, StorageError> {
        bounded(sessions::rotate(self.reads(), practice, *refresh, tokens, now_ms)).await
    }

    async fn end_session(&self, practice: PracticeId, family: &str) -> Result<(), StorageError> {
        bounded(sessions::end(self.reads(), practice, family)).await
    }

    async fn register_replica(&self, practice: PracticeId, replica: &NewReplica) -> Result<i64, RegisterError> {
        let database = &self.shared.plain;
        self.transact(
            practice,
            &accounts::Register {
                database,
                practice,
                replica,
            },
        )
        .await
    }

    async fn replica(&self, practice: PracticeId, replica: ReplicaId) -> Result<Option<Replica>, StorageError> {
        bounded(async { accounts::replica(&mut self.reading().await?, practice, replica).await }).await
    }

    async fn push(
        &self,
        practice: PracticeId,
        batch: PushBatch,
        limits: DecideLimits,
    ) -> Result<PushAnswer, PushError> {
        let key = bounded(self.key(practice)).await?;
        let push = push::Push {
            database: &self.shared.plain,
            key,
            practice,
            batch,
            limits,
        };
        let answer = self.transact(practice, &push).await?;
        self.shared.heads.publish(practice, answer.head_seq);
        Ok(answer)
    }

    async fn read_since(
        &self,
        practice: PracticeId,
        after_seq: i64,
        scopes: &[Scope],
        limit: PageLimit,
    ) -> Result<FeedPage, StorageError> {
        bounded(async {
            feed::since(
                &mut self.reading().await?,
                &self.key(practice).await?,
                practice,
                after_seq,
                scopes,
                limit,
            )
            .await
        })
        .await
    }

    async fn chain_at(&self, practice: PracticeId, seq: i64) -> Result<Option<Leaf>, StorageError> {
        bounded(async { feed::chain_at(&mut self.reading().await?, practice, seq).await }).await
    }

    async fn snapshot_page(
        &self,
        practice: PracticeId,
        scopes: &[Scope],
        after: Option<&EntityKey>,
        limit: PageLimit,
    ) -> Result<SnapshotPage, StorageError> {
        bounded(async {
            let key = self.key(practice).await?;
            feed::snapshot(&mut self.reading().await?, &key, practice, scopes, after, limit).await
        })
        .await
    }

    async fn leaves(&self, practice: PracticeId, scopes: &[Scope]) -> Result<Leaves, StorageError> {
        // Not bounded like the others: a large practice takes longer, and each command of it fails by itself.
        let key = self.key(practice).await?;
        let head = self.head(practice).await?.ok_or(StorageError::UnknownPractice)?;
        let Shared { client, plain, .. } = self.shared.as_ref();
        feed::leaves(client, plain, &key, practice, scopes, head.seq).await
    }

    async fn fetch(&self, practice: PracticeId, keys: &[EntityKey]) -> Result<Vec<Row>, StorageError> {
        bounded(async {
            let key = self.key(practice).await?;
            feed::fetch(&mut self.reading().await?, &key, practice, keys).await
        })
        .await
    }

    async fn care_scopes(&self, practice: PracticeId, therapist: UserId) -> Result<Vec<ClientId>, StorageError> {
        bounded(async { feed::care(&mut self.reading().await?, practice, therapist).await }).await
    }

    async fn care_changed_after(&self, practice: PracticeId, after_seq: i64) -> Result<bool, StorageError> {
        bounded(async { feed::care_changed_after(&mut self.reading().await?, practice, after_seq).await }).await
    }

    async fn history(
        &self,
        practice: PracticeId,
        after_seq: i64,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StorageError> {
        bounded(async { feed::history(&mut self.reading().await?, practice, after_seq, limit).await }).await
    }

    async fn collect_tombstones(&self, practice: PracticeId, keeping: Keeping) -> Result<Collected, StorageError> {
        let database = &self.shared.plain;
        let collect = tombstones::Collect {
            database,
            practice,
            keeping,
        };
        self.transact(practice, &collect).await
    }

    async fn watch(&self, practice: PracticeId) -> Result<watch::Receiver<i64>, StorageError> {
        // Followed before it is read, so that a push between the two is not missed.
        let receiver = self.shared.heads.follow(practice, 0);
        let head = self.head(practice).await?.ok_or(StorageError::UnknownPractice)?;
        self.shared.heads.publish(practice, head.seq);
        self.begin_polling();
        Ok(receiver)
    }

    async fn close(&self) {
        self.shared.client.clone().shutdown().immediate(true).await;
    }
}
