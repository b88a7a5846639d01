//! The OpenAPI document: made from the handlers, completed by the table of surfaces.

mod shapes;
mod yaml;

use std::sync::OnceLock;

use serde_json::{Map, Value, json};
use utoipa::OpenApi;

pub(crate) use shapes::*;

use crate::surfaces::{Pattern, Rule, SURFACES};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "MantisDB",
        description = "Keys and values in one database. This document lists what this server answers; `/api/v1/capabilities` also lists what it does not.",
        license(name = "MIT OR Apache-2.0"),
    ),
    paths(
        crate::health::health,
        crate::health::live,
        crate::health::ready,
        crate::stats::pool,
        crate::stats::all,
        crate::admin::measures::prometheus,
        crate::about::version,
        crate::about::capabilities,
        crate::about::openapi_json,
        crate::kv::list::list,
        crate::kv::batch::batch,
        crate::kv::show::show,
        crate::kv::show::head,
        crate::kv::value::store,
        crate::kv::remove::remove,
        crate::kv::increment::increment,
        crate::changes::follow,
        crate::transactions::begin::begin,
        crate::transactions::status::status,
        crate::transactions::end::commit,
        crate::transactions::end::rollback,
        crate::transactions::savepoints::open,
        crate::transactions::savepoints::rollback,
        crate::transactions::savepoints::release,
        crate::admin::docs::page,
        crate::admin::docs::openapi_yaml,
        crate::admin::overview::health,
        crate::admin::overview::stats,
        crate::admin::measures::metrics,
        crate::admin::measures::detailed,
        crate::admin::streams::metrics,
        crate::admin::streams::events,
        crate::admin::configuration::show,
        crate::admin::configuration::change,
        crate::admin::configuration::validate,
        crate::admin::kv::query,
        crate::admin::kv::batch,
        crate::admin::kv::stats,
        crate::admin::kv::exists,
        crate::admin::kv::show,
        crate::admin::kv::store,
        crate::admin::kv::remove,
    ),
    components(schemas(FailureAnswer, AdminFailure, FormatWord, DurabilityWord))
)]
struct Document;

/// A path that answers as another one does.
const ALIASES: &[(&str, &str)] = &[
    ("/openapi.json", "/api/v1/openapi.json"),
    ("/api/metrics/prometheus", "/metrics"),
    ("/api/v1/kv/batch", "/api/v1/kv"),
];

/// The OpenAPI 3.1 document of this port, indented, with a line end. Cost: made once.
///
/// # Panics
/// Never: the document is made of constants, and a test makes it.
#[must_use]
pub fn openapi_json() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let text = serde_json::to_string_pretty(document()).expect("JSON values can be written");
        text + "\n"
    })
}

/// The same as YAML.
pub(crate) fn openapi_yaml() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| yaml::write(document()))
}

/// The document as JSON values.
pub(crate) fn document() -> &'static Value {
    static VALUE: OnceLock<Value> = OnceLock::new();
    VALUE.get_or_init(|| {
        let mut value = serde_json::to_value(Document::openapi()).expect("it is made of constants");
        complete(&mut value);
        value
    })
}

fn complete(document: &mut Value) {
    let schemes = json!({
        "bearer": {"type": "http", "scheme": "bearer"},
        "apikey": {"type": "apiKey", "in": "header", "name": "apikey"},
    });
    document["components"]["securitySchemes"] = schemes;
    add_aliases(document);
    tie_value_to_type(document);
    let Some(paths) = document["paths"].as_object_mut() else {
        return;
    };
    for (path, operations) in paths.iter_mut() {
        let surface = SURFACES
            .iter()
            .find(|surface| Pattern(surface.path).openapi() == *path);
        let rule = surface.map_or(Rule::Admin, |surface| surface.rule);
        for operation in operations
            .as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
        {
            operation["security"] = security(rule);
            correct_parameters(operation);
            correct_body(operation);
            operation["responses"]["default"] = refusal(path);
        }
    }
}

fn add_aliases(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else {
        return;
    };
    for (alias, original) in ALIASES {
        let Some(methods) = paths.get(*original).and_then(Value::as_object) else {
            continue;
        };
        let answers = |method: &str| {
            let rows = SURFACES.iter().filter(|surface| surface.path == *alias);
            rows.flat_map(|surface| surface.verbs)
                .any(|verb| verb.as_str().eq_ignore_ascii_case(method))
        };
        let kept = methods.iter().filter(|(method, _)| answers(method));
        let mut copy: Map<String, Value> = kept
            .map(|(method, operation)| (method.clone(), operation.clone()))
            .collect();
        for operation in copy.values_mut() {
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
                + "Alias";
            operation["operationId"] = Value::String(id);
        }
        paths.insert((*alias).to_owned(), Value::Object(copy));
    }
}

/// Says what the derive cannot: a parameter may be left out, but is never null; pages take whole
/// numbers of any size, since larger ones are cut.
fn correct_parameters(operation: &mut Value) {
    let parameters = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if matches!(parameter["name"].as_str(), Some("limit" | "offset")) {
            parameter["schema"] = json!({"type": "integer", "minimum": 0});
        }
        if let Some(schema) = parameter.get_mut("schema") {
            strip_null(schema);
        }
    }
}

/// Which values go with a `value_type`.
fn tie_value_to_type(document: &mut Value) {
    let when = |said: &str, value: Value| {
        json!({
            "if": {"properties": {"value_type": {"const": said}}, "required": ["value_type"]},
            "then": {"properties": {"value": value}},
        })
    };
    let octets =
        json!({"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}});
    let wrapped = json!({"$ref": "#/components/schemas/Wrapped"});
    let bytes = json!({"anyOf": [{"type": "string"}, octets, wrapped]});
    let rules = json!([
        when("string", json!({"type": "string"})),
        when("bytes", bytes)
    ]);
    for name in ["PutForm", "SetShape"] {
        let schema = document.pointer_mut(&format!("/components/schemas/{name}"));
        if let Some(schema) = schema {
            schema["allOf"] = rules.clone();
        }
    }
}

/// Raw bodies are bytes, not lists of numbers; a JSON body may be left out, but is never null.
fn correct_body(operation: &mut Value) {
    let mut content = operation
        .get_mut("requestBody")
        .and_then(|body| body.get_mut("content"));
    let json = content
        .as_mut()
        .and_then(|content| content.get_mut("application/json"));
    if let Some(schema) = json.and_then(|json| json.get_mut("schema")) {
        strip_null(schema);
    }
    let octets = content.and_then(|content| content.get_mut("application/octet-stream"));
    if let Some(octets) = octets {
        octets["schema"] = json!({"type": "string", "format": "binary"});
    }
}

fn strip_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
    let null = json!({"type": "null"});
    let others = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .map(|schemas| {
            schemas
                .iter()
                .filter(|schema| **schema != null)
                .cloned()
                .collect::<Vec<_>>()
        });
    if let Some([one]) = others.as_deref() {
        *schema = one.clone();
    }
}

fn security(rule: Rule) -> Value {
    match rule {
        // The empty requirement: no credentials are needed.
        Rule::Open => json!([{}, {"bearer": []}, {"apikey": []}]),
        Rule::Data | Rule::Admin | Rule::AdminPage => json!([{"bearer": []}, {"apikey": []}]),
    }
}

/// Every refusal, whatever its status: the codes stand in `code`.
fn refusal(path: &str) -> Value {
    let bare = crate::surfaces::Shape::of(path) == crate::surfaces::Shape::Bare;
    let schema = if bare {
        "AdminFailure"
    } else {
        "FailureAnswer"
    };
    let schema = format!("#/components/schemas/{schema}");
    json!({
        "description": "Refused or failed; `code` says why.",
        "content": {"application/json": {"schema": {"$ref": schema}}},
    })
}

#[cfg(test)]
mod tests;
