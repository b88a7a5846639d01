//! wrk as load generator: how it is called, and what it says.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use super::server::{Running, TOKEN};

/// Headers that clients of every kind send.
const USUAL_HEADERS: [&str; 3] = [
    "Accept: */*",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "User-Agent: measuring/1.0",
];

/// Prints what `Outcome` is read from.
const DONE: &str = r#"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    summary.bytes, e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50),
    latency:percentile(99), latency:percentile(99.9), latency.max))
end
"#;

/// What a run asks for.
#[derive(Clone, Debug)]
pub struct Load {
    /// Connections, each with one request at a time.
    pub connections: u32,
    /// How long.
    pub span: Duration,
    /// Mean pause of a connection between an answer and its next request; zero for none.
    pub pause_ms: u32,
    /// What is asked.
    pub asks: Asks,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Asks {
    /// `GET` of one target.
    Get(String),
    /// `GET` of so many targets in no order: the first part, the query, and twelve digits between.
    GetAny(String, String, u64),
    /// `PUT` of a JSON body to so many targets in no order, with a durability.
    PutAny(String, String, u64, &'static str),
}

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Answers.
    pub requests: f64,
    /// For how long.
    pub seconds: f64,
    /// Bytes of the answers.
    pub bytes: f64,
    /// Median latency.
    pub p50_ms: f64,
    /// 99 of 100 are below.
    pub p99_ms: f64,
    /// 999 of 1000 are below.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
    /// CPU time of the server for each request, in microseconds.
    pub server_cpu_us: f64,
}

impl Outcome {
    /// Requests a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.requests / self.seconds
    }
}

/// Whether wrk is installed.
#[must_use]
pub fn is_installed() -> bool {
    let mut command = Command::new("wrk");
    command
        .arg("-v")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok()
}

/// Why a measurement is skipped without it.
pub const MISSING: &str = "wrk is not installed (apt-get install wrk)";

/// Drives a server.
///
/// # Errors
/// When wrk fails, or any answer was not of the right kind.
pub fn run(server: &Running, load: &Load) -> anyhow::Result<Outcome> {
    let script = server.dir().join("load.lua");
    std::fs::write(&script, lua(load))?;
    let target = match &load.asks {
        Asks::Get(target) => target,
        Asks::GetAny(..) | Asks::PutAny(..) => "/",
    };
    let before = server.process().cpu_time()?;
    let output = Command::new("wrk")
        .args(["-t", "1", "-c", &load.connections.to_string()])
        .args(["-d", &format!("{}s", load.span.as_secs().max(1))])
        .arg("-s")
        .arg(&script)
        .arg(format!("http://{}{target}", server.address()))
        .output()
        .context("wrk cannot be run")?;
    let used = server.process().cpu_time()?.since(before);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let line = line.with_context(|| {
        format!(
            "wrk said nothing: {text}{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    let fields: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
    let [requests, micros, bytes, errors, p50, p99, p999, max] = fields?[..] else {
        anyhow::bail!("wrk said something else: {line}");
    };
    ensure!(errors == 0.0, "{errors} of {requests} answers were errors");
    ensure!(requests > 0.0, "not one answer came");
    Ok(Outcome {
        requests,
        seconds: micros / 1e6,
        bytes,
        p50_ms: p50 / 1e3,
        p99_ms: p99 / 1e3,
        p999_ms: p999 / 1e3,
        max_ms: max / 1e3,
        server_cpu_us: used.as_secs_f64() * 1e6 / requests,
    })
}

/// The script: headers, requests made beforehand, pauses.
fn lua(load: &Load) -> String {
    let mut text = format!("wrk.headers['Authorization'] = 'Bearer {TOKEN}'\n");
    for line in USUAL_HEADERS {
        let (name, value) = line.split_once(": ").expect("a header has a value");
        writeln!(text, "wrk.headers['{name}'] = '{value}'").expect("writing to a string");
    }
    match &load.asks {
        Asks::Get(_) => {}
        Asks::GetAny(first, query, count) => any(&mut text, first, query, *count),
        Asks::PutAny(first, body, count, durability) => {
            let more = [
                "wrk.method = 'PUT'".to_owned(),
                format!("wrk.body = '{body}'"),
                "wrk.headers['Content-Type'] = 'application/json'".to_owned(),
                format!("wrk.headers['X-Mantis-Durability'] = '{durability}'"),
            ];
            text.push_str(&more.join("\n"));
            text.push('\n');
            any(&mut text, first, "", *count);
        }
    }
    if load.pause_ms > 0 {
        // Spread, so that the connections do not march in step.
        let twice = 2 * load.pause_ms;
        writeln!(text, "function delay() return math.random(0, {twice}) end")
            .expect("writing to a string");
    }
    text.push_str(DONE);
    text
}

/// Requests are made once: wrk's own time is not measured, but it shares the machine.
fn any(text: &mut String, first: &str, query: &str, count: u64) {
    write!(
        text,
        "local made = {{}}\n\
         function init(args)\n  \
           for n = 1, {count} do\n    \
             made[n] = wrk.format(nil, string.format('{first}%012d{query}', n - 1))\n  \
           end\n\
         end\n\
         function request() return made[math.random({count})] end\n"
    )
    .expect("writing to a string");
}
