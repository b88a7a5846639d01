//! Runs the program: as a server that is waited for, or as a command with its output.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory of a test's own, in which the program runs.
#[derive(Debug)]
pub(crate) struct Place {
    dir: TempDir,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Its output, when it succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, 0, "{self:?}");
        self.text()
    }

    /// Its complaints, when it ended with this code.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32) -> &str {
        assert_eq!(self.code, code, "{self:?}");
        &self.err
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The program in this directory, without any setting from outside.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mantisdb"));
        command.current_dir(self.dir.path()).env_clear();
        command
    }

    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Ended {
        self.run_with(arguments, &[], b"")
    }

    pub(crate) fn run_with(
        &self,
        arguments: &[impl AsRef<OsStr>],
        environment: &[(&str, &str)],
        input: &[u8],
    ) -> Ended {
        let mut command = self.command();
        command.args(arguments).envs(environment.iter().copied());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // One that refuses its arguments does not read its input.
        drop(child.stdin.take().unwrap().write_all(input));
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// A server over `data` that is ready.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(&[], &[])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Server {
        let mut command = self.command();
        command
            .args(["serve", "--port", "0", "--data-dir", "data"])
            .args(arguments);
        command.envs(environment.iter().copied());
        Server::start(command)
    }

    /// An example that serves, over `data`; `None` where only the tests were built.
    pub(crate) fn serve_example(&self, name: &str) -> Option<Server> {
        let beside = Path::new(env!("CARGO_BIN_EXE_mantisdb")).with_file_name("examples");
        let program = beside.join(name);
        program.exists().then(|| {
            let mut command = Command::new(program);
            command.current_dir(self.dir.path()).env_clear();
            command.args(["data", "0"]);
            Server::start(command)
        })
    }
}

/// A server that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    /// The address of the Redis listener; empty when it is off.
    pub(crate) resp: String,
    log: Receiver<String>,
}

impl Server {
    fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = lines_of(child.stderr.take().unwrap());
        let out = lines_of(child.stdout.take().unwrap());
        let Ok(line) = out.recv_timeout(PATIENCE) else {
            drop(child.kill());
            panic!("not ready: {:?}", log.try_iter().collect::<Vec<_>>());
        };
        let addresses = line.strip_prefix("ready http=");
        let addresses = addresses.unwrap_or_else(|| panic!("{line:?}"));
        let (http, resp) = addresses.split_once(" resp=").unwrap_or((addresses, ""));
        Self {
            child,
            url: format!("http://{http}"),
            resp: resp.to_owned(),
            log,
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Dies on the spot, as by a power cut of the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends by a signal; answers the exit code.
    pub(crate) fn end_by(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().unwrap().code()
    }

    /// Ends it cleanly; answers what it has logged since the last wait.
    pub(crate) fn end_and_read_log(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.log.iter().collect()
    }

    /// Waits for a line of the log that holds `part`.
    #[track_caller]
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.log.recv_timeout(PATIENCE) {
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
        panic!("{part:?} is not in the log: {seen:?}");
    }

    /// Runs a client's verb against it.
    pub(crate) fn client(&self, place: &Place, arguments: &[impl AsRef<OsStr>]) -> Ended {
        place.run_with(arguments, &[("MANTIS_URL", &self.url)], b"")
    }

    pub(crate) fn client_with_input(
        &self,
        place: &Place,
        arguments: &[&str],
        input: &[u8],
    ) -> Ended {
        place.run_with(arguments, &[("MANTIS_URL", &self.url)], input)
    }

    /// One request; answers status and body.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None);
        let agent: ureq::Agent = config.build().into();
        let mut request = ureq::http::Request::builder().method(method);
        request = request
            .uri(format!("{}{path}", self.url))
            .header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = agent.run(request.body(body.to_owned()).unwrap()).unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (
            response.status().as_u16(),
            serde_json::from_str(&text).unwrap_or(Value::Null),
        )
    }

    pub(crate) fn put(&self, key: &str, value: &str) {
        let body = serde_json::json!({ "value": value }).to_string();
        let (status, answer) = self.request("PUT", &format!("/api/v1/kv/{key}"), None, &body);
        assert_eq!(status, 200, "{answer}");
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let path = format!("/api/v1/kv/{key}?format=string");
        let (status, answer) = self.request("GET", &path, None, "");
        (status == 200).then(|| answer["data"]["value"].as_str().unwrap().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The lines of a pipe, read at once so that the writer never waits for us.
#[expect(
    clippy::disallowed_methods,
    reason = "a test reads the output of another process"
)]
fn lines_of(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Flips one bit in the middle of a file.
pub(crate) fn flip_bit(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}
