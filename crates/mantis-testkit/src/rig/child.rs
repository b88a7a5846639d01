//! A child process and the ear of its parent: starting, hearing, killing, reaping.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::{Condvar, Mutex};
use rustix::process::{Pid, Signal, kill_process};

use super::heard::Heard;
use super::reading::{Reading, Readout};
use super::wire::Line;
use super::writing::Writing;

/// So much of a child's standard error is kept.
const COMPLAINTS_BYTES_MAX: usize = 64 << 10;

/// Something that can hear lines.
pub trait Ear: Default + Send + 'static {
    /// Takes the next line.
    fn hear(&mut self, line: Line);
    /// The process id that the child said of itself.
    fn pid(&self) -> Option<i32>;
}

impl Ear for Heard {
    fn hear(&mut self, line: Line) {
        self.take(line);
    }
    fn pid(&self) -> Option<i32> {
        self.pid
    }
}

impl Ear for Readout {
    fn hear(&mut self, line: Line) {
        self.take(line);
    }
    fn pid(&self) -> Option<i32> {
        self.pid
    }
}

/// How the rig's own binary is started.
#[derive(Clone, Debug)]
pub struct Binary {
    path: PathBuf,
    /// Words before the binary, such as strace and its options.
    around: Vec<OsString>,
}

impl Binary {
    /// The binary at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            around: Vec::new(),
        }
    }

    /// The same binary, started by another program.
    #[must_use]
    pub fn within(&self, around: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        let around = around.into_iter().map(Into::into).collect();
        Self {
            path: self.path.clone(),
            around,
        }
    }

    /// Starts a writing child.
    ///
    /// # Errors
    /// When it does not start.
    pub fn write(&self, writing: &Writing) -> Result<Child<Heard>> {
        let script = &writing.script;
        let plan: Vec<String> = writing.plan.iter().map(|part| part.word()).collect();
        let mut words = vec![
            "writer".to_owned(),
            format!("--target={}", writing.target.word()),
            format!("--seed={}", script.seed),
            format!("--epoch={}", writing.epoch),
            format!("--writers={}", script.writers),
            format!("--keys={}", script.keys),
            format!("--value-bytes-max={}", script.value_bytes_max),
            format!("--large-bytes-max={}", script.large_bytes_max),
            format!("--large-percent={}", script.large_percent),
            format!("--plan={}", plan.join(",")),
        ];
        words.extend(script.mixed_classes.then(|| "--mixed-classes".to_owned()));
        words.extend(writing.persist.then(|| "--persist".to_owned()));
        self.start(&words, &writing.dir)
    }

    /// Starts a reading child.
    ///
    /// # Errors
    /// When it does not start.
    pub fn read(&self, reading: &Reading) -> Result<Child<Readout>> {
        let mut words = vec![
            "reader".to_owned(),
            format!("--target={}", reading.target.word()),
        ];
        words.extend(reading.close.then(|| "--close".to_owned()));
        self.start(&words, &reading.dir)
    }

    /// Starts a child with these words and a directory.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start<E: Ear>(&self, words: &[String], dir: &Path) -> Result<Child<E>> {
        let mut line: Vec<OsString> = self.around.clone();
        line.push(self.path.clone().into_os_string());
        line.extend(words.iter().map(OsString::from));
        line.push("--dir".into());
        line.push(dir.into());
        let (program, rest) = line.split_first().context("an empty command")?;
        let mut command = Command::new(program);
        command.args(rest);
        Child::start(command)
    }
}

/// A running child. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Child<E> {
    process: std::process::Child,
    ear: Arc<Hearing<E>>,
    listener: Option<JoinHandle<()>>,
    complaints: Option<JoinHandle<Vec<u8>>>,
    reaped: Option<ExitStatus>,
}

#[derive(Debug)]
struct Hearing<E> {
    /// Guards what was heard; held for one line, or for a copy.
    state: Mutex<(E, bool)>,
    news: Condvar,
}

impl<E: Ear> Hearing<E> {
    fn listen(&self, said: ChildStdout) {
        let lines = BufReader::new(said).lines().map_while(Result::ok);
        for line in lines.filter_map(|line| Line::parse(&line)) {
            self.state.lock().0.hear(line);
            self.news.notify_all();
        }
        self.state.lock().1 = true;
        self.news.notify_all();
    }
}

/// The beginning of the standard error; the rest is read and dropped, so that the child never waits.
fn read_complaints(complained: ChildStderr) -> Vec<u8> {
    let mut reader = BufReader::new(complained);
    let mut bytes = Vec::new();
    let mut line = Vec::new();
    // A broken pipe ends the text, no more.
    while reader.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
        if bytes.len() < COMPLAINTS_BYTES_MAX {
            bytes.append(&mut line);
        }
        line.clear();
    }
    bytes
}

/// A child that has ended.
#[derive(Debug)]
pub struct Ended<E> {
    /// Everything it said.
    pub ear: E,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard error, in parts.
    pub complaints: String,
    /// Whether it had to be killed because it did not end in time.
    pub hung: bool,
}

impl<E> Ended<E> {
    /// A panic or a signal that nobody sent: what it was.
    #[must_use]
    pub fn crash(&self) -> Option<String> {
        if self.hung {
            return Some("it hung".to_owned());
        }
        let sent = self.status.signal() == Some(Signal::KILL.as_raw());
        (!self.status.success() && !sent).then(|| {
            let tail: Vec<&str> = self.complaints.lines().take(6).collect();
            format!("{}: {}", self.status, tail.join(" | "))
        })
    }
}

impl<E: Ear> Child<E> {
    fn start(mut command: Command) -> Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.env("RUST_BACKTRACE", "0");
        let mut process = command
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let said = process
            .stdout
            .take()
            .context("the child has no standard output")?;
        let complained = process
            .stderr
            .take()
            .context("the child has no standard error")?;
        let state = Mutex::new((E::default(), false));
        let ear = Arc::new(Hearing {
            state,
            news: Condvar::new(),
        });
        let listening = Arc::clone(&ear);
        let listener = thread::Builder::new()
            .name("rig-listener".to_owned())
            .spawn(move || listening.listen(said))?;
        let complaints = thread::Builder::new()
            .name("rig-complaints".to_owned())
            .spawn(move || read_complaints(complained))?;
        let (listener, complaints) = (Some(listener), Some(complaints));
        Ok(Self {
            process,
            ear,
            listener,
            complaints,
            reaped: None,
        })
    }

    /// Looks at what was heard so far.
    pub fn heard<T>(&self, look: impl FnOnce(&E) -> T) -> T {
        look(&self.ear.state.lock().0)
    }

    /// Waits until `wanted` holds or the child said its last; answers whether it holds.
    pub fn wait_until(&self, timeout: Duration, wanted: impl Fn(&E) -> bool) -> bool {
        let mut state = self.ear.state.lock();
        let waiting = |state: &mut (E, bool)| !state.1 && !wanted(&state.0);
        self.ear.news.wait_while_for(&mut state, waiting, timeout);
        wanted(&state.0)
    }

    /// Lets the child run for `span`, or until it says its last.
    pub fn let_run(&self, span: Duration) {
        self.wait_until(span, |_| false);
    }

    /// `SIGKILL`, now; what it said before is still heard.
    pub fn kill(&mut self) {
        if self.reaped.is_some() {
            return;
        }
        // The child itself first: a killed strace would let it run on.
        let own = self.heard(Ear::pid).and_then(Pid::from_raw);
        for pid in own.into_iter().chain([Pid::from_child(&self.process)]) {
            // An error says that it has ended by itself: there is nothing left to kill.
            kill_process(pid, Signal::KILL).unwrap_or_default();
        }
    }

    /// Kills it and hears it out.
    ///
    /// # Errors
    /// When it cannot be reaped.
    pub fn finish_by_kill(mut self) -> Result<Ended<E>> {
        self.kill();
        self.reap(false)
    }

    /// Waits for its own end; after `timeout` it is killed.
    ///
    /// # Errors
    /// When it cannot be reaped.
    pub fn finish(mut self, timeout: Duration) -> Result<Ended<E>> {
        self.wait_until(timeout, |_| false);
        let hung = !self.ear.state.lock().1;
        if hung {
            self.kill();
        }
        self.reap(hung)
    }

    fn reap(&mut self, hung: bool) -> Result<Ended<E>> {
        let status = self.process.wait().context("reaping the child")?;
        self.reaped = Some(status);
        let joined = self.listener.take().map(JoinHandle::join);
        anyhow::ensure!(!matches!(joined, Some(Err(_))), "the listener panicked");
        let complaints = self
            .complaints
            .take()
            .and_then(|c| c.join().ok())
            .unwrap_or_default();
        let ear = std::mem::take(&mut self.ear.state.lock().0);
        let complaints = String::from_utf8_lossy(&complaints).into_owned();
        Ok(Ended {
            ear,
            status,
            complaints,
            hung,
        })
    }
}

impl<E> Drop for Child<E> {
    fn drop(&mut self) {
        if self.reaped.is_none() {
            // Both fail only when it has ended by itself.
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }
}
