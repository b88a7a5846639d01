//! How long a file may be.

use super::Fault;
use crate::tree::Tree;

/// Lines of a file without its tests. Ask yourself at 500.
const LINES_MAX: usize = 800;

/// Lines of a `main.rs`: it reads arguments and calls the library.
const MAIN_LINES_MAX: usize = 60;

/// Files that may be longer, with their length. May only shrink: an entry must name the exact
/// length, so that a file that got shorter takes its entry down with it.
const ALLOWED: &[(&str, usize)] = &[];

/// No file is longer than it may be, and no exception is larger than it needs to be.
pub(super) fn check(tree: &Tree) -> Vec<Fault> {
    check_with(tree, ALLOWED)
}

pub(super) fn check_with(tree: &Tree, allowed: &[(&str, usize)]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in tree.rust_files() {
        let lines_count = file.product_lines().count();
        let max = lines_max(&file.path, allowed);
        if lines_count > max {
            let message = format!("{lines_count} lines without tests, at most {max}");
            faults.push(Fault::new(&file.path, max + 1, message));
        }
    }
    for &(path, granted) in allowed {
        let file = tree.files.iter().find(|file| file.path == path);
        let lines_count = file.map_or(0, |file| file.product_lines().count());
        if lines_count <= LINES_MAX {
            faults.push(Fault::new(
                path,
                1,
                "needs no exception any more: take it off the list",
            ));
        } else if lines_count < granted {
            let message =
                format!("has shrunk: lower its exception from {granted} to {lines_count}");
            faults.push(Fault::new(path, 1, message));
        }
    }
    faults
}

fn lines_max(path: &str, allowed: &[(&str, usize)]) -> usize {
    if path.ends_with("/main.rs") {
        return MAIN_LINES_MAX;
    }
    allowed
        .iter()
        .find(|(known, _)| *known == path)
        .map_or(LINES_MAX, |&(_, max)| max)
}
