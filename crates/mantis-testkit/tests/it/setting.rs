//! What all parts share: the binary, sizes and seeds from the environment, a directory of one's own.

use mantis_testkit::rig::child::Binary;

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
