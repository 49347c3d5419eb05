//! Telling what changed: to the window, so that it reads again, and to the background task, so that it shares.

use std::collections::BTreeSet;

use caseload_domain::EntityKey;
use tokio::sync::{Notify, broadcast};

use crate::app::Event;
use crate::dto::{Changed, EntityType};

/// Events that a slow listener may lag behind before it misses some; it then reads everything anew.
const BACKLOG: usize = 256;

/// Where changes are announced.
pub(crate) struct Announcer {
    events: broadcast::Sender<Event>,
    /// Something waits to be shared.
    pub(crate) waiting: Notify,
}

impl Announcer {
    pub(crate) fn new() -> Self {
        Self {
            events: broadcast::Sender::new(BACKLOG),
            waiting: Notify::new(),
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    pub(crate) fn send(&self, event: Event) {
        // Without a listener nobody has to be told.
        let _nobody_listens = self.events.send(event);
    }

    /// Says which kinds of records are different now.
    pub(crate) fn changed(&self, keys: &[EntityKey]) {
        let types: BTreeSet<&'static str> = keys.iter().map(|key| known_kind(key.kind.as_str())).collect();
        if !types.is_empty() {
            self.send(Event::Changed(Changed {
                types: types.into_iter().map(entity_type).collect(),
            }));
        }
    }
}

fn known_kind(kind: &str) -> &'static str {
    KINDS
        .iter()
        .find(|(name, _)| *name == kind)
        .map_or("", |(name, _)| *name)
}

/// The kind of record that the window knows by this type.
pub(crate) fn entity_type(kind: &str) -> EntityType {
    KINDS
        .iter()
        .find(|(name, _)| *name == kind)
        .map_or(EntityType::Other, |(_, kind)| *kind)
}

const KINDS: &[(&str, EntityType)] = &[
    ("practice", EntityType::Practice),
    ("location", EntityType::Location),
    ("staff_member", EntityType::StaffMember),
    ("device", EntityType::Device),
    ("client", EntityType::Client),
    ("client_chart", EntityType::ClientChart),
    ("related_person", EntityType::RelatedPerson),
    ("care_relationship", EntityType::CareRelationship),
    ("appointment", EntityType::Appointment),
    ("session", EntityType::Session),
    ("session_note", EntityType::SessionNote),
    ("addendum", EntityType::Addendum),
    ("prescription", EntityType::Prescription),
    ("conflict", EntityType::Conflict),
    ("clinical_conflict", EntityType::Conflict),
    ("clash", EntityType::Clash),
    ("reoffer", EntityType::Conflict),
    ("clinical_reoffer", EntityType::Conflict),
];
