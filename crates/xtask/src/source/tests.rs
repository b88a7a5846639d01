//! Tests of the views on source.

use super::*;

fn test_lines(text: &str) -> Vec<usize> {
    TextFile::new("crates/x/src/a.rs", text)
        .lines()
        .filter(|l| l.in_test)
        .map(|l| l.number)
        .collect()
}

#[test]
fn comments_and_strings_are_blanked_and_code_stays() {
    let cases = [
        ("a // unsafe\nb", "a          \nb"),
        ("a /* x /* y */ z */ b", "a                   b"),
        (r#"f("un\"safe", 'x', '\'')"#, r#"f("        ", ' ', '  ')"#),
        ("r#\"a\"b\"# + c", "r#\"   \"# + c"),
        ("br\"a\" c", "br\" \" c"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("'\"' + x", "' ' + x"),
        ("var\"", "var\""),
    ];
    for (text, expected) in cases {
        assert_eq!(mask(text), expected, "{text}");
    }
}

#[test]
fn an_open_comment_or_string_is_masked_to_the_end() {
    assert_eq!(mask("a /* b"), "a     ");
    assert_eq!(mask("a \"b"), "a \" ");
    assert_eq!(mask("a r\"b"), "a r\" ");
}

#[test]
fn inline_test_modules_and_test_items_are_found() {
    assert_eq!(
        test_lines("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() {}\n}\nfn c() {}\n"),
        [2, 3, 4, 5]
    );
    assert_eq!(
        test_lines("#[cfg(test)]\n#[path = \"x\"]\nfn a(x: [u8; 2]) {\n}\nfn b() {}"),
        [1, 2, 3, 4]
    );
    assert_eq!(
        test_lines("#[cfg(all(test, unix))]\nuse a::{b};\nfn c() {}"),
        [1, 2]
    );
    assert_eq!(test_lines("// #[cfg(test)]\nmod a {}\n"), [0; 0]);
    assert_eq!(test_lines("#[cfg(any(test, x))]\nmod a {}\n"), [0; 0]);
}

#[test]
fn test_modules_in_files_of_their_own_are_named() {
    let stems = |path| {
        TextFile::new(
            path,
            "#[cfg(test)]\nmod mc;\nmod b;\n#[cfg(test)]\nmod inline {}\n",
        )
        .test_module_stems()
    };
    assert_eq!(stems("crates/x/src/ring.rs"), ["crates/x/src/ring/mc"]);
    assert_eq!(stems("crates/x/src/lib.rs"), ["crates/x/src/mc"]);
}

#[test]
fn files_below_tests_and_benches_are_tests() {
    for path in [
        "crates/x/tests/it/main.rs",
        "crates/x/benches/b.rs",
        "crates/x/src/a/tests.rs",
        "fuzz/a.rs",
    ] {
        assert!(
            TextFile::new(path, "fn a() {}").lines().all(|l| l.in_test),
            "{path}"
        );
    }
    assert!(
        TextFile::new("crates/x/src/contests.rs", "fn a() {}")
            .lines()
            .all(|l| !l.in_test)
    );
}

#[test]
fn words_are_whole() {
    assert!(has_word("an unsafe block", "unsafe"));
    assert!(has_word("unsafe{", "unsafe"));
    assert!(!has_word("unsafe_code", "unsafe"));
    assert!(!has_word("is_unsafe", "unsafe"));
}
