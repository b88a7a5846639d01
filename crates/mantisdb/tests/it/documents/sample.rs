//! Stands in for Debian's package index: the packages that the README shows, among many others.

use std::fmt::Write;

/// The packages that the README shows: name, version, section, size, sentence.
const SHOWN: &[[&str; 5]] = &[
    [
        "0ad",
        "0.0.26-3",
        "games",
        "7",
        "Real-time strategy game of ancient warfare",
    ],
    [
        "bash",
        "5.2.15-2+b13",
        "shells",
        "7",
        "GNU Bourne Again SHell",
    ],
    [
        "redis",
        "5:7.0.15-1~deb12u10",
        "database",
        "7",
        "Persistent key-value database with network interface (metapackage)",
    ],
    [
        "redis-redisearch",
        "1:1.2.2-4",
        "python",
        "7",
        "Full-text and secondary search index engine module for Redis",
    ],
    [
        "redis-redisearch-doc",
        "1:1.2.2-4",
        "doc",
        "7",
        "Full-text and secondary search index engine module for Redis (documentation)",
    ],
    [
        "redis-sentinel",
        "5:7.0.15-1~deb12u10",
        "database",
        "7",
        "Persistent key-value database with network interface (monitoring)",
    ],
    [
        "redis-server",
        "5:7.0.15-1~deb12u10",
        "database",
        "7",
        "Persistent key-value database with network interface",
    ],
    [
        "redis-tools",
        "5:7.0.15-1~deb12u10",
        "database",
        "7",
        "Persistent key-value database with network interface (client)",
    ],
];

/// How many others there are.
const OTHERS: usize = 2_000;

/// A text in the form of `apt-cache dumpavail`, with continued lines, quotes, backslashes and letters
/// beyond ASCII.
pub(crate) fn package_index() -> String {
    let mut text = String::new();
    let mut stanza = |[name, version, section, size, about]: [&str; 5]| {
        write!(
            text,
            "Package: {name}\nVersion: {version}\nInstalled-Size: {size}\nMaintainer: Nobody \
             <nobody@example.org>\nDepends: libc6 (>= 2.36), \"quoted\" \\ \u{e9}\nDescription: \
             {about}\nTag: role::program,\n scope::application\nSection: {section}\n\n"
        )
        .unwrap();
    };
    for package in SHOWN {
        stanza(*package);
    }
    for number in 0..OTHERS {
        let (name, size) = (format!("sample{number}"), number.to_string());
        stanza([
            &name,
            "1.0-1",
            "misc",
            &size,
            "a \"sample\" with \\ and \u{e9}",
        ]);
    }
    text
}
