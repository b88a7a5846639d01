//! Whether this machine has RocksDB's library, and how mantis-bench is then built with it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian and those who install by hand keep libraries.
const LIBRARY_DIRS: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib",
    "/usr/local/lib",
];

/// Switches the feature `rocksdb` on, where the library and what its binding is made with are there.
/// Otherwise the program says in RocksDB's place how to install them.
pub(crate) fn add(cargo: &mut Command) {
    if let (Some(dir), Some(_)) = (rocksdb_dir(), clang_dir()) {
        cargo
            .args(["--features", "rocksdb"])
            .env("ROCKSDB_LIB_DIR", dir);
    }
}

/// Where `librocksdb.so` is.
pub(crate) fn rocksdb_dir() -> Option<PathBuf> {
    find(LIBRARY_DIRS, |dir| dir.join("librocksdb.so").exists())
}

/// Where `libclang` is, which reads RocksDB's header.
pub(crate) fn clang_dir() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib").into_iter().flatten();
    let llvm = versions.flatten().map(|entry| entry.path().join("lib"));
    let llvm: Vec<_> = llvm
        .filter_map(|dir| dir.to_str().map(str::to_owned))
        .collect();
    let dirs: Vec<_> = LIBRARY_DIRS
        .iter()
        .copied()
        .chain(llvm.iter().map(String::as_str))
        .collect();
    find(&dirs, holds_clang)
}

fn find(dirs: &[&str], good: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    dirs.iter().map(PathBuf::from).find(|dir| good(dir))
}

fn holds_clang(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| is_clang(&name.to_string_lossy()))
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so`; its C++ twin cannot read a header.
fn is_clang(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let version = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    rest == ".so" || rest.starts_with(".so.") || rest.strip_prefix('-').is_some_and(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clang_is_known_by_its_library_and_not_by_its_relatives() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so.14.0.6"] {
            assert!(is_clang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangBasic.a", "clang.so"] {
            assert!(!is_clang(name), "{name}");
        }
    }

    #[test]
    fn the_first_directory_that_will_do_is_taken() {
        let found = find(&["/absent", "/", "/usr"], Path::exists);
        assert_eq!(found, Some(PathBuf::from("/")));
    }
}
