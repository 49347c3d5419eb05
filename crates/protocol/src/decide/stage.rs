//! What one operation sees of the rows, and how it is refused.

use std::collections::{BTreeMap, HashMap};

use caseload_domain::{EntityId, EntityKey, FieldProblem};

use crate::messages::{Outcome, Refusal};
use crate::row::Row;

/// A refusal of one operation.
pub(crate) struct Refused {
    pub(super) outcome: Outcome,
    pub(super) why: Refusal,
    pub(super) fields: Vec<FieldProblem>,
}

impl Refused {
    pub(crate) const fn of(why: Refusal) -> Self {
        Self {
            outcome: Outcome::Rejected,
            why,
            fields: Vec::new(),
        }
    }

    pub(super) const fn invalid(fields: Vec<FieldProblem>) -> Self {
        Self {
            outcome: Outcome::Rejected,
            why: Refusal::Invalid,
            fields,
        }
    }

    pub(super) const fn upgrade() -> Self {
        Self {
            outcome: Outcome::Upgrade,
            why: Refusal::UnknownKind,
            fields: Vec::new(),
        }
    }
}

/// The rows as one group sees them: what it changed, what the batch changed, what was read.
pub(crate) struct Stage<'a> {
    pub(super) before: &'a HashMap<EntityKey, Row>,
    pub(super) written: &'a HashMap<EntityKey, Row>,
    pub(super) staged: HashMap<EntityKey, Row>,
    pub(super) client_number: i64,
}

impl Stage<'_> {
    pub(crate) fn row(&self, key: &EntityKey) -> Option<&Row> {
        self.staged
            .get(key)
            .or_else(|| self.written.get(key))
            .or_else(|| self.before.get(key))
    }

    /// Every appointment that is known, each once, in the order of its id.
    pub(crate) fn appointments(&self) -> Vec<&Row> {
        self.of_kind("appointment")
    }

    /// The clashes that are known of an appointment.
    pub(crate) fn clashes_of(&self, appointment: &str) -> Vec<Row> {
        let is_side = |row: &&Row| {
            ["placed", "contested"]
                .iter()
                .any(|side| row.doc.text("pair", side) == Some(appointment))
        };
        self.of_kind("clash").into_iter().filter(is_side).cloned().collect()
    }

    fn of_kind(&self, kind: &str) -> Vec<&Row> {
        let mut all: BTreeMap<EntityId, &Row> = BTreeMap::new();
        for rows in [self.before, self.written, &self.staged] {
            all.extend(
                rows.values()
                    .filter(|row| row.key.kind.as_str() == kind)
                    .map(|row| (row.key.id, row)),
            );
        }
        all.into_values().collect()
    }
}
