//! The table answers what the contract says about paths and methods.

use std::collections::BTreeSet;

use super::*;

fn path_of(path: &str, verb: Verb) -> Option<&'static str> {
    match find(path, Some(verb)) {
        Found::Surface(index) => Some(SURFACES[index].path),
        _ => None,
    }
}

#[test]
fn no_key_is_reserved_in_the_data_api() {
    for (verb, path, expected) in [
        (Verb::Get, "/api/v1/kv/batch", Some("/api/v1/kv/{*key}")),
        (Verb::Put, "/api/v1/kv/batch", Some("/api/v1/kv/{*key}")),
        (Verb::Post, "/api/v1/kv/batch", Some("/api/v1/kv/batch")),
        (
            Verb::Post,
            "/api/v1/kv/batch/increment",
            Some("/api/v1/kv/{*key}/increment"),
        ),
        (
            Verb::Get,
            "/api/v1/kv/a/increment",
            Some("/api/v1/kv/{*key}"),
        ),
        (Verb::Post, "/api/v1/kv/a", None),
        (Verb::Get, "/api/v1/kv/", Some("/api/v1/kv/{*key}")),
        (Verb::Get, "/api/kv/stats", Some("/api/kv/stats")),
        (Verb::Get, "/api/kv/a/exists", Some("/api/kv/{*key}/exists")),
        (Verb::Put, "/api/kv/a/exists", Some("/api/kv/{*key}")),
        (Verb::Head, "/health", Some("/health")),
    ] {
        assert_eq!(path_of(path, verb), expected, "{verb:?} {path}");
    }
}

#[test]
fn a_wrong_method_names_all_that_the_path_has() {
    let Found::WrongVerb { allowed, .. } = find("/api/v1/kv/a", Some(Verb::Post)) else {
        panic!("POST on a key is not a surface");
    };
    assert_eq!(allow_list(allowed), "GET, HEAD, PUT, DELETE");
    let Found::WrongVerb { allowed, .. } = find("/api/v1/kv/a/increment", None) else {
        panic!("an unknown method is no surface");
    };
    assert_eq!(allow_list(allowed), "GET, HEAD, POST, PUT, DELETE");
}

#[test]
fn unknown_paths_ask_for_what_is_around_them() {
    for (path, expected) in [
        ("/nothing", Rule::Open),
        ("/api/v1/nothing", Rule::Data),
        ("/api/nothing", Rule::Admin),
    ] {
        assert!(
            matches!(find(path, Some(Verb::Get)), Found::Nothing { rule } if rule == expected),
            "{path}"
        );
    }
}

#[test]
fn every_row_has_a_rule_that_fits_its_place() {
    for surface in SURFACES {
        let admin = Shape::of(surface.path) == Shape::Bare;
        let open_admin = surface.path.starts_with("/api/auth/") || surface.path == "/api/health";
        let as_data = surface.path == "/api/metrics/prometheus";
        match surface.rule {
            Rule::Open => assert!(!admin || open_admin, "{} is open", surface.path),
            Rule::Data => assert!(!admin || as_data, "{} is for everyone", surface.path),
            Rule::Admin | Rule::AdminPage => assert!(admin, "{}", surface.path),
        }
        if surface.rule == Rule::AdminPage {
            assert_eq!(surface.verbs, [Verb::Get], "{} may only show", surface.path);
        }
        if surface.path.starts_with("/api/v1/") {
            assert_eq!(surface.rule, Rule::Data, "{}", surface.path);
        }
    }
}

#[test]
fn rows_are_unique_and_reachable() {
    let mut seen = BTreeSet::new();
    for (index, surface) in SURFACES.iter().enumerate() {
        for verb in surface.verbs {
            assert!(
                seen.insert((surface.path, *verb)),
                "{} {verb:?} twice",
                surface.path
            );
            let sample = surface.path.replace("{*", "{").replace(['{', '}'], "~");
            assert!(
                matches!(find(&sample, Some(*verb)), Found::Surface(found) if found == index),
                "{verb:?} {} is hidden by a wider row",
                surface.path
            );
        }
        assert!(!surface.verbs.is_empty(), "{}", surface.path);
    }
}
