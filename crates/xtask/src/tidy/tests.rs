//! The control of every check: faults that it must find, and clean twins that it must pass.

use std::collections::BTreeMap;

use super::*;
use crate::source::TextFile;
use crate::tree::{Dependency, Package};

/// A tree of files, and of packages written as `name: dependency, dev dependency/dev`.
fn tree(files: &[(&str, &str)], packages: &[&str]) -> Tree {
    let files = files
        .iter()
        .map(|(path, text)| TextFile::new(path, text))
        .collect();
    Tree::new(files, packages.iter().map(|text| package(text)).collect())
}

fn package(text: &str) -> Package {
    let (name, rest) = text.split_once(": ").unwrap_or((text, ""));
    let dependencies = rest
        .split(", ")
        .filter(|edge| !edge.is_empty())
        .map(|edge| {
            let (name, kind) = edge
                .split_once('/')
                .map_or((edge, None), |(n, k)| (n, Some(k)));
            Dependency {
                name: name.into(),
                kind: kind.map(Into::into),
            }
        });
    Package {
        name: name.into(),
        dependencies: dependencies.collect(),
        targets: Vec::new(),
        features: BTreeMap::new(),
    }
}

/// One planted fault and its clean twin, as Rust of a shipped crate.
fn line_in(path: &str, faulty: &str, clean: &str) -> (Tree, Tree) {
    (tree(&[(path, faulty)], &[]), tree(&[(path, clean)], &[]))
}

fn edges(faulty: &str, clean: &str) -> (Tree, Tree) {
    (tree(&[], &[faulty]), tree(&[], &[clean]))
}

const PRODUCT: &str = "crates/mantis-kv/src/read.rs";

/// Pairs of a faulty tree and its clean twin, for the check of this name.
fn controls(check: &str) -> Vec<(Tree, Tree)> {
    match check {
        "layers" | "owned dependencies" | "features" => package_controls(check),
        "file sizes" => size_controls(),
        "module docs" | "links" | "indexes" => docs_controls(check),
        "file names" | "type names" | "root Markdown" => name_controls(check),
        "words" | "machine paths" => word_controls(check),
        "unsafe" | "access" | "ignored tests" | "allowed lints" => border_controls(check),
        "dependency reasons" | "crate manifests" | "unused dependencies" => {
            manifest_controls(check)
        }
        _ => Vec::new(),
    }
}

fn package_controls(check: &str) -> Vec<(Tree, Tree)> {
    match check {
        "layers" => vec![
            edges("mantis-engine: mantis-txn", "mantis-txn: mantis-engine"),
            edges(
                "mantis-kv: mantis-doc",
                "mantis-session: mantis-kv, mantis-doc",
            ),
            edges(
                "mantis-env: mantis-types",
                "mantis-log: mantis-types, mantis-env",
            ),
            edges(
                "mantis-log: mantis-engine/dev",
                "mantis-log: mantis-types/dev",
            ),
            edges("mantis-kv: mantis-testkit", "mantis-kv: mantis-testkit/dev"),
            edges(
                "mantis-kv: mantis-testkit/build",
                "mantis-bench: mantis-testkit",
            ),
            edges("mantis-new: serde", "xtask: serde"),
        ],
        "owned dependencies" => vec![
            edges("mantis-txn: lsm-tree", "mantis-engine: lsm-tree"),
            edges("mantis-bench: slatedb/dev", "mantis-engine: slatedb/dev"),
            edges("mantis-catalog: tokio", "mantis-http: tokio"),
            edges("mantis-log: tokio-util/dev", "mantis-testkit: tokio"),
            edges("mantis-http: anyhow", "mantis-http: anyhow/dev"),
            edges("mantis-types: anyhow", "mantisdb: anyhow"),
        ],
        _ => {
            let with = |names: &[&str]| {
                let mut package = package("mantis-kv");
                package.features = names
                    .iter()
                    .map(|name| ((*name).to_owned(), Vec::new()))
                    .collect();
                Tree::new(Vec::new(), vec![package])
            };
            vec![(
                with(&["a", "b", "c", "d"]),
                with(&["a", "b", "c", "default"]),
            )]
        }
    }
}

fn size_controls() -> Vec<(Tree, Tree)> {
    let lines = |count: usize| "//! A line.\n".repeat(count);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(300));
    vec![
        line_in(PRODUCT, &lines(801), &lines(800)),
        line_in(PRODUCT, &(lines(801) + &tests), &(lines(700) + &tests)),
        line_in("crates/mantisdb/src/main.rs", &lines(61), &lines(60)),
        (
            tree(&[(PRODUCT, &lines(900))], &[]),
            tree(&[("crates/mantis-kv/tests/it/a.rs", &lines(900))], &[]),
        ),
    ]
}

fn docs_controls(check: &str) -> Vec<(Tree, Tree)> {
    let page = |text| ("docs/guide/start.md", text);
    let index = |text| ("docs/guide/README.md", text);
    match check {
        "module docs" => vec![
            line_in(PRODUCT, "use std::fmt;\n", "//! Reads values.\n"),
            line_in(PRODUCT, "// Reads values.\n", "//! Reads values.\n"),
            line_in(PRODUCT, "//! x\n", "//! Reads values.\n"),
            line_in(PRODUCT, "", "//! Reads values.\n"),
            line_in(PRODUCT, "\n//! Reads values.\n", "//! Reads values.\n\n"),
        ],
        "links" => vec![
            line_in(
                "README.md",
                "[a](docs/none.md)",
                "[a](README.md#b) [c](https://example.org)",
            ),
            line_in("docs/a.md", "[a](../../up.md)", "[a](../docs) [b](#c)"),
            line_in(
                "README.md",
                "[a](none)\n```\n[b](c)\n```",
                "```\n[a](none)\n```",
            ),
        ],
        _ => vec![
            (
                tree(&[page("x")], &[]),
                tree(&[page("x"), index("[start](start.md)")], &[]),
            ),
            (
                tree(&[page("x"), index("start.md")], &[]),
                tree(&[index("nothing")], &[]),
            ),
        ],
    }
}

fn name_controls(check: &str) -> Vec<(Tree, Tree)> {
    let named = |faulty, clean| (tree(&[(faulty, "")], &[]), tree(&[(clean, "")], &[]));
    match check {
        "file names" => vec![
            named(
                "crates/mantis-kv/src/utils.rs",
                "crates/mantis-kv/src/cursor.rs",
            ),
            named(
                "crates/mantis-kv/src/key_helper.rs",
                "crates/mantis-kv/src/helpless.rs",
            ),
            named(
                "crates/mantis-common/src/lib.rs",
                "crates/mantis-uncommon/src/lib.rs",
            ),
            named(
                "crates/mantis-kv/src/read/mod.rs",
                "crates/mantis-kv/src/modules.rs",
            ),
            named("admin/src/utils.ts", "docs/utils.md"),
            line_in(
                PRODUCT,
                "pub(crate) mod helper {",
                "// mod helper\npub(crate) mod cursor {",
            ),
        ],
        "type names" => vec![
            line_in(
                PRODUCT,
                "pub struct PoolManager {",
                "pub struct Pool { manager: PoolManager",
            ),
            line_in(
                PRODUCT,
                "pub(crate) trait KeyHelper<T>:",
                "/// struct KeyHelper\ntrait Helpful {}",
            ),
        ],
        _ => vec![
            named("STATUS.md", "docs/STATUS.md"),
            named("notes.MD", "README.md"),
        ],
    }
}

fn word_controls(check: &str) -> Vec<(Tree, Tree)> {
    if check == "machine paths" {
        let root = concat!("/ro", "ot");
        let work = concat!("/wo", "rk");
        return vec![
            line_in(
                "README.md",
                &format!("cd {work}/main"),
                "cd ~/main; see src/work/main.rs",
            ),
            line_in("Makefile", &format!("P={root}"), "P=$(ROOT)/root"),
            line_in(
                PRODUCT,
                &format!("\"{root}/x\""),
                "\"http://host/root/x\", /rooted, /work-load",
            ),
            line_in(
                "crates/x/tests/it/main.rs",
                &format!("(\"{work}\")"),
                "(\"networks\")",
            ),
        ];
    }
    vec![
        line_in(PRODUCT, "struct MockStore;", "struct Store; // hammock"),
        line_in(
            PRODUCT,
            "let mock_store = 1;",
            "#[cfg(test)]\nmod tests {\n let mock = 1;\n}",
        ),
        line_in(PRODUCT, "// a placeholder", "// a parameter"),
        line_in(PRODUCT, "fn simulate() {}", "fn run() {}"),
        (
            tree(&[(PRODUCT, "// simulated")], &[]),
            tree(&[("crates/mantis-env/src/a.rs", "// simulated")], &[]),
        ),
        (
            tree(
                &[
                    ("crates/a/src/lib.rs", "#[cfg(any(test, x))]\nmod b;"),
                    ("crates/a/src/b.rs", "// mock"),
                ],
                &[],
            ),
            tree(
                &[
                    ("crates/a/src/lib.rs", "#[cfg(test)]\nmod b;"),
                    ("crates/a/src/b.rs", "// mock"),
                ],
                &[],
            ),
        ),
        line_in(PRODUCT, "// TODO: later", "// TODO(#12): later; TODOs"),
        line_in(PRODUCT, "// FIXME(me)", "// fixme is lower-case prose"),
        line_in(PRODUCT, "// TODO(#1) and TODO", "// TODO(#1) and TODO(#2)"),
        line_in("crates/mantis-env/src/a.rs", "// TODO", "// mock"),
        line_in("docs/a.md", "Coming soon!", "It comes with the release."),
        line_in(PRODUCT, "\"Not implemented yet\"", "\"not_implemented\""),
    ]
}

fn border_controls(check: &str) -> Vec<(Tree, Tree)> {
    match check {
        "unsafe" => vec![
            line_in(PRODUCT, "unsafe { f() }", "// unsafe\nlet x = \"unsafe\";"),
            line_in(
                PRODUCT,
                "#![expect(unsafe_code, reason = \"\")]",
                "fn not_unsafe_code() {}",
            ),
            (
                tree(
                    &[("crates/mantis-kv/tests/it/a.rs", "unsafe fn f() {}")],
                    &[],
                ),
                tree(&[("crates/mantis-ffi/src/lib.rs", "unsafe fn f() {}")], &[]),
            ),
        ],
        "access" => vec![
            line_in(
                PRODUCT,
                "Access::grant()",
                "/// Access::grant()\nfn f(access: Access) {}",
            ),
            line_in(
                PRODUCT,
                "Access :: grant ()",
                "#[cfg(test)]\nmod t {\n Access::grant();\n}",
            ),
            (
                tree(
                    &[("crates/mantis-http/src/a.rs", "mantis_types::Access::grant")],
                    &[],
                ),
                tree(
                    &[(
                        "crates/mantis-session/src/a.rs",
                        "mantis_types::Access::grant",
                    )],
                    &[],
                ),
            ),
        ],
        "ignored tests" => vec![
            line_in(PRODUCT, "#[ignore]", "// #[ignore]"),
            line_in("crates/x/tests/it/a.rs", "#[ignore = \"slow\"]", "#[test]"),
            line_in(
                PRODUCT,
                "#[cfg_attr(miri, ignore)]",
                "#[cfg_attr(miri, expect(x))]\nignore();",
            ),
        ],
        _ => vec![
            line_in(
                PRODUCT,
                "#[allow(dead_code)]",
                "#[expect(dead_code, reason = \"x\")]",
            ),
            line_in(PRODUCT, "#![allow(dead_code)]", "// #[allow(dead_code)]"),
            line_in("crates/x/tests/it/a.rs", "# [ allow (x)]", "allow(x)"),
            line_in(
                PRODUCT,
                "#[cfg_attr(test, allow(x))]",
                "#[cfg_attr(test, expect(x))]",
            ),
        ],
    }
}

const MANIFEST: &str = "crates/mantis-kv/Cargo.toml";

fn manifest_controls(check: &str) -> Vec<(Tree, Tree)> {
    match check {
        "dependency reasons" => reason_controls(),
        "crate manifests" => inheritance_controls(),
        _ => unused_controls(),
    }
}

fn reason_controls() -> Vec<(Tree, Tree)> {
    let with = |lines: &str| {
        let ours = "mantis-kv = { path = \"x\" }";
        let text = format!("[package]\nx = 1\n[workspace.dependencies]\n{ours}\n{lines}");
        tree(&[("Cargo.toml", &text)], &[])
    };
    let good = "bytes = \"1\" # shared values\n";
    vec![
        (with("bytes = \"1\"\n"), with(good)),
        (
            with("bytes = \"1\" #\n"),
            with(&format!("# a remark\n{good}")),
        ),
        (
            with("http = \"1\" # a\nbytes = \"1\" # b\n"),
            with("bytes = \"1\" # b\nhttp = \"1\" # a\n"),
        ),
        (tree(&[], &[]), with("")),
    ]
}

fn inheritance_controls() -> Vec<(Tree, Tree)> {
    let bare = |text: &str| tree(&[(MANIFEST, text)], &[]);
    let with = |lines: &str| bare(&format!("[lints]\nworkspace = true\n{lines}"));
    let bytes = "[dependencies]\nbytes.workspace = true\n";
    let table = "[dev-dependencies]\nbytes = { workspace = true }\n";
    vec![
        (with("[dependencies]\nbytes = \"1\"\n"), with(bytes)),
        (
            with("[dev-dependencies]\nbytes = { path = \"x\" }\n"),
            with(table),
        ),
        (
            with("[target.'cfg(unix)'.dependencies]\nbytes = \"1\"\n"),
            with("[features]\nbytes = []\n"),
        ),
        (with("[dependencies.bytes]\nversion = \"1\"\n"), with(bytes)),
        (bare(bytes), with("")),
        (bare("[lints]\nworkspace = false\n"), with("")),
    ]
}

fn unused_controls() -> Vec<(Tree, Tree)> {
    let using = |entry: &str, path: &str, source: &str| {
        tree(
            &[
                (MANIFEST, &format!("[dependencies]\n{entry}\n")),
                (path, source),
            ],
            &[],
        )
    };
    let tables = "lsm-tree.workspace = true";
    let bytes = "bytes.workspace = true";
    let floor = "bytes.workspace = true # floor for others";
    vec![
        (
            using(tables, PRODUCT, "use lsm;"),
            using(tables, PRODUCT, "use lsm_tree;"),
        ),
        (using(bytes, PRODUCT, "nbytes"), using(floor, PRODUCT, "")),
        (
            using(bytes, "crates/x/src/a.rs", "bytes"),
            using(bytes, PRODUCT, "bytes::Bytes"),
        ),
    ]
}

#[test]
fn every_check_finds_its_planted_faults_and_passes_the_clean_twins() {
    for check in CHECKS {
        let controls = controls(check.name);
        assert!(
            !controls.is_empty(),
            "the check `{}` has no control",
            check.name
        );
        for (index, (faulty, clean)) in controls.iter().enumerate() {
            let found = (check.run)(faulty);
            assert!(
                !found.is_empty(),
                "`{}` misses planted fault {index}: {faulty:?}",
                check.name
            );
            let found = (check.run)(clean);
            assert_eq!(found, [], "`{}` refuses clean twin {index}", check.name);
        }
    }
}

#[test]
fn a_fault_names_its_place() {
    let tree = tree(&[(PRODUCT, "//! Reads.\n\nunsafe {}")], &[]);
    let faults = borders::unsafe_blocks(&tree);
    assert_eq!(
        faults[0].to_string(),
        format!("{PRODUCT}:3: unsafe belongs in mantis-ffi only")
    );
}

#[test]
fn an_exception_to_the_size_can_only_shrink() {
    let lines = |count: usize| tree(&[(PRODUCT, &"//! A line.\n".repeat(count))], &[]);
    let faults = |count, granted| sizes::check_with(&lines(count), &[(PRODUCT, granted)]).len();
    assert_eq!(faults(900, 900), 0, "as long as its exception says");
    assert_eq!(faults(901, 900), 1, "it has grown");
    assert_eq!(
        faults(899, 900),
        1,
        "it has shrunk, and the exception must follow"
    );
    assert_eq!(faults(700, 900), 1, "it needs none any more");
    assert_eq!(
        sizes::check_with(&tree(&[], &[]), &[(PRODUCT, 900)]).len(),
        1,
        "the file is gone"
    );
}
