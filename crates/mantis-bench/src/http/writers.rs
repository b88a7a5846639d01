//! Writers that go on: rate second by second, latency, and whether memory stays flat.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, ensure};
use mantis_env::Env;

use super::client::Client;
use super::middle;
use super::report::{Floor, Report};
use super::server::{Programs, Running, key, value};

/// Keys that are written.
const KEYS: u64 = 1_000_000;
/// Floors of FIGURES.md, for class sync and 40 writers.
const RATE_MIN: f64 = 5_000.0;
const P99_MS_MAX: f64 = 50.0;
/// The slowest second over the median one.
const SLOWEST_MIN: f64 = 0.5;
/// Memory at the end over the middle, where memtables and caches have filled. What else grows in
/// half of the time is a leak.
const GROWTH_MAX: f64 = 1.1;
/// Shortest run of which memory can be said to be flat.
const FLAT_SECONDS_MIN: u64 = 120;

/// What is run.
#[derive(Clone, Debug)]
pub struct Size {
    /// Connections, each with one request at a time.
    pub writers: u64,
    /// For how long.
    pub seconds: u64,
    /// Class of the commits.
    pub class: String,
}

/// What one writer saw.
#[derive(Debug, Default)]
struct Seen {
    /// Writes by the second in which they were answered.
    seconds: Vec<u64>,
    latencies: Vec<u32>,
}

/// Runs them.
///
/// # Errors
/// When a write is refused.
pub fn measure(programs: &Programs, size: &Size) -> anyhow::Result<Report> {
    let Size {
        writers,
        seconds,
        class,
    } = size;
    let mut report = Report::new(format!(
        "writers: {writers} connections, class {class}, {seconds} s, values of 128 B, access log on"
    ));
    let server = programs.start(&[])?;
    let cpu = server.process().cpu_time()?;
    let (seen, memory) = load(&server, size)?;
    let used = server.process().cpu_time()?.since(cpu).as_secs_f64();
    let seen = merged(seen, usize::try_from(*seconds)?);
    let count = seen.latencies.len();
    ensure!(count > 0, "nothing was written");
    say_rates(&mut report, &seen, used);
    let at = |permille: usize| f64::from(seen.latencies[(count * permille / 1000).min(count - 1)]);
    report.say("p50", at(500) / 1e3, "ms");
    report.hold("p99", at(990) / 1e3, "ms", Floor::AtMost(P99_MS_MAX));
    report.say("p99.9", at(999) / 1e3, "ms");
    report.say("slowest", at(1000) / 1e3, "ms");
    let [start, middle, end] = memory;
    for (name, bytes) in [("start", start), ("middle", middle), ("end", end)] {
        report.say(format!("resident, {name}"), bytes / 1_048_576.0, "MiB");
    }
    if *seconds >= FLAT_SECONDS_MIN {
        let floor = Floor::AtMost(GROWTH_MAX);
        report.hold("resident, end over middle", end / middle, "x", floor);
    } else {
        report.note("too short to say whether memory is flat");
    }
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are small")]
fn say_rates(report: &mut Report, seen: &Seen, used: f64) {
    let each: Vec<f64> = seen.seconds.iter().map(|count| *count as f64).collect();
    let total = seen.latencies.len() as f64;
    let middle = middle(each.iter().copied());
    let slowest = each.iter().copied().fold(f64::INFINITY, f64::min);
    let rate = each.iter().sum::<f64>() / each.len() as f64;
    report.hold("rate", rate, "/s", Floor::AtLeast(RATE_MIN));
    report.say("median second", middle, "/s");
    report.say("slowest second", slowest, "/s");
    let floor = Floor::AtLeast(SLOWEST_MIN);
    report.hold("slowest over median", slowest / middle, "x", floor);
    report.say("server CPU/request", used * 1e6 / total, "us");
    let shown: Vec<_> = seen.seconds.iter().map(u64::to_string).collect();
    report.note(format!("each second: {}", shown.join(" ")));
}

/// Drives the server; answers what the writers saw, and resident bytes at start, middle and end.
fn load(server: &Running, size: &Size) -> anyhow::Result<(Vec<Seen>, [f64; 3])> {
    let env = Env::real();
    let stop = AtomicBool::new(false);
    let (env, stop) = (&env, &stop);
    std::thread::scope(|scope| {
        let from = env.clock().monotonic();
        let threads: Vec<_> = (0..size.writers)
            .map(|writer| {
                let class = size.class.as_str();
                scope.spawn(move || {
                    let seen = write(server, (env, from, stop), writer, class);
                    // One that fails ends the run: the others must not be waited for.
                    stop.store(stop.load(Relaxed) || seen.is_err(), Relaxed);
                    seen
                })
            })
            .collect();
        let memory = watch(server, (env, from, stop), size.seconds);
        stop.store(true, Relaxed);
        let seen: anyhow::Result<Vec<_>> = threads
            .into_iter()
            .map(|thread| thread.join().expect("a writer does not panic"))
            .collect();
        Ok((seen?, memory?))
    })
}

/// The run's clock, its beginning, and whether it is over.
type Course<'a> = (&'a Env, Duration, &'a AtomicBool);

fn watch(
    server: &Running,
    (env, from, stop): Course<'_>,
    seconds: u64,
) -> anyhow::Result<[f64; 3]> {
    const LOOK: Duration = Duration::from_millis(50);
    let resident = || -> anyhow::Result<f64> {
        #[expect(clippy::cast_precision_loss, reason = "bytes of memory fit 53 bits")]
        Ok(server.process().resident()? as f64)
    };
    let wait = |until: Duration| {
        while env.clock().monotonic() - from < until && !stop.load(Relaxed) {
            env.clock().sleep(LOOK);
        }
    };
    let start = resident()?;
    let whole = Duration::from_secs(seconds);
    wait(whole / 2);
    let middle = resident()?;
    wait(whole);
    Ok([start, middle, resident()?])
}

/// One writer: puts until the end.
fn write(
    server: &Running,
    (env, from, stop): Course<'_>,
    writer: u64,
    class: &str,
) -> anyhow::Result<Seen> {
    let mut client = Client::connect(server.address())?;
    let headers = format!("content-type: application/json\r\nx-mantis-durability: {class}\r\n");
    let mut seen = Seen::default();
    let mut state = writer + 1;
    let mut before = env.clock().monotonic();
    while !stop.load(Relaxed) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let number = (state >> 33) % KEYS;
        let target = format!("/api/v1/kv/{}", key(number));
        let body = format!(r#"{{"value":"{}"}}"#, value(state >> 40));
        let answer = client.send("PUT", &target, &headers, body.as_bytes())?;
        ensure!(
            answer.status == 200,
            "a write was answered {}: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        let now = env.clock().monotonic();
        let micros = (now - before).as_micros();
        seen.latencies
            .push(u32::try_from(micros).unwrap_or(u32::MAX));
        let second = usize::try_from((now - from).as_secs()).context("a very long run")?;
        if seen.seconds.len() <= second {
            seen.seconds.resize(second + 1, 0);
        }
        seen.seconds[second] += 1;
        before = now;
    }
    Ok(seen)
}

/// All writers together: whole seconds only, and latencies in order.
fn merged(all: Vec<Seen>, seconds: usize) -> Seen {
    let mut together = Seen {
        seconds: vec![0; seconds],
        latencies: Vec::new(),
    };
    for seen in all {
        for (sum, count) in together.seconds.iter_mut().zip(seen.seconds) {
            *sum += count;
        }
        together.latencies.extend(seen.latencies);
    }
    together.latencies.sort_unstable();
    together
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_in_which_nobody_is_answered_counts_as_one() {
        let seen = |seconds: &[u64], latencies: &[u32]| Seen {
            seconds: seconds.to_vec(),
            latencies: latencies.to_vec(),
        };
        let all = vec![seen(&[3, 0, 2, 9], &[7, 1]), seen(&[1], &[5])];
        let together = merged(all, 3);
        assert_eq!(together.seconds, [4, 0, 2]);
        assert_eq!(together.latencies, [1, 5, 7]);
        let mut report = Report::new("");
        say_rates(&mut report, &together, 0.0);
        // A stall is seen.
        assert_eq!(report.missed(), 2, "{}", report.table());
    }
}
