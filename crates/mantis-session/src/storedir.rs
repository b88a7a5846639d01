//! The data directory: who may use it, what stands in it, how it is made.
//!
//! ```text
//! DIR/LOCK           locked while a process has the store open; holds its id as text
//! DIR/store/STORE    "mantisdb store\nformat 1\n"
//! DIR/store/log/     segments of the commit log
//! DIR/store/tables/  immutable tables
//! DIR/store.new/     a store that was being made when the process died; removed at the next open
//! DIR/checkpoint.new/  a checkpoint that was being made; such a directory is refused
//! ```
//! A new store is made in `store.new`, a checkpoint in `checkpoint.new`, synced, and renamed: there
//! is never half a store in `store`. Half a new store holds nothing and is made again; half a
//! checkpoint should have held something, and must not pass for an empty store.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mantis_env::{Env, Lock, OpenMode};
use mantis_log::{Log, LogOptions};

use crate::SessionError;

/// The format version that this program writes, in the `STORE` file.
pub const FORMAT_VERSION: u32 = 1;

/// How often the lock is asked for before the directory counts as used.
const LOCK_TRIES: u32 = 5;
/// Pause between two of these.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Where a checkpoint is made.
const CHECKPOINT: &str = "checkpoint.new";

const MAGIC: &str = "mantisdb store\nformat ";

/// A locked data directory with a whole store in it.
#[derive(Debug)]
pub struct StoreDir {
    store: PathBuf,
    _lock: Box<dyn Lock>,
}

impl StoreDir {
    /// Locks `dir`, and makes a store in it when there is none.
    ///
    /// # Errors
    /// `InUse` when another process has it open, `NotAStore` and `LaterFormat` for what is there,
    /// `Io`.
    pub fn open(env: &Env, dir: &Path) -> Result<Self, SessionError> {
        let fs = env.fs();
        fs.create_dir(dir).map_err(io("make the data directory"))?;
        let lock = lock(env, dir)?;
        let store = dir.join("store");
        if !fs.exists(&store).map_err(io("look for the store"))? {
            refuse_half_checkpoint(env, dir)?;
            make(env, dir, &store)?;
        }
        check(env, &store)?;
        Ok(Self { store, _lock: lock })
    }

    /// Begins a checkpoint: a store that somebody else fills, not yet under its name. What an
    /// interrupted one left there is removed.
    ///
    /// # Errors
    /// `NotAStore` when a store stands there already, `InUse`, `Io`.
    pub fn prepare(env: &Env, dir: &Path) -> Result<NewStore, SessionError> {
        let fs = env.fs();
        fs.create_dir(dir).map_err(io("make the directory"))?;
        let lock = lock(env, dir)?;
        let store = dir.join("store");
        if fs.exists(&store).map_err(io("look for a store"))? {
            return Err(SessionError::NotAStore {
                what: "there is a store already",
            });
        }
        let new = fresh(env, dir, CHECKPOINT)?;
        fs.create_dir(&new).map_err(io("make the checkpoint"))?;
        fs.sync_dir(dir).map_err(io("sync the directory"))?;
        Ok(NewStore {
            env: env.clone(),
            new,
            store,
            _lock: lock,
        })
    }

    /// Where the commit log stands.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.store.join("log")
    }

    /// Where the tables stand.
    #[must_use]
    pub fn tables(&self) -> PathBuf {
        self.store.join("tables")
    }
}

fn lock(env: &Env, dir: &Path) -> Result<Box<dyn Lock>, SessionError> {
    let path = dir.join("LOCK");
    let mut tries = 0;
    loop {
        tries += 1;
        match env.fs().lock_exclusive(&path) {
            Ok(lock) => return Ok(lock),
            // A holder that has just died, or a child of this process that has not begun its own
            // program yet, lets go in a moment.
            Err(error) if error.kind() == ErrorKind::WouldBlock && tries < LOCK_TRIES => {
                env.clock().sleep(LOCK_PAUSE);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let process = read_small(env, &path).ok();
                let process = process.and_then(|text| text.trim().parse().ok());
                return Err(SessionError::InUse { process });
            }
            Err(error) => return Err(io("lock the data directory")(error)),
        }
    }
}

/// A store in the making: it has no name before [`NewStore::finish`].
#[derive(Debug)]
pub struct NewStore {
    env: Env,
    new: PathBuf,
    store: PathBuf,
    _lock: Box<dyn Lock>,
}

impl NewStore {
    /// Where its commit log goes.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.new.join("log")
    }

    /// Where its tables go.
    #[must_use]
    pub fn tables(&self) -> PathBuf {
        self.new.join("tables")
    }

    /// Writes the store file, syncs everything and gives the store its name.
    ///
    /// # Errors
    /// `Io`; the half-made store is removed by the next try.
    pub fn finish(self) -> Result<(), SessionError> {
        name_store(&self.env, &self.new, &self.store)
    }
}

fn make(env: &Env, dir: &Path, store: &Path) -> Result<(), SessionError> {
    let new = fresh(env, dir, "store.new")?;
    for part in [new.clone(), new.join("log"), new.join("tables")] {
        env.fs().create_dir(&part).map_err(io("make the store"))?;
    }
    // The log is made here and never again: an opening that finds none has lost it.
    Log::open(env, &new.join("log"), LogOptions::default())?
        .log
        .close()?;
    name_store(env, &new, store)
}

/// A directory without a store in which a checkpoint was interrupted is no new one.
fn refuse_half_checkpoint(env: &Env, dir: &Path) -> Result<(), SessionError> {
    let half = env.fs().exists(&dir.join(CHECKPOINT));
    if half.map_err(io("look for a half-made checkpoint"))? {
        return Err(SessionError::NotAStore {
            what: "a checkpoint into it was interrupted; make it again, or remove the directory",
        });
    }
    Ok(())
}

/// Where a store is made; what an earlier try left there is removed.
fn fresh(env: &Env, dir: &Path, name: &str) -> Result<PathBuf, SessionError> {
    let new = dir.join(name);
    if env
        .fs()
        .exists(&new)
        .map_err(io("look for a half-made store"))?
    {
        env.fs()
            .remove_dir_all(&new)
            .map_err(io("remove a half-made store"))?;
    }
    Ok(new)
}

fn name_store(env: &Env, new: &Path, store: &Path) -> Result<(), SessionError> {
    let fs = env.fs();
    let file = fs
        .open(&new.join("STORE"), OpenMode::CreateNew)
        .map_err(io("make the store"))?;
    let text = format!("{MAGIC}{FORMAT_VERSION}\n");
    file.write_at(0, text.as_bytes())
        .map_err(io("write the store file"))?;
    file.sync_all().map_err(io("sync the store file"))?;
    fs.sync_dir(new).map_err(io("sync the store"))?;
    fs.rename_durable(new, store).map_err(io("name the store"))
}

fn check(env: &Env, store: &Path) -> Result<(), SessionError> {
    let text = read_small(env, &store.join("STORE")).map_err(|_| SessionError::NotAStore {
        what: "its STORE file cannot be read",
    })?;
    let version = text
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.trim_end().parse::<u32>().ok());
    let what = "its STORE file is damaged";
    let found = version.ok_or(SessionError::NotAStore { what })?;
    if found > FORMAT_VERSION {
        return Err(SessionError::LaterFormat {
            found,
            known: FORMAT_VERSION,
        });
    }
    if text != format!("{MAGIC}{found}\n") || found == 0 {
        return Err(SessionError::NotAStore { what });
    }
    for (part, what) in [
        ("log", "its log is missing"),
        ("tables", "its tables are missing"),
    ] {
        if !env
            .fs()
            .exists(&store.join(part))
            .map_err(io("look into the store"))?
        {
            return Err(SessionError::NotAStore { what });
        }
    }
    Ok(())
}

fn read_small(env: &Env, path: &Path) -> std::io::Result<String> {
    let file = env.fs().open(path, OpenMode::Read)?;
    let len = usize::try_from(file.len()?.min(64)).unwrap_or(64);
    let mut bytes = vec![0; len];
    file.read_at(0, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn io(action: &'static str) -> impl Fn(std::io::Error) -> SessionError {
    move |source| SessionError::Io { action, source }
}
