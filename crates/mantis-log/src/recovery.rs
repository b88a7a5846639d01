//! Makes a log ready to be written: cuts torn tails off, puts damaged parts aside if asked to, and
//! has on disk whatever readers are going to see.

use std::io;
use std::path::Path;
use std::sync::Arc;

use mantis_env::{Env, File, Fs, OpenMode};
use mantis_types::Seq;

use crate::cursor::remains;
use crate::layout::{HEADER_BLOCK, Mark, SegmentHeader};
use crate::mark::MarkFile;
use crate::segment::{Name, Place, Segment, make_zeroed, name_segment, segment_path, write_zeros};
use crate::survey::{Look, Survey, Surveyed, survey};
use crate::{Fault, LogError, LogOptions, RecoveryMode, RecoveryReport};

/// Names tried for a file that is put aside.
const ASIDE_MAX: u32 = 1000;
/// Bytes that are copied or rewritten at once.
const PIECE_BYTES: usize = 256 << 10;

/// A log that can be written on.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Oldest first; the last one is written on. All but the last are finished.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Where writing goes on in the last one.
    pub(crate) end: Place,
    pub(crate) mark_file: MarkFile,
    pub(crate) report: RecoveryReport,
}

pub(crate) fn recover(env: &Env, dir: &Path, options: &LogOptions) -> Result<Recovered, LogError> {
    let fs = &**env.fs();
    if options.create {
        fs.create_dir(dir)
            .map_err(LogError::io("make the log's directory"))?;
    }
    let there = fs.exists(dir).map_err(LogError::io("look for the log"))?;
    if !there {
        return Err(LogError::Absent);
    }
    let mode = OpenMode::ReadWrite;
    let look = Look {
        first_seq: options.first_seq,
        mode,
        everything: false,
    };
    let mut survey = survey(fs, dir, look)?;
    if let Some(damage) = survey.damage
        && options.mode == RecoveryMode::Strict
    {
        return Err(LogError::Damaged(damage));
    }
    if survey.numbers.is_empty() && survey.damage.is_none() && !options.create {
        return Err(LogError::Absent);
    }
    remove_unfinished(fs, &survey)?;
    if survey.damage.is_some() {
        put_aside(fs, dir, &mut survey, options.first_seq)?;
    }
    if let Some(last) = survey.segments.last().filter(|last| !last.ended) {
        cover(&*last.segment.file, last).map_err(LogError::io("cut off a torn tail"))?;
    }
    finish(env, dir, options, survey)
}

/// Makes sure of what is there, and goes on behind it.
fn finish(
    env: &Env,
    dir: &Path,
    options: &LogOptions,
    survey: Survey,
) -> Result<Recovered, LogError> {
    let fs = &**env.fs();
    if let Some(last) = survey.segments.last() {
        let from = first_unsure(last, survey.mark);
        refresh(&*last.segment.file, from, last.end.offset)
            .map_err(LogError::io("write the log's end again"))?;
    }
    let mut report = RecoveryReport {
        created: survey.numbers.is_empty(),
        records: survey.segments.iter().map(|s| s.report.records).sum(),
        torn: survey.torn,
        dropped: survey.dropped,
        findings: survey.findings,
        ..RecoveryReport::default()
    };
    let whole_mark = report.findings.is_empty() && survey.mark.is_some();
    let highest = survey.numbers.last().copied().unwrap_or(0);
    let next = match survey.segments.last() {
        Some(last) if !last.ended => None,
        Some(last) => Some((last.report.number + 1, last.end.seq, last.end.sum)),
        None => Some((highest + 1, options.first_seq, 0)),
    };
    let mut end = survey.segments.last().map(|last| last.end);
    let mut segments = Vec::with_capacity(survey.segments.len() + 1);
    for surveyed in survey.segments {
        if surveyed.ended {
            let now = env.clock().monotonic();
            surveyed.segment.finish(surveyed.report.last_seq, now);
        }
        segments.push(Arc::new(surveyed.segment));
    }
    if let Some((number, first_seq, chain)) = next {
        let segment = begin(env, dir, options, (number, first_seq, chain))?;
        end = Some(segment.place_of(first_seq));
        segments.push(Arc::new(segment));
    }
    let (Some(end), Some(last)) = (end, segments.last()) else {
        unreachable!("a segment has been made when there was none")
    };
    let generation = survey.mark.map_or(0, |mark| mark.generation);
    let (segment, offset) = (last.header.number, end.offset);
    let mark = Mark {
        generation,
        segment,
        offset,
        seq: end.seq.prev(),
        clean: false,
    };
    let mark_file = MarkFile::open(fs, dir, mark, whole_mark)?;
    report.segments = segments.len() as u64;
    report.oldest_seq = segments
        .first()
        .map_or(end.seq, |first| first.header.first_seq);
    report.last_seq = end.seq.prev();
    Ok(Recovered {
        segments,
        end,
        mark_file,
        report,
    })
}

fn begin(
    env: &Env,
    dir: &Path,
    options: &LogOptions,
    (number, first_seq, chain): (u64, Seq, u64),
) -> Result<Segment, LogError> {
    let fs = &**env.fs();
    let capacity = crate::space::small_bytes(options.segment_bytes);
    let salt = env.rng().next_u64();
    let header = SegmentHeader {
        number,
        salt,
        first_seq,
        chain,
        capacity,
    };
    let at = segment_path(dir, number).with_extension("seg.tmp");
    let file = match make_zeroed(fs, &at, capacity) {
        Err(LogError::DiskFull) => {
            let reserve = fs.remove_file(&crate::space::reserve_path(dir));
            reserve.map_err(|_| LogError::DiskFull)?;
            make_zeroed(fs, &at, capacity)?
        }
        made => made?,
    };
    name_segment(fs, dir, header, &at, file).map_err(LogError::io("begin a segment"))
}

fn remove_unfinished(fs: &dyn Fs, survey: &Survey) -> Result<(), LogError> {
    for path in survey
        .paths
        .iter()
        .filter(|path| Name::of(path) == Name::Unfinished)
    {
        fs.remove_file(path)
            .map_err(LogError::io("remove an unfinished file"))?;
    }
    Ok(())
}

/// Overwrites what stands after the last record and could be taken for one later: the place where
/// the next record goes, and every intact header of this segment's life behind it.
fn cover(file: &dyn File, last: &Surveyed) -> io::Result<()> {
    let from = last.end.offset;
    let left = remains(file, last.segment.header.salt, from)?;
    let limit = file.len()?;
    let to = left.end.unwrap_or(from).max(from + HEADER_BLOCK).min(limit);
    write_zeros(file, from, to)?;
    file.sync_data()
}

/// Where in the last segment that begins of which nobody knows whether it is on disk.
fn first_unsure(last: &Surveyed, mark: Option<Mark>) -> u64 {
    let here = mark.filter(|mark| mark.segment == last.report.number);
    here.map_or(HEADER_BLOCK, |mark| mark.offset.min(last.end.offset))
}

/// Writes a range again as it is, and syncs it: after a sync that failed, the system may hold pages
/// that it believes to be on disk, and that are not.
fn refresh(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = from;
    while at < to {
        let count = usize::try_from(to - at)
            .unwrap_or(PIECE_BYTES)
            .min(PIECE_BYTES);
        let part = piece.get_mut(..count).unwrap_or_default();
        if file.read_at(at, part)? < count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(at, part)?;
        at += count as u64;
    }
    file.sync_data()
}

/// Ends the log before the damage. What is given up stays in the directory under other names.
///
/// Each step is durable before the next, and from the end backwards, so that a crash in between
/// leaves a log that ends at the same damage.
fn put_aside(fs: &dyn Fs, dir: &Path, survey: &mut Survey, first_seq: Seq) -> Result<(), LogError> {
    let failed = LogError::io("put a segment aside");
    let Some(damage) = survey.damage else {
        return Ok(());
    };
    let before_the_log = damage.what == Fault::MissingSegment
        && survey
            .segments
            .first()
            .is_some_and(|first| damage.segment < first.report.number);
    if before_the_log {
        // There is nothing whole before what is missing, and nothing after it can be given up.
        return Err(LogError::Damaged(damage));
    }
    let reaches = survey
        .segments
        .last()
        .is_some_and(|last| last.end.seq >= first_seq);
    for number in survey.numbers.iter().rev().copied() {
        let path = segment_path(dir, number);
        let whole = survey.segments.iter().find(|s| s.report.number == number);
        match whole {
            // Nothing of it is needed when the log ends before the first Seq that is.
            Some(_) if !reaches => rename_aside(fs, dir, &path).map_err(&failed)?,
            None => rename_aside(fs, dir, &path).map_err(&failed)?,
            Some(whole) if number == damage.segment && !whole.ended => {
                copy_aside(fs, dir, &path, &*whole.segment.file).map_err(&failed)?;
            }
            Some(_) => {}
        }
    }
    if !reaches {
        survey.segments.clear();
    }
    Ok(())
}

fn rename_aside(fs: &dyn Fs, dir: &Path, path: &Path) -> io::Result<()> {
    fs.rename(path, &free_name(fs, path)?)?;
    fs.sync_dir(dir)
}

fn copy_aside(fs: &dyn Fs, dir: &Path, path: &Path, from: &dyn File) -> io::Result<()> {
    let new = path.with_extension("seg.dropped.tmp");
    let copy = fs.open(&new, OpenMode::Create)?;
    copy.set_len(0)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let count = from.read_at(at, &mut piece)?;
        if count == 0 {
            break;
        }
        copy.write_at(at, piece.get(..count).unwrap_or_default())?;
        at += count as u64;
    }
    copy.sync_all()?;
    fs.rename(&new, &free_name(fs, path)?)?;
    fs.sync_dir(dir)
}

fn free_name(fs: &dyn Fs, path: &Path) -> io::Result<std::path::PathBuf> {
    for number in 1..=ASIDE_MAX {
        let name = path.with_extension(format!("seg.dropped-{number}"));
        if !fs.exists(&name)? {
            return Ok(name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}
