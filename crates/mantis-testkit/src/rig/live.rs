//! Which bytes of a store's files a reader depends on, read by docs/format.md and no code of the store.
//!
//! Live are: the store's own page, the manifest that is current and what names it, every table that it
//! names, the newest slot of the log's mark, the headers of segments that are still needed, and the
//! records of the log from the replay mark on. A flip elsewhere proves little.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use mantis_types::Seq;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::dice::Dice;

const SEGMENT_HEADER: usize = 4096;
const RECORD_HEADER: usize = 40;
const MARK_SLOTS: [usize; 2] = [0, 512];
const MARK_SLOT_BYTES: usize = 56;
const ARCHIVE_END: usize = 38;
const KIND_END: u32 = 2;

/// The live bytes of a store.
#[derive(Clone, Debug, Default)]
pub struct LiveBytes {
    /// By path below the store's directory; ranges that are not empty.
    ranges: BTreeMap<PathBuf, Vec<Range<u64>>>,
}

impl LiveBytes {
    /// Those of the store in `dir`, whose tables need the log from `replay_from` on.
    ///
    /// # Errors
    /// When a file is not as the format says.
    pub fn of(dir: &Path, replay_from: Seq) -> Result<Self> {
        let mut live = Self::default();
        let store = Path::new("store");
        live.whole(dir, &store.join("STORE"))?;
        live.log(dir, &store.join("log"), replay_from.get())?;
        live.tables(dir, &store.join("tables"))?;
        Ok(live)
    }

    /// Whether the byte is one of them; `file` is a path below the store's directory.
    #[must_use]
    pub fn holds(&self, file: &Path, offset: u64) -> bool {
        let ranges = self.ranges.get(file);
        ranges.is_some_and(|ranges| ranges.iter().any(|range| range.contains(&offset)))
    }

    /// A live byte: first a kind of file, by its weight, then one of the kind's bytes.
    #[must_use]
    pub fn draw(
        &self,
        kind_of: impl Fn(&Path) -> String,
        weight_of: impl Fn(&str) -> usize,
        dice: &mut Dice,
    ) -> Option<(PathBuf, u64)> {
        let mut kinds: BTreeMap<String, Vec<(&PathBuf, &Range<u64>)>> = BTreeMap::new();
        for (file, ranges) in &self.ranges {
            let all = ranges.iter().map(|range| (file, range));
            kinds.entry(kind_of(file)).or_default().extend(all);
        }
        let weighted = kinds
            .iter()
            .flat_map(|(kind, ranges)| std::iter::repeat_n(ranges, weight_of(kind)));
        let weighted: Vec<_> = weighted.collect();
        let ranges = weighted.get(dice.index(weighted.len().max(1)))?;
        let bytes = ranges.iter().map(|(_, range)| range.end - range.start);
        let mut place = dice.below(bytes.sum());
        for (file, range) in *ranges {
            let len = range.end - range.start;
            if place < len {
                return Some(((*file).clone(), range.start + place));
            }
            place -= len;
        }
        None
    }

    /// The last record of the log.
    #[must_use]
    pub fn last_record(&self) -> Option<(&Path, Range<u64>)> {
        let is_segment = |file: &Path| file.extension().is_some_and(|e| e == "seg");
        let (file, ranges) = self
            .ranges
            .iter()
            .rev()
            .find(|(file, ranges)| is_segment(file) && ranges.iter().any(is_record))?;
        let last = ranges.iter().filter(|range| is_record(range));
        let last = last.max_by_key(|range| range.start)?;
        Some((file, last.clone()))
    }

    fn add(&mut self, file: &Path, range: Range<usize>) -> Result<()> {
        if !range.is_empty() {
            let range = u64::try_from(range.start)?..u64::try_from(range.end)?;
            self.ranges.entry(file.to_owned()).or_default().push(range);
        }
        Ok(())
    }

    fn whole(&mut self, dir: &Path, file: &Path) -> Result<Vec<u8>> {
        let at = dir.join(file);
        let bytes = fs::read(&at).with_context(|| format!("reading {}", at.display()))?;
        self.add(file, 0..bytes.len())?;
        Ok(bytes)
    }

    fn log(&mut self, dir: &Path, log: &Path, replay_from: u64) -> Result<()> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(dir.join(log))? {
            let path = log.join(entry?.file_name());
            if path.extension().is_some_and(|extension| extension == "seg") {
                segments.push(path);
            }
        }
        segments.sort_unstable();
        for (number, path) in segments.iter().enumerate() {
            let bytes = fs::read(dir.join(path))?;
            let is_last = number + 1 == segments.len();
            self.segment(path, &bytes, replay_from, is_last)
                .with_context(|| format!("reading {}", path.display()))?;
        }
        let mark = log.join("mark");
        let bytes = fs::read(dir.join(&mark))?;
        let slots = MARK_SLOTS.iter().filter_map(|&at| {
            let slot = bytes.get(at..at + MARK_SLOT_BYTES)?;
            let is_whole =
                slot.starts_with(b"MANTISMK") && xxh3_64(&slot[..48]) == u64_at(slot, 48)?;
            is_whole.then_some((u64_at(slot, 8)?, at))
        });
        match slots.max() {
            Some((_, at)) => self.add(&mark, at..at + MARK_SLOT_BYTES),
            None => Ok(()),
        }
    }

    fn segment(
        &mut self,
        path: &Path,
        bytes: &[u8],
        replay_from: u64,
        is_last: bool,
    ) -> Result<()> {
        ensure!(bytes.starts_with(b"MANTISLG"), "no segment");
        let salt = u64_at(bytes, 24).context("a short header")?;
        let mut at = SEGMENT_HEADER;
        let mut needed = is_last;
        while let Some((len, seq, is_end)) = record_at(bytes, at, salt) {
            if seq >= replay_from && (!is_end || needed) {
                self.add(path, at..at + RECORD_HEADER + len)?;
                needed = true;
            }
            if is_end {
                break;
            }
            at += (RECORD_HEADER + len).next_multiple_of(8);
        }
        if needed {
            self.add(path, 0..SEGMENT_HEADER)?;
        }
        Ok(())
    }

    fn tables(&mut self, dir: &Path, tables: &Path) -> Result<()> {
        let current = tables.join("current");
        if !dir.join(&current).exists() {
            return Ok(());
        }
        let bytes = self.whole(dir, &current)?;
        let version = u64_at(&bytes, 0).context("a short `current`")?;
        let manifest = self.whole(dir, &tables.join(format!("v{version}")))?;
        for id in tables_in(&manifest).context("the manifest is not as the format says")? {
            self.whole(dir, &tables.join("tables").join(id.to_string()))?;
        }
        Ok(())
    }
}

/// Whether a range of a segment is no header.
fn is_record(range: &Range<u64>) -> bool {
    range.start >= SEGMENT_HEADER as u64
}

/// Length of the body, Seq, and whether it ends the segment; `None` where no intact record stands.
fn record_at(bytes: &[u8], at: usize, salt: u64) -> Option<(usize, u64, bool)> {
    let header = bytes.get(at..at + RECORD_HEADER)?;
    if xxh3_64_with_seed(header.get(..32)?, salt) != u64_at(header, 32)? {
        return None;
    }
    let len = usize::try_from(u32_at(header, 0)?).ok()?;
    let body = bytes.get(at + RECORD_HEADER..at + RECORD_HEADER + len)?;
    let kind = u32_at(header, 4)? & 0xFF;
    (xxh3_64(body) == u64_at(header, 16)?).then_some((len, u64_at(header, 8)?, kind == KIND_END))
}

/// The numbers of the tables that a manifest names.
fn tables_in(archive: &[u8]) -> Option<Vec<u64>> {
    let mut section = section(archive, "tables")?;
    let mut ids = Vec::new();
    for _ in 0..take::<1>(&mut section)?[0] {
        let runs = take::<1>(&mut section)?[0];
        for _ in 0..runs {
            ids.extend(tables_of_run(&mut section)?);
        }
    }
    Some(ids)
}

fn tables_of_run(section: &mut &[u8]) -> Option<Vec<u64>> {
    let count = u32::from_le_bytes(take(section)?);
    let table = |_| {
        let id = u64::from_le_bytes(take(section)?);
        // Its kind, its checksum, and what is added to its entries' numbers.
        take::<{ 1 + 16 + 8 }>(section)?;
        Some(id)
    };
    (0..count).map(table).collect()
}

fn section<'a>(archive: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let end = archive.get(archive.len().checked_sub(ARCHIVE_END)?..)?;
    let mut list = part(archive, u64_at(end, 22)?, u64_at(end, 30)?)?.strip_prefix(b"TOC!")?;
    for _ in 0..u32::from_le_bytes(take(&mut list)?) {
        let offset = u64::from_le_bytes(take(&mut list)?);
        let len = u64::from_le_bytes(take(&mut list)?);
        let name = usize::from(u16::from_le_bytes(take(&mut list)?));
        let (name, rest) = list.split_at_checked(name)?;
        list = rest;
        if name == wanted.as_bytes() {
            return part(archive, offset, len);
        }
    }
    None
}

fn part(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let (offset, len) = (usize::try_from(offset).ok()?, usize::try_from(len).ok()?);
    bytes.get(offset..offset.checked_add(len)?)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u64::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|b| u32::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_stands_last_in_the_last_segment_that_has_any() {
        let mut live = LiveBytes::default();
        assert_eq!(live.last_record(), None);
        live.add(Path::new("log/1.seg"), 4096..4200).unwrap();
        live.add(Path::new("log/2.seg"), 4096..4150).unwrap();
        live.add(Path::new("log/2.seg"), 4152..4300).unwrap();
        live.add(Path::new("log/2.seg"), 0..4096).unwrap();
        live.add(Path::new("log/3.seg"), 0..4096).unwrap();
        live.add(Path::new("log/mark"), 0..56).unwrap();
        let last = live.last_record().unwrap();
        assert_eq!(last, (Path::new("log/2.seg"), 4152..4300));
    }

    #[test]
    fn live_bytes_are_drawn_from_every_kind_and_held() {
        let mut live = LiveBytes::default();
        live.add(Path::new("a/1"), 10..12).unwrap();
        live.add(Path::new("a/2"), 0..1).unwrap();
        live.add(Path::new("b/1"), 5..1000).unwrap();
        live.add(Path::new("c/1"), 7..7).unwrap();
        let kind = |file: &Path| file.parent().unwrap().display().to_string();
        let (mut dice, mut by_kind) = (Dice::new(3), BTreeMap::new());
        for _ in 0..1000 {
            let (file, offset) = live.draw(kind, |_| 1, &mut dice).unwrap();
            assert!(live.holds(&file, offset), "{} {offset}", file.display());
            *by_kind.entry(kind(&file)).or_insert(0) += 1;
        }
        assert_eq!(by_kind.len(), 2, "{by_kind:?}");
        assert!(by_kind.values().all(|&n| n > 400), "{by_kind:?}");
        let heavy = |kind: &str| if kind == "a" { 1 } else { 0 };
        let drawn = live.draw(kind, heavy, &mut dice).unwrap();
        assert_eq!(kind(&drawn.0), "a");
        assert!(!live.holds(Path::new("a/1"), 12) && !live.holds(Path::new("c/1"), 7));
        assert!(LiveBytes::default().draw(kind, |_| 1, &mut dice).is_none());
    }
}
