//! The mark file: how far the log is known to be on disk.

use std::path::Path;
use std::sync::Arc;

use mantis_env::{File, Fs, OpenMode};

use crate::layout::{MARK_FILE_BYTES, Mark, SLOT_B, SLOT_BYTES};
use crate::{Finding, LogError};

const NAME: &str = "mark";

/// What the mark file says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MarkRead {
    pub(crate) mark: Option<Mark>,
    pub(crate) finding: Option<Finding>,
}

/// Reads the mark file; one that cannot be made sense of is a finding, not an error.
pub(crate) fn read_mark(fs: &dyn Fs, dir: &Path) -> Result<MarkRead, LogError> {
    let failed = LogError::io("read the mark file");
    let file = match fs.open(&dir.join(NAME), OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(MarkRead {
                mark: None,
                finding: Some(Finding::MissingMark),
            });
        }
        Err(error) => return Err(failed(error)),
    };
    let mut slots = [None; 2];
    for (slot, offset) in slots.iter_mut().zip([0, SLOT_B]) {
        let mut bytes = [0; SLOT_BYTES];
        file.read_at(offset, &mut bytes).map_err(&failed)?;
        *slot = Mark::decode(&bytes);
    }
    let finding = match slots {
        [Some(_), Some(_)] => None,
        [None, None] => Some(Finding::BadMark),
        _ => Some(Finding::BadMarkSlot),
    };
    let mark = slots
        .into_iter()
        .flatten()
        .max_by_key(|mark| mark.generation);
    Ok(MarkRead { mark, finding })
}

/// The mark file, open for writing.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: Arc<dyn File>,
    mark: Mark,
}

impl MarkFile {
    /// Opens the file, or makes it anew when it does not have two good slots, and says in both of
    /// them, durably, how far the log is on disk.
    pub(crate) fn open(fs: &dyn Fs, dir: &Path, mark: Mark, whole: bool) -> Result<Self, LogError> {
        let failed = LogError::io("write the mark file");
        let path = dir.join(NAME);
        let mut opened = if whole {
            let file = fs.open(&path, OpenMode::ReadWrite).map_err(&failed)?;
            Self { file, mark }
        } else {
            let new = dir.join("mark.tmp");
            let file = fs.open(&new, OpenMode::Create).map_err(&failed)?;
            file.write_at(0, &[0; MARK_FILE_BYTES]).map_err(&failed)?;
            let mut opened = Self { file, mark };
            opened.write_both().map_err(&failed)?;
            fs.rename_durable(&new, &path).map_err(&failed)?;
            opened
        };
        opened.write_both().map_err(&failed)?;
        Ok(opened)
    }

    /// Moves the mark: one small write, no sync. A mark behind the last one is left out.
    pub(crate) fn advance(&mut self, to: Mark) -> std::io::Result<()> {
        if (to.segment, to.offset) <= (self.mark.segment, self.mark.offset) {
            return Ok(());
        }
        self.write(to)
    }

    /// Says that the log was closed here, durably.
    pub(crate) fn close(&mut self) -> std::io::Result<()> {
        self.write(Mark {
            clean: true,
            ..self.mark
        })?;
        self.sync()
    }

    pub(crate) fn sync(&self) -> std::io::Result<()> {
        self.file.sync_data()
    }

    fn write_both(&mut self) -> std::io::Result<()> {
        self.write(self.mark)?;
        self.write(self.mark)?;
        self.sync()
    }

    fn write(&mut self, to: Mark) -> std::io::Result<()> {
        let generation = self.mark.generation + 1;
        self.mark = Mark { generation, ..to };
        let offset = if generation.is_multiple_of(2) {
            0
        } else {
            SLOT_B
        };
        self.file.write_at(offset, &self.mark.encode())
    }
}
