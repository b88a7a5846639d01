//! The HTTP front end: REST, the admin API, health, metrics and documentation on one port.
//!
//! It decodes requests, calls the session, and encodes answers. Around every handler stand the same
//! few things: the table of surfaces (what exists, who may call it), credentials, rate limits,
//! limits of size and time, content codings, security headers, request ids.
//!
//! ```no_run
//! # async fn f(database: mantis_session::Database, store: std::sync::Arc<dyn mantis_http::ConfigStore>)
//! # -> Result<(), mantis_http::ServerError> {
//! use mantis_http::{HttpConfig, HttpSettings, Server};
//!
//! let config = HttpConfig { port: 0, ..HttpConfig::default() };
//! let server = Server::bind(config, HttpSettings::default(), database, store).await?;
//! println!("ready http={}", server.local_addr());
//! server.run(std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! It is not: a place for business rules, nor aware of engines, logs or other front ends.

mod about;
mod access;
mod admin;
mod admission;
mod answer;
mod app;
mod body;
mod call;
mod changes;
mod config;
mod config_store;
mod edge;
mod events;
mod failure;
mod health;
mod json;
mod kv;
mod metrics;
mod negotiate;
mod once;
mod openapi;
mod params;
mod peers;
mod rate;
mod routes;
mod server;
mod stats;
mod surfaces;
mod time;
mod trace;
mod transactions;
mod value;

pub use config::{
    Anonymous, BuildInfo, Credentials, ExposureError, HttpConfig, HttpSettings, TlsFiles,
    check_exposure,
};
pub use config_store::{ConfigApplied, ConfigError, ConfigReport, ConfigStore};
pub use events::Event;
pub use openapi::openapi_json;
pub use peers::{Network, NotANetwork};
pub use server::{Server, ServerError, ServerHandle};
