//! Bit flips: one bit of one file of a store is turned, then all of it is read in a new process.
//!
//! Each flip is detected at open, detected at a read, harmless (everything reads as before), or
//! silent: something reads differently and nobody said so. Silent must be zero. Most flips go to bytes
//! that a reader depends on, and they are counted by themselves: others cannot be detected.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::child::Binary;
use super::copy::{copy_dir, files_below};
use super::heard::Stop;
use super::live::LiveBytes;
use super::oracle::Contents;
use super::script::Script;
use super::specimen::{PATIENCE, ReadBack, Specimen, Tally, read_back};
use super::target::TargetKind;
use super::writing::Part;
use crate::dice::Dice;

/// After so many flips another store is made.
const FLIPS_PER_STORE: u64 = 100;
/// So many of a hundred flips are aimed at live bytes.
const LIVE_PERCENT: u64 = 60;
/// No record of a control is shorter.
const CONTROL_RECORD_MIN: u64 = 24;

/// A sweep over the files of a store.
#[derive(Clone, Debug)]
pub struct FlipSweep {
    /// The rig's binary.
    pub binary: Binary,
    /// Whose files are damaged.
    pub target: TargetKind,
    /// How many flips.
    pub flips: u64,
    /// Which bytes they meet.
    pub aim: Aim,
    /// Everything random follows from it.
    pub seed: u64,
}

/// Which bytes are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Those that a reader depends on, mostly, and any others.
    Anywhere,
    /// Those of the last record that was acknowledged: what is easily taken for a torn tail.
    LastRecord,
}

/// What a byte is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Zone {
    /// A reader depends on it.
    Live,
    /// It was data once, or is data that nobody needs.
    Dead,
    /// Room that was written ahead.
    Spare,
}

impl Zone {
    const fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Dead => "dead",
            Self::Spare => "spare",
        }
    }
}

/// What became of the flips of one kind of byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes {
    /// The store did not open.
    pub at_open: u64,
    /// A read failed.
    pub at_read: u64,
    /// Everything reads as before.
    pub harmless: u64,
    /// Something reads differently, and nothing was said.
    pub silent: u64,
    /// The reader panicked or hung.
    pub crashed: u64,
}

/// What came out, by kind of file and byte.
#[derive(Clone, Debug, Default)]
pub struct FlipTally {
    /// By file kind and zone.
    pub classes: BTreeMap<(String, Zone), Classes>,
    /// Silent and crashing flips, in words, with their codes; errors seen, with their counts.
    pub findings: Vec<String>,
    /// Codes of detected flips.
    pub codes: BTreeMap<String, u64>,
}

impl FlipTally {
    /// All kinds together.
    #[must_use]
    pub fn total(&self) -> Classes {
        self.sum(|_| true)
    }

    /// All kinds of bytes that a reader depends on.
    #[must_use]
    pub fn live(&self) -> Classes {
        self.sum(|zone| zone == Zone::Live)
    }

    fn sum(&self, wanted: impl Fn(Zone) -> bool) -> Classes {
        let rows = self.classes.iter().filter(|((_, zone), _)| wanted(*zone));
        rows.fold(Classes::default(), |sum, (_, c)| Classes {
            at_open: sum.at_open + c.at_open,
            at_read: sum.at_read + c.at_read,
            harmless: sum.harmless + c.harmless,
            silent: sum.silent + c.silent,
            crashed: sum.crashed + c.crashed,
        })
    }

    /// All figures by name.
    #[must_use]
    pub fn as_figures(&self) -> BTreeMap<String, u64> {
        let (all, live) = (self.total(), self.live());
        let mut figures = BTreeMap::new();
        let own = [
            ("flips", all.count()),
            ("detected", all.detected()),
            ("harmless", all.harmless),
            ("silent", all.silent),
            ("crashed", all.crashed),
            ("live", live.count()),
            ("live detected", live.detected()),
            ("live harmless", live.harmless),
        ];
        figures.extend(own.map(|(name, figure)| (name.to_owned(), figure)));
        for ((kind, zone), classes) in &self.classes {
            let name = format!("{kind} {}", zone.word());
            figures.insert(format!("{name} detected"), classes.detected());
            figures.insert(format!("{name} harmless"), classes.harmless);
        }
        figures
    }
}

impl Classes {
    /// All of them.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.detected() + self.harmless + self.silent + self.crashed
    }

    /// At open or at a read.
    #[must_use]
    pub const fn detected(&self) -> u64 {
        self.at_open + self.at_read
    }
}

impl fmt::Display for FlipTally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22} {:>8} {:>8} {:>9} {:>7} {:>8}",
            "", "at open", "at read", "harmless", "SILENT", "crashed"
        )?;
        let total = ("all".to_owned(), self.total());
        let live = ("live".to_owned(), self.live());
        let rows = self
            .classes
            .iter()
            .map(|((kind, zone), classes)| (format!("{kind}, {}", zone.word()), *classes));
        for (name, c) in rows.chain([live, total]) {
            let Classes {
                at_open,
                at_read,
                harmless,
                silent,
                crashed,
            } = c;
            writeln!(
                f,
                "{name:<22} {at_open:>8} {at_read:>8} {harmless:>9} {silent:>7} {crashed:>8}"
            )?;
        }
        writeln!(f, "codes: {:?}", self.codes)?;
        self.findings
            .iter()
            .try_for_each(|text| writeln!(f, "finding: {text}"))
    }
}

/// A store whose copies are damaged.
#[derive(Debug)]
struct Template {
    dir: PathBuf,
    expected: Contents,
    live: LiveBytes,
}

/// Where a bit is turned.
#[derive(Clone, Debug)]
struct Spot {
    file: PathBuf,
    kind: String,
    offset: u64,
    bit: u32,
    zone: Zone,
}

impl FlipSweep {
    /// Runs below `dir`.
    ///
    /// # Errors
    /// When a child cannot be run.
    pub fn run(&self, dir: &Path) -> Result<FlipTally> {
        let mut tally = FlipTally::default();
        let mut dice = Dice::at(self.seed, &[4]);
        let mut template: Option<Template> = None;
        for flip in 0..self.flips {
            let made = match template.take() {
                Some(made) if flip % FLIPS_PER_STORE != 0 => made,
                _ => self.template(&dir.join(format!("template-{flip}")), flip)?,
            };
            let damaged = dir.join(format!("flip-{flip}"));
            copy_dir(&made.dir, &damaged)?;
            let spot = match self.aim {
                Aim::Anywhere => choose(&damaged, &made.live, &mut dice)?,
                Aim::LastRecord => choose_last(&damaged, &made.live, &mut dice)?,
            };
            turn(&spot)?;
            let came_back = read_back(&self.binary, &damaged, self.target, false)?;
            let bad = classify(&mut tally, &spot, &damaged, came_back, &made.expected);
            if !bad {
                fs::remove_dir_all(&damaged)?;
            }
            template = Some(made);
        }
        Ok(tally)
    }

    /// A store with tables, dead log records and live ones, left as a killed process leaves it.
    fn template(&self, at: &Path, number: u64) -> Result<Template> {
        fs::create_dir_all(at)?;
        // Large values that were overwritten are most of a file, and flips in them say nothing: only
        // every second store has some.
        let has_large = self.target.is_store() && (number / FLIPS_PER_STORE) % 2 == 1;
        let script = Script {
            writers: 2,
            keys: 60,
            large_percent: if has_large { 2 } else { 0 },
            ..Script::mixed(self.seed ^ number)
        };
        let mut specimen = Specimen::new(at.join("store"), self.target, script);
        let plan = [
            Part::Steps(80),
            Part::Flush,
            Part::Steps(80),
            Part::Flush,
            Part::Compact,
            Part::Steps(60),
            Part::Flush,
            Part::Steps(60),
            // A kill amid a step leaves a record that nobody was promised. Rot in it is a torn tail, and
            // a store without it is right.
            Part::Hold,
        ];
        let child = self.binary.write(&specimen.writing(&plan))?;
        let ready = |heard: &super::heard::Heard| heard.begun.iter().any(|part| part == "hold");
        ensure!(
            child.wait_until(PATIENCE, ready),
            "the template was not written"
        );
        let ended = child.finish_by_kill()?;
        let promise = ended.ear.promise(&script, Stop::Process);
        let untouched = at.join("untouched");
        copy_dir(&specimen.dir, &untouched)?;
        let mut tally = Tally::default();
        specimen.examine(&self.binary, &ended, &promise, false, &mut tally)?;
        ensure!(tally.is_right(), "the template is not right: {tally}");
        let copy = at.join("copy");
        copy_dir(&untouched, &copy)?;
        let expected = match read_back(&self.binary, &copy, self.target, false)? {
            ReadBack::Whole(contents) => contents,
            other => anyhow::bail!("the template cannot be read: {other}"),
        };
        let live = if self.target.is_store() {
            live_bytes(&untouched, &at.join("tables"))?
        } else {
            LiveBytes::default()
        };
        Ok(Template {
            dir: untouched,
            expected,
            live,
        })
    }
}

/// The tables say from where on they need the log; they are asked at a copy, as asking may tidy up.
fn live_bytes(dir: &Path, copy: &Path) -> Result<LiveBytes> {
    copy_dir(&dir.join("store/tables"), copy)?;
    let verified = mantis_engine::verify(copy)?;
    ensure!(verified.damages.is_empty(), "{:?}", verified.damages);
    LiveBytes::of(dir, verified.replay_from)
}

/// Log and tables hold the users' data; the other files are small, and one checksum covers each.
fn weight_of(kind: &str) -> usize {
    if kind.ends_with(".seg") || kind.ends_with("tables/tables") {
        4
    } else {
        1
    }
}

/// Most flips go to live bytes; the others may meet anything, mostly where data lies. Kinds of files
/// have their weights, so that the small ones get their share.
fn choose(dir: &Path, live: &LiveBytes, dice: &mut Dice) -> Result<Spot> {
    let bit = u32::try_from(dice.below(8)).unwrap_or(0);
    let drawn = dice.percent(LIVE_PERCENT).then(|| {
        let kind = |file: &Path| kind_of(dir, &dir.join(file));
        live.draw(kind, weight_of, dice)
    });
    let (file, offset) = match drawn.flatten() {
        Some((file, offset)) => (dir.join(file), offset),
        None => choose_any(dir, dice)?,
    };
    spot_at(dir, live, file, offset, bit)
}

/// A byte of the last record. The controls' only file ends with it.
fn choose_last(dir: &Path, live: &LiveBytes, dice: &mut Dice) -> Result<Spot> {
    let bit = u32::try_from(dice.below(8)).unwrap_or(0);
    let (file, range) = match live.last_record() {
        Some((file, range)) => (dir.join(file), range),
        None => {
            let file = files_below(dir)?.pop().context("no file")?;
            let len = fs::metadata(&file)?.len();
            (file, len.saturating_sub(CONTROL_RECORD_MIN)..len)
        }
    };
    let offset = range.start + dice.below(range.end - range.start);
    spot_at(dir, live, file, offset, bit)
}

fn spot_at(dir: &Path, live: &LiveBytes, file: PathBuf, offset: u64, bit: u32) -> Result<Spot> {
    let below = file.strip_prefix(dir).unwrap_or(&file);
    let zone = if live.holds(below, offset) {
        Zone::Live
    } else if offset < data_len(&file)? {
        Zone::Dead
    } else {
        Zone::Spare
    };
    let kind = kind_of(dir, &file);
    Ok(Spot {
        file,
        kind,
        offset,
        bit,
        zone,
    })
}

fn choose_any(dir: &Path, dice: &mut Dice) -> Result<(PathBuf, u64)> {
    let mut by_kind: BTreeMap<String, Vec<(PathBuf, u64)>> = BTreeMap::new();
    for file in files_below(dir)? {
        let len = fs::metadata(&file)?.len();
        let kind = kind_of(dir, &file);
        if len > 0 {
            by_kind.entry(kind).or_default().push((file, len));
        }
    }
    let files = by_kind.values().nth(dice.index(by_kind.len().max(1)));
    let files = files.context("no files")?;
    let (file, len) = files.get(dice.index(files.len())).context("no file")?;
    let data_len = data_len(file)?;
    let offset = if data_len > 0 && dice.percent(85) {
        dice.below(data_len)
    } else {
        dice.below(*len)
    };
    Ok((file.clone(), offset))
}

/// The first two parts of a path below the store, without numbers.
fn kind_of(dir: &Path, file: &Path) -> String {
    let below = file
        .strip_prefix(dir)
        .unwrap_or(file)
        .to_string_lossy()
        .into_owned();
    let mut words: Vec<String> = below
        .split('/')
        .map(|word| word.chars().filter(|c| !c.is_ascii_digit()).collect())
        .collect();
    words.truncate(3);
    words.join("/")
}

/// Everything behind it is zero: room that was written ahead.
fn data_len(file: &Path) -> Result<u64> {
    let bytes = fs::read(file)?;
    let last = bytes.iter().rposition(|&byte| byte != 0);
    Ok(last.map_or(0, |at| u64::try_from(at + 1).unwrap_or(u64::MAX)))
}

fn turn(spot: &Spot) -> Result<()> {
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&spot.file)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(spot.offset))?;
    file.read_exact(&mut byte)?;
    byte[0] ^= 1 << spot.bit;
    file.seek(SeekFrom::Start(spot.offset))?;
    file.write_all(&byte)?;
    Ok(())
}

/// Counts what came back; answers whether it must not be.
fn classify(
    tally: &mut FlipTally,
    spot: &Spot,
    damaged: &Path,
    came_back: ReadBack,
    expected: &Contents,
) -> bool {
    let classes = tally
        .classes
        .entry((spot.kind.clone(), spot.zone))
        .or_default();
    let said = match came_back {
        ReadBack::Whole(contents) if contents == *expected => {
            classes.harmless += 1;
            return false;
        }
        ReadBack::Refused(at, code, _) => {
            let class = if at == "open" {
                &mut classes.at_open
            } else {
                &mut classes.at_read
            };
            *class += 1;
            *tally.codes.entry(format!("{at} {code}")).or_default() += 1;
            return false;
        }
        ReadBack::Whole(contents) => {
            classes.silent += 1;
            let wrong = expected
                .iter()
                .filter(|(key, found)| contents.get(*key) != Some(found));
            format!(
                "silent: {} of {} pairs are wrong",
                wrong.count(),
                expected.len()
            )
        }
        ReadBack::Wrong(text) => {
            classes.silent += 1;
            format!("silent: {text}")
        }
        ReadBack::Crashed(text) => {
            classes.crashed += 1;
            text
        }
    };
    let Spot {
        file, offset, bit, ..
    } = spot;
    let file = file.strip_prefix(damaged).unwrap_or(file).display();
    let at = damaged.display();
    tally.findings.push(format!(
        "bit {bit} of byte {offset} of {file}: {said}; kept in {at}"
    ));
    true
}
