//! A connection to a server: requests, answers, and what is said when there is none.

use std::time::Duration;

use anyhow::{Context, anyhow};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use ureq::http::{Method, Request, StatusCode};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::cli::ServerArgs;
use crate::exit::Failure;

/// Longest time until a connection stands, and for a whole request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Largest answer that is taken.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// What stands in a path as it is. A slash does not: only so are a key's bytes the path's bytes.
const PATH_SAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b':');

/// A server, and what is needed to be let in.
#[derive(Debug)]
pub(crate) struct Connection {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: ureq::http::HeaderMap,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.body)
            .context("the server's answer is no JSON: is it mantisdb?")
    }

    /// The member `data` of the envelope.
    pub(crate) fn data(&self) -> anyhow::Result<Value> {
        let mut whole = self.json()?;
        whole
            .get_mut("data")
            .map(Value::take)
            .context("the server's answer has no data")
    }
}

/// A server that understood, and said no.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({status})")]
pub(crate) struct Refusal {
    /// The status.
    pub(crate) status: StatusCode,
    /// What it said.
    pub(crate) message: String,
    /// Whether the same request may succeed later.
    pub(crate) retryable: bool,
    /// When, if it said so.
    pub(crate) retry_after: Option<Duration>,
    /// The operation of a batch that was refused.
    pub(crate) index: Option<usize>,
}

impl Refusal {
    fn of(answer: &Answer) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let seconds = answer
            .headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        let index = body["details"]["index"].as_u64();
        Self {
            status: answer.status,
            message: body["error"]
                .as_str()
                .unwrap_or("the server refused")
                .to_owned(),
            retryable: body["retryable"].as_bool().unwrap_or(false),
            retry_after: seconds
                .and_then(|s| s.parse().ok())
                .map(Duration::from_secs),
            index: index.and_then(|index| usize::try_from(index).ok()),
        }
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    method: Method,
    path: &'a str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl<'a> Ask<'a> {
    /// Without a body.
    pub(crate) const fn new(method: Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// With a header.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With a body.
    pub(crate) fn body(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("content-type", content_type)
    }
}

impl Connection {
    /// Prepares a connection; nothing is sent.
    ///
    /// # Errors
    /// When address or certificates cannot be.
    pub(crate) fn new(server: &ServerArgs) -> Result<Self, Failure> {
        let base = base_url(&server.host)?;
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("mantisdb/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(REQUEST_TIMEOUT));
        if base.starts_with("https://") {
            config = config.tls_config(tls(server)?);
        }
        Ok(Self {
            agent: config.build().into(),
            base,
            token: server.token.clone(),
        })
    }

    /// Where it leads.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request and answers what came back, whatever its status.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) fn send(&self, ask: Ask<'_>) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("{}{}", self.base, ask.path));
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request
            .body(ask.body)
            .context("the request cannot be written")?;
        let mut response = self
            .agent
            .run(request)
            .map_err(|error| self.no_answer(error))?;
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec();
        Ok(Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: body.map_err(|error| self.no_answer(error))?,
        })
    }

    /// Sends a request, and takes only success for an answer.
    ///
    /// # Errors
    /// When there is no answer, or it is a [`Refusal`].
    pub(crate) fn ask(&self, ask: Ask<'_>) -> anyhow::Result<Answer> {
        let answer = self.send(ask)?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let refusal = Refusal::of(&answer);
        let hint = match refusal.status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => {
                "give a token with -t or MANTIS_TOKEN"
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "the token is not accepted for this"
            }
            _ => return Err(refusal.into()),
        };
        Err(anyhow::Error::new(refusal).context(hint))
    }

    /// Reads a JSON document.
    ///
    /// # Errors
    /// As [`Connection::ask`].
    pub(crate) fn get_data(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Ask::new(Method::GET, path))?.data()
    }

    fn no_answer(&self, error: ureq::Error) -> anyhow::Error {
        let refused = matches!(&error, ureq::Error::Io(inner)
            if inner.kind() == std::io::ErrorKind::ConnectionRefused);
        let hint = if refused {
            " (is the server running? `mantisdb serve` starts one)"
        } else {
            ""
        };
        anyhow!(error).context(format!("no answer from {}{hint}", self.base))
    }
}

/// The path of a key's own resource.
pub(crate) fn path_of_key(key: &[u8]) -> String {
    // A path of dots alone would be taken for "here" or "one up" on the way.
    let dots = !key.is_empty() && key.iter().all(|&b| b == b'.');
    let encoded = percent_encode(key, PATH_SAFE).to_string();
    let encoded = if dots {
        encoded.replace('.', "%2E")
    } else {
        encoded
    };
    format!("/api/v1/kv/{encoded}")
}

/// Bytes in a query string.
pub(crate) fn query_value(bytes: &[u8]) -> String {
    percent_encode(bytes, PATH_SAFE).to_string()
}

fn base_url(host: &str) -> Result<String, Failure> {
    let host = host
        .strip_suffix('/')
        .filter(|host| !host.ends_with('/'))
        .unwrap_or(host);
    let with_scheme = if host.contains("://") {
        host.to_owned()
    } else {
        format!("http://{host}")
    };
    let uri: ureq::http::Uri = with_scheme
        .parse()
        .map_err(|_| Failure::usage(format!("{host:?} is no address: say http://HOST:PORT")))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let plain_path = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
    if !matches!(scheme, "http" | "https") || uri.host().is_none_or(str::is_empty) || !plain_path {
        return Err(Failure::usage(format!(
            "{host:?} is no address: say http://HOST:PORT"
        )));
    }
    let usual = if host.contains("://") {
        default_port(scheme)
    } else {
        8080
    };
    let port = uri.port_u16().unwrap_or(usual);
    let host = uri.host().unwrap_or_default();
    Ok(format!("{scheme}://{host}:{port}"))
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

fn tls(server: &ServerArgs) -> Result<TlsConfig, Failure> {
    let Some(path) = &server.ca else {
        let text = "https needs --ca FILE: the certificate of the server or of who signed it";
        return Err(Failure::usage(text));
    };
    let pem = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.context("the file of --ca is no PEM")? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(Failure::usage(format!(
            "{} holds no certificate",
            path.display()
        )));
    }
    // Fails when a provider stands already, which serves as well.
    drop(rustls::crypto::ring::default_provider().install_default());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&certificates))
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_named_in_short_and_in_full() {
        for (said, meant) in [
            ("localhost", "http://localhost:8080"),
            ("10.0.0.1:9000", "http://10.0.0.1:9000"),
            ("http://db/", "http://db:80"),
            ("https://db:8443", "https://db:8443"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(base_url(said).unwrap(), meant, "{said}");
        }
        for wrong in ["", "ftp://x", "http://", "http://a b", "http://x/path"] {
            assert!(
                base_url(wrong).is_err(),
                "{wrong:?} gave {:?}",
                base_url(wrong)
            );
        }
    }

    #[test]
    fn keys_stand_in_paths_byte_by_byte() {
        for (key, path) in [
            (&b"user:1"[..], "/api/v1/kv/user:1"),
            (b"a/b c", "/api/v1/kv/a%2Fb%20c"),
            (b"\xff\0", "/api/v1/kv/%FF%00"),
            (b"..", "/api/v1/kv/%2E%2E"),
            (b"a.b", "/api/v1/kv/a.b"),
        ] {
            assert_eq!(path_of_key(key), path);
        }
    }
}
