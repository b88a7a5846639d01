//! The tables of the guide against what the program says of itself.

use std::collections::BTreeSet;

use mantisdb::Code;
use rustix::process::Signal;

use super::{guide, page};
use crate::program::{Place, Server};

/// The first cells of a page's tables that are code, without the quotes, each with the other cells.
fn rows(page: &str) -> Vec<(String, Vec<String>)> {
    let rows = page.lines().filter_map(|line| {
        let line = line.strip_prefix('|')?.strip_suffix('|')?;
        let mut cells = line.split('|').map(|cell| cell.trim().to_owned());
        let first = cells.next()?;
        let first = first.strip_prefix('`')?.strip_suffix('`')?;
        Some((first.to_owned(), cells.collect()))
    });
    rows.collect()
}

#[track_caller]
fn assert_same(documented: &BTreeSet<String>, real: &BTreeSet<String>) {
    let missing: Vec<_> = real.difference(documented).collect();
    let invented: Vec<_> = documented.difference(real).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "missing on the page: {missing:?}; only on the page: {invented:?}"
    );
}

/// Every route that is there, as `METHOD /path`.
fn routes(server: &Server, available: bool) -> BTreeSet<String> {
    let (status, answer) = server.request("GET", "/api/v1/capabilities", None, "");
    assert_eq!(status, 200, "{answer}");
    let mut found = BTreeSet::new();
    for surface in answer["data"]["surfaces"].as_array().unwrap() {
        if surface["available"] != available {
            continue;
        }
        let path = surface["path"].as_str().unwrap();
        for method in surface["methods"].as_array().unwrap() {
            found.insert(format!("{} {path}", method.as_str().unwrap()));
        }
    }
    found
}

#[test]
fn the_rest_page_lists_every_route_and_no_other() {
    let place = Place::new();
    let server = place.serve();
    let documented: BTreeSet<_> = rows(&page("docs/guide/rest-api.md"))
        .into_iter()
        .map(|(first, _)| first)
        .filter(|first| first.contains(" /"))
        .collect();
    assert_same(&documented, &routes(&server, true));
}

/// A page may name a path that answers 501 only to show that answer.
#[test]
fn no_page_offers_a_route_that_is_not_there() {
    let place = Place::new();
    let server = place.serve();
    let absent: BTreeSet<_> = routes(&server, false)
        .iter()
        .filter_map(|route| {
            let path = route.split_once(' ')?.1.split("/{").next()?;
            (path.len() > 1).then(|| path.to_owned())
        })
        .collect();
    let there: BTreeSet<_> = routes(&server, true)
        .iter()
        .filter_map(|route| Some(route.split_once(' ')?.1.split("/{").next()?.to_owned()))
        .collect();
    let only_absent: Vec<_> = absent.difference(&there).collect();
    assert!(only_absent.len() > 10, "{only_absent:?}");
    for name in guide().into_iter().chain(["README.md".to_owned()]) {
        let text = page(&name);
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let named = only_absent.iter().find(|path| names(line, path));
            let answer = lines.peek().copied().unwrap_or_default();
            let shown = answer.contains("\"code\":\"not_implemented\"");
            assert!(named.is_none() || shown, "{name}: {line}");
        }
    }
}

/// Whether the path stands here, and not as the beginning of another.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let next = line[at + path.len()..].chars().next();
        let before = line[..at].chars().next_back();
        let goes_on = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let longer = |c: char| goes_on(c) || matches!(c, '.' | '}' | '/');
        // The address of a server stands before a path.
        let address = line[..at].ends_with(":8080");
        (address || !before.is_some_and(longer)) && !next.is_some_and(goes_on)
    })
}

#[test]
fn the_errors_page_has_every_code_with_its_status() {
    let text = page("docs/guide/errors.md");
    let table = rows(&text);
    for code in Code::ALL {
        let row = table.iter().find(|(word, _)| word == code.as_str());
        let Some((_, cells)) = row else {
            let quoted = format!("`{code}`");
            assert!(text.contains(&quoted), "{code} is not on the page");
            continue;
        };
        let retryable = if code.kind().retryable() { "yes" } else { "no" };
        assert_eq!(cells[0], code.http_status().to_string(), "{code}");
        assert_eq!(cells[1], retryable, "{code}");
    }
    let words = table.iter().filter(|(_, cells)| cells.len() == 3);
    for (word, _) in words {
        let known = Code::ALL.iter().any(|code| code.as_str() == word);
        assert!(known, "{word} is no code");
    }
}

#[test]
fn the_operations_page_has_every_metric_with_its_type() {
    let place = Place::new();
    let server = place.serve();
    server.put("a", "1");
    // From now on the value stands in a table, so that reads ask the caches.
    assert_eq!(server.end_by(Signal::TERM), Some(0));
    let server = place.serve();
    server.put("b", "2");
    assert_eq!(server.get("a").as_deref(), Some("1"));
    assert_eq!(server.request("PATCH", "/api/v1/kv/a", None, "").0, 405);
    let served = metrics(&server);
    let documented: BTreeSet<_> = rows(&page("docs/guide/operations.md"))
        .into_iter()
        .filter(|(name, _)| name.starts_with("mantisdb_"))
        .map(|(name, cells)| format!("{name} {}", cells[0]))
        .collect();
    assert_same(&documented, &served);
}

/// `name type` of every metric that is served now.
fn metrics(server: &Server) -> BTreeSet<String> {
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build());
    let mut answer = agent.get(format!("{}/metrics", server.url)).call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(str::to_owned).collect()
}

#[test]
fn the_command_page_names_every_command() {
    let place = Place::new();
    let commands = commands(&place);
    assert!(commands.len() > 10, "{commands:?}");
    let documented: BTreeSet<_> = page("docs/guide/command-line.md")
        .lines()
        .skip_while(|line| !line.starts_with("| command |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| line.split(" | ").next())
        .flat_map(|cell| {
            let words = cell.split('`').skip(1).step_by(2);
            words.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert_same(&documented, &commands);
}

/// Every command, as `mantisdb help` lists them.
fn commands(place: &Place) -> BTreeSet<String> {
    let help = place.run(&["help"]);
    let lines = help.ok().lines().skip_while(|line| *line != "Commands:");
    let listed = lines.skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn flags_in_the_text_are_flags_of_their_command_or_of_any() {
    let place = Place::new();
    let help = |command: &str| place.run(&["help", command]).ok().to_owned();
    let names = commands(&place);
    let all: String = names.iter().map(|name| help(name)).collect();
    let mut named = 0;
    for name in guide().into_iter().chain(["README.md".to_owned()]) {
        for line in page(&name).lines() {
            for (command, flag) in flags(line) {
                let known = command.map_or_else(|| all.clone(), |command| help(&command));
                assert!(known.contains(&flag), "{name}: {flag} in {line}");
                named += 1;
            }
        }
    }
    assert!(named >= 10, "only {named} flags were found");
}

/// The flags that stand in the text as code, each with its command if that stands before it.
fn flags(line: &str) -> Vec<(Option<String>, String)> {
    let mut found = Vec::new();
    for span in line.split('`').skip(1).step_by(2) {
        let command = span.strip_prefix("mantisdb ");
        let command = command.and_then(|rest| rest.split(' ').next());
        if command.is_none() && !span.starts_with("--") {
            continue;
        }
        let words = span.split([' ', '=']).filter(|word| word.starts_with("--"));
        found.extend(words.map(|flag| (command.map(str::to_owned), flag.to_owned())));
    }
    found
}

#[test]
fn rows_are_read_with_their_cells() {
    let page = "| a | b |\n|---|---|\n| `x` | 1 | |\n| plain | 2 |\ntext `y` | z\n";
    assert_eq!(
        rows(page),
        [("x".to_owned(), vec!["1".to_owned(), String::new()])]
    );
    let bench = (Some("bench".to_owned()), "--stress".to_owned());
    let found = flags("a `mantisdb bench --stress=light` b `--x` `cargo --y`");
    assert_eq!(found, [bench, (None, "--x".to_owned())]);
    assert!(names("see /api/tables now", "/api/tables"));
    assert!(names("`/api/tables/x`", "/api/tables"));
    assert!(names("http://127.0.0.1:8080/api/tables", "/api/tables"));
    assert!(!names("/api/tablespoon", "/api/tables"));
    assert!(!names("crates/api/tables", "/api/tables"));
}
