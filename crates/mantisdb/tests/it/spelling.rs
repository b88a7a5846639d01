//! What can be said on the command line, and what is answered to what cannot.

use std::os::unix::process::CommandExt;

use crate::program::Place;

#[test]
fn unknown_words_are_usage_errors_with_the_nearest() {
    let place = Place::new();
    for (arguments, hint) in [
        (&["--prot", "1"][..], "--port"),
        (&["-prot", "1"], "--port"),
        (&["serv"], "serve"),
        (&["list", "kv", "--prefx", "a"], "--prefix"),
        (&["bench", "--stress", "hevy"], "heavy"),
    ] {
        let ended = place.run(arguments);
        assert!(ended.refused(2).contains(hint), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn verbs_of_absent_parts_say_so() {
    let place = Place::new();
    for verb in [
        "query", "repl", "migrate", "user", "key", "policy", "backup", "restore",
    ] {
        let ended = place.run(&[verb]);
        assert!(
            ended.refused(2).contains("which this build does not have"),
            "{ended:?}"
        );
    }
    assert!(place.run(&["get", "table", "t"]).refused(2).contains("kv"));
    assert!(
        place
            .run(&["--pg-port", "5433"])
            .refused(2)
            .contains("PostgreSQL")
    );
}

#[test]
fn wrong_values_of_flags_are_usage_errors() {
    let place = Place::new();
    for (flag, part) in [
        ("--port=many", "a port"),
        ("--cache-size=big", "a size"),
        ("--log-level=loud", "one of error, warn"),
        ("--env=prod", "one of development"),
    ] {
        let ended = place.run(&[flag]);
        assert!(ended.refused(2).contains(part), "{ended:?}");
    }
}

#[test]
fn long_names_with_one_dash_are_the_same() {
    let place = Place::new();
    let with_one = place.run(&[
        "config",
        "show",
        "-port",
        "9000",
        "-data-dir=x",
        "-cache-size=1GB",
    ]);
    let with_two = place.run(&[
        "config",
        "show",
        "--port",
        "9000",
        "--data-dir=x",
        "--cache-size=1GB",
    ]);
    assert_eq!(with_one.ok(), with_two.ok());
    assert!(
        with_one.text().contains("flag --cache-size"),
        "{with_one:?}"
    );
}

#[test]
fn older_names_of_the_program_mean_their_verb() {
    let place = Place::new();
    let called = |name: &str, arguments: &[&str]| {
        let mut command = place.command();
        let output = command.arg0(name).args(arguments).output().unwrap();
        let texts = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(texts).unwrap(),
        )
    };
    let (code, text) = called("/usr/bin/mantisdb-cli", &["version"]);
    assert!(code == 0 && text.starts_with("mantisdb "), "{text}");
    let (code, text) = called("mantisdb-cli", &[]);
    assert!(code == 2 && text.contains("say what to do"), "{text}");
    let (code, text) = called("mantisdb-repl", &[]);
    assert!(code == 2 && text.contains("SQL"), "{text}");
    let (code, text) = called("admin-server", &["-help"]);
    assert!(code == 0 && text.contains("Run the server"), "{text}");
    let (code, text) = called("mantisdb-rust", &["version"]);
    assert!(code == 0 && text.starts_with("mantisdb "), "{text}");
}

#[test]
fn help_shows_examples_for_every_verb_that_has_arguments() {
    let place = Place::new();
    let top = place.run(&["--help"]);
    assert!(
        top.ok().contains("Examples:") && top.text().contains("Exit codes"),
        "{top:?}"
    );
    for verb in ["serve", "get", "put", "list", "import", "export", "bench"] {
        let help = place.run(&[verb, "--help"]);
        assert!(
            help.ok().contains(&format!("Examples:\n  mantisdb {verb}"))
                || verb == "serve"
                || verb == "put",
            "{verb}: {help:?}"
        );
        assert!(help.text().contains("Examples:"), "{verb}");
    }
    assert_eq!(
        place.run(&["help", "import"]).ok(),
        place.run(&["import", "--help"]).ok()
    );
}

#[test]
fn help_promises_no_model_that_is_not_built() {
    let place = Place::new();
    let whole = place.run(&["--help"]);
    let verbs = whole.ok().lines().skip_while(|line| *line != "Commands:");
    let verbs = verbs.skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<_> = verbs
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        verbs.contains(&"list") && verbs.contains(&"bench"),
        "{verbs:?}"
    );
    let mut texts = vec![whole.ok().to_owned()];
    texts.extend(
        verbs
            .iter()
            .filter(|verb| **verb != "help")
            .map(|verb| place.run(&[verb, "--help"]).ok().to_owned()),
    );
    for model in ["multi-model", "SQL", "documents", "columnar", "PostgreSQL"] {
        let promising = texts.iter().find(|text| text.contains(model));
        assert_eq!(promising, None, "{model}");
    }
}

#[test]
fn completions_name_the_verbs() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]);
        assert!(script.ok().contains("inspect"), "{shell}");
    }
}
