//! Which file this is: of which practice, computer and person, and as which replica it syncs.

use caseload_domain::{DeviceId, PracticeId, ReplicaId, Scope, UserId};

/// The two kinds of local file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `office.db`: schedule, demographics, fees; shared by everyone who works on the computer.
    Office,
    /// `clinical-<user>.db`: one clinician's clinical record.
    Clinical(UserId),
}

impl FileKind {
    /// Whether rows of `scope` belong into this file. Nothing clinical ever lies in the office file.
    #[must_use]
    pub fn holds(self, scope: Scope) -> bool {
        match (self, scope) {
            (Self::Office, Scope::Office) | (Self::Clinical(_), Scope::Clinical(_)) => true,
            (Self::Clinical(owner), Scope::Private(author)) => owner == author,
            (Self::Office, _) | (Self::Clinical(_), Scope::Office) => false,
        }
    }

    /// Written into the file's header. Frozen: programs of any age tell by it what a file is.
    pub(crate) const fn application_id(self) -> i32 {
        match self {
            Self::Office => 0x4353_4c4f,
            Self::Clinical(_) => 0x4353_4c43,
        }
    }

    /// The person of a clinical file.
    #[must_use]
    pub const fn owner(self) -> Option<UserId> {
        match self {
            Self::Office => None,
            Self::Clinical(owner) => Some(owner),
        }
    }
}

/// What a file is, and as which replica it syncs at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The practice.
    pub practice: PracticeId,
    /// The computer.
    pub device: DeviceId,
    /// The kind of file.
    pub kind: FileKind,
    /// The replica; changes when it has to register anew.
    pub replica: ReplicaId,
    /// The replica's short number, unique in the practice.
    pub replica_number: i64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use caseload_domain::ClientId;
    use uuid::Uuid;

    #[test]
    fn nothing_clinical_belongs_into_the_office_file() {
        let (me, other) = (UserId::new(Uuid::from_u128(1)), UserId::new(Uuid::from_u128(2)));
        let clinical = Scope::Clinical(ClientId::new(Uuid::from_u128(3)));
        for (kind, scope, holds) in [
            (FileKind::Office, Scope::Office, true),
            (FileKind::Office, clinical, false),
            (FileKind::Office, Scope::Private(me), false),
            (FileKind::Clinical(me), Scope::Office, false),
            (FileKind::Clinical(me), clinical, true),
            (FileKind::Clinical(me), Scope::Private(me), true),
            (FileKind::Clinical(me), Scope::Private(other), false),
        ] {
            assert_eq!(kind.holds(scope), holds, "{kind:?} {scope:?}");
        }
    }

    #[test]
    fn the_headers_are_frozen_because_every_program_tells_files_apart_by_them() {
        assert_eq!(FileKind::Office.application_id().to_be_bytes(), *b"CSLO");
        assert_eq!(
            FileKind::Clinical(UserId::new(Uuid::nil()))
                .application_id()
                .to_be_bytes(),
            *b"CSLC"
        );
    }
}
