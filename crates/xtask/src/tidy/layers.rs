//! Which crate may depend on which: the table of ARCHITECTURE.md.

use super::Fault;
use crate::tree::{Dependency, Package, Tree};

/// Where a crate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    /// Shipped; may depend on crates with a smaller number only.
    Shipped(u8),
    /// Serves the developers; may depend on everything, and nothing shipped depends on it.
    Dev,
}

/// Crates that the plan names stand here before they exist, so that a new one has its place.
const LAYERS: &[(&str, Layer)] = &[
    ("mantis-types", Layer::Shipped(0)),
    ("mantis-env", Layer::Shipped(0)),
    ("mantis-log", Layer::Shipped(1)),
    ("mantis-engine", Layer::Shipped(2)),
    ("mantis-txn", Layer::Shipped(3)),
    ("mantis-catalog", Layer::Shipped(4)),
    ("mantis-kv", Layer::Shipped(5)),
    ("mantis-table", Layer::Shipped(5)),
    ("mantis-doc", Layer::Shipped(5)),
    ("mantis-cache", Layer::Shipped(5)),
    ("mantis-sql", Layer::Shipped(6)),
    ("mantis-pool", Layer::Shipped(6)),
    ("mantis-auth", Layer::Shipped(6)),
    ("mantis-session", Layer::Shipped(7)),
    ("mantis-http", Layer::Shipped(8)),
    ("mantis-resp", Layer::Shipped(8)),
    ("mantis-pgwire", Layer::Shipped(8)),
    ("mantis-ffi", Layer::Shipped(8)),
    ("mantisdb", Layer::Shipped(9)),
    ("mantis-testkit", Layer::Dev),
    ("mantis-bench", Layer::Dev),
    ("xtask", Layer::Dev),
];

/// Outside crates that only some of ours may name, in any kind of dependency.
const OWNED: &[(&str, &[&str])] = &[
    ("lsm-tree", &["mantis-engine"]),
    ("slatedb", &["mantis-engine"]),
    ("datafusion", &["mantis-sql", "mantis-table"]),
];

/// Errors without a type are for programs, not for libraries.
const ANYHOW_USERS: &[&str] = &["mantisdb", "mantis-testkit", "mantis-bench", "xtask"];

/// The first layer that may use an async runtime.
const RUNTIME_LAYER_MIN: u8 = 6;

/// Beyond this many features nobody tests all combinations.
const FEATURES_COUNT_MAX: usize = 3;

/// Every edge between our crates goes to a lower layer, and nothing shipped stands on a dev crate.
pub(super) fn edges_go_down(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for package in &tree.packages {
        let Some(from) = layer_of(&package.name) else {
            faults.push(fault(
                package,
                "has no layer: give it one in xtask/src/tidy/layers.rs",
            ));
            continue;
        };
        for dependency in &package.dependencies {
            let Some(to) = layer_of(&dependency.name) else {
                continue;
            };
            if let Some(why) = forbidden(from, to, dependency) {
                faults.push(fault(
                    package,
                    &format!("must not depend on {}: {why}", dependency.name),
                ));
            }
        }
    }
    faults
}

fn forbidden(from: Layer, to: Layer, dependency: &Dependency) -> Option<String> {
    match (from, to) {
        (Layer::Dev, _) => None,
        (Layer::Shipped(_), Layer::Dev) if dependency.kind.as_deref() == Some("dev") => None,
        (Layer::Shipped(_), Layer::Dev) => {
            Some("it is for developers and does not ship".to_owned())
        }
        (Layer::Shipped(from), Layer::Shipped(to)) if to < from => None,
        (Layer::Shipped(from), Layer::Shipped(to)) => {
            Some(format!("layer {from} to layer {to} is not downward"))
        }
    }
}

/// Engines, runtimes and untyped errors stay where they belong.
pub(super) fn restricted_dependencies(tree: &Tree) -> Vec<Fault> {
    let mut faults = Vec::new();
    for package in &tree.packages {
        for dependency in &package.dependencies {
            if let Some(owners) = owners_of(package, dependency) {
                faults.push(fault(
                    package,
                    &format!("must not depend on {}: {owners}", dependency.name),
                ));
            }
        }
    }
    faults
}

/// Why this package may not have this dependency; `None` when it may.
fn owners_of(package: &Package, dependency: &Dependency) -> Option<String> {
    let user = package.name.as_str();
    if let Some((_, owners)) = OWNED.iter().find(|(name, _)| *name == dependency.name) {
        return (!owners.contains(&user)).then(|| format!("only {} may", owners.join(", ")));
    }
    if dependency.name == "anyhow" && dependency.kind.as_deref() != Some("dev") {
        return (!ANYHOW_USERS.contains(&user)).then(|| "libraries have typed errors".to_owned());
    }
    let below = matches!(layer_of(user), Some(Layer::Shipped(layer)) if layer < RUNTIME_LAYER_MIN);
    let runtime = dependency.name == "tokio" || dependency.name.starts_with("tokio-");
    (below && runtime).then(|| format!("there is no runtime below layer {RUNTIME_LAYER_MIN}"))
}

/// A crate has few features, since each must be built and tested with every other.
pub(super) fn features_are_few(tree: &Tree) -> Vec<Fault> {
    let count = |package: &Package| {
        package
            .features
            .keys()
            .filter(|name| *name != "default")
            .count()
    };
    let over = tree
        .packages
        .iter()
        .filter(|package| count(package) > FEATURES_COUNT_MAX);
    over.map(|package| {
        fault(
            package,
            &format!(
                "has {} features, at most {FEATURES_COUNT_MAX}",
                count(package)
            ),
        )
    })
    .collect()
}

fn layer_of(name: &str) -> Option<Layer> {
    LAYERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|&(_, layer)| layer)
}

fn fault(package: &Package, message: &str) -> Fault {
    Fault::new(
        &format!("crates/{}/Cargo.toml", package.name),
        1,
        format!("{} {message}", package.name),
    )
}
