//! `PUT` of a value: what a request costs the server beside a bare one that stores nothing.

use super::get::{Pair, Size, saturating};
use super::report::Report;
use super::server::{Programs, value};
use super::wrk::{self, Asks, MISSING, Outcome};

/// Keys that are written.
const KEYS: u64 = 100_000;

/// Measures.
///
/// # Errors
/// When a server cannot be started, or answers errors.
pub fn measure(programs: &Programs, size: Size) -> anyhow::Result<Report> {
    if !wrk::is_installed() {
        return Ok(Report::skipped("put", MISSING));
    }
    let mut report = Report::new("put: KV PUT over HTTP, values of 128 B, access log on");
    let (ours, bare) = (programs.start(&[])?, programs.start_reference()?);
    ours.fill(KEYS)?;
    let body = format!(r#"{{"value":"{}"}}"#, value(1));
    let classes = ["none", "interval", "sync"];
    let mut pairs = vec![Pair::default(); classes.len()];
    for _ in 0..size.rounds {
        for (pair, class) in pairs.iter_mut().zip(classes) {
            let asks = Asks::PutAny("/api/v1/kv/key-".into(), body.clone(), KEYS, class);
            pair.round(&ours, &bare, &saturating(&asks, size.span))?;
        }
    }
    for (pair, class) in pairs.iter().zip(classes) {
        let cpu = pair.medians(|run| run.server_cpu_us);
        let rate = pair.medians(Outcome::rate);
        let ratio = pair.ratio(|run| run.server_cpu_us);
        report.say(format!("{class}: server CPU/request"), cpu.0, "us");
        report.say(format!("{class}: bare CPU/request"), cpu.1, "us");
        report.say(format!("{class}: CPU ratio"), ratio, "x");
        report.say(format!("{class}: rate"), rate.0, "/s");
        let p99 = pair.medians(|run| run.p99_ms);
        report.say(format!("{class}: p99 at saturation"), p99.0, "ms");
    }
    Ok(report)
}
