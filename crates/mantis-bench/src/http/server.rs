//! The servers that are measured, each a process of its own in a directory of its own.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::client::Client;
use super::process::Process;

/// The token that every request shows.
pub const TOKEN: &str = "a-token-for-measuring-0123456789";
/// Values written in one request while a store is filled.
const FILL_BATCH: u64 = 1000;
/// Bytes of a value unless said otherwise.
pub const VALUE_BYTES: usize = 128;

/// How the servers are found.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The server's binary.
    pub server: PathBuf,
    /// This program, which is also the bare server.
    pub own: PathBuf,
    /// Where directories are made.
    pub dir: PathBuf,
}

impl Programs {
    /// The server beside this program unless said otherwise.
    ///
    /// # Errors
    /// When there is no server.
    pub fn find(server: Option<PathBuf>, dir: Option<PathBuf>) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let server = server.unwrap_or_else(|| own.with_file_name("mantisdb"));
        let server = std::path::absolute(server)?;
        if !server.is_file() {
            bail!(
                "{} is missing: cargo build --release -p mantisdb, or say --server",
                server.display()
            );
        }
        Ok(Self {
            server,
            own,
            dir: dir.unwrap_or_else(std::env::temp_dir),
        })
    }

    /// Starts the server over an empty store; `settings` are environment variables.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start(&self, settings: &[(&str, &str)]) -> anyhow::Result<Running> {
        let dir = tempfile::tempdir_in(&self.dir)?;
        let mut command = Command::new(&self.server);
        command
            .args(["serve", "--port", "0", "--data-dir"])
            .arg(dir.path().join("data"))
            .env_clear()
            .env("MANTIS_ADMIN_TOKEN", TOKEN)
            .envs(settings.iter().copied());
        Running::start(command, dir)
    }

    /// Starts the bare server.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_reference(&self) -> anyhow::Result<Running> {
        let dir = tempfile::tempdir_in(&self.dir)?;
        let mut command = Command::new(&self.own);
        command.arg("reference").env_clear();
        Running::start(command, dir)
    }
}

/// A server that is ready. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Running {
    fn start(mut command: Command, dir: TempDir) -> anyhow::Result<Self> {
        let log = File::create(dir.path().join("log"))?;
        command
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().context("the server cannot be started")?;
        let out = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let address = line.trim().strip_prefix("ready http=");
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let ended = child.kill().and_then(|()| child.wait());
            let log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            bail!("the server did not get ready ({ended:?}): {log}");
        };
        Ok(Self {
            child,
            address,
            dir,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> Process {
        Process::new(self.child.id())
    }

    /// A file of the measurement beside the server's own.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes so many values of [`VALUE_BYTES`] under [`key`].
    ///
    /// # Errors
    /// When a batch is refused.
    pub fn fill(&self, keys: u64) -> anyhow::Result<()> {
        let mut client = Client::connect(self.address)?;
        let mut from = 0;
        while from < keys {
            let until = keys.min(from + FILL_BATCH);
            let body = batch(from..until)?;
            let json = "content-type: application/json\r\n";
            let answer = client.send("POST", "/api/v1/kv/batch", json, &body)?;
            if answer.status != 200 {
                bail!(
                    "filling was refused: {}",
                    String::from_utf8_lossy(&answer.body)
                );
            }
            from = until;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What it has stored is thrown away with the directory.
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

/// A batch that writes these.
fn batch(numbers: Range<u64>) -> anyhow::Result<Vec<u8>> {
    let mut body = br#"{"operations":["#.to_vec();
    for (index, number) in numbers.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (key, value) = (key(number), value(number));
        write!(
            body,
            r#"{comma}{{"type":"set","key":"{key}","value":"{value}"}}"#
        )?;
    }
    body.extend_from_slice(b"]}");
    Ok(body)
}

/// A key of 16 bytes.
#[must_use]
pub fn key(number: u64) -> String {
    format!("key-{number:012}")
}

/// Text of [`VALUE_BYTES`], different for each number: a record with words, numbers and an id, so
/// that it compresses like one.
#[must_use]
pub fn value(number: u64) -> String {
    const WORDS: [&str; 8] = [
        "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron",
    ];
    let id = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = |shift: u32| WORDS[usize::from((id >> shift).to_le_bytes()[0] % 8)];
    let (first, last) = (word(8), word(16));
    let (amount, day) = (id >> 44, id % 28 + 1);
    let mut text = format!(
        "id {id:016x}, name {first} {last}, mail {first}.{last}@{}.example, amount {amount}.{:02}, \
         since 2026-{:02}-{day:02}, state open",
        word(24),
        id % 100,
        id % 12 + 1,
    );
    while text.len() < VALUE_BYTES {
        text.push('.');
    }
    text.truncate(VALUE_BYTES);
    text
}
