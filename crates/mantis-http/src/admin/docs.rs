//! `/api/docs` and `/api/docs/openapi.yaml`: documentation that loads nothing from outside.

use std::fmt::Write as _;
use std::sync::OnceLock;

use axum::response::Response;
use http::Uri;
use serde_json::Value;

use crate::answer::typed;
use crate::failure::Outcome;
use crate::openapi;
use crate::params;

/// The media type of the page.
pub(crate) const PAGE_TYPE: &str = "text/html; charset=utf-8";
const HEAD: &str = include_str!("docs/head.html");

/// The documentation page
#[utoipa::path(
    get, path = "/api/docs", tag = "about", operation_id = "docsPage",
    responses((status = 200, description = "A page without scripts.", content_type = "text/html", body = String)),
)]
pub(crate) async fn page(uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    static PAGE: OnceLock<String> = OnceLock::new();
    let page = PAGE.get_or_init(|| write_page(openapi::document()));
    Ok(typed(PAGE_TYPE, page.as_str()))
}

/// This API as YAML
#[utoipa::path(
    get, path = "/api/docs/openapi.yaml", tag = "about", operation_id = "openapiYaml",
    responses((status = 200, description = "The OpenAPI document.", content_type = "application/yaml", body = serde_json::Value)),
)]
pub(crate) async fn openapi_yaml(uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    Ok(typed("application/yaml", openapi::openapi_yaml()))
}

/// One section for each operation, with a line for the shell.
fn write_page(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            write_operation(&mut page, path, method, operation);
        }
    }
    page.push_str("</main></body></html>\n");
    page
}

fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let (summary, id) = (text(&operation["summary"]), text(&operation["operationId"]));
    let method = method.to_uppercase();
    push(
        page,
        format_args!(
            "<section id=\"{id}\"><h2><code>{method} {}</code></h2>",
            escape(path)
        ),
    );
    push(
        page,
        format_args!(
            "<p><b>{summary}</b></p><p>{}</p>",
            text(&operation["description"])
        ),
    );
    push(
        page,
        format_args!("<pre>{}</pre>", escape(&curl(path, &method, operation))),
    );
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let rows = parameters.map(|parameter| {
        let (name, place) = (text(&parameter["name"]), text(&parameter["in"]));
        format!(
            "<tr><td><code>{name}</code></td><td>{place}</td><td>{}</td></tr>",
            text(&parameter["description"])
        )
    });
    let rows: String = rows.collect();
    if !rows.is_empty() {
        push(page, format_args!("<table>{rows}</table>"));
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        push(
            page,
            format_args!(
                "<p><code>{}</code> {}</p>",
                escape(status),
                text(&response["description"])
            ),
        );
        let example = &response["content"]["application/json"]["example"];
        if !example.is_null() {
            push(
                page,
                format_args!("<pre>{}</pre>", escape(&example.to_string())),
            );
        }
    }
    page.push_str("</section>\n");
}

fn curl(path: &str, method: &str, operation: &Value) -> String {
    let path = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .fold(path.to_owned(), |path, parameter| {
            let (name, example) = (parameter["name"].as_str(), parameter["example"].as_str());
            match (name, example) {
                (Some(name), Some(example)) => path.replace(&format!("{{{name}}}"), example),
                _ => path,
            }
        });
    let verb = match method {
        "GET" => String::new(),
        "HEAD" => "-I ".to_owned(),
        _ => format!("-X {method} "),
    };
    let body = &operation["requestBody"]["content"]["application/json"]["example"];
    let body = if body.is_null() {
        String::new()
    } else {
        format!(" -H 'Content-Type: application/json' -d '{body}'")
    };
    format!("curl {verb}-H \"Authorization: Bearer $MANTIS_TOKEN\"{body} \"$MANTIS_URL{path}\"")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn push(page: &mut String, arguments: std::fmt::Arguments<'_>) {
    page.write_fmt(arguments)
        .expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_every_operation_and_loads_nothing() {
        let page = write_page(openapi::document());
        for (path, operations) in openapi::document()["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                assert!(
                    page.contains(&format!("{} {path}</code>", method.to_uppercase())),
                    "{path}"
                );
            }
        }
        for forbidden in ["<script", "src=", "@import", "url(", "//fonts", "onclick"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("curl -X PUT"));
    }
}
