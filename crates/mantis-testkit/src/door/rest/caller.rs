//! Requests and answers, blocking.

use std::net::SocketAddr;
use std::time::Duration;

use mantis_types::Code;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request};

use super::TRANSACTIONS;
use crate::door::Refusal;

/// What is refused by the socket.
pub(super) const TRANSPORT: &str = "transport";
/// Longest wait for an answer; no request of a test takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The type of a body that is JSON.
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
/// The type of a body that is the value itself.
pub(super) const BYTES: (&str, &str) = ("content-type", "application/octet-stream");

/// Somebody who sends requests to a server.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    agent: Agent,
    base: String,
    /// The transaction that requests are of.
    id: Option<String>,
}

/// An answer as it came.
pub(crate) struct Answer {
    status: u16,
    /// Whether it is the stored answer to an earlier request.
    pub(crate) is_replayed: bool,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    pub(super) fn json(&self) -> Result<Value, Refusal> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::new(TRANSPORT, format!("status {}: {error}", self.status)))
    }

    /// `data` of a success.
    pub(crate) fn data(&self) -> Result<Value, Refusal> {
        match self.is_success() {
            true => Ok(self.json()?["data"].take()),
            false => Err(self.refusal()),
        }
    }

    /// What a failure says.
    pub(super) fn refusal(&self) -> Refusal {
        let json = match self.json() {
            Ok(json) => json,
            Err(refusal) => return refusal,
        };
        let word = json["code"].as_str().unwrap_or_default();
        let text = json["error"].as_str().unwrap_or_default();
        // The server's time for it was over before the client's word came.
        let is_expired = json["details"]["state"] == "expired";
        match Code::ALL.iter().find(|code| code.as_str() == word) {
            Some(Code::TransactionFinished) if is_expired => {
                Refusal::of(Code::DeadlineExceeded, text)
            }
            Some(code) => Refusal::of(*code, text),
            None => Refusal::new(TRANSPORT, format!("status {}: {json}", self.status)),
        }
    }
}

impl Caller {
    /// Of the server at `address`.
    pub(super) fn to(address: SocketAddr) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .max_idle_connections(64)
            .max_idle_connections_per_host(64)
            .build();
        Self {
            agent: agent.into(),
            base: format!("http://{address}"),
            id: None,
        }
    }

    /// The same, within a transaction.
    pub(super) fn within(&self, id: &str) -> Self {
        Self {
            id: Some(id.to_owned()),
            ..self.clone()
        }
    }

    /// Any request.
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Refusal> {
        let lost = |error: &dyn std::fmt::Display| Refusal {
            unknown: true,
            ..Refusal::new(TRANSPORT, error)
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| lost(&error))?;
        let mut answer = self.agent.run(request).map_err(|error| lost(&error))?;
        let status = answer.status().as_u16();
        let is_replayed = answer.headers().contains_key("idempotent-replayed");
        let body = answer.body_mut().read_to_vec();
        let body = body.map_err(|error| lost(&error))?;
        Ok(Answer {
            status,
            is_replayed,
            body,
        })
    }

    fn id(&self) -> &str {
        self.id.as_deref().unwrap_or_default()
    }

    /// A request within the transaction.
    pub(super) fn inside(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Refusal> {
        let mut all = vec![("x-mantis-transaction", self.id())];
        all.extend_from_slice(headers);
        self.send(method, path, &all, body)
    }

    /// A request about the transaction.
    pub(super) fn about(&self, rest: &str, body: &[u8]) -> Result<Answer, Refusal> {
        let path = format!("{TRANSACTIONS}/{}/{rest}", self.id());
        self.send(Method::POST, &path, &[JSON], body)
    }
}
