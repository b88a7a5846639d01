//! Faults on order: a file system whose Nth operation of a kind fails.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{File, Fs, Lock, OpenMode};

/// The kinds of operations that can be counted and made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpKind {
    /// Opening or making a file.
    Open,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Syncing a file, in either way.
    Sync,
    /// Changing a file's length.
    SetLen,
    /// Renaming.
    Rename,
    /// Removing a file or a directory.
    Remove,
    /// Making a directory.
    CreateDir,
    /// Syncing a directory.
    SyncDir,
    /// Making a hard link.
    HardLink,
    /// Listing a directory, looking whether something exists, asking for free space, locking.
    Look,
}

impl OpKind {
    /// Every kind.
    pub const ALL: [Self; 11] = [
        Self::Open,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::SetLen,
        Self::Rename,
        Self::Remove,
        Self::CreateDir,
        Self::SyncDir,
        Self::HardLink,
        Self::Look,
    ];
}

/// What happens instead of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, EIO is answered.
    Eio,
    /// Nothing is done, ENOSPC is answered.
    Enospc,
    /// So many bytes of a write are written, then EIO is answered; other kinds do nothing.
    ShortThenEio(usize),
    /// So many bytes of a write are written, then ENOSPC is answered; other kinds do nothing.
    ShortThenEnospc(usize),
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Eio | Self::ShortThenEio(_) => rustix::io::Errno::IO.into(),
            Self::Enospc | Self::ShortThenEnospc(_) => rustix::io::Errno::NOSPC.into(),
        }
    }
}

/// Which operations fail, and what has been counted. Cheap to clone; all clones are one plan.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// Guards counters and rules. Taken alone, for some instructions.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Rule>,
    seen: [u64; OpKind::ALL.len()],
    fired: u64,
    /// Bytes by which files may still grow.
    growth: Option<u64>,
}

#[derive(Debug)]
struct Rule {
    kind: OpKind,
    name_part: Option<String>,
    nth: u64,
    times: u64,
    seen: u64,
    fault: Fault,
}

impl FaultPlan {
    /// A plan without faults, that counts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The `nth` operation of the kind from now on fails, once; the first is 1.
    pub fn fail(&self, kind: OpKind, nth: u64, fault: Fault) {
        self.add(Rule {
            kind,
            name_part: None,
            nth,
            times: 1,
            seen: 0,
            fault,
        });
    }

    /// The `nth` operation of the kind from now on and all after it fail.
    pub fn fail_from(&self, kind: OpKind, nth: u64, fault: Fault) {
        self.add(Rule {
            kind,
            name_part: None,
            nth,
            times: u64::MAX,
            seen: 0,
            fault,
        });
    }

    /// As [`Self::fail_from`], for paths that contain `name_part` only.
    pub fn fail_from_at(&self, name_part: &str, kind: OpKind, nth: u64, fault: Fault) {
        let name_part = Some(name_part.to_owned());
        self.add(Rule {
            kind,
            name_part,
            nth,
            times: u64::MAX,
            seen: 0,
            fault,
        });
    }

    /// Files may grow by so many bytes together, then ENOSPC; removing a file gives its bytes
    /// back. Writing where a file has bytes already needs none. `None` takes the bound away.
    pub fn limit_growth(&self, bytes: Option<u64>) {
        self.state.lock().growth = bytes;
    }

    /// Takes all rules and the bound on growth away; the counts stay.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        state.rules.clear();
        state.growth = None;
    }

    /// How many operations of the kind were asked for.
    #[must_use]
    pub fn seen(&self, kind: OpKind) -> u64 {
        self.state.lock().seen[kind as usize]
    }

    /// How many operations a rule made fail: a sweep over N is past the end when it stays 0.
    #[must_use]
    pub fn fired(&self) -> u64 {
        self.state.lock().fired
    }

    fn add(&self, rule: Rule) {
        self.state.lock().rules.push(rule);
    }

    fn meet(&self, kind: OpKind, path: &Path) -> Option<Fault> {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.seen[kind as usize] += 1;
        let mut met = None;
        for rule in state.rules.iter_mut().filter(|rule| rule.kind == kind) {
            let text = path.to_string_lossy();
            if rule
                .name_part
                .as_ref()
                .is_some_and(|part| !text.contains(part.as_str()))
            {
                continue;
            }
            rule.seen += 1;
            if rule.seen >= rule.nth && rule.seen - rule.nth < rule.times {
                met = met.or(Some(rule.fault));
            }
        }
        state.fired += u64::from(met.is_some());
        met
    }

    fn check(&self, kind: OpKind, path: &Path) -> io::Result<()> {
        self.meet(kind, path)
            .map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn grow(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        match state.growth {
            Some(left) if bytes > left => {
                state.fired += 1;
                Err(Fault::Enospc.error())
            }
            Some(left) => {
                state.growth = Some(left - bytes);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn shrink(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.growth = state.growth.map(|left| left.saturating_add(bytes));
    }
}

/// A file system, real or simulated, that fails where its plan says.
#[derive(Debug)]
pub struct FaultyFs {
    inner: Arc<dyn Fs>,
    plan: FaultPlan,
}

impl FaultyFs {
    /// Puts `plan` before `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Fs>, plan: FaultPlan) -> Self {
        Self { inner, plan }
    }
}

impl Fs for FaultyFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.check(OpKind::CreateDir, path)?;
        self.inner.create_dir(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.plan.check(OpKind::Open, path)?;
        let inner = self.inner.open(path, mode)?;
        let (path, plan) = (path.to_owned(), self.plan.clone());
        Ok(Arc::new(FaultyFile { inner, path, plan }))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.plan.check(OpKind::Look, path)?;
        self.inner.read_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.plan.check(OpKind::Remove, path)?;
        let len = self
            .inner
            .open(path, OpenMode::Read)
            .and_then(|file| file.len());
        self.inner.remove_file(path)?;
        self.plan.shrink(len.unwrap_or(0));
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.plan.check(OpKind::Remove, path)?;
        self.inner.remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check(OpKind::Rename, from)?;
        self.inner.rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.plan.check(OpKind::SyncDir, path)?;
        self.inner.sync_dir(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.plan.check(OpKind::HardLink, to)?;
        self.inner.hard_link(from, to)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.plan.check(OpKind::Look, path)?;
        self.inner.exists(path)
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.plan.check(OpKind::Look, path)?;
        self.inner.lock_exclusive(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.plan.check(OpKind::Look, path)?;
        let free = self.inner.free_bytes(path)?;
        Ok(self
            .plan
            .state
            .lock()
            .growth
            .map_or(free, |left| left.min(free)))
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn File>,
    path: PathBuf,
    plan: FaultPlan,
}

impl FaultyFile {
    fn grow_to(&self, end: u64) -> io::Result<()> {
        self.plan.grow(end.saturating_sub(self.inner.len()?))
    }
}

impl File for FaultyFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.plan.check(OpKind::Read, &self.path)?;
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(fault) = self.plan.meet(OpKind::Write, &self.path) {
            if let Fault::ShortThenEio(count) | Fault::ShortThenEnospc(count) = fault {
                self.inner
                    .write_at(offset, &bytes[..count.min(bytes.len())])?;
            }
            return Err(fault.error());
        }
        self.grow_to(offset + bytes.len() as u64)?;
        self.inner.write_at(offset, bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.plan.check(OpKind::Sync, &self.path)?;
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.plan.check(OpKind::Sync, &self.path)?;
        self.inner.sync_all()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.plan.check(OpKind::SetLen, &self.path)?;
        self.grow_to(len)?;
        let before = self.inner.len()?;
        self.inner.set_len(len)?;
        self.plan.shrink(before.saturating_sub(len));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
}
