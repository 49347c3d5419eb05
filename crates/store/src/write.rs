//! The inside of the one door for changes. Each call changes a document, and the operation for the service is remembered; at the end the
//! operations become one signed group of the outbox and one entry of the audit chain.
//!
//! The rules that the service decides by are kept here as well, where they can be known (validity, frozen content, states, units of the
//! service), so that a person learns at once what would be refused later.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use caseload_domain::document::{SALT, overlay};
use caseload_domain::registry::{self, EntityType};
use caseload_domain::time::Millis;
use caseload_domain::{Document, EntityId, EntityKey, FieldProblem, GroupId, OpId, Problem, Role, UserId};
#[cfg(feature = "test-faults")]
use caseload_faults::bugs::{Bug, has};
use caseload_protocol::checksum::{Leaf, hex, sha256};
use caseload_protocol::messages::{Group, Limits, Op, OpKind, WireRow};
use caseload_protocol::rebase::{Working, rebase};
use caseload_protocol::reoffer;
use caseload_vault::SigningKey;
use caseload_vault::heads::Head;
use rusqlite::Connection;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::audit::{self, Action, Entry, Touched};
use crate::entropy::Entropy;
use crate::error::StorageError;
use crate::files;
use crate::fold;
use crate::lost;
use crate::outbox;
use crate::pull;
use crate::read::ReadTx;
use crate::refused;
use crate::rows::{self, LocalRow, Stored};
use crate::rules;
use crate::state::{self, Name};
use crate::store::Meta;
use crate::touches::touches;

/// Who makes a change. The signature is what the service and every other computer trust, not the session.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The person.
    pub user: UserId,
    /// In which role.
    pub role: Role,
    /// The person's signing key.
    pub signing: &'a SigningKey,
}

/// What a committed change did. It is on the disk.
#[derive(Clone, Debug)]
pub struct Committed<T> {
    /// What the closure answered.
    pub value: T,
    /// The entities that are different now, each once.
    pub changed: Vec<EntityKey>,
    /// The head of the audit chain.
    pub head: Head,
}

/// Why a change was not made. Nothing was changed.
#[derive(Debug, Error)]
pub enum WriteError {
    /// The document would be invalid.
    #[error("{} fields are invalid", .0.len())]
    Invalid(Vec<FieldProblem>),
    /// The entity does not exist here.
    #[error("the entity does not exist")]
    Missing,
    /// The entity exists already.
    #[error("the entity exists already")]
    Exists,
    /// The entity is void.
    #[error("the entity is void")]
    Voided,
    /// The content is signed or issued and does not change any more.
    #[error("{unit} is frozen")]
    Frozen {
        /// What was to be changed.
        unit: String,
    },
    /// Only the service writes it.
    #[error("{unit} is written by the service alone")]
    ServiceUnit {
        /// What was to be changed.
        unit: String,
    },
    /// It is written at creation only.
    #[error("{unit} is written at creation only")]
    Immutable {
        /// What was to be changed.
        unit: String,
    },
    /// A set is changed by its elements, and only a set.
    #[error("{unit} is changed in another way")]
    NotASet {
        /// What was to be changed.
        unit: String,
    },
    /// The state cannot follow the present one.
    #[error("{unit} cannot become that now")]
    NotAllowedNow {
        /// Which state.
        unit: String,
    },
    /// A reason has to be given.
    #[error("a reason is required")]
    ReasonRequired,
    /// The document is larger than the service takes.
    #[error("the document is too large")]
    TooLarge,
    /// A newer program wrote the entity in a way that this one must not change.
    #[error("the entity needs a newer program")]
    NeedsNewerProgram,
    /// The type's rules are not known here.
    #[error("the type is unknown")]
    UnknownKind,
    /// The entity belongs into the other file.
    #[error("the entity belongs into another file")]
    WrongFile,
    /// The file could not be read or written.
    #[error("the change could not be stored")]
    Storage(#[from] StorageError),
}

impl From<rusqlite::Error> for WriteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl WriteError {
    /// Whether the change itself was refused, not the disk: trying the same again would be refused again.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Storage(_))
    }
}

/// The bytes of one document in canonical form that every service takes.
fn document_limit() -> usize {
    usize::try_from(Limits::default().doc_bytes).unwrap_or(usize::MAX)
}

/// A transaction of the door. It reads what it wrote.
pub struct WriteTx<'a> {
    reads: ReadTx<'a>,
    meta: &'a Meta,
    entropy: &'a Entropy,
    author: Author<'a>,
    action: Action,
    ops: Vec<Op>,
    sealed: bool,
    /// See [`Group::detached`].
    detached: bool,
    touched: Vec<Touched>,
    positions: HashMap<EntityKey, usize>,
    has_local_changes: bool,
}

impl<'a> std::ops::Deref for WriteTx<'a> {
    type Target = ReadTx<'a>;

    fn deref(&self) -> &ReadTx<'a> {
        &self.reads
    }
}

/// What one call changes.
#[derive(Default)]
struct Change {
    units: Map<String, Value>,
    add: BTreeMap<String, Map<String, Value>>,
    remove: BTreeMap<String, Vec<String>>,
    reason: Option<String>,
    op_id: Option<OpId>,
    /// What its writer had seen, where that is not what is here now.
    base: Option<i64>,
}

impl<'a> WriteTx<'a> {
    pub(crate) fn begin(
        connection: &'a Connection,
        meta: &'a Meta,
        entropy: &'a Entropy,
        author: Author<'a>,
        action: Action,
    ) -> Self {
        Self {
            reads: ReadTx::new(connection, meta.kind),
            meta,
            entropy,
            author,
            action,
            ops: Vec::new(),
            sealed: false,
            detached: false,
            touched: Vec::new(),
            positions: HashMap::new(),
            has_local_changes: false,
        }
    }

    /// The instant of the change, as the caller's clock showed it.
    #[must_use]
    pub const fn at(&self) -> Millis {
        self.action.at
    }

    /// Who makes the change.
    #[must_use]
    pub const fn author(&self) -> UserId {
        self.author.user
    }

    /// A new id.
    #[must_use]
    pub fn new_id(&self) -> EntityId {
        EntityId::new(self.entropy.uuid_v7(self.action.at))
    }

    /// Random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        self.entropy.bytes()
    }

    /// Creates an entity; a salt is added.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn create(&mut self, key: &EntityKey, document: Document) -> Result<(), WriteError> {
        let mut document = document;
        if document.unit(SALT).is_none() {
            document.set(SALT, Value::from(hex(&self.entropy.bytes::<16>())));
        }
        let units = document.units().clone();
        self.change(
            OpKind::Create,
            key,
            Change {
                units,
                ..Change::default()
            },
        )
    }

    /// Creates an entity with a new id, which is answered.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn create_new(&mut self, kind: &str, document: Document) -> Result<EntityKey, WriteError> {
        let key = EntityKey::new(kind, self.new_id());
        self.create(&key, document)?;
        Ok(key)
    }

    /// Replaces whole units; `null` removes one. Values that are there already are left out.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn patch(&mut self, key: &EntityKey, units: Map<String, Value>) -> Result<(), WriteError> {
        self.change(
            OpKind::Patch,
            key,
            Change {
                units,
                ..Change::default()
            },
        )
    }

    /// Replaces one unit; `null` removes it.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn patch_unit(&mut self, key: &EntityKey, unit: &str, value: Value) -> Result<(), WriteError> {
        self.patch(key, Map::from_iter([(unit.to_owned(), value)]))
    }

    /// Replaces the members of a unit that `value` names, so that members which this program does not know survive.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn overlay_unit(&mut self, key: &EntityKey, unit: &str, value: Value) -> Result<(), WriteError> {
        let entity = self.reads.get(key)?.ok_or(WriteError::Missing)?;
        #[cfg(feature = "test-faults")]
        if has(Bug::UnknownFieldsDropped) {
            return self.patch_unit(key, unit, value);
        }
        self.patch_unit(key, unit, overlay(entity.doc.unit(unit), value))
    }

    /// Adds or replaces an element of a set.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn add_element(&mut self, key: &EntityKey, unit: &str, element: &str, value: Value) -> Result<(), WriteError> {
        let add = BTreeMap::from([(unit.to_owned(), Map::from_iter([(element.to_owned(), value)]))]);
        self.change(
            OpKind::Patch,
            key,
            Change {
                add,
                ..Change::default()
            },
        )
    }

    /// Removes an element of a set.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn remove_element(&mut self, key: &EntityKey, unit: &str, element: &str) -> Result<(), WriteError> {
        let remove = BTreeMap::from([(unit.to_owned(), vec![element.to_owned()])]);
        self.change(
            OpKind::Patch,
            key,
            Change {
                remove,
                ..Change::default()
            },
        )
    }

    /// Makes an entity void. Its content stays.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn void(&mut self, key: &EntityKey, reason: &str) -> Result<(), WriteError> {
        self.change(
            OpKind::Void,
            key,
            Change {
                reason: Some(reason.to_owned()),
                ..Change::default()
            },
        )
    }

    /// Takes a void back.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn restore(&mut self, key: &EntityKey) -> Result<(), WriteError> {
        self.change(OpKind::Restore, key, Change::default())
    }

    /// Settles a conflict record with the choice that was made. The chosen value is written by a patch of its own.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn settle(&mut self, conflict: &EntityKey, choice: Value) -> Result<(), WriteError> {
        let units = Map::from_iter([("choice".to_owned(), choice)]);
        self.change(
            OpKind::Settle,
            conflict,
            Change {
                units,
                ..Change::default()
            },
        )
    }

    /// Offers a row back that the service lost. Does nothing when it is there for review already.
    pub(crate) fn reoffer(&mut self, row: &WireRow) -> Result<(), WriteError> {
        let Some(record) = reoffer::record_key(row) else {
            return Ok(());
        };
        let units = reoffer::units(row);
        self.change(
            OpKind::Reoffer,
            &record,
            Change {
                units,
                ..Change::default()
            },
        )?;
        let connection = self.reads.connection();
        lost::offered(connection, &record)?;
        self.has_local_changes = true;
        Ok(())
    }

    /// Settles the review of a row that was offered back, as it is seen here now.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn settle_reoffer(&mut self, record: &EntityKey, accept: bool) -> Result<(), WriteError> {
        let found = self.reads.get(record)?.ok_or(WriteError::Missing)?;
        let row = reoffer::row_of(found.doc.units()).ok_or(WriteError::Missing)?;
        let seen = self.reads.get(&row.key)?.map_or(0, |present| present.rev);
        let choice = if accept { reoffer::ACCEPT } else { reoffer::REFUSE };
        let units = [
            ("choice", Value::from(choice)),
            ("about", reoffer::about(&row)),
            ("seen", Value::from(seen)),
        ];
        self.change(
            OpKind::Settle,
            record,
            Change {
                units: units
                    .map(|(unit, value)| (unit.to_owned(), value))
                    .into_iter()
                    .collect(),
                ..Change::default()
            },
        )
    }

    /// Books in spite of an overlap.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn override_booking(&mut self, appointment: &EntityKey, reason: &str) -> Result<(), WriteError> {
        let shown = json!({"reason": reason, "by": self.author.user, "at": self.action.at});
        let units = Map::from_iter([("override".to_owned(), shown)]);
        let change = Change {
            units,
            reason: Some(reason.to_owned()),
            ..Change::default()
        };
        self.change(OpKind::Override, appointment, change)
    }

    /// Asks for a contested booking to be placed, because its time has become free.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn place(&mut self, appointment: &EntityKey) -> Result<(), WriteError> {
        self.change(OpKind::Place, appointment, Change::default())
    }

    /// Makes the changes of a refused or held group again, and forgets the group. They keep their bases: whoever tries again has not seen what
    /// others wrote in the same place since then.
    ///
    /// # Errors
    /// [`WriteError`]; then the group is kept.
    pub fn retry(&mut self, grp: GroupId) -> Result<(), WriteError> {
        let group = refused::refused_group(self.reads.connection(), grp)?.ok_or(WriteError::Missing)?;
        self.forget(grp)?;
        // A group of its own: folded into a change that waits it would lower that one's base, too.
        self.sealed = true;
        self.detached |= group.detached;
        for op in group.ops {
            let Op {
                kind,
                key,
                units,
                add,
                remove,
                reason,
                base_rev,
                ..
            } = op;
            self.change(
                kind,
                &key,
                Change {
                    units,
                    add,
                    remove,
                    reason,
                    op_id: None,
                    base: Some(base_rev),
                },
            )?;
        }
        Ok(())
    }

    /// Forgets a refused or held group for good, with the files of documents that it would have made. What waited for the review of a row that
    /// it would have offered back is kept as refused.
    ///
    /// # Errors
    /// [`WriteError::Storage`].
    pub fn discard(&mut self, grp: GroupId) -> Result<(), WriteError> {
        let group = refused::refused_group(self.reads.connection(), grp)?;
        self.forget(grp)?;
        let connection = self.reads.connection();
        let mut changed = Vec::new();
        for op in group.into_iter().flat_map(|group| group.ops) {
            match op.kind {
                OpKind::Create => files::forget_queued(connection, &op.key)?,
                OpKind::Reoffer => changed.extend(lost::given_up(connection, &op.key, self.action.at)?),
                _ => {}
            }
        }
        for key in outbox::show_again(connection, self.meta.kind, changed)? {
            self.touch(&key, None, None);
        }
        Ok(())
    }

    /// Forgets a refused or held group.
    fn forget(&mut self, grp: GroupId) -> Result<(), WriteError> {
        let connection = self.reads.connection();
        let keys = refused::forget(connection, grp)?;
        for key in outbox::show_again(connection, self.meta.kind, keys)? {
            self.touch(&key, None, None);
        }
        self.has_local_changes = true;
        Ok(())
    }

    /// A patch whose operation id is fixed, so that doing it again changes nothing anywhere.
    pub(crate) fn patch_as(
        &mut self,
        op_id: OpId,
        key: &EntityKey,
        units: Map<String, Value>,
    ) -> Result<(), WriteError> {
        self.sealed = true;
        self.change(
            OpKind::Patch,
            key,
            Change {
                units,
                op_id: Some(op_id),
                ..Change::default()
            },
        )
    }

    pub(crate) const fn mark_local_change(&mut self) {
        self.has_local_changes = true;
    }

    fn change(&mut self, kind: OpKind, key: &EntityKey, change: Change) -> Result<(), WriteError> {
        let entity = registry::find(&key.kind).ok_or(WriteError::UnknownKind)?;
        let stored = rows::load(self.reads.connection(), key)?;
        let before = stored.as_ref().map(Stored::working).transpose()?;
        let mut op = Op {
            op_id: change
                .op_id
                .unwrap_or_else(|| OpId::new(self.entropy.uuid_v7(self.action.at))),
            key: key.clone(),
            kind,
            base_rev: 0,
            sv: self.meta.schema(entity),
            units: change.units,
            add: change.add,
            remove: change.remove,
            reason: change.reason,
            client_ts: self.action.at.0,
        };
        if !rules::is_allowed(entity, stored.as_ref(), before.as_ref(), &mut op)? {
            return Ok(());
        }
        let after = rebase(before.clone(), [&op]).ok_or(WriteError::Missing)?;
        let text = self.checked_text(entity, &op, &after)?;
        let after_hash = sha256(text.as_bytes());
        match (&stored, &before) {
            (Some(stored), Some(before)) => {
                let (seen, detached) = self.base_rev(stored, &op)?;
                self.detached |= detached;
                op.base_rev = change.base.map_or(seen, |base| base.min(seen));
                self.touch(key, Some(sha256(stored.text.as_bytes())), Some(after_hash));
                rows::update_local(
                    self.reads.connection(),
                    self.meta.kind,
                    key,
                    stored,
                    before,
                    &after,
                    &text,
                )?;
            }
            _ => {
                let scope = entity.scope_of(&after.doc).ok_or_else(|| required("subject.client"))?;
                if !self.meta.kind.holds(scope) {
                    return Err(WriteError::WrongFile);
                }
                self.touch(key, None, Some(after_hash));
                let row = LocalRow {
                    sv: op.sv,
                    scope,
                    deleted: after.deleted,
                    doc: &after.doc,
                    text: &text,
                };
                rows::insert_local(self.reads.connection(), self.meta.kind, key, &row)?;
            }
        }
        self.remember(op);
        Ok(())
    }

    fn checked_text(&self, entity: &EntityType, op: &Op, after: &Working) -> Result<String, WriteError> {
        let validated = matches!(op.kind, OpKind::Create | OpKind::Patch | OpKind::Restore);
        let problems = if validated {
            (entity.validate)(&after.doc)
        } else {
            Vec::new()
        };
        if !problems.is_empty() {
            return Err(WriteError::Invalid(problems));
        }
        let text = rows::canonical_text(&after.doc)
            .ok_or_else(|| WriteError::Invalid(vec![FieldProblem::new("", Problem::NotStorable)]))?;
        if text.len() > document_limit() && op.kind != OpKind::Reoffer {
            Err(WriteError::TooLarge)
        } else {
            Ok(text)
        }
    }

    /// The revision that the person had seen of what the operation touches: the service's, or an older one where an operation that still
    /// waits hides what the service may have underneath. A creation hides nothing of a row that somebody else created meanwhile.
    /// Says also whether that is a revision of a history that the service has lost.
    fn base_rev(&self, stored: &Stored, op: &Op) -> Result<(i64, bool), WriteError> {
        if !stored.may_have_ops() {
            return Ok((stored.rev, false));
        }
        #[cfg(feature = "test-faults")]
        if has(Bug::BaseIgnoresMaskedOp) {
            return Ok((stored.rev, false));
        }
        let mine = touches(op);
        let waits = outbox::waits_on(self.reads.connection(), &op.key)?;
        let waits = waits.iter().map(|waits| (&waits.op, waits.detached));
        let own = self.ops.iter().filter(|earlier| earlier.key == op.key);
        let hidden = waits
            .chain(own.map(|earlier| (earlier, false)))
            .filter(|(earlier, _)| earlier.kind != OpKind::Create || stored.rev == 0)
            .filter(|(earlier, _)| touches(earlier).overlaps(&mine));
        Ok(hidden.fold((stored.rev, false), |(base, any), (earlier, detached)| {
            (base.min(earlier.base_rev), any || detached)
        }))
    }

    /// Adds the operation to the group; a patch of what this group patched or created already becomes one operation with it.
    fn remember(&mut self, op: Op) {
        let last = self.ops.len().saturating_sub(1);
        let earlier = self
            .ops
            .iter_mut()
            .enumerate()
            .rev()
            .find(|(_, earlier)| earlier.key == op.key);
        if let Some((position, earlier)) = earlier
            && !self.sealed
            && (position == last || !fold::depends_on_order(&op.key))
            && fold::can_fold(earlier, &op)
        {
            fold::fold(earlier, op);
            return;
        }
        self.ops.push(op);
    }

    fn touch(&mut self, key: &EntityKey, before: Option<Leaf>, after: Option<Leaf>) {
        if let Some(&position) = self.positions.get(key) {
            self.touched[position].after = after;
        } else {
            self.positions.insert(key.clone(), self.touched.len());
            self.touched.push(Touched {
                key: key.clone(),
                before,
                after,
            });
        }
    }

    /// Signs and stores the group and the audit entry; the caller commits.
    pub(crate) fn finish(mut self) -> Result<(Vec<EntityKey>, Head), WriteError> {
        let connection = self.reads.connection();
        if self.ops.is_empty() && !self.has_local_changes {
            return Ok((Vec::new(), audit::head(connection, self.meta.database)?));
        }
        let group = match (self.sealed, self.ops.as_slice()) {
            (_, []) => None,
            (false, [op]) => match fold::into_unsent(connection, self.meta, &self.author, op, self.detached)? {
                Some(folded) => Some(folded),
                None => Some(self.append_group()?),
            },
            _ => Some(self.append_group()?),
        };
        let entry = Entry {
            action: self.action,
            user: self.author.user,
            role: self.author.role,
            group,
            touched: &self.touched,
        };
        let head = audit::append_in_tx(connection, self.meta.database, &entry)?;
        Ok((self.touched.into_iter().map(|touched| touched.key).collect(), head))
    }

    fn append_group(&mut self) -> Result<GroupId, WriteError> {
        let connection = self.reads.connection();
        let first_mut: i64 = state::require(connection, Name::NextMut)?;
        let mut group = Group {
            grp: GroupId::new(self.entropy.uuid_v7(self.action.at)),
            actor: self.author.user,
            role: self.author.role,
            origin: state::require(connection, Name::Replica)?,
            origin_mut: first_mut,
            first_mut,
            sig: String::new(),
            // Reviewed beside rows that are being compared with another history.
            detached: self.detached || self.ops.iter().any(outbox::settles_offer) && pull::is_diverged(connection)?,
            ops: std::mem::take(&mut self.ops),
        };
        group.sig = sign(&group, self.meta, &self.author)?;
        outbox::append(connection, &group, self.sealed, self.action.at)?;
        state::put(connection, Name::NextMut, &group.next_mut())?;
        outbox::park_behind(connection, group.grp)?;
        Ok(group.grp)
    }
}

/// The author's signature over `group`.
pub(crate) fn sign(group: &Group, meta: &Meta, author: &Author<'_>) -> Result<String, WriteError> {
    let bytes = group
        .signing_bytes(meta.practice)
        .map_err(|_| WriteError::Invalid(vec![FieldProblem::new("", Problem::NotStorable)]))?;
    Ok(URL_SAFE_NO_PAD.encode(author.signing.sign(&bytes).0))
}

fn required(path: &str) -> WriteError {
    WriteError::Invalid(vec![FieldProblem::new(path, Problem::Required)])
}
