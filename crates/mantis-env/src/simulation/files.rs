//! The file interface over the simulated disk.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Trace;
use super::disk::{DirNode, Disk, FileNode, Node, NodeId};
use crate::fs::parent_of;
use crate::{File, Fs, Lock, OpenMode, SeededRng};

/// Cheap to clone; all clones are the same disk.
#[derive(Clone, Debug)]
pub(super) struct SimFs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rng: SeededRng,
    trace: Arc<Trace>,
    /// Guards the disk and the number of the process's life. Before the trace's lock; held for one
    /// file operation.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    disk: Disk,
    /// Files that were opened in an earlier life are dead.
    life: u64,
}

#[derive(Debug)]
struct SimFile {
    shared: Arc<Shared>,
    node: NodeId,
    life: u64,
    writable: bool,
}

impl SimFs {
    pub(super) fn new(seed: u64, trace: Arc<Trace>) -> Self {
        let state = Mutex::new(State {
            disk: Disk::new(),
            life: 0,
        });
        Self {
            shared: Arc::new(Shared {
                rng: SeededRng::new(seed),
                trace,
                state,
            }),
        }
    }

    pub(super) fn crash(&self) {
        let mut state = self.shared.state.lock();
        state.life += 1;
        state.disk.crash(&self.shared.rng);
        self.shared.trace.note("crash", &[state.life], &[]);
    }

    pub(super) fn kill(&self) {
        let mut state = self.shared.state.lock();
        state.life += 1;
        state.disk.unlock_all();
        self.shared.trace.note("kill", &[state.life], &[]);
    }

    pub(super) fn set_capacity(&self, bytes: u64) {
        self.shared.state.lock().disk.capacity = bytes;
    }

    pub(super) fn fail_syncs(&self, count: u32) {
        self.shared.state.lock().disk.failing_syncs = count;
    }

    fn note(&self, event: &str, path: &Path) {
        self.shared
            .trace
            .note(event, &[], path.as_os_str().as_encoded_bytes());
    }

    fn handle(&self, state: &State, node: NodeId, writable: bool) -> Arc<SimFile> {
        let shared = Arc::clone(&self.shared);
        Arc::new(SimFile {
            shared,
            node,
            life: state.life,
            writable,
        })
    }
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

fn names(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}

fn find(disk: &mut Disk, path: &Path) -> io::Result<NodeId> {
    names(path).try_fold(Disk::ROOT, |node, name| {
        disk.dir(node)?
            .now
            .get(&name)
            .copied()
            .ok_or_else(not_found)
    })
}

/// The directory that holds the last name of a path, and that name.
fn split(disk: &mut Disk, path: &Path) -> io::Result<(NodeId, String)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let dir = find(disk, parent_of(path))?;
    disk.dir(dir)?;
    Ok((dir, name.to_string_lossy().into_owned()))
}

impl Fs for SimFs {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.note("create_dir", path);
        let mut state = self.shared.state.lock();
        let disk = &mut state.disk;
        let mut at = Disk::ROOT;
        for name in names(path) {
            let there = disk.dir(at)?.now.get(&name).copied();
            at = if let Some(node) = there {
                node
            } else {
                let node = disk.add(Node::Dir(DirNode::default()));
                let parent = disk.dir(at)?;
                parent.set(&name, node);
                parent.sync();
                node
            };
        }
        disk.dir(at).map(drop)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.note("open", path);
        let mut state = self.shared.state.lock();
        let (dir, name) = split(&mut state.disk, path)?;
        let there = state.disk.dir(dir)?.now.get(&name).copied();
        let node = match (there, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(node), _) => node,
            (None, OpenMode::Read | OpenMode::ReadWrite) => return Err(not_found()),
            (None, OpenMode::Create | OpenMode::CreateNew) => {
                let node = state.disk.add(Node::File(FileNode::default()));
                state.disk.dir(dir)?.set(&name, node);
                node
            }
        };
        state.disk.file(node)?;
        Ok(self.handle(&state, node, mode != OpenMode::Read))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut state = self.shared.state.lock();
        let node = find(&mut state.disk, path)?;
        Ok(state
            .disk
            .dir(node)?
            .now
            .keys()
            .map(|name| path.join(name))
            .collect())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.note("remove_file", path);
        let mut state = self.shared.state.lock();
        let (dir, name) = split(&mut state.disk, path)?;
        let node = find(&mut state.disk, path)?;
        state.disk.file(node)?;
        state.disk.dir(dir)?.remove(&name);
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.note("remove_dir_all", path);
        let mut state = self.shared.state.lock();
        let (dir, name) = split(&mut state.disk, path)?;
        let node = find(&mut state.disk, path)?;
        state.disk.dir(node)?;
        state.disk.dir(dir)?.remove(&name);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("rename from", from);
        self.note("rename to", to);
        let mut state = self.shared.state.lock();
        let disk = &mut state.disk;
        let node = find(disk, from)?;
        let (from_dir, from_name) = split(disk, from)?;
        let (to_dir, to_name) = split(disk, to)?;
        let target = disk.dir(to_dir)?.now.get(&to_name).copied();
        if target.is_some_and(|target| disk.is_dir(target)) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if from_dir == to_dir {
            disk.dir(from_dir)?.rename(&from_name, &to_name, node);
        } else {
            disk.dir(to_dir)?.set(&to_name, node);
            disk.dir(from_dir)?.remove(&from_name);
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.note("sync_dir", path);
        let mut state = self.shared.state.lock();
        let node = find(&mut state.disk, path)?;
        state.disk.dir(node)?.sync();
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note("hard_link from", from);
        self.note("hard_link to", to);
        let mut state = self.shared.state.lock();
        let node = find(&mut state.disk, from)?;
        state.disk.file(node)?;
        let (dir, name) = split(&mut state.disk, to)?;
        let dir = state.disk.dir(dir)?;
        if dir.now.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        dir.set(&name, node);
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let mut state = self.shared.state.lock();
        match find(&mut state.disk, path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn lock_exclusive(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        drop(self.open(path, OpenMode::Create)?);
        let mut state = self.shared.state.lock();
        let node = find(&mut state.disk, path)?;
        let file = state.disk.file(node)?;
        if file.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        file.locked = true;
        file.set_len(0);
        // The number of a process in its machine; it is the only one there.
        file.write(0, b"1");
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(SimLock {
            shared,
            node,
            life: state.life,
        }))
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        let state = self.shared.state.lock();
        Ok(state.disk.capacity.saturating_sub(state.disk.used()))
    }
}

#[derive(Debug)]
struct SimLock {
    shared: Arc<Shared>,
    node: NodeId,
    life: u64,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        if state.life == self.life
            && let Ok(file) = state.disk.file(self.node)
        {
            file.locked = false;
        }
    }
}

impl SimFile {
    fn with<T>(
        &self,
        event: &str,
        numbers: &[u64],
        bytes: &[u8],
        act: impl FnOnce(&mut Disk) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.shared.state.lock();
        if state.life != self.life {
            return Err(io::Error::other(
                "the machine has crashed since this file was opened",
            ));
        }
        self.shared
            .trace
            .note(event, &[&[self.node as u64], numbers].concat(), bytes);
        act(&mut state.disk)
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

fn place(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| io::ErrorKind::FileTooLarge.into())
}

fn grow(disk: &mut Disk, node: NodeId, end: usize) -> io::Result<()> {
    let more = end.saturating_sub(disk.file(node)?.now.len()) as u64;
    if disk.capacity < u64::MAX && more > 0 && disk.used().saturating_add(more) > disk.capacity {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with("read", &[offset, buffer.len() as u64], &[], |disk| {
            let content = &disk.file(self.node)?.now;
            let rest = content.get(place(offset)?..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_writable()?;
        self.with("write", &[offset, bytes.len() as u64], bytes, |disk| {
            let offset = place(offset)?;
            grow(disk, self.node, offset + bytes.len())?;
            disk.file(self.node)?.write(offset, bytes);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with("sync", &[], &[], |disk| {
            if disk.failing_syncs > 0 {
                disk.failing_syncs -= 1;
                disk.file(self.node)?.forget();
                return Err(rustix::io::Errno::IO.into());
            }
            disk.file(self.node)?.sync();
            Ok(())
        })
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        self.with("set_len", &[len], &[], |disk| {
            let len = place(len)?;
            grow(disk, self.node, len)?;
            disk.file(self.node)?.set_len(len);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.with("len", &[], &[], |disk| {
            Ok(disk.file(self.node)?.now.len() as u64)
        })
    }
}
