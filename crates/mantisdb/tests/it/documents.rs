//! README.md and the guide, held to the program: every console example is typed into a shell against
//! a real server, and every table is compared with what the program says of itself.
//!
//! In a page, a block marked `console` holds commands behind `$ ` and the lines they write, in order,
//! from the first block of the page to the last, in one shell and one directory. `…` stands for any
//! text within a line, and alone on a line for any lines. A number of five or more digits, or with a
//! point, was measured on one day and stands for any number; the same for the same. A block marked
//! `console server` starts the server; a page without one finds it running. `mantisdb` and
//! `./mantisdb` are the program, `make` does nothing, and `apt-cache` prints a sample.

mod conflicts;
mod console;
mod embedding;
mod isolation;
mod sample;
mod tables;
mod terminal;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use console::{Measured, Step, Terminal};
use terminal::Shell;

use crate::program::{Place, Server};

/// Where the server of an example listens, for the reader.
const DOCUMENTED: &str = "127.0.0.1:8080";

/// A page of the repository.
fn page(name: &str) -> String {
    let path = root().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Rust code of a page is, block by block, what stands between lines `// BLOCK` of `ours`.
fn assert_code_of_page(name: &str, ours: &str) {
    let page = page(name);
    let shown: Vec<_> = page
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    let parts = ours.split("\n// BLOCK\n");
    let ours: Vec<_> = parts
        .skip(1)
        .step_by(2)
        .map(|block| format!("{block}\n"))
        .collect();
    assert_eq!(shown, ours);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The pages of the guide, as paths from the root.
fn guide() -> Vec<String> {
    let files = std::fs::read_dir(root().join("docs/guide")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<_> = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/guide/{name}"))
        .collect();
    pages.sort_unstable();
    pages
}

/// One reader at work: a directory, a shell, and a server once it has been started.
struct Reader {
    place: Place,
    shell: Shell,
    server: Option<Server>,
    measured: Measured,
}

impl Reader {
    fn new() -> Self {
        let place = Place::new();
        std::fs::create_dir(place.path("bin")).unwrap();
        let program = env!("CARGO_BIN_EXE_mantisdb");
        symlink(program, place.path("mantisdb")).unwrap();
        symlink(program, place.path("bin/mantisdb")).unwrap();
        place.write("bin/index", sample::package_index());
        for (name, script) in [
            ("make", "#!/bin/sh\necho built\n"),
            ("apt-cache", "#!/bin/sh\nexec cat \"${0%/*}/index\"\n"),
        ] {
            let path = format!("bin/{name}");
            place.write(&path, script);
            let mode = std::fs::Permissions::from_mode(0o700);
            std::fs::set_permissions(place.path(&path), mode).unwrap();
        }
        let shell = Shell::start(&place.path("."));
        Self {
            place,
            shell,
            server: None,
            measured: Measured::default(),
        }
    }

    /// Follows a page; answers what is not as it says.
    fn follow(&mut self, page: &str) -> Vec<String> {
        let steps = console::steps(page);
        if steps.iter().all(|step| step.terminal == Terminal::Client) {
            self.start_server();
        }
        steps.iter().filter_map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Step) -> Option<String> {
        let said = match step.terminal {
            Terminal::Server => {
                self.start_server();
                return self.unsaid_of_start(&step.promised);
            }
            Terminal::Client => self.shell.run(&self.here(&step.command)),
        };
        let promised: Vec<_> = step.promised.iter().map(|line| self.here(line)).collect();
        if step.command.starts_with("kill ") {
            // A reader types more slowly than a process dies: wait for that.
            self.server = None;
        }
        let lines: Vec<_> = said.iter().map(String::as_str).collect();
        if self.measured.keeps(&promised, &lines) {
            return None;
        }
        let Step { line, command, .. } = step;
        let (promised, said) = (promised.join("\n"), said.join("\n"));
        Some(format!(
            "line {line}: $ {command}\npromised:\n{promised}\nsaid:\n{said}\n"
        ))
    }

    fn start_server(&mut self) {
        let server = self.place.serve();
        let set = format!("export MANTIS_URL={}", server.url);
        assert_eq!(self.shell.run(&set), [""; 0]);
        self.server = Some(server);
    }

    /// A line that the start of the server did not write. It writes others, too: its log.
    fn unsaid_of_start(&self, promised: &[String]) -> Option<String> {
        let server = self.server.as_ref().expect("it has just been started");
        for line in promised {
            let known = line.split('…').next().unwrap_or_default();
            if known.is_empty() || known == format!("ready http={DOCUMENTED}") {
                continue;
            }
            // Panics with the log when it is not there.
            server.wait_for_log(known);
        }
        None
    }

    /// The text with the address that the server has in this run.
    fn here(&self, text: &str) -> String {
        let url = self.server.as_ref().map(|server| server.url.as_str());
        let address = url.and_then(|url| url.strip_prefix("http://"));
        text.replace(DOCUMENTED, address.unwrap_or(DOCUMENTED))
    }
}

/// Follows the pages, each as a new reader.
fn follow_all(test: &str, pages: &[String]) {
    if let Some(tool) = terminal::missing_tool() {
        println!("SKIP {test}: needs {tool}");
        return;
    }
    let mut wrong = Vec::new();
    for name in pages {
        let found = Reader::new().follow(&page(name));
        wrong.extend(found.into_iter().map(|found| format!("{name} {found}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tour_of_the_readme_is_true() {
    follow_all("the_tour_of_the_readme_is_true", &["README.md".to_owned()]);
}

#[test]
fn the_examples_of_the_guide_are_true() {
    follow_all("the_examples_of_the_guide_are_true", &guide());
}

/// The control: each of these pages says something that is not so.
#[test]
fn wrong_examples_are_found() {
    if let Some(tool) = terminal::missing_tool() {
        println!("SKIP wrong_examples_are_found: needs {tool}");
        return;
    }
    let put =
        "$ curl -s -X PUT http://127.0.0.1:8080/api/v1/kv/a -H 'Content-Type: text/plain' -d x\n";
    let answer = r#"{"success":true,"data":{"key":"a","message":"stored","created":true,"version":1},"error":null,"meta":null}"#;
    for (output, faults) in [
        (answer.to_owned(), 0),
        (answer.replace("\"version\":1", "\"version\":2"), 1),
        (answer.replace("true,\"version\"", "false,\"version\""), 1),
        (format!("{answer}\nand more"), 1),
        (String::new(), 1),
        (format!("{answer}\n$ mantisdb get kv a\ny"), 1),
        (format!("{answer}\n$ mantisdb get kv a\nx"), 0),
    ] {
        let page = format!("```console\n{put}{output}\n```\n");
        let found = Reader::new().follow(&page);
        assert_eq!(found.len(), faults, "{page}{found:?}");
    }
}

/// Without this, a page whose blocks are marked wrongly would be true.
#[test]
fn the_pages_have_examples() {
    let count = |name: &str| console::steps(&page(name)).len();
    assert!(count("README.md") >= 15, "{}", count("README.md"));
    for name in [
        "rest-api",
        "command-line",
        "configuration",
        "operations",
        "errors",
    ] {
        let name = format!("docs/guide/{name}.md");
        assert!(count(&name) >= 2, "{name} has {}", count(&name));
    }
}
