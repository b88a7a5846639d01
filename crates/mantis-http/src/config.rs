//! What the front end is told at start ([`HttpConfig`]), and what may change while it runs
//! ([`HttpSettings`]).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use mantis_session::Principal;
use mantis_types::{Durability, Isolation};

use crate::peers::Network;

/// What is fixed from start to end.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Address to listen on. Default 127.0.0.1.
    pub host: IpAddr,
    /// Port; 0 takes a free one. Default 8080.
    pub port: u16,
    /// Certificate and key; `None` serves plain text.
    pub tls: Option<TlsFiles>,
    /// Most open client connections. Beyond: 503 `pool_exhausted`, then close. Default 10,000.
    pub connections_max: usize,
    /// Longest time from the first byte of a request's head to its last. Beyond: 408. Default 10 s.
    pub header_read_timeout: Duration,
    /// Longest time between two requests of a connection. Beyond: close. Default 120 s.
    pub idle_timeout: Duration,
    /// Longest time in which a client takes no byte of an answer. Beyond: close. Default 30 s.
    pub write_stall_timeout: Duration,
    /// How long requests under way may go on after shutdown has begun. Default 30 s.
    pub shutdown_grace: Duration,
    /// Longest request target in bytes. Beyond: 414. Default 65,000, the most the parser takes.
    pub target_bytes_max: usize,
    /// Most bytes of all header lines. Beyond: 431. Default 32 KiB.
    pub header_bytes_max: usize,
    /// Most header lines. Beyond: 431. Default 100.
    pub headers_max: usize,
    /// Most calls that block (table reads, commits) at once. Default 128.
    pub blocking_calls_max: usize,
    /// Most requests that wait for one of these. Beyond: 503 `pool_exhausted`. Default 10,000.
    pub blocking_waiting_max: usize,
    /// Most event streams (SSE and WebSocket) at once. Beyond: 503 `pool_exhausted`. Default 1,000.
    pub streams_max: usize,
    /// The data directory, whose disk is measured; `None` for a database in memory.
    pub data_dir: Option<PathBuf>,
    /// What was built.
    pub build: BuildInfo,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8080,
            tls: None,
            connections_max: 10_000,
            header_read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
            write_stall_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(30),
            target_bytes_max: 65_000,
            header_bytes_max: 32 << 10,
            headers_max: 100,
            blocking_calls_max: 128,
            blocking_waiting_max: 10_000,
            streams_max: 1_000,
            data_dir: None,
            build: BuildInfo::default(),
        }
    }
}

/// PEM files for TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What `/api/v1/version` says.
#[derive(Clone, Debug)]
pub struct BuildInfo {
    /// The product's version.
    pub version: String,
    /// The commit that was built, where known.
    pub commit: Option<String>,
    /// When it was built (RFC 3339), where known.
    pub built_at: Option<String>,
}

impl Default for BuildInfo {
    fn default() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: None,
            built_at: None,
        }
    }
}

/// What may change while the server runs; a reload swaps it whole.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Largest body in bytes after inflating. Beyond: 413. Default 10 MiB.
    pub body_bytes_max: usize,
    /// Longest time for one request. Beyond: 408. Default 30 s.
    pub request_timeout: Duration,
    /// Requests that take longer are logged as slow. `None` is never. Default 500 ms.
    pub slow_after: Option<Duration>,
    /// The class of a commit for which the caller names none. Default sync.
    pub durability: Durability,
    /// The level of a transaction for which the caller names none. Default snapshot.
    pub isolation: Isolation,
    /// Who may call.
    pub credentials: Credentials,
    /// Requests per second for one caller on one class of routes; 0 is no limit. Default 0.
    pub rate_limit: u32,
    /// Origins whose scripts may read answers. Default none.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed. Default none.
    pub trusted_proxies: Vec<Network>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            body_bytes_max: 10 << 20,
            request_timeout: Duration::from_secs(30),
            slow_after: Some(Duration::from_millis(500)),
            durability: Durability::Sync,
            isolation: Isolation::default(),
            credentials: Credentials::default(),
            rate_limit: 0,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

/// The secrets that open doors, and what a caller without one is.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Opens `/api/**` and everything else; `None` closes `/api/**` to everyone.
    pub admin_token: Option<String>,
    /// Open the data API.
    pub api_keys: Vec<String>,
    /// What a caller without credentials is.
    pub anonymous: Anonymous,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("admin_token", &self.admin_token.as_ref().map(|_| "***"))
            .field("api_keys", &self.api_keys.len())
            .field("anonymous", &self.anonymous)
            .finish()
    }
}

/// What a caller without credentials is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Nobody: 401 on the data API.
    #[default]
    Refused,
    /// The owner of the data, when the request comes over loopback, straight and not from a page of
    /// another origin (the development profile).
    OwnerOnLoopback,
    /// The owner of the data from everywhere (`security.anonymous_role: owner`).
    Owner,
}

impl Anonymous {
    /// Who a caller without credentials is; `is_local`: one of this machine that speaks for itself.
    pub(crate) const fn principal(self, is_local: bool) -> Principal {
        match (self, is_local) {
            (Self::Owner, _) | (Self::OwnerOnLoopback, true) => Principal::Owner,
            (Self::Refused, _) | (Self::OwnerOnLoopback, false) => Principal::Anonymous,
        }
    }
}

/// Why a server must not start like this. The binary ends with exit code 78 on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExposureError {
    /// Everyone who reaches the address could use it.
    #[error(
        "{host} can be reached from other machines, but no credentials are asked for: set \
         security.admin_token or security.api_keys and an environment other than development, or \
         listen on 127.0.0.1"
    )]
    NoAuthentication {
        /// The address.
        host: IpAddr,
    },
    /// Credentials and data would travel in plain text.
    #[error(
        "{host} can be reached from other machines, but TLS is off: set server.tls_cert and \
         server.tls_key, or say --insecure, or listen on 127.0.0.1"
    )]
    PlainText {
        /// The address.
        host: IpAddr,
    },
}

/// Whether a listener may stand on `host`: loopback always; other addresses only with
/// authentication, and with TLS unless `insecure` says otherwise.
///
/// # Errors
/// What is missing, in a sentence that says what to set.
pub fn check_exposure(
    host: IpAddr,
    credentials: &Credentials,
    tls: bool,
    insecure: bool,
) -> Result<(), ExposureError> {
    if host.is_loopback() {
        return Ok(());
    }
    let known = credentials.admin_token.is_some() || !credentials.api_keys.is_empty();
    if !known || credentials.anonymous == Anonymous::Owner {
        return Err(ExposureError::NoAuthentication { host });
    }
    if !tls && !insecure {
        return Err(ExposureError::PlainText { host });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_need_credentials_and_tls() {
        let public = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let none = Credentials::default();
        let some = Credentials {
            admin_token: Some("secret".into()),
            ..Credentials::default()
        };
        let open = Credentials {
            anonymous: Anonymous::Owner,
            ..some.clone()
        };
        assert_eq!(check_exposure(loopback, &none, false, false), Ok(()));
        let refused = Err(ExposureError::NoAuthentication { host: public });
        assert_eq!(check_exposure(public, &none, true, true), refused);
        assert_eq!(check_exposure(public, &open, true, true), refused);
        let plain = Err(ExposureError::PlainText { host: public });
        assert_eq!(check_exposure(public, &some, false, false), plain);
        assert_eq!(check_exposure(public, &some, false, true), Ok(()));
        assert_eq!(check_exposure(public, &some, true, false), Ok(()));
    }

    #[test]
    fn debug_output_keeps_secrets() {
        let secret = Credentials {
            admin_token: Some("tok-123".into()),
            api_keys: vec!["key-456".into()],
            anonymous: Anonymous::Refused,
        };
        let shown = format!("{secret:?}");
        assert!(
            !shown.contains("tok-123") && !shown.contains("key-456"),
            "{shown}"
        );
    }
}
