//! Control programs: a plain file behind the same interface as the store, right or broken on purpose.
//!
//! They run under the same faults and before the same oracle as the store. What a broken one does
//! must be found, and the right one must pass; otherwise the rig's zeros mean nothing.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use mantis_types::Durability;
use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_64;

use super::kill::ACKS_MIN;
use super::script::{Change, Digest, SHARED_COUNTER, Step};
use super::target::{Done, Refusal, Target};
use super::wire::Answer;

const FILE_NAME: &str = "control";
/// The newest commits that `AckFirst` has not written, at every moment. Many more than writers, each
/// of which may have one that it has not acknowledged yet.
const HELD_BACK: usize = 64;
/// `HalfBatch` comes to its halt after so many commits, so that the kill loop has heard enough.
const COMMITS_BEFORE_HALT: u64 = ACKS_MIN + 20;

/// In which way a control is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// Not at all: every step is synced before it is acknowledged.
    Fsync,
    /// Nothing is ever synced: a power cut must show it.
    NoSync,
    /// Steps are acknowledged before they are written, and the newest ones never are: any kill must
    /// show it, however slow the disk and whatever else the machine does.
    AckFirst,
    /// The changes of a batch are written one by one: a kill between two of the writes must show it.
    SplitBatch,
    /// The same, and it stays between the first two for ever once it has done some commits: a kill by
    /// the clock must show it.
    HalfBatch,
    /// Records have no checksum: bit flips must show it.
    NoSum,
    /// After a failed sync it tries again and goes on: fault injection must show it.
    SyncAgain,
    /// After a failed sync it says that it takes no more writes, and takes them: the same.
    GoOn,
}

impl ControlKind {
    /// Every control.
    pub const ALL: [Self; 8] = [
        Self::Fsync,
        Self::NoSync,
        Self::AckFirst,
        Self::SplitBatch,
        Self::HalfBatch,
        Self::NoSum,
        Self::SyncAgain,
        Self::GoOn,
    ];

    /// The word of the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fsync => "control-fsync",
            Self::NoSync => "control-nosync",
            Self::AckFirst => "control-ack-first",
            Self::SplitBatch => "control-split-batch",
            Self::HalfBatch => "control-half-batch",
            Self::NoSum => "control-nosum",
            Self::SyncAgain => "control-sync-again",
            Self::GoOn => "control-go-on",
        }
    }

    /// The control that `word` names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A store in one file: records of `u32` length, `u64` checksum, payload; read whole at the start.
#[derive(Debug)]
pub struct ControlStore {
    kind: ControlKind,
    /// Guards the file and the map; held for a whole step, and for ever at a halt.
    state: Mutex<State>,
    /// It has come to its halt.
    halted: AtomicBool,
}

#[derive(Debug)]
struct State {
    file: File,
    map: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    seq: u64,
    /// Commits of this process.
    commits: u64,
    /// Records that were acknowledged and not written.
    held_back: VecDeque<Vec<u8>>,
    broken: bool,
}

impl ControlStore {
    /// Opens the control in `dir`, made when absent.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open(dir: &Path, kind: ControlKind) -> Result<Self, Refusal> {
        let opened = Self::open_io(dir, kind).map_err(|error| Refusal::new("io", error))?;
        Ok(opened)
    }

    fn open_io(dir: &Path, kind: ControlKind) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let path = dir.join(FILE_NAME);
        let mut state = State {
            file: OpenOptions::new().create(true).append(true).open(&path)?,
            map: BTreeMap::new(),
            seq: 0,
            commits: 0,
            held_back: VecDeque::new(),
            broken: false,
        };
        let bytes = fs::read(&path)?;
        let whole = state.replay(&bytes, kind != ControlKind::NoSum);
        state
            .file
            .set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
        if kind != ControlKind::NoSync {
            state.file.sync_all()?;
            File::open(dir)?.sync_all()?;
            if let Some(parent) = dir.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(Self {
            kind,
            state: Mutex::new(state),
            halted: AtomicBool::new(false),
        })
    }

    fn write(&self, state: &mut State, records: &[Vec<u8>]) -> io::Result<()> {
        match self.kind {
            ControlKind::AckFirst => {
                state.held_back.push_back(records.concat());
                let old = state.held_back.len().saturating_sub(HELD_BACK);
                let mut old = state.held_back.drain(..old);
                old.try_for_each(|record| state.file.write_all(&record))
            }
            ControlKind::NoSync => state.file.write_all(&records.concat()),
            ControlKind::SplitBatch => records.iter().try_for_each(|record| {
                state.file.write_all(record)?;
                state.file.sync_data()
            }),
            ControlKind::SyncAgain => {
                state.file.write_all(&records.concat())?;
                state.file.sync_data().or_else(|_| state.file.sync_data())
            }
            ControlKind::Fsync
            | ControlKind::HalfBatch
            | ControlKind::NoSum
            | ControlKind::GoOn => {
                state.file.write_all(&records.concat())?;
                state.file.sync_data()
            }
        }
    }

    /// Writes the first change alone and stays there, with the state in its hands.
    fn halt(&self, state: &mut State, seq: u64, changes: &[PlainChange]) -> io::Result<()> {
        state.file.write_all(&record_of(seq, changes))?;
        state.file.sync_data()?;
        self.halted.store(true, Ordering::SeqCst);
        loop {
            thread::park();
        }
    }
}

impl Target for ControlStore {
    fn run(&self, step: &Step, _: Durability) -> Result<Done, Refusal> {
        let mut state = self.state.lock();
        if state.broken {
            let mut refusal = Refusal::new("read_only", "an earlier write failed");
            refusal.is_final = true;
            return Err(refusal);
        }
        let (changes, answer) = state.plan(step);
        if changes.is_empty() {
            return Ok(Done { seq: 0, answer });
        }
        state.seq += 1;
        state.commits += 1;
        let seq = state.seq;
        if self.kind == ControlKind::HalfBatch
            && state.commits > COMMITS_BEFORE_HALT
            && can_be_split(step)
        {
            self.halt(&mut state, seq, changes.get(..1).unwrap_or_default())
                .map_err(|error| Refusal::new("io", error))?;
        }
        let records = match self.kind {
            ControlKind::SplitBatch => changes
                .iter()
                .map(|c| record_of(seq, std::slice::from_ref(c)))
                .collect(),
            _ => vec![record_of(seq, &changes)],
        };
        if let Err(error) = self.write(&mut state, &records) {
            state.broken = self.kind != ControlKind::GoOn;
            let text = error.to_string();
            return Err(Refusal {
                code: "sync_failed".into(),
                text,
                unknown: true,
                is_final: true,
            });
        }
        for (key, value) in changes {
            match value {
                Some(value) => drop(state.map.insert(key, (seq, value))),
                None => drop(state.map.remove(&key)),
            }
        }
        Ok(Done { seq, answer })
    }

    fn read_all(&self, each: &mut dyn FnMut(&[u8], u64, Digest)) -> Result<(), Refusal> {
        for (key, (seq, value)) in &self.state.lock().map {
            each(key, *seq, Digest::of(value));
        }
        Ok(())
    }

    fn get(&self, key: &[u8]) -> Result<Option<(u64, Digest)>, Refusal> {
        Ok(self
            .state
            .lock()
            .map
            .get(key)
            .map(|(seq, value)| (*seq, Digest::of(value))))
    }

    fn phase(&self) -> (bool, bool) {
        (self.halted.load(Ordering::SeqCst), false)
    }

    fn checkpoint(&self, dir: &Path) -> Result<(), Refusal> {
        let copy = |state: &State| {
            fs::create_dir_all(dir)?;
            let mut file = File::create(dir.join(FILE_NAME))?;
            for (key, (seq, value)) in &state.map {
                file.write_all(&record_of(*seq, &[(key.clone(), Some(value.clone()))]))?;
            }
            file.sync_all()
        };
        copy(&self.state.lock()).map_err(|error: io::Error| Refusal::new("io", error))
    }

    fn close(&self) -> Result<(), Refusal> {
        let mut state = self.state.lock();
        let mut held_back = std::mem::take(&mut state.held_back).into_iter();
        held_back
            .try_for_each(|record| state.file.write_all(&record))
            .map_err(|error| Refusal::new("io", error))
    }
}

/// Whether the first of its changes can be told from all of them and from none: it writes a value, and
/// so does another one. (The shared counter is compared within bounds only.)
#[must_use]
pub fn can_be_split(step: &Step) -> bool {
    let writes = |change: &Change| {
        matches!(change, Change::Put { .. } | Change::Add { .. }) && change.key() != SHARED_COUNTER
    };
    matches!(step.changes.as_slice(), [first, rest @ ..] if writes(first) && rest.iter().any(writes))
}

type PlainChange = (Vec<u8>, Option<Vec<u8>>);

impl State {
    /// What a step changes, in absolute values, and what it answers.
    fn plan(&self, step: &Step) -> (Vec<PlainChange>, Answer) {
        let mut changes: Vec<PlainChange> = Vec::new();
        let mut answer = Answer::Plain;
        for change in &step.changes {
            let key = change.key().to_vec();
            let was = self.map.get(&key).map(|(_, value)| value);
            match change {
                Change::PutIfAbsent { .. } if was.is_some() => answer = Answer::NotMet,
                Change::Put { value, .. } | Change::PutIfAbsent { value, .. } => {
                    answer = Answer::Changed(was.is_none());
                    changes.push((key, Some(value.bytes())));
                }
                Change::Delete { .. } => {
                    answer = Answer::Changed(was.is_some());
                    changes.push((key, None));
                }
                Change::Add { by, .. } => {
                    let text = was.and_then(|value| std::str::from_utf8(value).ok());
                    let sum = text.and_then(|t| t.parse::<i64>().ok()).unwrap_or(0) + by;
                    answer = Answer::Counter(sum);
                    changes.push((key, Some(sum.to_string().into_bytes())));
                }
            }
        }
        (changes, if step.batch { Answer::Plain } else { answer })
    }

    /// Takes over all whole records; answers how many bytes they are. It stops at the first bad
    /// record as if that were a torn tail, which is what makes bit rot silent.
    fn replay(&mut self, bytes: &[u8], checked: bool) -> usize {
        let mut whole = 0;
        while let Some((len, payload)) = record_at(bytes.get(whole..).unwrap_or_default(), checked)
        {
            let mut input = Fields(payload);
            let Some(seq) = input.number(8) else { break };
            self.seq = self.seq.max(seq);
            while let Some((key, value)) = input.change() {
                match value {
                    Some(value) => drop(self.map.insert(key, (seq, value))),
                    None => drop(self.map.remove(&key)),
                }
            }
            whole += len;
        }
        whole
    }
}

fn record_of(seq: u64, changes: &[PlainChange]) -> Vec<u8> {
    let mut payload = seq.to_le_bytes().to_vec();
    for (key, value) in changes {
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        payload.push(u8::from(value.is_some()));
        payload.extend(len(key));
        payload.extend(len(value.as_deref().unwrap_or_default()));
        payload.extend(key);
        payload.extend(value.as_deref().unwrap_or_default());
    }
    let mut record = u32::try_from(payload.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec();
    record.extend(xxh3_64(&payload).to_le_bytes());
    record.extend(payload);
    record
}

fn record_at(bytes: &[u8], checked: bool) -> Option<(usize, &[u8])> {
    let mut input = Fields(bytes);
    let len = usize::try_from(input.number(4)?).ok()?;
    let sum = input.number(8)?;
    let payload = input.0.get(..len).filter(|payload| !payload.is_empty())?;
    (!checked || xxh3_64(payload) == sum).then_some((12 + len, payload))
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self, len: usize) -> Option<u64> {
        let bytes = self.take(len)?;
        Some(bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    fn change(&mut self) -> Option<PlainChange> {
        let put = self.take(1)?.first() == Some(&1);
        let key_len = usize::try_from(self.number(4)?).ok()?;
        let value_len = usize::try_from(self.number(4)?).ok()?;
        let key = self.take(key_len)?.to_vec();
        let value = self.take(value_len)?.to_vec();
        Some((key, put.then_some(value)))
    }
}

#[cfg(test)]
mod tests;
