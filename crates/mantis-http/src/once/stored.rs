//! An answer with gaps for the number of its commit.

use axum::response::Response;
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use mantis_session::Committed;
use mantis_types::{Code, Durability, Seq};
use serde::{Deserialize, Serialize};

use crate::answer::{SEQ_HEADER, typed, with_commit, with_etag};
use crate::failure::{Failure, Outcome};
use crate::surfaces::Shape;

/// Longest answer that is kept; of a longer one only its commit.
const KEPT_BYTES_MAX: usize = 64 << 10;
const TOO_LONG: &str = "the first answer was longer than 64 KiB and is not kept";

/// What is kept of an answer. All answers of writes are JSON.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Stored {
    fingerprint: String,
    status: u16,
    /// Whether it has an `ETag`, and whether it names its commit.
    etag: bool,
    seq: bool,
    /// The text between the places where the commit's number stands.
    body: Vec<String>,
}

impl Stored {
    /// Takes an answer in which a number stands for the commit.
    ///
    /// # Errors
    /// 500 for an answer that is no text.
    pub(super) async fn of(
        response: Response,
        fingerprint: String,
        stand_in: Seq,
    ) -> Outcome<Self> {
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|error| broken(error.to_string()))?;
        let text = String::from_utf8(body.to_bytes().to_vec());
        let text = text.map_err(|error| broken(error.to_string()))?;
        let number = stand_in.to_string();
        let pieces = text.split(number.as_str()).map(str::to_owned);
        Ok(Self {
            fingerprint,
            status: parts.status.as_u16(),
            etag: parts.headers.contains_key(header::ETAG),
            seq: parts.headers.contains_key(SEQ_HEADER),
            body: pieces.collect(),
        })
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// As it is kept.
    ///
    /// # Errors
    /// 500 when it cannot be written.
    pub(super) fn bytes(&self, shape: Shape) -> Outcome<Vec<u8>> {
        let len: usize = self.body.iter().map(String::len).sum();
        let written = if len <= KEPT_BYTES_MAX {
            serde_json::to_vec(self)
        } else {
            serde_json::to_vec(&self.without_body(shape))
        };
        written.map_err(|error| broken(error.to_string()))
    }

    fn without_body(&self, shape: Shape) -> Self {
        let (before, behind) = ("{\"seq\":", format!(",\"message\":\"{TOO_LONG}\"}}"));
        let body = match shape {
            Shape::Bare => vec![before.to_owned(), behind],
            Shape::Envelope => vec![
                format!("{{\"success\":true,\"data\":{before}"),
                format!("{behind},\"error\":null,\"meta\":null}}"),
            ],
        };
        Self {
            fingerprint: self.fingerprint.clone(),
            body,
            ..*self
        }
    }

    /// Reads what is kept.
    ///
    /// # Errors
    /// 500 for what is no receipt of ours.
    pub(super) fn parse(bytes: &[u8]) -> Outcome<Self> {
        serde_json::from_slice(bytes).map_err(|error| broken(error.to_string()))
    }

    /// The answer of a commit.
    ///
    /// # Errors
    /// 500 for a status that is none.
    pub(super) fn answer(&self, seq: Seq, durability: Durability) -> Outcome<Response> {
        let text = self.body.join(&seq.to_string());
        let mut response = typed("application/json", Bytes::from(text));
        let status = StatusCode::from_u16(self.status);
        *response.status_mut() = status.map_err(|error| broken(error.to_string()))?;
        if self.etag {
            response = with_etag(response, seq);
        }
        let committed = self.seq.then_some(Committed { seq, durability });
        Ok(with_commit(response, committed))
    }
}

fn broken(cause: String) -> Failure {
    Failure::new(Code::Internal, "internal error").because(cause)
}
