//! Looks through a log's directory without changing anything: what is whole, what is torn, and
//! where damage begins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mantis_env::{File, Fs, OpenMode};
use mantis_types::Seq;

use crate::cursor::{Cursor, Found, Remains, remains};
use crate::layout::{BadBlock, FORMAT_VERSION, HEADER_BLOCK, Mark, SegmentHeader};
use crate::mark::read_mark;
use crate::segment::{Name, Place, Segment, segment_path};
use crate::{Damage, Dropped, Fault, Finding, LogError, SegmentReport, TornTail};

/// How to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// The first Seq that must be there.
    pub(crate) first_seq: Seq,
    /// Whether the files are to be written later.
    pub(crate) mode: OpenMode,
    /// Whether records before `first_seq` are read as well.
    pub(crate) everything: bool,
}

/// What stands in a log's directory.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Everything in the directory.
    pub(crate) paths: Vec<PathBuf>,
    /// Numbers of all segment files, ascending.
    pub(crate) numbers: Vec<u64>,
    /// The segments that are whole, and the whole part of the one in which damage begins.
    pub(crate) segments: Vec<Surveyed>,
    pub(crate) damage: Option<Damage>,
    pub(crate) torn: Option<TornTail>,
    pub(crate) dropped: Vec<Dropped>,
    pub(crate) mark: Option<Mark>,
    pub(crate) findings: Vec<Finding>,
}

/// A segment, as far as it is whole.
#[derive(Debug)]
pub(crate) struct Surveyed {
    pub(crate) segment: Segment,
    pub(crate) report: SegmentReport,
    /// Where its records end, and what would follow.
    pub(crate) end: Place,
    /// The end record is there.
    pub(crate) ended: bool,
}

/// What the next segment must be.
#[derive(Clone, Copy, Debug)]
struct Expected {
    number: u64,
    seq: Seq,
    /// Unknown when the segment before was not read.
    chain: Option<u64>,
}

struct Opened {
    path: PathBuf,
    file: Arc<dyn File>,
    file_bytes: u64,
    header: Result<SegmentHeader, BadBlock>,
}

pub(crate) fn survey(fs: &dyn Fs, dir: &Path, look: Look) -> Result<Survey, LogError> {
    let paths = fs.read_dir(dir).map_err(LogError::io("list the log"))?;
    let segment = |path: &PathBuf| match Name::of(path) {
        Name::Segment(number) => Some(number),
        _ => None,
    };
    let mut numbers: Vec<u64> = paths.iter().filter_map(segment).collect();
    numbers.sort_unstable();
    let read = read_mark(fs, dir)?;
    let mut survey = Survey {
        paths,
        numbers,
        segments: Vec::new(),
        damage: None,
        torn: None,
        dropped: Vec::new(),
        mark: read.mark,
        findings: Vec::new(),
    };
    walk(fs, dir, look, &mut survey)?;
    if survey.damage.is_none() {
        survey.damage = missing_at_the_ends(&survey, look);
    }
    survey
        .findings
        .extend(read.finding.filter(|finding| !is_new(&survey, *finding)));
    if let Some(damage) = survey.damage {
        survey.torn = None;
        survey.dropped = dropped(fs, dir, &survey, damage)?;
    }
    Ok(survey)
}

/// A log that was being made when the process died has no mark yet, and no record.
fn is_new(survey: &Survey, finding: Finding) -> bool {
    let records: u64 = survey.segments.iter().map(|s| s.report.records).sum();
    finding == Finding::MissingMark && survey.numbers.len() <= 1 && records == 0
}

fn walk(fs: &dyn Fs, dir: &Path, look: Look, survey: &mut Survey) -> Result<(), LogError> {
    let mut expected: Option<Expected> = None;
    let numbers = survey.numbers.clone();
    let mut next = match numbers.first() {
        Some(number) => Some(open(fs, dir, *number, look.mode)?),
        None => None,
    };
    for (index, number) in numbers.iter().copied().enumerate() {
        let Some(opened) = next.take() else { break };
        next = match numbers.get(index + 1) {
            Some(number) => Some(open(fs, dir, *number, look.mode)?),
            None => None,
        };
        let header = match check_header(number, &opened, expected, look)? {
            Ok(header) => header,
            Err(damage) => {
                survey.damage = Some(damage);
                return Ok(());
            }
        };
        let last = next.is_none();
        let after = next
            .as_ref()
            .and_then(|next| next.header.ok())
            .map(|next| next.first_seq);
        let unneeded = after.filter(|after| *after <= look.first_seq && !look.everything);
        let skip_to = unneeded.filter(|after| *after >= header.first_seq);
        let surveyed = match skip_to {
            Some(after) => skipped(opened, header, after),
            None => read_segment(opened, header, last, survey)?,
        };
        let chain = skip_to.is_none().then_some(surveyed.end.sum);
        expected = Some(Expected {
            number: number + 1,
            seq: surveyed.end.seq,
            chain,
        });
        survey.segments.push(surveyed);
        if survey.damage.is_some() {
            return Ok(());
        }
    }
    Ok(())
}

fn open(fs: &dyn Fs, dir: &Path, number: u64, mode: OpenMode) -> Result<Opened, LogError> {
    let failed = LogError::io("read a segment's header");
    let path = segment_path(dir, number);
    let file = fs.open(&path, mode).map_err(&failed)?;
    let file_bytes = file.len().map_err(&failed)?;
    let mut block = vec![0; usize::try_from(HEADER_BLOCK).unwrap_or_default()];
    let count = file.read_at(0, &mut block).map_err(&failed)?;
    block.truncate(count);
    Ok(Opened {
        path,
        file,
        file_bytes,
        header: SegmentHeader::decode(&block),
    })
}

fn check_header(
    number: u64,
    opened: &Opened,
    expected: Option<Expected>,
    look: Look,
) -> Result<Result<SegmentHeader, Damage>, LogError> {
    let seq = expected.map_or(look.first_seq, |expected| expected.seq);
    let damage = |segment, what| {
        Ok(Err(Damage {
            segment,
            offset: 0,
            seq,
            what,
        }))
    };
    if let Some(expected) = expected.filter(|expected| expected.number != number) {
        return damage(expected.number, Fault::MissingSegment);
    }
    let header = match opened.header {
        Ok(header) => header,
        Err(BadBlock::Damaged) => return damage(number, Fault::BadHeader),
        Err(BadBlock::LaterFormat(found)) => {
            return Err(LogError::LaterFormat {
                found,
                known: FORMAT_VERSION,
            });
        }
    };
    let follows = expected.is_none_or(|expected| {
        let chained = expected.chain.is_none_or(|chain| chain == header.chain);
        expected.seq == header.first_seq && chained
    });
    if header.number != number || !follows {
        return damage(number, Fault::WrongSegment);
    }
    Ok(Ok(header))
}

/// A segment whose records are all before the first that is needed.
fn skipped(opened: Opened, header: SegmentHeader, after: Seq) -> Surveyed {
    let segment = Segment::new(header, opened.path, opened.file);
    let end = Place {
        seq: after,
        offset: opened.file_bytes.min(header.capacity),
        sum: 0,
    };
    let report = SegmentReport {
        number: header.number,
        records: 0,
        first_seq: header.first_seq,
        last_seq: after.prev(),
        bytes: end.offset,
        file_bytes: opened.file_bytes,
    };
    Surveyed {
        segment,
        report,
        end,
        ended: true,
    }
}

fn read_segment(
    opened: Opened,
    header: SegmentHeader,
    last: bool,
    survey: &mut Survey,
) -> Result<Surveyed, LogError> {
    let failed = LogError::io("read a segment");
    let segment = Segment::new(header, opened.path, opened.file);
    let limit = opened.file_bytes.min(header.capacity);
    let start = segment.place_of(header.first_seq);
    let mut cursor = Cursor::new(&segment.file, header.salt, start, limit);
    let mut records = 0;
    let bad = loop {
        match cursor.read().map_err(&failed)? {
            Found::Commit(..) => {
                records += 1;
                segment.note(cursor.at());
            }
            Found::End => break None,
            Found::Bad(what) => break Some(what),
        }
    };
    let end = cursor.at();
    if let Some(what) = bad {
        let number = header.number;
        let damage = Damage {
            segment: number,
            offset: end.offset,
            seq: end.seq,
            what,
        };
        let at_rest = cursor.at_rest().map_err(&failed)?;
        match judge(&segment, end, last, survey.mark).map_err(&failed)? {
            Tail::Damage => survey.damage = Some(damage),
            Tail::Torn(left) if !at_rest || left.end.is_some() => {
                let bytes = left.end.unwrap_or(0).max(end.offset + 8) - end.offset;
                let (offset, seq) = (end.offset, end.seq);
                survey.torn = Some(TornTail {
                    segment: number,
                    offset,
                    bytes,
                    seq,
                });
            }
            Tail::Torn(_) => {}
        }
    }
    let report = SegmentReport {
        number: header.number,
        records,
        first_seq: header.first_seq,
        last_seq: end.seq.prev(),
        bytes: end.offset,
        file_bytes: opened.file_bytes,
    };
    Ok(Surveyed {
        segment,
        report,
        end,
        ended: bad.is_none(),
    })
}

/// What the first thing that is not an intact record means.
enum Tail {
    /// Nothing that was durable stood there.
    Torn(Remains),
    Damage,
}

fn judge(segment: &Segment, end: Place, last: bool, mark: Option<Mark>) -> std::io::Result<Tail> {
    let number = segment.header.number;
    let here = mark.filter(|mark| mark.segment == number);
    if !last || here.is_some_and(|mark| mark.offset > end.offset) {
        return Ok(Tail::Damage);
    }
    if here.is_some_and(|mark| mark.clean && mark.offset == end.offset) {
        return Ok(Tail::Torn(Remains::default()));
    }
    let left = remains(&*segment.file, segment.header.salt, end.offset)?;
    Ok(if left.durable >= end.seq {
        Tail::Damage
    } else {
        Tail::Torn(left)
    })
}

/// Segments that are gone from the beginning or the end leave no gap between the others.
fn missing_at_the_ends(survey: &Survey, look: Look) -> Option<Damage> {
    let what = Fault::MissingSegment;
    let (Some(first), Some(last)) = (survey.segments.first(), survey.segments.last()) else {
        let mark = survey.mark?;
        return Some(Damage {
            segment: mark.segment,
            offset: 0,
            seq: look.first_seq,
            what,
        });
    };
    let (number, seq) = (last.report.number, last.end.seq);
    if survey.mark.is_some_and(|mark| mark.segment > number) {
        return Some(Damage {
            segment: number + 1,
            offset: 0,
            seq,
            what,
        });
    }
    if seq < look.first_seq {
        let offset = last.end.offset;
        return Some(Damage {
            segment: number,
            offset,
            seq,
            what: Fault::Short,
        });
    }
    if first.report.first_seq > look.first_seq {
        let segment = first.report.number.saturating_sub(1);
        return Some(Damage {
            segment,
            offset: 0,
            seq: look.first_seq,
            what,
        });
    }
    None
}

/// What cannot be kept when the log is to end before the damage.
fn dropped(
    fs: &dyn Fs,
    dir: &Path,
    survey: &Survey,
    damage: Damage,
) -> Result<Vec<Dropped>, LogError> {
    let failed = LogError::io("read a segment");
    let mut dropped = Vec::new();
    for number in survey
        .numbers
        .iter()
        .copied()
        .filter(|number| *number >= damage.segment)
    {
        let whole = survey.segments.iter().find(|s| s.report.number == number);
        let opened = open(fs, dir, number, OpenMode::Read)?;
        let offset = whole.map_or(0, |whole| whole.end.offset);
        let from = offset.max(HEADER_BLOCK);
        let left = match opened.header {
            Ok(header) => remains(&*opened.file, header.salt, from).map_err(&failed)?,
            Err(_) => Remains::default(),
        };
        let unknown = if whole.is_some() {
            from
        } else {
            opened.file_bytes
        };
        let end = left.end.unwrap_or(unknown);
        let header_seq = opened.header.ok().map(|header| header.first_seq);
        dropped.push(Dropped {
            segment: number,
            offset,
            bytes: end.min(opened.file_bytes).saturating_sub(offset),
            first_seq: whole.map(|whole| whole.end.seq).or(header_seq),
            last_seq: left.last_seq,
        });
    }
    Ok(dropped)
}
