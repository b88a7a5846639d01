//! Which model of the checker a level is held to. The checker calls a history valid under a model that
//! it does not know; so here is a closed list, and a word that is not on it is refused.

use std::fmt;

use mantis_types::Isolation;

/// A consistency model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Model {
    /// No dirty writes, no aborted, intermediate or circular reads.
    ReadCommitted,
    /// Besides, one snapshot for each transaction, and no lost update.
    SnapshotIsolation,
    /// Some serial order explains it.
    Serializable,
    /// Read committed, and no order contradicts the order in time.
    StrongReadCommitted,
    /// Snapshot isolation whose snapshots hold all that was acknowledged before they were taken.
    StrongSnapshotIsolation,
    /// A serial order that agrees with the order in time explains it.
    StrictSerializable,
}

/// A word that names no model of the rig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel(pub String);

impl fmt::Display for UnknownModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no model {:?}", self.0)
    }
}

impl std::error::Error for UnknownModel {}

impl Model {
    /// Every model.
    pub const ALL: [Self; 6] = [
        Self::ReadCommitted,
        Self::SnapshotIsolation,
        Self::Serializable,
        Self::StrongReadCommitted,
        Self::StrongSnapshotIsolation,
        Self::StrictSerializable,
    ];

    /// The checker's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read-committed",
            Self::SnapshotIsolation => "snapshot-isolation",
            Self::Serializable => "serializable",
            Self::StrongReadCommitted => "strong-read-committed",
            Self::StrongSnapshotIsolation => "strong-snapshot-isolation",
            Self::StrictSerializable => "strict-serializable",
        }
    }

    /// The model of this name.
    ///
    /// # Errors
    /// When there is none, in the rig or in the checker.
    pub fn from_name(name: &str) -> Result<Self, UnknownModel> {
        let unknown = || UnknownModel(name.to_owned());
        adya::model::canonical(name)
            .filter(|canonical| *canonical == name)
            .ok_or_else(unknown)?;
        let found = Self::ALL.into_iter().find(|model| model.name() == name);
        found.ok_or_else(unknown)
    }

    /// What `level` promises. The checker's `repeatable-read` is the academic one, which a snapshot
    /// does not meet; what is called repeatable read here is a snapshot.
    #[must_use]
    pub const fn of(level: Isolation) -> Self {
        match level {
            Isolation::ReadCommitted => Self::ReadCommitted,
            Isolation::RepeatableRead | Isolation::Snapshot => Self::SnapshotIsolation,
            Isolation::Serializable => Self::Serializable,
        }
    }

    /// The same with the order in time: a commit is answered when it is visible, so that whatever
    /// begins later sees it.
    #[must_use]
    pub const fn in_time(self) -> Self {
        match self {
            Self::ReadCommitted | Self::StrongReadCommitted => Self::StrongReadCommitted,
            Self::SnapshotIsolation | Self::StrongSnapshotIsolation => {
                Self::StrongSnapshotIsolation
            }
            Self::Serializable | Self::StrictSerializable => Self::StrictSerializable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_known_to_the_checker() {
        for model in Model::ALL {
            assert_eq!(Model::from_name(model.name()), Ok(model));
        }
    }

    /// The checker itself would call any history valid under them.
    #[test]
    fn a_word_that_names_no_model_is_refused() {
        for name in ["", "snapshot", "Serializable", "read_committed", "PL-3"] {
            assert_eq!(
                Model::from_name(name),
                Err(UnknownModel(name.to_owned())),
                "{name}"
            );
        }
    }
}
