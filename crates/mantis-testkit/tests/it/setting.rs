//! What all parts share: the binary, sizes and seeds from the environment, a directory of one's own.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mantis_env::{Env, Fs};
use mantis_session::{Database, SessionError};
use mantis_testkit::rig::child::Binary;
use mantis_testkit::rig::store::options;
use mantis_testkit::rig::target::StoreSize;
use mantis_types::Code;

/// The rig's own binary, which plays the children.
pub(crate) fn binary() -> Binary {
    Binary::new(env!("CARGO_BIN_EXE_crash"))
}

/// The number in the variable `name`, or `otherwise`.
pub(crate) fn size(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name);
    text.map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number"))
    })
}

/// The seed of this run: `RIG_SEED`, or drawn anew; printed, so that a failure can be repeated.
pub(crate) fn seed(part: &str) -> u64 {
    let drawn = u64::from(std::process::id()) << 20 | u64::from(line!());
    let seed = size("RIG_SEED", drawn);
    println!("{part}: repeat with RIG_SEED={seed}");
    seed
}

/// A directory on the disk that holds the build, not on a tmpfs.
pub(crate) fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target directory is writable")
}

/// Opens a small store over a file system. A database that was dropped a moment ago may still hold
/// the directory while its last background step ends: that is waited for.
pub(crate) fn open(dir: &Path, fs: &Arc<dyn Fs>) -> Result<Database, SessionError> {
    let env = Env::real().with_fs(Arc::clone(fs));
    let mut tries = 0;
    loop {
        let opened = Database::open(options(env.clone(), dir, StoreSize::Small));
        let is_held = opened
            .as_ref()
            .is_err_and(|error| error.code() == Code::Starting);
        if !is_held || tries == 1000 {
            return opened;
        }
        tries += 1;
        thread::park_timeout(Duration::from_millis(5));
    }
}
