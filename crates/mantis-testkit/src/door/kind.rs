//! All doors to the product, by name.

use std::path::Path;

use anyhow::Result;
use mantis_env::Env;
use mantis_types::Durability;

use super::Door;
use super::embedded::Embedded;
use super::rest::Rest;
use super::store::{StoreDoor, StoreKind};

/// Which door, and over what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoorKind {
    /// The transaction layer itself.
    Store(StoreKind),
    /// The Rust API, over memory or, for `true`, over a directory.
    Embedded(bool),
    /// The REST API, over memory or, for `true`, over a directory.
    Rest(bool),
}

impl DoorKind {
    /// Every door.
    pub const ALL: [Self; 7] = [
        Self::Store(StoreKind::Memory),
        Self::Store(StoreKind::Logged),
        Self::Store(StoreKind::Disk),
        Self::Embedded(false),
        Self::Embedded(true),
        Self::Rest(false),
        Self::Rest(true),
    ];
    /// Those whose store outlives the process.
    pub const ON_DISK: [Self; 3] = [
        Self::Store(StoreKind::Disk),
        Self::Embedded(true),
        Self::Rest(true),
    ];

    /// In a word of the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Store(StoreKind::Memory) => "memory",
            Self::Store(StoreKind::Logged) => "logged",
            Self::Store(StoreKind::Disk) => "store",
            Self::Embedded(false) => "rust-memory",
            Self::Embedded(true) => "rust",
            Self::Rest(false) => "rest-memory",
            Self::Rest(true) => "rest",
        }
    }

    /// Opens it in `dir`, which must be there.
    ///
    /// # Errors
    /// When it does not open.
    pub fn open(self, env: &Env, dir: &Path) -> Result<Box<dyn Door>> {
        Ok(match self {
            Self::Store(StoreKind::Memory) => Box::new(StoreDoor::in_memory(env)?),
            Self::Store(StoreKind::Logged) => Box::new(StoreDoor::logged(env, dir)?),
            Self::Store(StoreKind::Disk) => Box::new(StoreDoor::on_disk(env, dir)?),
            Self::Embedded(false) => Box::new(Embedded::in_memory()?),
            Self::Embedded(true) => Box::new(Embedded::on_disk(env, dir)?),
            Self::Rest(false) => Box::new(Rest::in_memory(env)?),
            Self::Rest(true) => Box::new(Rest::on_disk(env, dir)?),
        })
    }

    /// What commits of a history wait for. Behind a log alone it is the sync, so that the visible edge
    /// waits for it in one of them; the doors over a directory have it as their default.
    #[must_use]
    pub const fn durability(self) -> Durability {
        match self {
            Self::Store(StoreKind::Logged) | Self::Embedded(true) | Self::Rest(true) => {
                Durability::Sync
            }
            _ => Durability::None,
        }
    }
}
