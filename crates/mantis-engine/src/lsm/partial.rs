//! Files of flushes and compactions that failed: removed when that is safe, and not before.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::Path;

use mantis_env::Fs;
use parking_lot::Mutex;

use super::hooks::Defect;
use super::manifest::TABLES;
use super::shared::Shared;

/// Failures whose files are remembered; files of earlier ones are left to the next opening.
const FAILURES_MAX: usize = 1024;

/// Table ids that failed writers may have used.
#[derive(Debug, Default)]
pub(super) struct PartialFiles {
    /// Guards the list; nothing is taken inside. Longest hold: a push.
    suspects: Mutex<Suspects>,
}

#[derive(Debug, Default)]
struct Suspects {
    ids: Vec<Range<u64>>,
    /// A manifest has been written since the last failure: what a failed `finish` may have made
    /// the disk's manifest name, it names no more.
    superseded: bool,
}

impl PartialFiles {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A writer failed that began when `ids.start` was the next free id.
    pub(super) fn suspect(&self, ids: Range<u64>) {
        let mut suspects = self.suspects.lock();
        if !ids.is_empty() && suspects.ids.len() < FAILURES_MAX {
            suspects.ids.push(ids);
        }
        suspects.superseded = false;
    }

    /// The manifest was written successfully.
    pub(super) fn supersede(&self) {
        self.suspects.lock().superseded = true;
    }

    /// They could not be removed: a later call tries again.
    fn give_back(&self, ids: Vec<Range<u64>>) {
        self.suspects.lock().ids.extend(ids);
    }

    fn take(&self, at_once: bool) -> Option<Vec<Range<u64>>> {
        let mut suspects = self.suspects.lock();
        let due = !suspects.ids.is_empty() && (suspects.superseded || at_once);
        due.then(|| std::mem::take(&mut suspects.ids))
    }
}

impl Shared {
    /// Removes the files of failed writers, if a manifest has been written since and nobody writes
    /// tables now; otherwise a later call, or the next opening, does it. The flusher calls it from
    /// time to time.
    pub(super) fn remove_partial_files(&self) {
        let hooks = &self.options.hooks;
        if hooks.has(Defect::KeepPartialFiles) {
            return;
        }
        let alone = self.writers.try_write();
        if alone.is_none() && !hooks.has(Defect::RemovePartialWhileWriting) {
            return;
        }
        let at_once = hooks.has(Defect::RemovePartialAtOnce);
        let Some(suspects) = self.partial.take(at_once) else {
            return;
        };
        if self.remove_suspects(&suspects).is_err() {
            self.partial.give_back(suspects);
        }
        drop(alone);
    }

    fn remove_suspects(&self, suspects: &[Range<u64>]) -> io::Result<()> {
        let tables = self.store.current().map_err(io::Error::other)?;
        let mut needed: BTreeSet<u64> = tables.files.iter().map(|file| file.id).collect();
        needed.extend(self.pinned.tables());
        let view = self.view.load();
        needed.extend(
            view.tables
                .iter()
                .flat_map(|shown| shown.files())
                .map(|(id, _)| id),
        );
        let fs = self.env.fs();
        for path in fs.read_dir(&self.dir.join(TABLES))? {
            let name = path.file_name().and_then(|name| name.to_str());
            let Some(id) = name.and_then(|name| name.parse::<u64>().ok()) else {
                continue;
            };
            let suspect = suspects.iter().any(|ids| ids.contains(&id));
            if suspect && !needed.contains(&id) {
                remove_if_there(&**fs, &path)?;
            }
        }
        Ok(())
    }
}

/// The tree removes its own tables, maybe just now.
fn remove_if_there(fs: &dyn Fs, path: &Path) -> io::Result<()> {
    match fs.remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
