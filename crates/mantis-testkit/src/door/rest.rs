//! The door of HTTP: each step is a request to a server in this process, over a socket.

pub(crate) mod caller;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mantis_env::Env;
use mantis_session::Database;
use mantis_txn::LockWait;
use mantis_types::Code;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};
use ureq::http::Method;

use self::caller::{BYTES, Caller, JSON, TRANSPORT};
use super::embedded::small;
use super::served::Served;
use super::{Door, Pair, Refusal, Txn, Wish, may_have_happened, refused};
use crate::rig::target::WRONG;

/// Where transactions are.
const TRANSACTIONS: &str = "/api/v1/transactions";
/// A lock that was not given within this is held by somebody.
const LOCK_PATIENCE_MS: u64 = 150;
/// Of so many transactions whose client goes away without a word, one is left to the server.
const LEFT_ALONE_EVERY: u64 = 16;
/// After so long without a request the server rolls such a one back.
const IDLE_TIMEOUT: Duration = Duration::from_millis(300);
const DURATION_MAX: Duration = Duration::from_secs(60);
/// A version that no key has.
const NO_VERSION: &str = "\"18446744073709551615\"";

/// A server and its clients. Commits have the class of the server: `sync`, which in memory is `none`.
pub struct Rest {
    caller: Caller,
    left: AtomicU64,
    /// Stopped before the database is closed.
    served: parking_lot::Mutex<Option<Served>>,
    database: Database,
}

impl Rest {
    /// A server over memory.
    ///
    /// # Errors
    /// When it does not start.
    pub fn in_memory(env: &Env) -> Result<Self> {
        Self::over(Database::open_in_memory(env)?)
    }

    /// A server over `dir`, made when absent.
    ///
    /// # Errors
    /// When it does not start.
    pub fn on_disk(env: &Env, dir: &Path) -> Result<Self> {
        Self::over(Database::open(small(env, dir))?)
    }

    fn over(database: Database) -> Result<Self> {
        database.set_transaction_timeouts(IDLE_TIMEOUT, DURATION_MAX);
        let served = Served::start(database.clone())?;
        Ok(Self {
            caller: Caller::to(served.address),
            left: AtomicU64::new(0),
            served: parking_lot::Mutex::new(Some(served)),
            database,
        })
    }
}

impl Rest {
    /// Somebody who sends requests to it.
    pub(crate) const fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

impl Door for Rest {
    fn begin(&self, wish: &Wish) -> Result<Box<dyn Txn>, Refusal> {
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut form = json!({
            "isolation": wish.isolation.as_str(),
            "read_only": wish.read_only,
        });
        if let Some(span) = wish.span {
            form["timeout_ms"] = millis(span).into();
        }
        let answer = self.caller.send(
            Method::POST,
            TRANSACTIONS,
            &[JSON],
            form.to_string().as_bytes(),
        )?;
        let data = answer.data()?;
        let id = data.get("transaction_id").and_then(Value::as_str);
        let id = id.ok_or_else(|| Refusal::new(TRANSPORT, "a transaction without an id"))?;
        let is_left_alone = self
            .left
            .fetch_add(1, Ordering::Relaxed)
            .is_multiple_of(LEFT_ALONE_EVERY);
        Ok(Box::new(RestTxn {
            caller: self.caller.within(id),
            ends_when_dropped: !is_left_alone,
        }))
    }

    fn close(&self) -> Result<(), Refusal> {
        drop(self.served.lock().take());
        let closed = self.database.close();
        closed.map_err(|error| Refusal::of(error.code(), error))
    }
}

fn key_path(key: &[u8]) -> String {
    format!("/api/v1/kv/{}", percent_encode(key, NON_ALPHANUMERIC))
}

struct RestTxn {
    caller: Caller,
    /// Whether its client says goodbye.
    ends_when_dropped: bool,
}

impl RestTxn {
    /// Locks it at the levels where writes lock, by a write whose condition does not hold; answers
    /// whether nobody else held it.
    fn lock(&self, key: &[u8], wait_ms: Option<u64>) -> Result<bool, Refusal> {
        let wait_ms = wait_ms.map(|wait| wait.to_string());
        let mut headers = vec![("if-match", NO_VERSION)];
        if let Some(wait_ms) = &wait_ms {
            headers.push(("x-mantis-timeout-ms", wait_ms));
        }
        let answer = self
            .caller
            .inside(Method::DELETE, &key_path(key), &headers, &[])?;
        let Err(refusal) = answer.data() else {
            return Err(Refusal::new(WRONG, "a key had a version that no key has"));
        };
        match refusal.code.as_str() {
            "precondition_failed" => Ok(true),
            "deadline_exceeded" if wait_ms.is_some() => Ok(false),
            _ => Err(refusal),
        }
    }
}

impl Drop for RestTxn {
    fn drop(&mut self) {
        if self.ends_when_dropped {
            // Without an answer the server ends it for itself.
            drop(self.caller.about("rollback", &[]));
        }
    }
}

impl Txn for RestTxn {
    /// Each request is a statement.
    fn statement(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Refusal> {
        let accept = [("accept", "application/octet-stream")];
        let answer = self
            .caller
            .inside(Method::GET, &key_path(key), &accept, &[])?;
        if answer.is_success() {
            return Ok(Some(answer.body));
        }
        let refusal = answer.refusal();
        // A transaction that is not there says so, too.
        let is_of_key = refusal.code == Code::NotFound.as_str() && refusal.text == "no such key";
        is_of_key.then_some(None).ok_or(refusal)
    }

    fn scan(&mut self, from: &[u8], to: &[u8]) -> Result<Vec<Pair>, Refusal> {
        let bound = |bound| percent_encode(bound, NON_ALPHANUMERIC);
        let query = format!(
            "/api/v1/kv?start={}&end={}&values=true&format=base64&total=false&limit=1000",
            bound(from),
            bound(to)
        );
        let mut pairs = Vec::new();
        let mut path = query.clone();
        loop {
            let answer = self.caller.inside(Method::GET, &path, &[], &[])?;
            let data = answer.data()?;
            for entry in data.as_array().into_iter().flatten() {
                pairs.push(pair(entry)?);
            }
            let meta = answer.json()?["meta"].take();
            match meta["next_cursor"].as_str() {
                Some(cursor) => path = format!("{query}&cursor={cursor}"),
                None => return Ok(pairs),
            }
        }
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let answer = self
            .caller
            .inside(Method::PUT, &key_path(key), &[BYTES], value)?;
        answer.data().map(drop)
    }

    fn delete(&mut self, key: &[u8]) -> Result<(), Refusal> {
        let answer = self
            .caller
            .inside(Method::DELETE, &key_path(key), &[], &[])?;
        answer.data().map(drop)
    }

    /// Where writes do not lock there is no lock: the commit finds out.
    fn get_for_update(&mut self, key: &[u8], wait: LockWait) -> Result<Option<Vec<u8>>, Refusal> {
        let wait_ms = (wait == LockWait::NoWait).then_some(LOCK_PATIENCE_MS);
        match self.lock(key, wait_ms)? {
            true => self.get(key),
            false => Err(refused(Code::DeadlineExceeded)),
        }
    }

    fn try_lock(&mut self, key: &[u8]) -> Result<bool, Refusal> {
        self.lock(key, Some(LOCK_PATIENCE_MS))
    }

    fn savepoint(&mut self, name: &str) -> Result<(), Refusal> {
        let form = json!({ "name": name }).to_string();
        let answer = self.caller.about("savepoints", form.as_bytes())?;
        answer.data().map(drop)
    }

    fn rollback_to(&mut self, name: &str) -> Result<(), Refusal> {
        let name = percent_encode(name.as_bytes(), NON_ALPHANUMERIC);
        let answer = self
            .caller
            .about(&format!("savepoints/{name}/rollback"), &[])?;
        answer.data().map(drop)
    }

    fn commit(mut self: Box<Self>) -> Result<Option<u64>, Refusal> {
        self.ends_when_dropped = false;
        let answer = self.caller.about("commit", &[])?;
        match answer.data() {
            Ok(data) => Ok(data["seq"].as_u64()),
            Err(refusal) => {
                let code = Code::ALL.iter().find(|code| code.as_str() == refusal.code);
                let unknown = code.is_none_or(|code| may_have_happened(*code));
                Err(Refusal { unknown, ..refusal })
            }
        }
    }

    fn rollback(self: Box<Self>) {
        drop(self.caller.about("rollback", &[]));
    }
}

fn pair(entry: &Value) -> Result<Pair, Refusal> {
    let member = |name| entry[name].as_str();
    let (Some(key), Some(value)) = (member("key"), member("value")) else {
        return Err(Refusal::new(TRANSPORT, format!("no entry: {entry}")));
    };
    let value = BASE64_STANDARD.decode(value);
    let value = value.map_err(|error| Refusal::new(TRANSPORT, error))?;
    Ok((key.as_bytes().to_vec(), value))
}
