//! The document covers what is served, and nothing else; the committed copy is this one.

use std::collections::BTreeSet;

use super::*;
use crate::routes::Routes;
use crate::surfaces::Verb;

#[test]
fn the_document_lists_what_is_served_and_nothing_else() {
    let mut served = BTreeSet::new();
    for (path, verb) in Routes::all().listed() {
        served.insert((Pattern(path).openapi(), verb.as_str().to_lowercase()));
    }
    let paths = document()["paths"].as_object().unwrap();
    let documented: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods
                .map(|method| (path.clone(), method.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(documented, served);
    assert!(
        served
            .iter()
            .any(|(_, method)| method == &Verb::Head.as_str().to_lowercase())
    );
}

#[test]
fn every_operation_has_an_id_of_its_own_a_rule_and_a_refusal() {
    let mut ids = BTreeSet::new();
    for (path, operations) in document()["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} stands twice");
            assert!(operation["security"].is_array(), "{method} {path}");
            assert!(
                operation["responses"]["default"].is_object(),
                "{method} {path}"
            );
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
}

/// What is not built is not promised; the control is the sentence that once stood there.
#[test]
fn the_document_promises_no_model_that_is_not_built() {
    let models = [
        "rows",
        "documents",
        "columns",
        "columnar",
        "SQL",
        "Redis",
        "collections",
    ];
    let promised = |text: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        words.find(|word| models.contains(word)).map(str::to_owned)
    };
    assert_eq!(promised(openapi_json()), None);
    let once = "Keys, rows, documents and columns in one database.";
    assert_eq!(promised(once).as_deref(), Some("rows"));
}

#[test]
fn references_lead_somewhere() {
    let text = openapi_json();
    let schemas = document()["components"]["schemas"].as_object().unwrap();
    for part in text.split("#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name}");
    }
    assert_eq!(document()["openapi"], "3.1.0");
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/openapi.json");
    if std::env::var_os("MANTIS_OPENAPI_WRITE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
        std::fs::write(path, openapi_json()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == openapi_json(),
        "openapi/openapi.json is old: run `cargo xtask openapi`"
    );
}
