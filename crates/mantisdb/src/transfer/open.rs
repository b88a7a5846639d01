//! Stands a reader at the place where an import begins or goes on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::place::Place;
use super::read::{Columns, Head, Source};
use crate::cli::TransferFormat;

/// Rows from the file's beginning, or from a place in it.
pub(super) fn source<R: Read + SeekIfFile>(
    mut reader: R,
    format: TransferFormat,
    place: Option<Place>,
) -> anyhow::Result<Source<R::Rest>> {
    match format {
        TransferFormat::Jsonl => {
            let place = place.unwrap_or_default();
            Ok(Source::jsonl(
                reader.after(Vec::new(), place.offset)?,
                place,
            ))
        }
        TransferFormat::Csv => {
            let Head {
                columns,
                place: first,
                seen,
            } = Columns::read(&mut reader)?;
            let place = place.unwrap_or(first);
            Ok(Source::csv(
                reader.after(seen, place.offset)?,
                place,
                columns,
            ))
        }
    }
}

/// What can be read from an offset on, of which some bytes have been read already.
pub(super) trait SeekIfFile {
    /// The reader that stands there.
    type Rest: Read;

    /// Stands at `offset`; `seen` are the bytes that were read from the beginning so far.
    fn after(self, seen: Vec<u8>, offset: u64) -> anyhow::Result<Self::Rest>;
}

impl SeekIfFile for File {
    type Rest = Self;

    fn after(mut self, _: Vec<u8>, offset: u64) -> anyhow::Result<Self> {
        self.seek(SeekFrom::Start(offset))?;
        Ok(self)
    }
}

impl SeekIfFile for std::io::Stdin {
    type Rest = std::io::Chain<std::io::Cursor<Vec<u8>>, Self>;

    fn after(self, seen: Vec<u8>, offset: u64) -> anyhow::Result<Self::Rest> {
        let mut seen = std::io::Cursor::new(seen);
        seen.set_position(offset);
        Ok(seen.chain(self))
    }
}
