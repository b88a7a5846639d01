//! Open keep-alive connections: what each costs in memory, that all are served, and what they do to
//! the latency of those that are active.

use std::time::Duration;

use anyhow::ensure;
use mantis_env::Env;

use super::client::Client;
use super::middle;
use super::report::{Floor, Report};
use super::server::{Programs, Running, key};
use super::wrk::{self, Asks, Load, MISSING};

/// Connections that are active.
const ACTIVE: u32 = 100;
/// Mean pause of an active connection.
const PAUSE_MS: u32 = 10;
/// Rounds of the latency, alone and beside the open ones.
const ROUNDS: usize = 3;
/// So long they are left alone before memory is read: a server may fold up what is idle, and an
/// allocator gives memory back late.
const REST: Duration = Duration::from_secs(5);
/// Floors of FIGURES.md.
const BYTES_MAX: f64 = 10_240.0;
const SLOWDOWN_MAX: f64 = 1.5;

/// Opens so many connections, and looks.
///
/// # Errors
/// When a connection is refused or not served.
pub fn measure(programs: &Programs, count: usize, span: Duration) -> anyhow::Result<Report> {
    let mut report = Report::new(format!("connections: {count} open, {ACTIVE} active"));
    let limit = (count + 1000).to_string();
    let server = programs.start(&[("MANTIS_SERVER_MAX_CONNECTIONS", &limit)])?;
    server.fill(1000)?;
    let with_latency = wrk::is_installed();
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let (mut bytes_just_used, mut bytes_each) = (Vec::new(), Vec::new());
    let env = Env::real();
    for _ in 0..ROUNDS {
        // What came before, the end of the open ones of the last round above all, must not be in
        // the latency of those that are alone.
        env.clock().sleep(REST);
        if with_latency {
            alone.push(wrk::run(&server, &active(span))?);
        }
        let before = server.process().resident()?;
        let mut open = open(&server, count)?;
        let busy = each(server.process().resident()?, before, count);
        bytes_just_used.push(busy);
        env.clock().sleep(REST);
        bytes_each.push(each(server.process().resident()?, before, count));
        if with_latency {
            beside.push(wrk::run(&server, &active(span))?);
        }
        open.iter_mut().try_for_each(serve)?;
    }
    let first = bytes_each.first().copied().unwrap_or_default();
    let floor = Floor::AtMost(BYTES_MAX);
    report.hold("resident bytes for each, idle", first, "B", floor);
    let just_used = bytes_just_used.first().copied().unwrap_or_default();
    report.say("resident bytes for each, just used", just_used, "B");
    let again = middle(bytes_each);
    report.say("resident bytes for each, median of all rounds", again, "B");
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of connections is small"
    )]
    let served = count as f64;
    report.hold(
        "served before and after",
        served,
        "",
        Floor::AtLeast(served),
    );
    if !with_latency {
        report.note(format!("SKIP latency: {MISSING}"));
        return Ok(report);
    }
    let (alone_ms, beside_ms) = (
        middle(alone.iter().map(|run| run.p99_ms)),
        middle(beside.iter().map(|run| run.p99_ms)),
    );
    report.say("p99 of the active, alone", alone_ms, "ms");
    report.say("p99 of the active, beside the open", beside_ms, "ms");
    let ratio = beside_ms / alone_ms;
    report.hold("p99 ratio", ratio, "x", Floor::AtMost(SLOWDOWN_MAX));
    let cpu = |runs: &[wrk::Outcome]| middle(runs.iter().map(|run| run.server_cpu_us));
    report.say("server CPU/request, alone", cpu(&alone), "us");
    report.say("server CPU/request, beside the open", cpu(&beside), "us");
    Ok(report)
}

/// Opens them, and has each served once, so that it has what a used connection keeps.
fn open(server: &Running, count: usize) -> anyhow::Result<Vec<Client>> {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = Client::connect(server.address())?;
        serve(&mut client)?;
        open.push(client);
    }
    Ok(open)
}

fn serve(client: &mut Client) -> anyhow::Result<()> {
    let target = format!("/api/v1/kv/{}", key(1));
    let answer = client.send("GET", &target, "", b"")?;
    ensure!(
        answer.status == 200,
        "a connection was answered {}",
        answer.status
    );
    Ok(())
}

fn active(span: Duration) -> Load {
    Load {
        connections: ACTIVE,
        span,
        pause_ms: PAUSE_MS,
        asks: Asks::Get(format!("/api/v1/kv/{}", key(1))),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "bytes for each connection need no more than 53 bits"
)]
fn each(after: u64, before: u64, count: usize) -> f64 {
    after.saturating_sub(before) as f64 / count as f64
}
