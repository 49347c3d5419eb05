//! Who may make a change: by role and administration, by care relationship, by authorship.

use caseload_domain::entities::care_relationship_id;
use caseload_domain::registry::{EntityType, Writers};
use caseload_domain::{ClientId, Document, EntityKey, Scope};

use super::operation::OpDecision;
use super::stage::Refused;
use crate::messages::{OpKind, Refusal};
use crate::row::Row;

impl OpDecision<'_, '_> {
    pub(super) fn authorise(&self, entity: &EntityType) -> Result<(), Refused> {
        let row = self.stage.row(&self.op.key);
        let scope = row
            .map(|row| row.scope)
            .or_else(|| entity.scope_of(&Document::new(self.op.units.clone())));
        let allowed = match entity.writers {
            Writers::Everyone => true,
            Writers::AdminOrSelf => {
                self.actor.admin || (self.op.key.id == self.actor.user.entity() && self.op.kind == OpKind::Patch)
            }
            Writers::Service => matches!(self.op.kind, OpKind::Settle | OpKind::Reoffer),
            Writers::Clinicians => true,
            Writers::CareGranters => self.may_grant_care(row),
        };
        let may_read = match scope {
            None | Some(Scope::Office) => true,
            // A restored service may have lost the care relationship as well; what is offered is sealed and shown to nobody by that.
            Some(Scope::Clinical(client)) => {
                self.actor.role.is_clinical() && (self.op.kind == OpKind::Reoffer || self.treats(client))
            }
            Some(Scope::Private(author)) => author == self.actor.user,
        };
        if !allowed || !may_read || !self.authorship_fits(row) {
            return Err(Refused::of(Refusal::Forbidden));
        }
        Ok(())
    }

    /// Whether the actor treats the client, or did as far as her file knew when the change was made: a change made in good faith is accepted
    /// after the care has ended, one made in the knowledge of its end is not.
    fn treats(&self, client: ClientId) -> bool {
        let key = EntityKey::new("care_relationship", care_relationship_id(client, self.actor.user));
        self.stage
            .row(&key)
            .is_some_and(|care| gives_access(care) || !self.knew(&key, care))
    }

    /// Whether the sending file had read the last change of a row when it sent. It had not where it sends that change itself with this one.
    fn knew(&self, key: &EntityKey, row: &Row) -> bool {
        !self.stage.staged.contains_key(key) && self.known.is_some_and(|known| known >= row.seq)
    }

    fn may_grant_care(&self, row: Option<&Row>) -> bool {
        let client = row
            .and_then(|row| row.doc.text("parties", "client"))
            .or_else(|| self.op.units.get("parties")?.get("client")?.as_str())
            .and_then(|id| id.parse::<ClientId>().ok());
        let Some(client) = client else { return self.actor.admin };
        let active = self
            .stage
            .row(&EntityKey::new(
                "care_relationship",
                care_relationship_id(client, self.actor.user),
            ))
            .is_some_and(|row| !row.deleted && row.doc.text("status", "state") == Some("active"));
        let derived_id_fits = row.is_some() || {
            let therapist = self
                .op
                .units
                .get("parties")
                .and_then(|parties| parties.get("therapist")?.as_str()?.parse().ok());
            therapist.is_some_and(|therapist| care_relationship_id(client, therapist) == self.op.key.id)
        };
        derived_id_fits
            && (self.actor.admin
                || (self.actor.role.is_clinical() && (active || self.created.contains(&client.entity()))))
    }

    /// Notes and prescriptions are written and signed by their author; others with access may stop, void or co-sign.
    fn authorship_fits(&self, row: Option<&Row>) -> bool {
        let actor = self.actor.user.to_string();
        let op_text = |unit: &str, member: &str| self.op.units.get(unit).and_then(|value| value.get(member)?.as_str());
        if op_text("signature", "author").is_some_and(|author| author != actor) {
            return false;
        }
        if !matches!(self.op.key.kind.as_str(), "session_note" | "addendum" | "prescription") {
            return true;
        }
        match (self.op.kind, row) {
            (OpKind::Create, _) => op_text("subject", "author") == Some(&actor),
            (OpKind::Patch, Some(row)) if self.op.units.contains_key("body") || self.op.units.contains_key("order") => {
                row.doc.text("subject", "author") == Some(&actor)
            }
            _ => true,
        }
    }
}

/// Whether somebody with this care relationship may read the client's clinical record.
fn gives_access(care: &Row) -> bool {
    !care.deleted && matches!(care.doc.text("status", "state"), Some("active" | "paused"))
}
