//! Nodes, names, and for both the difference between page cache and medium. Not aware of faults or handles' rights.
//! Invariant: replaying `unsynced` over `durable` gives `cached`, for each file and for all directories together,
//! except in files where a failed sync has dropped writes.

use crate::simulated::disk::named;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    io::{ErrorKind, Result},
    path::{Component, Path},
};

/// 4 GiB: files live in memory, so a wild position must not become an allocation.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 32;

pub(super) type NodeId = u64;
pub(super) const ROOT: NodeId = 0;

#[derive(Clone)]
pub(super) struct Medium {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) created: NodeId,
    /// Changes of names that no `sync_dir` has covered, in the order of the calls.
    pub(super) unsynced: Vec<Operation>,
}

#[derive(Clone)]
pub(super) enum Node {
    File(FileNode),
    Directory(DirectoryNode),
}

#[derive(Clone, Default)]
pub(super) struct FileNode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
    /// Open files and locks: keep a removed file alive.
    pub(super) handles: u32,
    pub(super) locked: bool,
}

#[derive(Clone)]
pub(super) enum Change {
    Write { position: u64, bytes: Vec<u8> },
    SetLen(u64),
}

#[derive(Clone, Default)]
pub(super) struct DirectoryNode {
    pub(super) cached: BTreeMap<OsString, NodeId>,
    pub(super) durable: BTreeMap<OsString, NodeId>,
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dir: NodeId,
    pub(super) name: OsString,
}

/// A change of names; each is atomic, also a rename between two directories.
#[derive(Clone)]
pub(super) enum Operation {
    Link {
        place: Place,
        node: NodeId,
    },
    Unlink(Place),
    Rename {
        from: Place,
        to: Place,
        node: NodeId,
    },
}

/// Which of a directory's two states an operation is applied to.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Cached,
    Durable,
}

impl Operation {
    /// The directories it changes.
    pub(super) fn directories(&self) -> BTreeSet<NodeId> {
        match self {
            Operation::Link { place, .. } | Operation::Unlink(place) => BTreeSet::from([place.dir]),
            Operation::Rename { from, to, .. } => BTreeSet::from([from.dir, to.dir]),
        }
    }

    fn linked(&self) -> Option<NodeId> {
        match self {
            Operation::Link { node, .. } | Operation::Rename { node, .. } => Some(*node),
            Operation::Unlink(_) => None,
        }
    }
}

impl Medium {
    pub(super) fn new() -> Self {
        let root = Node::Directory(DirectoryNode::default());
        Self {
            nodes: BTreeMap::from([(ROOT, root)]),
            created: ROOT,
            unsynced: Vec::new(),
        }
    }

    /// `None` when a name on the way is not there; an error when a name before the last is a file.
    pub(super) fn find(&self, path: &Path) -> Result<Option<NodeId>> {
        let mut node = ROOT;
        for name in components(path) {
            let Node::Directory(directory) = self.node(node) else {
                return Err(named(ErrorKind::NotADirectory, path));
            };
            match directory.cached.get(&name) {
                Some(child) => node = *child,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }

    pub(super) fn require(&self, path: &Path) -> Result<NodeId> {
        self.find(path)?
            .ok_or_else(|| named(ErrorKind::NotFound, path))
    }

    /// Where `path` is or would be; its directory must exist.
    pub(super) fn place(&self, path: &Path) -> Result<Place> {
        let mut names = components(path);
        let Some(name) = names.pop() else {
            return Err(named(ErrorKind::InvalidInput, path));
        };
        let dir = self.require(&names.iter().collect::<std::path::PathBuf>())?;
        self.directory(dir)?;
        Ok(Place { dir, name })
    }

    /// The rules of `rename(2)` for what is at the target.
    pub(super) fn check_replace(
        &self,
        node: NodeId,
        source: &Place,
        target: &Place,
        path: &Path,
    ) -> Result<()> {
        if self.is_within(target.dir, node) {
            return Err(named(ErrorKind::InvalidInput, path));
        }
        let Some(replaced) = self.directory(target.dir)?.cached.get(&target.name) else {
            return Ok(());
        };
        // A directory on the way to the source holds at least that way.
        if self.is_within(source.dir, *replaced) {
            return Err(named(ErrorKind::DirectoryNotEmpty, path));
        }
        match (self.node(node), self.node(*replaced)) {
            (Node::File(_), Node::File(_)) => Ok(()),
            (Node::File(_), Node::Directory(_)) => Err(named(ErrorKind::IsADirectory, path)),
            (Node::Directory(_), Node::File(_)) => Err(named(ErrorKind::NotADirectory, path)),
            (Node::Directory(_), Node::Directory(over)) if over.cached.is_empty() => Ok(()),
            (Node::Directory(_), Node::Directory(_)) => {
                Err(named(ErrorKind::DirectoryNotEmpty, path))
            }
        }
    }

    fn is_within(&self, node: NodeId, ancestor: NodeId) -> bool {
        node == ancestor
            || match self.node(ancestor) {
                Node::File(_) => false,
                Node::Directory(directory) => directory
                    .cached
                    .values()
                    .any(|child| self.is_within(node, *child)),
            }
    }

    pub(super) fn node(&self, node: NodeId) -> &Node {
        self.nodes
            .get(&node)
            .expect("a node stays while a name, an unsynced operation or a handle refers to it")
    }

    pub(super) fn directory(&self, node: NodeId) -> Result<&DirectoryNode> {
        match self.node(node) {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file_mut(&mut self, node: NodeId, path: &Path) -> Result<&mut FileNode> {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(named(ErrorKind::IsADirectory, path)),
        }
    }

    /// The file behind a handle.
    pub(super) fn open_file(&self, node: NodeId) -> &FileNode {
        match self.node(node) {
            Node::File(file) => file,
            Node::Directory(_) => unreachable!("only files have handles"),
        }
    }

    /// The file behind a handle.
    pub(super) fn open_file_mut(&mut self, node: NodeId) -> &mut FileNode {
        match self.nodes.get_mut(&node) {
            Some(Node::File(file)) => file,
            _ => unreachable!("only files have handles, and a handle keeps its file"),
        }
    }

    /// A removed file frees its bytes at once, unless it is open; the crash model may still need them.
    pub(super) fn used_bytes(&self) -> u64 {
        let named = self.reachable(vec![ROOT], &[Side::Cached]);
        let files = self.nodes.iter().map(|(id, node)| match node {
            Node::File(file) if file.handles > 0 || named.contains(id) => file.cached.len() as u64,
            _ => 0,
        });
        files.sum()
    }

    pub(super) fn create(&mut self, place: Place, node: Node) -> NodeId {
        self.created += 1;
        let id = self.created;
        self.nodes.insert(id, node);
        self.perform(Operation::Link { place, node: id });
        id
    }

    /// Changes the page cache, and remembers what the medium lacks.
    pub(super) fn perform(&mut self, operation: Operation) {
        self.apply(&operation, Side::Cached);
        self.unsynced.push(operation);
    }

    pub(super) fn apply(&mut self, operation: &Operation, side: Side) {
        match operation {
            Operation::Link { place, node } => {
                self.names(place.dir, side)
                    .insert(place.name.clone(), *node);
            }
            Operation::Unlink(place) => {
                self.names(place.dir, side).remove(&place.name);
            }
            Operation::Rename { from, to, node } => {
                self.names(from.dir, side).remove(&from.name);
                self.names(to.dir, side).insert(to.name.clone(), *node);
            }
        }
    }

    fn names(&mut self, dir: NodeId, side: Side) -> &mut BTreeMap<OsString, NodeId> {
        match (self.nodes.get_mut(&dir), side) {
            (Some(Node::Directory(directory)), Side::Cached) => &mut directory.cached,
            (Some(Node::Directory(directory)), Side::Durable) => &mut directory.durable,
            _ => unreachable!("an operation keeps its directories"),
        }
    }

    /// Makes the unsynced operations of `dir` durable. A rename between directories is atomic, and operations of one
    /// directory become durable in order: so what the other directory saw before such a rename comes along.
    pub(super) fn sync_directory(&mut self, dir: NodeId) {
        let mut covered = BTreeSet::from([dir]);
        let (mut synced, mut left) = (Vec::new(), Vec::new());
        for operation in std::mem::take(&mut self.unsynced).into_iter().rev() {
            let directories = operation.directories();
            if !directories.is_disjoint(&covered) {
                covered.extend(directories);
                synced.push(operation);
            } else {
                left.push(operation);
            }
        }
        left.reverse();
        self.unsynced = left;
        for operation in synced.iter().rev() {
            self.apply(operation, Side::Durable);
        }
        self.collect();
    }

    pub(super) fn close(&mut self, node: NodeId) {
        self.open_file_mut(node).handles -= 1;
    }

    /// Forgets nodes that nothing refers to: neither a name, cached or durable, nor an unsynced operation, nor a handle.
    pub(super) fn collect(&mut self) {
        let mut roots = vec![ROOT];
        for operation in &self.unsynced {
            roots.extend(operation.directories());
            roots.extend(operation.linked());
        }
        roots.extend(self.nodes.iter().filter_map(|(id, node)| match node {
            Node::File(file) if file.handles > 0 => Some(*id),
            _ => None,
        }));
        let kept = self.reachable(roots, &[Side::Cached, Side::Durable]);
        self.nodes.retain(|id, _| kept.contains(id));
    }

    fn reachable(&self, mut open: Vec<NodeId>, sides: &[Side]) -> BTreeSet<NodeId> {
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            if !reached.insert(id) {
                continue;
            }
            if let Node::Directory(directory) = self.node(id) {
                for side in sides {
                    open.extend(directory.names(*side).values());
                }
            }
        }
        reached
    }
}

impl DirectoryNode {
    fn names(&self, side: Side) -> &BTreeMap<OsString, NodeId> {
        match side {
            Side::Cached => &self.cached,
            Side::Durable => &self.durable,
        }
    }
}

impl FileNode {
    pub(super) fn write(&mut self, bytes: &[u8], position: u64) {
        write(&mut self.cached, bytes, position);
        let bytes = bytes.to_vec();
        self.unsynced.push(Change::Write { position, bytes });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.cached.resize(len as usize, 0);
        self.unsynced.push(Change::SetLen(len));
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            match change {
                Change::Write { position, bytes } => write(&mut self.durable, &bytes, position),
                Change::SetLen(len) => self.durable.resize(len as usize, 0),
            }
        }
    }
}

/// Writes into `content`, which grows with zeroes where needed.
pub(super) fn write(content: &mut Vec<u8>, bytes: &[u8], position: u64) {
    let start = position as usize;
    let end = start + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

/// The names from the root down; `.` is skipped and `..` goes up, as there are no links.
pub(super) fn components(path: &Path) -> Vec<OsString> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_owned()),
            Component::ParentDir => {
                names.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    names
}
