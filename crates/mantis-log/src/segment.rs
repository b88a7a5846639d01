//! One segment file, and the names of everything in the log's directory.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mantis_env::{File, Fs, OpenMode};
use mantis_types::Seq;
use parking_lot::Mutex;

use crate::LogError;
use crate::layout::{HEADER_BLOCK, SegmentHeader};

/// Distance in bytes between two entries of a segment's index.
const INDEX_EVERY: u64 = 256 << 10;

/// A segment that holds records. Whoever keeps one can read its file, even when it has been
/// released meanwhile.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn File>,
    /// Its last Seq, once it is not written to any more, and when that was, or when the log was opened,
    /// by the monotonic clock.
    ended: OnceLock<(Seq, Duration)>,
    /// Guards places to begin reading at, in order. Last in the lock order; held for a search.
    index: Mutex<Vec<Place>>,
}

/// A place at which reading can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The record that stands there.
    pub(crate) seq: Seq,
    pub(crate) offset: u64,
    /// The sum of the record before.
    pub(crate) sum: u64,
}

impl Segment {
    pub(crate) fn new(header: SegmentHeader, path: PathBuf, file: Arc<dyn File>) -> Self {
        let start = Place {
            seq: header.first_seq,
            offset: HEADER_BLOCK,
            sum: header.chain,
        };
        let index = Mutex::new(vec![start]);
        Self {
            header,
            path,
            file,
            ended: OnceLock::new(),
            index,
        }
    }

    pub(crate) fn finish(&self, last_seq: Seq, at: Duration) {
        // Finished twice only when a full disk stopped the next segment; the Seq is the same.
        self.ended.get_or_init(|| (last_seq, at));
    }

    pub(crate) fn last_seq(&self) -> Option<Seq> {
        self.ended.get().map(|(last_seq, _)| *last_seq)
    }

    pub(crate) fn ended_at(&self) -> Option<Duration> {
        self.ended.get().map(|(_, at)| *at)
    }

    /// Remembers a place if the one before is far enough away.
    pub(crate) fn note(&self, place: Place) {
        let mut index = self.index.lock();
        let far = index
            .last()
            .is_none_or(|last| place.offset >= last.offset + INDEX_EVERY);
        if far {
            index.push(place);
        }
    }

    /// The last known place at or before the record.
    pub(crate) fn place_of(&self, seq: Seq) -> Place {
        let index = self.index.lock();
        let after = index.partition_point(|place| place.seq <= seq);
        let start = Place {
            seq: self.header.first_seq,
            offset: HEADER_BLOCK,
            sum: self.header.chain,
        };
        index.get(after.saturating_sub(1)).copied().unwrap_or(start)
    }
}

/// What a name in the directory means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Segment(u64),
    Spare(u64),
    Mark,
    Unfinished,
    Other,
}

impl Name {
    pub(crate) fn of(path: &Path) -> Self {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let number = |stem: &str| match stem.len() == 10 && stem.bytes().all(|b| b.is_ascii_digit())
        {
            true => stem.parse().ok(),
            false => None,
        };
        match name.rsplit_once('.') {
            Some((_, "tmp")) => Self::Unfinished,
            Some((stem, "seg")) => number(stem).map_or(Self::Other, Self::Segment),
            Some((stem, "spare")) => number(stem).map_or(Self::Other, Self::Spare),
            None if name == "mark" => Self::Mark,
            _ => Self::Other,
        }
    }
}

pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.seg"))
}

pub(crate) fn spare_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.spare"))
}

/// Makes a segment of a file: its header is on disk before it gets its name.
pub(crate) fn name_segment(
    fs: &dyn Fs,
    dir: &Path,
    header: SegmentHeader,
    at: &Path,
    file: Arc<dyn File>,
) -> io::Result<Segment> {
    file.write_at(0, &header.encode())?;
    file.sync_all()?;
    let path = segment_path(dir, header.number);
    fs.rename(at, &path)?;
    fs.sync_dir(dir)?;
    Ok(Segment::new(header, path, file))
}

/// Makes a file of zeros that are really written and on disk, under a name that does not count
/// yet. On failure no file is left.
pub(crate) fn make_zeroed(fs: &dyn Fs, path: &Path, bytes: u64) -> Result<Arc<dyn File>, LogError> {
    let made = fs.open(path, OpenMode::Create).and_then(|file| {
        file.set_len(0)?;
        write_zeros(&*file, 0, bytes)?;
        file.sync_all()?;
        Ok(file)
    });
    made.map_err(|error| {
        // The first error is what counts; a file left behind is removed at the next open.
        drop(fs.remove_file(path));
        LogError::io("write a segment ahead")(error)
    })
}

/// Writes zeros over a range.
pub(crate) fn write_zeros(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at)
            .unwrap_or(ZEROS.len())
            .min(ZEROS.len());
        file.write_at(at, ZEROS.get(..count).unwrap_or_default())?;
        at += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let name = |text: &str| Name::of(&Path::new("/d").join(text));
        assert_eq!(name("0000000012.seg"), Name::Segment(12));
        assert_eq!(name("0000000012.spare"), Name::Spare(12));
        assert_eq!(name("0000000012.spare.tmp"), Name::Unfinished);
        assert_eq!(name("mark"), Name::Mark);
        for other in [
            "12.seg",
            "000000001x.seg",
            "0000000012.seg.dropped-1",
            "reserve",
            "+000000001.seg",
        ] {
            assert_eq!(name(other), Name::Other, "{other}");
        }
    }
}
