//! Every entity, declared once: its scope, who may write it, its units with their merge policies, its validation and when it is frozen.
//!
//! Storage, sync and service read these declarations; nothing about an entity is repeated elsewhere. [`merge_table`] and [`state_table`]
//! show all of it to a reader.

use crate::document::{Document, FieldProblem};
use crate::entities;
use crate::ids::{ClientId, EntityKind};
use crate::scope::Scope;

/// What happens when two people changed the same unit without having seen each other's value.
#[derive(Clone, Copy)]
pub enum Policy {
    /// The first value at the service stays, the other becomes a Conflict that a person settles.
    KeepBoth,
    /// An object of elements by id; additions win over removals, an element edited twice is kept both ways.
    Set,
    /// An object with a member `state`; a change is made when it is allowed from the present state. The function gives what may follow.
    State(fn(&str) -> &'static [&'static str]),
    /// Written at creation only.
    Immutable,
    /// Written by the service alone.
    Service,
}

/// One unit of an entity.
pub struct Unit {
    /// Its name: a top-level member of the document.
    pub name: &'static str,
    /// Its merge policy.
    pub policy: Policy,
    /// Why, in words that a clinician would accept; the merge table of the documentation is made of them.
    pub reason: &'static str,
}

impl Unit {
    /// Declares a unit.
    #[must_use]
    pub const fn new(name: &'static str, policy: Policy, reason: &'static str) -> Self {
        Self { name, policy, reason }
    }
}

/// From what an entity's scope follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScopeRule {
    /// The office scope.
    Office,
    /// The clinical scope of `subject.client`.
    ClinicalSubject,
}

/// Who may create and change an entity, beside the rule that clinical content needs a care relationship.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writers {
    /// Everyone in the practice.
    Everyone,
    /// Administrators, and each person for the entity that carries their own id.
    AdminOrSelf,
    /// Administrators, a clinician with an active care relationship to the client, or the clinician who creates the client in the same group.
    CareGranters,
    /// Clinicians.
    Clinicians,
    /// The service alone; people act on it through operations of their own.
    Service,
}

/// When an entity's content may no longer change.
pub struct Freeze {
    /// Whether a document is frozen.
    pub when: fn(&Document) -> bool,
    /// The units that may still change then.
    pub except: &'static [&'static str],
}

/// The declaration of one entity.
pub struct EntityType {
    /// Its name on the wire and on disk.
    pub kind: &'static str,
    /// The version of its document that this program writes.
    pub schema: u32,
    /// Its scope.
    pub scope: ScopeRule,
    /// Its writers.
    pub writers: Writers,
    /// Its units.
    pub units: &'static [Unit],
    /// When it is frozen, if ever.
    pub freeze: Option<Freeze>,
    /// A change that contains one of these units is made as a whole or not at all, because the unit vouches for the others (a signature).
    pub vouching: &'static [&'static str],
    /// What is wrong with a document.
    pub validate: fn(&Document) -> Vec<FieldProblem>,
}

impl EntityType {
    /// The policy of a unit; one that this version does not know keeps both values.
    #[must_use]
    pub fn policy(&self, unit: &str) -> Policy {
        self.units
            .iter()
            .find(|known| known.name == unit)
            .map_or(Policy::KeepBoth, |known| known.policy)
    }

    /// The scope of `document`; `None` when a clinical entity names no client.
    #[must_use]
    pub fn scope_of(&self, document: &Document) -> Option<Scope> {
        let subject = document
            .text("subject", "client")
            .and_then(|id| id.parse::<ClientId>().ok())
            .map(Scope::Clinical);
        match self.scope {
            ScopeRule::Office => Some(Scope::Office),
            ScopeRule::ClinicalSubject => subject,
        }
    }

    /// Whether `document` is frozen and `unit` is not among the exceptions.
    #[must_use]
    pub fn is_frozen(&self, document: &Document, unit: &str) -> bool {
        self.freeze
            .as_ref()
            .is_some_and(|freeze| (freeze.when)(document) && !freeze.except.contains(&unit))
    }
}

/// The declaration of `kind`; `None` for a type that this version does not know.
#[must_use]
pub fn find(kind: &EntityKind) -> Option<&'static EntityType> {
    all().find(|entity| entity.kind == kind.as_str())
}

/// Every declaration, in the order in which a fresh device receives them (parents first).
pub fn all() -> impl Iterator<Item = &'static EntityType> {
    entities::ALL.iter().copied()
}

/// The position of `kind` in [`all`]; unknown types come last.
#[must_use]
pub fn rank(kind: &EntityKind) -> usize {
    all()
        .position(|entity| entity.kind == kind.as_str())
        .unwrap_or(usize::MAX)
}

/// The merge policy of every unit of every entity as a Markdown table, with the reasons: what the documentation shows.
#[must_use]
pub fn merge_table() -> String {
    let mut table =
        String::from("| record | scope | unit | when two people changed it | because |\n|---|---|---|---|---|\n");
    for entity in all() {
        let scope = match entity.scope {
            ScopeRule::Office => "office",
            ScopeRule::ClinicalSubject => "clinical",
        };
        for unit in entity.units {
            let rule = match unit.policy {
                Policy::KeepBoth => "both are kept, a person settles",
                Policy::Set => "additions add up, the same element is kept both ways",
                Policy::State(_) => "what may follow the present state",
                Policy::Immutable => "never changes",
                Policy::Service => "the service alone writes it",
            };
            let line = format!(
                "| {} | {scope} | `{}` | {rule} | {} |\n",
                entity.kind, unit.name, unit.reason
            );
            table.push_str(&line);
        }
    }
    table
}

/// States in which a record may begin.
const FIRST: [&str; 6] = ["requested", "scheduled", "invited", "active", "draft", "open"];

/// What may follow each state of every unit that has states, as a Markdown table: what the documentation shows beside [`merge_table`].
#[must_use]
pub fn state_table() -> String {
    let mut table = String::from("| record | unit | state | what may follow |\n|---|---|---|---|\n");
    for entity in all() {
        for unit in entity.units {
            let Policy::State(next) = unit.policy else { continue };
            for state in states(next) {
                let following = match next(state) {
                    [] => "nothing".to_owned(),
                    following => following
                        .iter()
                        .map(|state| format!("`{state}`"))
                        .collect::<Vec<_>>()
                        .join(", "),
                };
                let line = format!("| {} | `{}` | `{state}` | {following} |\n", entity.kind, unit.name);
                table.push_str(&line);
            }
        }
    }
    table
}

/// Every state that a record may come to, first ones first.
fn states(next: fn(&str) -> &'static [&'static str]) -> Vec<&'static str> {
    let mut found: Vec<&str> = FIRST.into_iter().filter(|state| !next(state).is_empty()).collect();
    let mut at = 0;
    while let Some(state) = found.get(at) {
        let new: Vec<&str> = next(state)
            .iter()
            .filter(|state| !found.contains(state))
            .copied()
            .collect();
        found.extend(new);
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_office_entity_has_a_clinical_unit() {
        const CLINICAL: [&str; 14] = [
            "allergies",
            "medications",
            "risk",
            "safety_plan",
            "history",
            "body",
            "order",
            "diagnosis",
            "presenting",
            "interventions",
            "homework",
            "progress",
            "feedback",
            "instructions",
        ];
        for entity in all().filter(|entity| entity.scope != ScopeRule::ClinicalSubject) {
            for unit in entity.units {
                assert!(!CLINICAL.contains(&unit.name), "{}.{}", entity.kind, unit.name);
            }
        }
    }

    #[test]
    fn the_documented_merge_table_is_the_declared_one() {
        let page = include_str!("../../../docs/sync.md");
        assert!(
            page.contains(&merge_table()),
            "docs/sync.md must hold this table:\n{}",
            merge_table()
        );
    }

    #[test]
    fn the_documented_state_table_is_the_declared_one_and_no_unit_with_states_is_missing_in_it() {
        let (page, table) = (include_str!("../../../docs/sync.md"), state_table());
        for entity in all() {
            for unit in entity.units {
                let is_listed = table.contains(&format!("| {} | `{}` |", entity.kind, unit.name));
                assert_eq!(
                    is_listed,
                    matches!(unit.policy, Policy::State(_)),
                    "{}.{}",
                    entity.kind,
                    unit.name
                );
            }
        }
        assert!(page.contains(&table), "docs/sync.md must hold this table:\n{table}");
    }

    #[test]
    fn every_unit_has_a_reason_that_is_a_sentence() {
        for entity in all() {
            assert!(!entity.units.is_empty(), "{} has no merge policy", entity.kind);
            for unit in entity.units {
                assert!(
                    unit.reason.ends_with('.') && unit.reason.len() > 20,
                    "{}.{}",
                    entity.kind,
                    unit.name
                );
                assert!(!unit.reason.contains('|'), "{}.{}", entity.kind, unit.name);
            }
        }
    }

    #[test]
    fn declarations_name_each_type_and_unit_once_and_only_their_own_units() {
        let mut kinds: Vec<_> = all().map(|entity| entity.kind).collect();
        kinds.sort_unstable();
        let count = kinds.len();
        kinds.dedup();
        assert_eq!(kinds.len(), count);
        for entity in all() {
            let mut units: Vec<_> = entity.units.iter().map(|unit| unit.name).collect();
            units.sort_unstable();
            let count = units.len();
            units.dedup();
            assert_eq!(units.len(), count, "{}", entity.kind);
            for name in entity
                .vouching
                .iter()
                .chain(entity.freeze.iter().flat_map(|freeze| freeze.except))
            {
                assert!(units.contains(name), "{}.{name}", entity.kind);
            }
        }
    }
}
