//! The practice, its places, people and computers, and what the service lays before a person.

use caseload_domain::{EntityId, EntityKey, UserId};

use crate::error::StorageError;
use crate::identity::FileKind;
use crate::read::ReadTx;
use crate::rows::Entity;

impl ReadTx<'_> {
    /// The practice itself; none on a computer that has not shared yet.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn practice(&self) -> Result<Option<Entity>, StorageError> {
        Ok(self.list("practice")?.into_iter().next())
    }

    /// The practice's locations.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn locations(&self) -> Result<Vec<Entity>, StorageError> {
        self.list("location")
    }

    /// The people who work in the practice.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn staff(&self) -> Result<Vec<Entity>, StorageError> {
        self.list("staff_member")
    }

    /// The practice's computers, with their names, those that were taken out of it included.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn devices(&self) -> Result<Vec<Entity>, StorageError> {
        self.entities("WHERE doc.type = 'device' ORDER BY doc.row", &[])
    }

    /// The certificate chains of a person, one per computer.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn certificates_of(&self, user: UserId) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.holder = ?1 AND NOT doc.deleted ORDER BY doc.row",
            &[&user.to_string()],
        )
    }

    /// The conflicts of this file that nobody has settled.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open_conflicts(&self) -> Result<Vec<Entity>, StorageError> {
        self.open(self.conflict_kind())
    }

    /// The conflicts about one entity, settled ones included.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn conflicts_about(&self, key: &EntityKey) -> Result<Vec<Entity>, StorageError> {
        let about = self.entities(
            "WHERE doc.about = ?1 AND NOT doc.deleted ORDER BY doc.row",
            &[&key.id.to_string()],
        )?;
        Ok(about
            .into_iter()
            .filter(|found| found.doc.text("about", "type") == Some(key.kind.as_str()))
            .collect())
    }

    /// Bookings that take the same time and that nobody has settled. Office file only.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn open_clashes(&self) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.type = 'clash' AND doc.status IN ('open', 'freed') AND NOT doc.deleted ORDER BY doc.row",
            &[],
        )
    }

    /// The unsettled clashes of one appointment.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn clashes_of(&self, appointment: EntityId) -> Result<Vec<Entity>, StorageError> {
        let id = appointment.to_string();
        let takes_part = |clash: &Entity| {
            ["placed", "contested"]
                .iter()
                .any(|side| clash.doc.text("pair", side) == Some(id.as_str()))
        };
        Ok(self.open_clashes()?.into_iter().filter(takes_part).collect())
    }

    const fn conflict_kind(&self) -> &'static str {
        match self.kind() {
            FileKind::Office => "conflict",
            FileKind::Clinical(_) => "clinical_conflict",
        }
    }

    fn open(&self, kind: &str) -> Result<Vec<Entity>, StorageError> {
        self.entities(
            "WHERE doc.status = 'open' AND doc.type = ?1 AND NOT doc.deleted ORDER BY doc.row",
            &[&kind],
        )
    }
}
