//! `GET` of a value: what a request costs the server beside the bare one, how many it answers, and
//! how fast at half of that.

use std::time::Duration;

use super::middle;
use super::report::{Floor, Report};
use super::server::{Programs, Running, key};
use super::wrk::{self, Asks, Load, MISSING, Outcome};

/// Connections at saturation.
const CONNECTIONS: u32 = 64;
/// Pause of each connection at half of saturation; their number makes the rate.
const PAUSE_MS: u32 = 4;
/// Keys among which requests choose.
const KEYS: u64 = 100_000;
/// Floors of FIGURES.md.
const CPU_RATIO_MAX: f64 = 1.3;
const RATE_MIN: f64 = 50_000.0;
const P50_MS_MAX: f64 = 1.0;
const P99_MS_MAX: f64 = 5.0;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Interleaved rounds; figures are their medians.
    pub rounds: u32,
    /// Length of each run.
    pub span: Duration,
}

/// Runs of both servers, round by round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    pub(crate) ours: Vec<Outcome>,
    pub(crate) bare: Vec<Outcome>,
}

impl Pair {
    /// One round: both, one after the other.
    pub(crate) fn round(
        &mut self,
        ours: &Running,
        bare: &Running,
        load: &Load,
    ) -> anyhow::Result<()> {
        self.ours.push(wrk::run(ours, load)?);
        self.bare.push(wrk::run(bare, load)?);
        Ok(())
    }

    /// The median of a figure, of both.
    pub(crate) fn medians(&self, figure: impl Fn(&Outcome) -> f64) -> (f64, f64) {
        let of = |runs: &[Outcome]| middle(runs.iter().map(&figure));
        (of(&self.ours), of(&self.bare))
    }

    /// The median of the ratios of the rounds.
    pub(crate) fn ratio(&self, figure: impl Fn(&Outcome) -> f64) -> f64 {
        let rounds = self.ours.iter().zip(&self.bare);
        middle(rounds.map(|(ours, bare)| figure(ours) / figure(bare)))
    }

    /// Says cost and rate of both; answers our rate and the bare one.
    pub(crate) fn say(&self, report: &mut Report, name: &str) -> (f64, f64) {
        let cpu = self.medians(|run| run.server_cpu_us);
        let rate = self.medians(Outcome::rate);
        report.say(format!("{name}: server CPU/request"), cpu.0, "us");
        report.say(format!("{name}: bare CPU/request"), cpu.1, "us");
        let ratio = self.ratio(|run| run.server_cpu_us);
        let floor = Floor::AtMost(CPU_RATIO_MAX);
        report.hold(format!("{name}: CPU ratio"), ratio, "x", floor);
        report.say(format!("{name}: rate"), rate.0, "/s");
        report.say(format!("{name}: bare rate"), rate.1, "/s");
        rate
    }
}

/// Measures.
///
/// # Errors
/// When a server cannot be started, or answers errors.
pub fn measure(programs: &Programs, size: Size) -> anyhow::Result<Report> {
    if !wrk::is_installed() {
        return Ok(Report::skipped("get", MISSING));
    }
    let mut report = Report::new("get: KV GET over HTTP, values of 128 B, access log on");
    let (ours, bare) = (programs.start(&[])?, programs.start_reference()?);
    ours.fill(KEYS)?;
    let path = "/api/v1/kv/key-";
    let cases = [
        ("one key", Asks::Get(format!("/api/v1/kv/{}", key(7)))),
        ("100k keys", Asks::GetAny(path.into(), String::new(), KEYS)),
    ];
    let mut pairs = vec![Pair::default(); cases.len()];
    for _ in 0..size.rounds {
        for (pair, (_, asks)) in pairs.iter_mut().zip(&cases) {
            pair.round(&ours, &bare, &saturating(asks, size.span))?;
        }
    }
    for (pair, (name, _)) in pairs.iter().zip(&cases) {
        let (rate, ceiling) = pair.say(&mut report, name);
        let floor = Floor::AtLeast(RATE_MIN.min(ceiling));
        report.hold(format!("{name}: rate or bare ceiling"), rate, "/s", floor);
        let p99 = pair.medians(|run| run.p99_ms);
        report.say(format!("{name}: p99 at saturation"), p99.0, "ms");
        report.say(format!("{name}: bare p99 at saturation"), p99.1, "ms");
    }
    let (_, asks) = &cases[1];
    let rate = pairs[1].medians(Outcome::rate).0;
    half_load(&mut report, &ours, &bare, (asks, rate, size))?;
    report.note("load generator on the same cores; ratios are medians of interleaved rounds");
    Ok(report)
}

pub(crate) fn saturating(asks: &Asks, span: Duration) -> Load {
    Load {
        connections: CONNECTIONS,
        span,
        pause_ms: 0,
        asks: asks.clone(),
    }
}

/// Latency at half of the rate at saturation.
fn half_load(
    report: &mut Report,
    ours: &Running,
    bare: &Running,
    (asks, rate, size): (&Asks, f64, Size),
) -> anyhow::Result<()> {
    let load = Load {
        connections: connections_for(rate / 2.0),
        pause_ms: PAUSE_MS,
        ..saturating(asks, size.span)
    };
    let mut pair = Pair::default();
    for _ in 0..size.rounds {
        pair.round(ours, bare, &load)?;
    }
    let rate = pair.medians(Outcome::rate);
    report.say("half load: rate", rate.0, "/s");
    let (p50, p99) = (
        pair.medians(|run| run.p50_ms),
        pair.medians(|run| run.p99_ms),
    );
    report.hold("half load: p50", p50.0, "ms", Floor::AtMost(P50_MS_MAX));
    report.hold("half load: p99", p99.0, "ms", Floor::AtMost(P99_MS_MAX));
    report.say("half load: bare p50", p50.1, "ms");
    report.say("half load: bare p99", p99.1, "ms");
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of this machine times some milliseconds is a small positive number"
)]
fn connections_for(rate: f64) -> u32 {
    (rate * f64::from(PAUSE_MS) / 1000.0).round().max(1.0) as u32
}
