//! What this server is: version, capabilities, OpenAPI.

use axum::extract::State;
use axum::response::Response;
use http::Uri;
use serde::Serialize;

use crate::answer::{enveloped, typed};
use crate::app::App;
use crate::failure::Outcome;
use crate::openapi::{self, Answer};
use crate::params;
use crate::surfaces::{Pattern, SURFACES};

/// `data` of `/api/v1/version`.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct VersionView {
    #[schema(example = "0.1.0")]
    version: String,
    /// Null when it is not known.
    commit: Option<String>,
    built_at: Option<String>,
}

/// What was built
#[utoipa::path(
    get, path = "/api/v1/version", tag = "about", operation_id = "version",
    responses((status = 200, description = "The version.", body = Answer<VersionView>)),
)]
pub(crate) async fn version(State(app): State<App>, uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    let build = app.config.build.clone();
    let data = VersionView {
        version: build.version,
        commit: build.commit,
        built_at: build.built_at,
    };
    enveloped(&data, None)
}

/// One surface.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct SurfaceView {
    group: &'static str,
    #[schema(example = "/api/v1/kv/{key}")]
    path: String,
    methods: Vec<&'static str>,
    due: &'static str,
    available: bool,
}

/// `data` of `/api/v1/capabilities`.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Capabilities {
    surfaces: Vec<SurfaceView>,
}

/// What can be called
///
/// Every surface of this port, and whether it is built; the others answer 501.
#[utoipa::path(
    get, path = "/api/v1/capabilities", tag = "about", operation_id = "capabilities",
    responses((status = 200, description = "All surfaces.", body = Answer<Capabilities>)),
)]
pub(crate) async fn capabilities(uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    let surfaces = SURFACES.iter().map(|surface| SurfaceView {
        group: surface.group,
        path: Pattern(surface.path).openapi(),
        methods: surface.verbs.iter().map(|verb| verb.as_str()).collect(),
        due: surface.due.as_str(),
        available: surface.available,
    });
    enveloped(
        &Capabilities {
            surfaces: surfaces.collect(),
        },
        None,
    )
}

/// This API as OpenAPI 3.1
#[utoipa::path(
    get, path = "/api/v1/openapi.json", tag = "about", operation_id = "openapi",
    responses((status = 200, description = "The OpenAPI document.", content_type = "application/json", body = serde_json::Value)),
)]
pub(crate) async fn openapi_json(uri: Uri) -> Outcome<Response> {
    params::none(uri.query())?;
    Ok(typed("application/json", openapi::openapi_json()))
}
