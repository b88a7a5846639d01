//! Checkpoints: a second directory with hard links to the tables of one moment.

use std::path::Path;
use std::time::Duration;

use mantis_env::OpenMode;

use super::manifest::{self, TABLES};
use super::shared::Shared;
use super::tree::{ManifestFiles, TableSet, TableStore};
use crate::{CheckpointInfo, EngineError, LsmOptions, MemoryBudget};

/// How often the tables may change under the checkpoint before it gives up.
const TRIES_MAX: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);
/// Memory of the engine that opens the checkpoint to verify it.
const VERIFY_BYTES: u64 = 1 << 20;

impl Shared {
    /// See [`crate::Engine::checkpoint`].
    pub(super) fn checkpoint(&self, dir: &Path) -> Result<CheckpointInfo, EngineError> {
        let fs = self.env.fs();
        let taken = fs
            .exists(dir)
            .map_err(|error| EngineError::io("looking at the target", error));
        if taken? {
            let source = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
            return Err(EngineError::Io {
                action: "creating the checkpoint",
                source,
            });
        }
        for _ in 0..TRIES_MAX {
            let tables = self.store.current()?;
            let Some(manifest) = self.store.manifest_of(&tables)? else {
                self.env.clock().sleep(PAUSE);
                continue;
            };
            let linked = self.link_into(dir, &tables, &manifest);
            let linked = linked.map_err(|error| EngineError::io("writing a checkpoint", error));
            return match linked.and_then(|()| self.verify_checkpoint(dir, &tables)) {
                Ok(info) => Ok(info),
                Err(error) => {
                    // Half a checkpoint is worse than none; that it stays is told by the error.
                    drop(fs.remove_dir_all(dir));
                    Err(error)
                }
            };
        }
        Err(EngineError::Internal(
            "the tables changed too often for a checkpoint".to_owned(),
        ))
    }

    fn link_into(
        &self,
        dir: &Path,
        tables: &TableSet,
        manifest: &ManifestFiles,
    ) -> std::io::Result<()> {
        let fs = self.env.fs();
        let target = dir.join(TABLES);
        fs.create_dir(&target)?;
        for file in &tables.files {
            fs.hard_link(&file.path, &target.join(file.id.to_string()))?;
        }
        fs.sync_dir(&target)?;
        for (name, bytes) in manifest {
            let file = fs.open(&dir.join(name), OpenMode::CreateNew)?;
            file.write_at(0, bytes)?;
            file.sync_all()?;
        }
        fs.sync_dir(dir)?;
        dir.parent().map_or(Ok(()), |parent| fs.sync_dir(parent))
    }

    /// Opens the checkpoint as a store of its own and compares.
    fn verify_checkpoint(
        &self,
        dir: &Path,
        tables: &TableSet,
    ) -> Result<CheckpointInfo, EngineError> {
        manifest::check(dir)?;
        let options = LsmOptions::with_budget(MemoryBudget::divide(VERIFY_BYTES));
        let opened = TableStore::open(dir, &options)?;
        let found = opened.current()?;
        let ids = |set: &TableSet| set.files.iter().map(|file| file.id).collect::<Vec<_>>();
        let replay_from = opened.replay_mark(&found)?;
        if ids(&found) != ids(tables) || replay_from != self.store.replay_mark(tables)? {
            return Err(EngineError::Internal(
                "a checkpoint differs from its store".to_owned(),
            ));
        }
        let bytes = found.files.iter().map(|file| file.bytes).sum();
        Ok(CheckpointInfo {
            replay_from,
            tables: found.files.len(),
            bytes,
        })
    }
}
