//! The simulated disk: what is in the cache, what has reached the platter, and what a crash leaves.

use std::collections::BTreeMap;
use std::io;

use crate::SeededRng;

/// What a disk writes as one.
const SECTOR: usize = 512;

pub(super) type NodeId = usize;

/// Something that stands on the disk.
#[derive(Debug)]
pub(super) enum Node {
    File(FileNode),
    Dir(DirNode),
}

/// A file: its content as a process sees it, as the platter holds it, and the steps between.
#[derive(Debug, Default)]
pub(super) struct FileNode {
    pub(super) now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    pub(super) locked: bool,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Len(usize),
}

impl FileNode {
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        write_into(&mut self.now, offset, bytes);
        self.unsynced.push(Change::Write {
            offset,
            bytes: bytes.to_vec(),
        });
    }

    pub(super) fn set_len(&mut self, len: usize) {
        self.now.resize(len, 0);
        self.unsynced.push(Change::Len(len));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => write_into(&mut self.durable, offset, &bytes),
                Change::Len(len) => self.durable.resize(len, 0),
            }
        }
    }

    /// What some systems do when a sync fails: what was to be written counts as written, and is not.
    pub(super) fn forget(&mut self) {
        self.unsynced.clear();
    }

    /// Each change since the last sync is kept, dropped, or kept in some of its sectors.
    fn crash(&mut self, rng: &SeededRng) {
        for change in std::mem::take(&mut self.unsynced) {
            let fate = rng.below(4);
            match change {
                Change::Len(len) if fate < 2 => self.durable.resize(len, 0),
                Change::Write { offset, bytes } if fate < 2 => {
                    write_into(&mut self.durable, offset, &bytes);
                }
                Change::Write { offset, bytes } if fate == 2 => {
                    tear_into(&mut self.durable, offset, &bytes, rng);
                }
                Change::Len(_) | Change::Write { .. } => {}
            }
        }
        self.now.clone_from(&self.durable);
    }
}

fn write_into(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// The length may have reached the disk when the bytes have not: then zeros stand there.
fn tear_into(content: &mut Vec<u8>, offset: usize, bytes: &[u8], rng: &SeededRng) {
    let end = offset + bytes.len();
    if content.len() < end && rng.one_in(2) {
        content.resize(end, 0);
    }
    let mut at = offset;
    while at < end {
        let sector_end = ((at / SECTOR + 1) * SECTOR).min(end);
        if rng.one_in(2) {
            write_into(content, at, &bytes[at - offset..sector_end - offset]);
        }
        at = sector_end;
    }
}

/// A directory: its names as a process sees them, as the platter holds them, and the steps between.
#[derive(Debug, Default)]
pub(super) struct DirNode {
    pub(super) now: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
    unsynced: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, NodeId),
    Remove(String),
    Rename(String, String, NodeId),
}

impl DirNode {
    pub(super) fn set(&mut self, name: &str, node: NodeId) {
        self.change(NameChange::Set(name.to_owned(), node));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(NameChange::Remove(name.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &str, to: &str, node: NodeId) {
        self.change(NameChange::Rename(from.to_owned(), to.to_owned(), node));
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            apply(&mut self.durable, change);
        }
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.now, change.clone());
        self.unsynced.push(change);
    }

    fn crash(&mut self, rng: &SeededRng) {
        for change in std::mem::take(&mut self.unsynced) {
            if rng.one_in(2) {
                apply(&mut self.durable, change);
            }
        }
        self.now.clone_from(&self.durable);
    }
}

fn apply(names: &mut BTreeMap<String, NodeId>, change: NameChange) {
    match change {
        NameChange::Set(name, node) => drop(names.insert(name, node)),
        NameChange::Remove(name) => drop(names.remove(&name)),
        NameChange::Rename(from, to, node) => {
            if names.get(&from) == Some(&node) {
                names.remove(&from);
            }
            names.insert(to, node);
        }
    }
}

/// All nodes of a disk. Node 0 is its root.
#[derive(Debug)]
pub(super) struct Disk {
    nodes: BTreeMap<NodeId, Node>,
    next: NodeId,
    pub(super) capacity: u64,
    /// So many syncs of files from now on fail, and forget what they were to write.
    pub(super) failing_syncs: u32,
}

impl Disk {
    pub(super) const ROOT: NodeId = 0;

    pub(super) fn new() -> Self {
        let nodes = BTreeMap::from([(Self::ROOT, Node::Dir(DirNode::default()))]);
        Self {
            nodes,
            next: 1,
            capacity: u64::MAX,
            failing_syncs: 0,
        }
    }

    pub(super) fn add(&mut self, node: Node) -> NodeId {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    pub(super) fn dir(&mut self, id: NodeId) -> io::Result<&mut DirNode> {
        match self.nodes.get_mut(&id) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn file(&mut self, id: NodeId) -> io::Result<&mut FileNode> {
        match self.nodes.get_mut(&id) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn is_dir(&self, id: NodeId) -> bool {
        matches!(self.nodes.get(&id), Some(Node::Dir(_)))
    }

    /// Bytes of all files that still have a name.
    pub(super) fn used(&self) -> u64 {
        let mut named = std::collections::BTreeSet::new();
        for node in self.nodes.values() {
            if let Node::Dir(dir) = node {
                named.extend(dir.now.values().copied());
            }
        }
        let len = |id: &NodeId| match self.nodes.get(id) {
            Some(Node::File(file)) => file.now.len() as u64,
            _ => 0,
        };
        named.iter().map(len).sum()
    }

    pub(super) fn unlock_all(&mut self) {
        for node in self.nodes.values_mut() {
            if let Node::File(file) = node {
                file.locked = false;
            }
        }
    }

    pub(super) fn crash(&mut self, rng: &SeededRng) {
        self.unlock_all();
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.crash(rng),
                Node::Dir(dir) => dir.crash(rng),
            }
        }
    }
}
