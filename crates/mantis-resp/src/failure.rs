//! Errors as Redis clients know them: a prefix in capitals, and text.

use mantis_kv::KvError;
use mantis_session::SessionError;
use mantis_types::Code;

use crate::reply::Reply;

/// Why a command has no other reply.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The whole text, prefix included.
    Says(String),
    /// What the session says.
    Session(SessionError),
}

pub(crate) type Outcome = Result<Reply, Failure>;

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Says(text.into())
    }

    pub(crate) fn wrong_count(command: &str) -> Self {
        let text = format!("ERR wrong number of arguments for '{command}' command");
        Self::new(text)
    }

    pub(crate) fn syntax() -> Self {
        Self::new("ERR syntax error")
    }

    pub(crate) fn no_integer() -> Self {
        Self::new("ERR value is not an integer or out of range")
    }

    pub(crate) fn no_float() -> Self {
        Self::new("ERR value is not a valid float")
    }

    pub(crate) fn expire_time(command: &str) -> Self {
        Self::new(format!("ERR invalid expire time in '{command}' command"))
    }

    /// The error as it is written.
    pub(crate) fn reply(&self) -> Reply {
        Reply::Error(match self {
            Self::Says(text) => text.clone(),
            Self::Session(SessionError::Kv(KvError::NotAnInteger)) => {
                "ERR value is not an integer or out of range".to_owned()
            }
            Self::Session(SessionError::Kv(KvError::Overflow)) => {
                "ERR increment or decrement would overflow".to_owned()
            }
            Self::Session(error) if error.code() == Code::WrongType => {
                "WRONGTYPE Operation against a key holding the wrong kind of value".to_owned()
            }
            Self::Session(error) if error.code() == Code::Forbidden => {
                "NOAUTH Authentication required.".to_owned()
            }
            Self::Session(error) => format!("{} {error}", error.code().resp_prefix()),
        })
    }
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}
