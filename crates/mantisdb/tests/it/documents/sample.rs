//! Stands in for Debian's package index: the packages that the README shows, among many others.

use std::fmt::Write;

/// The packages that the README shows: name, version, section, size, sentence.
const SHOWN: &[[&str; 5]] = &[];

/// How many others there are.
const OTHERS: usize = 2_000;

/// A text in the form of `apt-cache dumpavail`, with continued lines, quotes, backslashes, letters
/// beyond ASCII and a package in two versions.
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
        stanza([&name, "1.0-1", "misc", &size, "a \"sample\" with \\ and \u{e9}"]);
    }
    stanza(["sample1", "1.1-1", "misc", "7", "the same package in another version"]);
    text
}
